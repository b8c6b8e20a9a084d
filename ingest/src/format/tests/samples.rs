//! One record of each sort, with every field that a column takes. Nothing here is anybody's.

use super::super::Format;

/// A record, and texts that its fields may hold instead.
pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) format: Format,
    pub(super) record: &'static str,
    pub(super) words: &'static [&'static str],
}

pub(super) const SAMPLES: &[Sample] = &[
    Sample {
        name: "kube-audit: a pod mints a token",
        format: Format::KubeAudit,
        record: r#"{
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse",
            "auditID": "8a3f2b1e-9a43-4c41-9d3f-7f6b2f1f0a10", "stage": "ResponseComplete",
            "requestURI": "/api/v1/namespaces/web/serviceaccounts/frontend/token?dryRun=All",
            "verb": "create",
            "user": {"username": "system:serviceaccount:web:minter", "uid": "u-1",
                "groups": ["system:authenticated"], "extra": {
                "authentication.kubernetes.io/credential-id": ["JTI=1"],
                "accessKeyId": ["ASIAIOSFODNN7EXAMPLE"],
                "authentication.kubernetes.io/pod-name": ["minter-0"],
                "authentication.kubernetes.io/pod-uid": ["p-1"],
                "authentication.kubernetes.io/node-name": ["node-1"],
                "authentication.kubernetes.io/node-uid": ["n-1"]}},
            "impersonatedUser": {"username": "alice", "groups": ["ops"]},
            "sourceIPs": ["198.51.100.1", "10.0.0.7"], "userAgent": "minter/1",
            "objectRef": {"resource": "serviceaccounts", "namespace": "web", "name": "frontend",
                "uid": "o-1", "apiGroup": "example.org", "apiVersion": "v1", "subresource": "token"},
            "responseStatus": {"code": 201, "reason": "Created", "details": {"uid": "o-3"}},
            "requestObject": {"kind": "DeleteOptions", "dryRun": ["All"]},
            "responseObject": {"kind": "TokenRequest", "metadata": {"name": "frontend-1", "uid": "o-2"},
                "spec": {"audiences": ["vault"], "boundObjectRef": {"kind": "Pod", "uid": "p-7"}},
                "status": {"token": "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJqdGkiOiI3Iiwic3ViIjoic3lzdGVtOnNlcnZpY2VhY2NvdW50OndlYjpmcm9udGVuZCIsImF1ZCI6WyJ2YXVsdCJdLCJleHAiOjE3OTU0NTU3MzUsImt1YmVybmV0ZXMuaW8iOnsicG9kIjp7InVpZCI6InAtNyJ9fX0.c2lnbmF0dXJl",
                "expirationTimestamp": "2026-11-23T18:56:57Z"}},
            "requestReceivedTimestamp": "2026-11-23T17:56:57.403991Z",
            "stageTimestamp": "2026-11-23T17:56:57.406635Z",
            "timestamp": "2026-11-23T17:56:57Z",
            "annotations": {"authorization.k8s.io/decision": "allow",
                "authorization.k8s.io/reason": "RBAC: allowed by RoleBinding \"minters/web\" of Role \"minter\" to ServiceAccount \"minter/web\"",
                "authentication.k8s.io/legacy-token": "system:serviceaccount:web:minter",
                "authentication.kubernetes.io/issued-credential-id": "JTI=2",
                "audit.k8s.io/truncated": "true"},
            "metadata": {"creationTimestamp": null}
        }"#,
        words: &[
            "forbid",
            "internal error",
            "apps/v1",
            "Panic",
            "/x",
            "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJqdGkiOiI4Iiwic3ViIjoic3lzdGVtOnNlcnZpY2VhY2NvdW50OndlYjpjYXJ0IiwiYXVkIjpbImFwaSJdLCJleHAiOjE3OTU0NTU3MzYsImt1YmVybmV0ZXMuaW8iOnsicG9kIjp7InVpZCI6InAtOCJ9fX0.c2lnbmF0dXJl",
        ],
    },
    Sample {
        name: "kube-audit: an API server without annotations refuses",
        format: Format::KubeAudit,
        record: r#"{
            "auditID": "a-2", "stage": "ResponseComplete", "verb": "get", "requestURI": "/api",
            "user": {"username": "eve"}, "requestReceivedTimestamp": "2026-11-23T17:56:57.403991Z",
            "responseStatus": {"code": 403, "message": "forbidden: User \"eve\" cannot get path \"/api\""}
        }"#,
        words: &[],
    },
    Sample {
        name: "kube-audit: a signer signs a certificate",
        format: Format::KubeAudit,
        record: r#"{
            "auditID": "a-3", "stage": "ResponseComplete", "verb": "update",
            "requestURI": "/apis/certificates.k8s.io/v1/certificatesigningrequests/mallory/status",
            "user": {"username": "system:serviceaccount:kube-system:certificate-controller"},
            "objectRef": {"resource": "certificatesigningrequests", "name": "mallory",
                "apiGroup": "certificates.k8s.io", "apiVersion": "v1", "subresource": "status"},
            "requestReceivedTimestamp": "2026-11-23T17:56:57.403991Z",
            "responseStatus": {"code": 200},
            "requestObject": {"status": {"certificate": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJsakNDQVQyZ0F3SUJBZ0lVSEFkRVRxN1d2N0JNY21LWGZJNGtIc0NqeTFnd0NnWUlLb1pJemowRUF3SXcKSVRFTk1Bc0dBMVVFQ2d3RVpHVjJjekVRTUE0R0ExVUVBd3dIYldGc2JHOXllVEFlRncweU5qRXhNekF3TWpNMQpOVEphRncwek5qRXhNamN3TWpNMU5USmFNQ0V4RFRBTEJnTlZCQW9NQkdSbGRuTXhFREFPQmdOVkJBTU1CMjFoCmJHeHZjbmt3V1RBVEJnY3Foa2pPUFFJQkJnZ3Foa2pPUFFNQkJ3TkNBQVFoUDlsOWFwSzZTSW41WXdOSFlQb0MKMWYvdkEzUXdvSEhNK2lLUkU4ckdoV0h4QmFkNDVKdGFhUWpjSi9GR0s3dGFSbmhWcjlSYi9aeU9Ubi8wUUQwdgpvMU13VVRBZEJnTlZIUTRFRmdRVUJ2bm1MMW5XZzJRamc4Q3R0aFBEd2w4V3lWQXdId1lEVlIwakJCZ3dGb0FVCkJ2bm1MMW5XZzJRamc4Q3R0aFBEd2w4V3lWQXdEd1lEVlIwVEFRSC9CQVV3QXdFQi96QUtCZ2dxaGtqT1BRUUQKQWdOSEFEQkVBaUJua084VDkwRko5U1luNmZkci9HVitqV211a245RlBVbUhuYUthYVBDN0VBSWdmVHZrSzRGTgpmcnJqYys4dndUVENOditncVVvSVR0VXQ2R25ySmdHZDI3az0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="}},
            "responseObject": {"status": {"certificate": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJsakNDQVQyZ0F3SUJBZ0lVSEFkRVRxN1d2N0JNY21LWGZJNGtIc0NqeTFnd0NnWUlLb1pJemowRUF3SXcKSVRFTk1Bc0dBMVVFQ2d3RVpHVjJjekVRTUE0R0ExVUVBd3dIYldGc2JHOXllVEFlRncweU5qRXhNekF3TWpNMQpOVEphRncwek5qRXhNamN3TWpNMU5USmFNQ0V4RFRBTEJnTlZCQW9NQkdSbGRuTXhFREFPQmdOVkJBTU1CMjFoCmJHeHZjbmt3V1RBVEJnY3Foa2pPUFFJQkJnZ3Foa2pPUFFNQkJ3TkNBQVFoUDlsOWFwSzZTSW41WXdOSFlQb0MKMWYvdkEzUXdvSEhNK2lLUkU4ckdoV0h4QmFkNDVKdGFhUWpjSi9GR0s3dGFSbmhWcjlSYi9aeU9Ubi8wUUQwdgpvMU13VVRBZEJnTlZIUTRFRmdRVUJ2bm1MMW5XZzJRamc4Q3R0aFBEd2w4V3lWQXdId1lEVlIwakJCZ3dGb0FVCkJ2bm1MMW5XZzJRamc4Q3R0aFBEd2w4V3lWQXdEd1lEVlIwVEFRSC9CQVV3QXdFQi96QUtCZ2dxaGtqT1BRUUQKQWdOSEFEQkVBaUJua084VDkwRko5U1luNmZkci9HVitqV211a245RlBVbUhuYUthYVBDN0VBSWdmVHZrSzRGTgpmcnJqYys4dndUVENOditncVVvSVR0VXQ2R25ySmdHZDI3az0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="}}
        }"#,
        words: &[
            "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJqekNDQVRXZ0F3SUJBZ0lVQkpjSFFIV1pKTUYzYTB2WUtlc1VKY1lxaGFjd0NnWUlLb1pJemowRUF3SXcKSFRFTk1Bc0dBMVVFQ2d3RVpHVjJjekVNTUFvR0ExVUVBd3dEWlhabE1CNFhEVEkyTVRFek1EQXlNelUxTWxvWApEVEkzTVRFek1EQXlNelUxTWxvd0hURU5NQXNHQTFVRUNnd0VaR1YyY3pFTU1Bb0dBMVVFQXd3RFpYWmxNRmt3CkV3WUhLb1pJemowQ0FRWUlLb1pJemowREFRY0RRZ0FFQjFWRXV6MEladDUvS205WE9JMVRCaTk1cUc2YXdGZnUKNU1VR1FKMUVGUklYdm5LN044RkZWNDFxU1BVNEpUSnBGb2xWY1NsMkRkMzFCM0g0Q3JiZHdhTlRNRkV3SFFZRApWUjBPQkJZRUZOeEM5OWxQN21OMjVNV1I1eVBMRmxobzRlQnFNQjhHQTFVZEl3UVlNQmFBRk54Qzk5bFA3bU4yCjVNV1I1eVBMRmxobzRlQnFNQThHQTFVZEV3RUIvd1FGTUFNQkFmOHdDZ1lJS29aSXpqMEVBd0lEU0FBd1JRSWcKUy9UcURpWGdsaWZkVnBJa2dvenlQZExGK0VYU2ppYVZudEliREJMTHBvZ0NJUURlUGd6Vy83cFJhRzRQeTNHdQpSWlh4WEtFdCtYeUFKbVEzMFJBUUNuWm1MQT09Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K",
            "approval",
        ],
    },
    Sample {
        name: "gke-audit: a ServiceAccount runs a command in a pod",
        format: Format::GkeAudit,
        record: r#"{
            "insertId": "i-1", "logName": "projects/acme/logs/cloudaudit.googleapis.com%2Factivity",
            "trace": "projects/acme/traces/4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7",
            "resource": {"type": "k8s_cluster", "labels": {"project_id": "acme", "cluster_name": "prod", "location": "europe-west1"}},
            "timestamp": "2026-07-23T10:00:00.131337Z", "receiveTimestamp": "2026-07-23T10:00:01Z",
            "labels": {"authorization.k8s.io/decision": "allow",
                "authorization.k8s.io/reason": "RBAC: allowed by RoleBinding \"ops/web\" of Role \"exec\" to ServiceAccount \"frontend/web\""},
            "split": {"uid": "s", "index": 0, "totalSplits": 1},
            "operation": {"id": "8a3f2b1e-9a43-4c41-9d3f-7f6b2f1f0a10", "producer": "k8s.io", "first": true, "last": true},
            "protoPayload": {"@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "k8s.io",
                "methodName": "io.k8s.apps.v1.statefulsets.scale.create",
                "resourceName": "apps/v1/namespaces/web/statefulsets/frontend/scale",
                "authenticationInfo": {"principalEmail": "system:serviceaccount:web:frontend",
                    "principalSubject": "system:serviceaccount:web:other", "authoritySelector": "alice@example.com",
                    "serviceAccountKeyName": "//iam.googleapis.com/projects/acme/serviceAccounts/ci@acme.iam.gserviceaccount.com/keys/7"},
                "authorizationInfo": [{"granted": true, "permission": "io.k8s.apps.v1.statefulsets.scale.create"}],
                "requestMetadata": {"callerIp": "203.0.113.7", "callerSuppliedUserAgent": "kubectl/v1.36.0"},
                "request": {"kind": "DeleteOptions", "dryRun": ["All"]},
                "response": {"metadata": {"name": "frontend-1", "uid": "o-2"}},
                "status": {"code": 5, "message": "not found"}}
        }"#,
        words: &[
            "forbid",
            "system:anonymous",
            "core/v2/nodes/a/proxy",
            "io.k8s.core.v2.pods.get",
            "alice@example.com",
        ],
    },
    Sample {
        name: "kube-audit: only the answer tells that the authorizer refused",
        format: Format::KubeAudit,
        record: r#"{
            "auditID": "a-3", "stage": "ResponseComplete", "verb": "get", "requestURI": "/api",
            "user": {"username": "eve"}, "requestReceivedTimestamp": "2026-11-23T17:56:57.403991Z",
            "responseStatus": {"status": "Failure"},
            "responseObject": {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "reason": "Forbidden",
                "message": "forbidden: User \"eve\" cannot get path \"/api\""}
        }"#,
        words: &["Success"],
    },
    Sample {
        name: "gke-audit: only the answer tells that a person of an identity pool was refused",
        format: Format::GkeAudit,
        record: r#"{
            "insertId": "i-3", "timestamp": "2026-07-23T10:00:00.131337Z",
            "resource": {"type": "k8s_cluster", "labels": {"cluster_name": "prod"}},
            "protoPayload": {"methodName": "io.k8s.core.v1.pods.list", "resourceName": "core/v1/pods", "serviceName": "k8s.io",
                "authenticationInfo": {"principalSubject": "principal://iam.googleapis.com/locations/global/workforcePools/staff/subject/frank"},
                "status": {"message": ""},
                "response": {"@type": "core.k8s.io/v1.Status", "status": "Failure", "code": 403, "reason": "Forbidden",
                    "message": "pods is forbidden: User \"x\" cannot list resource \"pods\""}}
        }"#,
        words: &["core.k8s.io/v1.Pod", "system:anonymous", "system:serviceaccount:web:frontend"],
    },
    Sample {
        name: "gke-audit: somebody asks whether the server is ready",
        format: Format::GkeAudit,
        record: r#"{
            "insertId": "i-2", "timestamp": "2026-07-23T10:00:00.131337Z",
            "resource": {"type": "k8s_cluster", "labels": {"cluster_name": "prod"}},
            "protoPayload": {"methodName": "io.k8s.get", "resourceName": "readyz", "serviceName": "k8s.io",
                "authenticationInfo": {"principalEmail": "system:anonymous"}}
        }"#,
        words: &["io.k8s.core.v1.pods.get", "core/v1/pods"],
    },
    Sample {
        name: "cloudtrail: a session of a role is refused",
        format: Format::CloudTrail,
        record: r#"{
            "eventVersion": "1.11",
            "userIdentity": {"type": "AssumedRole", "principalId": "AROACKCEVSQ6C2EXAMPLE:ledger-7",
                "arn": "arn:aws:sts::123456789012:assumed-role/ledger/ledger-7", "accountId": "123456789012",
                "accessKeyId": "ASIAIOSFODNN7EXAMPLE", "sessionContext": {
                    "sessionIssuer": {"type": "Role", "principalId": "AROACKCEVSQ6C2EXAMPLE",
                        "arn": "arn:aws:iam::123456789012:role/shop/ledger", "accountId": "123456789012", "userName": "ledger"},
                    "webIdFederationData": {"federatedProvider": "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE"},
                    "attributes": {"creationDate": "2026-07-23T10:00:05Z", "mfaAuthenticated": "false"}}},
            "eventTime": "2026-07-23T10:05:00Z", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole",
            "awsRegion": "eu-west-1", "sourceIPAddress": "198.51.100.7", "userAgent": "aws-sdk-go-v2/1.36.0",
            "errorCode": "VpceAccessDenied",
            "errorMessage": "User: arn:aws:sts::123456789012:assumed-role/ledger/ledger-7 is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::123456789012:role/admin",
            "requestParameters": {"roleArn": "arn:aws:iam::123456789012:role/admin", "roleSessionName": "x"},
            "responseElements": null, "additionalEventData": {"omitted": false},
            "requestID": "c6104cbe-af31-11e0-8154-cbc7ccf896c7", "eventID": "11111111-2222-3333-4444-555555555555",
            "readOnly": true, "eventType": "AwsApiCall", "managementEvent": true, "vpcEndpointId": "vpce-1",
            "recipientAccountId": "123456789012", "eventCategory": "Management"
        }"#,
        words: &[
            "AccessDenied",
            "InvalidClientTokenId",
            "Client.DryRunOperation",
            "NoSuchEntity",
            "Throttling",
            "AwsServiceEvent",
            "CreateRole",
            "AKIAIOSFODNN7EXAMPLE",
            "WebIdentityUser",
            "iam.amazonaws.com",
            "403",
        ],
    },
    Sample {
        name: "cloudtrail: a person fails to sign in to IAM Identity Center",
        format: Format::CloudTrail,
        record: r#"{
            "eventVersion": "1.08", "eventType": "AwsServiceEvent", "eventTime": "2026-07-23T10:00:05Z",
            "eventSource": "signin.amazonaws.com", "eventName": "UserAuthentication", "awsRegion": "eu-west-1",
            "userIdentity": {"type": "IdentityCenterUser", "accountId": "123456789012", "principalId": "p-1", "credentialId": "c-1234",
                "sessionContext": {"sourceIdentity": "x"},
                "onBehalfOf": {"userId": "u-1", "identityStoreArn": "arn:aws:identitystore::123456789012:identitystore/d-1"}},
            "errorMessage": "no", "serviceEventDetails": {"UserAuthentication": "Failure", "CredentialType": "PASSWORD"}
        }"#,
        words: &["Success"],
    },
    Sample {
        name: "cloudtrail: a certificate becomes a session (Roles Anywhere)",
        format: Format::CloudTrail,
        record: r#"{
            "eventVersion": "1.08", "eventTime": "2026-07-23T10:00:05Z", "eventSource": "rolesanywhere.amazonaws.com",
            "eventName": "CreateSession", "userIdentity": {"type": "Unknown", "principalId": "CN=x", "accountId": "123456789012"},
            "responseElements": {"credentialSet": [{"credentials": {"accessKeyId": "ASIAIOSFODNN7EXAMPLE"}}]}
        }"#,
        words: &[],
    },
    Sample {
        name: "cloudtrail: an instance is started through a proxy",
        format: Format::CloudTrail,
        record: r#"{
            "eventVersion": "1.11", "eventTime": "2026-07-23T10:00:05Z", "eventSource": "ec2.amazonaws.com", "eventName": "RunInstances",
            "sourceIPAddress": "192.0.2.7, 198.51.100.7", "requestParameters": {"instancesSet": {"items": [{"imageId": "ami-1"}]}},
            "responseElements": {"instancesSet": {"items": [{"instanceId": "i-1"}]}}, "eventID": "7b7e4636-4713-3d04-b86a-cd6774cdbaf0"
        }"#,
        words: &["192.0.2.8, 198.51.100.7"],
    },
    Sample {
        name: "cloudtrail: a policy of the organization refuses",
        format: Format::CloudTrail,
        record: r#"{
            "eventVersion": "1.11", "eventTime": "2026-07-23T10:00:05Z", "eventSource": "s3.amazonaws.com", "eventName": "PutObject",
            "errorCode": "AccessDenied", "errorMessage": "not authorized with an explicit deny in a service control policy: arn:aws:organizations::123456789012:policy/o-1/service_control_policy/p-1",
            "requestParameters": {"bucketName": "b", "key": "k"}, "resources": [{"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::b"},
                {"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::b/k"}], "eventID": "7b7e4636-4713-3d04-b86a-cd6774cdbaf2"
        }"#,
        words: &[],
    },
    Sample {
        name: "cloudtrail: a document of Systems Manager is read",
        format: Format::CloudTrail,
        record: r#"{
            "eventVersion": "1.11", "eventTime": "2026-07-23T10:00:05Z", "eventSource": "ssm.amazonaws.com", "eventName": "GetDocument",
            "requestParameters": {"name": "restart"}, "eventID": "7b7e4636-4713-3d04-b86a-cd6774cdbaf1"
        }"#,
        words: &["GetParameter"],
    },
    Sample {
        name: "cloudtrail: a ServiceAccount becomes a role (IRSA)",
        format: Format::CloudTrail,
        record: r#"{
            "eventVersion": "1.11",
            "userIdentity": {"type": "WebIdentityUser",
                "principalId": "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE:sts.amazonaws.com:system:serviceaccount:payments:ledger",
                "userName": "system:serviceaccount:payments:ledger",
                "identityProvider": "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE"},
            "eventTime": "2026-07-23T10:00:05Z", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRoleWithWebIdentity",
            "awsRegion": "eu-west-1", "sourceIPAddress": "10.0.3.17", "userAgent": "aws-sdk-go-v2/1.36.0",
            "requestParameters": {"roleArn": "arn:aws:iam::123456789012:role/shop/ledger", "roleSessionName": "ledger-7"},
            "responseElements": {"credentials": {"accessKeyId": "ASIAIOSFODNN7EXAMPLE", "sessionToken": "HIDDEN", "expiration": "Jul 23, 2026, 11:00:05 AM"},
                "subjectFromWebIdentityToken": "system:serviceaccount:payments:ledger",
                "assumedRoleUser": {"assumedRoleId": "AROACKCEVSQ6C2EXAMPLE:ledger-7", "arn": "arn:aws:sts::123456789012:assumed-role/ledger/ledger-7"},
                "provider": "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE", "audience": "sts.amazonaws.com"},
            "requestID": "c6104cbe-af31-11e0-8154-cbc7ccf896c8", "eventID": "11111111-2222-3333-4444-555555555556",
            "readOnly": true, "eventType": "AwsApiCall", "managementEvent": true,
            "resources": [{"accountId": "123456789012", "type": "AWS::IAM::Role", "ARN": "arn:aws:iam::123456789012:role/shop/ledger"}],
            "recipientAccountId": "123456789012", "eventCategory": "Management"
        }"#,
        words: &["AssumedRole"],
    },
    Sample {
        name: "cloudtrail: EKS Pod Identity mints a session for a pod",
        format: Format::CloudTrail,
        record: r#"{
            "eventVersion": "1.08", "userIdentity": {"type": "AWSService", "invokedBy": "pods.eks.amazonaws.com"},
            "eventTime": "2026-07-23T10:00:05Z", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRole",
            "awsRegion": "us-west-2", "sourceIPAddress": "pods.eks.amazonaws.com", "userAgent": "pods.eks.amazonaws.com",
            "requestParameters": {"roleArn": "arn:aws:iam::123456789012:role/reader", "roleSessionName": "eks-prod-app1-498124c2",
                "durationSeconds": 21600, "omitted": false, "tags": [
                {"key": "eks-cluster-arn", "value": "arn:aws:eks:us-west-2:123456789012:cluster/prod"},
                {"key": "eks-cluster-name", "value": "prod"},
                {"key": "kubernetes-namespace", "value": "ns-a"},
                {"key": "kubernetes-service-account", "value": "sa1"},
                {"key": "kubernetes-pod-name", "value": "app1"},
                {"key": "kubernetes-pod-uid", "value": "0cda7f85-c1f9-4dee-b6e9-a0b50c8f3012"}]},
            "responseElements": {"credentials": {"accessKeyId": "ASIAIOSFODNN8EXAMPLE", "sessionToken": "HIDDEN", "expiration": "Jul 23, 2026, 4:00:05 PM"},
                "assumedRoleUser": {"assumedRoleId": "AROACKCEVSQ6C2EXAMPLE:eks-prod-app1-498124c2", "arn": "arn:aws:sts::123456789012:assumed-role/reader/eks-prod-app1-498124c2"}},
            "requestID": "3821a55e-cecc-4d68-9c9b-fc8b6d6994f4", "eventID": "7b7e4636-4713-3d04-b86a-cd6774cdbae9", "readOnly": true,
            "resources": [{"accountId": "123456789012", "type": "AWS::IAM::Role", "ARN": "arn:aws:iam::123456789012:role/reader"}],
            "eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": "123456789012",
            "sharedEventID": "c30ac43f-e051-426b-94bc-ab73b05e34e9", "eventCategory": "Management"
        }"#,
        words: &["AWSAccount"],
    },
    Sample {
        name: "cloudtrail: a caller of another account makes a key",
        format: Format::CloudTrail,
        record: r#"{
            "eventVersion": "1.08",
            "userIdentity": {"type": "AWSAccount", "principalId": "AROACKCEVSQ6C2EXAMPLE:x", "accountId": "210987654321"},
            "eventTime": "2026-07-23T10:00:05Z", "eventSource": "iam.amazonaws.com", "eventName": "CreateAccessKey",
            "requestParameters": {"userName": "eve"},
            "responseElements": {"accessKey": {"accessKeyId": "AKIAIOSFODNN9EXAMPLE", "userName": "eve", "status": "Active"},
                "omitted": false},
            "eventID": "7b7e4636-4713-3d04-b86a-cd6774cdbaea", "eventType": "AwsApiCall"
        }"#,
        words: &["ANONYMOUS_PRINCIPAL", "AIDACKCEVSQ6C2EXAMPLE"],
    },
    Sample {
        name: "cloudtrail: an agent of a user signs in",
        format: Format::CloudTrail,
        record: r#"{
            "eventVersion": "1.08",
            "userIdentity": {"type": "IdentityCenterUser", "accountId": "123456789012", "credentialId": "c-1",
                "principalId": "p-1", "sessionContext": {"attributes": {"mfaAuthenticated": "true"}}, "onBehalfOf": {"userId": "u-1", "identityStoreArn": "arn:aws:identitystore::123456789012:identitystore/d-1"}},
            "eventTime": "2026-07-23T10:00:05Z", "eventSource": "signin.amazonaws.com", "eventName": "ConsoleLogin",
            "requestParameters": null, "responseElements": {"ConsoleLogin": "Success"},
            "eventID": "7b7e4636-4713-3d04-b86a-cd6774cdbaeb", "eventType": "AwsConsoleSignIn"
        }"#,
        words: &["Failure", "AwsServiceEvent"],
    },
    Sample {
        name: "cloudtrail: a token of a ServiceAccount is refused",
        format: Format::CloudTrail,
        record: r#"{
            "eventVersion": "1.11", "userIdentity": {"type": "WebIdentityUser", "userName": "system:serviceaccount:payments:ledger",
                "identityProvider": "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE"},
            "eventTime": "2026-07-23T10:00:05Z", "eventSource": "sts.amazonaws.com", "eventName": "AssumeRoleWithWebIdentity",
            "errorCode": "InvalidIdentityToken", "eventID": "7b7e4636-4713-3d04-b86a-cd6774cdbaee"
        }"#,
        words: &["NoSuchEntity"],
    },
    Sample {
        name: "cloudtrail: an error without a code",
        format: Format::CloudTrail,
        record: r#"{
            "eventVersion": "1.11", "eventTime": "2026-07-23T10:00:05Z", "eventSource": "health.amazonaws.com", "eventName": "DescribeEvents",
            "errorMessage": "it broke", "eventID": "7b7e4636-4713-3d04-b86a-cd6774cdbaef"
        }"#,
        words: &[],
    },
    Sample {
        name: "cloudtrail: a user fails to sign in",
        format: Format::CloudTrail,
        record: r#"{
            "eventVersion": "1.08",
            "userIdentity": {"type": "IAMUser", "accountId": "123456789012", "accessKeyId": "AKIAIOSFODNN7EXAMPLE", "userName": "eve",
                "arn": "arn:aws:iam::123456789012:user/eve", "principalId": "AIDACKCEVSQ6C2EXAMPLE", "sessionContext": {"attributes": {"mfaAuthenticated": "true"}}},
            "eventTime": "2026-07-23T10:00:05Z", "eventSource": "signin.amazonaws.com", "eventName": "ConsoleLogin",
            "errorMessage": "Failed authentication", "requestParameters": null, "responseElements": {"ConsoleLogin": "Failure"},
            "eventID": "7b7e4636-4713-3d04-b86a-cd6774cdbaed", "eventType": "AwsConsoleSignIn"
        }"#,
        words: &["Success"],
    },
    Sample {
        name: "cloudtrail: a node asks for a pod's session",
        format: Format::CloudTrail,
        record: r#"{
            "eventVersion": "1.09",
            "userIdentity": {"type": "AssumedRole", "principalId": "AROACKCEVSQ6C2EXAMPLE:i-0", "accountId": "123456789012",
                "arn": "arn:aws:sts::123456789012:assumed-role/node/i-0"},
            "eventTime": "2026-07-23T10:00:05Z", "eventSource": "eks-auth.amazonaws.com", "eventName": "AssumeRoleForPodIdentity",
            "requestParameters": {"clusterName": "prod", "token": "HIDDEN_DUE_TO_SECURITY_REASONS"},
            "responseElements": {"subject": {"namespace": "ns-a", "serviceAccount": "sa1"}},
            "eventID": "7b7e4636-4713-3d04-b86a-cd6774cdbaec", "eventType": "AwsApiCall", "readOnly": true
        }"#,
        words: &["eks.amazonaws.com"],
    },
    Sample {
        name: "gcp-audit: a key of a service account is made with a key",
        format: Format::GcpAudit,
        record: r#"{
            "insertId": "i-1", "logName": "projects/acme/logs/cloudaudit.googleapis.com%2Factivity",
            "resource": {"type": "service_account", "labels": {"project_id": "acme", "location": "global", "region": "r", "zone": "z"}},
            "timestamp": "2026-07-23T10:00:00.131337Z", "receiveTimestamp": "2026-07-23T10:00:01Z",
            "split": {"uid": "s", "index": 0, "totalSplits": 1}, "trace": "projects/acme/traces/4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7", "severity": "NOTICE",
            "protoPayload": {"@type": "type.googleapis.com/google.cloud.audit.AuditLog", "serviceName": "iam.googleapis.com",
                "methodName": "google.iam.admin.v1.CreateServiceAccountKey",
                "resourceName": "projects/-/serviceAccounts/114885146936855121342",
                "authenticationInfo": {"principalEmail": "ci@acme.iam.gserviceaccount.com",
                    "principalSubject": "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/acme.svc.id.goog/subject/ns/web/sa/frontend",
                    "serviceAccountKeyName": "//iam.googleapis.com/projects/acme/serviceAccounts/ci@acme.iam.gserviceaccount.com/keys/1",
                    "serviceAccountDelegationInfo": [{"firstPartyPrincipal": {"principalEmail": "eve@example.com"}}]},
                "authorizationInfo": [{"granted": true, "permission": "iam.serviceAccountKeys.create", "resource": "projects/-/serviceAccounts/114885146936855121342"}],
                "requestMetadata": {"callerIp": "203.0.113.7", "callerSuppliedUserAgent": "gcloud"},
                "request": {"name": "projects/-/serviceAccounts/114885146936855121342"},
                "response": {"name": "projects/acme/serviceAccounts/ci@acme.iam.gserviceaccount.com/keys/2"},
                "metadata": {"violationReason": "NO_MATCHING_ACCESS_LEVEL", "securityPolicyInfo": {"servicePerimeterName": "accessPolicies/1/servicePerimeters/p"}},
                "serviceData": {"policyDelta": {"bindingDeltas": [{"action": "ADD", "role": "roles/owner", "member": "user:eve@example.com"}]}},
                "policyViolationInfo": {"orgPolicyViolationInfo": {"payload": {}, "resourceType": "x"}},
                "status": {"code": 7, "message": "denied"}}
        }"#,
        words: &[
            "eve@example.com",
            "serviceAccount:acme.svc.id.goog[a/b]",
            "google.iam.admin.v1.DeleteServiceAccountKey",
        ],
    },
    Sample {
        name: "gcp-audit: a federated workload asks for a token",
        format: Format::GcpAudit,
        record: r#"{
            "insertId": "i-2", "logName": "projects/acme/logs/cloudaudit.googleapis.com%2Fdata_access",
            "resource": {"type": "audited_resource", "labels": {"service": "iamcredentials.googleapis.com"}},
            "timestamp": "2026-07-23T10:00:00.131337Z",
            "protoPayload": {"serviceName": "iamcredentials.googleapis.com", "methodName": "GenerateAccessToken",
                "resourceName": "projects/-/serviceAccounts/ci@acme.iam.gserviceaccount.com",
                "authenticationInfo": {"principalSubject": "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/acme.svc.id.goog/subject/ns/web/sa/frontend"},
                "authorizationInfo": [{"granted": true, "permission": "iam.serviceAccounts.getAccessToken"}],
                "requestMetadata": {"callerIp": "private"}, "status": {}}
        }"#,
        words: &["serviceAccount:acme.svc.id.goog[a/b]"],
    },
    Sample {
        name: "gcp-audit: a service account that a workload acts as reads an object",
        format: Format::GcpAudit,
        record: r#"{
            "insertId": "i-3", "timestamp": "2026-07-23T10:00:00.131337Z",
            "protoPayload": {"serviceName": "storage.googleapis.com", "methodName": "storage.objects.get",
                "authenticationInfo": {"principalEmail": "reader@acme.iam.gserviceaccount.com",
                    "serviceAccountDelegationInfo": [{"principalSubject": "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/acme.svc.id.goog/subject/ns/web/sa/frontend"}]}}
        }"#,
        words: &["serviceAccount:acme.svc.id.goog[a/b]"],
    },
    Sample {
        name: "gcp-audit: a token of a ServiceAccount is exchanged",
        format: Format::GcpAudit,
        record: r#"{
            "insertId": "i-4", "timestamp": "2026-07-23T10:00:00.131337Z",
            "protoPayload": {"serviceName": "sts.googleapis.com", "methodName": "google.identity.sts.v1.SecurityTokenService.ExchangeToken",
                "authenticationInfo": {"principalSubject": "0123"},
                "status": {"code": 0},
                "metadata": {"mapped_principal": "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/acme.svc.id.goog/subject/ns/web/sa/frontend"}}
        }"#,
        words: &["serviceAccount:acme.svc.id.goog[a/b]"],
    },
    Sample {
        name: "gcp-audit: a constraint of the organization refuses",
        format: Format::GcpAudit,
        record: r#"{
            "insertId": "i-5", "timestamp": "2026-07-23T10:00:00.131337Z",
            "protoPayload": {"serviceName": "iam.googleapis.com", "methodName": "google.iam.admin.v1.CreateServiceAccountKey",
                "authorizationInfo": [{"granted": true}], "status": {"code": 9, "message": "no"},
                "policyViolationInfo": {"orgPolicyViolationInfo": {"violationInfo": [{"constraint": "constraints/iam.x"}]}}}
        }"#,
        words: &[],
    },
    Sample {
        name: "gcp-audit: a perimeter that is tried out would refuse",
        format: Format::GcpAudit,
        record: r#"{
            "insertId": "i-6", "timestamp": "2026-07-23T10:00:00.131337Z",
            "protoPayload": {"serviceName": "storage.googleapis.com", "methodName": "storage.objects.get", "status": {"code": 7},
                "metadata": {"dryRun": true, "violationReason": "x", "securityPolicyInfo": {"servicePerimeterName": "p"}}}
        }"#,
        words: &[],
    },
    Sample {
        name: "gcp-audit: a person fails to sign in",
        format: Format::GcpAudit,
        record: r#"{
            "insertId": "i-7", "timestamp": "2026-07-23T10:00:00.131337Z",
            "protoPayload": {"serviceName": "login.googleapis.com", "methodName": "google.login.LoginService.loginFailure",
                "status": {"message": "no"}}
        }"#,
        words: &[],
    },
    Sample {
        name: "azure-activity: an application reads a blob",
        format: Format::AzureActivity,
        record: r#"{
            "time": "2026-07-23T10:00:00.1313370Z", "category": "StorageRead", "operationName": "GetBlob", "statusCode": 200, "statusText": "Success", "correlationId": "c-2",
            "resourceId": "/subscriptions/1/providers/Microsoft.Storage/storageAccounts/a/blobServices/default",
            "uri": "https://a.blob.core.windows.net/b/c",
            "identity": {"type": "OAuth", "requester": {"objectId": "o-1", "tenantId": "t-1"}, "authorization": [
                {"action": "x", "roleAssignmentId": "ra-1", "result": "Granted", "principals": [{"id": "o-1", "type": "User"}]}]}
        }"#,
        words: &["AccountKey", "Anonymous", "Denied", "Group"],
    },
    Sample {
        name: "azure-activity: an application asks Microsoft Graph",
        format: Format::AzureActivity,
        record: r#"{
            "time": "2026-07-23T10:00:00.1313370Z", "category": "MicrosoftGraphActivityLogs", "operationName": "Microsoft Graph Activity",
            "resourceId": "/TENANTS/T-1/PROVIDERS/MICROSOFT.AADIAM", "correlationId": "c-1", "resultDescription": "no",
            "identity": {"type": "x", "authorization": {"evidence": {"roleAssignmentId": "ra-1"}}},
            "properties": {"requestMethod": "GET", "requestUri": "https://graph.microsoft.com/v1.0/me", "userAgent": "curl", "responseStatusCode": 403, "httpStatusCode": 403, "statusMessage": "no", "appId": "a-1",
                "servicePrincipalId": "o-1", "userId": "u-1", "tenantId": "t-1", "signInActivityId": "s-1"}
        }"#,
        words: &["Anonymous", "Microsoft.Authorization/policies/deny/action"],
    },
    Sample {
        name: "azure-activity: a managed identity assigns a role",
        format: Format::AzureActivity,
        record: r#"{
            "time": "2026-07-23T10:00:00.1313370Z", "category": "Administrative", "level": "Information",
            "resourceId": "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000001/PROVIDERS/MICROSOFT.AUTHORIZATION/ROLEASSIGNMENTS/R-1",
            "operationName": "MICROSOFT.AUTHORIZATION/ROLEASSIGNMENTS/WRITE",
            "resultType": "Success", "resultSignature": "Succeeded.Created", "durationMs": 123,
            "resultDescription": "made", "statusCode": "Created", "eventDataId": "e-1",
            "callerIpAddress": "203.0.113.7:44321", "httpRequest": {"clientIpAddress": "203.0.113.8"},
            "correlationId": "c-1", "tenantId": "t-2", "location": "global", "caller": "eve@example.com",
            "identity": {
                "authorization": {"scope": "/subscriptions/1", "action": "Microsoft.Authorization/roleAssignments/write",
                    "evidence": {"role": "Owner", "roleAssignmentId": "ra-1", "roleDefinitionId": "rd-1", "principalId": "o-1", "principalType": "ServicePrincipal"}},
                "claims": {"appid": "a-1", "uti": "u-1", "idtyp": "app",
                    "http://schemas.microsoft.com/identity/claims/objectidentifier": "o-1",
                    "http://schemas.microsoft.com/identity/claims/tenantid": "t-1",
                    "xms_mirid": "/subscriptions/1/providers/Microsoft.ManagedIdentity/userAssignedIdentities/m"}},
            "properties": {"statusCode": "Created", "statusMessage": "ok", "eventDataId": "e-2", "userAgentHeader": "az",
                "requestbody": "{\"Properties\":{\"PrincipalId\":\"p-1\",\"RoleDefinitionId\":\"rd-2\"}}",
                "responseBody": "{\"id\":\"ra-9\"}", "entity": "x"}
        }"#,
        words: &[
            "User",
            "Start",
            "Failure",
            "Failed.Forbidden",
            "Unauthorized",
            "Microsoft.Storage/storageAccounts/blobServices/read",
        ],
    },
    Sample {
        name: "azure-activity: a policy refuses",
        format: Format::AzureActivity,
        record: r#"{
            "time": "2026-07-23T10:00:00Z", "operationName": "Microsoft.Authorization/policies/deny/action", "resourceId": "/subscriptions/1",
            "properties": {"policies": "[{\"policyDefinitionEffect\":\"Deny\",\"policyAssignmentId\":\"pa-1\"}]"}
        }"#,
        words: &[],
    },
    Sample {
        name: "azure-activity: a policy refuses a part of a deployment",
        format: Format::AzureActivity,
        record: r#"{
            "time": "2026-07-23T10:00:00Z", "operationName": "Microsoft.Resources/deployments/write", "resourceId": "/subscriptions/1",
            "properties": {"statusCode": "BadRequest",
                "statusMessage": "{\"error\":{\"details\":[{\"code\":\"RequestDisallowedByPolicy\",\"additionalInfo\":[{\"info\":{\"policyAssignmentId\":\"pa-1\"}}]}]}}"}
        }"#,
        words: &[],
    },
    Sample {
        name: "azure-activity: a person activates a role",
        format: Format::AzureActivity,
        record: r#"{
            "time": "2026-07-23T10:00:00Z", "operationName": "Add member to role requested (PIM activation)", "resourceId": "/subscriptions/1",
            "category": "Administrative", "resultType": "Succeeded", "correlationId": "c-1",
            "properties": {"TenantID": "t-1", "RoleDefinition": "Owner",
                "CallerInfo": "[{\"CallerIdentityType\":\"UPN\",\"CallerIdentityValue\":\"eve@example.com\"},{\"CallerIdentityType\":\"ObjectID\",\"CallerIdentityValue\":\"o-1\"}]"}
        }"#,
        words: &[],
    },
    Sample {
        name: "azure-activity: a service of Azure calls by its name",
        format: Format::AzureActivity,
        record: r#"{
            "time": "2026-07-23T10:00:00Z", "operationName": "Microsoft.Insights/alertRules/Activated/action", "resourceId": "/subscriptions/1",
            "category": "Alert", "resultType": "Activated", "caller": "Microsoft.Insights/alertRules"
        }"#,
        words: &["o-1"],
    },
    Sample {
        name: "azure-activity: a user of whom only the object is told fails",
        format: Format::AzureActivity,
        record: r#"{
            "time": "2026-07-23T10:00:00Z", "operationName": "Microsoft.KeyVault/vaults/secrets/read", "resourceId": "/subscriptions/1",
            "resultType": "Failure", "resultSignature": "Failed.Forbidden", "resultDescription": "refused",
            "properties": {"statusCode": "Forbidden", "statusMessage": "no role allows it", "clientInfo": "azsdk"},
            "identity": {"claims": {"oid": "o-1"}, "authorization": {"evidence": {"principalType": "User", "principalId": "o-1"}}}
        }"#,
        words: &["ServicePrincipal"],
    },
    Sample {
        name: "azure-signin: an application signs in by federation",
        format: Format::AzureSignin,
        record: r#"{
            "time": "2026-07-23T10:01:00Z", "resourceId": "/tenants/t-1/providers/Microsoft.aadiam", "operationName": "Sign-in activity",
            "operationVersion": "1.0", "category": "ServicePrincipalSignInLogs", "tenantId": "t-1", "resultType": "0", "resultSignature": "None",
            "resultDescription": "described", "callerIpAddress": "203.0.113.8", "correlationId": "c-2", "location": "IE",
            "properties": {"id": "s-1", "createdDateTime": "2026-07-23T10:00:00Z", "appId": "a-1", "servicePrincipalId": "sp-1",
                "servicePrincipalName": "ledger", "federatedCredentialId": "f-1", "clientCredentialType": "federatedIdentityCredential",
                "servicePrincipalCredentialKeyId": "k-1", "uniqueTokenIdentifier": "u-1", "resourceDisplayName": "Azure Storage",
                "resourceId": "r-1", "resourceServicePrincipalId": "r-2", "ipAddress": "203.0.113.7", "userAgent": "msal",
                "userPrincipalName": null, "correlationId": "c-1", "status": {"errorCode": 0, "failureReason": "reason"}}
        }"#,
        words: &["ManagedIdentitySignInLogs", "SignInLogs", "7000215", "53003", "clientSecret"],
    },
    Sample {
        name: "azure-signin: a user signs in",
        format: Format::AzureSignin,
        record: r#"{
            "time": "2026-07-23T10:01:00Z", "category": "SignInLogs", "tenantId": "t-1", "resultType": "0",
            "properties": {"id": "s-2", "userPrincipalName": "eve@example.com", "userId": "o-1", "appId": "a-1", "ipAddress": "203.0.113.7"}
        }"#,
        words: &["50126", "ServicePrincipalSignInLogs"],
    },
    Sample {
        name: "azure-audit: a credential is added to an application",
        format: Format::AzureAudit,
        record: r#"{
            "time": "2026-07-23T10:01:00Z", "resourceId": "/tenants/t-1/providers/Microsoft.aadiam", "operationName": "Update application",
            "category": "AuditLogs", "tenantId": "t-1", "resultDescription": "described", "callerIpAddress": "203.0.113.8", "correlationId": "c-2",
            "location": "IE", "result": "success", "userAgent": "app",
            "properties": {"id": "d-1", "correlationId": "c-1", "activityDisplayName": "Add federated identity credential",
                "activityDateTime": "2026-07-23T10:00:00Z", "loggedByService": "Core Directory", "operationType": "Update",
                "result": "failure", "resultReason": "Insufficient privileges to complete the operation.", "userAgent": "cli",
                "initiatedBy": {"user": {"id": "o-1", "userPrincipalName": "eve@example.com", "ipAddress": "203.0.113.7"}},
                "targetResources": [{"id": "app-1", "displayName": "ledger", "type": "Application",
                    "modifiedProperties": [{"displayName": "FederatedIdentityCredentials", "newValue": "[{\"subject\":\"system:serviceaccount:payments:ledger\"}]"}]}],
                "additionalDetails": [{"key": "User-Agent", "value": "az"}]}
        }"#,
        words: &["success", "Delete"],
    },
    Sample {
        name: "azure-audit: an application changes a policy",
        format: Format::AzureAudit,
        record: r#"{
            "time": "2026-07-23T10:01:00Z", "category": "AuditLogs", "tenantId": "t-1", "operationName": "Update policy",
            "properties": {"id": "d-2", "initiatedBy": {"app": {"appId": "a-1", "servicePrincipalId": "sp-1", "displayName": "robot"}}, "result": "success"}
        }"#,
        words: &["failure"],
    },
];
