//! Secrets in lines of settings and in YAML: text in, the values masked of names that say so.

use regex::Regex;
use std::sync::LazyLock;

use super::Redactor;
use super::name;

/// `name: value` or `name=value`, on a line of its own.
static LINE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let form = r#"^[ \t-]*(?:export[ \t]+)?["']?([\w.-]+)["']?[ \t]*[:=][ \t]*(\S.*)\n?$"#;
    Regex::new(form).ok()
});

/// What the lines before make of those that are indented deeper than a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    /// Text of many lines, all of it the secret.
    Block(usize),
    /// The data of a Secret, each with a name.
    Data(usize),
}

impl Redactor {
    /// Replaces the values of lines whose name says that they are secret, as in files of settings: also
    /// blocks of YAML, the `value` that follows such a `name`, and the data of a Secret.
    pub(super) fn lines(&self, text: &mut String) -> bool {
        let Some(form) = LINE.as_ref() else { return false };
        let is_manifest = text.lines().any(|line| line.trim() == "kind: Secret");
        let mut out = String::with_capacity(text.len());
        let (mut inside, mut is_named) = (Inside::Nothing, false);
        for line in text.split_inclusive('\n') {
            let said = line.trim_start_matches([' ', '\t', '-']);
            let column = line.len() - said.len();
            let said = said.trim_end();
            let is_deeper = |than: usize| column > than || said.is_empty();
            let was_named = std::mem::take(&mut is_named);
            let found = form.captures(line);
            let found = found.as_ref().and_then(|found| found.get(1).zip(found.get(2)));
            let found = found.map(|(name, value)| (name.as_str(), value));
            match (inside, found) {
                (Inside::Block(above), _) if is_deeper(above) => {
                    self.mask_within(line, said, &mut out);
                    continue;
                }
                (Inside::Data(above), None) if is_deeper(above) => {
                    self.mask_within(line, said, &mut out);
                    continue;
                }
                (Inside::Data(above), Some((_, value))) if is_deeper(above) => {
                    let value = value.as_str().trim();
                    self.mask_within(line, if opens_block(value) { "" } else { value }, &mut out);
                    continue;
                }
                _ => inside = Inside::Nothing,
            }
            if let Some(secret) = pgpass(said) {
                self.mask_within(line, secret, &mut out);
                continue;
            }
            let Some((name, value)) = found else {
                if is_manifest && matches!(said, "data:" | "stringData:") {
                    inside = Inside::Data(column);
                }
                out.push_str(line);
                continue;
            };
            let value = value.as_str().trim();
            let is_secret = name::is_secret(name) || (was_named && name == "value");
            is_named = matches!(name, "name" | "key") && name::is_secret(value);
            if is_secret && opens_block(value) {
                inside = Inside::Block(column);
                out.push_str(line);
            } else if is_secret {
                self.mask_within(line, value, &mut out);
            } else {
                out.push_str(line);
            }
        }
        std::mem::replace(text, out) != *text
    }

    /// Adds `line` with a marker in the place of `secret`, which is a part of it.
    fn mask_within(&self, line: &str, secret: &str, out: &mut String) {
        let secret = secret.trim();
        let stays = secret.is_empty() || self.is_marker(line.trim());
        let parts = line.rsplit_once(secret).filter(|_| !stays);
        let Some((before, after)) = parts else { return out.push_str(line) };
        out.push_str(before);
        out.push_str(&self.mask(secret.trim_matches(['"', '\''])));
        out.push_str(after);
    }
}

/// The password of a line `host:port:database:user:password`.
/// <https://www.postgresql.org/docs/current/libpq-pgpass.html>
fn pgpass(line: &str) -> Option<&str> {
    let parts: Vec<&str> = line.splitn(5, ':').collect();
    let [host, port, database, user, password] = parts[..] else { return None };
    let is_port =
        port == "*" || (port.len() >= 4 && port.bytes().all(|byte| byte.is_ascii_digit()));
    let are_words = [host, database, user]
        .iter()
        .all(|part| !part.is_empty() && !part.contains([' ', '/', '"', '=']));
    (is_port && are_words && !password.is_empty() && !password.contains(' ')).then_some(password)
}

/// Whether the value of a line of YAML is the text that follows: `|`, `>-`, `|2+`.
/// <https://yaml.org/spec/1.2.2/#81-block-scalar-styles>
fn opens_block(value: &str) -> bool {
    value.len() <= 3 && value.starts_with(['|', '>'])
}
