//! What the readers of meshes and of what mints their identities share: lines of logs, names that
//! people choose, addresses, serial numbers, trace contexts.

mod carrier;
mod logfmt;
mod named;
mod trace;

use std::collections::BTreeMap;

use durward_schemas::Identity;
use durward_schemas::address::canonical;
use durward_schemas::cell::Json;
use durward_schemas::ids::{CredentialId, EventId};
use durward_schemas::tables::{Access, Log};
use durward_schemas::time::Time;
use durward_schemas::values::{Decision, IdentityKind};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

pub(super) use self::carrier::{DEEPEST, LINES, OBJECTS, behind_prefix, payload, unwrapped};
pub(super) use self::logfmt::pairs;
pub(super) use self::named::{Named, spelled};
pub(super) use self::trace::trace;
use super::{Context, Failure};
use crate::canonical;
use crate::normalize::{self, Timed};
use crate::redact::mask_unparsed;

/// The fields of a line of JSON; a text that holds the line, as Kafka exporters send it, counts as
/// the line.
pub(super) fn fields(line: &[u8]) -> Result<Map<String, Value>, Failure> {
    if line.first() == Some(&b'"') {
        let inner: String = serde_json::from_slice(line)?;
        return object(&inner);
    }
    let line = std::str::from_utf8(line);
    object(line.map_err(|_| Failure::new("not_json", "the item is not UTF-8"))?)
}

fn object(text: &str) -> Result<Map<String, Value>, Failure> {
    match value(text, READ_ALONE)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(no_object()),
    }
}

/// Objects inside one another whose fields are read each by itself, if they cannot be read at once.
const READ_ALONE: usize = 4;
/// What stands for a value that is nested deeper than is read (128 levels), or holds half a character.
const UNREADABLE: &str = "unreadable: nested too deeply, or no text";

/// A value. What a client nested too deeply is left out: it must not hide the event.
fn value(text: &str, depth: usize) -> Result<Value, serde_json::Error> {
    let error = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) else {
        // Only a part of what reads as a whole can be too deep.
        let is_part = depth < READ_ALONE;
        return if is_part { Ok(UNREADABLE.into()) } else { Err(error) };
    };
    if depth == 0 {
        return Ok(UNREADABLE.into());
    }
    let field = |(name, raw): (String, &RawValue)| Ok((name, value(raw.get(), depth - 1)?));
    fields.into_iter().map(field).collect::<Result<_, _>>().map(Value::Object)
}

fn no_object() -> Failure {
    Failure::new("wrong_type", "the item is no object")
}

/// The address without its port; `None` for sockets of other kinds.
pub(super) fn ip(address: &str) -> Option<String> {
    canonical(address)
}

/// A time as logs write it: RFC 3339, or with a space for its `T`, slashes in its date and no colon in
/// its offset, or as web servers write it, or seconds, milliseconds, microseconds or nanoseconds since
/// 1970. Without an offset it is UTC.
pub(super) fn time(text: &str) -> Option<Time> {
    Time::parse(text).or_else(|| written(text.trim())).or_else(|| epoch(text))
}

/// A time as `strftime` writes it.
fn written(text: &str) -> Option<Time> {
    let (stamp, offset) = offset(text.strip_suffix(" UTC").unwrap_or(text));
    let stamp = stamp.trim_end();
    let stamp =
        of_web_server(stamp).unwrap_or_else(|| stamp.replacen(' ', "T", 1).replace('/', "-"));
    Time::parse(&format!("{stamp}{offset}"))
}

/// A time and its offset: a sign behind the date begins one.
fn offset(text: &str) -> (&str, String) {
    if let Some(stamp) = text.strip_suffix('Z') {
        return (stamp, "Z".to_owned());
    }
    let at = text.rfind(['+', '-']).filter(|at| *at > "2026-11-23".len());
    let parts = at.and_then(|at| text.split_at_checked(at));
    let offset = parts.and_then(|(stamp, offset)| {
        let digits = offset.replace(':', "");
        let (hours, minutes) = digits.split_at_checked(3)?;
        let is_whole = minutes.len() == 2 && offset.len() <= "+00:00".len();
        is_whole.then(|| (stamp, format!("{hours}:{minutes}")))
    });
    offset.unwrap_or_else(|| (text, "Z".to_owned()))
}

/// `23/Nov/2026:17:41:37`: <https://httpd.apache.org/docs/current/mod/mod_log_config.html#formats>, `%t`
fn of_web_server(stamp: &str) -> Option<String> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (date, clock) = stamp.split_once(':')?;
    let mut parts = date.split('/');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.find(month).filter(|at| at % 3 == 0 && month.len() == 3)? / 3 + 1;
    Some(format!("{year}-{month:02}-{day}T{clock}"))
}

fn epoch(text: &str) -> Option<Time> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number: i64 = whole.parse().ok()?;
    match whole.len() {
        ..=11 => {
            let micros: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
            number.checked_mul(1_000_000)?.checked_add(micros).map(Time)
        }
        12..=14 => number.checked_mul(1000).map(Time),
        15..=17 => Some(Time(number)),
        _ => Some(Time(number / 1000)),
    }
}

/// Sets when it happened; gives the claim that enters ids.
pub(super) fn set_time(access: &mut Access, claim: Option<&str>, context: &Context<'_>) -> Time {
    let Timed { time, for_ids, is_suspect, claimed } = believe(claim, context);
    access.time = time;
    access.time_suspect = Some(is_suspect);
    access.claimed_time = claimed;
    for_ids
}

fn believe(claim: Option<&str>, context: &Context<'_>) -> Timed {
    match claim.and_then(time) {
        Some(time) => {
            let timed = normalize::believe_time(time, context.received);
            let claimed = timed.claimed.and(claim).map(str::to_owned);
            Timed { claimed, ..timed }
        }
        None => normalize::believe(claim, context.received),
    }
}

/// Sets who asked. A SPIFFE ID of the form that Istio and SPIRE's Kubernetes registrars give names a
/// `ServiceAccount` too: <https://istio.io/latest/docs/concepts/security/#istio-identity>.
pub(super) fn set_identity(access: &mut Access, identity: Identity) {
    let account = identity.service_account().map(|(space, name)| (space.into(), name.into()));
    let account = account.or_else(|| identity.name.as_deref().and_then(spiffe_account));
    if let Some((namespace, name)) = account {
        access.namespace = Some(namespace);
        access.service_account = Some(name);
    }
    access.identity_kind = identity.kind;
    access.identity_realm = identity.realm;
    access.identity = identity.name;
}

/// Says that nobody is known to have asked. Only whom authentication refused is unauthenticated.
pub(super) fn set_nobody(access: &mut Access) {
    let is_refused = access.decision == Decision::Deny;
    access.identity_kind =
        if is_refused { IdentityKind::Unauthenticated } else { IdentityKind::Unknown };
}

/// Namespace and name in `spiffe://<trust domain>/ns/<namespace>/sa/<name>`.
fn spiffe_account(id: &str) -> Option<(String, String)> {
    let mut parts = id.strip_prefix("spiffe://")?.split('/');
    let (_, ns, namespace, sa, name) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_whole = ns == "ns" && sa == "sa" && parts.next().is_none();
    (is_whole && !namespace.is_empty() && !name.is_empty())
        .then(|| (namespace.to_owned(), name.to_owned()))
}

/// The id of a certificate that is known by its serial number: Envoy writes it in hexadecimal.
pub(super) fn serial_of_hex(hex: &str) -> Option<CredentialId> {
    let digits: String = hex.chars().filter(|c| !matches!(c, ':' | '-')).collect();
    let digits = digits.to_ascii_lowercase();
    let digits = digits.trim_start_matches('0');
    let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| CredentialId(format!("X509SERIAL={digits}")))
}

/// The same of a number in decimal, as SPIRE and Vault write it: up to 20 octets (RFC 5280, 4.1.2.2).
pub(super) fn serial_of_decimal(decimal: &str) -> Option<CredentialId> {
    if decimal.is_empty() || decimal.len() > 49 {
        return None;
    }
    let mut octets = vec![0_u8; 21];
    for digit in decimal.chars() {
        let mut carry = digit.to_digit(10)?;
        for octet in octets.iter_mut().rev() {
            let value = u32::from(*octet) * 10 + carry;
            *octet = u8::try_from(value & 0xff).ok()?;
            carry = value >> 8;
        }
    }
    serial_of_hex(&crate::hex::hex(&octets))
}

/// Redacts a sentence in which paths and addresses stand, such as a request line.
pub(super) fn words(text: &str, context: &Context<'_>) -> String {
    let redactor = context.keys.redactor();
    let word = |word: &str| {
        let bare = word.trim_start_matches(['(', '"', '\'']);
        let is_address = bare.starts_with('/') || bare.contains("://");
        if is_address { redactor.uri(word) } else { word.to_owned() }
    };
    redactor.text(&text.split(' ').map(word).collect::<Vec<_>>().join(" "))
}

/// Masks what holds bytes that are no text: one of them may stand in the name of a secret.
pub(super) fn mask_broken(fields: &mut Map<String, Value>) {
    let is_broken = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
    for (name, value) in fields.iter_mut() {
        match value {
            _ if is_broken(name) => *value = "***".into(),
            Value::String(text) if is_broken(text) => *text = mask_unparsed(text.as_bytes()),
            _ => {}
        }
    }
}

/// What a line says that is no access.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// When, as written.
    pub(super) time: Option<String>,
    /// How grave, as written.
    pub(super) level: Option<String>,
    /// What, redacted.
    pub(super) message: Option<String>,
    /// Whatever else it says, redacted.
    pub(super) rest: Map<String, Value>,
}

/// The row of a line that is no access.
pub(super) fn log(line: Line, context: &Context<'_>) -> Log {
    let timed = believe(line.time.as_deref(), context);
    let mut rest = line.rest;
    super::otlp::flag(&mut rest, &timed);
    let mut log = Log {
        time: timed.time,
        severity_number: line.level.as_deref().and_then(severity),
        severity_text: line.level,
        body: line.message,
        cluster: context.cluster.map(str::to_owned),
        attributes: Json(canonical::sorted(&Value::Object(rest))),
        resource_attributes: Json("{}".to_owned()),
        source: context.source.to_owned(),
        ..Log::default()
    };
    let told = json!([line.time, log.severity_text, log.body, log.attributes.0]);
    let told = context.text_for_ids(&told);
    log.event_id = EventId::of(timed.for_ids, context.cluster, told.as_bytes());
    log
}

/// <https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber>
fn severity(level: &str) -> Option<i64> {
    Some(match level.to_ascii_lowercase().as_str() {
        "trace" => 1,
        "debug" => 5,
        "info" => 9,
        "warn" | "warning" => 13,
        "error" => 17,
        "critical" | "fatal" | "panic" => 21,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: times in every form that the access logs of proxies have.
    /// Guarantees: one time for all of them; other texts are none.
    #[test]
    fn times_of_every_form() {
        let expect = Time::parse("2026-11-23T17:41:37.697Z");
        for text in [
            "2026-11-23T17:41:37.697Z",
            "2026-11-23T18:41:37.697+01:00",
            "2026-11-23 17:41:37.697",
            "2026/11/23 17:41:37.697",
            "2026/11/23T17:41:37.697+0000",
            "2026-11-23T12:41:37.697-0500",
            "2026-11-23 23:11:37.697 +05:30",
            "2026-11-23 17:41:37.697 +0000 UTC",
            "23/Nov/2026:18:41:37.697 +0100",
            "1795455697.697",
            "1795455697697",
            "1795455697697000",
            "1795455697697000000",
        ] {
            assert_eq!(time(text), expect, "{text}");
        }
        for text in ["", "soon", "1.x", "-", "99999999999999999999", "23/Nox/2026:18:41:37 +0100"] {
            assert_eq!(time(text), None, "{text}");
        }
    }

    /// Scenario: the serial number of one certificate as Envoy and as SPIRE write it.
    /// Guarantees: one id; what is no number has none.
    #[test]
    fn serials_join() {
        let expect = serial_of_hex("0471a2b3:c4d5e6f708192a3b4c5d6e7f");
        assert_eq!(expect, Some("X509SERIAL=471a2b3c4d5e6f708192a3b4c5d6e7f".into()));
        assert_eq!(
            serial_of_decimal("5906882690629929435719446232898529795"),
            serial_of_hex("04719fcd38ca242bfe6b30a63174ea03")
        );
        assert_eq!(serial_of_decimal("255"), Some("X509SERIAL=ff".into()));
        for none in ["", "x", "-1", &"9".repeat(60)] {
            assert_eq!(serial_of_decimal(none), None, "{none}");
        }
        assert_eq!(serial_of_hex("zz"), None);
    }

    /// Scenario: addresses with and without ports, and what is none.
    /// Guarantees: the bare address, or nothing.
    #[test]
    fn addresses_lose_their_port() {
        for (address, expect) in [
            ("127.0.0.1:39530", Some("127.0.0.1")),
            ("10.0.0.1", Some("10.0.0.1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("/run/envoy.sock", None),
            ("-", None),
        ] {
            assert_eq!(ip(address).as_deref(), expect, "{address}");
        }
    }
}
