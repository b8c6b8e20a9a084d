-- One row for each credential that was used.
SELECT
    cluster, credential_id, count(*) AS uses, min(time) AS first_used_time, max(time) AS last_used_time,
    array_sort(array_agg(DISTINCT source_ip)) AS source_ips,
    array_sort(array_agg(DISTINCT user_agent)) AS user_agents
FROM accesses
WHERE judged AND credential_id IS NOT NULL
GROUP BY cluster, credential_id
