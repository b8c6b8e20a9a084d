-- One row for each source, format and cluster: what it brought since the start, and whether it still brings.
WITH totals AS (
    SELECT
        source, kind, cluster, sum(accepted) AS accepted,
        sum(duplicates) AS duplicates, sum(rejected) AS rejected, sum(bytes) AS bytes,
        max(watermark) AS watermark, sum(lost_estimate) AS lost_estimate, max(last_time) AS last_time,
        max(time) AS moved_time
    FROM source_counters
    GROUP BY source, kind, cluster
),
last_tick AS (SELECT max(time) AS time FROM source_counters)
SELECT
    t.source, t.kind, t.cluster, t.accepted, t.duplicates, t.rejected, t.bytes, t.watermark,
    t.lost_estimate, t.last_time,
    CASE
        WHEN t.lost_estimate > 0 THEN 'degraded'
        WHEN date_part('epoch', l.time) - date_part('epoch', t.moved_time) > 600 THEN 'silent'
        ELSE 'live'
    END AS state,
    CAST(date_part('epoch', l.time) - date_part('epoch', t.last_time) AS BIGINT) AS lag_seconds
FROM totals t CROSS JOIN last_tick l
