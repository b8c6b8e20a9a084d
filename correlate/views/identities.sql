-- One row for each identity ever seen.
SELECT
    a.identity, a.identity_kind, a.identity_realm, min(a.time) AS first_seen, max(a.time) AS last_seen,
    count(*) AS accesses, sum(CASE WHEN a.decision = 'deny' THEN 1 ELSE 0 END) AS denials,
    count(DISTINCT a.workload) AS workloads, count(DISTINCT a.credential_id) AS credentials,
    max(coalesce(f.findings, 0)) AS findings
FROM accesses a
LEFT JOIN (
    SELECT identity, identity_kind, cluster, count(*) AS findings
    FROM findings WHERE state <> 'withdrawn' GROUP BY identity, identity_kind, cluster
) f
    ON f.identity = a.identity AND f.identity_kind = a.identity_kind
    AND f.cluster IS NOT DISTINCT FROM a.cluster
WHERE a.judged
GROUP BY a.identity, a.identity_kind, a.identity_realm
