//! The columns of an event.

use crate::format::mapping::Mapping;

/// Which field of an event fills which column.
pub(in crate::format) const MAPPING: &[Mapping] = &[
    Mapping::new("time", "requestReceivedTimestamp, else stageTimestamp, else timestamp"),
    Mapping::new("time_suspect", "requestReceivedTimestamp, else stageTimestamp, else timestamp"),
    Mapping::new("claimed_time", "requestReceivedTimestamp, else stageTimestamp, else timestamp"),
    Mapping::new("observed_time", "stageTimestamp"),
    Mapping::new("duration_us", "stageTimestamp - requestReceivedTimestamp"),
    Mapping::new("source_event_id", "auditID"),
    Mapping::new("stage", "stage"),
    Mapping::new("level", "level"),
    Mapping::new("verb", "verb"),
    Mapping::new("activity_id", "verb"),
    Mapping::new("user_agent", "userAgent"),
    Mapping::new("identity", "user.username"),
    Mapping::new("identity_kind", "user.username, else responseStatus.code, else responseObject"),
    Mapping::new("namespace", "user.username"),
    Mapping::new("service_account", "user.username"),
    Mapping::new("identity_uid", "user.uid"),
    Mapping::new("groups", "user.groups"),
    Mapping::new("extra", "user.extra"),
    Mapping::new(
        "credential_id",
        "user.extra[authentication.kubernetes.io/credential-id], else user.extra.accessKeyId",
    ),
    Mapping::new(
        "credential_kind",
        "user.extra[authentication.kubernetes.io/credential-id], else user.extra.accessKeyId, \
         annotations[authentication.k8s.io/legacy-token]",
    ),
    Mapping::new("pod", "user.extra[authentication.kubernetes.io/pod-name]"),
    Mapping::new("pod_uid", "user.extra[authentication.kubernetes.io/pod-uid]"),
    Mapping::new("node", "user.extra[authentication.kubernetes.io/node-name]"),
    Mapping::new("node_uid", "user.extra[authentication.kubernetes.io/node-uid]"),
    Mapping::new("impersonated_identity", "impersonatedUser.username"),
    Mapping::new("impersonated_groups", "impersonatedUser.groups"),
    Mapping::new("request_uri", "requestURI"),
    Mapping::new("api_group", "objectRef.apiGroup, else objectRef.apiVersion up to its slash"),
    Mapping::new("api_version", "objectRef.apiVersion"),
    Mapping::new("resource", "objectRef.resource"),
    Mapping::new("subresource", "objectRef.subresource"),
    Mapping::new("object_namespace", "objectRef.namespace"),
    Mapping::new("object_name", "objectRef.name, else responseObject.metadata.name"),
    Mapping::new(
        "object_uid",
        "objectRef.uid, else responseObject.metadata.uid, else responseStatus.details.uid",
    ),
    Mapping::new("dry_run", "requestURI, requestObject.dryRun"),
    Mapping::new("request_object", "requestObject"),
    Mapping::new("response_object", "responseObject"),
    Mapping::new("status_code", "responseStatus.code, else responseObject if it is a Status"),
    Mapping::new("status_reason", "responseStatus.reason, else responseObject if it is a Status"),
    Mapping::new(
        "outcome",
        "responseStatus.code, else responseStatus.status, responseObject; stage",
    ),
    Mapping::new(
        "decision",
        "annotations[authorization.k8s.io/decision], annotations[authorization.k8s.io/reason], \
         else responseStatus.code, responseStatus.message, else responseObject",
    ),
    Mapping::new("decision_reason", "annotations[authorization.k8s.io/reason]"),
    Mapping::new(
        "decided_by",
        "annotations[authorization.k8s.io/reason], else responseStatus.code, else responseObject",
    ),
    Mapping::new("decided_role", "annotations[authorization.k8s.io/reason]"),
    Mapping::new("decided_subject", "annotations[authorization.k8s.io/reason]"),
    Mapping::new(
        "issued_credential_id",
        "annotations[authentication.kubernetes.io/issued-credential-id], \
         else jti of responseObject.status.token; SHA-256 of responseObject.status.certificate, \
         else requestObject.status.certificate, by verb, objectRef.resource, objectRef.subresource",
    ),
    Mapping::new(
        "issued_to",
        "sub of responseObject.status.token, else objectRef.namespace, objectRef.name; common name of \
         responseObject.status.certificate, else requestObject.status.certificate, by verb, \
         objectRef.resource, objectRef.subresource; of what issued a credential, \
         annotations[authentication.kubernetes.io/issued-credential-id]",
    ),
    Mapping::new(
        "issued_expires_time",
        "exp of responseObject.status.token, else responseObject.status.expirationTimestamp; end of \
         responseObject.status.certificate, else requestObject.status.certificate, by verb, \
         objectRef.resource, objectRef.subresource; of what issued a credential, \
         annotations[authentication.kubernetes.io/issued-credential-id]",
    ),
    Mapping::new(
        "issued_audience",
        "aud of responseObject.status.token, else responseObject.spec.audiences; of what issued a \
         credential, annotations[authentication.kubernetes.io/issued-credential-id]",
    ),
    Mapping::new(
        "issued_pod_uid",
        "pod of responseObject.status.token, else responseObject.spec.boundObjectRef of a Pod; of what \
         issued a credential, annotations[authentication.kubernetes.io/issued-credential-id]",
    ),
    Mapping::new("truncated", "annotations[audit.k8s.io/truncated]"),
    Mapping::new("annotations", "annotations"),
    Mapping::new("source_ip", "sourceIPs, the last that is no trusted proxy"),
    Mapping::new("forwarded_for", "sourceIPs, the others"),
];
