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

/// A question whose answers are counts `n`, by `source` and `cluster` where they matter, and what one means.
struct Check {
    sql: &'static str,
    lacks: bool,
    finding: &'static str,
    advice: &'static str,
}

const CHECKS: &[Check] = &[
    Check {
        sql: "SELECT source, cluster, count(*) AS n FROM accesses WHERE judged AND provider = 'kubernetes' AND identity_kind = 'service_account' \
              AND credential_id IS NULL AND format <> 'gke-audit' GROUP BY source, cluster",
        lacks: true,
        finding: "accesses by ServiceAccounts do not name their credential",
        advice: "the API server is older than 1.30 or the source leaves user.extra out: tokens cannot be followed from minting to use, and the detectors minted_later, minted_for_another and two_addresses are blind for them",
    },
    Check {
        sql: "SELECT source, cluster, count(*) AS n FROM accesses WHERE format = 'gke-audit' GROUP BY source, cluster",
        lacks: true,
        finding: "accesses of GKE, whose logs name no credential, no groups and no pod",
        advice: "GKE does not send them: tokens cannot be followed, and minted_later, minted_for_another and two_addresses are blind; docs/how-to/gke.md lists what is missing",
    },
    Check {
        sql: "SELECT source, cluster, count(*) AS n FROM accesses WHERE judged AND api_group = 'rbac.authorization.k8s.io' \
              AND verb IN ('create', 'update', 'patch') AND outcome = 'success' AND request_object IS NULL AND response_object IS NULL AND NOT truncated GROUP BY source, cluster",
        lacks: true,
        finding: "RBAC changes came without their bodies",
        advice: "log rbac.authorization.k8s.io at RequestResponse: without it grants, denials and escalation rules are blind; `durward doctor --audit-policy` prints a policy that does",
    },
    Check {
        sql: "SELECT source, cluster, count(*) AS n FROM accesses WHERE judged AND provider = 'kubernetes' AND verb = 'create' AND resource = 'pods' AND subresource IS NULL \
              AND outcome = 'success' AND request_object IS NULL AND response_object IS NULL AND NOT truncated GROUP BY source, cluster",
        lacks: true,
        finding: "pods were created without their bodies in the log",
        advice: "log pods at RequestResponse: rules on privileged pods cannot fire, and a pod's owner is only known by its name",
    },
    Check {
        sql: "SELECT source, cluster, count(*) AS n FROM accesses WHERE judged AND provider = 'kubernetes' AND verb = 'create' AND resource = 'pods' AND subresource IS NULL \
              AND outcome = 'success' AND request_object IS NOT NULL AND response_object IS NULL GROUP BY source, cluster",
        lacks: true,
        finding: "pods were created with the request but not the answer in the log",
        advice: "log pods at RequestResponse: a created pod's name and UID stand only in the answer, so owners are derived by name",
    },
    Check {
        sql: "SELECT cluster, count(*) AS n FROM findings WHERE detector = 'blindness' AND title = 'More came than can be remembered' GROUP BY cluster",
        lacks: true,
        finding: "days on which something was forgotten to make room",
        advice: "somebody makes very many tokens, identities, pods or audit ids; the findings of the detector blindness say who has most, and only of theirs something was forgotten",
    },
    Check {
        sql: "SELECT source, cluster, count(*) AS n FROM accesses WHERE truncated AND provider = 'kubernetes' GROUP BY source, cluster",
        lacks: true,
        finding: "events were too large, and cut",
        advice: "raise --audit-webhook-truncate-max-event-size: what the bodies said is gone, and rules on bodies did not see them",
    },
    Check {
        sql: "SELECT source, cluster, count(*) AS n FROM accesses WHERE truncated AND provider <> 'kubernetes' GROUP BY source, cluster",
        lacks: true,
        finding: "events were cut by the cloud",
        advice: "what was left out is known to the cloud alone: rules on bodies did not see it",
    },
    Check {
        sql: "SELECT source, cluster, CASE WHEN sum(CASE WHEN stage = 'ResponseStarted' THEN 1 ELSE 0 END) = 0 THEN count(*) ELSE 0 END AS n \
              FROM accesses WHERE provider = 'kubernetes' AND stage IS NOT NULL GROUP BY source, cluster",
        lacks: true,
        finding: "accesses, and no stage ResponseStarted among them",
        advice: "do not omit ResponseStarted: a failed authentication (401) has no other stage, and an exec is told only when it ends",
    },
    Check {
        sql: "SELECT a.cluster, count(*) AS n FROM accesses a LEFT JOIN (SELECT DISTINCT coalesce(cluster, '') AS listed FROM grants WHERE valid_from IS NULL) g \
              ON g.listed = coalesce(a.cluster, '') WHERE a.provider = 'kubernetes' AND g.listed IS NULL GROUP BY a.cluster",
        lacks: true,
        finding: "accesses, and the policy that was there before them was never listed",
        advice: "durward ingest the output of kubectl get clusterroles,clusterrolebindings,roles,rolebindings,pods,replicasets,jobs -A -o json: until then a refusal is explained as unknown",
    },
    Check {
        sql: "SELECT a.cluster, count(*) AS n FROM accesses a LEFT JOIN (SELECT DISTINCT coalesce(cluster, '') AS traced FROM spans) s \
              ON s.traced = coalesce(a.cluster, '') WHERE a.provider = 'kubernetes' AND s.traced IS NULL GROUP BY a.cluster",
        lacks: false,
        finding: "accesses, and no spans",
        advice: "send the API server's traces by OTLP to see which call made an access: docs/how-to/collector.md",
    },
    Check {
        sql: "SELECT source, cluster, CASE WHEN count(identity) = 0 THEN count(*) ELSE 0 END AS n FROM accesses \
              WHERE provider IN ('envoy', 'istio') AND identity_kind = 'unknown' GROUP BY source, cluster",
        lacks: true,
        finding: "accesses of the mesh, and none of them names its peer",
        advice: "the proxies' access log format leaves identities out, as Istio's default does: docs/how-to/istio.md has a format that names them",
    },
    Check {
        sql: "SELECT source, cluster, CASE WHEN count(credential_id) = 0 THEN count(*) ELSE 0 END AS n FROM accesses \
              WHERE provider IN ('envoy', 'istio') AND identity_kind = 'spiffe' GROUP BY source, cluster",
        lacks: false,
        finding: "accesses of the mesh name their peer, and none its certificate",
        advice: "log %DOWNSTREAM_PEER_SERIAL% too, and an access leads back to the SVID that was minted for it: docs/how-to/envoy.md",
    },
    Check {
        sql: "SELECT source, cluster, CASE WHEN sum(CASE WHEN issued_credential_id LIKE 'X509SERIAL=%' THEN 1 ELSE 0 END) = 0 THEN count(*) ELSE 0 END AS n FROM accesses \
              WHERE provider = 'spire' AND (issued_credential_id LIKE 'X509CSR=%' OR issued_credential_id LIKE 'X509SERIAL=%') GROUP BY source, cluster",
        lacks: true,
        finding: "SVIDs were minted, and the log says none of their serial numbers",
        advice: "run the SPIRE server with log_level DEBUG: its audit lines leave the serial number out, which is what an access of the mesh names: docs/how-to/spire.md",
    },
    Check {
        sql: "SELECT source, cluster, count(*) AS n FROM correlated_events WHERE provider = 'aws' AND credential_kind = 'cloud_session' AND lineage_evidence IS NULL GROUP BY source, cluster",
        lacks: true,
        finding: "calls of AWS by sessions whose minting was not seen",
        advice: "send the management events of every region, the global events of STS among them: a session leads back to its ServiceAccount only by the call that minted it; sessions that are older than the first file are told so for some hours",
    },
    Check {
        sql: "SELECT source, cluster, CASE WHEN sum(CASE WHEN api_group IN ('iamcredentials.googleapis.com', 'sts.googleapis.com') THEN 1 ELSE 0 END) = 0 THEN count(*) ELSE 0 END AS n \
              FROM accesses WHERE format = 'gcp-audit' GROUP BY source, cluster",
        lacks: false,
        finding: "accesses of Google Cloud, and no exchange of a token among them",
        advice: "switch on Data Access audit logs (Admin Read) of the IAM and the STS API: without them a service account's token does not lead back to who asked for it: docs/how-to/google-cloud.md",
    },
    Check {
        sql: "SELECT source, cluster, sum(lost_estimate) AS n FROM sources GROUP BY source, cluster",
        lacks: true,
        finding: "losses are told by the source itself",
        advice: "what was lost is in no answer, and an absence proves nothing: look at the exporter's own log and queues; SELECT time, source, kind, cluster, lost_reported FROM source_counters WHERE lost_reported > 0",
    },
    Check {
        sql: "SELECT source, cluster, count(*) AS n FROM rejects GROUP BY source, cluster",
        lacks: true,
        finding: "inputs could not be read",
        advice: "look at them: SELECT reason, detail, hint, head FROM rejects",
    },
    Check {
        sql: "SELECT source, cluster, count(*) AS n FROM logs WHERE attributes LIKE '%\"durward.audit_record_of_container\":true%' GROUP BY source, cluster",
        lacks: true,
        finding: "lines that containers printed read as audit records, and are kept as logs, since any application can print them",
        advice: "if an API server, SPIRE or Vault prints them, name its container in audit_containers of the configuration: SELECT namespace, pod, resource_attributes, attributes FROM logs WHERE attributes LIKE '%durward.audit_record_of_container%'",
    },
    Check {
        sql: "SELECT source, cluster, count(*) AS n FROM accesses WHERE time_suspect GROUP BY source, cluster",
        lacks: true,
        finding: "events have a time that is not believed",
        advice: "look at clocks: SELECT source, claimed_time, ingest_time FROM accesses WHERE time_suspect",
    },
    Check {
        sql: "SELECT source, cluster, count(*) AS n FROM accesses WHERE NOT coalesce(time_suspect, false) AND time > ingest_time + INTERVAL '1 minute' GROUP BY source, cluster",
        lacks: true,
        finding: "events are from after they were received",
        advice: "the clock of what wrote them, or of this machine, is off: stories and edges by time may be wrong; SELECT source, max(time - ingest_time) FROM accesses GROUP BY source",
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
    let sources = lake.ask("SELECT * FROM sources ORDER BY source, kind, cluster").await?;
    let mut advice = Vec::new();
    for check in CHECKS {
        let mut counts: Vec<(Place, i64)> =
            lake.ask(check.sql).await?.iter().filter_map(counted).collect();
        counts.sort();
        for (place, count) in counts {
            let finding = format!("{}{count} {}", place.prefix(), check.finding);
            advice.push(Advice { lacks: check.lacks, finding, advice: check.advice });
        }
    }
    Ok((sources, advice))
}

/// Which source of which cluster something is said of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The source.
    pub source: Option<String>,
    /// The Kubernetes cluster.
    pub cluster: Option<String>,
}

impl Place {
    /// `audit (cluster shop): `, `cluster shop: `, `audit: `, or nothing.
    #[must_use]
    pub fn prefix(&self) -> String {
        match (&self.source, &self.cluster) {
            (Some(source), Some(cluster)) => format!("{source} (cluster {cluster}): "),
            (Some(source), None) => format!("{source}: "),
            (None, Some(cluster)) => format!("cluster {cluster}: "),
            (None, None) => String::new(),
        }
    }
}

/// The place, as far as the question asked for it, and a count above zero.
fn counted(row: &Fields) -> Option<(Place, i64)> {
    let count = row.get("n").and_then(Value::as_i64).filter(|count| *count > 0)?;
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    Some((Place { source: text("source"), cluster: text("cluster") }, count))
}

/// How many requests of one sort succeeded, and how many of them brought a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bodies {
    /// The Kubernetes cluster.
    pub cluster: Option<String>,
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
            "SELECT cluster, resource, verb, count(*) AS requests, count(coalesce(request_object, response_object)) AS with_body \
             FROM accesses WHERE judged AND provider = 'kubernetes' AND outcome = 'success' AND NOT truncated AND resource IS NOT NULL AND verb IS NOT NULL \
             GROUP BY cluster, resource, verb",
        )
        .await?;
    let text = |row: &Fields, name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let count = |row: &Fields, name: &str| row.get(name).and_then(Value::as_i64);
    let read = rows.iter().filter_map(|row| {
        Some(Bodies {
            cluster: text(row, "cluster"),
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
