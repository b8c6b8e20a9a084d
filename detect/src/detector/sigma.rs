//! Sigma rules over judged rows: each that holds is a hit, anchored at the request.

use durward_schemas::values::Provider;

use crate::detector::{Detector, Hit, Seen};
use crate::escape::shell;
use crate::rule::event::RowEvent;
use crate::rule::{Rule, field};
use crate::sentence;

/// All rules.
#[derive(Debug)]
pub(crate) struct Sigma {
    rules: Vec<Rule>,
}

impl Sigma {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }
}

impl Detector for Sigma {
    fn name(&self) -> &'static str {
        "sigma"
    }

    fn judge(&mut self, seen: Seen<'_>) -> Vec<Hit> {
        if !seen.row.judged || seen.row.provider != Provider::Kubernetes {
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
    let (who, deed, place) = (sentence::who(row), sentence::deed(row), sentence::place(row));
    let next_step = rule.next_step.as_deref().map(|step| filled(step, event));
    Hit {
        rule: Some(rule.id.clone()),
        anchor: row.request_key.to_string(),
        title: rule.title.clone(),
        reason: format!("{who} {deed} from {place}: {}", rule.description),
        severity_id: rule.severity_id,
        techniques: rule.techniques.clone(),
        next_step: next_step.unwrap_or_else(|| format!("durward explain {}", row.event_id)),
        ..Hit::default()
    }
}

/// The step with what the row says in place of `{field}`, as words of a shell; `{-n field}` is an
/// option that is left out where the row says nothing.
fn filled(step: &str, event: &RowEvent<'_>) -> String {
    let mut filled = step.to_owned();
    for field in field::FIELDS {
        if step.contains(field.name) {
            let value = (field.read)(event).and_then(|value| value.as_str().map(|s| shell(&s)));
            let option = value.as_ref().map(|value| format!("-n {value}")).unwrap_or_default();
            filled = filled.replace(&format!("{{-n {}}}", field.name), &option);
            let value = value.unwrap_or_else(|| "NAME".into());
            filled = filled.replace(&format!("{{{}}}", field.name), &value);
        }
    }
    filled.split_whitespace().collect::<Vec<_>>().join(" ")
}
