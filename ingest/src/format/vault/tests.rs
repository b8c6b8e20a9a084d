use serde_json::json;

use super::super::{Format, Reading, read};
use super::*;
use crate::lab;
use crate::lab::with_context;

fn reading(input: &str) -> Reading {
    with_context(|context| read(Format::Vault, input.as_bytes(), context))
}

fn access(entry: &Value) -> Access {
    let reading = reading(&entry.to_string());
    assert_eq!((reading.items(), reading.accesses.len()), (1, 1), "{:?}", reading.rejects);
    reading.accesses.into_iter().next().unwrap()
}

fn hashed(digit: char) -> String {
    format!("hmac-sha256:{}", digit.to_string().repeat(64))
}

/// A login of `payments/ledger` with its ServiceAccount's token: the entry before and after.
fn login() -> [Value; 2] {
    let request = json!({"id": "9a1c", "operation": "update", "mount_type": "kubernetes", "mount_point": "auth/kubernetes/",
        "namespace": {"id": "root"}, "path": "auth/kubernetes/login", "remote_address": "10.0.0.7", "remote_port": 40000,
        "data": {"jwt": hashed('1'), "role": "ledger"}, "headers": {"user-agent": ["Go-http-client/2.0"]}});
    let made = json!({"accessor": hashed('a'), "client_token": hashed('b'), "display_name": "kubernetes-payments-ledger",
        "entity_id": "e-1", "metadata": {"role": "ledger", "service_account_name": "ledger",
        "service_account_namespace": "payments", "service_account_uid": "u-1", "service_account_secret_name": ""},
        "policies": ["default", "ledger"], "token_policies": ["default", "ledger"], "token_type": "service", "token_ttl": 3600});
    [
        json!({"time": "2026-11-23T17:41:37.1Z", "type": "request", "auth": {"token_type": "default"}, "request": request}),
        json!({"time": "2026-11-23T17:41:37.2Z", "type": "response", "auth": made, "request": request,
            "response": {"auth": made, "mount_type": "kubernetes", "mount_accessor": "auth_kubernetes_1"}}),
    ]
}

/// A read of a secret with the token that the login made.
fn use_of(more: Value) -> Value {
    let mut entry = json!({"time": "2026-11-23T17:41:38Z", "type": "response",
        "auth": {"accessor": hashed('a'), "client_token": hashed('b'), "display_name": "kubernetes-payments-ledger",
            "entity_id": "e-1", "metadata": {"service_account_name": "ledger", "service_account_namespace": "payments",
            "service_account_uid": "u-1"}, "policy_results": {"allowed": true, "granting_policies": [
            {"type": ""}, {"type": "acl", "name": "ledger", "namespace_id": "root"}]},
            "policies": ["default", "ledger"], "token_type": "service"},
        "request": {"id": "9a1d", "operation": "read", "mount_type": "kv", "mount_point": "secret/", "path": "secret/data/ledger/db",
            "client_token": hashed('b'), "client_token_accessor": hashed('a'), "remote_address": "10.0.0.7"},
        "response": {"mount_type": "kv", "data": {"data": {"password": hashed('c')}, "metadata": {"version": 3}}}});
    let Value::Object(more) = more else { panic!("not an object") };
    entry.as_object_mut().unwrap().extend(more);
    entry
}

/// Scenario: a login with a ServiceAccount's token, and a read of a secret with what it made.
/// Guarantees: every column reads as the snapshot says; the token that is made is the one that is used.
#[test]
fn login_and_use_read_as_written() {
    let [before, after] = login();
    let rows = [access(&before), access(&after), access(&use_of(json!({})))];
    assert_eq!(rows[0].request_key, rows[1].request_key);
    assert!(!rows[0].is_deciding() && rows[1].is_deciding());
    assert_eq!(rows[1].issued_credential_id, rows[2].credential_id);
    insta::assert_snapshot!(lab::told(&rows));
}

/// Scenario: logins by other methods, and names that tokens are shown by.
/// Guarantees: the workload where it is known, else the name; nobody for what is not logged in.
#[test]
fn methods_name_identities() {
    let check = |path: &str,
                 method: &str,
                 made: Value,
                 expect: (&str, Option<CredentialKind>, Option<&str>)| {
        let entry = json!({"type": "response", "time": "2026-11-23T17:41:38Z", "auth": made,
            "request": {"id": "1", "operation": "update", "path": path, "mount_type": method}, "response": {"auth": made}});
        let access = access(&entry);
        let id = access.credential_id.as_ref().map(CredentialId::as_str);
        assert_eq!(
            (access.who().to_string().as_str(), access.credential_kind, id),
            expect,
            "{entry}"
        );
    };
    check(
        "auth/jwt/login",
        "jwt",
        json!({"accessor": "x", "display_name": "jwt-spiffe://shop.test/ns/web/sa/frontend", "metadata": {"role": "web"}}),
        (
            "spiffe/shop.test/=spiffe://shop.test/ns/web/sa/frontend",
            Some(CredentialKind::SvidJwt),
            None,
        ),
    );
    check(
        "auth/k8s-jwt/login",
        "jwt",
        json!({"accessor": "x", "display_name": "k8s-jwt-system:serviceaccount:web:frontend"}),
        (
            "service_account/prod/=system:serviceaccount:web:frontend",
            Some(CredentialKind::OidcToken),
            None,
        ),
    );
    check(
        "auth/cert/login",
        "cert",
        json!({"accessor": "x", "display_name": "cert-web", "metadata": {"cert_name": "web", "common_name": "web.shop", "serial_number": "255"}}),
        ("unknown/prod/=cert-web", Some(CredentialKind::ClientCertificate), Some("X509SERIAL=ff")),
    );
    check(
        "auth/userpass/login/alice",
        "userpass",
        json!({"accessor": "x", "display_name": "userpass-alice"}),
        ("user/prod/=userpass-alice", Some(CredentialKind::Unknown), None),
    );
    let role = "arn:aws:sts::123456789012:assumed-role/web/s-1";
    check(
        "auth/aws/login",
        "aws",
        json!({"accessor": "x", "display_name": "aws-web", "metadata": {"account_id": "123456789012", "client_arn": role}}),
        (
            "aws_role/123456789012/=arn:aws:iam::123456789012:role/web",
            Some(CredentialKind::Unknown),
            None,
        ),
    );
    let email = "web@shop.iam.gserviceaccount.com";
    check(
        "auth/gcp/login",
        "gcp",
        json!({"accessor": "x", "display_name": "gcp-web", "metadata": {"service_account_email": email}}),
        (
            "gcp_service_account/shop/=web@shop.iam.gserviceaccount.com",
            Some(CredentialKind::Unknown),
            None,
        ),
    );
}

/// Scenario: refusals, mistakes and failures, of logins and of later requests.
/// Guarantees: who is refused, and by what; a mistake of a caller who may is none.
#[test]
fn errors_are_decided() {
    let check = |entry: Value, decision: Decision, by: Option<&str>| {
        let access = access(&entry);
        assert_eq!((access.decision, access.decided_by.as_deref()), (decision, by), "{entry}");
        assert_eq!(access.outcome, Outcome::Failure);
        assert!(access.is_deciding(), "{entry}");
    };
    let denied = "1 error occurred:\n\t* permission denied\n\n";
    let auth = |allowed: bool| json!({"accessor": "x", "display_name": "token", "policy_results": {"allowed": allowed}});
    check(use_of(json!({"error": denied, "auth": auth(false)})), Decision::Deny, None);
    check(use_of(json!({"error": denied, "auth": {}})), Decision::Deny, Some("authentication"));
    check(
        use_of(json!({"error": denied, "auth": auth(false), "type": "request"})),
        Decision::Deny,
        None,
    );
    for error in ["bad token", "missing client token", "1 error occurred:\n\t* invalid token\n\n"] {
        let entry = use_of(json!({"error": error, "auth": {"token_type": "default"}}));
        check(entry, Decision::Deny, Some("authentication"));
    }
    check(use_of(json!({"error": "unsupported path", "auth": auth(true)})), Decision::Allow, None);
    check(
        use_of(json!({"response": {"data": {"error": hashed('d')}}})),
        Decision::Allow,
        Some("ledger"),
    );
    let [_, mut after] = login();
    after["response"] = json!({"data": {"error": hashed('d')}});
    after["auth"] = json!({});
    check(after.clone(), Decision::Deny, Some("authentication"));
    after["response"] = Value::Null;
    after["error"] = json!("service account unauthorized");
    check(after, Decision::Deny, Some("authentication"));
    let secret_named_error =
        use_of(json!({"response": {"data": {"error": hashed('1'), "x": hashed('2')}}}));
    assert_eq!(access(&secret_named_error).outcome, Outcome::Success);
}

/// Scenario: an audit device that writes in clear, a token in a path, numbers that are secrets.
/// Guarantees: what Vault hashed stays, what it wrote in clear goes; settings of policies stay.
#[test]
fn hashes_stay_and_clear_text_goes() {
    let clear = use_of(json!({
        "request": {"id": "1", "operation": "read", "path": "secret/data/db", "mount_type": "kv", "mount_point": "secret/", "client_token": "hvs.CAESIJs3cr3tTOKENs3cr3t",
            "data": {"data": {"pin": 987_654_321, "note": "s3cr3t"}, "options": {"cas": 4}}, "headers": {"authorization": ["Bearer s3cr3ts3cr3t1"]}},
        "response": {"data": {"version": 5, "list": ["s3cr3t"]}},
    }));
    let access = self::access(&clear);
    let told = format!("{access:?}");
    assert!(!told.contains("s3cr3t") && !told.contains("987654321"), "{told}");
    assert!(told.contains(r#"\"cas\":4"#) && told.contains(r#"\"version\":5"#), "{told}");
    let hashed_entry = self::access(&use_of(json!({})));
    assert!(hashed_entry.response_object.unwrap().as_str().contains(&hashed('c')));
    assert!(hashed_entry.extra.unwrap().as_str().contains(&hashed('b')));
    let policy = use_of(
        json!({"request": {"id": "1", "operation": "update", "path": "sys/policies/acl/ledger", "mount_type": "system",
        "data": {"policy": "path \"secret/*\" { capabilities = [\"read\"] }"}}}),
    );
    assert!(self::access(&policy).request_object.unwrap().as_str().contains("capabilities"));
}

/// Scenario: data nested deeper than is read, in objects and lists, by a client who wants to hide a
/// request.
/// Guarantees: the request is a row; only what is too deep is left out.
#[test]
fn deep_data_hide_nothing() {
    let good = use_of(
        json!({"request": {"id": "1", "operation": "update", "path": "sys/policies/acl/x", "data": {"a": "DEEP", "b": "kept"}}}),
    );
    for (open, close) in [("[", "]"), ("{\"x\":", "}")] {
        let deep = format!("{}1{}", open.repeat(5000), close.repeat(5000));
        let reading = reading(&good.to_string().replace("\"DEEP\"", &deep));
        let body = reading.accesses[0].request_object.as_ref().unwrap().as_str();
        assert!(body.contains("kept") && body.contains("unreadable") && body.len() < 200, "{body}");
    }
}

/// Scenario: what is no entry, or an entry whose fields have other types, between two good ones.
/// Guarantees: one reject with a reason each, and two rows.
#[test]
fn what_is_no_entry_is_a_reject() {
    let good = use_of(json!({})).to_string();
    for bad in [
        "{}",
        "7",
        "nope",
        r#"{"type":"request"}"#,
        r#"{"type":"audit","request":{}}"#,
        r#"{"type":"request","request":7}"#,
        r#"{"type":"request","request":{"id":"1","path":"/","method":"GET"}}"#,
        r#"{"type":"request","request":{"operation":"read","path":7}}"#,
        r#"{"type":"response","request":{"#,
    ] {
        let reading = reading(&format!("{good}\n{bad}\n{good}"));
        assert_eq!((reading.accesses.len(), reading.rejects.len()), (2, 1), "{bad}");
    }
}

/// Scenario: entries behind what syslog and a device's prefix write, and an entry whose data look like one.
/// Guarantees: the same row as of the entry alone; what is behind no prefix stays a reject.
#[test]
fn prefixes_are_cut_off() {
    let entry = use_of(json!({"request": {"id": "1", "operation": "read", "path": "a/{\"b"}}));
    let expect = access(&entry);
    for prefix in
        ["@cee: ", "<13>Nov 23 17:41:37 node-1 vault[7]: ", "2026-11-25T00:00:00Z stdout F "]
    {
        let reading = reading(&format!("{prefix}{entry}"));
        assert_eq!(reading.accesses, std::slice::from_ref(&expect), "{prefix}");
    }
    assert_eq!(reading("@cee: nope").rejects.len(), 1);
}

/// Scenario: tokens that are made, wrapped, and renewed; tokens that show no accessor.
/// Guarantees: a renewal issues nothing; what is wrapped is issued; a token is not nobody's.
#[test]
fn tokens_are_followed() {
    let check = |more: Value, issued: Option<char>, kind: CredentialKind| {
        let access = access(&use_of(more.clone()));
        let expect = issued.map(|digit| CredentialId(format!("ACCESSOR={}", hashed(digit))));
        assert_eq!(
            (access.issued_credential_id, access.credential_kind),
            (expect, Some(kind)),
            "{more}"
        );
    };
    let made =
        |digit: char| json!({"auth": {"accessor": hashed(digit), "client_token": hashed('7')}});
    let wrapped = json!({"wrap_info": {"accessor": hashed('e'), "token": hashed('8'), "ttl": 60}});
    let login = json!({"wrap_info": {"accessor": hashed('e'), "wrapped_accessor": hashed('d')}});
    check(json!({"response": made('d')}), Some('d'), CredentialKind::Unknown);
    check(json!({"response": made('a')}), None, CredentialKind::Unknown);
    check(json!({"response": wrapped}), Some('e'), CredentialKind::Unknown);
    check(json!({"response": login}), Some('d'), CredentialKind::Unknown);
    let bare = json!({"id": "1", "operation": "read", "path": "secret/a"});
    let batch =
        json!({"client_token": hashed('b'), "display_name": "token", "token_type": "batch"});
    check(json!({"request": bare, "auth": batch}), None, CredentialKind::Unknown);
    check(json!({"request": bare, "auth": {"token_type": "default"}}), None, CredentialKind::None);
}

/// Scenario: operations as Vault names them, logins at mounts of several parts, of an `AppRole`, and such
/// as nobody could decide.
/// Guarantees: reads are reads; the role is named with its whole mount; a failure is no denial.
#[test]
fn operations_and_mounts() {
    let activity = |operation: &str| {
        access(&use_of(json!({"request": {"id": "1", "operation": operation, "path": "a"}})))
            .activity_id
    };
    let found = ["create", "read", "list", "update", "patch", "delete", "revoke", "renew", "help"]
        .map(activity);
    assert_eq!(found, [1, 2, 2, 3, 3, 4, 4, 99, 99]);
    let login = |mount: &str, more: Value| {
        let mut entry = json!({"type": "response", "time": "2026-11-23T17:41:38Z", "auth": {},
            "request": {"id": "1", "operation": "update", "path": format!("{mount}login"), "mount_point": mount}});
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let access = access(&entry);
        assert_eq!(access.class_uid, normalize::AUTHENTICATION, "{entry}");
        (access.decision, access.decided_by)
    };
    let made =
        |metadata: Value| json!({"response": {"auth": {"accessor": "x", "metadata": metadata}}});
    let by = |decision, by: &str| (decision, Some(by.to_owned()));
    assert_eq!(
        login("auth/team/cert/", made(json!({"cert_name": "web"}))),
        by(Decision::Allow, "auth/team/cert/certs/web")
    );
    assert_eq!(
        login("auth/approle/", made(json!({"role_name": "ci"}))),
        by(Decision::Allow, "auth/approle/role/ci")
    );
    let denied = json!({"error": "invalid role or secret ID"});
    assert_eq!(login("auth/team/approle/", denied), by(Decision::Deny, "authentication"));
    let limited = json!({"error": "rate limit quota exceeded"});
    assert_eq!(login("auth/kubernetes/", limited), (Decision::Unknown, None));
    let broken = json!({"error": "Post \"https://10.96.0.1\": context deadline exceeded"});
    assert_eq!(login("auth/kubernetes/", broken), (Decision::Error, None));
}

/// Scenario: a read and a login below a namespace of Vault Enterprise, where paths leave it out.
/// Guarantees: the object is what is below the mount, and the role has the whole mount.
#[test]
fn namespaces_are_no_part_of_paths() {
    let namespace = json!({"id": "a1", "path": "team/"});
    let read =
        access(&use_of(json!({"request": {"id": "1", "operation": "read", "mount_type": "kv",
        "mount_point": "team/secret/", "namespace": namespace, "path": "secret/data/db"}})));
    let found = (read.resource.as_deref(), read.object_name.as_deref());
    assert_eq!(found, (Some("team/secret"), Some("data/db")));
    let [_, mut entry] = login();
    entry["request"]["namespace"] = namespace;
    entry["request"]["mount_point"] = "team/auth/eu/k8s/".into();
    entry["request"]["path"] = "auth/eu/k8s/login".into();
    let login = access(&entry);
    assert_eq!(login.object_name.as_deref(), Some("login"));
    assert_eq!(login.decided_by.as_deref(), Some("auth/eu/k8s/role/ledger"));
}

/// Scenario: the log of Vault itself, JSON and text, before an entry; an entry in JSONX.
/// Guarantees: log rows without secrets, a row, and a reject that says what is not read; the format is
/// recognised.
#[test]
fn own_lines_are_logs() {
    let own = json!({"@level": "info", "@message": "revoked lease", "@module": "expiration",
        "@timestamp": "2026-11-23T17:41:37.1Z", "token": "hvs.CAESIJ1nd3kS0m3L0ngT0k3nV4lu3"});
    let text = "2026-11-23T17:41:37.1Z [WARN]  core: seal {\"a\":1}";
    let entry = use_of(json!({}));
    let input = format!("{text}\n{own}\n{entry}\n");
    assert_eq!(Format::detect(input.as_bytes()), Some(Format::Vault));
    let reading = reading(&input);
    assert_eq!((reading.accesses.len(), reading.logs.len(), reading.items()), (1, 2, 3));
    let [first, second] = &reading.logs[..] else { panic!("two") };
    assert_eq!(
        (first.severity_number, first.body.as_deref()),
        (Some(13), Some("core: seal {\"a\":1}"))
    );
    assert_eq!((second.severity_number, second.body.as_deref()), (Some(9), Some("revoked lease")));
    assert_eq!(first.time, second.time);
    assert!(!second.attributes.0.contains("hvs."), "{:?}", second.attributes);
    let jsonx = r#"<json:object name="auth"></json:object>"#;
    assert_eq!(Format::detect(jsonx.as_bytes()), Some(Format::Vault));
    let rejects = self::reading(jsonx).rejects;
    assert!(rejects[0].hint.as_deref().is_some_and(|hint| hint.contains("JSONX")));
}

/// Scenario: a child token whose maker wrote the metadata of somebody else into it.
/// Guarantees: it is known by its name, not as whom it claims to be.
#[test]
fn child_tokens_forge_nobody() {
    let forged = json!({"accessor": hashed('a'), "display_name": "token-ci", "policies": ["ci"], "metadata": {
        "service_account_name": "admin", "service_account_namespace": "kube-system", "service_account_uid": "u-9",
        "client_arn": "arn:aws:sts::123456789012:assumed-role/admin/x"}});
    let row = access(&use_of(json!({"auth": forged})));
    let found = (row.identity_kind, row.identity.as_deref(), row.service_account, row.identity_uid);
    assert_eq!(found, (IdentityKind::Unknown, Some("token-ci"), None, None));
}

/// Scenario: operations of KMIP with a certificate and without, let in, refused, failed and pending.
/// Guarantees: who asked is known by the certificate; only what was refused is a denial; keys are gone.
#[test]
fn operations_of_kmip_are_read() {
    let entry = |operation: &str, answer: Value| {
        let item = |more: Value| json!([{"tag": "BatchItem", "value": [{"tag": "Operation", "type": "Enumeration", "value": operation}, more]}]);
        let asked = item(json!({"tag": "RequestPayload", "value": [
            {"tag": "UniqueIdentifier", "type": "TextString", "value": "key-7"},
            {"tag": "KeyMaterial", "type": "ByteString", "value": "c0ffeec0ffeec0ffee"}]}));
        json!({"type": "kmip-response", "time": "2026-11-23T17:41:38Z",
            "request": {"client_certificate_serial_number": "255", "remote_address": "10.0.0.7:40000",
                "data": {"kmip_request": {"tag": "RequestMessage", "value": asked}}},
            "response": {"data": {"kmip_response": {"tag": "ResponseMessage", "value": item(answer)}}}})
    };
    let status = |status: &str, reason: &str| {
        json!({"tag": "Result", "value": [
        {"tag": "ResultStatus", "value": status}, {"tag": "ResultReason", "value": reason}]})
    };
    let check = |answer: Value, expect: (Decision, Option<&str>, Outcome)| {
        let row = access(&entry("0x0000000a", answer));
        assert_eq!((row.decision, row.decided_by.as_deref(), row.outcome), expect);
        let found = (row.verb.as_deref(), row.object_name.as_deref(), row.source_ip.as_deref());
        assert_eq!(found, (Some("Get"), Some("key-7"), Some("10.0.0.7")));
        assert_eq!(row.credential_id.as_ref().map(CredentialId::as_str), Some("X509SERIAL=ff"));
        assert!(!format!("{row:?}").contains("c0ffee"), "{row:?}");
    };
    check(status("0x00000000", ""), (Decision::Allow, None, Outcome::Success));
    check(status("0x00000001", "0x0000000C"), (Decision::Deny, None, Outcome::Failure));
    let by = Some("authentication");
    check(status("0x00000001", "0x00000003"), (Decision::Deny, by, Outcome::Failure));
    check(status("0x00000001", "0x00000001"), (Decision::Unknown, None, Outcome::Failure));
    check(status("0x00000002", ""), (Decision::Unknown, None, Outcome::Success));
    let mut request = entry("0x00000099", json!({}));
    request["type"] = "kmip-request".into();
    let row = access(&request);
    assert_eq!((row.verb.as_deref(), row.is_deciding()), (Some("0x00000099"), false));
    assert_eq!(Format::detect(request.to_string().as_bytes()), Some(Format::Vault));
}

/// Scenario: entries of `log_raw` in which what one logs in with, what is wrapped and parts of the root key
/// stand among the settings of Vault.
/// Guarantees: none of them is left; roles, accessors and settings are.
#[test]
fn settings_hide_no_secret() {
    let kept = |path: &str, asked: Value, told: Value| {
        let entry = json!({"time": "2026-11-23T17:41:38Z", "type": "response", "auth": {"display_name": "a"},
            "request": {"id": "7", "operation": "update", "path": path, "data": asked}, "response": {"data": told}});
        let kept = format!("{:?}", access(&entry));
        assert!(!kept.contains("s3cr3t"), "{path}: {kept}");
        kept
    };
    let login = kept(
        "auth/approle/login",
        json!({"role_id": "role-7", "secret_id": "s3cr3t"}),
        json!({"secret_id": "s3cr3t", "secret_id_accessor": "accessor-7"}),
    );
    assert!(login.contains("role-7") && login.contains("accessor-7"));
    kept("auth/oidc/oidc/callback", json!({"code": "s3cr3t", "state": "x"}), json!({}));
    kept("auth/ldap/config", json!({"bindpass": "s3cr3t"}), json!({}));
    kept("auth/token/create-orphan", json!({"id": "s3cr3t"}), json!({}));
    kept("sys/wrapping/wrap", json!({"any": "s3cr3t"}), json!({}));
    kept("sys/wrapping/unwrap", json!({}), json!({"any": ["s3cr3t"]}));
    kept("sys/rekey/update", json!({"key": "s3cr3t"}), json!({"keys": ["s3cr3t"]}));
    kept("sys/raw/core/x", json!({"value": "s3cr3t"}), json!({"value": "s3cr3t"}));
    let settings = kept("identity/entity", json!({"id": "e-7"}), json!({"id": "e-7"}));
    assert!(settings.contains("e-7"));
}
