//! What a call to AWS was about: `resources`, else the parameters and the answer that name it.

use durward_schemas::ids::CredentialId;
use durward_schemas::tables::Access;
use serde_json::Value;

use super::super::cloud::stored;
use super::super::fields::Fields;

/// Parameters that name what a call is about, where `resources` does not, with its service and sort;
/// the first that is there counts, so what a call acts on stands before what it acts with.
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html>
const TARGETS: &[(&str, &str, &str)] = &[
    ("sts", "/roleArn", "AWS::IAM::Role"),
    // A member account, or its root user: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoot.html>
    ("sts", "/targetPrincipal", "AWS::Organizations::Account"),
    ("rolesanywhere", "/roleArn", "AWS::IAM::Role"),
    ("rolesanywhere", "/profileId", "AWS::RolesAnywhere::Profile"),
    ("rolesanywhere", "/trustAnchorId", "AWS::RolesAnywhere::TrustAnchor"),
    ("iam", "/roleName", "AWS::IAM::Role"),
    ("iam", "/userName", "AWS::IAM::User"),
    ("iam", "/groupName", "AWS::IAM::Group"),
    ("iam", "/policyArn", "AWS::IAM::Policy"),
    ("iam", "/policyName", "AWS::IAM::Policy"),
    ("iam", "/instanceProfileName", "AWS::IAM::InstanceProfile"),
    ("iam", "/openIDConnectProviderArn", "AWS::IAM::OIDCProvider"),
    ("iam", "/sAMLProviderArn", "AWS::IAM::SAMLProvider"),
    ("eks", "/principalArn", "AWS::EKS::AccessEntry"),
    ("eks", "/associationId", "AWS::EKS::PodIdentityAssociation"),
    ("eks", "/clusterName", "AWS::EKS::Cluster"),
    ("eks", "/name", "AWS::EKS::Cluster"),
    ("eks-auth", "/clusterName", "AWS::EKS::Cluster"),
    ("s3", "/bucketName", "AWS::S3::Bucket"),
    ("kms", "/keyId", "AWS::KMS::Key"),
    ("secretsmanager", "/secretId", "AWS::SecretsManager::Secret"),
    ("secretsmanager", "/secretIdList/0", "AWS::SecretsManager::Secret"),
    ("secretsmanager", "/name", "AWS::SecretsManager::Secret"),
    ("ssm", "/name", "AWS::SSM::Parameter"),
    ("ssm", "/names/0", "AWS::SSM::Parameter"),
    ("ssm", "/target", "AWS::EC2::Instance"),
    ("ssm", "/instanceIds/0", "AWS::EC2::Instance"),
    ("lambda", "/functionName", "AWS::Lambda::Function"),
    ("ecr", "/repositoryName", "AWS::ECR::Repository"),
    ("cloudtrail", "/trailName", "AWS::CloudTrail::Trail"),
    ("cloudtrail", "/name", "AWS::CloudTrail::Trail"),
    ("dynamodb", "/tableName", "AWS::DynamoDB::Table"),
    ("ec2", "/instanceId", "AWS::EC2::Instance"),
    ("ec2", "/instancesSet/items/0/instanceId", "AWS::EC2::Instance"),
    ("ec2", "/AssociateIamInstanceProfileRequest/InstanceId", "AWS::EC2::Instance"),
    ("ec2", "/groupId", "AWS::EC2::SecurityGroup"),
    ("ec2", "/snapshotId", "AWS::EC2::Snapshot"),
    ("ec2", "/volumeId", "AWS::EC2::Volume"),
    ("ec2", "/networkInterfaceId", "AWS::EC2::NetworkInterface"),
    ("ec2", "/imageId", "AWS::EC2::Image"),
];

/// Where an answer names what was made, which no parameter can.
const MADE: &[(&str, &str, &str)] = &[
    ("ec2", "/instancesSet/items/0/instanceId", "AWS::EC2::Instance"),
    ("ec2", "/groupId", "AWS::EC2::SecurityGroup"),
    ("iam", "/openIDConnectProviderArn", "AWS::IAM::OIDCProvider"),
    ("iam", "/sAMLProviderArn", "AWS::IAM::SAMLProvider"),
    ("rolesanywhere", "/trustAnchor/trustAnchorArn", "AWS::RolesAnywhere::TrustAnchor"),
    ("rolesanywhere", "/profile/profileArn", "AWS::RolesAnywhere::Profile"),
];

/// Where the key of a credential stands in the answer that gives it out: STS and EKS, IAM, Roles Anywhere.
const ISSUED: &[&str] = &[
    "/credentials/accessKeyId",
    "/accessKey/accessKeyId",
    "/credentialSet/0/credentials/accessKeyId",
];

/// What the call was about, what was sent and answered, and the credential that it minted.
pub(super) fn what(access: &mut Access, fields: &mut Fields) {
    let request = fields.take("requestParameters");
    let response = fields.take("responseElements");
    let told = fields
        .get("resources")
        .and_then(Value::as_array)
        .and_then(|list| resource(list, request.as_ref()));
    let service = access.api_group.as_deref();
    let named = target(TARGETS, service, request.as_ref());
    let named = named.or_else(|| target(MADE, service, response.as_ref()));
    let sort = named.as_ref().map(|(_, sort)| sort_of(access.verb.as_deref(), sort));
    let (arn, kind) = told.unwrap_or_default();
    access.object_name = arn.or_else(|| named.map(|(name, _)| name));
    access.resource = kind.or_else(|| sort.map(str::to_owned));
    let pointer = |path: &str| response.as_ref().and_then(|body| body.pointer(path)?.as_str());
    let issued = ISSUED.iter().find_map(|path| pointer(path));
    access.issued_credential_id = issued.map(CredentialId::from);
    if access.namespace.is_none() {
        access.namespace = pointer("/subject/namespace").map(str::to_owned);
        access.service_account = pointer("/subject/serviceAccount").map(str::to_owned);
    }
    let more = fields.get("additionalEventData");
    let bodies = [request.as_ref(), response.as_ref(), more];
    access.truncated = bodies.into_iter().flatten().any(|body| body["omitted"] == true);
    access.request_object = request.as_ref().map(stored);
    access.response_object = response.as_ref().map(stored);
}

/// The ARN and the sort of a resource, as far as they are told.
type Told = (Option<String>, Option<String>);

/// The object of S3 that the parameters name, since a copy has two; else the first resource, or where
/// another one stands inside it, such as an object in its bucket, that one. A list in S3 tells a beginning
/// of names, which is no name, and beside it the bucket, which is.
fn resource(list: &[Value], request: Option<&Value>) -> Option<Told> {
    let text = |resource: &Value, key: &str| resource.get(key)?.as_str().map(str::to_owned);
    let arn = |resource: &Value| text(resource, "ARN").or_else(|| text(resource, "arn"));
    let named = || list.iter().filter_map(|resource| Some((resource, arn(resource)?)));
    let Some((mut chosen, mut name)) = named().next() else {
        let first = list.first()?;
        return Some((text(first, "ARNPrefix"), text(first, "type")));
    };
    let parameter = |key: &str| request.and_then(|request| text(request, key));
    let object = parameter("bucketName").zip(parameter("key"));
    let object = object.map(|(bucket, key)| format!(":s3:::{bucket}/{key}"));
    for (resource, arn) in named() {
        let is_inside = arn.strip_prefix(&name).is_some_and(|inside| inside.starts_with('/'));
        let is_named = object.as_ref().is_some_and(|object| arn.ends_with(object));
        if is_inside || is_named {
            (chosen, name) = (resource, arn);
        }
    }
    Some((Some(name), text(chosen, "type")))
}

/// The value that names what the call is about, and its sort.
fn target(
    table: &[(&str, &str, &'static str)],
    service: Option<&str>,
    body: Option<&Value>,
) -> Option<(String, &'static str)> {
    let service = service?.strip_suffix(".amazonaws.com")?;
    let body = body?;
    table.iter().filter(|(of, ..)| *of == service).find_map(|(_, path, sort)| {
        let name = body.pointer(path)?.as_str().filter(|name| !name.is_empty())?;
        Some((plain(name), *sort))
    })
}

/// Systems Manager names documents as it names parameters; the operation tells which.
fn sort_of<'a>(verb: Option<&str>, sort: &'a str) -> &'a str {
    let is_of_document = verb.is_some_and(|verb| verb.contains("Document"));
    if is_of_document && sort == "AWS::SSM::Parameter" { "AWS::SSM::Document" } else { sort }
}

/// An ARN that stood in the path of a request may be told as it stood there, percent-encoded.
fn plain(name: &str) -> String {
    if !name.starts_with("arn%3A") {
        return name.to_owned();
    }
    ["%3A", "%2F"]
        .iter()
        .zip([":", "/"])
        .fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}
