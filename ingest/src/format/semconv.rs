//! Attributes that have had other names: what an exporter wrote in, the names of today beside it.
//!
//! Semantic conventions v1.44, <https://github.com/open-telemetry/semantic-conventions/blob/v1.44.0/schema-next.yaml>.
//! What was written stays; the new name stands beside it unless it was written too, so that SQL need
//! know one name only. None of this enters an id.

use serde_json::Value;

use super::otlp::Attributes;

/// What an attribute was called before, in order, and its name of today.
const NAMES: &[(&str, &str)] = &[
    ("code.function", "code.function.name"),
    ("db.mongodb.collection", "db.collection.name"),
    ("db.name", "db.namespace"),
    ("db.operation", "db.operation.name"),
    ("db.sql.table", "db.collection.name"),
    ("db.statement", "db.query.text"),
    ("db.system", "db.system.name"),
    ("grpc.status_code", "rpc.status_code"),
    ("http.client_ip", "client.address"),
    ("http.flavor", "network.protocol.version"),
    ("http.method", "http.request.method"),
    ("http.scheme", "url.scheme"),
    ("http.status_code", "http.response.status_code"),
    ("http.target", "url.path"),
    ("http.url", "url.full"),
    ("http.user_agent", "user_agent.original"),
    ("messaging.destination", "messaging.destination.name"),
    ("messaging.operation", "messaging.operation.type"),
    ("net.host.name", "server.address"),
    ("net.host.port", "server.port"),
    ("net.peer.ip", "network.peer.address"),
    ("net.peer.name", "server.address"),
    ("net.peer.port", "server.port"),
    ("net.sock.peer.addr", "network.peer.address"),
    ("peer.address", "network.peer.address"),
    ("rpc.grpc.status_code", "rpc.status_code"),
    ("rpc.system", "rpc.system.name"),
    ("user_agent", "user_agent.original"),
];

/// Numbers that old exporters wrote as texts.
const NUMBERS: &[&str] = &["http.response.status_code", "server.port"];

/// Puts the names of today beside older ones; says whether there were any.
pub(super) fn add_names(attributes: &mut Attributes) -> bool {
    let mut newer = Vec::new();
    for (old, value) in attributes.iter() {
        let Ok(found) = NAMES.binary_search_by_key(&old.as_str(), |(old, _)| old) else { continue };
        // Envoy writes a dash for what it does not know.
        let says = !matches!(value.as_str(), Some("-" | ""));
        if let (Some((_, name)), true) = (NAMES.get(found), says) {
            newer.push((*name, as_today(name, value)));
        }
    }
    let is_any = !newer.is_empty();
    for (name, value) in newer {
        attributes.add(name, value);
    }
    is_any
}

/// The value under the name of today: a number is one, the target of a request is a path and a query.
fn as_today(name: &str, value: &Value) -> Value {
    let text = value.as_str();
    if name == "url.path" {
        return text
            .and_then(|target| target.split_once('?'))
            .map_or(value.clone(), |(path, _)| path.into());
    }
    let number = text.filter(|_| NUMBERS.contains(&name)).and_then(|text| text.parse::<i64>().ok());
    number.map_or(value.clone(), Value::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Scenario: attributes of an old exporter, of Envoy, and of one that writes both names.
    /// Guarantees: the new names say the same, as numbers where they are; nothing is overwritten.
    #[test]
    fn new_names_stand_beside_old_ones() {
        assert!(NAMES.is_sorted());
        let check = |attributes: Value, name: &str, expect: Value| {
            let kept = attributes.as_object().unwrap();
            let mut map: Attributes = kept.clone().into_iter().collect();
            add_names(&mut map);
            assert_eq!(map.get(name).cloned().unwrap_or_default(), expect, "{attributes} {name}");
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
