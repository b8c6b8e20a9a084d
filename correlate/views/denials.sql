-- One row for each refused access, with what is known of why.
SELECT
    time, identity, identity_kind, verb, api_group, resource, subresource, object_namespace, object_name,
    status_code, decided_by, decision_explained, change_id, change_evidence, change_summary, change_actor,
    seconds_since_change, workload, credential_id, source_ip, user_agent, request_uri, event_id,
    request_key, cluster
FROM correlated_events
WHERE decision = 'deny'
