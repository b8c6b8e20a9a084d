//! Whom a `CertificateSigningRequest` asks a certificate for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// DER of the attribute types commonName and organizationName, which Kubernetes reads as user and groups.
/// <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates>
const NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
const ORGANIZATION: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x0a];

/// Names and organizations of the subject in `body.spec.request`; empty if it cannot be read.
pub(crate) fn subjects(body: &Value) -> Vec<String> {
    let request = body.pointer("/spec/request").and_then(Value::as_str);
    let Some(der) = request.and_then(der) else { return Vec::new() };
    (0..der.len()).filter_map(|at| attribute(der.get(at..)?)).collect()
}

/// `spec.request` is base64 of PEM, which is base64 of DER between two lines.
fn der(request: &str) -> Option<Vec<u8>> {
    let pem = String::from_utf8(STANDARD.decode(request).ok()?).ok()?;
    let lines = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    STANDARD.decode(lines.collect::<String>()).ok()
}

/// The text of the attribute that `der` begins with: type, tag of a string, short length, text.
fn attribute(der: &[u8]) -> Option<String> {
    let rest = der.strip_prefix(&NAME).or_else(|| der.strip_prefix(&ORGANIZATION))?;
    let [_tag, length, rest @ ..] = rest else { return None };
    let text = rest.get(..usize::from(*length))?;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(request: &str, expected: &[&str]) {
        assert_eq!(subjects(&json!({"spec": {"request": request}})), expected);
    }

    /// Scenario: the names of a real request's subject, and texts that are no request.
    /// Guarantees: user and groups are read; what cannot be read gives nothing.
    #[test]
    fn user_and_groups_are_read() {
        let mut der = vec![0x30, 0x30, 0x31, 0x17, 0x30, 0x15];
        der.extend(ORGANIZATION);
        der.extend([0x0c, 14]);
        der.extend(b"system:masters");
        der.extend([0x31, 0x0d, 0x30, 0x0b]);
        der.extend(NAME);
        der.extend([0x0c, 4]);
        der.extend(b"eve!");
        let pem = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
            STANDARD.encode(der)
        );
        check(&STANDARD.encode(pem), &["system:masters", "eve!"]);
        check("", &[]);
        check("!", &[]);
        check(&STANDARD.encode("no PEM"), &[]);
    }
}
