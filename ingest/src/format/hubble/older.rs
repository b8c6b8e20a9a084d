//! Flows as older versions write them: numbers for words, and Go's names for what protobuf calls a
//! choice of one. What is renamed reads like a flow of today.
//!
//! Until 0.6 `hubble observe -o json` wrote what Go makes of the structs; `drop_reason_desc` came with
//! Cilium 1.10: <https://github.com/cilium/cilium/blob/main/api/v1/flow/flow.proto>.

use durward_schemas::Time;
use serde_json::{Map, Value};

/// Words by their numbers.
const WORDS: &[(&str, &[&str])] = &[
    (
        "verdict",
        &[
            "VERDICT_UNKNOWN",
            "FORWARDED",
            "DROPPED",
            "ERROR",
            "AUDIT",
            "REDIRECTED",
            "TRACED",
            "TRANSLATED",
        ],
    ),
    ("Type", &["UNKNOWN_TYPE", "L3_L4", "L7", "SOCK"]),
    ("traffic_direction", &["TRAFFIC_DIRECTION_UNKNOWN", "INGRESS", "EGRESS"]),
    ("auth_type", &["DISABLED", "SPIRE"]),
];
const LAYER7_TYPES: &[&str] = &["UNKNOWN_L7_TYPE", "REQUEST", "RESPONSE", "SAMPLE"];

/// Reasons of drops that are decisions, by their numbers.
const REASONS: &[(u64, &str)] = &[
    (130, "INVALID_SOURCE_MAC"),
    (132, "INVALID_SOURCE_IP"),
    (133, "POLICY_DENIED"),
    (171, "INVALID_IDENTITY"),
    (177, "DENIED_BY_LB_SRC_RANGE_CHECK"),
    (181, "POLICY_DENY"),
    (189, "AUTH_REQUIRED"),
    (195, "UNENCRYPTED_TRAFFIC"),
];

/// Gives the fields of a flow the names and words of today.
pub(super) fn rename(event: &mut Map<String, Value>) {
    let Some(flow) = super::layer7::flow(event) else { return };
    for (name, words) in WORDS {
        if let Some(value) = flow.get_mut(*name) {
            name_of(value, words);
        }
    }
    if let Some(time) = flow.get("time").and_then(time_of) {
        flow.insert("time".to_owned(), time.to_string().into());
    }
    // What `drop_reason` says too is not said twice.
    let described = flow.get("drop_reason_desc").filter(|reason| !reason.is_null());
    let number = described.or_else(|| flow.get("drop_reason")).and_then(Value::as_u64);
    let number = number.or_else(|| reason_of_event(flow));
    let reason = number.filter(|number| *number > 0).map(|number| {
        let known = REASONS.iter().find(|(known, _)| *known == number);
        known.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
    });
    if let (Some(reason), None | Some(Value::Number(_))) = (reason, described) {
        flow.insert("drop_reason_desc".to_owned(), reason.into());
    }
    if let Some(Value::Object(l4)) = flow.get_mut("l4") {
        lift(l4, "Protocol", |name| name);
    }
    if let Some(Value::Object(l7)) = flow.get_mut("l7") {
        if let Some(kind) = l7.get_mut("type") {
            name_of(kind, LAYER7_TYPES);
        }
        lift(l7, "Record", |name| name.to_ascii_lowercase());
    }
}

/// The reason of a drop before `drop_reason` came: the kind of an event that tells of one.
/// <https://github.com/cilium/cilium/blob/main/pkg/monitor/api/types.go>, `MessageTypeDrop`
fn reason_of_event(flow: &Map<String, Value>) -> Option<u64> {
    let event = flow.get("event_type").filter(|event| event.get("type") == Some(&1.into()))?;
    event.get("sub_type")?.as_u64()
}

fn name_of(value: &mut Value, words: &[&str]) {
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    if let Some(word) = number.and_then(|number| words.get(number)) {
        *value = (*word).into();
    }
}

/// `{"seconds": 1, "nanos": 2}`, as Go writes what protobuf calls a timestamp.
fn time_of(time: &Value) -> Option<Time> {
    let part = |name: &str| time.get(name).and_then(Value::as_i64);
    let seconds = part("seconds")?.checked_mul(1_000_000)?;
    seconds.checked_add(part("nanos").unwrap_or_default() / 1000).map(Time)
}

/// Puts what stands under the name of a choice in its place.
fn lift(fields: &mut Map<String, Value>, choice: &str, name: impl Fn(String) -> String) {
    let Some(Value::Object(chosen)) = fields.remove(choice) else { return };
    fields.extend(chosen.into_iter().map(|(key, value)| (name(key), value)));
}
