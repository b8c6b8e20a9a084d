//! JSON requests, read leniently: nulls are absent, unknown fields are ignored, and an item that
//! does not fit is a reject of its own. <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::{Failure, MAX_ITEM};
use super::{Broken, Group};

/// The groups of a request whose levels have these names; `is_large` tells that an item of it may
/// be larger than is read.
pub(super) fn groups<T: DeserializeOwned + Default>(
    document: &Value,
    is_large: bool,
    [resources, scopes, items]: [&str; 3],
) -> Vec<Group<T>> {
    let mut groups = Vec::new();
    for of_resource in list(document, resources) {
        for of_scope in list(of_resource, scopes) {
            let mut group = Group {
                resource: part(of_resource, "resource").unwrap_or_default(),
                scope: part(of_scope, "scope").unwrap_or_default(),
                ..Group::default()
            };
            for (index, item) in list(of_scope, items).iter().enumerate() {
                match serde_json::from_value(lenient(item)) {
                    _ if is_large && item.to_string().len() > MAX_ITEM => {
                        group.broken.push(Broken::too_large(item.to_string().as_bytes(), index));
                    }
                    Ok(item) => group.items.push(item),
                    Err(_) => {
                        let failure = Failure::new(
                            "wrong_type",
                            "a field of the item is not what OTLP has there",
                        );
                        let bytes = item.to_string();
                        group.broken.push(Broken::new(bytes.as_bytes(), failure, index));
                    }
                }
            }
            groups.push(group);
        }
    }
    groups
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn part<T: DeserializeOwned>(value: &Value, key: &str) -> Option<T> {
    serde_json::from_value(lenient(value.get(key)?)).ok()
}

/// The values that are known; later versions may add others, which are to be ignored.
const VALUES: &[&str] = &[
    "stringValue",
    "boolValue",
    "intValue",
    "doubleValue",
    "arrayValue",
    "kvlistValue",
    "bytesValue",
];

/// What is null is absent, and so is a value of an unknown sort; a list that is absent is empty.
fn lenient(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let is_known = |key: &str| !key.ends_with("Value") || VALUES.contains(&key);
            let fields = fields.iter().filter(|(key, value)| !value.is_null() && is_known(key));
            let member = |(key, value): (&String, &Value)| {
                let mut value = lenient(value);
                let is_list = matches!(key.as_str(), "kvlistValue" | "arrayValue");
                if let (true, Value::Object(list)) = (is_list, &mut value) {
                    // The Collector leaves out an empty one, which is then missed.
                    list.entry("values").or_insert_with(|| Value::Array(Vec::new()));
                }
                (key.clone(), value)
            };
            Value::Object(fields.map(member).collect())
        }
        Value::Array(items) => {
            Value::Array(items.iter().filter(|item| !item.is_null()).map(lenient).collect())
        }
        other => other.clone(),
    }
}
