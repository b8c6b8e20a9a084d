//! Events in the text that an API server writes with `--audit-log-format=legacy`, and that it wrote before
//! there was any other: a line in, the fields of an event out.
//!
//! <https://github.com/kubernetes/apiserver/blob/master/pkg/audit/format.go>. Before Kubernetes 1.7 the answer
//! was a line of its own, which names nothing but the request's id: it is no event.

use durward_schemas::Time;
use serde_json::{Map, Value, json};

use super::super::go;

const MARK: &[u8] = b" AUDIT: id=";

/// Whether a line says that it is such an event.
pub(in crate::format) fn is_marked(line: &[u8]) -> bool {
    let at = memchr::memmem::find(line, MARK);
    at.and_then(|at| time_before(line.get(..at)?)).is_some()
}

/// The time that ends what stands before the mark.
fn time_before(head: &[u8]) -> Option<&str> {
    let head = std::str::from_utf8(head).ok()?;
    let time = head.rsplit(' ').next()?;
    Time::parse(time).map(|_| time)
}

/// The fields of an event; `None` if the line is none.
pub(super) fn event(line: &[u8]) -> Option<Map<String, Value>> {
    let at = memchr::memmem::find(line, MARK)?;
    let time = time_before(line.get(..at)?)?;
    let text = String::from_utf8_lossy(line.get(at + b" AUDIT: ".len()..)?);
    let said = pairs(&text)?;
    let values = |name: &str| {
        let found = said.iter().find(|(key, _)| key == name).map(|(_, values)| values);
        found.filter(|values| !values.iter().any(|value| NOTHING.contains(&value.as_str())))
    };
    let first = |name: &str| values(name)?.first().filter(|value| !value.is_empty());
    first("method")?;
    let text = |name: &str| first(name).map(|text| json!(text));
    let person = |name: &str, groups: &str| {
        first(name).map(|name| json!({"username": name, "groups": values(groups)}))
    };
    let code = first("response").and_then(|code| code.parse::<i64>().ok());
    let fields = [
        ("requestReceivedTimestamp", Some(json!(time))),
        ("auditID", text("id")),
        ("stage", text("stage")),
        ("verb", text("method")),
        ("userAgent", text("user-agent")),
        ("requestURI", text("uri")),
        ("sourceIPs", first("ip").map(|ip| json!([ip]))),
        ("user", person("user", "groups")),
        ("impersonatedUser", person("as", "asgroups")),
        ("objectRef", first("namespace").map(|namespace| json!({"namespace": namespace}))),
        ("responseStatus", code.map(|code| json!({"code": code}))),
    ];
    let fields = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Some(fields.collect())
}

/// What stands for what is not there.
const NOTHING: &[&str] = &["<none>", "<self>", "<lookup>", "<deferred>", "<unknown>"];

/// Pairs of a name and quoted texts, which are several where groups are listed: `groups="a","b"`, or all of
/// them in one quoted text.
fn pairs(text: &str) -> Option<Vec<(String, Vec<String>)>> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, mut after) = rest.split_once('=')?;
        let mut values = Vec::new();
        loop {
            let (value, behind) = match after.strip_prefix('<') {
                // `groups=<none>` has no quotes.
                Some(bare) => {
                    let (name, behind) = bare.split_once('>')?;
                    (format!("<{name}>"), behind)
                }
                None => go::unquote(after)?,
            };
            values.extend(listed(&value).unwrap_or_else(|| vec![value]));
            let Some(next) = behind.strip_prefix(',') else {
                rest = behind.trim_start();
                break;
            };
            after = next;
        }
        found.push((key.to_owned(), values));
    }
    Some(found)
}

/// The texts of a list that was quoted once more.
fn listed(value: &str) -> Option<Vec<String>> {
    value.starts_with('"').then(|| serde_json::from_str(&format!("[{value}]")).ok()).flatten()
}
