use durward_schemas::values::{CredentialKind, Decision, IdentityKind, Outcome};
use serde_json::json;

use super::super::{Format, read as read_all};
use super::*;
use crate::lab::with_context;

fn access(event: &Value) -> Access {
    let reading =
        with_context(|context| read_all(Format::CloudTrail, event.to_string().as_bytes(), context));
    assert_eq!(reading.rejects, [], "{event}");
    reading.accesses.into_iter().next().unwrap()
}

/// An event that says only what it must.
fn event(more: &Value) -> Value {
    let mut event = json!({"eventVersion": "1.11", "eventName": "GetObject", "eventSource": "s3.amazonaws.com",
        "eventTime": "2026-07-23T10:00:00Z", "eventID": "e-1", "requestID": "r-1", "eventType": "AwsApiCall"});
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

/// Scenario: error codes of many services, with and without their prefixes.
/// Guarantees: refused by policy, refused by authentication, failed after it was allowed, tried, and
/// not known are told apart.
#[test]
fn error_codes_are_decisions() {
    let check = |code: &str, decision: Decision, by: Option<&str>| {
        let row = access(&event(&json!({"errorCode": code, "errorMessage": "m"})));
        assert_eq!((row.decision, row.decided_by.as_deref()), (decision, by), "{code}");
        assert_eq!(row.outcome == Outcome::Success, code == "Client.DryRunOperation", "{code}");
        assert_eq!(row.status_reason.as_deref(), Some(code));
        assert_eq!(row.decision_reason.is_some(), decision == Decision::Deny, "{code}");
    };
    for code in [
        "AccessDenied",
        "AccessDeniedException",
        "Client.UnauthorizedOperation",
        "VpceAccessDenied",
        "KMS.NotAuthorizedException",
    ] {
        check(code, Decision::Deny, None);
    }
    for code in
        ["ExpiredToken", "Client.AuthFailure", "InvalidClientTokenId", "InvalidIdentityToken"]
    {
        check(code, Decision::Deny, Some("authentication"));
    }
    for code in ["NoSuchBucket", "Client.DryRunOperation", "EntityAlreadyExistsException"] {
        check(code, Decision::Allow, None);
    }
    for code in ["ThrottlingException", "InternalFailure", "RequestLimitExceeded"] {
        check(code, Decision::Unknown, None);
    }
    let row = access(&event(&json!({})));
    assert_eq!((row.decision, row.outcome, row.dry_run), (Decision::Allow, Outcome::Success, None));
    assert_eq!(access(&event(&json!({"errorCode": "Client.DryRunOperation"}))).dry_run, Some(true));
}

/// Who calls, in whose realm, with what.
type Caller<'a> = (IdentityKind, Option<&'a str>, Option<&'a str>, Option<CredentialKind>);

fn check_caller(user: &Value, expect: Caller<'_>) {
    let row = access(&event(&json!({ "userIdentity": user })));
    let (name, realm) = (row.identity.as_deref(), row.identity_realm.as_deref());
    assert_eq!((row.identity_kind, name, realm, row.credential_kind), expect, "{user}");
}

const ACCOUNT: Option<&str> = Some("123456789012");

/// Scenario: callers whose ARN is told.
/// Guarantees: the principal, the role for its session, and whether the key is temporary.
#[test]
fn callers_with_an_arn() {
    use {CredentialKind as C, IdentityKind as K};
    let check = |kind: &str, arn: &str, key: Option<&str>, expect: Caller<'_>| {
        check_caller(&json!({"type": kind, "arn": arn, "accessKeyId": key}), expect);
    };
    let user = "arn:aws:iam::123456789012:user/eve";
    let (permanent, temporary) = (Some("AKIAIOSFODNN7EXAMPLE"), Some("ASIAIOSFODNN7EXAMPLE"));
    check("IAMUser", user, permanent, (K::AwsUser, Some(user), ACCOUNT, Some(C::CloudStaticKey)));
    let root = "arn:aws:iam::123456789012:root";
    check("Root", root, None, (K::AwsUser, Some(root), ACCOUNT, None));
    let session = "arn:aws:sts::123456789012:assumed-role/reader/s";
    let role = "arn:aws:iam::123456789012:role/reader";
    let expect = (K::AwsRole, Some(role), ACCOUNT, Some(C::CloudSession));
    check("AssumedRole", session, temporary, expect);
    check("Role", role, None, (K::AwsRole, Some(role), ACCOUNT, None));
    let federated = "arn:aws:sts::123456789012:federated-user/eve";
    check("FederatedUser", federated, None, (K::AwsUser, Some(federated), ACCOUNT, None));
}

/// Scenario: callers of whom AWS tells no ARN.
/// Guarantees: the principal as AWS tells it, and no more.
#[test]
fn callers_without_an_arn() {
    use {CredentialKind as C, IdentityKind as K};
    let service = (K::AwsService, Some("ec2.amazonaws.com"), None, None);
    check_caller(&json!({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}), service);
    check_caller(&json!({"invokedBy": "ec2.amazonaws.com"}), service);
    let id = "AIDACKCEVSQ6C2EXAMPLE";
    check_caller(
        &json!({"type": "AWSAccount", "accountId": ACCOUNT, "principalId": id}),
        (K::AwsUser, Some(id), ACCOUNT, None),
    );
    check_caller(
        &json!({"type": "AWSAccount", "accountId": "ANONYMOUS_PRINCIPAL", "principalId": ""}),
        (K::Anonymous, Some("anonymous"), None, Some(C::None)),
    );
    let google = "accounts.google.com";
    check_caller(
        &json!({"type": "WebIdentityUser", "identityProvider": google, "userName": "7"}),
        (K::User, Some("7"), Some(google), Some(C::OidcToken)),
    );
    check_caller(
        &json!({"type": "SAMLUser", "identityProvider": "x", "userName": "eve"}),
        (K::User, Some("eve"), Some("x"), None),
    );
    check_caller(&json!({"type": "Unknown"}), (K::Unknown, None, None, None));
    check_caller(
        &json!({"type": "IAMUser", "userName": "eve", "accountId": ACCOUNT}),
        (K::AwsUser, Some("eve"), ACCOUNT, None),
    );
    check_caller(&json!("eve"), (K::Unknown, None, None, None));
}

/// Scenario: tags of pods on a session that EKS Pod Identity made, and on one that a caller made.
/// Guarantees: only what the service says is believed.
#[test]
fn pods_are_named_by_their_service_only() {
    let tags = json!([{"key": "kubernetes-pod-name", "value": "app-6d9f7c9c4b-x2x8k"}, {"key": "kubernetes-namespace", "value": "a"}]);
    let row = |user: Value| {
        access(&event(
            &json!({"eventName": "AssumeRole", "eventSource": "sts.amazonaws.com", "userIdentity": user,
            "requestParameters": {"tags": tags}}),
        ))
    };
    let made = row(json!({"type": "AWSService", "invokedBy": "pods.eks.amazonaws.com"}));
    assert_eq!(
        (made.pod.as_deref(), made.namespace.as_deref()),
        (Some("app-6d9f7c9c4b-x2x8k"), Some("a"))
    );
    for user in [
        json!({"type": "AssumedRole", "invokedBy": "pods.eks.amazonaws.com"}),
        json!({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}),
    ] {
        let claimed = row(user);
        assert_eq!((claimed.pod, claimed.namespace), (None, None));
    }
}

/// Scenario: a chain: a token of a `ServiceAccount`, the session that it minted, a second session by
/// the first, a call by the second.
/// Guarantees: what each event minted is what the next one showed.
#[test]
fn sessions_chain_by_their_keys() {
    let minted = |name: &str, shown: Option<&str>, key: &str| {
        let user = shown.map_or(
            json!({"type": "WebIdentityUser", "userName": "system:serviceaccount:a:b"}),
            |key| json!({"type": "AssumedRole", "accessKeyId": key}),
        );
        access(&event(
            &json!({"eventName": name, "eventSource": "sts.amazonaws.com", "userIdentity": user,
            "responseElements": {"credentials": {"accessKeyId": key, "sessionToken": "x", "expiration": "Jul 23, 2026, 11:00:05 AM"}}}),
        ))
    };
    let first = minted("AssumeRoleWithWebIdentity", None, "ASIAIOSFODNN7EXAMPLE");
    let second = minted("AssumeRole", Some("ASIAIOSFODNN7EXAMPLE"), "ASIAIOSFODNN8EXAMPLE");
    assert_eq!(
        (first.namespace.as_deref(), first.service_account.as_deref()),
        (Some("a"), Some("b"))
    );
    assert_eq!(first.issued_credential_id, second.credential_id);
    assert_eq!(second.issued_credential_id, Some("ASIAIOSFODNN8EXAMPLE".into()));
    let kept = second.response_object.unwrap();
    assert!(kept.as_str().contains("Jul 23, 2026") && !kept.as_str().contains("\"x\""));
}

/// Scenario: one action that is told to the caller's account and to the owner's.
/// Guarantees: two rows of one request.
#[test]
fn shared_events_are_one_request() {
    let row = |id: &str, user: Value| {
        access(&event(
            &json!({"eventID": id, "sharedEventID": "s-1", "userIdentity": user, "recipientAccountId": id}),
        ))
    };
    let own = row("1", json!({"type": "IAMUser", "arn": "arn:aws:iam::1:user/eve"}));
    let other = row("2", json!({"type": "AWSAccount", "accountId": "1", "principalId": "AIDAX"}));
    assert_ne!(own.event_id, other.event_id);
    assert_eq!(own.request_key, other.request_key);
    assert_ne!(access(&event(&json!({}))).request_key, own.request_key);
}

/// Scenario: what Athena makes of an event, and events that tell of no request.
/// Guarantees: small letters are read; the rest are rejects.
#[test]
fn spellings_and_other_events() {
    let row = access(
        &json!({"eventname": "GetObject", "eventsource": "s3.amazonaws.com", "useridentity": {"type": "IAMUser", "principalid": "AIDAX"}}),
    );
    assert_eq!(
        (row.verb.as_deref(), row.identity_uid.as_deref()),
        (Some("GetObject"), Some("AIDAX"))
    );
    for item in [
        json!({"eventName": 7, "eventSource": "x"}),
        json!({"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "awsRegion": "x"}),
    ] {
        let reading = with_context(|context| {
            read_all(Format::CloudTrail, item.to_string().as_bytes(), context)
        });
        let reasons: Vec<&str> = reading.rejects.iter().map(|r| r.reason.as_str()).collect();
        assert_eq!(reasons, ["not_a_cloudtrail_event"], "{item}");
    }
}

/// Scenario: a role is assumed with a ServiceAccount's token of a configured issuer, with one of an
/// unknown issuer, by a person of that issuer, and with a token that is refused.
/// Guarantees: only the first is of the issuer's cluster; the id of the event is the same without it.
#[test]
fn known_issuers_tell_the_cluster() {
    let assume = |issuer: &str, user: &str, more: Value| {
        let provider = format!("arn:aws:iam::123456789012:oidc-provider/{issuer}");
        let mut event = event(&json!({"eventSource": "sts.amazonaws.com",
            "eventName": "AssumeRoleWithWebIdentity", "userIdentity": {
                "type": "WebIdentityUser", "identityProvider": provider, "userName": user}}));
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let (known, account) =
        ("oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE", "system:serviceaccount:payments:ledger");
    let told = assume(known, account, json!({}));
    let row = access(&told);
    assert_eq!(row.cluster.as_deref(), Some("shop"));
    let without = with_context(|context| {
        let none = std::collections::BTreeMap::new();
        super::read(told.to_string().as_bytes(), &Context { issuers: &none, ..*context }).unwrap()
    });
    assert_eq!((without.cluster, without.event_id), (None, row.event_id));
    assert_eq!(access(&assume("oidc.example/other", account, json!({}))).cluster, None);
    assert_eq!(access(&assume(known, "alice", json!({}))).cluster, None);
    let refused = assume(known, account, json!({"errorCode": "InvalidIdentityToken"}));
    assert_eq!(access(&refused).cluster, None);
}

/// Scenario: more codes of services, among them ones that refuse, that prove nothing, and that come
/// before anybody decides.
/// Guarantees: each is what its service means by it, whatever stands before and after the word.
#[test]
fn codes_of_many_services() {
    let check = |code: &str, decision: Decision, by: Option<&str>| {
        let row = access(&event(&json!({ "errorCode": code })));
        assert_eq!((row.decision, row.decided_by.as_deref()), (decision, by), "{code}");
        assert_eq!(row.outcome, Outcome::Failure, "{code}");
    };
    for code in [
        "UnauthorizedException",
        "AccessDenied.Explicit",
        "AllAccessDisabled",
        "Client.UnauthorizedAccess",
        "AccessDeniedForDependencyException",
    ] {
        check(code, Decision::Deny, None);
    }
    for code in [
        "AuthorizationHeaderMalformed",
        "RequestTimeTooSkewed",
        "InvalidGrantException",
        "Client.InvalidSecurityToken",
        "ExpiredTokenException",
    ] {
        check(code, Decision::Deny, Some("authentication"));
    }
    for code in [
        "Throttling.RequestLimit",
        "ProvisionedThroughputExceededException",
        "ServiceFailureException",
        "Client.OptInRequired",
        "IDPCommunicationError",
    ] {
        check(code, Decision::Unknown, None);
    }
    check("Client.InvalidPermission.NotFound", Decision::Allow, None);
}

/// Scenario: sign-ins to IAM Identity Center, which are events of a service.
/// Guarantees: one that fails is a refusal of nobody, one that succeeds is allowed.
#[test]
fn sign_ins_are_told_by_services() {
    let row = |name: &str, result: &str| {
        access(&event(
            &json!({"eventName": name, "eventSource": "signin.amazonaws.com", "eventType": "AwsServiceEvent",
            "userIdentity": {"type": "IdentityCenterUser", "onBehalfOf": {"userId": "u", "identityStoreArn": "s"}},
            "serviceEventDetails": {name: result, "CredentialType": "PASSWORD"}}),
        ))
    };
    for name in ["UserAuthentication", "CredentialVerification"] {
        let failed = row(name, "Failure");
        assert_eq!((failed.decision, failed.outcome), (Decision::Deny, Outcome::Failure));
        assert_eq!((failed.identity_kind, failed.identity), (IdentityKind::Unauthenticated, None));
        let worked = row(name, "Success");
        assert_eq!((worked.decision, worked.outcome), (Decision::Allow, Outcome::Success));
        assert_eq!(worked.identity.as_deref(), Some("u"));
    }
}

/// Scenario: a session in the small letters and texts of Athena, and in CloudTrail Lake's time.
/// Guarantees: the same columns as the event itself gives.
#[test]
fn tables_of_events_are_events() {
    let columns = |event: &Value| {
        let row = access(event);
        let secret = row.response_object.as_ref().unwrap().as_str().contains("canary");
        assert!(!secret, "{event}");
        (row.time, row.identity, row.credential_id, row.issued_credential_id, row.object_name)
    };
    let role = "arn:aws:iam::123456789012:role/path/reader";
    let request = json!({"roleArn": "arn:aws:iam::123456789012:role/next"});
    let response =
        json!({"credentials": {"accessKeyId": "ASIAIOSFODNN8EXAMPLE", "sessionToken": "canary"}});
    let expect =
        columns(&event(&json!({"eventSource": "sts.amazonaws.com", "eventName": "AssumeRole",
        "userIdentity": {"type": "AssumedRole", "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
            "arn": "arn:aws:sts::123456789012:assumed-role/reader/s",
            "sessionContext": {"sessionIssuer": {"arn": role}}},
        "requestParameters": request, "responseElements": response})));
    assert_eq!(expect.1.as_deref(), Some(role));
    let table = json!({"eventsource": "sts.amazonaws.com", "eventname": "AssumeRole", "eventtime": "2026-07-23 10:00:00.000",
        "useridentity": {"type": "AssumedRole", "accesskeyid": "ASIAIOSFODNN7EXAMPLE",
            "arn": "arn:aws:sts::123456789012:assumed-role/reader/s",
            "sessioncontext": {"sessionissuer": {"arn": role}}},
        "requestparameters": request.to_string(), "responseelements": response.to_string()});
    assert_eq!(columns(&table), expect);
}

/// Scenario: what Roles Anywhere gives out, and a caller of whom only the account is known.
/// Guarantees: the key is what was given out; an account is nobody's name.
#[test]
fn callers_by_certificate() {
    let row = access(&event(
        &json!({"eventName": "CreateSession", "eventSource": "rolesanywhere.amazonaws.com",
        "userIdentity": {"type": "Unknown", "principalId": "123456789012", "accountId": "123456789012"},
        "responseElements": {"credentialSet": [{"credentials": {"accessKeyId": "ASIAIOSFODNN7EXAMPLE"}}]}}),
    ));
    assert_eq!(row.issued_credential_id, Some("ASIAIOSFODNN7EXAMPLE".into()));
    assert_eq!((row.identity_kind, row.identity), (IdentityKind::Unknown, None));
    assert_eq!(row.identity_realm.as_deref(), ACCOUNT);
}

/// Scenario: an insight, a digest and counts of events, alone, in a file and by EventBridge.
/// Guarantees: each is recognised, and is a row of `logs` with its time.
#[test]
fn what_is_beside_events_is_a_log() {
    let insight = json!({"eventVersion": "1.08", "eventType": "AwsCloudTrailInsight", "eventTime": "2026-07-23T10:00:00Z",
        "insightDetails": {"state": "Start", "eventName": "x"}, "eventCategory": "Insight"});
    let counts = json!({"eventVersion": "1.0", "eventCategory": "Aggregated", "eventType": "AwsAggregatedEvent", "eventSource": "s3.amazonaws.com",
        "timeWindow": {"windowStart": "2026-07-23T09:55:00Z", "windowEnd": "2026-07-23T10:00:00Z", "windowSize": "PT5M"}, "summary": {}});
    let digest = json!({"awsAccountId": "1", "digestStartTime": "2026-07-23T09:00:00Z", "digestEndTime": "2026-07-23T10:00:00Z"});
    for (item, service) in [
        (insight.clone(), "cloudtrail-insight"),
        (json!({"Records": [insight]}), "cloudtrail-insight"),
        (
            json!({"detail-type": "AWS Insight via CloudTrail", "detail": insight}),
            "cloudtrail-insight",
        ),
        (digest, "cloudtrail-digest"),
        (json!({ "Records": [counts] }), "cloudtrail-aggregated"),
        (counts, "cloudtrail-aggregated"),
    ] {
        let text = item.to_string();
        assert_eq!(Format::detect(text.as_bytes()), Some(Format::CloudTrail), "{item}");
        let reading =
            with_context(|context| read_all(Format::CloudTrail, text.as_bytes(), context));
        assert_eq!((reading.logs.len(), reading.items()), (1, 1), "{item}");
        assert_eq!(reading.logs[0].service.as_deref(), Some(service));
        assert_eq!(reading.logs[0].time.to_string(), "2026-07-23T10:00:00.000000Z");
    }
}

/// Scenario: services that write the status of HTTP as the code of an error, also where there is none.
/// Guarantees: success is success; 401 and 403 are refusals; the status is a column.
#[test]
fn codes_may_be_statuses() {
    let check = |code: Value, decision: Decision, success: bool, status: Option<i64>| {
        let row = access(&event(&json!({ "errorCode": code })));
        let found = (row.decision, row.outcome == Outcome::Success, row.status_code);
        assert_eq!(found, (decision, success, status), "{code}");
    };
    check(json!("200"), Decision::Allow, true, Some(200));
    check(json!(204), Decision::Allow, true, Some(204));
    check(json!("401"), Decision::Deny, false, Some(401));
    check(json!("403"), Decision::Deny, false, Some(403));
    check(json!("404"), Decision::Allow, false, Some(404));
    check(json!("500"), Decision::Unknown, false, Some(500));
    check(json!("4711"), Decision::Allow, false, None);
}

/// Scenario: callers that somebody else vouches for, of whom no name is told.
/// Guarantees: nobody is made up; the realm is known as far as it is told.
#[test]
fn nobody_is_made_up() {
    use IdentityKind as K;
    check_caller(
        &json!({"type": "WebIdentityUser", "identityProvider": "i"}),
        (K::Unknown, None, Some("i"), Some(CredentialKind::OidcToken)),
    );
    check_caller(&json!({"type": "SAMLUser"}), (K::Unknown, None, None, None));
    check_caller(&json!({"type": "IdentityCenterUser"}), (K::Unknown, None, None, None));
}

fn check_object(service: &str, verb: &str, more: &Value, sort: &str, name: &str) {
    let source = format!("{service}.amazonaws.com");
    let mut event = event(&json!({"eventSource": source, "eventName": verb}));
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let row = access(&event);
    let found = (row.resource.as_deref(), row.object_name.as_deref());
    assert_eq!(found, (Some(sort), Some(name)), "{service} {verb}");
}

/// Scenario: calls whose object stands deep in their parameters, in an answer, or percent-encoded.
/// Guarantees: what the call acted on is named, and what it is.
#[test]
fn parameters_and_answers_name_the_object() {
    let check = |service: &str, verb: &str, more: Value, sort: &str, name: &str| {
        check_object(service, verb, &more, sort, name);
    };
    let asked = |request: Value| json!({ "requestParameters": request });
    let instances =
        json!({"instancesSet": {"items": [{"instanceId": "i-1"}, {"instanceId": "i-2"}]}});
    check("ec2", "TerminateInstances", asked(instances.clone()), "AWS::EC2::Instance", "i-1");
    let image = json!({"instancesSet": {"items": [{"imageId": "ami-1"}]}, "keyName": "k"});
    let made = json!({"requestParameters": image, "responseElements": instances});
    check("ec2", "RunInstances", made, "AWS::EC2::Instance", "i-1");
    let anchor = json!({"requestParameters": {"name": "a"}, "responseElements": {"trustAnchor": {"trustAnchorArn": "arn:t"}}});
    check("rolesanywhere", "CreateTrustAnchor", anchor, "AWS::RolesAnywhere::TrustAnchor", "arn:t");
    let provider = json!({"requestParameters": {"url": "https://i"}, "responseElements": {"openIDConnectProviderArn": "arn:o"}});
    check("iam", "CreateOpenIDConnectProvider", provider, "AWS::IAM::OIDCProvider", "arn:o");
    let profile = json!({"AssociateIamInstanceProfileRequest": {"InstanceId": "i-1", "IamInstanceProfile": {"Name": "p"}}});
    check("ec2", "AssociateIamInstanceProfile", asked(profile), "AWS::EC2::Instance", "i-1");
    let root = json!({"targetPrincipal": "222222222222", "taskPolicyArn": {"arn": "p"}});
    check("sts", "AssumeRoot", asked(root), "AWS::Organizations::Account", "222222222222");
    let session =
        json!({"roleArn": "arn:aws:iam::1:role/r", "trustAnchorArn": "t", "profileArn": "p"});
    check(
        "rolesanywhere",
        "CreateSession",
        asked(session),
        "AWS::IAM::Role",
        "arn:aws:iam::1:role/r",
    );
    let attached = json!({"userName": "eve", "policyArn": "arn:aws:iam::aws:policy/p"});
    check("iam", "AttachUserPolicy", asked(attached), "AWS::IAM::User", "eve");
    let encoded = json!({"name": "prod", "principalArn": "arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"});
    check(
        "eks",
        "AssociateAccessPolicy",
        asked(encoded),
        "AWS::EKS::AccessEntry",
        "arn:aws:iam::1:role/r",
    );
    check("ssm", "GetParameters", asked(json!({"names": ["/a"]})), "AWS::SSM::Parameter", "/a");
    check("ssm", "GetDocument", asked(json!({"name": "d"})), "AWS::SSM::Document", "d");
    check("ssm", "StartSession", asked(json!({"target": "i-1"})), "AWS::EC2::Instance", "i-1");
    let secrets = json!({"secretIdList": ["db"]});
    check(
        "secretsmanager",
        "BatchGetSecretValue",
        asked(secrets),
        "AWS::SecretsManager::Secret",
        "db",
    );
}

/// Scenario: lists of resources that begin with the bucket, with the source of a copy or with a beginning
/// of names, and one that tells no sort.
/// Guarantees: the most specific thing that is named, and what it is; a beginning of names is none.
#[test]
fn the_most_specific_thing_is_the_object() {
    let check = |service: &str, verb: &str, more: Value, sort: &str, name: &str| {
        check_object(service, verb, &more, sort, name);
    };
    let repository = json!({"requestParameters": {"repositoryName": "r"}, "resources": [{"ARN": "arn:aws:ecr:x:1:repository/r", "accountId": "1"}]});
    check(
        "ecr",
        "BatchGetImage",
        repository,
        "AWS::ECR::Repository",
        "arn:aws:ecr:x:1:repository/r",
    );
    let bucket = json!({"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::b", "accountId": "1"});
    let object = json!({"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::b/k"});
    for resources in [json!([bucket, object]), json!([object, bucket])] {
        check(
            "s3",
            "GetObject",
            json!({ "resources": resources }),
            "AWS::S3::Object",
            "arn:aws:s3:::b/k",
        );
    }
    let source = json!({"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::from/k"});
    let copy = json!({"requestParameters": {"bucketName": "b", "key": "k"}, "resources": [source, bucket, object]});
    check("s3", "CopyObject", copy, "AWS::S3::Object", "arn:aws:s3:::b/k");
    let beginning = json!({"type": "AWS::S3::Object", "ARNPrefix": "arn:aws:s3:::b/"});
    check(
        "s3",
        "ListObjects",
        json!({"resources": [beginning, bucket]}),
        "AWS::S3::Bucket",
        "arn:aws:s3:::b",
    );
    check(
        "s3",
        "ListObjects",
        json!({"resources": [beginning]}),
        "AWS::S3::Object",
        "arn:aws:s3:::b/",
    );
}

/// Scenario: a caller behind a proxy, one with a port, and services.
/// Guarantees: the last address is the caller's, the others are claims; services have none.
#[test]
fn the_last_address_is_the_callers() {
    let check = |told: &str, sender: Option<&str>, others: Option<Vec<String>>| {
        let row = access(&event(&json!({ "sourceIPAddress": told })));
        assert_eq!((row.source_ip.as_deref(), row.forwarded_for), (sender, others), "{told}");
    };
    check("203.0.113.7", Some("203.0.113.7"), None);
    check("2001:db8::7", Some("2001:db8::7"), None);
    check("192.0.2.7, 203.0.113.7", Some("203.0.113.7"), Some(vec!["192.0.2.7".to_owned()]));
    for told in ["AWS Internal", "eks.amazonaws.com", "", "192.0.2.7, eks.amazonaws.com"] {
        check(told, None, None);
    }
}

/// Scenario: a caller of another account who is told by the id of the key that it used.
/// Guarantees: the account is known, and nobody is named by what redaction leaves of a key.
#[test]
fn keys_are_no_names() {
    check_caller(
        &json!({"type": "AWSAccount", "accountId": ACCOUNT, "principalId": "AKIAIOSFODNN7EXAMPLE"}),
        (IdentityKind::Unknown, None, ACCOUNT, None),
    );
}

/// Scenario: messages of refusals that name the policy, that name none, and that hold a key which looks
/// like such a message.
/// Guarantees: the policy that refused decided; what a client can write decides nothing.
#[test]
fn messages_name_the_policy() {
    let check = |message: &str, by: Option<&str>| {
        let row = access(&event(&json!({"errorCode": "AccessDenied", "errorMessage": message})));
        assert_eq!((row.decision, row.decided_by.as_deref()), (Decision::Deny, by), "{message}");
        assert_eq!(row.decision_reason.as_deref(), Some(message));
    };
    let user =
        "User: arn:aws:iam::1:user/eve is not authorized to perform: s3:GetObject on resource:";
    let organization = "arn:aws:organizations::1:policy/o-1/service_control_policy/p-1";
    let boundary = "arn:aws:iam::1:policy/boundary";
    let told = format!(
        "{user} \"arn:aws:s3:::b/k\" with an explicit deny in a service control policy: {organization}"
    );
    check(&told, Some(organization));
    check(
        &format!(
            "{user} r with an explicit deny in a permissions boundary: {boundary}. Encoded authorization failure message: x"
        ),
        Some(boundary),
    );
    check(&format!("{user} r with an explicit deny in a service control policy"), None);
    check(
        &format!("{user} r because no identity-based policy allows the s3:GetObject action"),
        None,
    );
    check(&format!("{told}\" because no identity-based policy allows it"), None);
    check(&format!("{told}\" with an explicit deny in a resource-based policy"), None);
}
