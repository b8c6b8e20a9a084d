//! Who called AWS: `userIdentity` in, the columns of identity and credential out.
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html>

use durward_schemas::Identity;
use durward_schemas::ids::CredentialId;
use durward_schemas::tables::Access;
use durward_schemas::values::{CredentialKind, IdentityKind, Provider};
use serde_json::{Map, Value};

use super::super::cloud::stored;
use super::super::fields::Fields;
use super::text_at;
use crate::redact::MARKER;

/// The service that mints the sessions of EKS Pod Identity. Only what it says of pods is believed:
/// anybody who assumes a role can put any tags on the session.
const POD_IDENTITY: &str = "pods.eks.amazonaws.com";

/// Which spelling `userIdentity` has.
const SPELLING: &[&str] = &[
    "principalId",
    "accountId",
    "accessKeyId",
    "userName",
    "sessionContext",
    "invokedBy",
    "identityProvider",
    "onBehalfOf",
    "credentialId",
];

/// The spelling of what is inside a session.
const IN_SESSION: &[&str] =
    &["sessionIssuer", "webIdFederationData", "sourceIdentity", "inScopeOf", "ec2RoleDelivery"];

/// The pod that a session is minted for, by its tags.
/// <https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html>
#[derive(Debug, Default)]
pub(super) struct Session {
    namespace: Option<String>,
    service_account: Option<String>,
    pod: Option<String>,
    pod_uid: Option<String>,
}

/// Reads the tags before anything is redacted: names of pods look drawn by lot.
pub(super) fn session_tags(event: &Map<String, Value>) -> Session {
    let invoked_by = text_at(event, "userIdentity", "/invokedBy");
    let kind = text_at(event, "userIdentity", "/type");
    let tags = event.get("requestParameters").and_then(|body| body.get("tags")?.as_array());
    let is_pod_identity =
        invoked_by.as_deref() == Some(POD_IDENTITY) && kind.as_deref() == Some("AWSService");
    let Some(tags) = tags.filter(|_| is_pod_identity) else { return Session::default() };
    let tag = |name: &str| {
        let tag = tags.iter().find(|tag| tag["key"] == name)?;
        tag.get("value")?.as_str().map(str::to_owned)
    };
    Session {
        namespace: tag("kubernetes-namespace"),
        service_account: tag("kubernetes-service-account"),
        pod: tag("kubernetes-pod-name"),
        pod_uid: tag("kubernetes-pod-uid"),
    }
}

impl Session {
    pub(super) fn fill(self, access: &mut Access) {
        access.namespace = access.namespace.take().or(self.namespace);
        access.service_account = access.service_account.take().or(self.service_account);
        access.pod = self.pod;
        access.pod_uid = self.pod_uid;
    }
}

/// Fills who called. What a caller said whose proof was refused is nobody's, and stays unmapped.
pub(super) fn who(access: &mut Access, event: &mut Fields) {
    if access.identity_kind == IdentityKind::Unauthenticated {
        return;
    }
    event.inside("userIdentity", |user| {
        user.spell(SPELLING);
        user.inside("sessionContext", |session| session.spell(IN_SESSION));
        let identity = identity(user);
        if let Some((namespace, name)) = identity.service_account() {
            access.namespace = Some(namespace.to_owned());
            access.service_account = Some(name.to_owned());
        }
        access.identity_kind = identity.kind;
        access.identity_realm = identity.realm;
        access.identity = identity.name;
        credential(access, user);
        access.identity_uid = user.text_if("principalId");
        access.extra = user.take("sessionContext").as_ref().map(stored);
        for taken in ["type", "arn", "accountId", "invokedBy", "identityProvider", "userName"] {
            drop_if_told(user, taken, access);
        }
    });
}

/// Drops a field that a column tells in full.
fn drop_if_told(user: &mut Fields, key: &str, access: &Access) {
    let value = user.get(key).and_then(Value::as_str);
    let columns = [&access.identity, &access.identity_realm, &access.account];
    if value.is_some_and(|value| columns.iter().any(|column| column.as_deref() == Some(value))) {
        user.take(key);
    }
}

fn text(user: &Fields, path: &str) -> Option<String> {
    let (key, rest) = path.get(1..)?.split_once('/').map_or((path.get(1..)?, ""), |parts| parts);
    let value = user.get(key)?;
    let value = if rest.is_empty() { Some(value) } else { value.pointer(&format!("/{rest}")) };
    value?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Who that is, by the type that AWS gives.
fn identity(user: &Fields) -> Identity {
    let kind = text(user, "/type").unwrap_or_default();
    let arn = text(user, "/sessionContext/sessionIssuer/arn").filter(|_| kind == "AssumedRole");
    // The issuer of a session is the role with its path; the ARN of the session has none.
    let arn = arn.or_else(|| text(user, "/arn"));
    let by_service = || text(user, "/invokedBy");
    match kind.as_str() {
        "WebIdentityUser" | "SAMLUser" => {
            let issuer = text(user, "/identityProvider");
            vouched_for(issuer.as_deref().map(issuer_of), text(user, "/userName"))
        }
        "IdentityCenterUser" => {
            let store = text(user, "/onBehalfOf/identityStoreArn");
            vouched_for(store.as_deref(), text(user, "/onBehalfOf/userId"))
        }
        "AWSService" if by_service().is_some() => {
            Identity::parse(Provider::Aws, None, &by_service().unwrap_or_default())
        }
        _ => match (arn, by_service()) {
            (Some(arn), _) => Identity::parse(Provider::Aws, None, &arn),
            (None, Some(service)) if text(user, "/principalId").is_none() => {
                Identity::parse(Provider::Aws, None, &service)
            }
            (None, _) => of_other_account(user),
        },
    }
}

/// Somebody whom `realm` vouches for; without a name it is nobody.
fn vouched_for(realm: Option<&str>, name: Option<String>) -> Identity {
    match name {
        Some(name) => Identity::federated(realm, &name),
        None => Identity { realm: realm.map(str::to_owned), ..Identity::default() },
    }
}

/// `arn:aws:iam::123456789012:oidc-provider/oidc.eks...` is the issuer behind the slash.
fn issuer_of(provider: &str) -> &str {
    provider.split_once("oidc-provider/").map_or(provider, |(_, issuer)| issuer)
}

/// Of a caller from another account only the account and the unique id are told, and of a role's
/// session after a colon its name.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes>
fn of_other_account(user: &Fields) -> Identity {
    let account = text(user, "/accountId");
    if account.as_deref() == Some("ANONYMOUS_PRINCIPAL") {
        let name = Some("anonymous".to_owned());
        return Identity { kind: IdentityKind::Anonymous, realm: None, name };
    }
    // Of a caller that is unknown the account stands for the id.
    let kind = text(user, "/type").unwrap_or_default();
    let id =
        text(user, "/principalId").filter(|id| kind != "Unknown" || Some(id) != account.as_ref());
    // The id of an access key is told of some callers in the place of theirs; redaction takes it for a
    // secret there, and nothing that it leaves is a name.
    let id = id.filter(|id| !id.starts_with(MARKER));
    let id = id.map(|id| id.split(':').next().unwrap_or_default().to_owned());
    if let (None, "IAMUser", Some(name)) = (&id, kind.as_str(), text(user, "/userName")) {
        return Identity { kind: IdentityKind::AwsUser, realm: account, name: Some(name) };
    }
    let kind = match id.as_deref().and_then(|id| id.get(..4)) {
        Some("AROA") => IdentityKind::AwsRole,
        Some("AIDA") => IdentityKind::AwsUser,
        _ => IdentityKind::Unknown,
    };
    Identity { kind, realm: account, name: id }
}

/// What was shown. The first letters of an access key id tell whether it is temporary.
fn credential(access: &mut Access, user: &mut Fields) {
    let kind = text(user, "/type");
    let key = user.text_if("accessKeyId").or_else(|| user.text_if("credentialId"));
    access.credential_kind = match key.as_deref().and_then(|key| key.get(..4)) {
        Some("ASIA") => Some(CredentialKind::CloudSession),
        Some("AKIA") => Some(CredentialKind::CloudStaticKey),
        Some(_) => Some(CredentialKind::Unknown),
        None if kind.as_deref() == Some("WebIdentityUser") => Some(CredentialKind::OidcToken),
        None if access.identity_kind == IdentityKind::Anonymous => Some(CredentialKind::None),
        None => None,
    };
    access.credential_id = key.map(CredentialId);
}
