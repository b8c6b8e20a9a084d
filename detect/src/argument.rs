//! The argument of one finding: who, what, why it was possible, what changed before, how unusual.

use durward_schemas::tables::Access;
use durward_schemas::values::Decision;

use crate::alert::Story;
use crate::detector::{Hit, Seen};
use crate::sentence;

/// Characters of a command: what every place where alerts are shown shows whole.
const LONGEST_STEP: usize = 500;

/// What is told of a finding.
pub(crate) fn story(hit: &Hit, seen: Seen<'_>) -> Story {
    let who = match &hit.maker {
        Some(maker) => {
            let kind = maker.identity_kind.parse().unwrap_or_default();
            sentence::identity(kind, Some(&maker.identity))
        }
        None => sentence::who(seen.row),
    };
    let changed = match &hit.maker {
        Some(maker) => Some(maker.change_summary.clone()),
        None => what_changed(seen),
    };
    Story {
        title: hit.title.clone(),
        who,
        what: vec![hit.reason.clone()],
        why_possible: why_possible(seen.row),
        what_changed: changed,
        unusual: hit.unusual.clone(),
        next_step: next_step(hit, seen.row),
    }
}

/// A command is whole or it is another one: half of it does something else.
fn next_step(hit: &Hit, row: &Access) -> String {
    if hit.next_step.chars().count() > LONGEST_STEP {
        return format!("durward explain {}", row.event_id);
    }
    hit.next_step.clone()
}

/// How telling a row is: what was let in and touched secrets or power, what was let in, what was refused.
pub(crate) fn telling(row: &Access) -> i64 {
    let is_allowed = row.decision != Decision::Deny;
    // Reviews only ask.
    let is_question = row.api_group.as_deref() == Some("authorization.k8s.io");
    let sensitive = (row.resource.as_deref() == Some("secrets")
        && row.api_group.as_deref().unwrap_or_default().is_empty())
        || matches!(row.subresource.as_deref(), Some("exec" | "attach" | "token" | "proxy"))
        || row.api_group.as_deref() == Some("rbac.authorization.k8s.io");
    match (is_allowed, is_question) {
        (true, false) if sensitive => 3,
        (true, false) => 2,
        (false, _) => 1,
        (true, true) => 0,
    }
}

/// The deciding binding and its role, or why nothing had to allow it.
fn why_possible(row: &Access) -> Option<String> {
    let is_master = |row: &Access| {
        row.groups.iter().flatten().any(|group| group == "system:masters")
            && row.impersonated_identity.is_none()
    };
    match (row.decision, &row.decided_by) {
        (Decision::Allow, Some(binding)) => {
            let role = row.decided_role.as_deref().unwrap_or("a role");
            let subject = row.decided_subject.as_deref().unwrap_or("this identity");
            Some(format!("{binding} gives {role} to {subject}"))
        }
        // The privileged-group authorizer answers before RBAC and gives no reason.
        (Decision::Allow, None) if is_master(row) => {
            Some("the group system:masters may do everything, no binding is asked".into())
        }
        (Decision::Allow, None) => row.decision_reason.clone().filter(|reason| !reason.is_empty()),
        (Decision::Deny, _) => Some("it was not: the request was refused".into()),
        (Decision::Error | Decision::Unknown, _) => None,
    }
}

/// The latest change that could alter the decision, and how long before it was made.
pub(crate) fn what_changed(Seen { row, .. }: Seen<'_>) -> Option<String> {
    let summary = row.change_summary.as_ref()?;
    let before = row.change_time.map(|time| sentence::duration(row.time.since(time)));
    let before = before.map(|before| format!(", {before} before")).unwrap_or_default();
    Some(format!("{summary}{before}"))
}
