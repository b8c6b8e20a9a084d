//! A row as Sigma sees it: columns first, JSON parsed only when a rule asks for what is in it.

use std::borrow::Cow;
use std::cell::OnceCell;

use durward_schemas::cell::Json;
use durward_schemas::tables::{Access, Change};
use rsigma_eval::{Event, EventValue, JsonEvent};
use serde_json::Value;

use crate::detector::Seen;
use crate::rule::certificate;
use crate::rule::field::{FIELDS, beneath, field};
use crate::rule::pod_spec::PodSpec;

/// One row, and what was parsed of it so far.
pub(crate) struct RowEvent<'a> {
    pub row: &'a Access,
    pub change: Option<&'a Change>,
    request: OnceCell<JsonEvent<'static>>,
    response: OnceCell<JsonEvent<'static>>,
    annotations: OnceCell<Value>,
    extra: OnceCell<Value>,
    pod_spec: OnceCell<PodSpec>,
    subjects: OnceCell<Vec<String>>,
}

impl<'a> RowEvent<'a> {
    /// Nothing is parsed yet.
    pub(crate) fn of(seen: Seen<'a>) -> Self {
        Self {
            row: seen.row,
            change: seen.change,
            request: OnceCell::new(),
            response: OnceCell::new(),
            annotations: OnceCell::new(),
            extra: OnceCell::new(),
            pod_spec: OnceCell::new(),
            subjects: OnceCell::new(),
        }
    }

    /// What the pod or template in the body opens to the node, less what it opened before.
    pub(crate) fn pod_spec(&self) -> &PodSpec {
        self.pod_spec.get_or_init(|| {
            let (before, after) =
                self.change.map_or((None, None), |c| (c.before.as_ref(), c.after.as_ref()));
            // A patch says only a part; the whole is known where the object was.
            let is_patch = self.row.verb.as_deref() == Some("patch");
            let body = after.filter(|_| is_patch).or(self.row.request_object.as_ref());
            PodSpec::of(&parse(body)).added_to(&PodSpec::of(&parse(before)))
        })
    }

    /// Whom a certificate is asked for. An approval shows the request in its answer.
    pub(crate) fn certificate_subjects(&self) -> &Vec<String> {
        self.subjects.get_or_init(|| {
            let bodies = [self.row.request_object.as_ref(), self.row.response_object.as_ref()];
            let mut all = bodies.into_iter().map(|body| certificate::subjects(&parse(body)));
            all.find(|subjects| !subjects.is_empty()).unwrap_or_default()
        })
    }

    fn request(&self) -> &JsonEvent<'static> {
        self.request.get_or_init(|| JsonEvent::owned(parse(self.row.request_object.as_ref())))
    }

    fn response(&self) -> &JsonEvent<'static> {
        self.response.get_or_init(|| JsonEvent::owned(parse(self.row.response_object.as_ref())))
    }

    fn texts(&self) -> impl Iterator<Item = Cow<'_, str>> {
        FIELDS.iter().filter_map(|field| match (field.read)(self) {
            Some(EventValue::Str(text)) => Some(text),
            _ => None,
        })
    }
}

impl Event for RowEvent<'_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        if let Some(field) = field(path) {
            return (field.read)(self);
        }
        let (object, path) = beneath(path)?;
        match object {
            "requestObject" => self.request().get_field(path),
            "responseObject" => self.response().get_field(path),
            // Keys of these hold dots and slashes, so what follows is one key.
            "annotations" => {
                let all = self.annotations.get_or_init(|| parse(self.row.annotations.as_ref()));
                all.get(path).map(EventValue::from)
            }
            _ => {
                let all = self.extra.get_or_init(|| parse(self.row.extra.as_ref()));
                all.get(path).map(EventValue::from)
            }
        }
    }

    fn any_string_value(&self, pred: &dyn Fn(&str) -> bool) -> bool {
        self.texts().any(|text| pred(&text))
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        self.texts().collect()
    }

    fn to_json(&self) -> Value {
        let fields = FIELDS
            .iter()
            .filter_map(|field| Some((field.name.to_owned(), (field.read)(self)?.to_json())));
        Value::Object(fields.collect())
    }
}

fn parse(json: Option<&Json>) -> Value {
    json.and_then(|json| serde_json::from_str(json.as_str()).ok()).unwrap_or_default()
}
