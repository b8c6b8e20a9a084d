-- One row for each thing that an identity did, that was done to its permissions, or that was found of it.
SELECT
    time, identity, 'access' AS what,
    coalesce(verb, '') || ' ' || coalesce(resource, request_uri, '') || coalesce('/' || subresource, '')
        || coalesce(' ' || object_namespace || '/', ' ') || coalesce(object_name, '')
        || ': ' || decision || coalesce(' (' || CAST(status_code AS VARCHAR) || ')', '') AS description,
    decision_explained AS detail, event_id AS id, cluster
FROM correlated_events
UNION ALL
SELECT
    time, actor AS identity, 'change' AS what, summary AS description, array_to_string(grants_added, ', ') AS detail,
    change_id AS id, cluster
FROM changes
UNION ALL
SELECT time, identity, 'finding' AS what, title AS description, reason AS detail, finding_id AS id, cluster
FROM findings
WHERE state <> 'withdrawn'
