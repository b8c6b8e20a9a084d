//! Secrets by their looks: any text in, tokens, keys and passwords of known form replaced.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use regex::{Captures, Regex, RegexSet, RegexSetBuilder};

use super::Redactor;
use super::marks;
use super::quick::Quick;

/// Names in running text after which a secret stands; in lines and fields [`super::name::is_secret`] knows more.
const NAMES: &str = r"(?:password|passwd|passphrase|\bpwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|secret[_-]?key|private[_-]?key|shared[_-]?access[_-]?signature|client[_-]?key[_-]?data|authorization|credentials?|\bsig|signature|(?:\b|_)pass)";

/// What stands between such a name and its secret, up to the scheme of an authorization.
const ASSIGNED: &str = r#"\\*["']?\s*(?::?={1,3}>?\s*|:\s+)(?:(?:bearer|basic|token|apikey|negotiate|splunk|bot)\s+)?"#;

/// What else must hold of what a form caught.
type Holds = fn(&str) -> bool;

/// The forms, each with what else must hold of what its first participating group caught.
const FORMS: &[(&str, Holds)] = &[
    // PEM: the block between the lines, also when its end was cut off.
    (
        r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\z)",
        always,
    ),
    // PEM once more in base64, as kubeconfigs and Secrets hold it; certificates are no secret.
    (r"(LS0tLS1CRUdJTi[A-Za-z0-9+/=]*)", holds_private_key),
    // JWT, whole or cut off: base64 of `{"`.
    (r"(eyJ[A-Za-z0-9_-]{17,}(?:\.[A-Za-z0-9_-]*)*)", always),
    // The password in `scheme://user:password@host`.
    (r#"[A-Za-z][A-Za-z0-9+.-]*://[^\s/?\#"'<>:@]*:([^\s"'<>]+)@"#, is_no_port),
    // HTTP authorization: <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>, RFC 7617.
    (r"(?i)\bbearer\s+([A-Za-z0-9._~+/=-]{8,})", is_no_word),
    (r"(?i)\bbasic\s+([A-Za-z0-9+/=_-]{6,})", holds_user_and_password),
    // Keys that say what they are.
    (r"\b((?:AKIA|ASIA)[A-Z0-9]{16})\b", always),
    (r"\b(AIza[0-9A-Za-z_-]{30,}|ya29\.[0-9A-Za-z_-]{20,})", always),
    (
        r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,})",
        always,
    ),
    (r"\b(xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,})", always),
    (
        r"\b([srp]k[_-](?:live|test|ant|proj)?[_-]?[A-Za-z0-9_-]{20,}|hv[sbr]\.[A-Za-z0-9_-]{20,})",
        is_no_word,
    ),
    (r"\b(npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{30,}|dckr_pat_[A-Za-z0-9_-]{20,})", always),
    (r"\b(SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,})", always),
    (r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9/_-]+)", always),
    // `password=...`, `"token": "..."`, also inside text that was quoted once more; a bare colon is too
    // common in names of Kubernetes, but none is called a password. What was cut has no second quote.
    (r#"(?is)NAMESASSIGNED"((?:[^"\\]|\\.)+)"#, always),
    (r"(?is)NAMESASSIGNED'((?:[^'\\]|\\.)+)", always),
    (r#"(?is)NAMES["']\s*:\s*["']((?:[^"'\\]|\\.)+)"#, always),
    (r#"(?i)NAMES(?:\\+["'])?\s*[:=]\s*\\+["']([^"']*[^"'\\])"#, always),
    (r#"(?i)NAMESASSIGNED([^\s"',;&}{\[\]]{3,})"#, always),
    (r#"(?i)(?:^|[^a-z0-9_-])[a-z0-9_]*passw(?:or)?d:([^\s"',;&}{\[\]]{3,})"#, always),
    // Options of commands, elements of XML, statements of SQL.
    (r#"(?i)--[a-z0-9_-]*NAMES\s+["']?([^\s"'-][^\s"']{2,})"#, always),
    (r"(?i)<[a-z0-9_:.-]*NAMES>([^<]+)", always),
    (r"(?i)\b(?:password|identified\s(?:[^']*\s)?by(?:\s+password)?)\s*\(?\s*'([^']+)", always),
    (r#"(?i)cookie:\s+([^\r\n"']+)"#, always),
    (r#"(?:^|\s)-u\s+["']?[^\s:"']+:([^\s"']+)"#, is_no_number),
    // <https://github.com/go-sql-driver/mysql#dsn-data-source-name>
    (r#"\b[^\s:@/"']+:([^\s"'@]+)@(?:tcp|unix)\("#, always),
    // Files that have no names: `.netrc`, of Redis; settings that are attributes of XML.
    (r"(?i)\blogin\s+\S+\s+password\s+(\S+)", always),
    (r"(?i)\b(?:requirepass|masterauth)\s+(\S+)", always),
    (r#"(?i)\b(?:name|key)="[^"]*NAMES"\s+value="([^"]+)""#, always),
    (r"\bthin:[^\s/@]+/([^\s@/]+)@", always),
    (r"-----BEGIN OpenVPN Static key V1-----([^-]+)", always),
    (r"(?s)Private-Lines: [0-9]+\s+([A-Za-z0-9+/=\s]+)", always),
    (r"(?i)\btracestate:\s*([^\r\n]+)", always),
    (r#"://([^\s/?\#"'<>:@]{16,})@"#, is_no_word),
    (r"discord(?:app)?\.com/api/webhooks/([0-9]+/[A-Za-z0-9_-]+)", always),
    (r#"webhook\.office\.com/webhookb2/([^\s"']+)"#, always),
    (r"hooks\.zapier\.com/hooks/catch/([0-9a-z/]+)", always),
    // What vendors mark as theirs.
    ("MARKED", is_no_word),
    ("SHAPED", always),
    // An AWS secret access key has no mark but its length: 40 characters of base64.
    (r"(?:^|[^A-Za-z0-9/+=])([A-Za-z0-9/+]{40})(?:$|[^A-Za-z0-9/+=])", is_secret_key),
];

/// Three letters of whatever a form catches but for addresses, names and the last, in the order of the forms: a
/// form that is added needs its own here, and a sample in the tests.
const TELLING: &[&[u8; 3]] = &[
    b"---", b"ls0", b"eyj", b"bea", b"bas", b"kia", b"sia", b"aiz", b"a29", b"hp_", b"ho_", b"hu_",
    b"hs_", b"hr_", b"pat", b"xox", b"xap", b"sk_", b"sk-", b"rk_", b"rk-", b"pk_", b"pk-", b"vs.",
    b"vb.", b"vr.", b"npm", b"pyp", b"sg.", b"hoo", b"kie", b"-u ",
];
/// The same of [`NAMES`] and of what SQL says, beside each of which stands one of [`ASSIGNS`] or two dashes:
/// letters that `authenticated` and `create` do not have, which stand in nearly every event.
const NAMING: &[&[u8; 3]] =
    &[b"pas", b"pwd", b"ecr", b"tok", b"key", b"sig", b"riz", b"ede", b"tif"];
const ASSIGNS: [u8; 4] = *b"=:'<";
/// What stands in addresses that have a password before their `@`.
const ADDRESS: &[&[u8]] = &[b"://", b"@tcp(", b"@unix(", b"thin:"];
/// Bytes of the states that all forms together may be in: with fewer they are made anew again and again.
const MOST_STATES: usize = 32 << 20;
/// Characters of an AWS secret access key, which is told by its length alone.
const SECRET_KEY: usize = 40;

/// The forms, compiled.
#[derive(Clone)]
pub(super) struct Looks {
    /// Tells of nearly every text that no form is worth a search; the second, of those that assign something.
    quick: Quick,
    quick_assigned: Quick,
    /// Tells in one pass which forms are worth a search.
    any: RegexSet,
    forms: Vec<(Regex, Holds)>,
}

impl Looks {
    pub(super) fn new() -> Self {
        let sources: Vec<String> = FORMS
            .iter()
            .map(|(form, _)| match *form {
                "MARKED" => marks::marked(),
                "SHAPED" => marks::shaped(),
                form => form.replace("NAMES", NAMES).replace("ASSIGNED", ASSIGNED),
            })
            .collect();
        let forms = sources.iter().zip(FORMS);
        let forms: Vec<_> = forms
            .filter_map(|(source, (_, holds))| Some((Regex::new(source).ok()?, *holds)))
            .collect();
        debug_assert_eq!(forms.len(), FORMS.len(), "every form is a regular expression");
        Self {
            quick: Quick::new(TELLING),
            quick_assigned: Quick::new(&[TELLING, NAMING].concat()),
            any: RegexSetBuilder::new(&sources)
                .dfa_size_limit(MOST_STATES)
                .build()
                .unwrap_or_else(|_| RegexSet::empty()),
            forms,
        }
    }
}

impl Looks {
    /// Whether any form may catch something in `text`.
    pub(super) fn is_suspect(&self, text: &str) -> bool {
        let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+');
        let has_run =
            || text.as_bytes().split(|byte| !is_key(byte)).any(|run| run.len() >= SECRET_KEY);
        let holds = |what: &[u8]| memchr::memmem::find(text.as_bytes(), what).is_some();
        let [equals, colon, quote, element] = ASSIGNS;
        let assigns = || {
            memchr::memchr3(equals, colon, quote, text.as_bytes()).is_some()
                || memchr::memchr(element, text.as_bytes()).is_some()
                || [&b"--"[..], b"login ", b"requirepass ", b"masterauth "]
                    .iter()
                    .any(|it| holds(it))
        };
        let is_address = || ADDRESS.iter().any(|part| holds(part));
        // Nearly no text has any of the groups, and is read once.
        marks::has_drawn_run(text)
            || (self.quick_assigned.finds(text) && (self.quick.finds(text) || assigns()))
            || (memchr::memchr(b'@', text.as_bytes()).is_some() && is_address())
            || (text.len() >= SECRET_KEY && has_run())
    }
}

impl Redactor {
    /// Replaces what looks like a secret; says whether anything did.
    pub(super) fn looks(&self, text: &mut String) -> bool {
        let mut changed = false;
        if !self.looks.is_suspect(text) {
            return changed;
        }
        for index in &self.looks.any.matches(text) {
            if let Some((form, holds)) = self.looks.forms.get(index) {
                changed |= self.replace(text, form, *holds);
            }
        }
        changed
    }

    /// Replaces runs that look drawn by lot, where secrets are likely: environment and arguments.
    pub(super) fn drawn(&self, text: &mut String) -> bool {
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(start) = rest.find(is_token) {
            let (before, from) = rest.split_at(start);
            let end = from.find(|c| !is_token(c)).unwrap_or(from.len());
            let (run, after) = from.split_at(end);
            out.push_str(before);
            let stays =
                out.ends_with(&self.prefix) || out.ends_with("sha256:") || !looks_drawn(run);
            out.push_str(&if stays { run.to_owned() } else { self.mask(run) });
            rest = after;
        }
        out.push_str(rest);
        std::mem::replace(text, out) != *text
    }

    fn replace(&self, text: &mut String, form: &Regex, holds: Holds) -> bool {
        let replaced = form.replace_all(text, |found: &Captures<'_>| {
            let whole = found.get(0).map_or("", |m| m.as_str());
            let Some(secret) = found.iter().skip(1).flatten().next() else {
                return whole.to_owned();
            };
            if !holds(secret.as_str()) {
                return whole.to_owned();
            }
            let start = found.get(0).map_or(0, |m| m.start());
            let (from, to) = (secret.start() - start, secret.end() - start);
            let (before, after) = (whole.get(..from), whole.get(to..));
            [before.unwrap_or_default(), &self.mask(secret.as_str()), after.unwrap_or_default()]
                .concat()
        });
        let replaced = replaced.into_owned();
        std::mem::replace(text, replaced) != *text
    }
}

fn always(_: &str) -> bool {
    true
}

/// `bearer authentication` is a word, not a token.
fn is_no_word(run: &str) -> bool {
    run.bytes().any(|b| b.is_ascii_digit()) || run.len() >= 32
}

/// `-u 1000:1000` is a user and his group.
fn is_no_number(text: &str) -> bool {
    !text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `docker://registry:5000/image@sha256` has a port where others have a password.
fn is_no_port(password: &str) -> bool {
    let (port, path) = password.split_once('/').unwrap_or((password, ""));
    path.is_empty() || port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit())
}

fn holds_user_and_password(base64: &str) -> bool {
    decode(base64).is_some_and(|bytes| bytes.contains(&b':'))
}

/// A base64 text of PEM holds a private key, or is cut off so that one cannot tell.
fn holds_private_key(base64: &str) -> bool {
    let whole = base64.get(..base64.len() / 4 * 4).unwrap_or(base64);
    decode(whole).is_none_or(|pem| {
        let pem = String::from_utf8_lossy(&pem);
        pem.contains("PRIVATE KEY") || !(pem.contains("BEGIN CERT") || pem.contains("BEGIN PUBLIC"))
    })
}

/// Decodes base64 with or without padding, of either alphabet.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let text: String = text
        .chars()
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    GeneralPurpose::new(&ALPHABET, lenient).decode(text).ok()
}

/// Characters of base64, of its usual alphabet.
pub(super) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\n' | b'\r')
}

/// Characters of which tokens are made; a dot and a colon part names, so they end a run.
pub(super) fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '_' | '-')
}

/// Whether a run seems drawn by lot: long, and changing between letters and digits, or between cases,
/// often. UUIDs are names in Kubernetes and stay.
fn looks_drawn(run: &str) -> bool {
    if run.len() < 16 || is_uuid(run) {
        return false;
    }
    // `frontend-6d9f7c9c4b-x2x8k` is a name that a controller made up.
    let is_lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if run.contains('-') && run.bytes().all(is_lower) {
        return run.split('-').any(looks_drawn);
    }
    let class = |b: &u8| match b {
        b'0'..=b'9' => 1,
        b'A'..=b'Z' => 2,
        b'a'..=b'z' => 3,
        _ => 0,
    };
    let classes: Vec<u8> = run.as_bytes().iter().map(class).filter(|class| *class > 0).collect();
    let turns = classes.windows(2).filter(|pair| pair.first() != pair.last()).count();
    let has_digit = classes.contains(&1);
    has_digit && turns >= classes.len() / 4
}

/// Whether 40 characters of base64 can be a secret access key. A SHA-1 is a name: of a commit, of a key
/// of a Google service account; a path has long words, such as `Authorization/policyDefinitions/`.
fn is_secret_key(run: &str) -> bool {
    let is_sha1 = run.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let is_word = |part: &str| {
        let turns = part
            .as_bytes()
            .windows(2)
            .filter(|pair| pair.iter().filter(|byte| byte.is_ascii_uppercase()).count() == 1);
        part.len() >= 12 && part.bytes().all(|b| b.is_ascii_alphabetic()) && turns.count() <= 3
    };
    looks_drawn(run) && !is_sha1 && !run.split('/').any(is_word)
}

/// 8-4-4-4-12 hex digits.
pub(crate) fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples of the forms from the files that have no names on.
    const FURTHER: &[&[&str]] = &[
        &["login ci password abc", "login ci\n  password abc"],
        &["requirepass abc"],
        &[r#"<property name="db.password" value="abc"/>"#, r#"<add key="ApiKey" value="abc"/>"#],
        &["jdbc:oracle:thin:scott/abc@db"],
        &["-----BEGIN OpenVPN Static key V1-----\nabc"],
        &["Private-Lines: 1\nAAAAx1Yzx1Yzx1Yz"],
        &["tracestate: a=x1Yzx1Yzx1Yzx1Yz"],
        &["https://x1Yzx1Yzx1Yzx1Yz@host/"],
        &["https://discord.com/api/webhooks/123/x1Yzx1Yzx1Yzx1Yz"],
        &["https://a.webhook.office.com/webhookb2/x1Yzx1Yzx1Yzx1Yz"],
        &["https://hooks.zapier.com/hooks/catch/1/a/"],
        &["glrt-x1Yzx1Yzx1Yzx1Yz", "dop_v1_x1yzx1yzx1yzx1yz"],
        &["abcde1.x1yzx1yzx1yzx1yz", "key-0123456789abcdef0123456789abcdef"],
        &["wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY12"],
    ];

    /// Scenario: a text that each form catches, in the order of the forms, by each of its ways to begin.
    /// Guarantees: every form has a sample, and the quick look lets through whatever a form catches.
    #[test]
    fn the_quick_look_misses_nothing() {
        let long = "x1Yz".repeat(10);
        let samples: &[&[&str]] = &[
            &["-----BEGIN PRIVATE KEY-----\nabc", "-----BEGIN PGP PRIVATE KEY BLOCK-----\nabc"],
            &["LS0tLS1CRUdJTiAAAA"],
            &["eyJhbGciOiJSUzI1NiIsInR5"],
            &["postgres://u:pw1@db"],
            &["Bearer abcdefgh1"],
            &["BASIC dXNlcjpwdw=="],
            &["AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"],
            &[&format!("AIza{long}"), &format!("ya29.{long}")],
            &[
                &format!("ghp_{long}"),
                &format!("gho_{long}"),
                &format!("ghu_{long}"),
                &format!("ghs_{long}"),
                &format!("ghr_{long}"),
                &format!("github_pat_{long}"),
                &format!("glpat-{long}"),
            ],
            &["xoxb-1234567890", "xapp-1234567890"],
            &[
                &format!("sk_live_{long}"),
                &format!("rk-{long}"),
                &format!("pk_{long}"),
                &format!("hvs.{long}"),
                &format!("hvb.{long}"),
                &format!("hvr.{long}"),
            ],
            &[&format!("npm_{long}"), &format!("pypi-{long}"), &format!("dckr_pat_{long}")],
            &[&format!("SG.{long}.{long}")],
            &["https://hooks.slack.com/services/T/B/x"],
            &[r#"Password="a b""#, r#"token: "a""#],
            &["pwd='a b'", "client-key-data: 'a'"],
            &[r#""secret": "a""#, r#""api_key":"a""#, "'secret':'a'"],
            &[r#"{\"secret\":\"ab\"}"#, r#"\\\"token\\\": \\\"ab"#],
            &["sig=abc", "credentials=abc", "Authorization: abc", "SharedAccessSignature=abc"],
            &["Password:abc", "passwd:abc"],
            &["--db-password abc", "--token 'abc'", "--client-secret abc", "--api-key abc"],
            &["<password>a</password>", "<db:api-key>a"],
            &[
                "WITH PASSWORD 'a'",
                "PASSWORD('a')",
                "identified by 'a'",
                "IDENTIFIED WITH x BY 'a'",
            ],
            &["Cookie: a=b", "set-cookie: a=b"],
            &["-u admin:abc", "-u 'admin:abc'"],
            &["root:abc@tcp(db:3306)/x", "root:abc@unix(/a)/x"],
        ];
        let samples = [samples, FURTHER].concat();
        assert_eq!(samples.len(), FORMS.len());
        let looks = Looks::new();
        for (form, texts) in samples.iter().enumerate() {
            for text in *texts {
                for text in [(*text).to_owned(), format!("a {text} z")] {
                    assert!(looks.any.matches(&text).matched(form), "{form}: {text}");
                    assert!(looks.is_suspect(&text), "{text}");
                }
            }
        }
        let names = "password passwd passphrase pwd secret token api_key apikey access-key account_key \
            secret-key private_key shared_access_signature client-key-data authorization credentials \
            credential sig signature pass db_pass";
        for name in names.split(' ') {
            assert!(looks.is_suspect(&format!("{name}=hunter2")), "{name}");
        }
        assert!(!looks.is_suspect("system:authenticated"));
        assert!(!looks.is_suspect("/api/v1/namespaces/shop/pods/checkout-5d9c7b8f6d-x2x8k"));
    }
}
