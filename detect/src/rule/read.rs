//! One rule file -> rules, or the first line that is wrong.

use std::ops::Range;

use rsigma_eval::{EvalError, compile_rule};
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
    let text = Text { file, lines: 0..usize::MAX };
    let parsed = parse_sigma_yaml(&file.text)
        .map_err(|error| text.error(text.line_in(&error.to_string()), &error))?;
    if let Some(problem) = parsed.errors.first() {
        return Err(text.error(text.line_in(problem), problem));
    }
    if !parsed.correlations.is_empty() || !parsed.filters.is_empty() {
        let problem = "only detection rules are evaluated, no correlations and no filters";
        return Err(text.error(1, &problem));
    }
    let documents = documents(&file.text);
    let is_one_each = documents.len() == parsed.rules.len();
    let text_of = |at: usize| Text {
        file,
        lines: documents.get(at).filter(|_| is_one_each).cloned().unwrap_or(0..usize::MAX),
    };
    let rules = parsed.rules.into_iter().enumerate();
    rules.map(|(at, rule)| text_of(at).rule(rule, warnings)).collect()
}

/// The lines of each document of a file that holds anything.
fn documents(text: &str) -> Vec<Range<usize>> {
    let ends = text.lines().enumerate().filter(|(_, line)| line.trim_end() == "---");
    let ends: Vec<usize> = ends.map(|(at, _)| at).chain([text.lines().count()]).collect();
    let mut from = 0;
    let mut found = Vec::new();
    for end in ends {
        let is_said = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
        if text.lines().take(end).skip(from).any(is_said) {
            found.push(from..end);
        }
        from = end + 1;
    }
    found
}

/// A document of a file, for messages about it.
struct Text<'a> {
    file: &'a RuleFile,
    /// Its lines, counted from 0.
    lines: Range<usize>,
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
            let problem = format!("the detection cannot be used: {error}");
            // What a condition names and nobody defined stands in the condition.
            let is_named = matches!(error, EvalError::UnknownDetection(_));
            let key = if is_named { "condition" } else { "detection" };
            self.error(self.line_of(key), &problem)
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

    /// The first line on which `word` stands as a key: a field in the detection, if it is there.
    fn line_of(&self, word: &str) -> usize {
        let from = self.position(0, |line| is_key(line, "detection")).unwrap_or_default();
        let found = self.position(from, |line| is_key(line, word));
        found.or_else(|| self.position(0, |line| is_key(line, word))).map_or(1, |at| at + 1)
    }

    /// The first line that `is_it`, from the line `from` of the document on.
    fn position(&self, from: usize, is_it: impl Fn(&str) -> bool) -> Option<usize> {
        let lines = self.file.text.lines().enumerate().take(self.lines.end);
        let mut lines = lines.skip(self.lines.start.max(from));
        lines.find(|(_, line)| !line.trim_start().starts_with('#') && is_it(line)).map(|(at, _)| at)
    }

    /// The line that a message of the reader names, or that has what it quotes.
    fn line_in(&self, message: &str) -> usize {
        // What was being read begins where it is wrong; where the reader noticed it may be far below.
        let told = message.rsplit_once("while parsing").map_or(message, |(_, begun)| begun);
        let number = told
            .split("line ")
            .nth(1)
            .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
        let quoted = message.split('\'').nth(1).filter(|word| !word.is_empty());
        let quoting = || {
            let word = quoted?;
            Some(self.position(0, |line| line.contains(word))? + 1)
        };
        number.or_else(quoting).unwrap_or(1)
    }
}

/// Whether `word` is a key of the line, also within braces.
fn is_key(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let (before, rest) = line.split_at(at);
        let after = rest.strip_prefix(word).unwrap_or_default();
        let is_begun =
            before.chars().all(|c| " -".contains(c)) || before.trim_end().ends_with(['{', ',']);
        is_begun && after.trim_start_matches(['"', '\'']).starts_with([':', '|', '['])
    })
}

/// `attack.t1098.006` -> `T1098.006`.
fn techniques(tags: &[String]) -> Vec<String> {
    let ids = tags.iter().filter_map(|tag| tag.strip_prefix("attack.t"));
    let ids = ids.filter(|id| id.starts_with(|c: char| c.is_ascii_digit()));
    ids.map(|id| format!("T{id}")).collect()
}
