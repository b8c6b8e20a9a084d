//! Which credential minted which, and whose they are.

use std::collections::{BTreeMap, BTreeSet};

use durward_schemas::ids::CredentialId;
use durward_schemas::shares::{self, Shares};
use durward_schemas::tables::{Access, Credential};
use durward_schemas::time::SECOND;
use durward_schemas::values::{CredentialKind, Evidence, IdentityKind, Provider};
use durward_schemas::{Identity, Time};

use crate::body::{self, TokenRequest};
use crate::state::workloads::{Account, Forgotten};
use crate::state::{cloud_key, cloud_session, svid, vault_token};

/// One credential of one cluster, or of none if its id is unique everywhere.
type Key = (Option<String>, CredentialId);

/// A chain longer than this is a loop or an attack on the reader.
const DEEPEST: u8 = 64;

/// Tokens rotate every hour: the oldest leave first, and live on in the lake. They are those of whoever has most
/// minted, or uses most, so that nobody who mints much puts out the credentials of others.
const MOST_CREDENTIALS: usize = 200_000;

/// The line that ends the signing of one SVID follows it, among those of others.
const SIGNED_TOGETHER: usize = 100;

/// Every credential that was seen minted or used.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Credentials {
    known: BTreeMap<Key, Credential>,
    /// By the number of its coming.
    order: BTreeMap<u64, Key>,
    came: BTreeMap<Key, u64>,
    shares: Shares<Key>,
    most: Most,
    forgotten: Forgotten,
    minted: BTreeMap<Key, BTreeSet<Key>>,
    /// Credentials by the UID of the pod that they are for, where their uses name none.
    of_pod: BTreeMap<String, BTreeSet<Key>>,
    /// Credentials by the `ServiceAccount` that got them, where their uses name none.
    of_account: BTreeMap<Account, BTreeSet<Key>>,
}

impl Credentials {
    /// The credential, if it was seen.
    pub(crate) fn get(&self, cluster: Option<&str>, id: &CredentialId) -> Option<&Credential> {
        self.known.get(&key_of(cluster, id))
    }

    /// Takes a minting; new versions of the credential and of every one minted from it.
    pub(crate) fn mint(&mut self, access: &Access) -> Vec<Credential> {
        let Some(issued) = issued_by(access) else { return Vec::new() };
        let key = key_of(access.cluster.as_deref(), &issued.credential_id);
        let known = self.known.get(&key);
        if known.is_some_and(|known| known.issued_time.is_some()) {
            return Vec::new();
        }
        let version = known.map_or(1, |known| known.version + 1);
        // A use may have told more than the minting: what the audit policy leaves out of a body.
        let issued = Credential { version, ..with_claims_of(issued, known) };
        self.note_parent(&key, &issued);
        self.keep(&key, issued);
        self.rechain(&key, access)
    }

    /// The id of the SVID whose signing `access` tells again.
    ///
    /// SPIRE writes the serial number into one line, and the end of the same call into another that has
    /// only the hash of what was asked for: their holder, caller and end agree.
    pub(crate) fn signed_again(&self, access: &Access) -> Option<CredentialId> {
        self.signed(access, &issued_by(access)?)
    }

    fn signed(&self, access: &Access, issued: &Credential) -> Option<CredentialId> {
        if access.provider != Provider::Spire
            || !issued.credential_id.as_str().starts_with("X509CSR=")
        {
            return None;
        }
        let newest = self.order.values().rev().take(SIGNED_TOGETHER);
        let known = newest.filter_map(|key| self.known.get(key));
        let mut same = known.filter(|known| {
            let seconds = |time: Option<Time>| time.map(|time| time.0 / SECOND);
            known.credential_id.as_str().starts_with("X509SERIAL=")
                && known.cluster == issued.cluster
                && known.identity == issued.identity
                && known.issued_by == issued.issued_by
                && issued.expires_time.is_some()
                && seconds(known.expires_time) == seconds(issued.expires_time)
        });
        same.next().map(|known| known.credential_id.clone())
    }

    /// Takes a use; the first version of a credential that was never seen before.
    pub(crate) fn use_of(&mut self, access: &Access) -> Option<Credential> {
        let id = access.credential_id.clone()?;
        let key = key_of(access.cluster.as_deref(), &id);
        if self.known.contains_key(&key) {
            return None;
        }
        let seen = Credential {
            credential_id: id,
            version: 1,
            recorded_time: access.ingest_time,
            log_position: access.log_position,
            credential_kind: access.credential_kind.unwrap_or_default(),
            cluster: access.cluster.clone(),
            identity: access.identity.clone(),
            identity_kind: access.identity_kind,
            identity_realm: access.identity_realm.clone(),
            pod: access.pod.clone(),
            pod_uid: access.pod_uid.clone(),
            node: access.node.clone(),
            node_uid: access.node_uid.clone(),
            evidence: Evidence::Derived,
            ..Credential::default()
        };
        self.keep(&key, seen.clone());
        Some(seen)
    }

    /// Everything in the order in which it came, for a checkpoint.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Credential> {
        self.order.values().filter_map(|key| self.known.get(key))
    }

    /// Takes back a credential from a checkpoint.
    pub(crate) fn restore(&mut self, credential: Credential) {
        let key = key_of(credential.cluster.as_deref(), &credential.credential_id);
        self.note_parent(&key, &credential);
        self.keep(&key, credential);
    }

    /// Number of credentials that left for want of room, since the program was started.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.0
    }

    /// Number of credentials held.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Credentials that this pod or this `ServiceAccount` got, whose uses name neither, and all that were
    /// minted with them.
    pub(crate) fn held_by(
        &self,
        pod_uid: Option<&str>,
        account: Option<&Account>,
    ) -> BTreeSet<CredentialId> {
        let of_pod = pod_uid.and_then(|uid| self.of_pod.get(uid));
        let of_account = account.and_then(|account| self.of_account.get(account));
        let mut waiting: Vec<&Key> = of_pod.into_iter().chain(of_account).flatten().collect();
        let mut found = BTreeSet::new();
        while let Some(key) = waiting.pop() {
            if found.insert(key.1.clone()) {
                waiting.extend(self.minted.get(key).into_iter().flatten());
            }
        }
        found
    }

    /// The credential, the one that minted it, and so on to the root.
    pub(crate) fn lineage(
        &self,
        cluster: Option<&str>,
        id: &CredentialId,
    ) -> impl Iterator<Item = &Credential> {
        let keys = std::iter::successors(Some(key_of(cluster, id)), |key| self.parent(key));
        keys.take(DEEPEST.into()).map_while(|key| self.known.get(&key))
    }

    fn note_parent(&mut self, key: &Key, credential: &Credential) {
        if let Some(parent) = &credential.issued_by_credential_id {
            let parent = key_of(credential.cluster.as_deref(), parent);
            self.minted.entry(parent).or_default().insert(key.clone());
        }
    }

    fn index(&mut self, key: &Key) {
        let Some(credential) = self.known.get(key).filter(|known| is_of_cloud(known)) else {
            return;
        };
        if let Some(uid) = &credential.pod_uid {
            self.of_pod.entry(uid.clone()).or_default().insert(key.clone());
        }
        if let Some(account) = account_of(credential) {
            self.of_account.entry(account).or_default().insert(key.clone());
        }
    }

    fn unindex(&mut self, key: &Key) {
        let Some(credential) = self.known.get(key).filter(|known| is_of_cloud(known)) else {
            return;
        };
        if let Some(uid) = &credential.pod_uid {
            remove(&mut self.of_pod, uid, key);
        }
        if let Some(account) = account_of(credential) {
            remove(&mut self.of_account, &account, key);
        }
    }

    fn keep(&mut self, key: &Key, credential: Credential) {
        self.unindex(key);
        let owner = owner_of(&credential);
        let came = match self.known.insert(key.clone(), credential) {
            Some(before) => self.came.get(key).copied().inspect(|came| {
                self.shares.remove(&owner_of(&before), *came);
            }),
            None => None,
        };
        let came = came.unwrap_or_else(|| self.order.last_key_value().map_or(0, |(at, _)| at + 1));
        self.came.insert(key.clone(), came);
        self.order.insert(came, key.clone());
        self.shares.add(&owner, came, key.clone());
        self.index(key);
        if self.order.len() > self.most.0
            && let Some(oldest) = self.shares.give_way()
        {
            self.forgotten.0 += 1;
            self.unindex(&oldest);
            self.came.remove(&oldest).and_then(|came| self.order.remove(&came));
            if let Some(parent) = self.parent(&oldest) {
                remove(&mut self.minted, &parent, &oldest);
            }
            self.known.remove(&oldest);
            self.minted.remove(&oldest);
        }
    }

    /// Root and depth of `key` and of all that came from it, anew.
    fn rechain(&mut self, key: &Key, cause: &Access) -> Vec<Credential> {
        let mut rows = Vec::new();
        let mut waiting = vec![(key.clone(), 0)];
        while let Some((key, steps)) = waiting.pop() {
            let (root, depth) = self.chain(&key);
            let Some(credential) = self.known.get_mut(&key) else { continue };
            if credential.depth == Some(depth)
                && credential.root_credential_id.as_ref() == Some(&root)
            {
                continue;
            }
            if steps > 0 {
                credential.version += 1;
            }
            credential.root_credential_id = Some(root);
            credential.depth = Some(depth);
            credential.recorded_time = cause.ingest_time;
            credential.log_position = cause.log_position;
            rows.push(credential.clone());
            if steps < DEEPEST {
                let children = self.minted.get(&key).into_iter().flatten();
                waiting.extend(children.map(|child| (child.clone(), steps + 1)));
            }
        }
        rows
    }

    /// The first credential of the lineage as far as it is known, and the number of mintings since.
    fn chain(&self, key: &Key) -> (CredentialId, i64) {
        let mut current = key.clone();
        let mut depth = 0;
        while let Some(parent) = self.parent(&current) {
            depth += 1;
            current = parent;
            if depth >= i64::from(DEEPEST) {
                break;
            }
        }
        (current.1, depth)
    }

    fn parent(&self, key: &Key) -> Option<Key> {
        let credential = self.known.get(key)?;
        let parent = credential.issued_by_credential_id.as_ref()?;
        Some(key_of(credential.cluster.as_deref(), parent))
    }
}

/// Access keys of AWS and tokens of Entra are unique everywhere: the cluster that sees one used is not where it was made.
fn key_of(cluster: Option<&str>, id: &CredentialId) -> Key {
    let is_global = ["ASIA", "AKIA", "UTI="].iter().any(|form| id.as_str().starts_with(form));
    (cluster.filter(|_| !is_global).map(Into::into), id.clone())
}

fn is_of_cloud(credential: &Credential) -> bool {
    credential.credential_kind == CredentialKind::CloudSession
}

/// Whose a credential is when there is no more room: who minted it or, where that is not known, who used it first.
fn owner_of(credential: &Credential) -> String {
    let cluster = credential.cluster.as_deref().unwrap_or_default();
    let who =
        credential.issued_by.as_deref().or(credential.identity.as_deref()).unwrap_or_default();
    let account = who.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    let place = account.map_or_else(|| credential.identity_kind.as_str(), |(place, _)| place);
    shares::owner(&[cluster, place, who])
}

/// How many are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Most(usize);

impl Default for Most {
    fn default() -> Self {
        Self(MOST_CREDENTIALS)
    }
}

/// The `ServiceAccount` that got a credential.
pub(crate) fn account_of(credential: &Credential) -> Option<Account> {
    let by = credential.issued_by.as_deref()?.strip_prefix("system:serviceaccount:")?;
    let (namespace, name) = by.split_once(':')?;
    Some(((credential.cluster.clone(), namespace.to_owned()), name.to_owned()))
}

fn remove<K: Ord>(index: &mut BTreeMap<K, BTreeSet<Key>>, at: &K, key: &Key) {
    if let Some(keys) = index.get_mut(at) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(at);
        }
    }
}

/// The credential that a successful access issued.
fn issued_by(access: &Access) -> Option<Credential> {
    match access.provider {
        Provider::Kubernetes if is_certificate(access) => by_signing(access),
        Provider::Kubernetes => by_token_request(access),
        Provider::Aws => cloud_session::issued(access),
        Provider::Azure => by_sign_in(access),
        Provider::Gcp => cloud_key::issued(access),
        Provider::Spire => svid::issued(access),
        Provider::Vault => vault_token::issued(access),
        _ => None,
    }
}

/// What every minting tells of its credential: when, by whom, with what.
pub(super) fn minted(access: &Access) -> Option<Credential> {
    Some(Credential {
        credential_id: access.issued_credential_id.clone()?,
        recorded_time: access.ingest_time,
        log_position: access.log_position,
        cluster: access.cluster.clone(),
        issued_time: Some(access.time),
        issued_by: access.identity.clone(),
        issued_by_credential_id: access.credential_id.clone(),
        issued_event_id: Some(access.event_id.clone()),
        evidence: Evidence::Exact,
        ..Credential::default()
    })
}

/// The credential that a successful `TokenRequest` issued.
fn by_token_request(access: &Access) -> Option<Credential> {
    let minted = minted(access)?;
    let namespace = access.object_namespace.as_deref()?;
    let name = access.object_name.as_deref()?;
    let asked = TokenRequest::read(access.request_object.as_ref());
    let answered = TokenRequest::read(access.response_object.as_ref());
    let bound = asked.spec.bound_object_ref.unwrap_or_default();
    let to_pod = bound.kind.as_deref() == Some("Pod");
    let expires = answered.status.expiration_timestamp.as_deref().and_then(Time::parse);
    let asked_until =
        asked.spec.expiration_seconds.map(|seconds| access.time.plus(seconds * 1_000_000));
    Some(Credential {
        credential_kind: CredentialKind::BoundToken,
        identity: Some(format!("system:serviceaccount:{namespace}:{name}")),
        identity_kind: IdentityKind::ServiceAccount,
        identity_realm: access.identity_realm.clone(),
        expires_time: access.issued_expires_time.or(expires).or(asked_until),
        audiences: Some(asked.spec.audiences)
            .filter(|audiences| !audiences.is_empty())
            .or_else(|| access.issued_audience.clone()),
        pod: bound.name.filter(|_| to_pod),
        pod_uid: bound.uid.filter(|_| to_pod).or_else(|| access.issued_pod_uid.clone()),
        ..minted
    })
}

fn is_certificate(access: &Access) -> bool {
    access.resource.as_deref() == Some("certificatesigningrequests")
}

/// The certificate that a signer signed. Whoever asked for it got it: the API server writes them, and the
/// credential that they asked with, into the request.
/// <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/certificate-signing-request-v1/>
fn by_signing(access: &Access) -> Option<Credential> {
    let minted = minted(access)?;
    let holder = Identity::kubernetes(access.cluster.as_deref(), access.issued_to.as_deref()?);
    let body = access.response_object.as_ref().or(access.request_object.as_ref());
    let spec = body::value(body).get("spec").cloned().unwrap_or_default();
    let asker = spec.get("username").and_then(serde_json::Value::as_str).map(str::to_owned);
    let with = spec.pointer("/extra/authentication.kubernetes.io~1credential-id/0");
    let with = with.and_then(serde_json::Value::as_str).map(CredentialId::from);
    // The signer is a controller, and its credential minted nothing that it could use.
    let signer = asker.is_none().then(|| minted.issued_by.clone()).flatten();
    Some(Credential {
        credential_kind: CredentialKind::ClientCertificate,
        identity: holder.name,
        identity_kind: holder.kind,
        identity_realm: holder.realm,
        expires_time: access.issued_expires_time,
        issued_by: asker.or(signer),
        issued_by_credential_id: with,
        ..minted
    })
}

/// The token that a sign-in to Entra gave to who signed in.
/// <https://learn.microsoft.com/en-us/entra/identity/authentication/how-to-authentication-track-linkable-identifiers>
fn by_sign_in(access: &Access) -> Option<Credential> {
    Some(Credential {
        credential_kind: CredentialKind::CloudSession,
        identity: access.identity.clone(),
        identity_kind: access.identity_kind,
        identity_realm: access.identity_realm.clone(),
        ..minted(access)?
    })
}

fn with_claims_of(issued: Credential, used: Option<&Credential>) -> Credential {
    let Some(used) = used else { return issued };
    Credential {
        pod: issued.pod.or_else(|| used.pod.clone()),
        pod_uid: issued.pod_uid.or_else(|| used.pod_uid.clone()),
        node: issued.node.or_else(|| used.node.clone()),
        node_uid: issued.node_uid.or_else(|| used.node_uid.clone()),
        ..issued
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minting(at: usize, by: &str, token: &str) -> Access {
        Access {
            cluster: Some("prod".into()),
            time: Time(i64::try_from(at).expect("few")),
            identity: Some(by.into()),
            credential_id: Some(CredentialId(format!("JTI=of {by}"))),
            issued_credential_id: Some(token.into()),
            object_namespace: Some("payments".into()),
            object_name: Some("ledger".into()),
            ..Access::default()
        }
    }

    /// Scenario: a token of a workload is minted, then an attacker mints five times as many tokens as are held, with
    /// one of his own.
    /// Guarantees: what is known of the workload's token stays, the attacker's newest do, and nothing of those that left
    /// is kept.
    #[test]
    fn eviction_by_mintings_of_ones_own() {
        let mut credentials = Credentials { most: Most(1_000), ..Credentials::default() };
        let victim: CredentialId = "JTI=victim".into();
        credentials.mint(&minting(0, "system:serviceaccount:ops:backup", victim.as_str()));
        let attacker = "system:serviceaccount:attacker:a";
        let token = |at: usize| format!("JTI={at}");
        for at in 0..5_000 {
            credentials.mint(&minting(at, attacker, &token(at)));
        }
        let known = |id: &str| credentials.get(Some("prod"), &id.into()).is_some();
        assert!(known("JTI=victim") && known(&token(4_999)) && !known(&token(0)));
        assert_eq!(credentials.len(), 1_000);
        let held: usize = credentials.minted.values().map(BTreeSet::len).sum();
        assert_eq!((held, credentials.came.len(), credentials.order.len()), (1_000, 1_000, 1_000));
        assert_eq!(credentials.lineage(Some("prod"), &victim).count(), 1);
    }
}
