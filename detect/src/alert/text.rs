//! An alert for a terminal: who, what, why it was possible, what changed before, how unusual, one next step.

use std::fmt::Write;

use crate::alert::Alert;
use crate::escape::{shortened, visible};

/// A text longer than this hides what stands below it.
const LONGEST: usize = 600;

/// The alert in plain text; whatever a terminal would obey is made visible.
#[must_use]
pub fn render(alert: &Alert) -> String {
    let story = &alert.story;
    let cluster = alert.cluster.as_deref().unwrap_or("unnamed");
    let mut text =
        format!("[{}] {} (cluster {})\n\n", alert.severity(), safe(&story.title), safe(cluster));
    line(&mut text, "who", Some(&story.who));
    let mut label = "what";
    for sentence in &story.what {
        line(&mut text, label, Some(sentence));
        label = "";
    }
    if alert.kinds.len() > 1 {
        let mut label = "all findings";
        for kind in alert.kinds() {
            line(&mut text, label, Some(&kind));
            label = "";
        }
    }
    line(&mut text, "why possible", story.why_possible.as_deref());
    line(&mut text, "changed before", story.what_changed.as_deref());
    line(&mut text, "how unusual", story.unusual.as_deref());
    line(&mut text, "next step", Some(&story.next_step));
    line(&mut text, "incident", Some(&format!("{}, {}", alert.incident_id, alert.counts())));
    line(&mut text, "techniques", Some(&alert.techniques.join(" ")));
    text
}

/// One line of the argument; absent or empty, no line.
fn line(text: &mut String, label: &str, said: Option<&str>) {
    if let Some(said) = said.filter(|said| !said.is_empty()) {
        // Writing to a String cannot fail.
        writeln!(text, "  {label:<15} {}", safe(said)).unwrap_or_default();
    }
}

fn safe(text: &str) -> String {
    visible(&shortened(text, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::sample;

    /// Scenario: an alert as people read it.
    /// Guarantees: the argument is complete, in its order.
    #[test]
    fn an_alert_reads_as_an_argument() {
        insta::assert_snapshot!(render(&sample::alert()));
    }

    /// Scenario: hostile text in every part.
    /// Guarantees: nothing that a terminal obeys but our own line breaks.
    #[test]
    fn terminals_obey_nothing() {
        let text = render(&sample::hostile());
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(!text.contains('\u{202e}') && text.contains(r"\u{202e}"));
        assert_eq!(text.lines().count(), 49);
    }
}
