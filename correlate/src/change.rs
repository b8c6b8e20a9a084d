//! A successful write -> the configuration changes that it made.
//!
//! Failed and dry-run requests change nothing, and the life of pods is no change.

mod after;
mod cloud;
mod controller;
mod directory;
mod resources;
mod subjects;

pub(crate) use self::resources::{is_kept, kind_of};
use durward_schemas::cell::Json;
use durward_schemas::ids::ChangeId;
use durward_schemas::tables::{Access, Change};
use durward_schemas::time::SECOND;
use durward_schemas::values::{ChangeAction, ChangeKind, Outcome, Provider};
use durward_schemas::{Identity, Time};
use serde_json::{Map, Value};

use crate::rbac::SubjectKey;
use crate::state::aggregation::aggregates;
use crate::state::objects::{Content, ObjectKey, Objects, Version};
use crate::summary::{self, Deed};

/// One change and the version of the object that it made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Made {
    pub change: Change,
    /// `None` where the object has no known name.
    pub object: Option<(ObjectKey, Version)>,
}

/// When a write took effect: at its answer, so that no request follows from itself.
pub(crate) fn effective(access: &Access) -> Time {
    access.time.plus(access.duration_us.unwrap_or_default().max(1))
}

/// The changes that `access` made over `objects` as they were.
pub(crate) fn changes(objects: &Objects, access: &Access) -> Vec<Made> {
    if access.provider != Provider::Kubernetes {
        return cloud::change(access)
            .map(|change| Made { change, object: None })
            .into_iter()
            .collect();
    }
    let Some((kind, change_kind, action)) = write_of(access) else { return Vec::new() };
    let made = touched(objects, access, kind, change_kind).into_iter();
    made.filter_map(|(name, after)| {
        let key = name.map(|name| key_of(access, kind, name));
        let content = match action {
            ChangeAction::Delete if access.may_be_done() => Content::Unseen,
            ChangeAction::Delete => Content::Gone,
            ChangeAction::Create | ChangeAction::Update => after,
        };
        one_change(objects, access, key, content, change_kind, action)
    })
    .collect()
}

/// The object of this name that a request was about.
fn key_of(access: &Access, kind: &str, name: String) -> ObjectKey {
    ObjectKey {
        cluster: access.cluster.clone(),
        kind: kind.into(),
        namespace: access.object_namespace.clone().filter(|_| kind != "Namespace"),
        name,
    }
}

/// Object kind, change kind and action of a write that succeeded.
fn write_of(access: &Access) -> Option<(&'static str, ChangeKind, ChangeAction)> {
    let failed =
        access.outcome == Outcome::Failure || access.status_code.is_some_and(|code| code >= 300);
    if (failed && !access.may_be_done()) || access.dry_run == Some(true) {
        return None;
    }
    // Apply and update create what is not there.
    let action = match access.verb.as_deref()? {
        "create" => ChangeAction::Create,
        "update" | "patch" if is_creation(access) => ChangeAction::Create,
        "update" | "patch" => ChangeAction::Update,
        "delete" | "deletecollection" => ChangeAction::Delete,
        _ => return None,
    };
    let (kind, change_kind) =
        kind_of(access.api_group.as_deref().unwrap_or(""), access.resource.as_deref()?)?;
    match access.subresource.as_deref() {
        None => Some((kind, change_kind, action)),
        Some("approval") => Some((kind, change_kind, ChangeAction::Update)),
        Some(_) => None,
    }
}

/// Whether an update or a patch made the object, as the answer says: by 201 or, where a source sends no status
/// as GKE does, by an object that is no older than the request.
pub(crate) fn is_creation(access: &Access) -> bool {
    let made = || {
        let answer = access.response_object.as_ref().and_then(parse)?;
        let made = Time::parse(answer.pointer("/metadata/creationTimestamp")?.as_str()?)?;
        // That time has whole seconds.
        Some(made.0 >= access.time.0 - access.time.0.rem_euclid(SECOND))
    };
    match access.status_code {
        Some(code) => code == 201,
        None => made() == Some(true),
    }
}

/// Names of the objects that the write touched, each with what it is afterwards.
fn touched(
    objects: &Objects,
    access: &Access,
    kind: &str,
    change_kind: ChangeKind,
) -> Vec<(Option<String>, Content)> {
    if access.verb.as_deref() == Some("deletecollection") {
        let names = collection(objects, access, kind).into_iter();
        return names.map(|name| (name, Content::Gone)).collect();
    }
    let body = || access.response_object.as_ref().or(access.request_object.as_ref());
    let name = access.object_name.clone().or_else(|| name_in(body()));
    let key = name.clone().map(|name| key_of(access, kind, name));
    let before = key.and_then(|key| objects.before(&key, access.time));
    let after = match change_kind {
        // The content of a Secret is never kept, not even redacted.
        ChangeKind::SecretReference => Content::Unseen,
        _ => after::after(access, before.map(|version| &version.content)),
    };
    vec![(name, after)]
}

/// What a `deletecollection` deleted: what its answer lists, else everything if nothing was selected.
fn collection(objects: &Objects, access: &Access, kind: &str) -> Vec<Option<String>> {
    let answer = access.response_object.as_ref().and_then(parse);
    let items = answer.as_ref().and_then(|answer| answer.get("items")?.as_array().cloned());
    if let Some(items) = items {
        let names = items.iter().filter_map(|item| item.pointer("/metadata/name")?.as_str());
        return names.map(|name| Some(name.to_owned())).collect();
    }
    let uri = access.request_uri.as_deref().unwrap_or_default();
    if uri.contains("Selector=") {
        return vec![None];
    }
    let here = |key: &&ObjectKey| key.namespace == access.object_namespace;
    let existing = objects.existing(access.cluster.as_deref(), kind, access.time);
    existing.map(|(key, _)| key).filter(here).map(|key| Some(key.name.clone())).collect()
}

fn one_change(
    objects: &Objects,
    access: &Access,
    key: Option<ObjectKey>,
    content: Content,
    kind: ChangeKind,
    action: ChangeAction,
) -> Option<Made> {
    let from = effective(access);
    let before = key.as_ref().and_then(|key| objects.before(key, from));
    let is_selected_anew = || {
        let selects = |content| key.as_ref().map(|key| aggregates(objects, key, content, from));
        kind == ChangeKind::ClusterRole
            && before.is_some_and(|before| selects(&before.content) != selects(&content))
    };
    let old = before.map(|version| &version.content);
    if !is_change(access, kind, action, old, &content) && !is_selected_anew() {
        return None;
    }
    let path = key.as_ref().map_or_else(|| "?".to_owned(), ObjectKey::path);
    let change_id = ChangeId::of(access.cluster.as_deref(), access.event_id.as_str(), &path);
    let actor = told_actor(access);
    let resource = access.resource.as_deref().unwrap_or_default();
    let deed = Deed { actor: &actor, resource, kind, action };
    // The server makes up the name for a `generateName`, and says it in its answer only.
    let shown = key.clone().or_else(|| key_of_generated(access, &content));
    let told = summary::of(objects, deed, shown.as_ref(), &content, from);
    let text = |content: &Content| content.known().map(|seen| seen.json.clone());
    let change = Change {
        change_id: change_id.clone(),
        kind,
        action,
        namespace: access.object_namespace.clone(),
        name: key.as_ref().map(|key| key.name.clone()),
        before: before.and_then(|version| text(&version.content)),
        after: text(&content),
        summary: told.summary,
        grants_added: some(told.grants_added),
        grants_removed: some(told.grants_removed),
        subjects: some(told.subjects.iter().map(SubjectKey::sentence).collect()),
        flap_of: key.as_ref().and_then(|key| flap_of(objects, key, from, &content)),
        ..made_by(access)
    };
    // What may have been made is told, and proves nothing.
    let content = if access.may_be_done() { Content::Unseen } else { content };
    let version = Version { from, position: access.log_position, content, change: Some(change_id) };
    Some(Made { change, object: key.map(|key| (key, version)) })
}

/// Who did it, as sentences begin.
fn told_actor(access: &Access) -> String {
    let actor = access.who().short();
    let other = access.impersonated_identity.as_deref();
    let other = other.map(|name| Identity::kubernetes(None, name).short());
    let acting = other.map_or_else(|| actor.clone(), |other| format!("{actor} as {other}"));
    if access.may_be_done() { format!("{acting} may have") } else { acting }
}

/// The object that a request with a `generateName` made: its name up to what the server added.
fn key_of_generated(access: &Access, content: &Content) -> Option<ObjectKey> {
    let (kind, _) =
        kind_of(access.api_group.as_deref().unwrap_or(""), access.resource.as_deref()?)?;
    let begins = content.known()?.body.metadata.generate_name.as_deref()?;
    Some(key_of(access, kind, format!("{begins}*")))
}

/// What every access tells of a change that it made: when, who, with what, to which sort of thing.
fn made_by(access: &Access) -> Change {
    Change {
        time: access.time,
        log_position: access.log_position,
        cluster: access.cluster.clone(),
        provider: access.provider,
        api_group: access.api_group.clone(),
        resource: access.resource.clone().unwrap_or_default(),
        actor: access.identity.clone().unwrap_or_default(),
        actor_kind: access.identity_kind,
        actor_credential_id: access.credential_id.clone(),
        event_id: Some(access.event_id.clone()),
        source: access.source.clone(),
        ingest_time: access.ingest_time,
        ..Change::default()
    }
}

/// The sentence of a change again, after an earlier version of its object was seen.
pub(crate) fn told_again(
    objects: &Objects,
    change: &Change,
    key: &ObjectKey,
    version: &Version,
) -> String {
    // Who it was is said as it was said before: as whom he acted stands in no column.
    let dones = ["created", "changed", "deleted", "approved", "denied"];
    let told = dones.iter().filter_map(|done| change.summary.split_once(&format!(" {done} ")));
    let actor = told.map(|(actor, _)| actor).min_by_key(|actor| actor.len()).unwrap_or_default();
    let deed = Deed { actor, resource: &change.resource, kind: change.kind, action: change.action };
    summary::of(objects, deed, Some(key), &version.content, version.from).summary
}

/// Whether the write altered anything that matters.
fn is_change(
    access: &Access,
    kind: ChangeKind,
    action: ChangeAction,
    before: Option<&Content>,
    after: &Content,
) -> bool {
    if action != ChangeAction::Update {
        return kind != ChangeKind::Workload || !controller::demanded(access, action, after);
    }
    match (before.and_then(Content::seen), after.seen()) {
        (Some(before), Some(after)) => essence(kind, &before.json) != essence(kind, &after.json),
        _ => touches(kind, access) && !controller::keeps(access, kind),
    }
}

/// The part of an object that decides; the rest is bookkeeping.
fn essence(kind: ChangeKind, json: &Json) -> Value {
    let value = parse(json).unwrap_or_default();
    let part = |pointer: &&str| value.pointer(pointer).cloned().unwrap_or_default();
    essential(kind).iter().map(part).collect()
}

/// Where the parts of an object that decide stand.
pub(crate) fn essential(kind: ChangeKind) -> &'static [&'static str] {
    match kind {
        ChangeKind::Role => &["/rules"],
        ChangeKind::ClusterRole => &["/rules", "/aggregationRule"],
        ChangeKind::RoleBinding | ChangeKind::ClusterRoleBinding => &["/subjects", "/roleRef"],
        ChangeKind::Workload => &["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"],
        ChangeKind::Namespace | ChangeKind::Node => &["/metadata/labels", "/spec"],
        ChangeKind::ServiceAccount => &[
            "/metadata/annotations",
            "/automountServiceAccountToken",
            "/secrets",
            "/imagePullSecrets",
        ],
        ChangeKind::AdmissionWebhook => &["/webhooks"],
        ChangeKind::CertificateApproval => &["/status/conditions"],
        _ => &["/spec"],
    }
}

/// The fields at the top of the objects whose writes are changes.
const FIELDS: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    "status",
    "data",
    "stringData",
    "type",
    "immutable",
    "rules",
    "aggregationRule",
    "subjects",
    "roleRef",
    "secrets",
    "imagePullSecrets",
    "automountServiceAccountToken",
    "webhooks",
];

/// Whether an object is a patch of one whose writes are changes. Of what is none, such as the bytes of a patch, nothing
/// is known.
fn is_patch(fields: &Map<String, Value>) -> bool {
    fields.keys().all(|name| name.starts_with('$') || FIELDS.contains(&name.as_str()))
}

/// Whether a write of which only the request is known may have altered a part that decides.
fn touches(kind: ChangeKind, access: &Access) -> bool {
    let parts = essential(kind);
    match access.request_object.as_ref().and_then(parse) {
        Some(Value::Array(steps)) => steps.iter().any(|step| {
            let path = step["path"].as_str().unwrap_or_default();
            parts.iter().any(|part| path.starts_with(part) || part.starts_with(path))
        }),
        Some(Value::Object(patch)) if access.verb.as_deref() == Some("patch") => {
            let is_patch = is_patch(&patch);
            let patch = Value::Object(patch);
            !is_patch || parts.iter().any(|part| patch.pointer(part).is_some())
        }
        // The whole was sent, or the body was not logged: it may have.
        _ => true,
    }
}

/// The change that this one undoes: the object is again what it was before that.
fn flap_of(objects: &Objects, key: &ObjectKey, from: Time, content: &Content) -> Option<String> {
    let history = objects.history(key);
    let upto = history.partition_point(|version| version.from < from);
    let [.., older, last] = history.get(..upto)? else { return None };
    let same = match (&older.content, content) {
        (Content::Gone, Content::Gone) => true,
        (older, now) => older.seen().is_some() && now.seen().is_some() && bodies_equal(older, now),
    };
    same.then(|| last.change.as_ref().map(|change| change.as_str().to_owned())).flatten()
}

fn bodies_equal(left: &Content, right: &Content) -> bool {
    let parts = |content: &Content| {
        let body = content.seen()?.body.clone();
        Some((body.rules, body.subjects, body.role_ref))
    };
    parts(left) == parts(right)
}

fn name_in(json: Option<&Json>) -> Option<String> {
    parse(json?)?.pointer("/metadata/name")?.as_str().map(str::to_owned)
}

fn parse(json: &Json) -> Option<Value> {
    serde_json::from_str(json.as_str()).ok()
}

fn some(list: Vec<String>) -> Option<Vec<String>> {
    (!list.is_empty()).then_some(list)
}
