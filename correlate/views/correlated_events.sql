-- One row for each access: the judged row of a request with all that became known of it later.
--
-- A request that two servers told is one row, with `same_request_as` at the row that does not stand for it.
-- An edge that was amended shows its latest version, and null where it was withdrawn.
WITH latest AS (
    SELECT request_key, edge, "values",
        row_number() OVER (PARTITION BY request_key, edge ORDER BY version DESC) AS rank
    FROM amendments
),
found AS (
    SELECT e.event_id, count(DISTINCT f.finding_id) AS finding_count, max(f.severity_id) AS max_severity_id
    FROM finding_events e
    JOIN findings f ON f.finding_id = e.finding_id
    WHERE e.role = 'anchor' AND f.state <> 'withdrawn'
    GROUP BY e.event_id
),
amended AS (
    SELECT
        a.time,
        a.event_id,
        a.request_key,
        a.log_position,
        a.cluster,
        a.provider,
        a.identity,
        a.identity_kind,
        a.identity_realm,
        a.namespace,
        a.service_account,
        a.verb,
        a.api_group,
        a.resource,
        a.subresource,
        a.object_namespace,
        a.object_name,
        a.decision,
        CASE WHEN o.request_key IS NULL THEN a.outcome ELSE o."values" ->> 'outcome' END AS outcome,
        CASE WHEN o.request_key IS NULL THEN a.status_code ELSE CAST(o."values" ->> 'status_code' AS BIGINT) END AS status_code,
        CASE WHEN w.request_key IS NULL THEN a.workload ELSE w."values" ->> 'workload' END AS workload,
        CASE WHEN w.request_key IS NULL THEN a.workload_kind ELSE w."values" ->> 'workload_kind' END AS workload_kind,
        CASE WHEN w.request_key IS NULL THEN a.workload_evidence ELSE w."values" ->> 'workload_evidence' END AS workload_evidence,
        a.credential_id,
        a.credential_kind,
        a.source_ip,
        CASE WHEN c.request_key IS NULL THEN a.change_id ELSE c."values" ->> 'change_id' END AS change_id,
        CASE WHEN c.request_key IS NULL THEN a.change_evidence ELSE c."values" ->> 'change_evidence' END AS change_evidence,
        CASE WHEN t.request_key IS NULL THEN a.trace_id ELSE t."values" ->> 'trace_id' END AS trace_id,
        CASE WHEN t.request_key IS NULL THEN a.trace_evidence ELSE t."values" ->> 'trace_evidence' END AS trace_evidence,
        a.stage,
        a.source,
        a.source_event_id,
        a.account,
        a.region,
        a.identity_uid,
        a.groups,
        a.impersonated_identity,
        a.impersonated_groups,
        a.issued_credential_id,
        a.pod,
        a.pod_uid,
        a.node,
        a.node_uid,
        a.peer_identity,
        a.api_version,
        a.object_uid,
        a.request_uri,
        a.dry_run,
        a.decision_reason,
        a.decided_by,
        a.decided_role,
        a.decided_subject,
        a.status_reason,
        CASE WHEN o.request_key IS NULL THEN a.duration_us ELSE CAST(o."values" ->> 'duration_us' AS BIGINT) END AS duration_us,
        a.forwarded_for,
        a.user_agent,
        a.claimed_trace_id,
        a.claimed_span_id,
        a.request_id,
        CASE WHEN l.request_key IS NULL THEN a.credential_issued_time ELSE arrow_cast(CAST(l."values" ->> 'credential_issued_time' AS BIGINT), 'Timestamp(Microsecond, Some("UTC"))') END AS credential_issued_time,
        CASE WHEN l.request_key IS NULL THEN a.credential_expires_time ELSE arrow_cast(CAST(l."values" ->> 'credential_expires_time' AS BIGINT), 'Timestamp(Microsecond, Some("UTC"))') END AS credential_expires_time,
        CASE WHEN l.request_key IS NULL THEN a.minted_by ELSE l."values" ->> 'minted_by' END AS minted_by,
        CASE WHEN l.request_key IS NULL THEN a.minted_by_credential_id ELSE l."values" ->> 'minted_by_credential_id' END AS minted_by_credential_id,
        CASE WHEN l.request_key IS NULL THEN a.lineage_depth ELSE CAST(l."values" ->> 'lineage_depth' AS BIGINT) END AS lineage_depth,
        CASE WHEN l.request_key IS NULL THEN a.lineage_evidence ELSE l."values" ->> 'lineage_evidence' END AS lineage_evidence,
        CASE WHEN t.request_key IS NULL THEN a.span_id ELSE t."values" ->> 'span_id' END AS span_id,
        CASE WHEN t.request_key IS NULL THEN a.trace_service ELSE t."values" ->> 'trace_service' END AS trace_service,
        CASE WHEN t.request_key IS NULL THEN a.trace_name ELSE t."values" ->> 'trace_name' END AS trace_name,
        CASE WHEN c.request_key IS NULL THEN a.change_time ELSE arrow_cast(CAST(c."values" ->> 'change_time' AS BIGINT), 'Timestamp(Microsecond, Some("UTC"))') END AS change_time,
        CASE WHEN c.request_key IS NULL THEN a.change_kind ELSE c."values" ->> 'change_kind' END AS change_kind,
        CASE WHEN c.request_key IS NULL THEN a.change_summary ELSE c."values" ->> 'change_summary' END AS change_summary,
        CASE WHEN c.request_key IS NULL THEN a.change_actor ELSE c."values" ->> 'change_actor' END AS change_actor,
        CASE WHEN w.request_key IS NULL THEN a.workload_change_id ELSE w."values" ->> 'workload_change_id' END AS workload_change_id,
        a.class_uid,
        a.activity_id,
        a.level,
        a.truncated,
        a.annotations,
        a.extra,
        a.observed_time,
        a.ingest_time,
        a.time_suspect,
        a.claimed_time,
        a.format,
        a.sender,
        a.claimed_cluster,
        a.source_position,
        CASE WHEN b.request_key IS NULL THEN a.on_behalf_of ELSE b."values" ->> 'on_behalf_of' END AS on_behalf_of,
        CASE WHEN b.request_key IS NULL THEN a.on_behalf_of_kind ELSE b."values" ->> 'on_behalf_of_kind' END AS on_behalf_of_kind,
        CASE WHEN b.request_key IS NULL THEN a.on_behalf_of_evidence ELSE b."values" ->> 'on_behalf_of_evidence' END AS on_behalf_of_evidence,
        CASE WHEN b.request_key IS NULL THEN a.via ELSE b."values" ->> 'via' END AS via,
        CASE WHEN i.request_key IS NULL THEN a.impersonation_decided_by ELSE i."values" ->> 'impersonation_decided_by' END AS impersonation_decided_by,
        CASE WHEN i.request_key IS NULL THEN a.impersonation_change_id ELSE i."values" ->> 'impersonation_change_id' END AS impersonation_change_id,
        a.entry_id,
        CASE WHEN k.request_key IS NULL THEN a.linked_trace_id ELSE k."values" ->> 'linked_trace_id' END AS linked_trace_id,
        CASE WHEN k.request_key IS NULL THEN a.linked_span_id ELSE k."values" ->> 'linked_span_id' END AS linked_span_id,
        CASE WHEN k.request_key IS NULL THEN a.link_evidence ELSE k."values" ->> 'link_evidence' END AS link_evidence,
        CASE WHEN r.request_key IS NULL THEN a.same_request_as ELSE r."values" ->> 'same_request_as' END AS same_request_as,
        CASE WHEN b.request_key IS NULL THEN a.likely_identity ELSE b."values" ->> 'likely_identity' END AS likely_identity,
        CASE WHEN b.request_key IS NULL THEN a.likely_cause ELSE b."values" ->> 'likely_cause' END AS likely_cause,
        CASE WHEN b.request_key IS NULL THEN a.likely_evidence ELSE b."values" ->> 'likely_evidence' END AS likely_evidence,
        a.duplicate_keys,
        a.issued_to,
        a.issued_expires_time,
        a.issued_audience,
        a.issued_pod_uid,
        a.concerns,
        CASE WHEN c.request_key IS NULL THEN a.replayed_decision ELSE c."values" ->> 'replayed_decision' END AS replayed_decision,
        CASE WHEN c.request_key IS NULL THEN a.replayed_by ELSE c."values" ->> 'replayed_by' END AS replayed_by
    FROM accesses a
    LEFT JOIN (SELECT request_key, "values" FROM latest WHERE rank = 1 AND edge = 'workload') w
        ON w.request_key = a.request_key
    LEFT JOIN (SELECT request_key, "values" FROM latest WHERE rank = 1 AND edge = 'lineage') l
        ON l.request_key = a.request_key
    LEFT JOIN (SELECT request_key, "values" FROM latest WHERE rank = 1 AND edge = 'change') c
        ON c.request_key = a.request_key
    LEFT JOIN (SELECT request_key, "values" FROM latest WHERE rank = 1 AND edge = 'trace') t
        ON t.request_key = a.request_key
    LEFT JOIN (SELECT request_key, "values" FROM latest WHERE rank = 1 AND edge = 'outcome') o
        ON o.request_key = a.request_key
    LEFT JOIN (SELECT request_key, "values" FROM latest WHERE rank = 1 AND edge = 'impersonation') i
        ON i.request_key = a.request_key
    LEFT JOIN (SELECT request_key, "values" FROM latest WHERE rank = 1 AND edge = 'actor') b
        ON b.request_key = a.request_key
    LEFT JOIN (SELECT request_key, "values" FROM latest WHERE rank = 1 AND edge = 'request') r
        ON r.request_key = a.request_key
    LEFT JOIN (SELECT request_key, "values" FROM latest WHERE rank = 1 AND edge = 'link') k
        ON k.request_key = a.request_key
    -- What another server told again is no second access.
    WHERE a.judged AND (r."values" ->> 'same_request_as') IS NULL
)
SELECT
    a.time,
    a.event_id,
    a.request_key,
    a.log_position,
    a.cluster,
    a.provider,
    a.identity,
    a.identity_kind,
    a.identity_realm,
    a.namespace,
    a.service_account,
    a.verb,
    a.api_group,
    a.resource,
    a.subresource,
    a.object_namespace,
    a.object_name,
    a.decision,
    a.outcome,
    a.status_code,
    a.workload,
    a.workload_kind,
    a.workload_evidence,
    a.credential_id,
    a.credential_kind,
    a.source_ip,
    a.change_id,
    a.change_evidence,
    a.trace_id,
    a.trace_evidence,
    a.stage,
    a.source,
    a.source_event_id,
    a.account,
    a.region,
    a.identity_uid,
    a.groups,
    a.impersonated_identity,
    a.impersonated_groups,
    a.issued_credential_id,
    a.pod,
    a.pod_uid,
    a.node,
    a.node_uid,
    a.peer_identity,
    a.api_version,
    a.object_uid,
    a.request_uri,
    a.dry_run,
    a.decision_reason,
    a.decided_by,
    a.decided_role,
    a.decided_subject,
    a.status_reason,
    a.duration_us,
    a.forwarded_for,
    a.user_agent,
    a.claimed_trace_id,
    a.claimed_span_id,
    a.request_id,
    a.credential_issued_time,
    a.credential_expires_time,
    a.minted_by,
    a.minted_by_credential_id,
    a.lineage_depth,
    a.lineage_evidence,
    a.span_id,
    a.trace_service,
    a.trace_name,
    a.change_time,
    a.change_kind,
    a.change_summary,
    a.change_actor,
    a.workload_change_id,
    a.class_uid,
    a.activity_id,
    a.level,
    a.truncated,
    a.annotations,
    a.extra,
    a.observed_time,
    a.ingest_time,
    a.time_suspect,
    a.claimed_time,
    a.format,
    a.sender,
    a.claimed_cluster,
    a.source_position,
    a.on_behalf_of,
    a.on_behalf_of_kind,
    a.on_behalf_of_evidence,
    a.via,
    a.impersonation_decided_by,
    a.impersonation_change_id,
    a.entry_id,
    a.linked_trace_id,
    a.linked_span_id,
    a.link_evidence,
    a.same_request_as,
    a.likely_identity,
    a.likely_cause,
    a.likely_evidence,
    a.duplicate_keys,
    a.issued_to,
    a.issued_expires_time,
    a.issued_audience,
    a.issued_pod_uid,
    a.concerns,
    a.replayed_decision,
    a.replayed_by,
    CAST(date_part('epoch', a.time) - date_part('epoch', a.credential_issued_time) AS BIGINT) AS credential_age_seconds,
    CAST(date_part('epoch', a.time) - date_part('epoch', a.change_time) AS BIGINT) AS seconds_since_change,
    CASE
        WHEN a.decision = 'deny' AND a.decided_by = 'authentication'
            THEN 'refused by authentication: ' || coalesce(left(a.decision_reason, 300), 'no valid credential was shown')
                || coalesce('; by its address and user agent probably ' || a.likely_identity || ', since ' || a.likely_cause, '')
        -- Bindings are known, and so is which one is missing.
        WHEN a.decision = 'deny' AND a.provider = 'kubernetes' AND a.change_evidence = 'exact'
            THEN 'refused: ' || a.change_summary || ', which took what had allowed it'
        WHEN a.decision = 'deny' AND a.replayed_decision = 'allow'
            THEN 'refused, although ' || a.replayed_by || ' gives it as far as is known: a contradiction, so another authorizer refused it or policy changed unseen'
        WHEN a.decision = 'deny' AND a.provider = 'kubernetes' AND a.change_evidence = 'derived'
            THEN 'refused: perhaps since ' || a.change_summary || '; not all that was granted before was seen'
        WHEN a.decision = 'deny' AND a.replayed_by IS NOT NULL
            THEN 'refused: unknown why; ' || a.replayed_by || ' was written without its body being logged, and may give it or not'
        WHEN a.decision = 'deny' AND a.replayed_decision = 'unknown'
            THEN 'refused: no binding is known to grant it, but not all bindings were listed before it'
        WHEN a.decision = 'deny' AND a.provider = 'kubernetes' THEN 'refused: no binding that was seen grants it'
        -- Others say why, or which policy it was; before it something may have changed.
        WHEN a.decision = 'deny'
            THEN 'refused' || coalesce(' by ' || a.decided_by, ': ' || left(a.decision_reason, 300), '; the source does not say why')
                || coalesce(CASE WHEN a.change_evidence = 'exact' THEN ', since ' ELSE ', perhaps since ' END || a.change_summary, '')
        WHEN a.decision = 'allow' AND a.decided_by IS NOT NULL
            THEN 'allowed by ' || a.decided_by || coalesce(' of ' || a.decided_role, '') || coalesce(' to ' || a.decided_subject, '')
        WHEN a.decision = 'allow' AND a.provider = 'kubernetes' AND array_has(coalesce(a.impersonated_groups, a.groups), 'system:masters')
            THEN 'allowed; the authorizer gave no reason, as for system:masters, which ' || CASE WHEN a.impersonated_identity IS NULL THEN 'it is in' ELSE 'it acts as' END
        WHEN a.decision = 'allow' AND a.provider = 'kubernetes' THEN 'allowed; the authorizer gave no reason'
        WHEN a.decision = 'allow' THEN 'allowed; the source does not say by what'
        ELSE 'the source does not say how it was decided'
    END AS decision_explained,
    coalesce(found.finding_count, 0) AS finding_count,
    found.max_severity_id
FROM amended a
LEFT JOIN found ON found.event_id = a.event_id
