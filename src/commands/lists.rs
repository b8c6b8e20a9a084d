//! `durward findings list` and `durward incidents list`: what was judged, the newest first, as much as is asked for.

use std::io::Write as _;
use std::path::Path;

use durward_correlate::explain::{Ask, literal};
use durward_correlate::query::Limits;
use durward_schemas::Time;
use durward_schemas::time::SECOND;
use serde_json::Value;

use crate::cli::{FilterArgs, Moment};
use crate::data_dir::readable_lake;
use crate::failure::Failure;
use crate::render::{self, Output};
use crate::sql::{self, Lake};

/// A table that can be listed.
pub(crate) struct List {
    table: &'static str,
    /// The column by which it is limited in time, and ordered.
    time: &'static str,
    id: &'static str,
    for_people: &'static str,
    for_programs: &'static str,
    /// What is listed unless more is asked for; the rest is counted.
    usual: &'static str,
    rest: &'static str,
    /// The condition on a rule or a detector, up to its name, and the column of a state.
    rule: (&'static str, &'static str),
    state: &'static str,
}

/// Findings, but for those that nobody has to look at.
pub(crate) const FINDINGS: List = List {
    table: "findings",
    time: "time",
    id: "finding_id",
    for_people: "shown_time AS time, severity, title, name AS identity, coalesce(count, 1) AS n, shown_id AS finding",
    for_programs: "time, severity_id, state, title, identity, cluster, detector, rule_id, reason, count, finding_id, incident_id",
    usual: "state NOT IN ('withdrawn', 'learning') AND severity_id > 1",
    rest: "are learning, informational or withdrawn",
    rule: ("coalesce(rule_id, detector) = ", ""),
    state: "state",
};

/// Incidents, but for those that became part of others.
pub(crate) const INCIDENTS: List = List {
    table: "incidents",
    time: "last_time",
    id: "incident_id",
    for_people: "shown_time AS last, severity, title, name AS identity, finding_count AS findings, shown_id AS incident",
    for_programs: "incident_id, opened_time, last_time, severity_id, status, title, identity, cluster, finding_count, event_count, summary",
    usual: "status = 'open'",
    rest: "became part of others",
    rule: (
        "incident_id IN (SELECT incident_id FROM findings WHERE coalesce(rule_id, detector) = ",
        ")",
    ),
    state: "status",
};

/// How people are shown what programs get as it is. The beginning of an id is enough to name it.
const SHOWN: &str = "CASE severity_id WHEN 5 THEN 'critical' WHEN 4 THEN 'high' WHEN 3 THEN 'medium' WHEN 2 THEN 'low' \
     ELSE 'informational' END AS severity, CASE WHEN identity LIKE 'system:serviceaccount:%' \
     THEN replace(substr(identity, 23), ':', '/') ELSE identity END AS name";

/// Prints a list.
pub(crate) async fn print(
    data_dir: &Path,
    list: &List,
    filter: &FilterArgs,
    now: Time,
    (limits, output): (Limits, Output),
) -> Result<(), Failure> {
    let lake = readable_lake(data_dir)?;
    let List { table, time, id, usual, .. } = list;
    let asked = conditions(list, filter, now);
    let usual = if filter.asks_for_rest() { "true" } else { usual };
    let most = filter.limit;
    let end = format!("ORDER BY {time} DESC, severity_id DESC, {id} LIMIT {most}");
    let rows = format!("SELECT * FROM {table} WHERE {asked} AND {usual} {end}");
    let sql = if output == Output::Table {
        let shown = format!(
            "substr(CAST({time} AS VARCHAR), 1, 19) || 'Z' AS shown_time, substr({id}, 1, 12) AS shown_id"
        );
        format!("SELECT {} FROM (SELECT *, {SHOWN}, {shown} FROM ({rows})) {end}", list.for_people)
    } else {
        format!("SELECT {} FROM ({rows}) {end}", list.for_programs)
    };
    let answer = sql::question(&lake, &sql, limits).await?;
    render::answer(&answer, output, crate::out::lock())?;
    if output == Output::Table {
        let shown = answer.batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let sql = format!(
            "SELECT count(*) AS n, sum(CASE WHEN {} THEN 1 ELSE 0 END) AS usual FROM {table} WHERE {asked}",
            list.usual
        );
        let counted = Lake { dir: lake, limits }.ask(&sql).await?;
        let number = |column: &str| counted.first()?.get(column).and_then(Value::as_u64);
        let [all, usual] = ["n", "usual"].map(|column| number(column).unwrap_or_default());
        tell_others(list, all, if filter.asks_for_rest() { all } else { usual }, shown)?;
    }
    Ok(())
}

/// Says how many are not shown, and what shows them.
fn tell_others(list: &List, all: u64, eligible: u64, shown: u64) -> std::io::Result<()> {
    let mut out = crate::out::lock();
    if eligible > shown {
        writeln!(out, "{} more: --limit {eligible} shows them", eligible - shown)?;
    }
    if all > eligible {
        writeln!(out, "{} {}: --all shows them", all - eligible, list.rest)?;
    }
    Ok(())
}

/// What was asked for, as a condition.
pub(crate) fn conditions(list: &List, filter: &FilterArgs, now: Time) -> String {
    let at = |moment: Moment| {
        let time = match moment {
            Moment::At(time) => time,
            Moment::Before(span) => {
                now.plus(-i64::try_from(span.as_micros()).unwrap_or(i64::MAX / SECOND))
            }
        };
        format!("TIMESTAMP '{time}'")
    };
    let is = |column: &str, text: &String| format!("{column} = {}", literal(text));
    let all = [
        filter.since.map(|moment| format!("{} >= {}", list.time, at(moment))),
        filter.until.map(|moment| format!("{} < {}", list.time, at(moment))),
        filter.severity.map(|least| format!("severity_id >= {}", least as i64)),
        filter.state.as_ref().map(|state| is(list.state, state)),
        filter.cluster.as_ref().map(|cluster| is("cluster", cluster)),
        filter.identity.as_ref().map(|identity| is("identity", &canonical(identity))),
        filter.rule.as_ref().map(|rule| format!("{}{}{}", list.rule.0, literal(rule), list.rule.1)),
    ];
    let all: Vec<String> = all.into_iter().flatten().collect();
    if all.is_empty() { "true".to_owned() } else { all.join(" AND ") }
}

/// `shop/cart` is a `ServiceAccount`.
fn canonical(identity: &str) -> String {
    match identity.split_once('/') {
        Some((namespace, name)) if !identity.contains(':') && !name.contains('/') => {
            format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => identity.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Scenario: every filter, some with hostile text.
    /// Guarantees: each is a condition on its column, and text stays a literal.
    #[test]
    fn filters_are_conditions() {
        let now = Time::parse("2026-11-30T12:00:00Z").unwrap();
        let filter = FilterArgs {
            since: Some(Moment::Before(Duration::from_hours(1))),
            until: Some(Moment::At(now)),
            severity: Some(crate::cli::Severity::High),
            state: Some("alerted".into()),
            cluster: Some("it's".into()),
            identity: Some("shop/cart".into()),
            rule: Some("node_proxy_used".into()),
            limit: 50,
            all: false,
        };
        assert_eq!(
            conditions(&FINDINGS, &filter, now),
            "time >= TIMESTAMP '2026-11-30T11:00:00.000000Z' AND time < TIMESTAMP '2026-11-30T12:00:00.000000Z' \
             AND severity_id >= 4 AND state = 'alerted' AND cluster = 'it''s' \
             AND identity = 'system:serviceaccount:shop:cart' AND coalesce(rule_id, detector) = 'node_proxy_used'"
        );
        for name in ["alice", "spiffe://corp/ns/a/sa/b", "system:node:a", "a/b/c"] {
            assert_eq!(canonical(name), name);
        }
    }
}
