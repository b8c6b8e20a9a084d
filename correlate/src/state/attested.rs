//! What SPIRE attests: the pod of a process, and the process that got an SVID.
//!
//! Selectors name the pod, its owner and its images
//! (<https://github.com/spiffe/spire/blob/main/doc/plugin_agent_workloadattestor_k8s.md#workload-selectors>);
//! a pod's object says more and takes precedence, whichever came first.

use durward_schemas::tables::{Access, Workload};
use durward_schemas::values::{Evidence, IdentityKind, Provider};
use serde_json::Value;

use crate::body::{self, Container, Metadata, OwnerReference, Pod, PodSpec};
use crate::state::workloads::Cause;

/// The pod that an agent found a process to run in.
pub(crate) fn pod(access: &Access) -> Option<Pod> {
    let uid = access.pod_uid.clone()?;
    let extra = body::value(access.extra.as_ref());
    let selectors = extra.get("selectors").and_then(Value::as_array).into_iter().flatten();
    let selectors: Vec<&str> = selectors.filter_map(Value::as_str).collect();
    let of = |key: &str| {
        let after = |all: &str| {
            all.strip_prefix("k8s:")?.strip_prefix(key)?.strip_prefix(':').map(str::to_owned)
        };
        selectors.iter().copied().filter_map(after).collect::<Vec<_>>()
    };
    let owners = of("pod-owner");
    // One owner is the controller; of several nobody says which.
    let owner = owners.first().filter(|_| owners.len() == 1).and_then(|told| told.split_once(':'));
    let owner = owner.map(|(kind, name)| OwnerReference {
        kind: kind.to_owned(),
        name: name.to_owned(),
        controller: Some(true),
    });
    let images = of("pod-image").into_iter().chain(of("container-image"));
    let mut images: Vec<String> = images.collect();
    images.sort();
    images.dedup();
    Some(Pod {
        metadata: Metadata {
            name: access.pod.clone(),
            namespace: access.namespace.clone(),
            uid: Some(uid),
            owner_references: owner.into_iter().collect(),
            ..Metadata::default()
        },
        spec: PodSpec {
            service_account_name: access.service_account.clone(),
            node_name: access.node.clone(),
            containers: images.into_iter().map(|image| Container { image: Some(image) }).collect(),
            ..PodSpec::default()
        },
        ..Pod::default()
    })
}

/// The process that an agent gave an SVID: known by its number and by what it is now.
pub(crate) fn process(access: &Access, cause: Cause) -> Option<Workload> {
    let is_spiffe = access.identity_kind == IdentityKind::Spiffe;
    let is_fetch = access.provider == Provider::Spire
        && access.verb.as_deref().is_some_and(|verb| verb.starts_with("Fetch"));
    let holder = access.identity.as_ref().filter(|_| is_spiffe && is_fetch)?.clone();
    let pid = body::value(access.extra.as_ref()).get("pid")?.as_i64()?;
    let path = holder.strip_prefix("spiffe://").and_then(|id| id.split_once('/'));
    Some(Workload {
        cluster: access.cluster.clone(),
        namespace: access.namespace.clone().unwrap_or_default(),
        // A process may hold several SVIDs.
        pod: format!("pid:{pid}/{}", path.map_or("", |(_, path)| path)),
        version: 1,
        recorded_time: cause.recorded_time,
        log_position: cause.log_position,
        workload_kind: Some("Process".to_owned()),
        workload: Some(holder),
        service_account: access.service_account.clone(),
        valid_from: Some(cause.time),
        evidence: Evidence::Exact,
        ..Workload::default()
    })
}

#[cfg(test)]
mod tests {
    use durward_schemas::cell::Json;

    use super::*;

    /// Scenario: a pod with one owner and one with two, and a process in no pod.
    /// Guarantees: one owner controls, of two none is taken for it; images are told once, sorted; what runs
    /// in no pod is none.
    #[test]
    fn selectors_make_a_pod() {
        let told = |selectors: &str, uid: Option<&str>| {
            let access = Access {
                pod: Some("ledger-0".into()),
                pod_uid: uid.map(Into::into),
                extra: Some(Json(format!(r#"{{"pid":7,"selectors":{selectors}}}"#))),
                ..Access::default()
            };
            let pod = pod(&access)?;
            let owner = pod.metadata.controller();
            Some((owner.map(|owner| format!("{}/{}", owner.kind, owner.name)), pod.images()))
        };
        let one = r#"["k8s:pod-owner:StatefulSet:ledger","k8s:pod-image:b","k8s:container-image:a","k8s:container-image:b"]"#;
        let both = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(told(one, Some("u")), Some((Some("StatefulSet/ledger".into()), both)));
        let two = r#"["k8s:pod-owner:A:a","k8s:pod-owner:B:b"]"#;
        assert_eq!(told(two, Some("u")), Some((None, Vec::new())));
        assert_eq!(told(r#"["unix:uid:0"]"#, None), None);
    }
}
