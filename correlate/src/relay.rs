//! One request that two servers tell: an aggregated API server audits what the API server passed on to it.
//!
//! It keeps the audit id, user, verb and path, and sees the client's address followed by the API server's.
//! <https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/>

use durward_schemas::address::spelled;
use durward_schemas::tables::Access;

/// How far the clocks of the two servers may stand apart, in microseconds.
const CLOCK_SLACK: i64 = 5_000;

/// Whether `inner` is what a server behind tells of the request `outer`.
///
/// All that both say of it agrees, the one lies within the other in time, and the address that `outer`
/// was sent from is the hop before the last of `inner`. A client that repeats its own request under one
/// audit id at most hides the repetition: `outer` is judged.
pub(crate) fn tells_again(inner: &Access, outer: &Access) -> bool {
    let same = inner.cluster == outer.cluster
        && inner.source_event_id == outer.source_event_id
        && inner.request_key != outer.request_key
        && inner.identity.is_some()
        && inner.identity == outer.identity
        && inner.credential_id == outer.credential_id
        && inner.verb == outer.verb
        && inner.request_uri == outer.request_uri
        && inner.impersonated_identity == outer.impersonated_identity
        && inner.decision == outer.decision
        && inner.status_code == outer.status_code;
    let hops = |row: &Access| -> Vec<String> {
        row.forwarded_for.iter().flatten().map(|address| spelled(address)).collect()
    };
    let mut expected = hops(outer);
    expected.extend(outer.source_ip.as_deref().map(spelled));
    same && outer.source_ip.is_some() && hops(inner) == expected && lies_within(inner, outer)
}

fn lies_within(inner: &Access, outer: &Access) -> bool {
    let Some(lasted) = outer.duration_us else { return false };
    let end = inner.time.plus(inner.duration_us.unwrap_or_default());
    inner.time.since(outer.time) >= -CLOCK_SLACK
        && end.since(outer.time.plus(lasted)) <= CLOCK_SLACK
}
