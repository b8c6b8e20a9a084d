//! Sigma rules over judged rows: each that holds is a hit, anchored at the request.

use durward_schemas::values::ChangeKind;

use crate::detector::{Detector, Hit, Seen};
use crate::escape::{query, shell, sql};
use crate::rule::event::RowEvent;
use crate::rule::source::LogSource;
use crate::rule::{self, Rule, RuleError, RuleFile};
use crate::sentence;
use crate::settings::Settings;

/// All rules.
#[derive(Debug)]
pub(crate) struct Sigma {
    /// Those beside the built-in ones, as somebody wrote them.
    files: Vec<RuleFile>,
    rules: Vec<Rule>,
}

impl Sigma {
    pub(crate) fn new(files: &[RuleFile]) -> Result<Self, RuleError> {
        Ok(Self { files: files.to_vec(), rules: rule::load(files)? })
    }
}

impl Detector for Sigma {
    fn name(&self) -> &'static str {
        "sigma"
    }

    fn configure(&mut self, settings: &Settings) {
        if settings.rules == self.files {
            return;
        }
        match Self::new(&settings.rules) {
            Ok(new) => *self = new,
            Err(error) => {
                tracing::error!(%error, "rules in the log cannot be used: the ones before them stay");
            }
        }
    }

    fn judge(&mut self, seen: Seen<'_>) -> Vec<Hit> {
        if !seen.row.judged {
            return Vec::new();
        }
        let event = RowEvent::of(seen);
        self.rules.iter().filter(|rule| rule.holds(&event)).map(|rule| hit(rule, &event)).collect()
    }

    fn judges_again(&self) -> bool {
        true
    }
}

fn hit(rule: &Rule, event: &RowEvent<'_>) -> Hit {
    let row = event.row;
    // A change says more of what was done than its request does.
    let deed = match event.change {
        Some(change) => format!("{},", change.summary),
        None => format!("{} {}", sentence::who(row), sentence::deed(row)),
    };
    let next_step = rule.next_step.as_deref().map(|said| step(said, rule.source, event));
    Hit {
        rule: Some(rule.id.clone()),
        anchor: row.request_key.to_string(),
        title: rule.title.clone(),
        reason: format!("{deed} from {}: {}", sentence::place(row), rule.description),
        severity_id: rule.severity_id,
        techniques: rule.techniques.clone(),
        // A change of policy lasts, so each is looked at by itself; rollouts and requests repeat.
        repeats: event.change.is_none_or(|change| change.kind == ChangeKind::Workload),
        next_step: next_step.unwrap_or_else(|| format!("durward explain {}", row.event_id)),
        ..Hit::default()
    }
}

/// The step of a rule: a command, or a statement to ask.
fn step(step: &str, source: &LogSource, event: &RowEvent<'_>) -> String {
    let statement = step.strip_prefix("durward query \"").and_then(|rest| rest.strip_suffix('"'));
    match statement {
        Some(statement) => query(&stated(statement, source, event)),
        None => filled(step, source, event),
    }
}

/// The statement with what the row says in place of `'{field}'`, as literals.
fn stated(statement: &str, source: &LogSource, event: &RowEvent<'_>) -> String {
    let mut stated = String::new();
    let mut rest = statement;
    while let Some((before, place)) = rest.split_once("'{")
        && let Some((place, after)) = place.split_once("}'")
    {
        stated.extend([before, &sql(&text(place, source, event).unwrap_or_default())]);
        rest = after;
    }
    stated + rest
}

/// The step with what the row says in place of `{field}`, as words of a shell; `{-n field}` is an
/// option that is left out where the row says nothing. In one pass: what a row says is not a place.
fn filled(step: &str, source: &LogSource, event: &RowEvent<'_>) -> String {
    let mut filled = String::new();
    let mut rest = step;
    while let Some((before, place)) = rest.split_once('{')
        && let Some((place, after)) = place.split_once('}')
    {
        let option = place.strip_prefix("-n ");
        let word = word(option.unwrap_or(place), source, event);
        filled.push_str(before);
        rest = match (option, word) {
            (None, word) => {
                filled.push_str(word.as_deref().unwrap_or("NAME"));
                after
            }
            (Some(_), Some(word)) => {
                filled.extend(["-n ", &word]);
                after
            }
            (Some(_), None) => after.trim_start(),
        };
    }
    filled + rest
}

/// What the row says in a field, as one word of a shell.
fn word(name: &str, source: &LogSource, event: &RowEvent<'_>) -> Option<String> {
    text(name, source, event).map(|text| shell(&text))
}

fn text(name: &str, source: &LogSource, event: &RowEvent<'_>) -> Option<String> {
    let value = (source.field(name)?.read)(event)?;
    value.as_str().map(|text| text.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rule::source::SOURCES;
    use crate::testing;

    fn check(name: &str, namespace: Option<&str>, expected: &str) {
        let row = testing::row(&json!({
            "user": {"username": "eve"},
            "objectRef": {"resource": "rolebindings", "name": name, "namespace": namespace},
        }));
        let event = RowEvent::of(Seen::of(&row));
        let said =
            "kubectl delete {objectRef.resource} {-n objectRef.namespace} -- {objectRef.name}";
        assert_eq!(step(said, &SOURCES[0], &event), expected);
    }

    /// Scenario: statements about objects with ordinary names, and with names that end a literal, a word of the
    /// shell or both.
    /// Guarantees: whoever pastes the step asks for that name, and nothing else.
    #[test]
    fn statements_are_safe_to_paste() {
        let check = |name: &str, expected: &str| {
            let row = testing::row(&json!({
                "user": {"username": "eve"},
                "objectRef": {"resource": "rolebindings", "name": name},
            }));
            let event = RowEvent::of(Seen::of(&row));
            let said =
                "durward query \"SELECT * FROM changes WHERE name = '{objectRef.name}' LIMIT 1\"";
            assert_eq!(step(said, &SOURCES[0], &event), format!("durward query {expected}"));
        };
        check("team", "\"SELECT * FROM changes WHERE name = 'team' LIMIT 1\"");
        check("a' OR 'a", "\"SELECT * FROM changes WHERE name = 'a'' OR ''a' LIMIT 1\"");
        let quoted =
            |name: &str| format!(r"'SELECT * FROM changes WHERE name = '\''{name}'\'' LIMIT 1'");
        check("$(id)", &quoted("$(id)"));
        check("a\"; id; \"", &quoted("a\"; id; \""));
        check(
            "{objectRef.name}",
            "\"SELECT * FROM changes WHERE name = '{objectRef.name}' LIMIT 1\"",
        );
    }

    /// Scenario: steps about objects with ordinary names, and with names that would be commands or options.
    /// Guarantees: whoever pastes the step does what it says, and nothing else.
    #[test]
    fn steps_are_safe_to_paste() {
        check("team", Some("shop"), "kubectl delete rolebindings -n shop -- team");
        check("team", None, "kubectl delete rolebindings -- team");
        check("--all", None, "kubectl delete rolebindings -- --all");
        check("x; rm -rf ~", None, "kubectl delete rolebindings -- 'x; rm -rf ~'");
        check(
            "{objectRef.namespace}",
            Some("a"),
            "kubectl delete rolebindings -n a -- '{objectRef.namespace}'",
        );
    }
}
