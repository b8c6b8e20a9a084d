//! Who an identity is: what it runs as, with which credentials, what it may do, what was refused and found.

use serde_json::{Value, json};

use crate::explain::access::action;
use crate::explain::secrets;
use crate::explain::{Ask, Fields, Line, line, literal, number, some, text};
use crate::query::QueryError;

/// As many rows of each kind as are shown.
const MOST_SHOWN: usize = 8;

/// What is known of an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portrait {
    /// The identity.
    pub identity: String,
    /// The parts.
    pub lines: Vec<Line>,
    /// All of it for programs.
    pub facts: Value,
}

/// Says who `id` is: `namespace/name`, a user name, a pod or a credential id.
///
/// # Errors
/// If a question cannot be answered; an id that nothing has is `None`.
pub async fn who(lake: &impl Ask, id: &str) -> Result<Option<Portrait>, QueryError> {
    let Some(identity) = identity_of(lake, id).await? else { return Ok(None) };
    let name = literal(&identity);
    let seen = format!("SELECT * FROM identities WHERE identity = {name}");
    let workloads = format!(
        "SELECT workload, workload_kind, workload_evidence, count(*) AS uses, count(DISTINCT pod) AS pods \
         FROM correlated_events WHERE identity = {name} AND workload IS NOT NULL GROUP BY 1, 2, 3 ORDER BY uses DESC LIMIT {MOST_SHOWN}"
    );
    let credentials = format!(
        "SELECT * FROM token_lineage WHERE identity = {name} ORDER BY last_used_time DESC NULLS LAST LIMIT {MOST_SHOWN}"
    );
    let grants = grants_of(&identity);
    let denials = format!(
        "SELECT verb, resource, subresource, object_namespace, object_name, request_uri, count(*) AS times, max(time) AS last_time, max(decision_explained) AS why \
         FROM denials WHERE identity = {name} GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY last_time DESC LIMIT {MOST_SHOWN}"
    );
    let findings = format!(
        "SELECT * FROM findings WHERE identity = {name} AND state <> 'withdrawn' ORDER BY severity_id DESC, time DESC LIMIT {MOST_SHOWN}"
    );
    let addresses = format!(
        "SELECT source_ip, user_agent, count(*) AS uses FROM accesses WHERE judged AND identity = {name} \
         GROUP BY 1, 2 ORDER BY uses DESC LIMIT {MOST_SHOWN}"
    );
    let (seen, workloads, credentials, grants, denials, findings, addresses, made) = futures::try_join!(
        lake.ask(&seen),
        lake.ask(&workloads),
        lake.ask(&credentials),
        lake.ask(&grants),
        lake.ask(&denials),
        lake.ask(&findings),
        lake.ask(&addresses),
        secrets::made(lake, &identity, None),
    )?;
    let mut lines = Vec::new();
    lines.extend(seen.iter().map(|row| line("seen", in_numbers(row))));
    lines.extend(workloads.iter().map(|row| line("runs as", workload(row))));
    lines.extend(credentials.iter().map(|row| line("credential", credential(row))));
    lines.extend(secrets::lines(&made, &identity));
    lines.extend(addresses.iter().map(|row| line("seen from", address(row))));
    if grants.is_empty() {
        lines.push(line(
            "may",
            "unknown: no binding that names it, or a group that it was seen in, was seen",
        ));
    }
    lines.extend(grants.iter().map(|row| line("may", grant(row))));
    lines.extend(denials.iter().map(|row| line("refused", denial(row))));
    lines.extend(findings.iter().map(|row| line("finding", finding(row))));
    let facts = json!({
        "identity": identity, "seen": seen, "workloads": workloads, "credentials": credentials,
        "grants": grants, "denials": denials, "findings": findings, "addresses": addresses,
        "token_secrets": made,
    });
    Ok(Some(Portrait { identity, lines, facts }))
}

/// What bindings give to an identity and to the groups that it was seen in, or that every `ServiceAccount` is in.
/// <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/>
fn grants_of(identity: &str) -> String {
    let account = identity.strip_prefix("system:serviceaccount:");
    let namespace = account.and_then(|account| account.split_once(':')).map(|(space, _)| space);
    let implied = namespace.map_or_else(String::new, |namespace| {
        let of_namespace = literal(&format!("system:serviceaccounts:{namespace}"));
        format!(" OR subject IN ('system:authenticated', 'system:serviceaccounts', {of_namespace})")
    });
    let name = literal(identity);
    format!(
        "SELECT binding, role, namespace, CASE WHEN subject_kind = 'group' THEN subject END AS member_of, \
         count(*) AS permissions, min(valid_from) AS since FROM grants WHERE valid_to IS NULL AND \
         (subject_kind <> 'group' AND subject = {name} OR subject_kind = 'group' AND \
          (subject IN (SELECT unnest(groups) FROM accesses WHERE judged AND identity = {name}){implied})) \
         GROUP BY 1, 2, 3, 4 ORDER BY member_of NULLS FIRST, binding LIMIT 20"
    )
}

/// The identity that `id` names, or whose pod or credential it is.
async fn identity_of(lake: &impl Ask, id: &str) -> Result<Option<String>, QueryError> {
    let service_account = match id.split_once('/') {
        Some((namespace, name)) => format!("system:serviceaccount:{namespace}:{name}"),
        None => id.to_owned(),
    };
    let sql = format!(
        "SELECT identity, max(time) AS last_time, \
         max(CASE WHEN identity IN ({0}, {1}) THEN 2 WHEN credential_id = {0} THEN 1 ELSE 0 END) AS rank \
         FROM accesses WHERE judged AND identity IS NOT NULL AND \
         (identity IN ({0}, {1}) OR credential_id = {0} OR pod = {0} OR pod_uid = {0}) \
         GROUP BY identity ORDER BY rank DESC, last_time DESC LIMIT 1",
        literal(id),
        literal(&service_account)
    );
    let found = lake.ask(&sql).await?;
    if let Some(row) = found.first() {
        return Ok(Some(text(row, "identity").to_owned()));
    }
    let sql = format!(
        "SELECT subject FROM grants WHERE subject IN ({}, {}) LIMIT 1",
        literal(id),
        literal(&service_account)
    );
    Ok(lake.ask(&sql).await?.first().map(|row| text(row, "subject").to_owned()))
}

fn in_numbers(row: &Fields) -> String {
    let count = |column| number(row, column).unwrap_or_default();
    format!(
        "{} accesses, {} refused, {} credentials, from {} to {}",
        count("accesses"),
        count("denials"),
        count("credentials"),
        text(row, "first_seen"),
        text(row, "last_seen")
    )
}

fn workload(row: &Fields) -> String {
    format!(
        "{} {} in {} pods ({})",
        text(row, "workload_kind"),
        text(row, "workload"),
        number(row, "pods").unwrap_or_default(),
        text(row, "workload_evidence")
    )
}

fn credential(row: &Fields) -> String {
    let minted = match (some(row, "issued_by"), some(row, "issued_time")) {
        (Some(by), Some(time)) => format!("minted {time} by {by}"),
        _ => "its minting was not seen".to_owned(),
    };
    format!(
        "{}, {minted}, used {} times",
        text(row, "credential_id"),
        number(row, "uses").unwrap_or_default()
    )
}

fn address(row: &Fields) -> String {
    format!(
        "{} with {}, {} times",
        some(row, "source_ip").unwrap_or("an unknown address"),
        some(row, "user_agent").unwrap_or("no user agent"),
        number(row, "uses").unwrap_or_default()
    )
}

fn grant(row: &Fields) -> String {
    let place = some(row, "namespace")
        .map_or_else(|| "everywhere".to_owned(), |namespace| format!("in {namespace}"));
    let since = some(row, "since")
        .map_or_else(|| "since before we looked".to_owned(), |since| format!("since {since}"));
    let group =
        some(row, "member_of").map(|group| format!(", as a member of {group}")).unwrap_or_default();
    format!(
        "{} permissions {place} by {} of {}{group}, {since}",
        number(row, "permissions").unwrap_or_default(),
        text(row, "binding"),
        text(row, "role")
    )
}

fn denial(row: &Fields) -> String {
    format!(
        "{}, {} times, last {}: {}",
        action(row),
        number(row, "times").unwrap_or_default(),
        text(row, "last_time"),
        text(row, "why")
    )
}

fn finding(row: &Fields) -> String {
    let severity =
        durward_schemas::values::severity::name(number(row, "severity_id").unwrap_or_default());
    format!("{} ({severity}) {}: {}", text(row, "title"), text(row, "time"), text(row, "reason"))
}
