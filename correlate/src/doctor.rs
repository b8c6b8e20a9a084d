//! What the sources bring and lack, and what follows from that: questions with the words for their answers.

use serde_json::{Value, json};

use crate::explain::{Ask, Fields};
use crate::query::QueryError;

/// One thing to know about what is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// Whether something is missing; else it is only worth knowing.
    pub lacks: bool,
    /// What is so.
    pub finding: String,
    /// What follows, and what to do.
    pub advice: &'static str,
}

/// A question whose answer `n` is a count, and what a count above zero means.
struct Check {
    sql: &'static str,
    lacks: bool,
    finding: &'static str,
    advice: &'static str,
}

const CHECKS: &[Check] = &[
    Check {
        sql: "SELECT count(*) AS n FROM accesses WHERE judged AND identity_kind = 'service_account' AND credential_id IS NULL",
        lacks: true,
        finding: "accesses by ServiceAccounts do not name their credential",
        advice: "the API server is older than 1.30 or the source leaves user.extra out: tokens cannot be followed from minting to use, and the detectors minted_later, minted_for_another and two_addresses are blind for them",
    },
    Check {
        sql: "SELECT count(*) AS n FROM accesses WHERE judged AND api_group = 'rbac.authorization.k8s.io' \
              AND verb IN ('create', 'update', 'patch') AND status_code < 300 AND request_object IS NULL AND response_object IS NULL AND NOT truncated",
        lacks: true,
        finding: "RBAC changes came without their bodies",
        advice: "log rbac.authorization.k8s.io at RequestResponse: without it grants, denials and escalation rules are blind; `durward doctor --audit-policy` prints a policy that does",
    },
    Check {
        sql: "SELECT count(*) AS n FROM accesses WHERE judged AND verb = 'create' AND resource = 'pods' AND subresource IS NULL \
              AND status_code < 300 AND request_object IS NULL AND response_object IS NULL AND NOT truncated",
        lacks: true,
        finding: "pods were created without their bodies in the log",
        advice: "log pods at RequestResponse: rules on privileged pods cannot fire, and a pod's owner is only known by its name",
    },
    Check {
        sql: "SELECT count(*) AS n FROM accesses WHERE judged AND verb = 'create' AND resource = 'pods' AND subresource IS NULL \
              AND status_code < 300 AND request_object IS NOT NULL AND response_object IS NULL",
        lacks: true,
        finding: "pods were created with the request but not the answer in the log",
        advice: "log pods at RequestResponse: a created pod's name and UID stand only in the answer, so owners are derived by name",
    },
    Check {
        sql: "SELECT count(*) AS n FROM accesses WHERE truncated",
        lacks: true,
        finding: "events were cut by the API server",
        advice: "raise --audit-webhook-truncate-max-event-size: what the bodies said is gone, and rules on bodies did not see them",
    },
    Check {
        sql: "SELECT CASE WHEN count(*) > 0 AND sum(CASE WHEN stage = 'ResponseStarted' THEN 1 ELSE 0 END) = 0 THEN count(*) ELSE 0 END AS n FROM accesses WHERE provider = 'kubernetes'",
        lacks: true,
        finding: "accesses, and no stage ResponseStarted among them",
        advice: "do not omit ResponseStarted: a failed authentication (401) has no other stage, and an exec is told only when it ends",
    },
    Check {
        sql: "SELECT CASE WHEN (SELECT count(*) FROM grants WHERE valid_from IS NULL) = 0 THEN count(*) ELSE 0 END AS n FROM accesses WHERE provider = 'kubernetes'",
        lacks: true,
        finding: "accesses, and the policy that was there before them was never listed",
        advice: "durward ingest the output of kubectl get clusterroles,clusterrolebindings,roles,rolebindings,pods,replicasets,jobs -A -o json: until then a refusal is explained as unknown",
    },
    Check {
        sql: "SELECT CASE WHEN (SELECT count(*) FROM spans) = 0 THEN count(*) ELSE 0 END AS n FROM accesses WHERE provider = 'kubernetes'",
        lacks: false,
        finding: "accesses, and no spans",
        advice: "send the API server's traces by OTLP to see which call made an access: docs/how-to/collector.md",
    },
    Check {
        sql: "SELECT CASE WHEN count(identity) = 0 THEN count(*) ELSE 0 END AS n FROM accesses WHERE provider IN ('envoy', 'istio') AND identity_kind = 'unknown'",
        lacks: true,
        finding: "accesses of the mesh, and none of them names its peer",
        advice: "the proxies' access log format leaves identities out, as Istio's default does: docs/how-to/istio.md has a format that names them",
    },
    Check {
        sql: "SELECT count(*) AS n FROM rejects",
        lacks: true,
        finding: "inputs could not be read",
        advice: "look at them: SELECT reason, detail, hint, head FROM rejects",
    },
    Check {
        sql: "SELECT count(*) AS n FROM accesses WHERE time_suspect",
        lacks: true,
        finding: "events have a time that is not believed",
        advice: "look at clocks: SELECT source, claimed_time, ingest_time FROM accesses WHERE time_suspect",
    },
    Check {
        sql: "SELECT CASE WHEN count(*) = 0 THEN 1 ELSE 0 END AS n FROM accesses",
        lacks: true,
        finding: "source of accesses is missing: none was seen yet",
        advice: "durward ingest an audit log file, or point an API server's audit webhook here: docs/how-to/audit-webhook.md",
    },
];

/// What the sources brought, and what is to be said about it.
///
/// # Errors
/// If a question cannot be answered.
pub async fn examine(lake: &impl Ask) -> Result<(Vec<Fields>, Vec<Advice>), QueryError> {
    let sources = lake.ask("SELECT * FROM sources ORDER BY source").await?;
    let mut advice = Vec::new();
    for check in CHECKS {
        let rows = lake.ask(check.sql).await?;
        let count =
            rows.first().and_then(|row| row.get("n")).and_then(Value::as_i64).unwrap_or_default();
        if count > 0 {
            let finding = format!("{count} {}", check.finding);
            advice.push(Advice { lacks: check.lacks, finding, advice: check.advice });
        }
    }
    Ok((sources, advice))
}

/// How many requests of one sort succeeded, and how many of them brought a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bodies {
    /// The resource, in plural.
    pub resource: String,
    /// The verb.
    pub verb: String,
    /// Judged requests that succeeded and were not cut.
    pub requests: i64,
    /// Those with a request or response object.
    pub with_body: i64,
}

/// Which requests bring their bodies.
///
/// # Errors
/// If the question cannot be answered.
pub async fn bodies(lake: &impl Ask) -> Result<Vec<Bodies>, QueryError> {
    let rows = lake
        .ask(
            "SELECT resource, verb, count(*) AS requests, count(coalesce(request_object, response_object)) AS with_body \
             FROM accesses WHERE judged AND outcome = 'success' AND NOT truncated AND resource IS NOT NULL AND verb IS NOT NULL \
             GROUP BY resource, verb",
        )
        .await?;
    let text = |row: &Fields, name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let count = |row: &Fields, name: &str| row.get(name).and_then(Value::as_i64);
    let read = rows.iter().filter_map(|row| {
        Some(Bodies {
            resource: text(row, "resource")?,
            verb: text(row, "verb")?,
            requests: count(row, "requests")?,
            with_body: count(row, "with_body")?,
        })
    });
    Ok(read.collect())
}

/// Both for programs.
#[must_use]
pub fn facts(sources: &[Fields], advice: &[Advice]) -> Value {
    let advice: Vec<Value> = advice
        .iter()
        .map(|said| json!({ "lacks": said.lacks, "finding": said.finding, "advice": said.advice }))
        .collect();
    json!({ "sources": sources, "advice": advice })
}
