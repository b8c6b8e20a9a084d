//! The logs that rules can be written for, in Sigma's taxonomy, and what each calls its columns.
//!
//! <https://github.com/SigmaHQ/sigma-specification/blob/main/appendix/sigma-taxonomy-appendix.md>.
//! Of meshes, SPIRE and Vault the taxonomy has nothing: rules for them name columns of `accesses`.

mod accesses;
mod aws;
mod azure;
mod gcp;
mod kubernetes;

pub(crate) use kubernetes::{came_to_nothing, is_allowed};

use std::borrow::Cow;
use std::fmt;

use durward_schemas::tables::Access;
use rsigma_parser::LogSource as Named;

use crate::rule::field::Field;

/// One log, as rules name it.
pub(crate) struct LogSource {
    pub product: &'static str,
    pub service: &'static str,
    /// Whether a row is of this log.
    pub covers: fn(&Access) -> bool,
    /// The fields that are columns.
    pub fields: &'static [Field],
    /// Fields that are objects: any path beneath them may be asked for.
    pub beneath: &'static [Beneath],
    /// Other fields of a record, which stay in `unmapped`, each with any path beneath it.
    pub others: &'static [&'static str],
    /// Names that public rules use and the log does not have, and what they mean.
    pub aliases: &'static [(&'static str, &'static str)],
    /// Values that public rules look for in the wrong field: field, value, right field, right value.
    pub misplaced: &'static [(&'static str, &'static str, &'static str, &'static str)],
}

/// A field that is an object, and where it is kept.
pub(crate) struct Beneath {
    pub name: &'static str,
    pub object: Object,
    /// Where in the column the object stands; empty if it is the column.
    pub inside: &'static str,
}

/// Columns that hold JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    Request,
    Response,
    /// The object as it is after the write.
    After,
    Annotations,
    Extra,
    Unmapped,
}

impl Object {
    /// The column.
    pub(crate) const fn column(self) -> &'static str {
        match self {
            Self::Request => "request_object",
            Self::Response => "response_object",
            Self::After => "after",
            Self::Annotations => "annotations",
            Self::Extra => "extra",
            Self::Unmapped => "unmapped",
        }
    }
}

impl Beneath {
    const fn new(name: &'static str, object: Object) -> Self {
        Self { name, object, inside: "" }
    }

    const fn inside(name: &'static str, object: Object, inside: &'static str) -> Self {
        Self { name, object, inside }
    }
}

/// Where a name that is no column leads: a path, or one key, dots and all.
pub(crate) struct Found<'n> {
    pub object: Object,
    pub path: Cow<'n, str>,
}

/// Every log, the generic one last.
pub(crate) const SOURCES: &[LogSource] = &[
    kubernetes::SOURCE,
    aws::SOURCE,
    gcp::SOURCE,
    azure::ACTIVITY,
    azure::AUDIT,
    azure::SIGN_IN,
    accesses::SOURCE,
];

impl fmt::Debug for LogSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl LogSource {
    /// The log that a rule is for.
    pub(crate) fn of(named: &Named) -> Option<&'static Self> {
        let (product, service) = (named.product.as_deref()?, named.service.as_deref()?);
        SOURCES.iter().find(|source| source.product == product && source.service == service)
    }

    /// `product/service`
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.product, self.service)
    }

    /// The field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The object and the path in it, for a name such as `requestObject.spec.hostPID`.
    pub(crate) fn beneath<'n>(&self, name: &'n str) -> Option<Found<'n>> {
        let known = self.beneath.iter().find_map(|beneath| {
            let path = name.strip_prefix(beneath.name)?.strip_prefix('.')?;
            let path = match beneath.inside {
                "" => Cow::Borrowed(path),
                inside => Cow::Owned(format!("{inside}.{path}")),
            };
            (!path.is_empty()).then_some(Found { object: beneath.object, path })
        });
        let other = || {
            let first = name.split('.').next()?;
            let path = Cow::Borrowed(name);
            self.others.contains(&first).then_some(Found { object: Object::Unmapped, path })
        };
        known.or_else(other)
    }

    /// Whether rules may ask for `name`.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.field(name).is_some() || self.beneath(name).is_some()
    }

    /// The known name that is most like `name`, if any is.
    pub(crate) fn suggestion(&self, name: &str) -> Option<String> {
        let alike = |known: &str| {
            // A bare name is often the last part of the right one: `apiGroup` of `objectRef.apiGroup`.
            let part =
                if name.contains('.') { known } else { known.rsplit('.').next().unwrap_or(known) };
            strsim::normalized_damerau_levenshtein(part, name)
        };
        let names = self.fields.iter().map(|field| (alike(field.name), field.name));
        let best = names.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
        (best.0 > 0.6).then(|| best.1.to_owned())
    }
}

/// `product/service` of each log, for messages.
pub(crate) fn names() -> String {
    SOURCES.iter().map(LogSource::name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use durward_schemas::table::Row;
    use durward_schemas::tables::Change;

    use super::*;

    /// Scenario: every field of every log that rules may name.
    /// Guarantees: its column is one of the schema's, no name stands twice, and what is read as something
    /// else is read as something known.
    #[test]
    fn every_field_is_a_column() {
        let columns: Vec<&str> = [Access::TABLE, Change::TABLE]
            .iter()
            .flat_map(|table| table.columns)
            .map(|column| column.name)
            .collect();
        for source in SOURCES {
            for field in source.fields {
                assert!(columns.contains(&field.column), "{}", field.name);
                let same = source.fields.iter().filter(|other| other.name == field.name);
                assert_eq!(same.count(), 1, "{}", field.name);
            }
            for beneath in source.beneath {
                assert!(columns.contains(&beneath.object.column()));
            }
            let meant = source.aliases.iter().map(|(_, meant)| *meant);
            for meant in meant.chain(source.misplaced.iter().map(|(_, _, right, _)| *right)) {
                assert!(source.knows(meant), "{meant}");
            }
        }
    }

    /// Scenario: names that people get wrong.
    /// Guarantees: the right one is suggested, and nothing where nothing is like it.
    #[test]
    fn the_right_name_is_suggested() {
        let check = |source: &LogSource, wrong: &str, right: Option<&str>| {
            assert_eq!(source.suggestion(wrong).as_deref(), right, "{wrong}");
        };
        check(&kubernetes::SOURCE, "apiGroup", Some("objectRef.apiGroup"));
        check(&kubernetes::SOURCE, "user.name", Some("user.username"));
        check(&kubernetes::SOURCE, "objectRef.resources", Some("objectRef.resource"));
        check(&kubernetes::SOURCE, "requestUri", Some("requestURI"));
        check(&kubernetes::SOURCE, "CommandLine", None);
        check(&aws::SOURCE, "eventname", Some("eventName"));
        check(&accesses::SOURCE, "decidedby", Some("decided_by"));
    }
}
