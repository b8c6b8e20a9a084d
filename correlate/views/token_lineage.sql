-- One row for each credential with the credential that minted it, up to the root, and how it was used.
SELECT
    c.credential_id, c.credential_kind, c.identity, c.identity_kind, c.issued_time, c.expires_time,
    c.issued_by, c.issued_by_credential_id, c.issued_event_id, c.root_credential_id, c.depth,
    p.identity AS issuer_credential_identity, p.pod AS issuer_pod, c.pod, c.pod_uid, c.node, c.audiences,
    coalesce(u.uses, 0) AS uses, u.first_used_time, u.last_used_time, u.source_ips, u.user_agents,
    c.evidence, c.cluster
FROM credentials c
LEFT JOIN credentials p
    ON p.credential_id = c.issued_by_credential_id AND p.cluster IS NOT DISTINCT FROM c.cluster
LEFT JOIN credential_uses u
    ON u.credential_id = c.credential_id AND u.cluster IS NOT DISTINCT FROM c.cluster
