//! Secrets by where they stand: a JSON value in, known places of Kubernetes objects masked.

use serde_json::{Map, Value};

use super::Redactor;
use super::{name, text};
use crate::canonical;

/// The annotation in which `kubectl apply` keeps the whole object, data of Secrets included.
/// <https://kubernetes.io/docs/reference/labels-annotations-taints/#kubectl-kubernetes-io-last-applied-configuration>
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What a body is about, where the body itself may not say: patches and lists have no kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// A Secret, a list of Secrets, or a patch of one.
    Secret,
    /// A `ConfigMap`, a list of them, or a patch of one.
    ConfigMap,
    /// Anything else.
    Other,
}

impl Body {
    /// From the resource that a request names.
    #[must_use]
    pub fn of(resource: Option<&str>) -> Self {
        match resource {
            Some("secrets") => Self::Secret,
            Some("configmaps") => Self::ConfigMap,
            _ => Self::Other,
        }
    }

    pub(super) fn place(self) -> Place {
        match self {
            Self::Secret => Place::Secret,
            Self::ConfigMap => Place::ConfigMap,
            Self::Other => Place::General,
        }
    }
}

/// Where in an object a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing is known.
    General,
    /// The top of a Secret, or a list of Secrets.
    Secret,
    /// The top of a `ConfigMap`, or a list of them.
    ConfigMap,
    /// Environment and arguments, where whatever looks drawn by lot is taken for a secret.
    Process,
    /// In a parameter of an address that was one itself: no further address is opened, since each that
    /// was would open the next.
    Parameter,
}

impl Redactor {
    /// Redacts `value`; says whether anything changed.
    pub(super) fn place(&self, value: &mut Value, place: Place) -> bool {
        match value {
            Value::String(text) => self.string(text, place),
            Value::Array(items) => {
                items.iter_mut().fold(false, |changed, item| self.place(item, place) | changed)
            }
            Value::Object(fields) => self.object(fields, place),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// Redacts a text: JSON inside it as JSON, lines of settings by their names, the rest by looks.
    pub(super) fn string(&self, text: &mut String, place: Place) -> bool {
        if let Some(mut inner) = json_inside(text) {
            // Of fields of one name only the last was read, so that the text may hold what nobody saw.
            let is_partly_read = strings_in_text(text) != strings_in(&inner);
            let changed = self.place(&mut inner, place) | is_partly_read;
            if changed {
                *text = canonical::sorted(&inner);
            }
            return changed;
        }
        let is_settings = text.contains('\n') || place == Place::ConfigMap;
        let mut changed = place != Place::Parameter && self.whole_address(text);
        changed |= self.json_among_words(text, place);
        changed |= is_settings && self.lines(text);
        changed |= self.looks(text) || self.encoded(text);
        changed | (place == Place::Process && (self.command_line(text) | self.drawn(text)))
    }

    /// Redacts JSON that stands behind words, or behind other JSON: `Request Body: {"kind":"Secret"}`.
    fn json_among_words(&self, text: &mut String, place: Place) -> bool {
        if json_among(text).is_none() {
            return false;
        }
        let (mut out, mut changed, mut failed) = (String::new(), false, 0);
        let mut rest = text.as_str();
        while let Some((before, from)) = json_among(rest).filter(|_| failed < MOST_FAILED) {
            out.push_str(before);
            let mut values = serde_json::Deserializer::from_str(from).into_iter::<Value>();
            let Some(Ok(mut value)) = values.next() else {
                failed += 1;
                let (first, after) = from.split_at_checked(1).unwrap_or((from, ""));
                out.push_str(first);
                rest = after;
                continue;
            };
            let (own, after) = from.split_at_checked(values.byte_offset()).unwrap_or((from, ""));
            let is_partly_read = strings_in_text(own) != strings_in(&value);
            let is_other = self.place(&mut value, place) | is_partly_read;
            out.push_str(&if is_other { canonical::sorted(&value) } else { own.to_owned() });
            changed |= is_other;
            rest = after;
        }
        out.push_str(rest);
        if changed {
            *text = out;
        }
        changed
    }

    /// Masks a text that is base64 of what holds secrets, or of what is compressed; says whether it is.
    fn encoded(&self, text: &mut String) -> bool {
        if text.len() < SHORTEST || !text.bytes().all(text::is_base64) {
            return false;
        }
        let Some(decoded) = text::decode(text) else { return false };
        let is_secret = decoded.starts_with(GZIP)
            || String::from_utf8(decoded).is_ok_and(|mut inner| {
                let is_json = json_inside(&inner);
                is_json.is_some_and(|mut value| self.place(&mut value, Place::General))
                    || self.lines(&mut inner) | self.looks(&mut inner)
            });
        if is_secret {
            *text = self.mask(text);
        }
        is_secret
    }

    pub(super) fn object(&self, fields: &mut Map<String, Value>, place: Place) -> bool {
        let has_value = fields.keys().any(|name| is_value(name));
        let beside = Beside::of(|name| fields.get(name), has_value, place);
        let mut changed = false;
        for (name, value) in fields.iter_mut() {
            changed |= self.field(name, value, &beside);
        }
        self.keys(fields) | changed
    }

    /// Redacts pairs of names and values as the fields of an object.
    pub(crate) fn pairs(&self, pairs: &mut [(String, Value)]) {
        let get = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        let has_value = pairs.iter().any(|(name, _)| is_value(name));
        let beside = Beside::of(get, has_value, Place::General);
        for (name, value) in pairs {
            self.field(name, value, &beside);
            if name.len() >= SHORTEST {
                self.looks(name);
            }
        }
    }

    fn field(&self, name: &str, value: &mut Value, beside: &Beside) -> bool {
        let place = beside.place;
        match (place, name) {
            (Place::Secret, "data") => self.mask_leaves(value, &decoded),
            (_, "stringData") | (Place::ConfigMap, "binaryData") => self.mask_leaves(value, &plain),
            (_, LAST_APPLIED) => self.last_applied(value, place),
            // Names a cloud session and opens nothing; it joins a cluster's events to the cloud's.
            (_, name) if name.eq_ignore_ascii_case("accessKeyId") && is_key_id(value) => false,
            // The keys of an Azure account are numbered, not named after what they are.
            (_, "value") if beside.is_account_key => self.mask_leaves(value, &plain),
            (_, field) if beside.named.is_some() && is_value(field) => {
                let (name, inside) =
                    beside.named.as_ref().map_or(("", place), |(name, inside)| (name, *inside));
                self.named(value, place, inside, name)
            }
            (_, name) if value.is_array() && is_command(name) => self.arguments(value),
            // What vendors put there is theirs alone: <https://www.w3.org/TR/trace-context/#tracestate-header>
            (_, name) if name.len() == 10 && name.eq_ignore_ascii_case("tracestate") => {
                self.mask_leaves(value, &plain)
            }
            (_, name) if is_leaf(value) && name::is_secret(name) => self.mask_leaves(value, &plain),
            (Place::Secret | Place::ConfigMap, "data" | "items")
            | (Place::Process | Place::Parameter, _) => self.place(value, place),
            _ => self.place(value, Place::General),
        }
    }

    /// The `value` beside a `name` (environment, headers) or in an operation of a JSON patch; it is `likely`
    /// where it is if nothing else is known.
    fn named(&self, value: &mut Value, place: Place, likely: Place, name: &str) -> bool {
        let last = name.rsplit('/').next().unwrap_or(name).replace("~1", "/").replace("~0", "~");
        let in_data = name.starts_with("/data") || name.starts_with("/stringData");
        if place == Place::Secret && in_data {
            return self.mask_leaves(value, &decoded);
        }
        if last == LAST_APPLIED {
            return self.last_applied(value, place);
        }
        if is_leaf(value) && name::is_secret(&last) {
            return self.mask_leaves(value, &plain);
        }
        let inside = if place == Place::General { likely } else { place };
        self.place(value, if name.is_empty() { place } else { inside })
    }

    /// The object that `kubectl apply` kept; what cannot be read is masked whole.
    fn last_applied(&self, value: &mut Value, place: Place) -> bool {
        match value {
            Value::String(text) if json_inside(text).is_some() => self.string(text, place),
            _ => self.mask_leaves(value, &plain),
        }
    }

    /// A command line: `--password=x`, and `--password` followed by `x`.
    fn arguments(&self, value: &mut Value) -> bool {
        let Value::Array(items) = value else { return self.place(value, Place::Process) };
        let mut words: Vec<&mut String> = items
            .iter_mut()
            .filter_map(|item| match item {
                Value::String(text) => Some(text),
                _ => None,
            })
            .collect();
        let mut changed = self.command_words(&mut words);
        let mut next_is_secret = false;
        for item in items {
            let Value::String(argument) = item else {
                changed |= self.place(item, Place::Process);
                continue;
            };
            changed |= self.argument(argument, next_is_secret);
            next_is_secret = argument.starts_with('-') && name::is_secret(argument);
        }
        changed
    }

    /// One argument; `is_secret` if the one before it says so.
    pub(super) fn argument(&self, argument: &mut String, is_secret: bool) -> bool {
        if is_secret {
            let masked = self.mask(argument);
            return std::mem::replace(argument, masked) != *argument;
        }
        match argument.split_once('=') {
            Some((name, secret)) if name::is_secret(name) && !secret.is_empty() => {
                let masked = format!("{name}={}", self.mask(secret));
                std::mem::replace(argument, masked) != *argument
            }
            _ => self.string(argument, Place::Process),
        }
    }

    /// Replaces every leaf under `value`; the keys stay, since they are names.
    fn mask_leaves(&self, value: &mut Value, bytes: &dyn Fn(&str) -> Vec<u8>) -> bool {
        match value {
            Value::Array(items) => items
                .iter_mut()
                .fold(false, |changed, item| self.mask_leaves(item, bytes) | changed),
            Value::Object(fields) => {
                let leaves = fields.values_mut();
                let changed =
                    leaves.fold(false, |changed, leaf| self.mask_leaves(leaf, bytes) | changed);
                self.keys(fields) | changed
            }
            Value::String(text) if text.is_empty() || self.stays(text) => false,
            Value::String(text) => {
                *text = self.mask_bytes(&bytes(text));
                true
            }
            Value::Number(number) => {
                *value = Value::String(self.mask(&number.to_string()));
                true
            }
            Value::Null | Value::Bool(_) => false,
        }
    }

    /// Keys are texts too: somebody may have put a token there.
    fn keys(&self, fields: &mut Map<String, Value>) -> bool {
        let suspects =
            fields.keys().filter(|key| key.len() >= SHORTEST && self.looks.is_suspect(key));
        let suspects = suspects.filter_map(|key| {
            let mut clean = key.clone();
            self.looks(&mut clean).then(|| (key.clone(), clean))
        });
        let suspects: Vec<(String, String)> = suspects.collect();
        for (key, clean) in &suspects {
            if let Some(value) = fields.remove(key) {
                fields.insert(clean.clone(), value);
            }
        }
        !suspects.is_empty()
    }
}

/// A name that is shorter holds no secret.
const SHORTEST: usize = 16;

/// The fields that name what stands beside them: environment and headers, attributes, operations of a JSON
/// patch.
const NAMES: &[&str] = &["name", "key", "path"];
/// The same where clouds have names for settings and tags, whose values may look drawn by lot.
const NAMES_OF_SETTINGS: &[&str] =
    &["Name", "Key", "parameterKey", "ParameterKey", "optionName", "OptionName"];
/// The fields that are named so.
const VALUES: &[&str] = &["value", "Value", "parameterValue", "ParameterValue"];

/// Texts in which no JSON began that seemed to, before no more is looked for: each costs a look at the rest.
const MOST_FAILED: usize = 8;
/// RFC 1952.
const GZIP: &[u8] = &[0x1f, 0x8b];

fn is_value(name: &str) -> bool {
    name.ends_with("alue") && VALUES.contains(&name)
}

/// Whether a list under this name is a command and its arguments: of containers in Kubernetes, Docker and
/// ECS, and of processes in OTLP.
fn is_command(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let is = |known: &&str| last.eq_ignore_ascii_case(known);
    ["args", "command", "cmd", "entrypoint", "command_args", "argv"].iter().any(is)
}

/// What the fields of an object say of one another.
struct Beside {
    place: Place,
    /// The name that one of [`VALUES`] goes by, and where it stands if nothing else is known.
    named: Option<(String, Place)>,
    is_account_key: bool,
}

impl Beside {
    fn of<'a>(get: impl Fn(&str) -> Option<&'a Value>, has_value: bool, place: Place) -> Self {
        let name = |names: &[&str]| names.iter().find_map(|name| get(name))?.as_str();
        let told = || {
            let likely = name(NAMES).map(|name| (name, Place::Process));
            likely.or_else(|| Some((name(NAMES_OF_SETTINGS)?, Place::General)))
        };
        let named = if has_value { told() } else { None };
        let named = named.map(|(name, place)| (name.to_owned(), place));
        let place = match get("kind").and_then(Value::as_str) {
            Some("Secret" | "SecretList") => Place::Secret,
            Some("ConfigMap" | "ConfigMapList") => Place::ConfigMap,
            _ => place,
        };
        Self { place, named, is_account_key: get("keyName").is_some() }
    }
}

/// A text or a number, a list of such (headers have many values), or nothing but a value: parameters of
/// Azure's templates.
fn is_leaf(value: &Value) -> bool {
    match value {
        Value::String(_) | Value::Number(_) => true,
        Value::Array(items) => items.iter().all(is_leaf),
        Value::Object(fields) => {
            fields.len() == 1 && fields.get("value").is_some_and(|value| !value.is_object())
        }
        _ => false,
    }
}

/// Whether every text is what clouds call an access key id: capitals and digits, and few.
fn is_key_id(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            text.len() <= 32 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        }
        Value::Array(items) => items.iter().all(is_key_id),
        _ => false,
    }
}

/// JSON that somebody put into a text.
fn json_inside(text: &str) -> Option<Value> {
    let starts = text.trim_start().starts_with(['{', '[']);
    starts.then(|| serde_json::from_str(text).ok()).flatten()
}

/// What stands before the first place where JSON may begin among words, an object or one in a string, and
/// the text from there.
fn json_among(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let begins = |at: usize| {
        let inside = bytes.get(at + 1..).unwrap_or_default().trim_ascii_start();
        let is_in_string = || at.checked_sub(1).filter(|quote| bytes.get(*quote) == Some(&b'"'));
        match inside {
            [b'"', ..] => Some(at),
            [b'\\', b'"', ..] => is_in_string(),
            _ => None,
        }
    };
    memchr::memchr_iter(b'{', bytes).find_map(begins).and_then(|at| text.split_at_checked(at))
}

/// How many strings and names of fields JSON text holds.
fn strings_in_text(json: &str) -> usize {
    let mut is_escaped = false;
    let quotes = json.bytes().filter(|byte| {
        let is_quote = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_quote
    });
    quotes.count() / 2
}

/// How many strings and names of fields a value holds.
fn strings_in(value: &Value) -> usize {
    match value {
        Value::String(_) => 1,
        Value::Array(items) => items.iter().map(strings_in).sum(),
        Value::Object(fields) => fields.len() + fields.values().map(strings_in).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

fn plain(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// The secret itself where a Secret holds base64, so that it joins with the same in plain text.
fn decoded(base64: &str) -> Vec<u8> {
    text::decode(base64).unwrap_or_else(|| plain(base64))
}
