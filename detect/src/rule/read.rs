//! One rule file -> rules, or the first line that is wrong.

use rsigma_eval::compile_rule;
use rsigma_parser::{
    Detection, DetectionItem, SigmaRule, SigmaString, SigmaValue, parse_sigma_yaml,
};
use serde_json::Value;

use crate::rule::source::{self, LogSource};
use crate::rule::{Need, Rule, RuleError, RuleFile, RuleWarning, severity_of};

/// Reads the rules of a file; what was read as something else goes to `warnings`.
pub(crate) fn read(
    file: &RuleFile,
    warnings: &mut Vec<RuleWarning>,
) -> Result<Vec<Rule>, RuleError> {
    let text = Text { file };
    let parsed = parse_sigma_yaml(&file.text).map_err(|error| text.error(1, &error))?;
    if let Some(problem) = parsed.errors.first() {
        return Err(text.error(text.line_in(problem), problem));
    }
    if !parsed.correlations.is_empty() || !parsed.filters.is_empty() {
        let problem = "only detection rules are evaluated, no correlations and no filters";
        return Err(text.error(1, &problem));
    }
    parsed.rules.into_iter().map(|rule| text.rule(rule, warnings)).collect()
}

/// A file, for messages about it.
struct Text<'a> {
    file: &'a RuleFile,
}

impl Text<'_> {
    fn rule(
        &self,
        mut rule: SigmaRule,
        warnings: &mut Vec<RuleWarning>,
    ) -> Result<Rule, RuleError> {
        let Some(source) = LogSource::of(&rule.logsource) else {
            let problem = format!("the logsource is none of {}", source::names());
            return Err(self.error(self.line_of("logsource"), &problem));
        };
        for detection in rule.detection.named.values_mut() {
            self.bind(source, detection, warnings)?;
        }
        let matcher = compile_rule(&rule).map_err(|error| {
            self.error(self.line_of("detection"), &format!("the detection cannot be used: {error}"))
        })?;
        let next_step = matcher.custom_attributes.get("next_step").and_then(Value::as_str);
        let id = rule.name.clone().or(rule.id.clone()).unwrap_or_else(|| rule.title.clone());
        let need = Need::of(source, &rule, &id);
        Ok(Rule {
            id,
            source,
            title: rule.title,
            description: rule.description.unwrap_or_default().trim().to_owned(),
            severity_id: severity_of(rule.level),
            techniques: techniques(&rule.tags),
            next_step: next_step.map(|text| text.trim().to_owned()),
            need,
            matcher,
        })
    }

    /// Checks every field of a detection, and puts right what public rules are known to misname.
    fn bind(
        &self,
        source: &LogSource,
        detection: &mut Detection,
        warnings: &mut Vec<RuleWarning>,
    ) -> Result<(), RuleError> {
        match detection {
            Detection::AllOf(items) => {
                items.iter_mut().try_for_each(|item| self.bind_item(source, item, warnings))
            }
            Detection::AnyOf(parts) | Detection::And(parts) => {
                parts.iter_mut().try_for_each(|part| self.bind(source, part, warnings))
            }
            // Fields in the body are those of a member, which no schema describes.
            Detection::ArrayMatch { field, .. } => self.known(source, field),
            Detection::Conditional { named, .. } => {
                named.values_mut().try_for_each(|part| self.bind(source, part, warnings))
            }
            Detection::Keywords(_) => Ok(()),
        }
    }

    fn bind_item(
        &self,
        source: &LogSource,
        item: &mut DetectionItem,
        warnings: &mut Vec<RuleWarning>,
    ) -> Result<(), RuleError> {
        let Some(name) = &item.field.name else { return Ok(()) };
        let mut warn = |meant: &str| {
            let message = format!("{name} is not a field of {}, read as {meant}", source.name());
            warnings.push(RuleWarning {
                file: self.file.name.clone(),
                line: self.line_of(name),
                message,
            });
        };
        if let Some((_, meant)) = source.aliases.iter().find(|(alias, _)| alias == name) {
            warn(meant);
            item.field.name = Some((*meant).to_owned());
            return Ok(());
        }
        for &(field, value, right_field, right_value) in source.misplaced {
            let says = |v: &SigmaValue| matches!(v, SigmaValue::String(s) if s.original == value);
            if name == field && item.values.iter().all(says) {
                warn(right_field);
                item.field.name = Some(right_field.to_owned());
                item.values = vec![SigmaValue::String(SigmaString::new(right_value))];
                return Ok(());
            }
        }
        self.known(source, name)
    }

    fn known(&self, source: &LogSource, name: &str) -> Result<(), RuleError> {
        if source.knows(name) {
            return Ok(());
        }
        let problem = format!("{name} is not a field of {}", source.name());
        let error = self.error(self.line_of(name), &problem);
        Err(RuleError { suggestion: source.suggestion(name), ..error })
    }

    fn error(&self, line: usize, problem: &dyn std::fmt::Display) -> RuleError {
        RuleError {
            file: self.file.name.clone(),
            line,
            problem: problem.to_string(),
            suggestion: None,
        }
    }

    /// The first line on which `word` stands as a key.
    fn line_of(&self, word: &str) -> usize {
        let is_key = |line: &str| {
            let rest = line.trim_start().trim_start_matches("- ").strip_prefix(word);
            rest.is_some_and(|rest| rest.starts_with([':', '|', '[']))
        };
        self.file.text.lines().position(is_key).map_or(1, |at| at + 1)
    }

    /// The line that a message of the YAML reader names.
    fn line_in(&self, message: &str) -> usize {
        let number = message
            .split("line ")
            .nth(1)
            .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
        number.unwrap_or_else(|| self.line_of("detection"))
    }
}

/// `attack.t1098.006` -> `T1098.006`.
fn techniques(tags: &[String]) -> Vec<String> {
    let ids = tags.iter().filter_map(|tag| tag.strip_prefix("attack.t"));
    let ids = ids.filter(|id| id.starts_with(|c: char| c.is_ascii_digit()));
    ids.map(|id| format!("T{id}")).collect()
}
