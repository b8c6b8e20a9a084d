//! What the readers of cloud records share: a record is opened (secrets out, content remembered for
//! its id), its fields are taken, and it is closed. What is no audit record becomes a row of `logs`.

use durward_schemas::Time;
use durward_schemas::address;
use durward_schemas::cell::Json;
use durward_schemas::ids::{EventId, RequestKey};
use durward_schemas::tables::{Access, Log};
use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::otlp::flag;
use super::otlp_logs::body_text;
use super::{Context, mesh};
use crate::canonical;
use crate::normalize::{self, Timed};

/// A record of a cloud that is being read.
#[derive(Debug)]
pub(super) struct Record {
    /// What nobody has taken yet, without secrets.
    pub(super) fields: Fields,
    /// The content that its id is hashed over.
    told: String,
    /// The claimed time, which enters ids.
    claimed: Time,
}

impl Record {
    /// Takes the secrets out of a record.
    pub(super) fn open(fields: Map<String, Value>, context: &Context<'_>) -> Self {
        let mut record = Value::Object(fields);
        context.keys.redactor().json(&mut record);
        let told = context.text_for_ids(&record);
        let fields = if let Value::Object(fields) = record { fields } else { Map::new() };
        Self { fields: Fields::new(fields), told, claimed: Time::default() }
    }

    /// Believes `claim`, or not.
    pub(super) fn time(&mut self, access: &mut Access, claim: Option<&str>, context: &Context<'_>) {
        let Timed { time, for_ids, is_suspect, claimed } = believe(claim, context);
        access.time = time;
        access.time_suspect = Some(is_suspect);
        access.claimed_time = claimed;
        self.claimed = for_ids;
    }

    /// The claimed time, as it enters ids.
    pub(super) fn claimed(&self) -> Time {
        self.claimed
    }

    /// Fills what is left: `unmapped`, the id, and the key of the request. The planes of clouds
    /// belong to no cluster, so their ids do not depend on whose files they came with.
    pub(super) fn close(self, mut access: Access, request: &Request<'_>) -> Access {
        access.class_uid = normalize::API_ACTIVITY;
        access.event_id = EventId::of(self.claimed, None, self.told.as_bytes());
        access.request_key = RequestKey::of(
            None,
            request.id,
            request.time,
            request.user,
            access.verb.as_deref().unwrap_or_default(),
            request.target,
        );
        access.unmapped = self.fields.rest(None);
        access
    }
}

/// What all records of one request share, beside the operation.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) id: &'a str,
    pub(super) time: Time,
    pub(super) user: &'a str,
    pub(super) target: &'a str,
}

/// The text of a value of JSON, to be stored.
pub(super) fn stored(value: &Value) -> Json {
    Json(canonical::sorted(value))
}

/// Believes a time in any of the forms of [`moment`], or not.
pub(super) fn believe(claim: Option<&str>, context: &Context<'_>) -> Timed {
    let Some(time) = claim.and_then(moment) else {
        return normalize::believe(claim, context.received);
    };
    let timed = normalize::believe_time(time, context.received);
    Timed { claimed: timed.claimed.and(claim).map(str::to_owned), ..timed }
}

/// A time as clouds write it, and as what exports their records rewrites it: without its zone, which
/// is UTC; with ` UTC`; with an offset that has no colon; `7/23/2026 10:00:00 AM`; since 1970.
pub(super) fn moment(text: &str) -> Option<Time> {
    let text = text.trim();
    let plain = text.strip_suffix("UTC").map_or(text, str::trim_end);
    Time::parse(plain).or_else(|| american(plain)).or_else(|| mesh::time(plain))
}

/// Month, day and year, as .NET writes a time for Americans: Azure Functions and portals do.
fn american(text: &str) -> Option<Time> {
    let mut words = text.split_whitespace();
    let mut date = words.next()?.trim_end_matches(',').split('/');
    let [Some(month), Some(day), Some(year), None] =
        [date.next(), date.next(), date.next(), date.next()]
    else {
        return None;
    };
    let (hour, rest) = words.next()?.split_once(':')?;
    let mut hour: u8 = hour.parse().ok()?;
    let mut zone = words.next();
    if let Some(half @ ("AM" | "PM")) = zone {
        hour = hour % 12 + if half == "PM" { 12 } else { 0 };
        zone = words.next();
    }
    let zone = zone.unwrap_or("Z");
    Time::parse(&format!("{year:0>4}-{month:0>2}-{day:0>2}T{hour:02}:{rest}{zone}"))
}

/// An address without the port that some services write behind it. The unspecified one, which Azure writes
/// of what its services do by themselves, is nobody's: RFC 1122, section 3.2.1.3.
pub(super) fn address(text: &str) -> Option<String> {
    address::canonical(text).filter(|address| !matches!(address.as_str(), "0.0.0.0" | "::"))
}

/// A message beside the audit records of a cloud.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// When it was written, as claimed.
    pub(super) time: Option<String>,
    /// What wrote it.
    pub(super) service: Option<String>,
    pub(super) severity: Option<String>,
    /// The cluster, namespace and pod that the message itself names.
    pub(super) cluster: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) pod: Option<String>,
    pub(super) body: Value,
    pub(super) trace_id: Option<String>,
    pub(super) span_id: Option<String>,
    pub(super) attributes: Map<String, Value>,
    pub(super) resource: Map<String, Value>,
}

impl Message {
    /// The row of `logs`.
    pub(super) fn row(self, context: &Context<'_>) -> Log {
        let timed = believe(self.time.as_deref(), context);
        let redacted = |fields: Map<String, Value>| {
            let mut value = Value::Object(fields);
            context.keys.redactor().json(&mut value);
            value
        };
        let mut attributes = redacted(self.attributes);
        if let Value::Object(fields) = &mut attributes {
            flag(fields, &timed);
        }
        let resource = redacted(self.resource);
        let body = body_text(self.body, context);
        let named = context.named(self.cluster.as_deref()).map(str::to_owned);
        let cluster = named.or_else(|| context.cluster.map(str::to_owned));
        let told = json!([self.trace_id, self.span_id, self.severity, body, attributes, resource]);
        let told = context.text_for_ids(&told);
        Log {
            time: timed.time,
            event_id: EventId::of(timed.for_ids, cluster.as_deref(), told.as_bytes()),
            trace_id: self.trace_id,
            span_id: self.span_id,
            service: self.service,
            severity_text: self.severity,
            body,
            cluster,
            namespace: self.namespace,
            pod: self.pod,
            attributes: stored(&attributes),
            resource_attributes: stored(&resource),
            source: context.source.to_owned(),
            ..Log::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: times as clouds write them, and as what exports their records rewrites them.
    /// Guarantees: one time for all of them; other texts are none.
    #[test]
    fn moments_of_every_form() {
        let expect = Time::parse("2026-07-23T22:05:06Z");
        for text in [
            "2026-07-23T22:05:06Z",
            "2026-07-24T00:05:06+02:00",
            "2026-07-23T22:05:06.0000000+00:00",
            "2026-07-23T22:05:06",
            "2026-07-23 22:05:06 UTC",
            "2026-07-23 22:05:06.000000 UTC",
            "2026-07-24T00:05:06.000+0200",
            "7/23/2026 10:05:06 PM",
            "07/23/2026 22:05:06",
            "7/23/2026, 10:05:06.000 PM",
            "7/24/2026 12:05:06 AM +02:00",
            "1784844306000",
        ] {
            assert_eq!(moment(text), expect, "{text}");
        }
        for text in ["", "soon", "UTC", "23/7/2026 22:05:06", "7/23/2026", "7/23/2026 25:05:06"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
