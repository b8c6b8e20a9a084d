//! The credential that a request issued: a token or a certificate, read before secrets are masked.

use durward_schemas::Time;
use durward_schemas::ids::CredentialId;
use durward_schemas::tables::Access;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use x509_parser::pem::Pem;

use crate::hex::hex;
use crate::redact::decode_base64;

/// What the answer says of the credential.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Issued {
    id: Option<CredentialId>,
    to: Option<String>,
    expires: Option<Time>,
    audience: Option<Vec<String>>,
    pod_uid: Option<String>,
}

impl Issued {
    /// Reads the answer to a `TokenRequest`, or to the signing of a `CertificateSigningRequest`.
    pub(super) fn read(event: &Map<String, Value>) -> Self {
        let object = event.get("objectRef");
        let named = |key: &str| object.and_then(|object| object.get(key)).and_then(Value::as_str);
        let write = matches!(event.get("verb").and_then(Value::as_str), Some("update" | "patch"));
        if named("resource") == Some("certificatesigningrequests") {
            let is_signing = write && named("subresource") == Some("status");
            return if is_signing {
                certificate(event).unwrap_or_default()
            } else {
                Self::default()
            };
        }
        token(event.get("responseObject"))
    }

    /// Sets the columns; the annotation of the API server wins over the answer's own id.
    pub(super) fn fill(self, access: &mut Access) {
        access.issued_credential_id = access.issued_credential_id.take().or(self.id);
        let is_token = access.resource.as_deref() == Some("serviceaccounts")
            && access.subresource.as_deref() == Some("token");
        if access.issued_credential_id.is_none() {
            return;
        }
        let account = access.object_namespace.as_ref().zip(access.object_name.as_ref());
        let account = account.filter(|_| is_token);
        let of_object =
            account.map(|(space, name)| format!("system:serviceaccount:{space}:{name}"));
        access.issued_to = self.to.or(of_object);
        access.issued_expires_time = self.expires;
        access.issued_audience = self.audience;
        access.issued_pod_uid = self.pod_uid;
    }
}

/// The claims of the token, where the answer was logged; else what the answer says beside it.
/// <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/>
fn token(answer: Option<&Value>) -> Issued {
    let Some(answer) = answer else { return Issued::default() };
    let token = answer.pointer("/status/token").and_then(Value::as_str);
    let claims = token.and_then(claims_of).unwrap_or_default();
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let expires =
        claims.get("exp").and_then(Value::as_i64).map(|seconds| seconds.saturating_mul(1_000_000));
    let told = text(answer.pointer("/status/expirationTimestamp"));
    let bound = answer.pointer("/spec/boundObjectRef").filter(|bound| bound["kind"] == "Pod");
    Issued {
        // API servers before 1.30 have no annotation for it.
        id: text(claims.get("jti")).map(|id| CredentialId(format!("JTI={id}"))),
        to: text(claims.get("sub")),
        expires: expires.map(Time).or_else(|| Time::parse(&told?)),
        audience: texts(claims.get("aud")).or_else(|| texts(answer.pointer("/spec/audiences"))),
        pod_uid: text(claims.pointer("/kubernetes.io/pod/uid"))
            .or_else(|| text(bound.and_then(|bound| bound.get("uid")))),
    }
}

fn claims_of(token: &str) -> Option<Value> {
    serde_json::from_slice(&decode_base64(token.split('.').nth(1)?)?).ok()
}

/// One text, or a list of them.
fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    let list = match value? {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => {
            items.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect()
        }
        _ => return None,
    };
    Some(list).filter(|list| !list.is_empty())
}

/// The certificate that a signer wrote into `status`: the API server names whoever shows it by the
/// SHA-256 of its DER form, as it names tokens by their JTI (KEP-4193).
fn certificate(event: &Map<String, Value>) -> Option<Issued> {
    let body = |name: &str| event.get(name)?.pointer("/status/certificate")?.as_str();
    let encoded = body("responseObject").or_else(|| body("requestObject"))?;
    let text = decode_base64(encoded)?;
    let leaf = Pem::iter_from_buffer(&text).find_map(Result::ok)?;
    let digest = hex(&Sha256::digest(&leaf.contents));
    let parsed = leaf.parse_x509().ok()?;
    let mut common = parsed.subject().iter_common_name();
    let seconds = parsed.validity().not_after.timestamp();
    Some(Issued {
        id: Some(CredentialId(format!("X509SHA256={digest}"))),
        to: common.next().and_then(|name| name.as_str().ok()).map(str::to_owned),
        expires: Some(Time(seconds.saturating_mul(1_000_000))),
        ..Issued::default()
    })
}
