//! What a pod's specification opens to the node: the same answer for a pod and for every template.

use serde_json::Value;

/// Where a body keeps the pod specification: a Pod, a template, a `CronJob`'s template.
const PLACES: [&str; 3] = ["/spec/jobTemplate/spec/template/spec", "/spec/template/spec", "/spec"];

/// The openings of a pod specification.
/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/>
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are four of the Kubernetes API")]
pub(crate) struct PodSpec {
    pub privileged: bool,
    pub host_pid: bool,
    pub host_ipc: bool,
    pub host_network: bool,
    pub capabilities: Vec<String>,
    /// Paths of the node that a container may write.
    pub writable: Vec<String>,
    /// Paths of the node that are only read, or not mounted at all.
    pub read_only: Vec<String>,
}

impl PodSpec {
    /// The openings in `body`: an object, or a patch of one.
    pub(crate) fn of(body: &Value) -> Self {
        let Some(spec) = PLACES.iter().find_map(|place| body.pointer(place)) else {
            return Self::default();
        };
        let containers: Vec<&Value> = ["containers", "initContainers", "ephemeralContainers"]
            .iter()
            .flat_map(|kind| items(&spec[kind]))
            .collect();
        let (writable, read_only) = host_paths(spec, &containers);
        Self {
            privileged: containers.iter().any(|c| c["securityContext"]["privileged"] == true),
            host_pid: spec["hostPID"] == true,
            host_ipc: spec["hostIPC"] == true,
            host_network: spec["hostNetwork"] == true,
            capabilities: containers
                .iter()
                .flat_map(|c| items(&c["securityContext"]["capabilities"]["add"]))
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect(),
            writable,
            read_only,
        }
    }

    /// What this opens that `before` did not: a change is judged by what it adds.
    pub(crate) fn added_to(self, before: &Self) -> Self {
        let new = |now: Vec<String>, then: &[String]| -> Vec<String> {
            now.into_iter().filter(|item| !then.contains(item)).collect()
        };
        Self {
            privileged: self.privileged && !before.privileged,
            host_pid: self.host_pid && !before.host_pid,
            host_ipc: self.host_ipc && !before.host_ipc,
            host_network: self.host_network && !before.host_network,
            capabilities: new(self.capabilities, &before.capabilities),
            writable: new(self.writable, &before.writable),
            read_only: new(new(self.read_only, &before.read_only), &before.writable),
        }
    }
}

/// Paths of hostPath volumes, apart by whether some container may write them.
fn host_paths(spec: &Value, containers: &[&Value]) -> (Vec<String>, Vec<String>) {
    let volumes = items(&spec["volumes"]).filter_map(|volume| {
        Some((volume["name"].as_str()?, volume["hostPath"]["path"].as_str()?))
    });
    let mounts: Vec<&Value> = containers.iter().flat_map(|c| items(&c["volumeMounts"])).collect();
    let is_written =
        |name: &str| mounts.iter().any(|mount| mount["name"] == name && mount["readOnly"] != true);
    let (writable, read_only): (Vec<_>, Vec<_>) = volumes.partition(|(name, _)| is_written(name));
    let paths = |of: Vec<(&str, &str)>| of.into_iter().map(|(_, path)| path.to_owned()).collect();
    (paths(writable), paths(read_only))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec() -> Value {
        json!({
            "hostPID": true,
            "volumes": [
                {"name": "root", "hostPath": {"path": "/"}},
                {"name": "proc", "hostPath": {"path": "/proc"}},
                {"name": "tmp", "emptyDir": {}},
            ],
            "containers": [{
                "name": "a",
                "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}},
                "volumeMounts": [
                    {"name": "root", "mountPath": "/host", "readOnly": true},
                    {"name": "proc", "mountPath": "/p"},
                ],
            }],
            "initContainers": [{"name": "b", "securityContext": {"privileged": true}}],
        })
    }

    /// Scenario: one specification as a Pod, in a template and in a `CronJob`.
    /// Guarantees: its openings are found wherever it stands, mounts apart by whether they are written.
    #[test]
    fn openings_are_found_in_every_kind() {
        let expected = PodSpec {
            privileged: true,
            host_pid: true,
            capabilities: vec!["SYS_ADMIN".into()],
            writable: vec!["/proc".into()],
            read_only: vec!["/".into()],
            ..PodSpec::default()
        };
        let template = json!({"template": {"spec": spec()}});
        assert_eq!(PodSpec::of(&json!({"spec": spec()})), expected);
        assert_eq!(PodSpec::of(&json!({"spec": template})), expected);
        assert_eq!(PodSpec::of(&json!({"spec": {"jobTemplate": {"spec": template}}})), expected);
    }

    /// Scenario: a template that was open before is changed.
    /// Guarantees: only what the change adds is left.
    #[test]
    fn a_change_is_judged_by_what_it_adds() {
        let before = PodSpec::of(&json!({"spec": spec()}));
        assert_eq!(before.clone().added_to(&before), PodSpec::default());
        let mut more = spec();
        more["hostNetwork"] = json!(true);
        more["containers"][0]["volumeMounts"][0]["readOnly"] = json!(false);
        let added = PodSpec::of(&json!({"spec": more})).added_to(&before);
        let expected =
            PodSpec { host_network: true, writable: vec!["/".into()], ..PodSpec::default() };
        assert_eq!(added, expected);
    }
}
