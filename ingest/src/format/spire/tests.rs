use std::collections::BTreeMap;

use serde_json::json;

use super::super::{Format, Reading, read};
use super::*;
use crate::lab;
use crate::lab::with_context;

fn reading(input: &str) -> Reading {
    with_context(|context| read(Format::Spire, input.as_bytes(), context))
}

fn access(line: &Value) -> Access {
    let reading = reading(&line.to_string());
    assert_eq!((reading.items(), reading.accesses.len()), (1, 1), "{line}");
    reading.accesses.into_iter().next().unwrap()
}

/// Scenario: the logs of servers and agents in three recordings, JSON and text.
/// Guarantees: each line is an access or a log row; every audit line, every refusal and every
/// signature is an access.
#[test]
fn recordings_are_accounted_for() {
    for name in ["story-json/spire", "spire-text", "spire-rotation"] {
        let Some(files) = lab::mesh(name, ".log") else { return };
        for (file, bytes) in &files {
            assert_eq!(Format::detect(bytes), Some(Format::Spire), "{file}");
            let reading = with_context(|context| read(Format::Spire, bytes, context));
            assert_eq!((reading.rejects.len(), reading.items()), (0, lab::lines(bytes)), "{file}");
            let text = String::from_utf8_lossy(bytes);
            let has = |line: &str, what: &[&str]| what.iter().any(|what| line.contains(what));
            let told = ["type\":\"audit", "type=audit", "Failed to authenticate caller"];
            // What a server signs for itself nobody asked for by a call.
            let signs = |line: &str| line.contains("Signed X509 SVID") && line.contains("service");
            let agents = ["No identity issued", "not authorized for the requested identities"];
            let fetched = ["Fetched X.509 SVID", "Fetched JWT SVID"];
            let all = [&told[..], &agents, &fetched];
            let is_access = |line: &&str| all.iter().any(|what| has(line, what)) || signs(line);
            let audit = text.lines().filter(is_access).count();
            assert_eq!(reading.accesses.len(), audit, "{file}");
        }
    }
}

/// Scenario: the first line of each method and outcome in the story's logs.
/// Guarantees: every column reads as the snapshot says.
#[test]
fn notable_lines_read_as_recorded() {
    let Some(files) = lab::mesh("story-json/spire", ".log") else { return };
    let mut kinds = BTreeMap::new();
    for (_, bytes) in &files {
        for access in with_context(|context| read(Format::Spire, bytes, context)).accesses {
            let kind = (access.verb.clone(), access.decision, access.outcome, access.identity_kind);
            kinds.entry(kind).or_insert(access);
        }
    }
    insta::assert_snapshot!(lab::told(&kinds.into_values().collect::<Vec<_>>()));
}

/// Scenario: one line in text and in JSON.
/// Guarantees: the same row under the same id.
#[test]
fn formats_give_one_row() {
    let line = json!({
        "level": "info", "msg": "API accessed", "type": "audit", "status": "success", "time": "2026-11-23T17:54:38Z",
        "method": "MintX509SVID", "service": "svid.v1.SVID", "request_id": "b9daa256-28ce-4331-8f7b-eef7a7c7e219",
        "caller_uid": 0, "caller_path": "/opt/spire/bin/spire-server", "authorized_as": "local", "dns_name": "",
        "spiffe_id": "spiffe://shop.test/ns/batch/sa/report", "csr": "ab", "ttl": 600, "subsystem_name": "api",
    });
    let text = "time=\"2026-11-23T17:54:38Z\" level=info msg=\"API accessed\" authorized_as=local caller_path=/opt/spire/bin/spire-server \
        caller_uid=0 csr=ab dns_name= method=MintX509SVID request_id=b9daa256-28ce-4331-8f7b-eef7a7c7e219 service=svid.v1.SVID \
        spiffe_id=\"spiffe://shop.test/ns/batch/sa/report\" status=success subsystem_name=api ttl=600 type=audit";
    assert_eq!(reading(text).accesses, [access(&line)]);
}

/// Scenario: calls that are refused: no audit line at all, an item of a batch, an attestation; and
/// calls that fail for other reasons.
/// Guarantees: a refusal is a denial, whoever it was; a mistake is none.
#[test]
fn refusals_are_denials() {
    let check = |more: Value, decision: Decision, by: Option<&str>, reason: Option<&str>| {
        let mut line = json!({"level": "info", "msg": "API accessed", "type": "audit", "status": "error",
            "method": "BatchNewX509SVID", "service": "svid.v1.SVID", "request_id": "1", "time": "2026-11-23T17:54:38Z"});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let access = access(&line);
        assert_eq!((access.decision, access.outcome), (decision, Outcome::Failure), "{line}");
        assert_eq!(
            (access.decided_by.as_deref(), access.status_reason.as_deref()),
            (by, reason),
            "{line}"
        );
        assert_eq!(access.issued_credential_id, None);
    };
    let refused = "rpc error: code = PermissionDenied desc = authorization denied for method /x";
    check(
        json!({"msg": "Failed to authenticate caller", "type": null, "status": null, "error": refused}),
        Decision::Deny,
        None,
        Some("PermissionDenied"),
    );
    check(
        json!({"msg": "Agent is not attested", "type": null, "subsystem_name": "api",
            "error": "rpc error: code = Unauthenticated desc = x"}),
        Decision::Deny,
        Some("authentication"),
        Some("Unauthenticated"),
    );
    check(
        json!({"status_code": 5, "status_message": "entry not found or not authorized"}),
        Decision::Deny,
        None,
        Some("NotFound"),
    );
    check(
        json!({"method": "AttestAgent", "status_code": 3, "status_message": "failed to attest"}),
        Decision::Deny,
        Some("authentication"),
        Some("InvalidArgument"),
    );
    check(
        json!({"method": "BatchCreateEntry", "status_code": 6, "status_message": "similar entry already exists"}),
        Decision::Allow,
        None,
        Some("AlreadyExists"),
    );
}

/// Scenario: agents that a server without audit lines does not attest, in the words of several versions; a
/// caller of whom the server could not find out whether it may.
/// Guarantees: the former are denied by authentication, with a reason; the latter is no decision.
#[test]
fn refusals_without_audit_lines() {
    let check = |more: Value, decision: Decision, by: Option<&str>| {
        let mut line = json!({"level": "error", "method": "AttestAgent", "service": "agent.v1.Agent",
            "subsystem_name": "api", "caller_addr": "10.0.0.7:1", "time": "2026-11-23T17:54:38Z"});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let access = access(&line);
        assert_eq!((access.decision, access.decided_by.as_deref()), (decision, by), "{line}");
        assert!(access.decision_reason.is_some(), "{line}");
        assert_eq!(access.source_ip.as_deref(), Some("10.0.0.7"), "{line}");
    };
    let error = |code: &str| format!("rpc error: code = {code} desc = x");
    let by = Some("authentication");
    check(json!({"msg": "Failed to attest", "error": error("Unknown")}), Decision::Deny, by);
    check(
        json!({"msg": "Failed to attest", "error": error("Unknown"), "caller_addr": null, "caller-addr": "10.0.0.7:1"}),
        Decision::Deny,
        by,
    );
    check(json!({"msg": "Failed to attest", "error": error("Unavailable")}), Decision::Error, by);
    check(json!({"msg": "Failed to attest: agent is banned"}), Decision::Deny, by);
    let used =
        "Invalid argument: failed to attest: join token does not exist or has already been used";
    check(json!({"msg": used}), Decision::Deny, by);
    check(json!({"msg": "Invalid argument: join token expired"}), Decision::Deny, by);
    let unknown = json!({"msg": "Failed to authenticate caller", "method": "SyncAuthorizedEntries",
        "service": "entry.v1.Entry", "error": error("Internal")});
    check(unknown, Decision::Error, None);
}

/// Scenario: a line behind what journald, compose and kubectl write before it.
/// Guarantees: the same row, and the format is recognised.
#[test]
fn prefixes_are_cut_off() {
    let line = "time=\"2026-11-23T17:54:38Z\" level=info msg=\"API accessed\" method=GetBundle service=bundle.v1.Bundle \
        status=success subsystem_name=api type=audit";
    let expect = reading(line).accesses;
    for before in ["Nov 23 17:54:38 a spire-server[7]: ", "spire-server-1  | ", "[pod/a/b] "] {
        let line = format!("{before}{line}");
        assert_eq!(Format::detect(line.as_bytes()), Some(Format::Spire), "{line}");
        assert_eq!(reading(&line).accesses, expect, "{line}");
    }
}

/// Scenario: SVIDs minted by lines that have a serial number, a hash of the request, an id, or none.
/// Guarantees: each has an id; the serial number joins with what Envoy writes.
#[test]
fn minted_svids_have_ids() {
    let check = |method: &str, more: Value, expect: Option<&str>| {
        let mut line = json!({"msg": "API accessed", "type": "audit", "status": "success",
            "method": method, "service": "svid.v1.SVID", "request_id": "r"});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let issued = access(&line).issued_credential_id;
        assert_eq!(issued.as_ref().map(CredentialId::as_str), expect, "{line}");
    };
    check(
        "BatchNewX509SVID",
        json!({"serial_num": "1234567890", "csr": "ab"}),
        Some("X509SERIAL=499602d2"),
    );
    check("BatchNewX509SVID", json!({"csr": "ab"}), Some("X509CSR=ab"));
    check("NewJWTSVID", json!({"jti": "7"}), Some("JTI=7"));
    check("MintJWTSVID", json!({}), Some("SPIRE=r"));
    check("AttestAgent", json!({}), Some("SPIRE=r"));
    check("ListEntries", json!({}), None);
}

/// Scenario: items of one call, and the lines of two calls.
/// Guarantees: each item is a request of its own; a second line about it is the same.
#[test]
fn items_of_a_batch_are_requests() {
    let key = |method: &str, more: Value| {
        let mut line = json!({"msg": "API accessed", "type": "audit", "status": "success", "service": "entry.v1.Entry",
            "method": method, "request_id": "r", "time": "2026-11-23T17:54:38Z"});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        access(&line).request_key
    };
    let one = key("BatchDeleteEntry", json!({"entry_id": "1"}));
    assert_eq!(
        key("BatchDeleteEntry", json!({"entry_id": "1", "time": "2026-11-23T17:54:39Z"})),
        one
    );
    assert_ne!(key("BatchDeleteEntry", json!({"entry_id": "2"})), one);
    let new = |selectors: &str| {
        key("BatchCreateEntry", json!({"spiffe_id": "spiffe://a/b", "selectors": selectors}))
    };
    assert_ne!(new("unix:uid:1"), new("unix:uid:2"));
}

/// Scenario: what is no line of SPIRE, between two that are.
/// Guarantees: one reject with a reason and a hint, and two rows.
#[test]
fn other_lines_are_rejects() {
    let good = "time=\"2026-11-23T17:54:38Z\" level=info msg=x";
    for bad in ["goroutine 1 [running]:", "{\"a\":1}", "time=1 msg=\"cut", "[1,", "\"x\""] {
        let reading = reading(&format!("{good}\n{bad}\n{good}"));
        assert_eq!((reading.logs.len(), reading.rejects.len()), (2, 1), "{bad}");
    }
}

/// Scenario: lines in text whose words are of digits, whose codes are names, and whose service is whole;
/// times of other sorts.
/// Guarantees: the same columns as of JSON, no reject.
#[test]
fn text_says_what_json_says() {
    let json = json!({"time": "2026-11-23T17:54:38Z", "level": "info", "msg": "API accessed", "type": "audit",
        "method": "BatchNewX509SVID", "service": "svid.v1.SVID", "request_id": 12, "entry_id": 345, "serial_num": 255,
        "status": "error", "status_code": 5, "status_message": "entry not found"});
    let text = "time=\"2026-11-23T17:54:38Z\" level=info msg=\"API accessed\" entry_id=345 method=BatchNewX509SVID \
        request_id=12 serial_num=255 service=svid.v1.SVID status=error status_code=NotFound \
        status_message=\"entry not found\" type=audit";
    let of_text = &reading(text).accesses;
    assert_eq!(*of_text, [access(&json)]);
    let failed = &of_text[0];
    assert_eq!(
        (failed.request_id.as_deref(), failed.object_name.as_deref()),
        (Some("12"), Some("345"))
    );
    assert_eq!(
        (failed.status_reason.as_deref(), failed.decision),
        (Some("NotFound"), Decision::Allow)
    );
    let good = text.replace("status=error", "status=success").replace("status_code=NotFound ", "");
    let good = &reading(&good).accesses[0];
    assert_eq!(good.issued_credential_id, Some("X509SERIAL=ff".into()));
    for (time, expect) in [
        (json!("2026-11-23T12:54:38-05:00"), "2026-11-23T17:54:38.000000Z"),
        (json!("2026-11-23T17:54:38.123456789Z"), "2026-11-23T17:54:38.123456Z"),
        (json!(1_795_456_478), "2026-11-23T17:54:38.000000Z"),
    ] {
        let mut line = json.clone();
        line["time"] = time;
        line["service"] = json!("spire.api.server.svid.v1.SVID");
        let access = access(&line);
        assert_eq!((access.time.to_string().as_str(), access.time_suspect), (expect, Some(false)));
        assert_eq!(access.resource.as_deref(), Some("svids"));
    }
}

/// Scenario: attestations that a node's attestor refused, and such as it could not judge.
/// Guarantees: the former are denials, the latter are errors.
#[test]
fn attestations_that_nobody_judged() {
    let decision = |code: Value| {
        access(&json!({"msg": "API accessed", "type": "audit", "status": "error", "method": "AttestAgent",
            "service": "agent.v1.Agent", "request_id": "1", "status_code": code, "status_message": "failed to attest"}))
        .decision
    };
    for (code, expect) in [
        (json!(3), Decision::Deny),
        (json!(7), Decision::Deny),
        (json!("PermissionDenied"), Decision::Deny),
        (json!(13), Decision::Error),
        (json!("Unavailable"), Decision::Error),
        (Value::Null, Decision::Deny),
    ] {
        assert_eq!(decision(code.clone()), expect, "{code}");
    }
}

/// Scenario: workloads that ask an agent for the identities of others, known to it and unknown.
/// Guarantees: each is denied, and is whom the agent knows it to be.
#[test]
fn who_is_no_delegate_is_denied() {
    let line = json!({"level": "error", "time": "2026-11-23T17:54:38Z", "method": "SubscribeToX509SVIDs",
        "service": "agent.delegatedidentity.v1.DelegatedIdentity", "subsystem_name": "admin_api",
        "msg": "Permission denied; caller not configured as an authorized delegate.", "num_registered_entries": 1,
        "default_id": "spiffe://shop.test/ns/web/sa/frontend"});
    let known = access(&line);
    assert_eq!((known.decision, known.outcome), (Decision::Deny, Outcome::Failure));
    assert_eq!(known.service_account.as_deref(), Some("frontend"));
    let mut line = line;
    line["msg"] = json!("no identity issued");
    let unknown = access(&line);
    assert_eq!(
        (unknown.decision, unknown.identity_kind),
        (Decision::Deny, IdentityKind::Unauthenticated)
    );
    assert_eq!(unknown.identity, None);
}
