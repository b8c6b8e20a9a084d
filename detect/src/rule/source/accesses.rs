//! `product: durward, service: accesses`: any row of any source, by the columns of the table.

use durward_schemas::cell::Json;
use durward_schemas::ids::CredentialId;
use rsigma_eval::EventValue;

use super::{Beneath, LogSource, Object};
use crate::rule::field::{Field, fields, list, text};

pub(super) const SOURCE: LogSource = LogSource {
    product: "durward",
    service: "accesses",
    covers: |_| true,
    fields: FIELDS,
    beneath: &[
        Beneath::new("request_object", Object::Request),
        Beneath::new("response_object", Object::Response),
        Beneath::new("annotations", Object::Annotations),
        Beneath::new("extra", Object::Extra),
        Beneath::new("unmapped", Object::Unmapped),
    ],
    others: &[],
    aliases: &[],
    misplaced: &[],
};

fields! {
    "provider" => "provider", |event| Some(known(event.row.provider.as_str()));
    "format" => "format", |event| text(Some(&event.row.format));
    "source" => "source", |event| text(Some(&event.row.source));
    "cluster" => "cluster", |event| text(event.row.cluster.as_deref());
    "account" => "account", |event| text(event.row.account.as_deref());
    "region" => "region", |event| text(event.row.region.as_deref());
    "identity" => "identity", |event| text(event.row.identity.as_deref());
    "identity_kind" => "identity_kind", |event| Some(known(event.row.identity_kind.as_str()));
    "identity_realm" => "identity_realm", |event| text(event.row.identity_realm.as_deref());
    "groups" => "groups", |event| list(event.row.groups.as_deref());
    "namespace" => "namespace", |event| text(event.row.namespace.as_deref());
    "service_account" => "service_account", |event| text(event.row.service_account.as_deref());
    "workload" => "workload", |event| text(event.row.workload.as_deref());
    "peer_identity" => "peer_identity", |event| text(event.row.peer_identity.as_deref());
    "credential_id" => "credential_id",
        |event| text(event.row.credential_id.as_ref().map(CredentialId::as_str));
    "credential_kind" => "credential_kind",
        |event| event.row.credential_kind.map(|kind| known(kind.as_str()));
    "issued_credential_id" => "issued_credential_id",
        |event| text(event.row.issued_credential_id.as_ref().map(CredentialId::as_str));
    "minted_by" => "minted_by", |event| text(event.row.minted_by.as_deref());
    "verb" => "verb", |event| text(event.row.verb.as_deref());
    "api_group" => "api_group", |event| text(event.row.api_group.as_deref());
    "resource" => "resource", |event| text(event.row.resource.as_deref());
    "subresource" => "subresource", |event| text(event.row.subresource.as_deref());
    "object_namespace" => "object_namespace", |event| text(event.row.object_namespace.as_deref());
    "object_name" => "object_name", |event| text(event.row.object_name.as_deref());
    "request_uri" => "request_uri", |event| text(event.row.request_uri.as_deref());
    "decision" => "decision", |event| Some(known(event.row.decision.as_str()));
    "decision_reason" => "decision_reason", |event| text(event.row.decision_reason.as_deref());
    "decided_by" => "decided_by", |event| text(event.row.decided_by.as_deref());
    "decided_role" => "decided_role", |event| text(event.row.decided_role.as_deref());
    "outcome" => "outcome", |event| Some(known(event.row.outcome.as_str()));
    "status_code" => "status_code", |event| event.row.status_code.map(EventValue::Int);
    "status_reason" => "status_reason", |event| text(event.row.status_reason.as_deref());
    "source_ip" => "source_ip", |event| text(event.row.source_ip.as_deref());
    "user_agent" => "user_agent", |event| text(event.row.user_agent.as_deref());
    "sender" => "sender", |event| text(event.row.sender.as_deref());
    "claimed_cluster" => "claimed_cluster", |event| text(event.row.claimed_cluster.as_deref());
    // Whether its sender, whom the door verified, named another cluster than the one it is of.
    "claimed_cluster_differs" => "claimed_cluster", |event| {
        let row = event.row;
        let is_verified = row.sender.is_some() && row.claimed_cluster.is_some();
        Some(EventValue::Bool(is_verified && row.claimed_cluster != row.cluster))
    };
    "dry_run" => "dry_run", |event| event.row.dry_run.map(EventValue::Bool);
    "truncated" => "truncated", |event| Some(EventValue::Bool(event.row.truncated));
    "request_object" => "request_object",
        |event| text(event.row.request_object.as_ref().map(Json::as_str));
    "response_object" => "response_object",
        |event| text(event.row.response_object.as_ref().map(Json::as_str));
}

/// One of the known values of a column.
fn known(value: &'static str) -> EventValue<'static> {
    EventValue::Str(value.into())
}
