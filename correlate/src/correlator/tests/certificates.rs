//! Client certificates that were signed under our eyes: request, approval, signing, use.

use durward_schemas::values::Provider;

use super::*;

const CERTIFICATE: &str = "X509SHA256=d3a248b1";

/// A signer's write of the certificate into its request; the API server wrote who had asked, and with what.
fn signing(second: i64, asked_by: &str, with: Option<&str>) -> Access {
    let extra = with
        .map(|id| format!(r#","extra":{{"authentication.kubernetes.io/credential-id":["{id}"]}}"#));
    let body = format!(
        r#"{{"spec":{{"username":"{asked_by}"{}}},"status":{{"certificate":"LS0t"}}}}"#,
        extra.unwrap_or_default()
    );
    let signer = "system:serviceaccount:kube-system:certificate-controller";
    Access {
        api_group: Some("certificates.k8s.io".into()),
        subresource: Some("status".into()),
        object_namespace: None,
        issued_credential_id: Some(CredentialId::from(CERTIFICATE)),
        issued_to: Some("mallory".into()),
        issued_expires_time: Some(at(3_600)),
        response_object: Some(Json(body)),
        ..request(second, signer, "update", "certificatesigningrequests", "mallory")
    }
}

fn used(second: i64) -> Access {
    Access {
        credential_id: Some(CredentialId::from(CERTIFICATE)),
        credential_kind: Some(CredentialKind::ClientCertificate),
        ..request(second, "mallory", "list", "secrets", "")
    }
}

/// Scenario: a pod's token asks for a certificate in another's name; it is signed and used. Another's
/// answer does not say with which credential it was asked for.
/// Guarantees: the certificate came from that token, whichever row arrives first; without a credential id
/// who asked is known all the same.
#[test]
fn a_signed_certificate_came_from_the_credential_that_asked_for_it() {
    let with_id =
        [mint(1, "kubelet", "X509SHA256=0", "JTI=1"), signing(5, FRONTEND, Some("JTI=1")), used(9)];
    let found = links::told(&with_id, 9, Edge::Lineage).expect("a lineage");
    assert_eq!(found["minted_by"], FRONTEND);
    assert_eq!(found["minted_by_credential_id"], "JTI=1");
    assert_eq!((&found["lineage_depth"], &found["lineage_evidence"]), (&2.into(), &"exact".into()));
    let without_id = [signing(5, "alice", None), used(9)];
    let found = links::told(&without_id, 9, Edge::Lineage).expect("a lineage");
    assert_eq!(found["minted_by"], "alice");
    assert_eq!(found["minted_by_credential_id"], serde_json::Value::Null);
}

/// Scenario: at level Metadata the answer to the signing is not logged.
/// Guarantees: where the certificate came from is unknown.
#[test]
fn what_was_not_logged_is_unknown() {
    let unseen =
        Access { issued_credential_id: None, issued_to: None, ..signing(5, "alice", None) };
    assert_eq!(links::told(&[unseen, used(9)], 9, Edge::Lineage), None);
}

/// One line of a SPIRE server about a signing; the line that ends the call has no serial number.
fn svid(second: i64, issued: &str, holder: &str, expires: i64, stage: Option<&str>) -> Access {
    let name = if stage.is_some() { "expiration" } else { "expires_at" };
    let micros = at(expires).0 + if stage.is_some() { 0 } else { 999 };
    let time = chrono::DateTime::from_timestamp_micros(micros).expect("a time").to_rfc3339();
    Access {
        provider: Provider::Spire,
        verb: Some("BatchNewX509SVID".into()),
        stage: stage.map(Into::into),
        issued_credential_id: Some(CredentialId::from(issued)),
        response_object: Some(Json(format!(r#"{{"{name}":"{time}"}}"#))),
        ..request(second, "spiffe://shop.test/agent", "BatchNewX509SVID", "svids", holder)
    }
}

/// Scenario: SPIRE tells two signings, each by a line with the serial number and by the one that ends the
/// call, and a third by the latter alone.
/// Guarantees: each signing is one credential, which the end of its call names; another holder, or another
/// end, is another signing.
#[test]
fn one_signing_is_one_credential() {
    let (cart, shop) = ("spiffe://shop.test/cart", "spiffe://shop.test/shop");
    let rows = [
        svid(1, "X509SERIAL=1", cart, 60, Some("Signed")),
        svid(2, "X509CSR=a", cart, 60, None),
        svid(3, "X509SERIAL=2", shop, 60, Some("Signed")),
        svid(4, "X509CSR=b", shop, 60, None),
        svid(5, "X509CSR=c", shop, 90, None),
    ];
    let mut correlator = Correlator::default();
    let turns = play(&mut correlator, rows.to_vec(), &[1]);
    let minted = turns.iter().flat_map(|turn| &turn.credentials);
    let minted: Vec<_> = minted.map(|found| found.credential_id.as_str()).collect();
    assert_eq!(minted, ["X509SERIAL=1", "X509SERIAL=2", "X509CSR=c"]);
    let ended = turns.iter().flat_map(|turn| &turn.accesses).filter(|row| row.judged);
    let ended: Vec<_> = ended.filter_map(|row| row.issued_credential_id.clone()).collect();
    assert_eq!(ended, ["X509SERIAL=1", "X509SERIAL=2", "X509CSR=c"].map(CredentialId::from));
}
