mod attacks;
mod clouds;
mod many;
mod planted;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::format::{Format, Reading, read};
use crate::lab;
use crate::lab::with_context;

pub(super) fn redactor() -> &'static Redactor {
    static REDACTOR: std::sync::LazyLock<Redactor> =
        std::sync::LazyLock::new(|| Redactor::new(&[7; 32]));
    &REDACTOR
}

fn redacted(mut value: Value, body: Body) -> String {
    redactor().body(&mut value, body);
    crate::canonical::sorted(&value)
}

/// Scenario: texts with secrets of known looks, and texts that only speak of them.
/// Guarantees: the secret goes, the rest stays; benign texts are untouched.
#[test]
fn looks_are_told_apart() {
    let marker = |secret: &str| redactor().mask(secret);
    let check = |text: &str, secret: &str| {
        assert_eq!(redactor().text(text), text.replace(secret, &marker(secret)), "{text}");
    };
    check("postgres://app:hunter2@db/shop", "hunter2");
    check("amqp://u:p:w/x@mq:5672", "p:w/x");
    check("curl -H 'Authorization: Bearer abc123.def456'", "abc123.def456");
    check("key AKIAIOSFODNN7EXAMPLE here", "AKIAIOSFODNN7EXAMPLE");
    check("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "ghp_16C7e42F292c6912E7710c838347Ae178B4a");
    check("https://hooks.slack.com/services/T0/B0/xyz9", "T0/B0/xyz9");
    check(
        "x eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiI3In0.c2ln y",
        "eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiI3In0.c2ln",
    );
    check("password=hunter2;Server=db", "hunter2");
    check("error: password: \"correct horse\" refused", "correct horse");
    check("wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY12", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY12");
    check("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc", "\nMIIE\nabc");
    for benign in [
        "system:serviceaccount:secret:token-cleaner",
        "secrets \"card-vault\" is forbidden: User \"x\" cannot get resource \"secrets\"",
        "RBAC: allowed by ClusterRoleBinding \"backup\" of ClusterRole \"reader\" to ServiceAccount \"backup/ops\"",
        "JTI=83e45a6a-5e2b-4445-9251-d09b31632b8b",
        "X509SHA256=3d3ec0fc7809ef73aafa1c747fe6d298636c59ca930e0a6e5b86ab097b389f7d",
        "kubectl/v1.34.4 (linux/amd64) kubernetes/0123456",
        "subject: system:serviceaccount:a:b, seconds after warning threshold: 12",
        "docker-pullable://registry.example:5000/shop/cart@sha256:0c1d7a52",
        "Bearer authentication",
        "basic auth is off",
        "https://example.com/a?b=c",
        "//iam.googleapis.com/projects/p/serviceAccounts/a@p.iam.gserviceaccount.com/keys/a378358365ff3d22e9c1a72fecf4605ddff76b47",
        "/providers/Microsoft.Authorization/policyDefinitions/2a1a9cdf-e04d-429a-8416-3bfb72a1b26f",
    ] {
        assert_eq!(redactor().text(benign), benign);
    }
}

/// Redacts `value`, in which each secret is `s3cr3t` or its base64; `kept` must stay.
fn check(value: Value, body: Body, kept: &[&str]) {
    let out = redacted(value, body);
    assert!(!out.contains("s3cr3t") && !out.contains("czNjcjN0"), "{out}");
    for kept in kept {
        assert!(out.contains(kept), "{kept} in {out}");
    }
}

/// Scenario: Secrets alone, in lists, in patches, and in what `kubectl apply` keeps of them.
/// Guarantees: no datum is left; names, types and paths are.
#[test]
fn secrets_are_known_in_every_form() {
    check(
        json!({"kind": "Secret", "data": {"user": "czNjcjN0"}, "stringData": {"p": "s3cr3t"}, "type": "Opaque"}),
        Body::Other,
        &["user", "Opaque"],
    );
    check(
        json!({"kind": "SecretList", "items": [{"metadata": {"name": "db"}, "data": {"p": "czNjcjN0"}}]}),
        Body::Other,
        &["\"db\""],
    );
    check(json!({"data": {"p": "czNjcjN0"}}), Body::Secret, &["\"p\""]);
    check(
        json!([{"op": "add", "path": "/data/p", "value": "czNjcjN0"}, {"op": "replace", "path": "/data", "value": {"q": "czNjcjN0"}}]),
        Body::Secret,
        &["/data/p", "\"q\""],
    );
    check(
        json!([{"op": "add", "path": "", "value": {"data": {"p": "czNjcjN0"}}}]),
        Body::Secret,
        &["\"p\""],
    );
    let applied = json!({"kind": "Secret", "metadata": {"name": "db"}, "data": {"p": "czNjcjN0"}})
        .to_string();
    check(
        json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied}}}),
        Body::Other,
        &["db"],
    );
    check(
        json!([{"op": "add", "path": "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration", "value": applied}]),
        Body::Other,
        &[],
    );
    check(
        json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"p\":\"s3cr3t"}}}),
        Body::Other,
        &[],
    );
}

/// Scenario: tokens, environment, arguments, settings, webhooks, registries.
/// Guarantees: no secret is left; names, references and shape are.
#[test]
fn places_are_known() {
    check(
        json!({"kind": "TokenReview", "spec": {"token": "s3cr3t", "audiences": ["api"]}}),
        Body::Other,
        &["api"],
    );
    check(
        json!({"env": [{"name": "DB_PASSWORD", "value": "s3cr3t"}, {"name": "LEVEL", "value": "debug"}]}),
        Body::Other,
        &["debug", "DB_PASSWORD"],
    );
    check(
        json!({"args": ["--user=app", "--password=s3cr3t", "--token", "s3cr3t", "--verbose"]}),
        Body::Other,
        &["--user=app", "--password=", "--verbose"],
    );
    check(
        json!({"command": ["sh", "-c", "mysql -h db --password=s3cr3t"]}),
        Body::Other,
        &["mysql -h db"],
    );
    check(
        json!({"kind": "ConfigMap", "data": {"app.properties": "url=x\ndb.password = s3cr3t and more\n", "password": "s3cr3t", "level": "info"}}),
        Body::Other,
        &["url=x", "info"],
    );
    check(
        json!({"data": {"config": "users:\n- user:\n    token: s3cr3t\n    client-key-data: czNjcjN0\n"}}),
        Body::ConfigMap,
        &["users:"],
    );
    check(
        json!({"webhooks": [{"clientConfig": {"url": "https://u:s3cr3t@evil/x", "caBundle": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSQ=="}}]}),
        Body::Other,
        &["LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSQ=="],
    );
    check(json!({"auths": {"registry": {"auth": "czNjcjN0"}}}), Body::Other, &["registry"]);
    check(json!({"password": 73_573}), Body::Other, &["redacted:"]);
}

/// Scenario: a pod, a role and a binding as detectors read them.
/// Guarantees: nothing in them changes.
#[test]
fn what_detectors_read_is_untouched() {
    for value in [
        json!({"kind": "Pod", "metadata": {"name": "a", "ownerReferences": [{"uid": "2f3b6a0e-6cf6-4b40-9d44-2f1f0b9d7e11"}]}, "spec": {
            "automountServiceAccountToken": true, "serviceAccountName": "x", "hostNetwork": true, "hostPID": true, "nodeName": "node-1",
            "imagePullSecrets": [{"name": "registry"}],
            "volumes": [{"name": "s", "secret": {"secretName": "db"}}, {"hostPath": {"path": "/"}}, {"projected": {"sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}]}}],
            "containers": [{"name": "c", "image": "registry:5000/shop/cart@sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945", "securityContext": {"privileged": true},
                "command": ["sleep", "3600"], "args": ["--listen=:8080", "--config=/etc/app/config.yaml"],
                "env": [{"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}, {"name": "LOG_LEVEL", "value": "info"}, {"name": "POD", "value": "frontend-6d9f7c9c4b-x2x8k"}]}]}}),
        json!({"kind": "ClusterRole", "rules": [{"verbs": ["*"], "apiGroups": [""], "resources": ["secrets", "serviceaccounts/token"], "resourceNames": ["db-password"]}]}),
        json!({"kind": "RoleBinding", "roleRef": {"kind": "Role", "name": "secret-reader"}, "subjects": [{"kind": "ServiceAccount", "name": "token", "namespace": "secret"}]}),
        json!({"kind": "TokenRequest", "spec": {"audiences": ["https://kubernetes.default.svc"], "expirationSeconds": 3600, "boundObjectRef": {"kind": "Pod", "name": "a", "uid": "2f3b6a0e-6cf6-4b40-9d44-2f1f0b9d7e11"}}, "status": {"token": "", "expirationTimestamp": null}}),
        json!({"kind": "SubjectAccessReview", "spec": {"resourceAttributes": {"verb": "get", "resource": "secrets"}}}),
    ] {
        assert_eq!(redacted(value.clone(), Body::Other), crate::canonical::sorted(&value));
    }
}

/// Scenario: request URIs with secrets in host, query and commands of `exec`.
/// Guarantees: the secret goes, everything else stays as it was written.
#[test]
fn uris_keep_their_shape() {
    let check = |uri: &str, secret: &str| {
        let out = redactor().uri(uri);
        assert!(!out.contains(secret) && out.contains("redacted:"), "{out}");
        let path = uri.split('?').next().unwrap();
        assert!(out.starts_with(path), "{out}");
    };
    check("/api/v1/x?token=s3cr3t&limit=5", "s3cr3t");
    check("/x?access_token=s3cr3t", "s3cr3t");
    check("/exec?command=mysql&command=--password=s3cr3t&tty=true", "s3cr3t");
    check("/exec?command=mysql&command=--password&command=s3cr3t&tty=true", "s3cr3t");
    check(
        "/exec?command=curl&command=-H&command=Authorization%3A+Bearer+abc123def456",
        "abc123def456",
    );
    check("/proxy?X-Amz-Signature=s3cr3t", "s3cr3t");
    for clean in [
        "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-2&limit=500",
        "/exec?command=id&container=a%20b",
        "/a%zz?x",
        "",
    ] {
        assert_eq!(redactor().uri(clean), clean);
    }
}

/// Scenario: the same secret in several places and forms, under one key and under another.
/// Guarantees: one marker under one key, so equal secrets join; another marker under another key.
#[test]
fn equal_secrets_stay_joinable() {
    let mask = redactor().mask("s3cr3t");
    for out in [
        redacted(json!({"kind": "Secret", "data": {"a": "czNjcjN0"}}), Body::Other),
        redacted(json!({"kind": "Secret", "stringData": {"a": "s3cr3t"}}), Body::Other),
        redacted(json!({"env": [{"name": "PASSWORD", "value": "s3cr3t"}]}), Body::Other),
        redactor().uri("/x?token=s3cr3t"),
        redactor().text("password=s3cr3t"),
    ] {
        assert!(out.contains(&mask), "{out}");
    }
    assert_ne!(Redactor::new(&[8; 32]).mask("s3cr3t"), mask);
    assert_eq!(redactor().without_markers(&format!("a {mask} b {mask}")), "a redacted b redacted");
    let forged = "redacted:00000000:0011";
    assert_eq!(redactor().without_markers(forged), forged);
}

/// The canaries: secrets of many kinds, each where it would really stand.
struct Canaries {
    secrets: Vec<String>,
    documents: Vec<(Format, String)>,
}

impl Canaries {
    /// A secret that can be searched for.
    fn secret(&mut self) -> String {
        let hash = blake3::hash(&self.secrets.len().to_le_bytes()).to_hex();
        let secret = format!("Kn{}Zq{}", hash.split_at(9).0, self.secrets.len());
        self.secrets.push(secret.clone());
        secret
    }

    fn base64(&mut self) -> String {
        use base64::Engine as _;
        let secret = self.secret();
        let encoded = base64::engine::general_purpose::STANDARD.encode(&secret);
        self.secrets.push(encoded.clone());
        encoded
    }

    fn token(&mut self) -> String {
        let token = format!("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0{}.sig", self.secret());
        self.secrets.push(token.clone());
        token
    }

    fn event(&mut self, resource: &str, request: &Value, response: &Value) {
        let event = json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse",
            "auditID": "8a3f2b1e-9a43-4c41-9d3f-7f6b2f1f0a10", "stage": "ResponseComplete", "verb": "create",
            "requestURI": format!("/api/v1/x?token={}&command=--password={}", self.secret(), self.secret()),
            "user": {"username": "alice", "extra": {"note": [format!("bearer {}", self.token())]}},
            "userAgent": format!("curl Authorization: Bearer {}", self.token()),
            "objectRef": {"resource": resource, "name": "x"},
            "responseStatus": {"code": 422, "message": format!("invalid value: password=\"{}\"", self.secret())},
            "annotations": {"patch.webhook.admission.k8s.io/round_0_index_0": json!({"patch": [{"op": "add", "path": "/spec/password", "value": self.secret()}]}).to_string()},
            "requestReceivedTimestamp": "2026-11-23T17:56:57.403991Z", "stageTimestamp": "2026-11-23T17:56:57.406635Z",
            "requestObject": request, "responseObject": response});
        self.documents.push((Format::KubeAudit, event.to_string()));
    }

    /// Where secrets stand in the logs of meshes and of what mints their identities.
    fn mesh(&mut self) {
        let envoy = json!({"start_time": "2026-11-23T17:41:37Z", "response_flags": "-", "response_code": 200,
            "path": format!("/a/{}?access_token={}&code={}", self.token(), self.secret(), self.secret()),
            "user-agent": format!("curl -u x password={}", self.secret()), "authorization": format!("Bearer {}", self.token()),
            "cookie": self.secret(), "x-api-key": self.secret(), "referer": format!("https://u:{}@h/?sig={}", self.secret(), self.secret()),
            "dynamic_metadata": {"jwt": {"client_secret": self.secret()}}, "note": {"password": self.secret()}});
        self.documents.push((Format::Envoy, envoy.to_string()));
        let text = format!(
            "[2026-11-23T17:41:37.697Z] \"GET /a?token={} HTTP/1.1\" 200 - via_upstream - \"-\" 0 3 2 1 \"192.0.2.2\" \"x token={}\" \"7\" \
             \"h\" \"1.1.1.1:1\" app 1.1.1.1:2 1.1.1.1:3 1.1.1.1:4 - api",
            self.secret(),
            self.secret(),
        );
        self.documents.push((Format::Envoy, text));
        let attribute =
            |key: &str, text: String| json!({"key": key, "value": {"stringValue": text}});
        let record = json!({"resourceLogs": [{"resource": {"attributes": [attribute("db.password", self.secret())]}, "scopeLogs": [{"logRecords": [
            {"body": {"stringValue": format!("HTTP/1.1 GET /a?sig={} 200", self.secret())}, "attributes": [attribute("response_flags", "-".into()),
            attribute("url.path", format!("/a?code={}", self.secret())), attribute("http.request.header.cookie", self.secret())]}]}]}]});
        self.documents.push((Format::Otlp, record.to_string()));
        let audit = json!({"msg": "API accessed", "type": "audit", "status": "success", "method": "CreateJoinToken", "service": "agent.v1.Agent",
            "join_token": self.secret(), "token": self.secret(), "status_message": format!("password={}", self.secret())});
        self.documents.push((Format::Spire, audit.to_string()));
        let line = format!(
            "time=\"2026-11-23T17:41:37Z\" level=error msg=\"dial token={}\" token={} jwt=\"{}\"",
            self.secret(),
            self.secret(),
            self.token()
        );
        self.documents.push((Format::Spire, line));
        let header = |key: &str, value: String| json!({"key": key, "value": value});
        let url = format!("http://u:{}@h/a?token={}", self.secret(), self.secret());
        let flow = json!({"flow": {"verdict": "FORWARDED", "Summary": format!("HTTP/1.1 GET {url}"), "l7": {"type": "REQUEST", "http": {"url": url,
            "headers": [header("Authorization", format!("Bearer {}", self.token())), header("Cookie", self.secret()), header("X-Api-Key", self.secret())]}}}});
        self.documents.push((Format::Hubble, flow.to_string()));
        let entry = json!({"type": "response", "auth": {"client_token": self.secret(), "metadata": {"password": self.secret()}},
            "request": {"id": "1", "operation": "read", "path": "secret/data/x", "client_token": self.secret(), "data": {"a": self.secret(), "b": [self.secret()]},
            "headers": {"x-vault-token": [self.secret()]}}, "response": {"data": {"data": {"c": self.secret()}},
            "auth": {"client_token": self.secret()}, "wrap_info": {"token": self.secret()}}, "error": format!("token={}", self.secret())});
        self.documents.push((Format::Vault, entry.to_string()));
    }

    fn plant(rounds: usize) -> Self {
        let mut c = Self { secrets: Vec::new(), documents: Vec::new() };
        for _ in 0..rounds {
            c.mesh();
            let secret = json!({"kind": "Secret", "metadata": {"name": "db", "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": json!({"kind": "Secret", "stringData": {"p": c.secret()}}).to_string()}},
                "data": {"a": c.base64(), "b": c.base64()}, "stringData": {"c": c.secret()}});
            let listed = json!({"kind": "SecretList", "items": [secret.clone(), {"data": {"d": c.base64()}}]});
            c.event("secrets", &secret, &listed);
            let patch = json!([{"op": "replace", "path": "/data/x", "value": c.base64()}, {"op": "add", "path": "/stringData", "value": {"y": c.secret()}}]);
            let answer = json!({"data": {"e": c.base64()}});
            c.event("secrets", &patch, &answer);
            let review = json!({"kind": "TokenReview", "spec": {"token": c.token()}});
            let request = json!({"kind": "TokenRequest", "status": {"token": c.token()}});
            c.event("serviceaccounts", &review, &request);
            let pod = json!({"kind": "Pod", "spec": {"containers": [{
                "env": [{"name": "DB_PASSWORD", "value": c.secret()}, {"name": "URL", "value": format!("postgres://u:{}@db/x", c.secret())}, {"name": "DATA", "value": c.secret() + "aB3dE5"}],
                "args": [format!("--password={}", c.secret()), "--token", c.secret()],
                "command": ["sh", "-c", format!("mysql --password={} -e 1", c.secret())]}]}});
            c.event("pods", &pod, &Value::Null);
            let map = json!({"kind": "ConfigMap", "data": {"password": c.secret(), "app.yaml": format!("db:\n  password: {}\n  api_key: '{}'\n", c.secret(), c.secret()), "env": format!("export TOKEN={}\nA=b\n", c.secret())}, "binaryData": {"x": c.base64()}});
            c.event("configmaps", &map, &Value::Null);
            let pem =
                format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", c.secret());
            let hook = json!({"webhooks": [{"clientConfig": {"url": format!("https://u:{}@hook/x?sig={}", c.secret(), c.secret())}}], "key": pem});
            c.event("validatingwebhookconfigurations", &hook, &Value::Null);
            let attribute =
                |key: &str, text: String| json!({"key": key, "value": {"stringValue": text}});
            let span = json!({"resourceSpans": [{"resource": {"attributes": [attribute("api.key", c.secret())]}, "scopeSpans": [{"spans": [{
                "name": format!("GET /x?password={}", c.secret()), "status": {"message": format!("token={}", c.secret())},
                "attributes": [attribute("http.request.header.authorization", format!("Bearer {}", c.token())), json!({"key": "http.request.header.x-api-key", "value": {"arrayValue": {"values": [{"stringValue": c.secret()}]}}}), attribute("url.query", format!("a=b&code={}", c.secret())), attribute("http.target", format!("/cb?code={}", c.secret())), attribute("db.statement", format!("SET PASSWORD = '{}'", c.secret())), attribute("url.full", format!("https://u:{}@h/", c.secret()))],
                "events": [{"name": "e", "attributes": [attribute("session.token", c.secret())]}]}]}]}]});
            c.documents.push((Format::Otlp, span.to_string()));
            let log = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
                {"body": {"stringValue": format!("login failed password={}", c.secret())}},
                {"body": {"stringValue": json!({"user": "x", "password": c.secret()}).to_string()}},
                {"body": {"kvlistValue": {"values": [attribute("client_secret", c.secret())]}}, "attributes": [attribute("x-api-key", c.secret())]}]}]}]});
            c.documents.push((Format::Otlp, log.to_string()));
            let list = json!({"kind": "List", "apiVersion": "v1", "items": [{"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "z"}, "data": {"q": c.base64()}}]});
            c.documents.push((Format::KubeList, list.to_string()));
            c.clouds();
        }
        c
    }
}

/// Everything that would be kept of an input.
fn kept(format: Format, input: &[u8]) -> String {
    let reading: Reading = with_context(|context| read(format, input, context));
    format!("{reading:?}")
}

fn assert_clean(format: Format, input: &[u8], secrets: &regex::Regex) {
    let kept = kept(format, input);
    if let Some(secret) = secrets.find(&kept) {
        let secret = secret.as_str();
        panic!("{secret} is left of {}: {kept}", String::from_utf8_lossy(input));
    }
}

/// What finds any of `secrets`.
fn finder(secrets: &[String]) -> regex::Regex {
    let secrets: Vec<String> = secrets.iter().map(|secret| regex::escape(secret)).collect();
    regex::RegexBuilder::new(&secrets.join("|")).size_limit(1 << 28).build().unwrap()
}

/// A reproducible sequence of numbers.
fn numbers(seed: u64) -> impl Iterator<Item = usize> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap()
    })
}

/// Scenario: more than 200 secrets where they really stand, each input whole, cut at 200 places at
/// its end and its beginning, and with broken UTF-8.
/// Guarantees: none of them is in any row or reject.
#[test]
fn no_canary_survives() {
    let canaries = Canaries::plant(4);
    assert!(canaries.secrets.len() >= 200, "{}", canaries.secrets.len());
    let secrets = finder(&canaries.secrets);
    // One of four sets is cut; all are read whole.
    let cut = canaries.documents.len() / 4;
    for (index, (format, document)) in canaries.documents.iter().enumerate() {
        let bytes = document.as_bytes();
        assert_clean(*format, bytes, &secrets);
        let cuts = if index < cut { 200 } else { 0 };
        for place in numbers(index as u64).map(|number| number % bytes.len()).take(cuts) {
            assert_clean(*format, &bytes[..place], &secrets);
            assert_clean(*format, &bytes[place..], &secrets);
            let mut broken = bytes.to_vec();
            broken[place] = 0xff;
            assert_clean(*format, &broken, &secrets);
        }
    }
}

/// Scenario: all canaries, and what is left of them when they are cut, through the log.
/// Guarantees: none of them is in any byte of the data directory, nor in what readers get.
#[test]
fn no_canary_is_written() {
    let canaries = Canaries::plant(4);
    let secrets = finder(&canaries.secrets);
    let (dir, log, intake) =
        lab::intake(crate::LogSettings::default(), crate::IntakeSettings::default());
    for (format, document) in &canaries.documents {
        let context = intake.context(Some("prod"), "test");
        for input in [document.as_bytes(), &document.as_bytes()[..document.len() / 2]] {
            log.append_blocking(read(*format, input, &context).into_contents()).unwrap();
        }
    }
    let records = format!("{:?}", lab::records(&log));
    let left = secrets.find(&records).map(|found| records.get(found.start().saturating_sub(300)..));
    assert_eq!(left.flatten().and_then(|left| left.get(..400)), None);
    assert!(records.len() > 100_000);
    for name in std::fs::read_dir(dir.path().join("log")).unwrap() {
        let bytes = std::fs::read(name.unwrap().path()).unwrap();
        assert!(!secrets.is_match(&String::from_utf8_lossy(&bytes)));
    }
}

/// Scenario: a recording whose policy logs tokens and Secrets.
/// Guarantees: none of their values is in any row, nor in a reject of the log cut at 200 places.
#[test]
fn careless_recording_is_clean() {
    let Some(log) = lab::recorded("c-careless", "audit.jsonl.zst") else { return };
    let text = String::from_utf8(log.clone()).unwrap();
    let mut secrets = Vec::new();
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        collect_secrets(&event["requestObject"], &mut secrets);
        collect_secrets(&event["responseObject"], &mut secrets);
    }
    secrets.sort();
    secrets.dedup();
    assert!(secrets.len() > 60, "{}", secrets.len());
    let secrets = finder(&secrets);
    let reading = with_context(|context| read(Format::KubeAudit, &log, context));
    for access in &reading.accesses {
        let kept = format!(
            "{:?} {:?} {:?}",
            access.request_object, access.response_object, access.unmapped
        );
        assert!(!secrets.is_match(&kept), "{kept}");
    }
    for place in numbers(3).map(|number| number % log.len()).take(200) {
        let line = log[..place].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        assert_clean(Format::KubeAudit, &log[line..place], &secrets);
        let end = memchr::memchr(b'\n', &log[place..]).map_or(log.len(), |at| place + at);
        assert_clean(Format::KubeAudit, &log[place..end], &secrets);
    }
}

/// Scenario: the recordings of careful policies, which hold no secret.
/// Guarantees: nothing is taken for one by mistake.
#[test]
fn benign_recordings_are_left_alone() {
    let (mut rows, mut touched) = (0, Vec::new());
    for name in ["a-production", "d-stratus", "e-benign", "f-production"] {
        let Some(log) = lab::recorded(name, "audit.jsonl.zst") else { return };
        let reading = with_context(|context| read(Format::KubeAudit, &log, context));
        rows += reading.accesses.len();
        let texts = reading.accesses.iter().map(|access| format!("{access:?}"));
        touched.extend(texts.filter(|text| text.contains(MARKER)));
    }
    assert!(touched.is_empty(), "{} of {rows}: {:?}", touched.len(), touched.first());
}

/// Scenario: the logs of proxies, of SPIRE and of Cilium, none of which holds a secret.
/// Guarantees: not one value is taken for one.
#[test]
fn benign_meshes_are_left_alone() {
    for (folder, ending) in
        [("story-json/envoy", ".log"), ("story-json/spire", ".log"), ("spire-text", ".log")]
    {
        let Some(files) = lab::mesh(folder, ending) else { return };
        for (name, bytes) in files {
            let format = Format::detect(&bytes).unwrap();
            let kept = kept(format, &bytes);
            let at = kept.find(MARKER).map(|at| kept.get(at.saturating_sub(100)..at + 20));
            assert_eq!(at, None, "{name}");
        }
    }
    for (name, bytes) in lab::shared_files("hubble_flows", ".json").unwrap() {
        assert!(!kept(Format::Hubble, &bytes).contains(MARKER), "{name}");
    }
}

/// The values that must not survive: tokens, and data of Secrets.
fn collect_secrets(value: &Value, secrets: &mut Vec<String>) {
    if let Some(token) = value.pointer("/status/token").and_then(Value::as_str) {
        secrets.push(token.to_owned());
    }
    let is_secret = value["kind"] == "Secret" || value["kind"].is_null();
    if let Some(data) = value["data"].as_object().filter(|_| is_secret) {
        secrets.extend(data.values().filter_map(Value::as_str).map(str::to_owned));
    }
    for item in value["items"].as_array().into_iter().flatten() {
        if value["kind"] == "SecretList" {
            collect_secrets(item, secrets);
        }
    }
    secrets.retain(|secret| secret.len() > 8);
}

/// Scenario: heads of rejects of every sort.
/// Guarantees: people can see what it was; secrets cannot be seen.
#[test]
fn heads_show_shape_only() {
    let check = |input: &[u8], expect: &str| assert_eq!(mask_unparsed(input), expect);
    check(br#"{"kind":"Event","level":"Metadata","user":{"username":"eve"},"x":"short","auditID":"8a3f2b1e-9a43-4c41-9d3f-7f6b2f1f0a10","code":403"#,
        r#"{"kind":"Event","level":"Metadata","user":{"username":"***"},"***":"***","auditID":"8a3f2b1e-9a43-4c41-9d3f-7f6b2f1f0a10","code":403"#);
    check(br#"t3","data":{"p":"c2Vj"#, r#"***"***"***"***"***"***"***"#);
    check(
        b"E1124 12:00:00 klog says password: hunter2",
        "E1124 12:***:*** klog says password: ***",
    );
    check(b"run of abcdefghijklmnop", "run of ***");
    check(b"\x1f\x8b\x08\x00\x00", "binary: 1f 8b 08 00 00");
    check("p\0a\0s\0s\0".as_bytes(), "binary: 70 00 61 00 73 00 73 00");
    assert!(mask_unparsed(&vec![b'a'; 10_000]).len() < 5_000);
}

/// Scenario: what fuzzing the redactor found.
/// Guarantees: what must hold of every input holds of these.
#[test]
fn findings_of_the_fuzzer_hold() {
    let found = [
        // A canary that the fuzzer glued to letters by itself is not of the known form.
        "5a91\"\u{1}AKIAIOSFODNN7CANARYXC\0\0,",
        // The canary is planted into the first of two fields of one name, of which the last is read.
        r#"{"msg":"a long text","msg":"b"}"#,
    ];
    for found in found {
        crate::fuzz::check(crate::fuzz::Target::Redactor, found.as_bytes());
    }
}

proptest! {
    /// Scenario: any text and any bytes.
    /// Guarantees: redacting answers, twice is the same as once, and heads are short.
    #[test]
    fn redaction_answers_and_settles(text in "(?s).{0,200}", bytes in any::<Vec<u8>>()) {
        let once = redactor().text(&text);
        prop_assert_eq!(redactor().text(&once), once.clone());
        let uri = redactor().uri(&text);
        prop_assert!(!uri.is_empty() || text.is_empty());
        prop_assert!(mask_unparsed(&bytes).len() <= 3 * bytes.len() + 32);
    }
}
