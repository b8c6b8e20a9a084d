//! What got through when the redactor was attacked on purpose: secrets that look like words, in texts,
//! addresses and bodies as programs write them.

use base64::Engine as _;
use serde_json::json;

use super::{Body, check, redactor};

/// Whatever is planted here; it looks like nothing.
const SECRET: &str = "s3cr3t";

/// Scenario: commands, headers, statements, connection strings, elements and settings in free text.
/// Guarantees: no secret is left, also behind a marker and where the text was cut.
#[test]
fn texts_hide_nothing() {
    let texts = [
        r#"body={\"password\":\"s3cr3t\"} sent"#,
        r#"x \\\"token\\\": \\\"s3cr3t\\\" y"#,
        r#"x "password": "ab\"s3cr3t" y"#,
        "x password=\"s3cr3t",
        "{'password':'s3cr3t'}",
        "{Username:a Password:s3cr3t}",
        "password == s3cr3t",
        "Authorization: token s3cr3t",
        "Authorization: Negotiate s3cr3t",
        "mysql --password s3cr3t -e 1",
        "kubeadm join --token 's3cr3t'",
        "ALTER USER app WITH PASSWORD 's3cr3t'",
        "CREATE USER 'a'@'%' IDENTIFIED BY 's3cr3t'",
        "ALTER USER a IDENTIFIED WITH mysql_native_password BY 's3cr3t'",
        "SET PASSWORD FOR 'a'@'b' = PASSWORD('s3cr3t')",
        "DB_PASS=s3cr3t ./run",
        "Cookie: session=s3cr3t; b=c",
        "<db:password>s3cr3t</db:password>",
        "curl -u admin:s3cr3t https://h/",
        "root:s3cr3t@tcp(db:3306)/x",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\ns3cr3t\n-----END PGP PRIVATE KEY BLOCK-----",
        // A key that is known begins what is longer.
        "token=AKIAIOSFODNN7EXAMPLE.s3cr3t",
    ];
    for text in texts {
        assert!(!redactor().text(text).contains(SECRET), "{}", redactor().text(text));
    }
    for benign in [
        "bypass=on compass: north",
        "docker run -u 1000:1000 x",
        "modified by 'eve'",
        "reset-password:reader",
        "--token-file /var/run/token",
        "--secret -v",
    ] {
        assert_eq!(redactor().text(benign), benign);
    }
}

/// Scenario: JSON behind words, behind other JSON, in a string of text, and as base64; texts in which much
/// seems to be JSON.
/// Guarantees: no secret is left, whatever it is called; words around it and benign JSON stay.
#[test]
fn json_is_found_in_texts() {
    let secret = json!({"kind": "Secret", "data": {"p": "czNjcjN0"}, "stringData": {"q": SECRET}});
    let engine = base64::engine::general_purpose::STANDARD;
    for text in [
        format!("Request Body: {secret}"),
        format!("{secret}\n{secret} end"),
        format!("body={} end", json!(secret.to_string())),
        format!("got {}", json!({"a": secret.to_string()})),
        serde_json::to_string_pretty(&secret).unwrap() + " end",
        format!("{{\"a {{\"b {secret}"),
        engine.encode(secret.to_string()),
        engine.encode("users:\n- user:\n    token: s3cr3t\n"),
    ] {
        let kept = redactor().text(&text);
        assert!(!kept.contains(SECRET) && !kept.contains("czNj"), "{kept}");
        assert!(kept.starts_with("redacted:") || kept.contains("Secret"), "{kept}");
    }
    let benign = r#"created {"kind": "Pod",  "metadata": {"name": "a"}} in "{\"a\": 1}" {"x" "#;
    assert_eq!(redactor().text(benign), benign);
    let words = engine.encode("system:serviceaccount:shop:cart is a name");
    assert_eq!(redactor().text(&words), words);
}

/// Scenario: YAML with a block, with an environment, and of a Secret, in a `ConfigMap` and in a text.
/// Guarantees: values go, names and what comes after stay; once more changes nothing.
#[test]
fn yaml_hides_nothing() {
    let texts = [
        "a: b\npassword: |\n  s3cr3t\n  more s3cr3t\n\n  s3cr3t\nlevel: info",
        "a:\n  - token: >-\n      s3cr3t\n    level: info\n",
        "env:\n- name: DB_PASSWORD\n  value: s3cr3t\n- name: LEVEL\n  value: info\n",
        "kind: Secret\nstringData:\n  a: s3cr3t\n  b: |\n    s3cr3t\nmetadata:\n  level: info\n",
        "data:\n  a: s3cr3t\nkind: Secret\nlevel: info\n",
    ];
    for text in texts {
        let kept = redactor().text(text);
        assert!(!kept.contains(SECRET) && kept.contains("info"), "{kept}");
        assert_eq!(redactor().text(&kept), kept);
        check(json!({"kind": "ConfigMap", "data": {"x": text}}), Body::Other, &["info"]);
    }
}

/// Scenario: parameters in mixed case, of other clouds, and of an address within an address.
/// Guarantees: no secret is left; a long chain of addresses is answered.
#[test]
fn addresses_hide_nothing() {
    for uri in [
        "/x?clientSecret=s3cr3t",
        "/x?X-Goog-Signature=s3cr3t",
        "/x?oauth_signature=s3cr3t",
        "/x?SAMLResponse=s3cr3t",
        "/x?code_verifier=s3cr3t",
        "/x?command=sh&command=-c&command=mysql+--password+s3cr3t",
        "/x?command=curl&command=-H&command=Authorization:+Token+s3cr3t",
    ] {
        assert!(!redactor().uri(uri).contains(SECRET), "{}", redactor().uri(uri));
        check(json!({"url": format!("https://h{uri}"), "level": "info"}), Body::Other, &["info"]);
    }
    assert!(!redactor().uri("/x?next=%2Fcb%3Fcode%3Ds3cr3t").contains(SECRET));
    for benign in ["/apis?timeout=32s", "/x?labelSelector=app%3Dcart&code=", "/a?b=/c?d=e"] {
        assert_eq!(redactor().uri(benign), benign);
    }
    let deep = "/x?a=".repeat(100_000);
    assert_eq!(redactor().uri(&deep), deep);
}

/// Scenario: parameters of templates and stacks, options, commands under names of Docker and OTLP, data that
/// a machine runs when it starts.
/// Guarantees: no secret is left; names of secrets, tags and changes of directories stay.
#[test]
fn bodies_hide_nothing() {
    let script = base64::engine::general_purpose::STANDARD.encode("export DB_PASSWORD=s3cr3t\n");
    for body in [
        json!({"parameters": {"adminPassword": {"value": SECRET}}, "level": "info"}),
        json!([{"parameterKey": "DbPassword", "parameterValue": SECRET}, "info"]),
        json!([{"Name": "DB_PASSWORD", "Value": SECRET}, "info"]),
        json!([{"optionName": "DB_PASSWORD", "value": SECRET}, "info"]),
        json!({"Cmd": ["--password", SECRET], "level": "info"}),
        json!({"process.command_args": ["--password", SECRET], "level": "info"}),
        json!({"password": [[SECRET]], "level": "info"}),
        json!({"stringData": {"info": SECRET}}),
    ] {
        check(body, Body::Other, &["info"]);
    }
    let mut started = json!({"userData": script});
    redactor().json(&mut started);
    assert!(started["userData"].as_str().unwrap().starts_with("redacted:"));
    for benign in [
        json!({"displayName": "FederatedIdentityCredentials", "newValue": "system:serviceaccount:a:b"}),
        json!({"Key": "aws:ec2:fleet-id", "Value": "fleet-180da986-0bb4-c936-0c9a-0e20a0c6d1aa"}),
        json!({"secretId": "arn:aws:secretsmanager:eu-west-1:1:secret:db-a1B2c3"}),
        json!({"secret": {"secretName": "db", "defaultMode": 420}}),
    ] {
        let mut kept = benign.clone();
        redactor().json(&mut kept);
        assert_eq!(kept, benign);
    }
}

/// Scenario: rejects whose text has no mark but a word, and numbers under names.
/// Guarantees: nothing is left of what follows on the line.
#[test]
fn heads_hide_nothing() {
    for text in [
        "login failed password s3cr3t",
        "Authorization: Bearer s3cr3t",
        "password: correct s3cr3t battery",
        "--token s3cr3t\nlevel info",
        "<password>s3cr3t</password>",
        "password=s3\u{fffd}s3cr3t",
    ] {
        let head = super::mask_unparsed(text.as_bytes());
        assert!(!head.contains(SECRET), "{head}");
        assert_eq!(head.contains("level info"), text.contains("level info"), "{head}");
    }
    let head = super::mask_unparsed(br#"{"pin":123456,"code":403,"x":[7"#);
    assert_eq!(head, r#"{"***":***,"code":403,"***":[***"#);
}
