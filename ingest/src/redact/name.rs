//! Which names say that a secret stands beside them: `DB_PASSWORD`, `clientSecret`, `x-api-key`.

use std::borrow::Cow;
use std::sync::LazyLock;

use super::quick::Quick;

/// Names end in one of these words.
const LAST: &[&str] = &[
    "accesskey",
    "accesstoken",
    "apikey",
    "apitoken",
    "assertion",
    "auth",
    "authkey",
    "authorization",
    "authtoken",
    "bearer",
    "bindpass",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "dbpass",
    "dockercfg",
    "dockerconfigjson",
    "dsn",
    "idtoken",
    "jsessionid",
    "jwt",
    "keydata",
    "keypass",
    "masterauth",
    "otp",
    "pass",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "phpsessid",
    "presharedkey",
    "privatekey",
    "pwd",
    "refreshtoken",
    "requirepass",
    "samlassertion",
    "secret",
    "secretkey",
    "sessiontoken",
    "storepass",
    "token",
];

/// Words end in one of these where case parts none: `clientsecret`.
const ENDS: &[&str] = &["passwd", "password", "secret", "token"];

/// Names end in one of these words followed by `key`.
const KEYS: &[&str] = &[
    "access",
    "account",
    "admin",
    "api",
    "app",
    "auth",
    "client",
    "encryption",
    "hmac",
    "license",
    "master",
    "preshared",
    "primary",
    "private",
    "secondary",
    "secret",
    "service",
    "shared",
    "signing",
    "ssh",
    "storage",
    "webhook",
];

/// Words that may follow without taking the meaning away: `passwordHash`, `client-key-data`.
const TRAILERS: &[&str] = &[
    "base64", "b64", "binary", "data", "decoded", "encoded", "hash", "json", "pem", "plain", "raw",
    "string", "text", "value",
];

/// Annotations of the API server that speak of tokens and hold none:
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/audit-annotations/>
const SPEAKS_OF_TOKENS: &[&str] = &["stale-token", "legacy-token"];

/// Whether a value under `name` is a secret by its name alone.
pub(super) fn is_secret(name: &str) -> bool {
    if !QUICK.finds(name) {
        return false;
    }
    if SPEAKS_OF_TOKENS.iter().any(|known| name.ends_with(known)) {
        return false;
    }
    let (mut rest, mut word) = split_last(name);
    let before = |rest| split_last(rest).1;
    match (&*before(rest), &*word) {
        ("connection", "string")
        | ("amz", "signature")
        | ("pin" | "recovery" | "backup", "code")
        | ("recovery" | "backup", "codes") => return true,
        _ => {}
    }
    while TRAILERS.contains(&&*word) || word.bytes().all(|b| b.is_ascii_digit()) {
        let (shorter, earlier) = split_last(rest);
        if earlier.is_empty() {
            break;
        }
        (rest, word) = (shorter, earlier);
    }
    let is_key = word == "key" && KEYS.contains(&&*before(rest));
    is_key || LAST.binary_search(&&*word).is_ok() || ENDS.iter().any(|end| word.ends_with(end))
}

/// Three letters of each word of [`LAST`], of `key`, `connection string` and `amz-signature`.
const TELLING: &[&[u8; 3]] = &[
    b"ass", b"aut", b"bea", b"con", b"coo", b"cre", b"doc", b"dsn", b"jwt", b"key", b"pas", b"pwd",
    b"sec", b"sig", b"tok", b"otp", b"ses", b"ode",
];

/// Nearly no name has one of them, and to part it into words costs far more.
static QUICK: LazyLock<Quick> = LazyLock::new(|| Quick::new(TELLING));

/// What stands before the last word of `name`, and that word in lower case; empty if there is none.
/// Words are parted at anything but letters and digits, and at `aB`.
fn split_last(name: &str) -> (&str, Cow<'_, str>) {
    let name = name.trim_end_matches(|c: char| !c.is_alphanumeric());
    let mut start = name.len();
    let mut is_upper = false;
    for (at, c) in name.char_indices().rev() {
        let ends_word = !c.is_alphanumeric() || (is_upper && (c.is_lowercase() || c.is_numeric()));
        if ends_word {
            break;
        }
        is_upper = c.is_uppercase();
        start = at;
    }
    let (rest, word) = name.split_at(start);
    let is_lower = word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (rest, if is_lower { Cow::Borrowed(word) } else { Cow::Owned(word.to_lowercase()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: every word that makes a name a secret's, alone and as the end of another.
    /// Guarantees: the quick look lets all of them through, in either case and in other alphabets.
    #[test]
    fn the_quick_look_misses_nothing() {
        assert!(LAST.is_sorted(), "it is searched");
        for word in LAST.iter().chain(&["key", "connection-string", "amz-signature"]) {
            assert!(
                QUICK.finds(word)
                    && QUICK.finds(&word.to_uppercase())
                    && QUICK.finds(&format!("db_{word}")),
                "{word}"
            );
        }
        // The Kelvin sign is a K.
        assert!(is_secret("api_\u{212a}ey") && !QUICK.finds("objectRef"));
    }

    /// Scenario: names of environment variables, fields, attributes and annotations.
    /// Guarantees: what names a secret is known, and what detectors read is left alone.
    #[test]
    fn names_are_told_apart() {
        for name in [
            "DB_PASSWORD",
            "PASSWORD",
            "MYSQL_PWD",
            "dbpassword",
            "clientSecret",
            "client-key-data",
            "token",
            "apiKey",
            "x-api-key",
            "AWS_SECRET_ACCESS_KEY",
            "http.request.header.authorization",
            "GITHUB_TOKEN_2",
            "ConnectionString",
            "passwordHash",
            ".dockerconfigjson",
            "session_token",
            "auth",
            "X-Amz-Signature",
            "SecretBinary",
            "client_assertion",
            "primaryMasterKey",
            "clientsecret",
            "oauthtoken",
            "bindpass",
            "passcode",
            "cookies",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "authentication.kubernetes.io/credential-id",
            "authentication.kubernetes.io/issued-credential-id",
            "authentication.k8s.io/stale-token",
            "authentication.k8s.io/legacy-token",
            "secretName",
            "secrets",
            "secretRef",
            "accessKeyId",
            "authorization.k8s.io/decision",
            "PASSWORD_FILE",
            "tokenExpirationSeconds",
            "key",
            "value",
            "",
            "data",
            "keyboard",
            "bypass",
            "compass",
            "serviceAccountName",
            "caBundle",
            "resultSignature",
            "userIdentity",
            "keyName",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
