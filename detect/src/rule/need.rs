//! What a rule needs of the audit log, so that `doctor` can say which rules can never fire.

use std::collections::BTreeSet;

use rsigma_parser::{Detection, DetectionItem, SigmaRule, SigmaValue};

use crate::rule::source::LogSource;

/// Columns that are filled from bodies, directly or by what a change did.
const FROM_BODIES: &[&str] =
    &["request_object", "response_object", "after", "grants_added", "subjects"];

/// A rule that reads bodies, and of which requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Need {
    /// The rule, as `findings.rule_id` has it.
    pub rule_id: String,
    /// Resources whose bodies it reads; empty for all.
    pub resources: BTreeSet<String>,
    /// Verbs of those requests; empty for all.
    pub verbs: BTreeSet<String>,
}

impl Need {
    /// What `rule` needs; `None` for one that can fire without any body.
    pub(super) fn of(source: &LogSource, rule: &SigmaRule, rule_id: &str) -> Option<Self> {
        if source.product != "kubernetes" {
            // An audit policy leaves bodies out; other sources have them or not, as they are.
            return None;
        }
        let mut need = Self { rule_id: rule_id.to_owned(), ..Self::default() };
        let mut alternatives = Vec::new();
        let mut base_reads = false;
        for (name, detection) in &rule.detection.named {
            // What a rule leaves out it does not need.
            if name.starts_with("filter") {
                continue;
            }
            let mut items = Vec::new();
            collect(source, detection, &mut items);
            let reads = items.iter().any(|item| item.is_from_body);
            need.resources.extend(values(&items, "objectRef.resource"));
            need.verbs.extend(values(&items, "verb"));
            if name.starts_with("selection") {
                base_reads |= reads;
            } else {
                alternatives.push(reads);
            }
        }
        let all_read = !alternatives.is_empty() && alternatives.iter().all(|reads| *reads);
        (base_reads || all_read).then_some(need)
    }
}

/// One field that a detection asks for.
struct Item<'a> {
    name: &'a str,
    comparison: Option<&'a DetectionItem>,
    is_from_body: bool,
}

impl<'a> Item<'a> {
    fn new(source: &LogSource, name: &'a str, comparison: Option<&'a DetectionItem>) -> Self {
        let column = source.field(name).map(|field| field.column);
        let column = column.or_else(|| Some(source.beneath(name)?.object.column()));
        Self {
            name,
            comparison,
            is_from_body: column.is_some_and(|column| FROM_BODIES.contains(&column)),
        }
    }
}

fn collect<'a>(source: &LogSource, detection: &'a Detection, items: &mut Vec<Item<'a>>) {
    match detection {
        Detection::AllOf(all) => {
            let named = all.iter().filter_map(|item| Some((item.field.name.as_deref()?, item)));
            items.extend(named.map(|(name, item)| Item::new(source, name, Some(item))));
        }
        Detection::AnyOf(parts) | Detection::And(parts) => {
            for part in parts {
                collect(source, part, items);
            }
        }
        Detection::ArrayMatch { field, .. } => items.push(Item::new(source, field, None)),
        Detection::Conditional { named, .. } => {
            for part in named.values() {
                collect(source, part, items);
            }
        }
        Detection::Keywords(_) => {}
    }
}

/// The plain texts that a field is compared with.
fn values<'a>(items: &'a [Item<'_>], name: &str) -> impl Iterator<Item = String> + 'a {
    let wanted =
        items.iter().filter(move |item| item.name == name).filter_map(|item| item.comparison);
    let all: Vec<String> = wanted.flat_map(|item| &item.values).filter_map(text).collect();
    all.into_iter()
}

fn text(value: &SigmaValue) -> Option<String> {
    match value {
        SigmaValue::String(text) => Some(text.original.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::rule::needs;

    /// Scenario: the built-in rules.
    /// Guarantees: those that read bodies in every case are known, with the requests whose bodies.
    #[test]
    fn rules_that_read_bodies_are_known() {
        let lines = needs().into_iter().map(|need| {
            let list = |set: std::collections::BTreeSet<String>| {
                set.into_iter().collect::<Vec<_>>().join(" ")
            };
            format!("{}: {} of {}", need.rule_id, list(need.verbs), list(need.resources))
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    }
}
