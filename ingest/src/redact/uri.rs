//! Secrets in request URIs: passwords before the host, tokens in the query, commands of `exec`.

use super::Redactor;
use super::name;
use super::place::Place;

/// Query parameters that sign or open what a URI names, beside those that [`name::is_secret`] knows.
const SIGNS: &[&str] = &["sig", "signature", "x-amz-signature", "x-amz-credential", "code"];

impl Redactor {
    pub(super) fn redact_uri(&self, uri: &str) -> String {
        let Some((path, query)) = uri.split_once('?') else { return self.path(uri) };
        let mut next_is_secret = false;
        let mut parameters = Vec::new();
        for parameter in query.split('&') {
            parameters.push(self.parameter(parameter, &mut next_is_secret));
        }
        format!("{}?{}", self.path(path), parameters.join("&"))
    }

    fn path(&self, path: &str) -> String {
        self.unless_clean(path, |text| self.string(text, Place::General))
    }

    /// One `name=value`; `next_is_secret` carries `command=--password` to `command=hunter2`.
    fn parameter(&self, parameter: &str, next_is_secret: &mut bool) -> String {
        let (name, value) = parameter.split_once('=').unwrap_or(("", parameter));
        let was_named = std::mem::take(next_is_secret);
        let redacted = if name == "command" {
            let argument = decode(value);
            *next_is_secret = argument.starts_with('-') && name::is_secret(&argument);
            self.unless_clean(value, |text| {
                let mut list = serde_json::json!([text.as_str()]);
                if was_named {
                    list = serde_json::json!(["--password", text.as_str()]);
                }
                let changed = self.arguments(&mut list);
                *text = list.as_array().and_then(|l| l.last()?.as_str()).unwrap_or("").to_owned();
                changed
            })
        } else if !value.is_empty() && is_secret(name) {
            self.mask(&decode(value))
        } else {
            self.unless_clean(value, |text| self.string(text, Place::General))
        };
        if parameter.contains('=') { format!("{name}={redacted}") } else { redacted }
    }

    /// `encoded` as it was if `redact` finds nothing in what it says, so that its form stays.
    fn unless_clean(&self, encoded: &str, redact: impl Fn(&mut String) -> bool) -> String {
        let mut text = decode(encoded);
        if redact(&mut text) { encode(&text) } else { encoded.to_owned() }
    }
}

fn is_secret(parameter: &str) -> bool {
    let parameter = decode(parameter).to_ascii_lowercase();
    name::is_secret(&parameter) || SIGNS.contains(&parameter.as_str())
}

/// Undoes percent-encoding and `+`; bytes that are not UTF-8 become U+FFFD.
pub(crate) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match (byte, hex.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Encodes what would end a parameter.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' ' => out.push('+'),
            '%' | '&' | '+' | '#' | '?' | '"' => out.push_str(&format!("%{:02X}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("%{:02X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
