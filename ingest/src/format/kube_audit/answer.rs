//! How a request ended, by the object that it was answered with: an error is a `Status`.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/>

use serde_json::Value;

/// The status of what did not end well.
pub(super) const FAILURE: &str = "Failure";

/// What an answer says of how it ended; nothing, if it is no `Status`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: Option<i64>,
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
    pub(super) has_failed: bool,
}

impl Answer {
    pub(super) fn of(response: Option<&Value>) -> Self {
        let Some(status) = response.filter(|response| is_status(response)) else {
            return Self::default();
        };
        let text =
            |key: &str| status.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let has_failed = text("status") == Some(FAILURE);
        // Of what ended well the event's own status tells more: 200 or 201.
        let code = status.get("code").and_then(Value::as_i64).filter(|_| has_failed);
        let [reason, message] =
            ["reason", "message"].map(|key| text(key).filter(|_| has_failed).map(str::to_owned));
        Self { code, reason, message, has_failed }
    }
}

/// Whether an object is a `Status`; Google Cloud names its type otherwise.
fn is_status(object: &Value) -> bool {
    let is = |key: &str, test: fn(&str) -> bool| {
        object.get(key).and_then(Value::as_str).is_some_and(test)
    };
    is("kind", |kind| kind == "Status") || is("@type", |kind| kind.ends_with("/v1.Status"))
}
