//! A planting of 192 kinds of secrets, each in a place of an event where such secrets were seen.

use serde_json::{Value, json};

use super::redactor;

/// Where a text stands.
#[derive(Debug, Clone, Copy)]
enum At {
    /// An annotation, a log line, any text of which nothing is known.
    Text,
    /// The arguments of a container, parted by blanks.
    Args,
    /// A script behind `sh -c`.
    Script,
    /// A file in a `ConfigMap`.
    File,
    /// A request URI.
    Uri,
    /// A field of an object, `name=value`.
    Field,
}
use At::{Args, Field, File, Script, Text, Uri};

/// Kinds: `<aN>` stands for N letters and digits, `<hN>` for hex digits, `<lN>` and `<uN>` for small or capital letters and
/// digits, `<dN>` for digits, `<w>` for a password that a person made up.
const KINDS: &[(At, &str)] = &[
    // Tokens that say what they are.
    (Text, "gitlab runner glrt-<a20>"),
    (Text, "gitlab deploy gldt-<a20>"),
    (Text, "gitlab job glcbt-64_<a20>"),
    (Text, "gitlab trigger glptt-<h40>"),
    (Text, "gitlab feed glft-<a20>"),
    (Text, "gitlab scim glsoat-<a20>"),
    (Text, "gitlab mail glimt-<a25>"),
    (Text, "gitlab agent glagent-<a50>"),
    (Text, "gitlab oauth gloas-<h64>"),
    (Text, "runner registration GR1348941<a20>"),
    (Text, "digitalocean dop_v1_<h64>"),
    (Text, "digitalocean doo_v1_<h64>"),
    (Text, "digitalocean dor_v1_<h64>"),
    (Text, "grafana glsa_<a32>_<h8>"),
    (Text, "grafana cloud glc_<a60>"),
    (Text, "new relic NRAK-<u27>"),
    (Text, "new relic NRII-<a32>"),
    (Text, "new relic NRJS-<h19>"),
    (Text, "dynatrace dt0c01.<u24>.<u64>"),
    (Text, "dynatrace dt0s16.<u24>.<u64>"),
    (Text, "sentry sntrys_<a60>"),
    (Text, "sentry sntryu_<h64>"),
    (Text, "honeycomb hcaik_<l58>"),
    (Text, "databricks dapi<h32>"),
    (Text, "pulumi pul-<h40>"),
    (Text, "terraform <a14>.atlasv1.<a64>"),
    (Text, "vault of old s.<a24>"),
    (Text, "doppler dp.pt.<a43>"),
    (Text, "doppler dp.st.prd.<a40>"),
    (Text, "planetscale pscale_tkn_<a43>"),
    (Text, "planetscale pscale_pw_<a43>"),
    (Text, "supabase sbp_<h40>"),
    (Text, "supabase sb_secret_<a31>"),
    (Text, "aiven AVNS_<a19>"),
    (Text, "neon napi_<l64>"),
    (Text, "tailscale tskey-auth-<a12>CNTRL-<a32>"),
    (Text, "tailscale tskey-api-<a12>CNTRL-<a32>"),
    (Text, "fly FlyV1 fm2_<a80>"),
    (Text, "heroku HRKU-<a60>"),
    (Text, "netlify nfp_<a36>"),
    (Text, "render rnd_<a28>"),
    (Text, "1password ops_eyJ<a80>"),
    (Text, "1password A3-<u6>-<u11>-<u5>-<u5>-<u5>"),
    (Text, "hugging face hf_<a34>"),
    (Text, "hugging face api_org_<a34>"),
    (Text, "replicate r8_<a37>"),
    (Text, "groq gsk_<a52>"),
    (Text, "perplexity pplx-<a48>"),
    (Text, "xai xai-<a80>"),
    (Text, "nvidia nvapi-<a64>"),
    (Text, "pinecone pcsk_<a60>"),
    (Text, "langsmith lsv2_pt_<h32>_<h10>"),
    (Text, "cerebras csk-<l48>"),
    (Text, "bedrock ABSK<a100>"),
    (Text, "aws session IQoJb3JpZ2luX2Vj<a200>"),
    (Text, "aws session FwoGZXIvYXdz<a200>"),
    (Text, "google oauth GOCSPX-<a28>"),
    (Text, "google refresh 1//0<a60>"),
    (Text, "azure ad <a3>8Q~<a34>"),
    (Text, "azure storage <a76>+ASt<a5>=="),
    (Text, "azure devops <a76>AZDO<a4>"),
    (Text, "shopify shpat_<h32>"),
    (Text, "shopify shpss_<h32>"),
    (Text, "square sq0atp-<a22>"),
    (Text, "square sq0csp-<a43>"),
    (Text, "stripe whsec_<a32>"),
    (Text, "razorpay rzp_live_<a14>"),
    (Text, "flutterwave FLWSECK-<h32>-X"),
    (Text, "paypal access_token$production$<l16>$<h32>"),
    (Text, "easypost EZAK<a54>"),
    (Text, "shippo shippo_live_<h40>"),
    (Text, "duffel duffel_live_<a43>"),
    (Text, "sendinblue xkeysib-<h64>-<a16>"),
    (Text, "sendinblue xsmtpsib-<h64>-<a16>"),
    (Text, "mailgun key-<h32>"),
    (Text, "mailchimp <h32>-us12"),
    (Text, "telegram <d10>:AA<a33>"),
    (Text, "twilio SK<h32>"),
    (Text, "discord https://discord.com/api/webhooks/<d18>/<a68>"),
    (Text, "discord bot M<a23>.<a6>.<a38>"),
    (Text, "teams https://x.webhook.office.com/webhookb2/u@v/IncomingWebhook/<h32>/w"),
    (Text, "zapier https://hooks.zapier.com/hooks/catch/<d7>/<l12>/"),
    (Text, "atlassian ATATT3xFfGF0<a180>"),
    (Text, "bitbucket ATBB<a32>"),
    (Text, "trello ATTA<h64>"),
    (Text, "linear lin_api_<a40>"),
    (Text, "notion ntn_<a46>"),
    (Text, "figma figd_<a40>"),
    (Text, "postman PMAK-<h24>-<h34>"),
    (Text, "contentful CFPAT-<a43>"),
    (Text, "airtable pat<a14>.<h64>"),
    (Text, "hubspot pat-na1-<h8>-<h4>-<h4>-<h4>-<h12>"),
    (Text, "facebook EAACEdEose0cBA<a100>"),
    (Text, "twitter AAAAAAAAAAAAAAAAAAAAA<a80>"),
    (Text, "typeform tfp_<a59>"),
    (Text, "sourcegraph sgp_<h16>_<h40>"),
    (Text, "sonar squ_<h40>"),
    (Text, "jfrog AKCp<a69>"),
    (Text, "jfrog cmVmdGtu<a56>"),
    (Text, "circleci CCIPAT_<a22>_<h40>"),
    (Text, "buildkite bkua_<h40>"),
    (Text, "rubygems rubygems_<h48>"),
    (Text, "crates cio<a32>"),
    (Text, "nuget oy2<l43>"),
    (Text, "clojars CLOJARS_<h60>"),
    (Text, "docker dckr_oat_<a32>"),
    (Text, "launchdarkly sdk-<h8>-<h4>-<h4>-<h4>-<h12>"),
    (Text, "yandex AQVN<a36>"),
    (Text, "adafruit aio_<a28>"),
    (Text, "dbt dbtc_<a40>"),
    (Text, "prefect pnu_<a36>"),
    (Text, "age AGE-SECRET-KEY-1<u58>"),
    (Text, "kubeadm <l6>.<l16>"),
    (Text, "k3s K10<h64>::server:<h32>"),
    (Text, "rancher token-<l5>:<l54>"),
    (Text, "putty Private-Lines: 1 <a60>"),
    (
        File,
        "-----BEGIN OpenVPN Static key V1-----\n<h32>\n<h32>\n-----END OpenVPN Static key V1-----\n",
    ),
    (File, "[Interface]\nPrivateKey = <a43>=\nAddress = 10.0.0.1/24\n"),
    (File, "[Peer]\nPresharedKey = <a43>=\n"),
    (File, "PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n<a60>\nPrivate-MAC: <h64>\n"),
    // Command lines.
    (Script, "mysql -uroot -p<w> shop"),
    (Script, "mysqldump --user=root -p'<w>' shop"),
    (Script, "redis-cli -h cache -a <w> ping"),
    (Script, "sshpass -p <w> ssh root@db"),
    (Script, "docker login -u ci -p <w> registry.example"),
    (Script, "echo <w> | docker login -u ci --password-stdin registry.example"),
    (Script, "openssl rsa -in key.pem -passin pass:<w>"),
    (Script, "openssl pkcs12 -export -passout pass:<w>"),
    (Script, "curl --user admin:<w> https://x"),
    (Script, "curl -uadmin:<w> https://x"),
    (Script, "wget --http-password=<w> https://x"),
    (Script, "mongosh -u root -p <w> --authenticationDatabase admin"),
    (Script, "PGPASSWORD=<w> psql -h db"),
    (Script, "export MYSQL_PWD='<w>'; mysql"),
    (Script, "ldapsearch -D cn=admin -w <w> -b dc=x"),
    (Script, "smbclient //h/s -U user%<w>"),
    (Script, "keytool -storepass <w> -list"),
    (Script, "kubectl create secret generic x --from-literal=a=<w>"),
    (Script, "kubectl config set-credentials a --token <l20>"),
    (Script, "vault login <a20>"),
    (Script, "az login --service-principal -u a -p <w> --tenant t"),
    (Script, "htpasswd -b .htpasswd admin <w>"),
    (Script, "kubeadm join 10.0.0.1:6443 --token <l6>.<l16>"),
    (Script, "restic --password-command 'echo <w>' backup"),
    (Script, "sqlcmd -S db -U sa -P <w> -Q x"),
    (Script, "snmpwalk -v3 -A <w> -X <w> host"),
    (Script, "echo 'root:<w>' | chpasswd"),
    (Script, "net use x: \\\\h\\s /user:a <w>"),
    (Args, "--requirepass <w>"),
    (Args, "--db.password <w>"),
    (Args, "-Djavax.net.ssl.keyStorePassword=<w>"),
    (Args, "--auth-token=<w>"),
    (Args, "--masterauth <w>"),
    (Args, "-p <w>"),
    (Args, "--client-secret <w>"),
    // Files.
    (File, "db:5432:shop:shop:<w>\n"),
    (File, "machine api.example login ci password <w>\n"),
    (File, "machine api.example\n  login ci\n  password <w>\n"),
    (File, "[client]\nuser=root\npassword=<w>\n"),
    (File, "requirepass <w>\nmaxmemory 1gb\n"),
    (File, "//registry.npmjs.org/:_authToken=<a36>\n"),
    (File, "//registry.example/:_password=\"<a24>\"\n"),
    (File, "<server><id>x</id><password><w></password></server>"),
    (File, "<bean><property name=\"password\" value=\"<w>\"/></bean>"),
    (File, "<connection user=\"sa\" password=\"<w>\"/>"),
    (File, "<add key=\"ApiKey\" value=\"<a20>\"/>"),
    (File, "spring.datasource.password=<w>\n"),
    (File, "users:\n- name: a\n  user:\n    client-key-data: <a80>\n"),
    (File, "auth:\n  basic:\n    password: \"<w>\"\n"),
    (File, "bind_dn = cn=a\nbind_password = <w>\n"),
    (File, "smtp_auth_password: '<w>'\n"),
    (File, "user www;\nproxy_set_header Authorization \"Bearer <a24>\";\n"),
    (File, "CREATE USER a WITH PASSWORD '<w>';\n"),
    (File, "{\"auths\":{\"r\":{\"auth\":\"<a24>\"}}}"),
    (File, "defaults:\n  aws_secret_access_key: <a40>\n"),
    // Addresses.
    (Uri, "/login;jsessionid=<u32>?a=b"),
    (Uri, "/x?redirect=https%3A%2F%2Fy%2F%3Ftoken%3D<a20>"),
    (Uri, "/x?next=%252Fcb%253Faccess_token%253D<a20>"),
    (Uri, "/x?PHPSESSID=<l26>"),
    (Uri, "/x?X-Goog-Signature=<h64>"),
    (Uri, "/x?authkey=<a20>"),
    (Uri, "/oauth/cb?code=<a20>&state=x"),
    (Uri, "/x#access_token=<a20>&token_type=bearer"),
    (Text, "amqps://shop:<w>@mq.example/vhost"),
    (Text, "GET https://<a20>@github.com/acme/x.git"),
    (Text, "jdbc:oracle:thin:scott/<w>@db:1521/x"),
    (Text, "tracestate: vendor=<a40>"),
    (Field, "tracestate=vendor=<a40>"),
    (Field, "sessionId=<a32>"),
    (Field, "privateKeyPem=<a60>"),
    (Field, "otp=<d6>"),
    (Field, "pin_code=<d8>"),
    (Field, "recoveryCodes=<a10>"),
    (Field, "sasToken=<a40>"),
    (Field, "X-Vault-Token=<a26>"),
    (Field, "set-cookie=sid=<a32>; Path=/"),
    (Field, "proxyAuthorization=Digest <h32>"),
    (Field, "signingSecret=<h32>"),
    (Field, "encryptionKey=<a43>="),
];

/// The template with secrets in it, and the secrets.
fn planted(template: &str, seed: usize) -> (String, Vec<String>) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed as u64 + 1);
    let mut draw = |alphabet: &str, length: usize| -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        let one = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            letters[usize::try_from(state >> 33).expect("31 bits") % letters.len()]
        };
        (0..length).map(one).collect()
    };
    let (small, capital, digits) =
        ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789");
    let (mut text, mut secrets, mut rest) = (String::new(), Vec::new(), template);
    let marks = regex::Regex::new("<(a|h|l|u|d|w)([0-9]*)>").expect("a pattern");
    while let Some(found) = marks.captures(rest) {
        let (whole, length) = (found.get(0).expect("it matched"), found[2].parse().unwrap_or(0));
        let secret = match &found[1] {
            "a" => draw(&[small, capital, digits].concat(), length),
            "h" => draw("0123456789abcdef", length),
            "l" => draw(&[small, digits].concat(), length),
            "u" => draw(&[capital, digits].concat(), length),
            "d" => draw(digits, length),
            _ => format!("{}-{}!", ["Winter", "Sommer", "Herbst"][seed % 3], draw(small, 5)),
        };
        text.push_str(rest.get(..whole.start()).expect("a boundary"));
        text.push_str(&secret);
        if secret.len() >= 6 {
            secrets.push(secret);
        }
        rest = rest.get(whole.end()..).expect("a boundary");
    }
    (text + rest, secrets)
}

/// An event with the text in its place, redacted, as text.
fn kept(at: At, text: &str) -> String {
    let mut value = match at {
        At::Text => json!({"metadata": {"annotations": {"note": text}}}),
        At::Args => json!({"args": text.split(' ').collect::<Vec<_>>()}),
        At::Script => json!({"command": ["sh", "-c", text]}),
        At::File => json!({"kind": "ConfigMap", "data": {"file": text}}),
        At::Uri => return redactor().uri(text),
        At::Field => {
            let (name, value) = text.split_once('=').expect("a name");
            json!({ name: value })
        }
    };
    redactor().json(&mut value);
    let mut texts = Vec::new();
    all(&value, &mut texts);
    texts.join("\n")
}

fn all(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| all(item, texts)),
        Value::Object(fields) => fields.values().for_each(|field| all(field, texts)),
        _ => {}
    }
}

/// Scenario: each kind of secret three times, in a place where such were seen.
/// Guarantees: of 192 kinds at least 180 are gone each time.
#[test]
fn known_kinds_of_secrets_are_gone() {
    let mut readable = Vec::new();
    for (at, (place, template)) in KINDS.iter().enumerate() {
        let is_gone = (0..3).all(|round| {
            let (text, secrets) = planted(template, at * 3 + round);
            let kept = kept(*place, &text);
            secrets.iter().all(|secret| !kept.contains(secret.as_str()))
        });
        if !is_gone {
            readable.push(format!("{place:?} {template}"));
        }
    }
    println!("{} of {} readable:\n{}", readable.len(), KINDS.len(), readable.join("\n"));
    assert!(KINDS.len() >= 192, "{}", KINDS.len());
    assert!(readable.len() * 192 <= 12 * KINDS.len(), "{readable:#?}");
}
