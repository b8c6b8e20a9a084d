use std::collections::BTreeSet;
use std::path::Path;

use durward_schemas::controllers;
use durward_schemas::tables::Access;
use durward_schemas::values::{Decision, Outcome};
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::detector::Seen;
use crate::testing;

/// What a rule must and must not hold for.
#[derive(Deserialize)]
struct Cases {
    yes: Vec<Case>,
    no: Vec<Case>,
}

/// One event in the words of audit.k8s.io/v1, or a row by its columns, and the change that it made.
#[derive(Deserialize)]
struct Case {
    why: String,
    #[serde(default)]
    event: Value,
    #[serde(default)]
    row: Value,
    #[serde(default)]
    change: Value,
}

impl Case {
    fn access(&self) -> Access {
        match &self.row {
            Value::Null => testing::row(&self.event),
            columns => testing::row_of_columns(columns),
        }
    }

    fn holds(&self, rule: &Rule) -> bool {
        self.holds_for(&self.access(), rule)
    }

    /// Whether the rule holds for `row` with this case's change.
    fn holds_for(&self, row: &Access, rule: &Rule) -> bool {
        let change = testing::change(&self.change);
        rule.holds(&RowEvent::of(Seen { change: change.as_ref(), ..Seen::of(row) }))
    }
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/rules"))
}

fn cases(rule: &Rule) -> Cases {
    let path = folder().join(format!("{}.cases.yml", rule.id));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Scenario: every built-in rule with its own cases.
/// Guarantees: it holds for each of the yes-cases and for none of the no-cases, and has some of both.
#[test]
fn rules_hold_for_their_cases_only() {
    for rule in load(&[]).expect("the built-in rules are right") {
        let cases = cases(&rule);
        assert!(!cases.yes.is_empty() && !cases.no.is_empty(), "{} lacks cases", rule.id);
        for case in &cases.yes {
            assert!(case.holds(&rule), "{} must hold: {}", rule.id, case.why);
        }
        for case in &cases.no {
            assert!(!case.holds(&rule), "{} must not hold: {}", rule.id, case.why);
        }
    }
}

/// Scenario: every yes-case of the rules for Kubernetes from a source that sends no decision, with an
/// answer of success, with a refusal, and the same said by a decision.
/// Guarantees: an answer of success is enough; what was refused is never allowed.
#[test]
fn an_answer_of_success_is_enough() {
    let rules = load(&[]).expect("the built-in rules are right");
    for rule in rules.iter().filter(|rule| rule.source.product == "kubernetes") {
        let text = BUILT_IN.iter().find(|(name, _)| name.strip_suffix(".yml") == Some(&rule.id));
        let asks = text.is_some_and(|(_, text)| text.contains("allowed: true"));
        for case in cases(rule).yes {
            let row = case.access();
            if row.outcome == Outcome::Failure {
                continue;
            }
            let code = row.status_code.or(Some(200));
            let told = Access { decision: Decision::Unknown, status_code: code, ..row.clone() };
            assert!(case.holds_for(&told, rule), "{} without a decision: {}", rule.id, case.why);
            let refused = Access {
                decision: Decision::Unknown,
                outcome: Outcome::Failure,
                status_code: Some(403),
                ..row.clone()
            };
            let forbidden = Access { decision: Decision::Deny, ..told };
            assert!(!asks || !case.holds_for(&refused, rule), "{} 403: {}", rule.id, case.why);
            assert!(!asks || !case.holds_for(&forbidden, rule), "{} forbid: {}", rule.id, case.why);
        }
    }
}

/// Kind of object, API group, and how a request for it holds `spec`.
fn ways_in(spec: &Value) -> Vec<(&'static str, &'static str, Value)> {
    let template = json!({"template": {"spec": spec}});
    let mut ways = vec![
        ("pods", "", json!({"spec": spec})),
        ("podtemplates", "", template.clone()),
        ("replicationcontrollers", "", json!({"spec": template})),
        ("cronjobs", "batch", json!({"spec": {"jobTemplate": {"spec": template}}})),
        ("jobs", "batch", json!({"spec": template})),
    ];
    for kind in ["deployments", "daemonsets", "statefulsets", "replicasets"] {
        ways.push((kind, "apps", json!({"spec": template})));
    }
    ways
}

/// Whether one of the rules that say "the node is open" holds for a pod specification in every way in, or in none.
fn check_openings(rule: &str, spec: &Value, expected: bool) {
    let rules = load(&[]).expect("the built-in rules are right");
    let rule = rules.iter().find(|it| it.id == rule).expect("a built-in rule");
    for (resource, group, body) in ways_in(spec) {
        for verb in ["create", "update", "patch"] {
            let row = testing::row(&json!({
                "user": {"username": "carol"},
                "verb": verb,
                "objectRef": {"resource": resource, "apiGroup": group, "namespace": "shop", "name": "x"},
                "responseStatus": {"code": 200},
                "requestObject": body,
            }));
            let holds = rule.holds(&RowEvent::of(Seen::of(&row)));
            assert_eq!(holds, expected, "{}: {verb} {resource} {spec}", rule.id);
        }
    }
}

fn with_path(path: &str, read_only: bool, containers: &str) -> Value {
    json!({
        "volumes": [{"name": "v", "hostPath": {"path": path}}],
        containers: [{"name": "c", "volumeMounts": [{"name": "v", "readOnly": read_only}]}],
    })
}

/// Scenario: the node's files, in many spellings, mounted by each kind of container, by every object that makes
/// pods, with each verb.
/// Guarantees: a place is judged by where it leads; names that only begin alike are nothing.
#[test]
fn paths_are_judged_by_where_they_lead() {
    let sockets = [
        "/run/containerd/containerd.sock",
        "/var/run/docker.sock/",
        "/var/run/../run/docker.sock",
        "//var//run/./crio/crio.sock",
        "/proc/1/root/run/containerd",
        "/run/k3s/containerd/",
    ];
    let owned = [
        "/",
        "//",
        "/.",
        "/etc/..",
        "/etc/",
        "/etc/kubernetes/pki",
        "/root/",
        "/proc",
        "/var/run/",
    ];
    let nothing =
        ["/mnt/disks/1", "/rootless", "/etcetera", "/run/containerd-metrics", "/var/log/"];
    for containers in ["containers", "initContainers", "ephemeralContainers"] {
        for socket in sockets {
            check_openings("pod_owns_node", &with_path(socket, true, containers), true);
        }
        for path in owned {
            check_openings("pod_owns_node", &with_path(path, false, containers), true);
        }
        for path in nothing {
            check_openings("pod_owns_node", &with_path(path, false, containers), false);
            check_openings("pod_opens_node", &with_path(path, false, containers), false);
        }
    }
    for read in
        ["/", "/var/run", "/var/lib/kubelet/pods/", "/etc/kubernetes//pki", "/proc/self/root"]
    {
        check_openings("pod_opens_node", &with_path(read, true, "containers"), true);
        check_openings("pod_owns_node", &with_path(read, true, "containers"), false);
    }
}

/// Scenario: rights and namespaces of the node, by every kind of container and of object.
/// Guarantees: each is found however it is spelled; what is usual for containers is not.
#[test]
fn rights_of_the_node_are_found_in_every_spelling() {
    let context = |context: Value| json!({"initContainers": [{"securityContext": context}]});
    let capability = |name: &str| context(json!({"capabilities": {"add": [name]}}));
    for name in ["SYS_ADMIN", "CAP_SYS_ADMIN", "sys_admin", "cap_sys_module", "ALL", "all"] {
        check_openings("pod_opens_node", &capability(name), true);
    }
    for name in ["NET_BIND_SERVICE", "CHOWN", "SYS_ADMINISTRATOR"] {
        check_openings("pod_opens_node", &capability(name), false);
    }
    check_openings("pod_opens_node", &context(json!({"privileged": true})), true);
    check_openings("pod_opens_node", &context(json!({"privileged": false})), false);
    check_openings("pod_opens_node", &json!({"hostIPC": true}), true);
    check_openings("pod_near_node", &json!({"hostNetwork": true}), true);
    let mut traced = capability("cap_sys_ptrace");
    traced["hostPID"] = json!(true);
    check_openings("pod_owns_node", &traced, true);
    let windows = context(json!({"windowsOptions": {"hostProcess": true}}));
    check_openings("pod_owns_node", &windows, true);
    for given_up in [
        json!({"runAsUser": 0}),
        json!({"procMount": "Unmasked"}),
        json!({"allowPrivilegeEscalation": true}),
        json!({"seccompProfile": {"type": "Unconfined"}}),
    ] {
        check_openings("pod_less_confined", &context(given_up.clone()), true);
        check_openings("pod_opens_node", &context(given_up), false);
    }
}

/// Scenario: the files in the folder of rules.
/// Guarantees: each is built in, and says all that people need: why, how grave, what else it may be, what to do.
#[test]
fn rules_are_complete() {
    let files = std::fs::read_dir(folder()).expect("the folder is there");
    let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| !name.ends_with(".cases.yml")).collect();
    names.sort();
    assert_eq!(names, BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (name, text) in BUILT_IN {
        let parsed = rsigma_parser::parse_sigma_yaml(text).expect("a built-in rule is YAML");
        let rule = parsed.rules.first().expect("a file holds a rule");
        assert_eq!(rule.name.as_deref(), name.strip_suffix(".yml"));
        assert!(rule.id.is_some() && rule.level.is_some() && rule.description.is_some(), "{name}");
        assert!(!rule.falsepositives.is_empty() && !rule.references.is_empty(), "{name}");
        assert!(rule.tags.iter().any(|tag| tag.starts_with("attack.t")), "{name}");
        assert!(rule.custom_attributes.contains_key("next_step"), "{name}");
    }
}

fn check(text: &str, expected: &str) {
    let file = RuleFile { name: "mine.yml".into(), text: text.into() };
    let said = match check_rules(&[file]) {
        Ok(warnings) => warnings
            .iter()
            .map(|warning| format!("{}:{}: {}", warning.file, warning.line, warning.message))
            .collect::<Vec<_>>()
            .join("; "),
        Err(error) => error.to_string(),
    };
    assert_eq!(said, expected);
}

const HEAD: &str = "title: Mine\nlogsource: {product: kubernetes, service: audit}\ndetection:\n";

/// Scenario: rules with a field that is misspelt, unknown, or that of another log.
/// Guarantees: the line that is wrong is named, and what was perhaps meant.
#[test]
fn wrong_rules_are_refused_with_their_line() {
    check(
        &format!("{HEAD}  s:\n    objectRef.resources: pods\n  condition: s\n"),
        "mine.yml:5: objectRef.resources is not a field of kubernetes/audit, did you mean objectRef.resource?",
    );
    check(
        &format!("{HEAD}  s:\n    CommandLine|contains: x\n  condition: s\n"),
        "mine.yml:5: CommandLine is not a field of kubernetes/audit",
    );
    check(
        "title: Mine\nlogsource: {product: windows}\ndetection:\n  s: {EventID: 1}\n  condition: s\n",
        "mine.yml:2: the logsource is none of kubernetes/audit, aws/cloudtrail, gcp/gcp.audit, azure/activitylogs, azure/auditlogs, azure/signinlogs, durward/accesses",
    );
    check(&format!("{HEAD}  s:\n    verb: get\n  condition: s\n"), "");
}

/// Scenario: what is wrong stands in a condition, in braces, behind a description that has the same word, in a
/// second rule of the file, in a modifier or a level, or where a bracket was opened.
/// Guarantees: the line is the one where it is wrong.
#[test]
fn wrong_lines_are_the_wrong_ones() {
    let check = |text: &str, line: usize| {
        let file = RuleFile { name: "mine.yml".into(), text: text.into() };
        let error = check_rules(&[file]).expect_err(text);
        assert_eq!(error.line, line, "{error}: {text}");
    };
    let good = format!("{HEAD}  s:\n    verb: get\n  condition: s\n");
    check(&format!("{HEAD}  s:\n    verb: get\n  condition: s and t\n"), 6);
    check(&format!("{HEAD}  s: {{verb: get, verbs: x}}\n  condition: s\n"), 4);
    check(
        &format!("description: |\n  verbs: of old\n{HEAD}  s:\n    verbs: get\n  condition: s\n"),
        7,
    );
    check(&format!("{good}---\n{HEAD}  s:\n    verbs: get\n  condition: s\n"), 12);
    check(&format!("{good}---\n# none\n{}", good.replace("kubernetes", "nothing")), 10);
    check(&format!("{HEAD}  s:\n    verb|nonsense: get\n  condition: s\n"), 5);
    check(&format!("level: hihg\n{good}"), 1);
    check(&format!("{HEAD}  s:\n    verb: [get\n  condition: s\n"), 5);
}

/// Scenario: fields and values that public rules misname.
/// Guarantees: they are read as what they mean, and that is said.
#[test]
fn misnamed_fields_are_read_as_meant() {
    check(
        &format!("{HEAD}  s:\n    apiGroup: apps\n  condition: s\n"),
        "mine.yml:5: apiGroup is not a field of kubernetes/audit, read as objectRef.apiGroup",
    );
    check(
        &format!("{HEAD}  s:\n    responseStatus.code: 'ALLOW'\n  condition: s\n"),
        "mine.yml:5: responseStatus.code is not a field of kubernetes/audit, read as annotations.authorization.k8s.io/decision",
    );
}

/// The rules of a folder of SigmaHQ, or `None` where the shared data is not there.
fn public_rules(folder: &str) -> Option<Vec<RuleFile>> {
    let Some(data) = std::env::var_os("DURWARD_SHARED_DATA") else {
        use std::io::Write;
        // The runner swallows what print macros say in a test that passes.
        writeln!(
            std::io::stderr(),
            "skipped: set DURWARD_SHARED_DATA to the folder of real inputs to load SigmaHQ's rules"
        )
        .expect("standard error");
        return None;
    };
    let folder = Path::new(&data).join("sigma/rules").join(folder);
    let files = std::fs::read_dir(folder).expect("SigmaHQ's rules are there").map(|entry| {
        let path = entry.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a rule is text");
        RuleFile { name: path.display().to_string(), text }
    });
    let mut files: Vec<RuleFile> = files.collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Some(files)
}

fn check_public(folder: &str, expected: usize, reported: usize) {
    let Some(files) = public_rules(folder) else { return };
    let warnings = check_rules(&files).expect("public rules load");
    let named: std::collections::BTreeSet<&str> =
        warnings.iter().map(|warning| warning.file.as_str()).collect();
    assert_eq!((files.len(), named.len()), (expected, reported), "{warnings:?}");
    assert_eq!(load(&files).expect("beside the built-in ones").len(), BUILT_IN.len() + files.len());
}

/// Scenario: the rules of `SigmaHQ` for Kubernetes audit, CloudTrail and Google's audit logs, as users
/// bring them.
/// Guarantees: all load, and those whose fields do not exist are reported.
#[test]
fn public_rules_load() {
    check_public("application/kubernetes/audit", 16, 5);
    check_public("cloud/aws/cloudtrail", 57, 1);
    check_public("cloud/gcp/audit", 16, 2);
}

/// Scenario: what controllers do and no rule minds, with a token of theirs that eve minted, or by eve who acts as them.
/// Guarantees: rules that leave a controller out do so only where nobody else is known to be behind its name.
#[test]
fn borrowed_names_exempt_nobody() {
    let mut minded = BTreeSet::new();
    for rule in load(&[]).expect("the built-in rules are right") {
        for case in cases(&rule).no {
            let row = case.access();
            let by = row.identity.clone().unwrap_or_default();
            if !by.starts_with("system:serviceaccount:kube-system:") {
                continue;
            }
            let stolen = Access { minted_by: Some("eve".into()), ..row.clone() };
            let own = Access { minted_by: Some(controllers::MANAGER.into()), ..row };
            assert!(!case.holds_for(&own, &rule), "{}: {}", rule.id, case.why);
            if case.holds_for(&stolen, &rule) {
                minded.insert(rule.id.clone());
            }
        }
    }
    let expected = [
        "csr_approved",
        "events_deleted",
        "rbac_role_opens_pods",
        "rbac_system_role_changed",
        "secrets_listed",
        "secrets_watched",
    ];
    assert_eq!(minded.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
