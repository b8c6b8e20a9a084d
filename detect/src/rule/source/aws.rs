//! `product: aws, service: cloudtrail`: the fields of CloudTrail's records.
//!
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>

use durward_schemas::cell::Json;
use durward_schemas::values::Provider;
use rsigma_eval::EventValue;

use super::{Beneath, LogSource, Object};
use crate::rule::event::RowEvent;
use crate::rule::field::{Field, fields, text};

pub(super) const SOURCE: LogSource = LogSource {
    product: "aws",
    service: "cloudtrail",
    covers: |row| row.provider == Provider::Aws,
    fields: FIELDS,
    beneath: &[
        Beneath::new("requestParameters", Object::Request),
        Beneath::new("responseElements", Object::Response),
        Beneath::new("userIdentity.sessionContext", Object::Extra),
    ],
    others: &[
        "additionalEventData",
        "addendum",
        "apiVersion",
        "edgeDeviceDetails",
        "eventCategory",
        "eventContext",
        "eventType",
        "eventVersion",
        "insightDetails",
        "managementEvent",
        "readOnly",
        "resources",
        "serviceEventDetails",
        "sessionCredentialFromConsole",
        "sharedEventID",
        "tlsDetails",
        "userIdentity",
        "vpcEndpointAccountId",
        "vpcEndpointId",
    ],
    // A record has no such field; rules that ask for it mean that nothing went wrong.
    aliases: &[("status", "outcome")],
    misplaced: &[],
};

fields! {
    "eventSource" => "api_group", |event| text(event.row.api_group.as_deref());
    "eventName" => "verb", |event| text(event.row.verb.as_deref());
    "awsRegion" => "region", |event| text(event.row.region.as_deref());
    "sourceIPAddress" => "source_ip",
        |event| text(event.row.source_ip.as_deref()).or_else(|| event.other("sourceIPAddress"));
    "userAgent" => "user_agent", |event| text(event.row.user_agent.as_deref());
    "errorCode" => "status_reason", |event| text(event.row.status_reason.as_deref());
    "errorMessage" => "decision_reason",
        |event| text(event.row.decision_reason.as_deref()).or_else(|| event.other("errorMessage"));
    "requestParameters" => "request_object",
        |event| text(event.row.request_object.as_ref().map(Json::as_str));
    "responseElements" => "response_object",
        |event| text(event.row.response_object.as_ref().map(Json::as_str));
    "requestID" => "request_id", |event| text(event.row.request_id.as_deref());
    "eventID" => "source_event_id", |event| text(event.row.source_event_id.as_deref());
    "recipientAccountId" => "account", |event| text(event.row.account.as_deref());
    // Of a session the ARN stays beside its role's, which is the identity.
    "userIdentity.arn" => "identity",
        |event| event.other("userIdentity.arn").or_else(|| text(event.row.identity.as_deref()));
    "userIdentity.principalId" => "identity_uid",
        |event| text(event.row.identity_uid.as_deref());
    "userIdentity.accountId" => "identity_realm",
        |event| event.other("userIdentity.accountId")
            .or_else(|| text(event.row.identity_realm.as_deref()));
    "userIdentity.accessKeyId" => "credential_id",
        |event| text(event.row.credential_id.as_ref().map(durward_schemas::ids::CredentialId::as_str));
    // Accounts that the trust policy which is written names, but for the role's own.
    "trust.otherAccounts" => "request_object", |event| other_accounts(event);
    // Whether it ended well, `success` or `failure`.
    "outcome" => "outcome",
        |event| Some(EventValue::Str(event.row.outcome.as_str().into()));
}

/// The accounts in ARNs of the document, `arn:aws:iam::111122223333:root`.
fn other_accounts<'e>(event: &'e RowEvent<'_>) -> Option<EventValue<'e>> {
    let documents = ["policyDocument", "assumeRolePolicyDocument"];
    let own = event.row.account.as_deref();
    let mut accounts = Vec::new();
    for document in documents.into_iter().filter_map(|name| event.request(name)) {
        let document = document.as_str()?.into_owned();
        let named = document.split("arn:aws").skip(1).filter_map(|arn| arn.split(':').nth(3));
        let others = named
            .filter(|account| account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()));
        accounts.extend(others.filter(|account| Some(*account) != own).map(str::to_owned));
    }
    let accounts: Vec<_> =
        accounts.into_iter().map(|account| EventValue::Str(account.into())).collect();
    (!accounts.is_empty()).then_some(EventValue::Array(accounts))
}
