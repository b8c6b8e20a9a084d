//! Lines of `key=value` as logrus and ztunnel write them: text in, fields out.
//!
//! Values with spaces or colons are quoted as Go quotes, empty ones are bare.
//! <https://github.com/sirupsen/logrus/blob/master/text_formatter.go>

use serde_json::{Map, Value};

/// The fields of a line; `None` if it is no such line.
pub(crate) fn pairs(line: &str) -> Option<Map<String, Value>> {
    let mut fields = Map::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let is_key = !key.is_empty() && key.chars().all(|c| !c.is_whitespace() && c != '"');
        let (value, after) = value(after).filter(|_| is_key)?;
        fields.insert(key.to_owned(), value);
        rest = after.trim_start();
    }
    Some(fields)
}

/// A value and what follows it. Bare numbers and truths are what they are in JSON.
fn value(text: &str) -> Option<(Value, &str)> {
    if text.starts_with('"') {
        let (text, rest) = crate::format::go::unquote(text)?;
        return Some((Value::String(text), rest));
    }
    let (bare, rest) = text.split_once(' ').unwrap_or((text, ""));
    let value = match bare {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        bare => bare.parse::<i64>().map_or_else(|_| bare.into(), Value::from),
    };
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: lines as logrus writes them, with quotes, escapes, empty values, and other texts.
    /// Guarantees: the fields that the same line has in JSON; other texts are none.
    #[test]
    fn lines_are_fields() {
        let line = "time=\"2026-11-23T17:54:18Z\" level=info msg=\"a \\\"b\\\"\\n\" via= uid=0 ok=true \
             selectors=\"unix:gid:1,unix:uid:2\" serial=5906882690629929435719446232898529795";
        let expect = serde_json::json!({
            "time": "2026-11-23T17:54:18Z", "level": "info", "msg": "a \"b\"\n", "via": "", "uid": 0,
            "ok": true, "selectors": "unix:gid:1,unix:uid:2",
            "serial": "5906882690629929435719446232898529795",
        });
        assert_eq!(pairs(line).map(Value::Object), Some(expect));
        for other in ["panic: runtime error", "time=1 msg=\"cut", "goroutine 1 [a=b]:", "=x"] {
            assert_eq!(pairs(other), None, "{other}");
        }
    }
}
