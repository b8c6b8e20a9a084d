//! Lines of the log of Vault itself, which come in the same stream where an audit device writes to standard
//! output: JSON or text in, log rows out.
//!
//! <https://github.com/hashicorp/go-hclog>

use durward_schemas::tables::Log;
use serde_json::{Map, Value};

use super::super::Context;
use super::super::mesh::{self, Line};

/// The names of levels, as text has them.
const LEVELS: &[&str] = &["[TRACE]", "[DEBUG]", "[INFO]", "[WARN]", "[ERROR]"];

/// A line of text: `<time> [INFO]  <module>: <message>`.
pub(super) fn of_text(line: &[u8]) -> Option<Line> {
    let line = std::str::from_utf8(line).ok()?;
    let (time, rest) = line.split_once(' ')?;
    let (level, message) = rest.split_once(' ')?;
    mesh::time(time).filter(|_| LEVELS.contains(&level))?;
    Some(Line {
        time: Some(time.to_owned()),
        level: Some(level.trim_matches(['[', ']']).to_ascii_lowercase()),
        message: Some(message.trim().to_owned()),
        ..Line::default()
    })
}

/// A line of JSON, whose names begin with a mark.
pub(super) fn of_fields(fields: &mut Map<String, Value>) -> Option<Line> {
    if !["@level", "@message"].iter().all(|name| fields.contains_key(*name)) {
        return None;
    }
    let mut take = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (time, level, message) = (take("@timestamp"), take("@level"), take("@message"));
    Some(Line { time, level, message, rest: std::mem::take(fields) })
}

/// The row, without secrets.
pub(super) fn log(line: Line, context: &Context<'_>) -> Log {
    let redactor = context.keys.redactor();
    let mut rest = line.rest;
    redactor.fields(&mut rest);
    let message = line.message.map(|message| redactor.text(&message));
    mesh::log(Line { message, rest, ..line }, context)
}
