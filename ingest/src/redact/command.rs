//! Secrets on command lines: `mysql -phunter2`, `redis-cli -a hunter2`, `openssl -passin pass:hunter2`.

use super::{MARKER, Redactor};

/// Programs, and the options of each behind which a secret stands, in the same word or in the next.
const TOOLS: &[(&str, &[&str])] = &[
    ("mysql", &["-p"]),
    ("mysqladmin", &["-p"]),
    ("mysqldump", &["-p"]),
    ("mariadb", &["-p"]),
    ("mongo", &["-p"]),
    ("mongosh", &["-p"]),
    ("mongodump", &["-p"]),
    ("redis-cli", &["-a"]),
    ("sshpass", &["-p"]),
    ("login", &["-p"]),
    ("curl", &["-u", "--user", "--proxy-user"]),
    ("ldapsearch", &["-w"]),
    ("ldapadd", &["-w"]),
    ("ldapmodify", &["-w"]),
    ("smbclient", &["-U"]),
    ("sqlcmd", &["-P"]),
    ("bcp", &["-P"]),
    ("snmpwalk", &["-A", "-X"]),
    ("snmpget", &["-A", "-X"]),
    ("keytool", &["-storepass", "-keypass"]),
    ("openssl", &["-passin", "-passout", "-pass", "-k"]),
];

/// Options that take a secret, whatever the program.
const OPTIONS: &[&str] = &[
    "-passin",
    "-passout",
    "-storepass",
    "-keypass",
    "--requirepass",
    "--masterauth",
    "--from-literal",
];

/// A word of a command line: where it stands in the text, without its quotes.
struct Word<'t> {
    from: usize,
    text: &'t str,
}

impl Redactor {
    /// Replaces the secrets of a command line; says whether there were any.
    pub(super) fn command_line(&self, text: &mut String) -> bool {
        let found = secrets(&words(text));
        let mut out = text.clone();
        for (from, secret) in found.iter().rev() {
            if !self.is_marker(secret) {
                out.replace_range(*from..from + secret.len(), &self.mask(secret));
            }
        }
        std::mem::replace(text, out) != *text
    }

    /// The same for words that are in a list.
    pub(super) fn command_words(&self, words: &mut [&mut String]) -> bool {
        let line: Vec<Word<'_>> =
            words.iter().enumerate().map(|(from, text)| Word { from, text }).collect();
        // Here the place is the number of the word.
        let found: Vec<(usize, String)> =
            secrets(&line).into_iter().map(|(at, secret)| (at, secret.to_owned())).collect();
        let mut changed = false;
        for (at, secret) in found {
            let at =
                (0..=at).rev().find(|at| words.get(*at).is_some_and(|word| word.contains(&secret)));
            if let Some(word) =
                at.and_then(|at| words.get_mut(at)).filter(|_| !self.is_marker(&secret))
            {
                **word = word.replace(&secret, &self.mask(&secret));
                changed = true;
            }
        }
        changed
    }
}

/// The words of a shell's text; what parts commands is a word of its own.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(first) = text.get(at..).and_then(|rest| rest.find(|c: char| !c.is_whitespace()))
    {
        let from = at + first;
        let rest = text.get(from..).unwrap_or_default();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (from, length) = match quote {
            Some(quote) => {
                let inside = rest.get(1..).unwrap_or_default();
                (from + 1, inside.find(quote).unwrap_or(inside.len()))
            }
            None => (from, rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        let word = text.get(from..from + length).unwrap_or_default();
        words.push(Word { from, text: word });
        at = from + length + usize::from(quote.is_some());
    }
    words
}

/// Where each secret begins, and what it is.
fn secrets<'t>(words: &[Word<'t>]) -> Vec<(usize, &'t str)> {
    let mut found = Vec::new();
    let mut tool = "";
    for (at, word) in words.iter().enumerate() {
        let name = word.text.rsplit('/').next().unwrap_or_default();
        if let Some((known, _)) = TOOLS.iter().find(|(known, _)| *known == name) {
            tool = known;
        }
        if matches!(word.text, "|" | ";" | "&&" | "||") {
            tool = "";
        }
        let next = words.get(at + 1);
        let options = TOOLS.iter().find(|(known, _)| *known == tool).map_or(&[][..], |tool| tool.1);
        let option = options.iter().chain(OPTIONS).find(|option| word.text.starts_with(**option));
        let value = option.and_then(|option| match word.text.get(option.len()..) {
            Some("") => next.map(|next| (next.from, next.text)),
            Some(rest) if option.starts_with("--") => {
                let value = rest.strip_prefix('=')?;
                Some((word.from + option.len() + 1, value))
            }
            Some(rest) => Some((word.from + option.len(), rest)),
            None => None,
        });
        found.extend(value.and_then(|(from, value)| secret_in(from, value)));
        found.extend(positional(words, at));
    }
    // In their order, and none within another.
    found.sort_unstable();
    found.dedup_by(|later, one| later.0 < one.0 + one.1.len());
    found
}

/// The part of an option's value that is secret: behind `user:`, `user%`, `pass:`, `name=`.
fn secret_in(from: usize, value: &str) -> Option<(usize, &str)> {
    let inside = value.trim_matches(['"', '\'']);
    let from = from + value.len() - value.trim_start_matches(['"', '\'']).len();
    let parted = inside.find([':', '%', '=']).map_or(0, |at| at + 1);
    let secret = inside.get(parted..)?;
    let is_other =
        inside.contains(MARKER) || secret.len() < 3 || secret.starts_with(['-', '$', '/']);
    (!is_other && secret.bytes().any(|byte| !byte.is_ascii_digit()))
        .then_some((from + parted, secret))
}

/// Secrets that stand where no option names them.
fn positional<'t>(words: &[Word<'t>], at: usize) -> Option<(usize, &'t str)> {
    let word = |offset: usize| words.get(at + offset);
    let text = |offset: usize| word(offset).map_or("", |word| word.text);
    let secret = match (text(0), text(1)) {
        ("vault", "login") => word(2),
        ("htpasswd", option) if option.starts_with('-') && option.contains('b') => word(4),
        ("echo", _) if matches!(text(2), "|" | ">") => word(1),
        ("'echo" | "echo", _)
            if at > 0 && words.get(at - 1).is_some_and(|it| it.text == "--password-command") =>
        {
            word(1)
        }
        (user, _) if user.starts_with("/user:") => word(1),
        _ => None,
    }?;
    let told = secret.text.trim_matches(['"', '\'']);
    let from = secret.from + secret.text.len() - secret.text.trim_start_matches(['"', '\'']).len();
    secret_in(from, told)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::redact::tests::redactor;

    fn check(line: &str, expected: &[&str]) {
        let found: Vec<&str> =
            secrets(&words(line)).into_iter().map(|(_, secret)| secret).collect();
        assert_eq!(found, expected, "{line}");
    }

    /// Scenario: command lines with a secret in the word of its option, in the next one and where no option is; options of
    /// the same letter of other programs.
    /// Guarantees: the secret is found, and nothing else.
    #[test]
    fn secrets_are_told_from_options() {
        check("mysql -uroot -phunter2 shop", &["hunter2"]);
        check("mysqldump --user=root -p'hunter 2' shop", &["hunter"]);
        check("redis-cli -h cache -a hunter2 ping", &["hunter2"]);
        check("openssl rsa -in key.pem -passin pass:hunter2", &["hunter2"]);
        check("curl -u admin:hunter2 https://x && cp -u a b", &["hunter2"]);
        check("echo 'root:hunter2' | chpasswd", &["hunter2"]);
        check("docker login -u ci -p hunter2 registry", &["hunter2"]);
        for line in [
            "ssh -p 2222 host",
            "mkdir -p /a/b",
            "docker run -p 8080:80 x",
            "ls -a /tmp",
            "mysql -p",
            "echo done",
            "redis-server --port 6379",
            "mysql -p$PASSWORD shop",
            "login -p",
            "curl -u 1000 x",
        ] {
            check(line, &[]);
        }
    }

    proptest! {
        /// Scenario: any words of command lines, options and quotes in any order, as a text and as a list.
        /// Guarantees: nothing panics, and the markers of a text that is redacted again stay whole.
        #[test]
        fn any_line_is_redacted_once(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("mysql".to_owned()), Just("-p".to_owned()), Just("-phunter2".to_owned()), Just("echo".to_owned()),
                    Just("|".to_owned()), Just("'".to_owned()), Just("-passin".to_owned()), Just("pass:hunter2".to_owned()),
                    Just("curl".to_owned()), Just("-u".to_owned()), Just("/user:a".to_owned()), any::<String>(),
                ],
                0..12,
            ),
        ) {
            let mut once = parts.join(" ");
            redactor().command_line(&mut once);
            let mut twice = once.clone();
            redactor().command_line(&mut twice);
            for behind in twice.split(&redactor().prefix).skip(1) {
                let digits = behind.get(..32).unwrap_or_default();
                prop_assert!(!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()), "{}", twice);
            }
            let mut words = parts;
            redactor().command_words(&mut words.iter_mut().collect::<Vec<_>>());
        }
    }
}
