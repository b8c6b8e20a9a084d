//! Entries of the KMIP engine of Vault Enterprise: what clients asked of its keys, each with a certificate.
//!
//! Messages are trees of tags, types and values, as JSON:
//! <https://docs.oasis-open.org/kmip/kmip-spec/v2.1/os/kmip-spec-v2.1-os.html>. Only what names nothing secret
//! is read; of the rest markers stay. <https://developer.hashicorp.com/vault/docs/secrets/kmip>

use durward_schemas::cell::Json;
use durward_schemas::ids::{EventId, RequestKey};
use durward_schemas::tables::Access;
use durward_schemas::time::Time;
use durward_schemas::values::{CredentialKind, Decision, IdentityKind, Outcome, Provider};
use serde_json::{Map, Value};

use super::super::fields::Fields;
use super::super::{Context, Failure, Format, mesh};
use crate::canonical;
use crate::normalize;

/// Operations by their numbers, from one on (section 11.36 of KMIP 2.1, `Operation Enumeration`).
const OPERATIONS: &[&str] = &[
    "Create",
    "CreateKeyPair",
    "Register",
    "ReKey",
    "DeriveKey",
    "Certify",
    "ReCertify",
    "Locate",
    "Check",
    "Get",
    "GetAttributes",
    "GetAttributeList",
    "AddAttribute",
    "ModifyAttribute",
    "DeleteAttribute",
    "ObtainLease",
    "GetUsageAllocation",
    "Activate",
    "Revoke",
    "Destroy",
    "Archive",
    "Recover",
    "Validate",
    "Query",
    "Cancel",
    "Poll",
    "Notify",
    "Put",
    "ReKeyKeyPair",
    "DiscoverVersions",
    "Encrypt",
    "Decrypt",
    "Sign",
    "SignatureVerify",
    "MAC",
    "MACVerify",
    "RNGRetrieve",
    "RNGSeed",
    "Hash",
    "CreateSplitKey",
    "JoinSplitKey",
    "Import",
    "Export",
];

/// `Result Reason Enumeration`: who is refused, by authentication and by permission.
const NOT_AUTHENTICATED: usize = 3;
const NOT_PERMITTED: usize = 12;

/// What a message says, read before its values are masked.
#[derive(Debug)]
pub(super) struct Said {
    is_answer: bool,
    operation: Option<String>,
    object: Option<String>,
    status: Option<usize>,
    reason: Option<usize>,
}

impl Said {
    /// What an entry says, if it is one of this engine.
    pub(super) fn of(entry: &Map<String, Value>) -> Option<Self> {
        let is_answer = match entry.get("type")?.as_str()? {
            "kmip-request" => false,
            "kmip-response" => true,
            _ => return None,
        };
        let data = |half: &str| entry.get(half)?.get("data");
        let asked = |tag: &str| data("request").and_then(|data| find(data, tag));
        let answered = |tag: &str| data("response").and_then(|data| find(data, tag));
        let operation = asked("Operation").map(|text| {
            let name = number(text).and_then(|number| OPERATIONS.get(number.checked_sub(1)?));
            name.map_or(text, |name| *name).to_owned()
        });
        Some(Self {
            is_answer,
            operation,
            object: asked("UniqueIdentifier").map(str::to_owned),
            status: answered("ResultStatus").and_then(number),
            reason: answered("ResultReason").and_then(number),
        })
    }

    /// What was decided, by what, and how it ended: an operation may be pending, which is no failure.
    fn decided(&self) -> (Decision, Option<&'static str>, Outcome) {
        match (self.status, self.reason) {
            _ if !self.is_answer => (Decision::Unknown, None, Outcome::Success),
            (Some(0), _) => (Decision::Allow, None, Outcome::Success),
            (Some(1), Some(NOT_AUTHENTICATED)) => {
                (Decision::Deny, Some("authentication"), Outcome::Failure)
            }
            (Some(1), Some(NOT_PERMITTED)) => (Decision::Deny, None, Outcome::Failure),
            (Some(2), _) => (Decision::Unknown, None, Outcome::Success),
            _ => (Decision::Unknown, None, Outcome::Failure),
        }
    }
}

/// The first value under a tag.
fn find<'a>(node: &'a Value, tag: &str) -> Option<&'a str> {
    match node {
        Value::Array(nodes) => nodes.iter().find_map(|node| find(node, tag)),
        Value::Object(fields) if fields.get("tag").is_some_and(|found| found == tag) => {
            fields.get("value")?.as_str()
        }
        Value::Object(fields) => fields.values().find_map(|node| find(node, tag)),
        _ => None,
    }
}

/// `0x0000001e`
fn number(text: &str) -> Option<usize> {
    usize::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// The row of an entry, whose secrets are masked.
pub(super) fn access(
    said: Said,
    entry: Map<String, Value>,
    context: &Context<'_>,
) -> Result<Access, Failure> {
    let told = context.text_of_fields(&entry);
    let mut entry = Fields::new(entry);
    let mut request = entry.object("request")?;
    let response = entry.object("response")?;
    entry.take("type");
    let serial = request.text("client_certificate_serial_number")?;
    let (decision, by, outcome) = said.decided();
    let mut access = Access {
        provider: Provider::Vault,
        cluster: context.cluster.map(str::to_owned),
        source: context.source.to_owned(),
        format: Format::Vault.name().to_owned(),
        class_uid: normalize::API_ACTIVITY,
        api_group: Some("kmip".to_owned()),
        stage: Some(if said.is_answer { "response" } else { "RequestReceived" }.to_owned()),
        status_reason: said.reason.map(|reason| format!("0x{reason:08x}")),
        source_ip: request.get("remote_address").and_then(Value::as_str).and_then(mesh::ip),
        credential_id: serial.as_deref().and_then(mesh::serial_of_decimal),
        credential_kind: serial.is_some().then_some(CredentialKind::ClientCertificate),
        identity_kind: IdentityKind::Unknown,
        decision,
        decided_by: by.map(str::to_owned),
        outcome,
        verb: said.operation,
        object_name: said.object,
        ..Access::default()
    };
    access.activity_id = normalize::activity_of(access.verb.as_deref().unwrap_or_default());
    let claim = entry.text("time")?;
    let for_ids = mesh::set_time(&mut access, claim.as_deref(), context);
    access.request_object = request.take("data").map(|data| Json(canonical::sorted(&data)));
    access.response_object = response.rest(None);
    entry.keep("request", request);
    access.unmapped = entry.rest(None);
    access.event_id = EventId::of(for_ids, context.cluster, told.as_bytes());
    // Nothing that both entries have tells one request on a connection from the next.
    let (id, verb) = (access.event_id.as_str(), access.verb.as_deref().unwrap_or_default());
    access.request_key = RequestKey::of(context.cluster, id, Time::default(), "", verb, "");
    Ok(access)
}
