//! What a pod's specification opens to the node: the same answer for a pod and for every template.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::rule::node_path;

/// Where a body keeps the pod specification: a `CronJob`'s template, a template, a `PodTemplate`, a Pod.
const PLACES: [&str; 4] =
    ["/spec/jobTemplate/spec/template/spec", "/spec/template/spec", "/template/spec", "/spec"];

/// The openings of a pod specification.
/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/>
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are those of the Kubernetes API")]
pub(crate) struct PodSpec {
    pub privileged: bool,
    /// A container of Windows that is a process of the node.
    pub host_process: bool,
    pub host_pid: bool,
    pub host_ipc: bool,
    pub host_network: bool,
    /// As written, and in capitals without `CAP_`.
    pub capabilities: Vec<String>,
    /// What confines a container and is given up: `allowPrivilegeEscalation`, `runAsUser` and the like.
    pub unconfined: Vec<String>,
    /// Paths of the node that a container may write: as written, and where they lead.
    pub writable: Vec<String>,
    /// Paths of the node that are only read, or not mounted at all.
    pub read_only: Vec<String>,
    /// Whether a debug container mounts the token of the pod that it is added to.
    pub debug_token: bool,
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
        let contexts: Vec<&Value> = std::iter::once(spec)
            .chain(containers.iter().copied())
            .map(|holder| &holder["securityContext"])
            .collect();
        let (writable, read_only) = host_paths(spec, &containers);
        Self {
            privileged: contexts.iter().any(|context| context["privileged"] == true),
            host_process: contexts
                .iter()
                .any(|context| context["windowsOptions"]["hostProcess"] == true),
            host_pid: spec["hostPID"] == true,
            host_ipc: spec["hostIPC"] == true,
            host_network: spec["hostNetwork"] == true,
            capabilities: contexts
                .iter()
                .flat_map(|context| items(&context["capabilities"]["add"]))
                .filter_map(Value::as_str)
                .flat_map(capability)
                .collect(),
            unconfined: contexts.iter().flat_map(|context| given_up(context)).collect(),
            writable,
            read_only,
            debug_token: false,
        }
    }

    /// What a debug container opens: the namespaces of its pod, and those volumes of the pod that it mounts.
    ///
    /// `sent` names the container; the pod is in the `answer`, where the audit policy has it logged.
    /// <https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/>
    pub(crate) fn of_debug_container(sent: &Value, answer: &Value) -> Self {
        let is_pod = answer["spec"]["containers"].is_array();
        let mut spec = if is_pod { &answer["spec"] } else { &sent["spec"] }.clone();
        if !spec.is_object() {
            return Self::default();
        }
        let name = |container: &Value| container["name"].as_str().map(str::to_owned);
        let sent: Vec<_> = items(&sent["spec"]["ephemeralContainers"]).filter_map(name).collect();
        let is_new = |container: &&Value| {
            name(container).is_none_or(|name| sent.is_empty() || sent.contains(&name))
        };
        let new: Vec<Value> = items(&spec["ephemeralContainers"]).filter(is_new).cloned().collect();
        let mounts: Vec<&Value> = new.iter().flat_map(|it| items(&it["volumeMounts"])).collect();
        let is_mounted =
            |volume: &&Value| mounts.iter().any(|mount| mount["name"] == volume["name"]);
        let volumes: Vec<Value> = items(&spec["volumes"]).filter(is_mounted).cloned().collect();
        // The admission of the API server names the volume so; where the pod was not logged, that is all there is.
        let is_token_by_name = |mount: &&Value| {
            mount["name"].as_str().is_some_and(|name| name.starts_with("kube-api-access-"))
        };
        let debug_token =
            volumes.iter().any(has_token) || (!is_pod && mounts.iter().any(is_token_by_name));
        spec["volumes"] = volumes.into();
        spec["ephemeralContainers"] = new.into();
        spec["containers"] = Value::Null;
        spec["initContainers"] = Value::Null;
        Self { debug_token, ..Self::of(&json!({ "spec": spec })) }
    }

    /// What this opens that `before` did not: a change is judged by what it adds.
    pub(crate) fn added_to(self, before: &Self) -> Self {
        let new = |now: Vec<String>, then: &[String]| -> Vec<String> {
            now.into_iter().filter(|item| !then.contains(item)).collect()
        };
        Self {
            privileged: self.privileged && !before.privileged,
            host_process: self.host_process && !before.host_process,
            host_pid: self.host_pid && !before.host_pid,
            host_ipc: self.host_ipc && !before.host_ipc,
            host_network: self.host_network && !before.host_network,
            capabilities: new(self.capabilities, &before.capabilities),
            unconfined: new(self.unconfined, &before.unconfined),
            writable: new(self.writable, &before.writable),
            read_only: new(new(self.read_only, &before.read_only), &before.writable),
            debug_token: self.debug_token && !before.debug_token,
        }
    }
}

/// A capability as written and, if that is another text, as the kernel's list has it: runtimes take any case
/// and the prefix.
fn capability(written: &str) -> Vec<String> {
    let upper = written.to_uppercase();
    let plain = upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned();
    let mut names = vec![written.to_owned(), plain];
    names.dedup();
    names
}

/// The settings of a security context that give up what confines a container otherwise.
fn given_up(context: &Value) -> Vec<String> {
    let settings = [
        ("runAsUser", context["runAsUser"] == 0),
        ("allowPrivilegeEscalation", context["allowPrivilegeEscalation"] == true),
        ("procMount", context["procMount"] == "Unmasked"),
        ("seccompProfile", context["seccompProfile"]["type"] == "Unconfined"),
        ("appArmorProfile", context["appArmorProfile"]["type"] == "Unconfined"),
    ];
    settings
        .iter()
        .filter(|(_, is_given_up)| *is_given_up)
        .map(|(name, _)| (*name).into())
        .collect()
}

/// Whether a volume holds a token of the pod's `ServiceAccount`.
fn has_token(volume: &Value) -> bool {
    items(&volume["projected"]["sources"]).any(|source| source["serviceAccountToken"].is_object())
}

/// Paths of the node, apart by whether some container may write them: those of volumes, and that of a
/// `PersistentVolume`, which whoever claims it may write.
fn host_paths(spec: &Value, containers: &[&Value]) -> (Vec<String>, Vec<String>) {
    let volumes = items(&spec["volumes"]).filter_map(|volume| {
        Some((volume["name"].as_str()?, volume["hostPath"]["path"].as_str()?))
    });
    let mounts: Vec<&Value> = containers.iter().flat_map(|c| items(&c["volumeMounts"])).collect();
    let is_written =
        |name: &str| mounts.iter().any(|mount| mount["name"] == name && mount["readOnly"] != true);
    let (writable, read_only): (Vec<_>, Vec<_>) = volumes.partition(|(name, _)| is_written(name));
    let persistent = ["hostPath", "local"].iter().filter_map(|kind| spec[kind]["path"].as_str());
    let paths = |of: Vec<(&str, &str)>| -> Vec<String> {
        of.into_iter().flat_map(|(_, path)| node_path::readings(path)).collect()
    };
    let mut writable = paths(writable);
    writable.extend(persistent.flat_map(node_path::readings));
    (writable, paths(read_only))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
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

    /// Scenario: debug containers of a pod with the node's root, processes and a token: one that mounts nothing, one
    /// that mounts the root and the token, one beside an older one; the pod in the answer, or nowhere.
    /// Guarantees: a debug container is judged by what it mounts of its pod, not by what others mount; without the
    /// answer only the token is known, by the name of its volume.
    #[test]
    fn a_debug_container_opens_what_it_mounts() {
        let container = |name: &str, mounts: &[&str]| {
            let mounts: Vec<_> = mounts.iter().map(|name| json!({"name": name})).collect();
            json!({"name": name, "volumeMounts": mounts})
        };
        let check = |added: Value, older: Value, expected: &PodSpec, unlogged: bool| {
            let sent = json!({"spec": {"ephemeralContainers": [added.clone()]}});
            let mut pod = json!({"spec": spec()});
            pod["spec"]["hostPID"] = false.into();
            pod["spec"]["volumes"].as_array_mut().expect("volumes").push(json!({
                "name": "kube-api-access-x",
                "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]},
            }));
            pod["spec"]["ephemeralContainers"] = json!([older, added]);
            assert_eq!(PodSpec::of_debug_container(&sent, &pod), *expected);
            let status = json!({"kind": "Status"});
            let without = PodSpec::of_debug_container(&sent, &status);
            assert_eq!(without, PodSpec { debug_token: unlogged, ..PodSpec::default() });
        };
        let root = PodSpec { writable: vec!["/".into()], ..PodSpec::default() };
        let token = PodSpec { debug_token: true, ..PodSpec::default() };
        let older = || container("older", &["proc", "kube-api-access-x"]);
        check(container("d", &[]), older(), &PodSpec::default(), false);
        check(container("d", &["tmp"]), older(), &PodSpec::default(), false);
        check(container("d", &["root", "tmp"]), older(), &root, false);
        check(container("d", &["kube-api-access-x"]), container("older", &["root"]), &token, true);
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
