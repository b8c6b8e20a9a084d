//! Events that the API server cut: what a write did is then known to nobody (DESIGN decision 21).
//!
//! What of our own was lost is a finding too.
//! Every stage is looked at, judged or not, since any of them may be the cut one.
//! An event over the limit loses both bodies and gains an annotation:
//! <https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/#truncate>

use durward_schemas::record::Loss;
use durward_schemas::tables::Access;
use durward_schemas::values::{Outcome, severity};

use crate::detector::{Detector, Hit, Seen};
use crate::escape::shortened;
use crate::memory::Fill;
use crate::sentence;

/// What findings about what cannot be seen are named after.
pub(crate) const NAME: &str = "blindness";

/// Writes to these decide who may do what, or what runs.
const DECISIVE: [&str; 6] = [
    "rbac.authorization.k8s.io",
    "admissionregistration.k8s.io",
    "certificates.k8s.io",
    "networking.k8s.io",
    "apps",
    "batch",
];

/// Finds cut events.
#[derive(Debug, Default)]
pub(crate) struct Blindness;

impl Detector for Blindness {
    fn name(&self) -> &'static str {
        NAME
    }

    fn judge(&mut self, Seen { row, .. }: Seen<'_>) -> Vec<Hit> {
        if !row.truncated {
            return Vec::new();
        }
        let (who, deed, place) = (sentence::who(row), sentence::deed(row), sentence::place(row));
        vec![Hit {
            anchor: row.request_key.to_string(),
            title: format!("The audit log does not show the body of a request to {}", what(row)),
            reason: format!(
                "{who} {deed} from {place}, and the event was too large: what made it so was left out"
            ),
            severity_id: severity_of(row),
            repeats: true,
            techniques: vec!["T1562".into()],
            next_step: next_step(row),
            ..Hit::default()
        }]
    }
}

/// What of our own is not there any more: nobody's deed that is known.
pub(crate) fn loss(loss: &Loss) -> Hit {
    let (title, severity_id) = if loss.is_lasting {
        ("Durward lost records that it had acknowledged, or may have", severity::HIGH)
    } else {
        ("Durward met trouble with its own data", severity::LOW)
    };
    Hit {
        anchor: loss.text.clone(),
        title: format!("{title}: {}", loss.part),
        reason: loss.text.clone(),
        severity_id,
        techniques: vec!["T1562".into()],
        next_step: "durward doctor".into(),
        ..Hit::default()
    }
}

/// A memory that forgot something: what is known of somebody is known no more.
pub(crate) fn forgotten(
    memory: &str,
    fill: Fill,
    majority: &[&str],
    row: &Access,
    day: i32,
) -> Hit {
    let who = sentence::who(row);
    let majority = majority.iter().filter(|part| !part.is_empty()).copied();
    let majority = shortened(&majority.collect::<Vec<_>>().join(" "), 128);
    let word = memory.replace('_', " ");
    Hit {
        anchor: format!("forgotten {memory} {day}"),
        title: "More came than can be remembered".into(),
        reason: format!(
            "{who} came when {} {word} were remembered, as many as can be: the oldest of {majority}, of whom most are, were forgotten",
            fill.held
        ),
        severity_id: severity::LOW,
        unusual: Some(format!("{} forgotten so far", fill.forgotten)),
        techniques: vec!["T1562".into()],
        next_step: "durward doctor".into(),
        nobody: true,
        ..Hit::default()
    }
}

fn what(row: &Access) -> &str {
    row.resource.as_deref().unwrap_or("a path")
}

fn severity_of(row: &Access) -> i64 {
    let writes = ["create", "update", "patch"];
    let is_write = row.verb.as_deref().is_some_and(|verb| writes.contains(&verb));
    let group = row.api_group.as_deref().unwrap_or_default();
    let is_decisive = DECISIVE.contains(&group)
        || (group.is_empty() && matches!(what(row), "pods" | "serviceaccounts" | "namespaces"));
    match (is_write && row.outcome == Outcome::Success, is_decisive) {
        (true, true) => severity::MEDIUM,
        (true, false) => severity::LOW,
        (false, _) => severity::INFORMATIONAL,
    }
}

/// What was written can still be read from the cluster, if it is still there.
fn next_step(row: &Access) -> String {
    use crate::escape::shell;
    let (Some(resource), Some(name)) = (&row.resource, &row.object_name) else {
        return format!("durward explain {}", row.event_id);
    };
    let namespace = row.object_namespace.as_deref();
    let namespace = namespace.map(|name| format!(" -n {}", shell(name))).unwrap_or_default();
    format!("kubectl get {}{namespace} -o yaml -- {}", shell(resource), shell(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing;

    fn check(verb: &str, group: &str, resource: &str, judged: bool, expected: &[i64]) {
        let mut row = testing::row(&json!({
            "user": {"username": "alice"},
            "verb": verb,
            "objectRef": {"resource": resource, "apiGroup": group, "name": "x"},
            "responseStatus": {"code": 201},
        }));
        row.judged = judged;
        let seen = |row: &Access| Blindness.judge(Seen::of(row));
        assert!(seen(&row).is_empty(), "a whole event hides nothing");
        row.truncated = true;
        let hits = seen(&row);
        assert_eq!(hits.iter().map(|hit| hit.severity_id).collect::<Vec<_>>(), expected);
    }

    /// Scenario: cut events of writes that decide, of other writes, and of reads; judged stages and others.
    /// Guarantees: each is found, and weighs as much as what is hidden.
    #[test]
    fn cut_events_weigh_as_what_they_hide() {
        check("create", "rbac.authorization.k8s.io", "roles", true, &[severity::MEDIUM]);
        check("patch", "apps", "deployments", false, &[severity::MEDIUM]);
        check("create", "", "pods", true, &[severity::MEDIUM]);
        check("update", "", "configmaps", true, &[severity::LOW]);
        check("list", "", "pods", true, &[severity::INFORMATIONAL]);
    }
}
