//! What one attacker makes very much of puts out nothing that is known of others.
//!
//! `just prove eviction` does the same with ten million keys of each.

use durward_schemas::Time;
use durward_schemas::tables::{Access, Credential};
use durward_schemas::time::{DAY, SECOND};
use durward_schemas::values::{Decision, IdentityKind, severity};

use super::first_seen::FirstSeen;
use super::reused_audit_id::ReusedAuditId;
use super::secrets_enumerated::SecretsEnumerated;
use super::two_addresses::TwoAddresses;
use super::{Detector, Hit, Seen};
use crate::lineage::Lineage;
use crate::settings::Settings;

const VICTIM: &str = "system:serviceaccount:payments:ledger";

/// Keys that the attacker makes: more than any memory holds.
fn keys() -> usize {
    let told = std::env::var("DURWARD_PROVE_KEYS").ok();
    told.and_then(|text| text.parse().ok()).unwrap_or(51_000)
}

/// A request of a workload at so many seconds.
fn row(account: &str, second: i64) -> Access {
    let parts: Vec<&str> = account.split(':').collect();
    Access {
        judged: true,
        time: Time(second * SECOND),
        cluster: Some("prod".into()),
        identity: Some(account.into()),
        identity_kind: IdentityKind::ServiceAccount,
        namespace: parts.get(2).map(|name| (*name).to_owned()),
        service_account: parts.get(3).map(|name| (*name).to_owned()),
        verb: Some("get".into()),
        resource: Some("configmaps".into()),
        decision: Decision::Allow,
        ..Access::default()
    }
}

fn account(at: usize) -> String {
    format!("system:serviceaccount:attacker:a{at}")
}

fn with_token(row: Access, token: &str, address: &str) -> Access {
    Access {
        credential_id: Some(token.into()),
        pod: Some("p".into()),
        pod_uid: Some(format!("uid of {token}")),
        source_ip: Some(address.into()),
        ..row
    }
}

fn hits(judge: &mut dyn Detector, row: &Access) -> Vec<Hit> {
    judge.judge(Seen::of(row))
}

/// Scenario: a token is used from its pod; its thief uses very many tokens of his own from two addresses, and then
/// the stolen one from his.
/// Guarantees: the theft is found, and it is high.
#[test]
fn eviction_by_tokens_of_ones_own() {
    let mut judge = TwoAddresses::default();
    assert_eq!(hits(&mut judge, &with_token(row(VICTIM, 0), "JTI=v", "10.0.0.1")), []);
    for at in 0..keys() {
        let token = format!("JTI={at}");
        for address in ["10.9.9.9", "198.51.100.7"] {
            hits(&mut judge, &with_token(row(&account(0), 1), &token, address));
        }
    }
    let theft = hits(&mut judge, &with_token(row(VICTIM, 2), "JTI=v", "198.51.100.7"));
    assert_eq!(theft.first().map(|hit| hit.severity_id), Some(severity::HIGH));
}

/// Scenario: a token is minted for another; its thief mints very many tokens.
/// Guarantees: who minted the first one is still known.
#[test]
fn eviction_by_mintings_of_ones_own() {
    let mut lineage = Lineage::default();
    let minted = |id: &str, by: &str| Credential {
        credential_id: id.into(),
        cluster: Some("prod".into()),
        issued_by: Some(by.into()),
        ..Credential::default()
    };
    let backup = "system:serviceaccount:ops:backup";
    lineage.learn(&minted("JTI=v", backup));
    for at in 0..keys() {
        lineage.learn(&minted(&format!("JTI={at}"), &account(0)));
    }
    let used = Access { minted_by: Some("x".into()), ..with_token(row(VICTIM, 1), "JTI=v", "a") };
    assert_eq!(lineage.root(&used).as_deref(), Some(backup));
}

/// Scenario: a workload is known for two days, as its peers are; somebody makes very many ServiceAccounts in his
/// namespace, each of which asks for something; then the workload does something new.
/// Guarantees: what is known of the workload is not learned again.
#[test]
fn eviction_by_identities_of_ones_own() {
    let mut judge = FirstSeen::new(&Settings::default());
    let mut secrets = SecretsEnumerated::default();
    for at in 0..30 {
        hits(&mut judge, &row(&format!("system:serviceaccount:shop:s{at}"), 0));
    }
    hits(&mut judge, &row(VICTIM, 0));
    hits(&mut secrets, &row(VICTIM, 0));
    for at in 0..keys() {
        let row = row(&account(at), DAY / SECOND);
        hits(&mut judge, &row);
        hits(&mut secrets, &row);
    }
    let after = 2 * DAY / SECOND;
    let secret = |at: i64| Access {
        resource: Some("secrets".into()),
        object_namespace: Some(format!("n{}", at % 4)),
        object_name: Some(format!("s{at}")),
        ..row(VICTIM, after + at)
    };
    let new = hits(&mut judge, &secret(0));
    assert_eq!(new.first().map(|hit| hit.learning), Some(false));
    let severities = (0..8).flat_map(|at| hits(&mut secrets, &secret(at)));
    assert_eq!(severities.last().map(|hit| hit.severity_id), Some(severity::MEDIUM));
}

/// Scenario: a request is seen under its audit id; somebody makes very many requests with ids of his own, and then
/// one with the first id.
/// Guarantees: the id is known to be reused.
#[test]
fn eviction_by_audit_ids_of_ones_own() {
    let mut judge = ReusedAuditId::default();
    let with_id = |account: &str, id: String| Access {
        source_event_id: Some(id),
        request_uri: Some("/x".into()),
        ..row(account, 0)
    };
    hits(&mut judge, &with_id(VICTIM, "first".into()));
    for at in 0..2 * keys() {
        hits(&mut judge, &with_id(&account(0), format!("own {at}")));
    }
    assert_eq!(hits(&mut judge, &with_id(&account(0), "first".into())).len(), 1);
}
