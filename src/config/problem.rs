//! What is wrong with a configuration: which value, where it stands, and what to write instead.

use super::Loaded;
use crate::failure::{Code, Failure};

/// Collects all that is wrong, so that it is told at once.
pub(super) struct Problems<'a> {
    loaded: &'a Loaded,
    found: Vec<Failure>,
}

impl<'a> Problems<'a> {
    pub(super) fn of(loaded: &'a Loaded) -> Self {
        Self { loaded, found: Vec::new() }
    }

    /// `key` is wrong. `value` is one of several that it has, for the line.
    pub(super) fn add(&mut self, key: &str, value: Option<&str>, message: &str, hint: &str) {
        let place = self.place(key, value);
        self.found.push(
            Failure::new(Code::Config, anyhow::anyhow!("{place}{key}: {message}")).hint(hint),
        );
    }

    /// Something that no key names is wrong.
    pub(super) fn add_other(&mut self, message: &str, hint: &str) {
        self.found.push(Failure::new(Code::Config, anyhow::anyhow!("{message}")).hint(hint));
    }

    pub(super) fn end(self) -> Result<(), Failure> {
        Failure::all(self.found).map_or(Ok(()), Err)
    }

    /// `durward.yaml:7: `, `--set `, or nothing for a default.
    fn place(&self, key: &str, value: Option<&str>) -> String {
        let related = |other: &str| {
            let below =
                |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('.'));
            other == key || below(other, key) || below(key, other)
        };
        let mut origins = self.loaded.origins.iter().filter(|(other, _)| related(other));
        // A list in the file may be deeper than its origin says.
        let is_set = origins.clone().any(|(_, origin)| *origin == "--set");
        match &self.loaded.file {
            _ if is_set => "--set ".to_owned(),
            Some((path, text)) if origins.next().is_some() => {
                format!("{}:{}: ", path.display(), line_of(text, key, value))
            }
            _ => String::new(),
        }
    }
}

/// The line on which `key` stands: each of its parts behind the one before it, and then its value.
fn line_of(text: &str, key: &str, value: Option<&str>) -> usize {
    let lines: Vec<&str> = text.lines().map(without_comment).collect();
    let (mut line, mut column) = (0, 0);
    for part in key.split('.') {
        let behind = lines.iter().enumerate().skip(line);
        let found = behind.filter_map(|(at, text)| {
            let from = if at == line { column } else { 0 };
            Some((at, from + key_in(text.get(from..)?, part)?))
        });
        let Some(found) = found.into_iter().next() else { break };
        (line, column) = (found.0, found.1 + part.len());
    }
    let Some(value) = value else { return line + 1 };
    let holds = |(_, text): &(usize, &&str)| words(text).any(|word| word == value);
    lines.iter().enumerate().skip(line).find(holds).map_or(line, |(at, _)| at) + 1
}

/// Where `key` stands as a key: at the beginning or behind what can stand before one, before a colon.
fn key_in(text: &str, key: &str) -> Option<usize> {
    text.match_indices(key).map(|(at, _)| at).find(|at| {
        let (before, rest) = text.split_at(*at);
        let after = rest.get(key.len()..).unwrap_or_default();
        let is_apart = before.chars().next_back().is_none_or(|c| " \t{,\"'-".contains(c));
        is_apart && after.trim_start_matches(['"', '\'']).trim_start().starts_with(':')
    })
}

/// The scalars of a line: what stands between the marks of YAML.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split([',', '[', ']', '{', '}']);
    let parts = parts.map(|part| part.split_once(": ").map_or(part, |(_, value)| value));
    parts.map(|part| part.trim().trim_start_matches("- ").trim().trim_matches(['"', '\'']))
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    line.split_once(" #").map_or(line, |(before, _)| before)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: keys in blocks, in braces, under names that others have too, in comments, and list items.
    /// Guarantees: the line is that of the key meant, or of the item meant.
    #[test]
    fn keys_are_found_on_their_lines() {
        let text = "version: 1\n# listen: x\nlisten:\n  audit:\n    tls:\n      cert_file: a\n  web: {address: b, tls: {cert_file: c}}\n\
                    trusted_proxies: [10.0.0.0/8,\n  nonsense]\ndetect:\n  rules:\n  - one\n  - \"two\" # three\n  exemptions:\n  - {of: x, reason: y}\n  - of: z\n";
        let check = |key: &str, value: Option<&str>, line: usize| {
            assert_eq!(line_of(text, key, value), line, "{key}");
        };
        check("version", None, 1);
        check("listen", None, 3);
        check("listen.audit.tls.cert_file", None, 6);
        check("listen.web.tls.cert_file", None, 7);
        check("trusted_proxies", Some("nonsense"), 9);
        check("detect.rules", Some("two"), 13);
        check("detect.exemptions.of", Some("x"), 15);
        check("detect.exemptions.of", Some("z"), 16);
    }
}
