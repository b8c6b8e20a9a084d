//! Secrets in request URIs: passwords before the host, tokens in the query, commands of `exec`.

use std::borrow::Cow;

use serde_json::Value;

use super::Redactor;
use super::name;
use super::place::Place;
use crate::hex::hex;

/// Query parameters that sign or open what a URI names, beside those that [`name::is_secret`] knows.
const OPENS: &[&str] =
    &["sig", "x-amz-credential", "code", "code_verifier", "codeverifier", "samlresponse"];

/// Times that a text is decoded.
const MOST_ENCODED: usize = 3;

impl Redactor {
    pub(super) fn redact_uri(&self, uri: &str) -> String {
        let Some((path, query)) = uri.split_once('?') else { return self.part(uri) };
        format!("{}?{}", self.part(path), self.query(query, Place::General))
    }

    /// What is not a query; a path may have parameters of its own: `/login;jsessionid=...`.
    fn part(&self, part: &str) -> String {
        let mut segments = part.split(';');
        let path = segments.next().unwrap_or_default();
        let path = Self::unless_clean(path, |text| self.string(text, Place::General));
        let mut next_is_secret = false;
        segments.fold(path, |path, own| {
            let (own, rest) =
                own.split_once('/').map_or((own, None), |(own, rest)| (own, Some(rest)));
            let own = self.parameter(own, &mut next_is_secret, Place::General);
            let rest = rest.map(|rest| format!("/{}", self.part(rest))).unwrap_or_default();
            format!("{path};{own}{rest}")
        })
    }

    /// Parameters, each of which stands in `place`.
    fn query(&self, query: &str, place: Place) -> String {
        let mut next_is_secret = false;
        let mut parameters = Vec::new();
        for parameter in query.split('&') {
            parameters.push(self.parameter(parameter, &mut next_is_secret, place));
        }
        parameters.join("&")
    }

    /// Redacts fields that are addresses, paths or queries as such, whatever they are called; headers
    /// are lists of them.
    pub(crate) fn addresses<'a>(&self, fields: impl Iterator<Item = (&'a str, &'a mut Value)>) {
        for (name, value) in fields {
            match value {
                Value::String(text) => self.address(name, text),
                Value::Array(texts) => {
                    for text in texts {
                        let Value::String(text) = text else { continue };
                        self.address(name, text);
                    }
                }
                _ => {}
            }
        }
    }

    fn address(&self, name: &str, text: &mut String) {
        if is_address(text) && text.contains(['?', '%']) {
            *text = self.redact_uri(text);
        } else if name.ends_with("query") && text.contains('=') && !text.contains(' ') {
            *text = self.query(text, Place::General);
        }
    }

    /// Redacts the parameters of a text that is an address; says whether anything changed.
    pub(super) fn whole_address(&self, text: &mut String) -> bool {
        let is_whole =
            text.contains('?') && is_address(text) && !text.contains(char::is_whitespace);
        if !is_whole {
            return false;
        }
        let Some((path, query)) = text.split_once('?') else { return false };
        let redacted = format!("{path}?{}", self.query(query, Place::Parameter));
        std::mem::replace(text, redacted) != *text
    }

    /// One `name=value`; `next_is_secret` carries `command=--password` to `command=hunter2`.
    fn parameter(&self, parameter: &str, next_is_secret: &mut bool, place: Place) -> String {
        let (name, value) = parameter.split_once('=').unwrap_or(("", parameter));
        let was_named = std::mem::take(next_is_secret);
        let redacted = if name == "command" {
            let argument = decode(value);
            *next_is_secret = argument.starts_with('-') && name::is_secret(&argument);
            Self::unless_clean(value, |text| self.argument(text, was_named))
        } else if !value.is_empty() && is_secret_parameter(name) {
            self.mask(&decode(value))
        } else {
            Self::unless_clean(value, |text| self.string(text, place))
        };
        if parameter.contains('=') { format!("{name}={redacted}") } else { redacted }
    }

    /// `encoded` as it was if `redact` finds nothing in what it says, so that its form stays.
    fn unless_clean(encoded: &str, redact: impl Fn(&mut String) -> bool) -> String {
        let mut text = decode(encoded).into_owned();
        for _ in 0..MOST_ENCODED {
            let before = text.clone();
            if redact(&mut text) {
                return encode(&text);
            }
            // What was encoded twice says more when it is decoded once more.
            text = decode(&before).into_owned();
            if text == before {
                break;
            }
        }
        encoded.to_owned()
    }
}

/// Whether a text begins as an address or a path does.
fn is_address(text: &str) -> bool {
    text.starts_with('/') || text.contains("://")
}

fn is_secret_parameter(parameter: &str) -> bool {
    let parameter = decode(parameter);
    let small = parameter.to_ascii_lowercase();
    // `clientSecret` is parted by its case, `SecretToken` is not where everything is in capitals.
    name::is_secret(&parameter)
        || name::is_secret(&small)
        || small.ends_with("signature")
        || OPENS.contains(&small.as_str())
}

/// Undoes percent-encoding and `+`; bytes that are not UTF-8 become U+FFFD.
fn decode(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    if memchr::memchr2(b'%', b'+', bytes).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let pair = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match (byte, pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// Encodes what would end a parameter.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' ' => out.push('+'),
            '%' | '&' | '+' | '#' | '?' | '"' => percent(c, &mut out),
            c if c.is_control() => percent(c, &mut out),
            c => out.push(c),
        }
    }
    out
}

fn percent(c: char, out: &mut String) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        out.push('%');
        out.push_str(&hex(&[byte]).to_ascii_uppercase());
    }
}
