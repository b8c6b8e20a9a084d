-- One row for each access that the latest earlier change could have let through or cut off.
SELECT
    change_id, change_time, change_kind, change_actor, change_summary, change_evidence, time,
    seconds_since_change, identity, identity_kind, workload, verb, api_group, resource, subresource,
    object_namespace, object_name, decision, outcome, status_code, source_ip, credential_id, event_id,
    request_key, cluster
FROM correlated_events
WHERE change_id IS NOT NULL
