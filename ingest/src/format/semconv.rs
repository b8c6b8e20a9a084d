//! Attributes that have had other names: what an exporter wrote in, the names of today beside it.
//!
//! Semantic conventions v1.44, <https://github.com/open-telemetry/semantic-conventions/blob/v1.44.0/schema-next.yaml>.
//! What was written stays; the new name stands beside it unless it was written too, so that SQL need
//! know one name only. None of this enters an id.

use serde_json::{Map, Value};

/// The name of today, and what it was called before.
const NAMES: &[(&str, &[&str])] = &[
    ("http.request.method", &["http.method"]),
    ("http.response.status_code", &["http.status_code"]),
    ("url.full", &["http.url"]),
    ("url.path", &["http.target"]),
    ("url.scheme", &["http.scheme"]),
    ("user_agent.original", &["http.user_agent", "user_agent"]),
    ("client.address", &["http.client_ip", "net.sock.peer.addr", "peer.address"]),
    ("network.peer.address", &["net.sock.peer.addr", "net.peer.ip", "peer.address"]),
    ("server.address", &["net.peer.name", "net.host.name"]),
    ("server.port", &["net.peer.port", "net.host.port"]),
    ("network.protocol.version", &["http.flavor"]),
    ("rpc.system.name", &["rpc.system"]),
    ("rpc.status_code", &["rpc.grpc.status_code", "rpc.response.status_code", "grpc.status_code"]),
    ("db.system.name", &["db.system"]),
    ("db.namespace", &["db.name"]),
    ("db.operation.name", &["db.operation"]),
    ("db.query.text", &["db.statement"]),
    ("db.collection.name", &["db.sql.table", "db.mongodb.collection"]),
    ("messaging.operation.type", &["messaging.operation"]),
    ("messaging.destination.name", &["messaging.destination"]),
    ("code.function.name", &["code.function"]),
];

/// Numbers that old exporters wrote as texts.
const NUMBERS: &[&str] = &["http.response.status_code", "server.port"];

/// Puts the names of today beside older ones.
pub(super) fn add_names(attributes: &mut Map<String, Value>) {
    for (name, older) in NAMES {
        if attributes.contains_key(*name) {
            continue;
        }
        let Some(value) = older.iter().find_map(|older| said(attributes, older)) else { continue };
        let value = if *name == "url.path" { without_query(value) } else { value };
        let number = value.as_str().filter(|_| NUMBERS.contains(name));
        let number = number.and_then(|text| text.parse::<i64>().ok());
        attributes.insert((*name).to_owned(), number.map_or(value, Value::from));
    }
}

/// The target of a request is a path and a query.
fn without_query(target: Value) -> Value {
    match target.as_str().and_then(|target| target.split_once('?')) {
        Some((path, _)) => path.into(),
        None => target,
    }
}

/// What an attribute says; Envoy writes a dash for what it does not know.
fn said(attributes: &Map<String, Value>, name: &str) -> Option<Value> {
    attributes.get(name).filter(|value| !matches!(value.as_str(), Some("-" | ""))).cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Scenario: attributes of an old exporter, of Envoy, and of one that writes both names.
    /// Guarantees: the new names say the same, as numbers where they are; nothing is overwritten.
    #[test]
    fn new_names_stand_beside_old_ones() {
        let check = |attributes: Value, name: &str, expect: Value| {
            let Value::Object(mut map) = attributes.clone() else { panic!("not an object") };
            add_names(&mut map);
            assert_eq!(map.get(name).cloned().unwrap_or_default(), expect, "{attributes} {name}");
            let kept = attributes.as_object().unwrap();
            assert!(kept.iter().all(|(name, value)| map.get(name) == Some(value)));
        };
        check(json!({"http.status_code": "403"}), "http.response.status_code", json!(403));
        check(json!({"http.status_code": 200}), "http.response.status_code", json!(200));
        check(json!({"http.target": "/a?b=c"}), "url.path", json!("/a"));
        check(json!({"http.url": "-"}), "url.full", Value::Null);
        check(json!({"db.system": "x", "db.system.name": "y"}), "db.system.name", json!("y"));
        check(json!({"net.peer.ip": "10.0.0.1"}), "network.peer.address", json!("10.0.0.1"));
        check(json!({"http.method": ["GET"]}), "http.request.method", json!(["GET"]));
    }
}
