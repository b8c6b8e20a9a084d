//! A row as Sigma sees it: columns first, JSON parsed only when a rule asks for what is in it.

use std::borrow::Cow;
use std::cell::OnceCell;

use durward_schemas::cell::Json;
use durward_schemas::tables::{Access, Change};
use rsigma_eval::{Event, EventValue, JsonEvent};
use serde_json::Value;

use crate::detector::Seen;
use crate::rule::certificate;
use crate::rule::patch;
use crate::rule::pod_spec::PodSpec;
use crate::rule::source::{LogSource, Object};
use crate::rule::webhook;

/// One row, and what was parsed of it so far.
pub(crate) struct RowEvent<'a> {
    pub row: &'a Access,
    pub change: Option<&'a Change>,
    unchanged: bool,
    objects: [OnceCell<JsonEvent<'static>>; 6],
    pod_spec: OnceCell<PodSpec>,
    subjects: OnceCell<Vec<String>>,
}

impl<'a> RowEvent<'a> {
    /// Nothing is parsed yet.
    pub(crate) fn of(seen: Seen<'a>) -> Self {
        Self {
            row: seen.row,
            change: seen.change,
            unchanged: seen.unchanged,
            objects: Default::default(),
            pod_spec: OnceCell::new(),
            subjects: OnceCell::new(),
        }
    }

    /// What the pod or template in the body opens to the node, less what it opened before.
    pub(crate) fn pod_spec(&self) -> &PodSpec {
        self.pod_spec.get_or_init(|| {
            if self.row.subresource.as_deref() == Some("ephemeralcontainers") {
                let sent = patch::said(parse(self.row.request_object.as_ref()));
                let answer = parse(self.row.response_object.as_ref());
                return PodSpec::of_debug_container(&sent, &answer);
            }
            let (before, after) =
                self.change.map_or((None, None), |c| (c.before.as_ref(), c.after.as_ref()));
            // A patch says only a part; the whole is known where the object was.
            let is_patch = self.row.verb.as_deref() == Some("patch");
            let sent = self.row.request_object.as_ref().or(self.row.response_object.as_ref());
            let body = after.filter(|_| is_patch).or(sent);
            PodSpec::of(&patch::said(parse(body))).added_to(&PodSpec::of(&parse(before)))
        })
    }

    /// Whether nothing but certificates of admission webhooks was changed.
    pub(crate) fn renews_webhooks(&self) -> bool {
        webhook::is_renewal(self.row, self.change, self.unchanged)
    }

    /// Whom a certificate is asked for. An approval shows the request in its answer.
    pub(crate) fn certificate_subjects(&self) -> &Vec<String> {
        self.subjects.get_or_init(|| {
            let bodies = [self.row.request_object.as_ref(), self.row.response_object.as_ref()];
            let mut all = bodies.into_iter().map(|body| certificate::subjects(&parse(body)));
            all.find(|subjects| !subjects.is_empty()).unwrap_or_default()
        })
    }

    /// What stands at `path` among what no column took.
    pub(crate) fn other(&self, path: &str) -> Option<EventValue<'_>> {
        self.object(Object::Unmapped).get_field(path)
    }

    /// The object as it is after the write: as the change made it, else the answer, else what was sent.
    fn after(&self) -> Value {
        let made = parse(self.change.and_then(|change| change.after.as_ref()));
        if made.is_object() {
            return made;
        }
        let answer = parse(self.row.response_object.as_ref());
        if answer.is_object() && answer["kind"] != "Status" {
            return answer;
        }
        patch::said(parse(self.row.request_object.as_ref()))
    }

    /// The subjects of a binding that are not among those before, as far as those are known.
    pub(crate) fn subjects_added(&self) -> Vec<String> {
        let subjects = |json: &Option<Json>| -> Vec<String> {
            let body =
                json.as_ref().and_then(|json| serde_json::from_str::<Value>(json.as_str()).ok());
            let all = body.as_ref().and_then(|body| body.get("subjects")?.as_array());
            let named = |subject: &Value| {
                let parts = ["kind", "namespace", "name"].map(|key| subject.get(key)?.as_str());
                parts.into_iter().flatten().collect::<Vec<_>>().join("/")
            };
            all.into_iter().flatten().map(named).collect()
        };
        let Some(change) = self.change else { return Vec::new() };
        let before = subjects(&change.before);
        let mut added = subjects(&change.after);
        added.retain(|subject| !before.contains(subject));
        added
    }

    /// What was done to the object, whichever verb did it.
    pub(crate) fn action(&self) -> Option<&'static str> {
        if let Some(change) = self.change {
            return Some(change.action.as_str());
        }
        match self.row.verb.as_deref()? {
            "create" => Some("create"),
            "update" | "patch" if self.row.status_code == Some(201) => Some("create"),
            "update" | "patch" => Some("update"),
            "delete" | "deletecollection" => Some("delete"),
            _ => None,
        }
    }

    /// What stands at `path` in the body of the request.
    pub(crate) fn request(&self, path: &str) -> Option<EventValue<'_>> {
        self.object(Object::Request).get_field(path)
    }

    fn object(&self, object: Object) -> &JsonEvent<'static> {
        let row = self.row;
        let (cell, json) = match object {
            Object::Request => (&self.objects[0], &row.request_object),
            Object::Response => (&self.objects[1], &row.response_object),
            Object::Annotations => (&self.objects[2], &row.annotations),
            Object::Extra => (&self.objects[3], &row.extra),
            Object::Unmapped => (&self.objects[4], &row.unmapped),
            Object::After => return self.objects[5].get_or_init(|| JsonEvent::owned(self.after())),
        };
        cell.get_or_init(|| JsonEvent::owned(parse(json.as_ref())))
    }

    /// The row in the words of one log.
    pub(crate) fn in_words_of(&self, source: &'static LogSource) -> InWords<'_, 'a> {
        InWords { event: self, source }
    }
}

/// A row in the words of one log.
pub(crate) struct InWords<'e, 'a> {
    event: &'e RowEvent<'a>,
    source: &'static LogSource,
}

impl InWords<'_, '_> {
    fn texts(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.source.fields.iter().filter_map(|field| match (field.read)(self.event) {
            Some(EventValue::Str(text)) => Some(text),
            _ => None,
        })
    }
}

impl Event for InWords<'_, '_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        if let Some(field) = self.source.field(path) {
            return (field.read)(self.event);
        }
        let found = self.source.beneath(path)?;
        self.event.object(found.object).get_field(&found.path)
    }

    fn any_string_value(&self, pred: &dyn Fn(&str) -> bool) -> bool {
        self.texts().any(|text| pred(&text))
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        self.texts().collect()
    }

    fn to_json(&self) -> Value {
        let fields =
            self.source.fields.iter().filter_map(|field| {
                Some((field.name.to_owned(), (field.read)(self.event)?.to_json()))
            });
        Value::Object(fields.collect())
    }
}

pub(super) fn parse(json: Option<&Json>) -> Value {
    json.and_then(|json| serde_json::from_str(json.as_str()).ok()).unwrap_or_default()
}
