//! An alert as a Slack message: Block Kit, within its limits, without a way out for hostile text.
//!
//! Text from logs stands only in `plain_text` and `rich_text`, which Slack does not interpret; the
//! one exception is the top-level `text` for notifications, which is escaped as mrkdwn.
//! <https://docs.slack.dev/reference/block-kit/blocks>

use durward_schemas::values::severity;
use serde_json::{Value, json};

use crate::alert::Alert;
use crate::escape::{mrkdwn, shortened, visible};

/// Characters of one text. Slack allows more in one block, but about 13,000 in a whole message.
const TEXT: usize = 600;
/// Characters of a header.
const HEADER: usize = 150;
/// Characters of one kind of finding, and of all together.
const KIND: usize = 120;
const KINDS: usize = 2_000;
/// Characters of the next step, a command that must stay whole.
const STEP: usize = 1_000;

/// The message for an incoming webhook.
#[must_use]
pub fn render(alert: &Alert) -> Value {
    let story = &alert.story;
    let mut argument = Vec::new();
    let mut label = "What";
    for sentence in &story.what {
        argument.extend(paragraph(label, Some(sentence)));
        label = "And";
    }
    argument.extend(kinds(alert));
    argument.extend(paragraph("Why it was possible", story.why_possible.as_deref()));
    argument.extend(paragraph("What changed before", story.what_changed.as_deref()));
    argument.extend(paragraph("How unusual", story.unusual.as_deref()));
    let blocks = json!([
        {"type": "header", "text": plain(&story.title, HEADER)},
        {"type": "section", "fields": fields(alert)},
        {"type": "rich_text", "elements": argument},
        {"type": "rich_text", "elements": next_step(&story.next_step)},
        {"type": "context", "elements": [plain(&format!("Durward, incident {}", alert.incident_id), TEXT)]},
    ]);
    json!({
        "text": summary(alert),
        "attachments": [{"color": color(alert.severity_id), "blocks": blocks}],
    })
}

/// What a notification and a screen reader get.
fn summary(alert: &Alert) -> String {
    let cluster = alert.cluster.as_deref().unwrap_or("unnamed cluster");
    let title = shortened(&alert.story.title, HEADER);
    let who = shortened(&alert.story.who, HEADER);
    mrkdwn(&format!("[{}] {title}: {who} ({})", alert.severity(), shortened(cluster, HEADER)))
}

fn fields(alert: &Alert) -> Value {
    let cluster = alert.cluster.as_deref().unwrap_or("unnamed");
    let techniques = alert.techniques.join(" ");
    let fields = [
        ("Who", alert.story.who.as_str()),
        ("Severity", &alert.severity()),
        ("Cluster", cluster),
        ("How much", &alert.counts()),
        ("ATT&CK", if techniques.is_empty() { "none" } else { &techniques }),
    ];
    fields.iter().map(|(label, text)| plain(&format!("{label}: {text}"), TEXT)).collect()
}

fn plain(text: &str, most: usize) -> Value {
    json!({"type": "plain_text", "emoji": false, "text": fitting(text, most)})
}

/// Every kind of finding with its count, where there is more than one; what does not fit is counted.
fn kinds(alert: &Alert) -> Option<Value> {
    let mut text = String::new();
    let kinds = alert.kinds();
    for (at, kind) in kinds.iter().enumerate() {
        let line = fitting(kind, KIND);
        if text.chars().count() + line.chars().count() > KINDS {
            text = format!("{text}and {} more kinds", kinds.len() - at);
            break;
        }
        text = format!("{text}{line}; ");
    }
    let text = text.trim_end_matches("; ");
    let label = json!({"type": "text", "text": "All findings: ", "style": {"bold": true}});
    let section = json!({"type": "rich_text_section", "elements": [
        label,
        {"type": "text", "text": format!("{text}\n")},
    ]});
    (kinds.len() > 1).then_some(section)
}

/// A label in bold and its text; nothing if there is no text.
fn paragraph(label: &str, said: Option<&str>) -> Option<Value> {
    let said = said.filter(|said| !said.is_empty())?;
    Some(json!({"type": "rich_text_section", "elements": [
        {"type": "text", "text": format!("{label}: "), "style": {"bold": true}},
        {"type": "text", "text": format!("{}\n", fitting(said, TEXT))},
    ]}))
}

fn next_step(step: &str) -> Value {
    json!([
        {"type": "rich_text_section", "elements": [
            {"type": "text", "text": "Next step:", "style": {"bold": true}},
        ]},
        {"type": "rich_text_preformatted", "elements": [
            {"type": "text", "text": fitting(step, STEP)},
        ]},
    ])
}

/// Visible, and at most `most` characters even when escapes make it longer.
fn fitting(text: &str, most: usize) -> String {
    shortened(&visible(&shortened(text, most)), most)
}

fn color(severity_id: i64) -> &'static str {
    match severity_id {
        severity::INFORMATIONAL => "#9e9e9e",
        severity::LOW => "#2e7d32",
        severity::MEDIUM => "#f9a825",
        severity::HIGH => "#d93f0b",
        _ => "#8b0000",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::sample;

    fn texts(message: &Value, all: &mut Vec<String>) {
        match message {
            Value::String(text) => all.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| texts(item, all)),
            Value::Object(fields) => fields.values().for_each(|field| texts(field, all)),
            _ => {}
        }
    }

    /// Scenario: an alert as Slack gets it.
    /// Guarantees: the argument is complete, in its order.
    #[test]
    fn an_alert_reads_as_an_argument() {
        let message = serde_json::to_string_pretty(&render(&sample::alert())).expect("JSON");
        insta::assert_snapshot!(message);
    }

    /// Scenario: hostile and endless text in every part.
    /// Guarantees: it is interpreted nowhere, and the message stays within Slack's limits.
    #[test]
    fn hostile_text_is_only_text() {
        let message = render(&sample::hostile());
        let mut all = Vec::new();
        texts(&message, &mut all);
        assert!(all.iter().map(|text| text.chars().count()).sum::<usize>() < 13_000);
        let hidden = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}' || c == '\u{feff}';
        assert!(!all.iter().any(|text| text.contains(hidden)));
        let top = message["text"].as_str().expect("a text");
        assert!(top.contains("&lt;!channel&gt;") && !top.contains(['<', '>', '*', '`']));
        assert!(!message.to_string().contains("mrkdwn"));
    }
}
