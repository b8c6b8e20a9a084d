//! Rows into contents of bounded size: what one delivery brought in, what the log takes out.

use durward_schemas::record::Content;
use durward_schemas::tables::{Access, Log, Metric, Object, Reject, Span};

use crate::format::Reading;

/// Rows in one content at most.
pub const MAX_ROWS: usize = 5_000;
/// Bytes of text in one content at most, but for a single row that is larger.
pub const MAX_BYTES: usize = 16 << 20;

impl Reading {
    /// Bytes of text in it, roughly.
    pub(crate) fn weight(&self) -> usize {
        self.accesses.iter().map(access_bytes).sum::<usize>()
            + self.objects.iter().map(object_bytes).sum::<usize>()
            + self.spans.iter().map(span_bytes).sum::<usize>()
            + self.logs.iter().map(log_bytes).sum::<usize>()
            + self.metrics.iter().map(metric_bytes).sum::<usize>()
            + self.rejects.iter().map(reject_bytes).sum::<usize>()
    }

    /// The rows as contents, each of one kind and of bounded size, objects first.
    #[must_use]
    pub fn into_contents(self) -> Vec<Content> {
        let mut contents = Vec::new();
        seal(self.objects, object_bytes, Content::Objects, &mut contents);
        seal(self.accesses, access_bytes, Content::Accesses, &mut contents);
        seal(self.spans, span_bytes, Content::Spans, &mut contents);
        seal(self.logs, log_bytes, Content::Logs, &mut contents);
        seal(self.metrics, metric_bytes, Content::Metrics, &mut contents);
        seal(self.rejects, reject_bytes, Content::Rejects, &mut contents);
        contents
    }
}

fn seal<R>(
    rows: Vec<R>,
    bytes: fn(&R) -> usize,
    kind: fn(Vec<R>) -> Content,
    out: &mut Vec<Content>,
) {
    let mut sealed = Vec::new();
    let mut weight = 0;
    for row in rows {
        let added = bytes(&row);
        if !sealed.is_empty() && (sealed.len() == MAX_ROWS || weight + added > MAX_BYTES) {
            out.push(kind(std::mem::take(&mut sealed)));
            weight = 0;
        }
        weight += added;
        sealed.push(row);
    }
    if !sealed.is_empty() {
        out.push(kind(sealed));
    }
}

/// What the short columns of any row weigh together, roughly.
const SHORT_COLUMNS: usize = 1_000;

pub(crate) fn access_bytes(row: &Access) -> usize {
    let long =
        [&row.request_object, &row.response_object, &row.annotations, &row.extra, &row.unmapped];
    let uri = row.request_uri.as_ref().map_or(0, String::len);
    let long: usize = long.into_iter().flatten().map(|json| json.as_str().len()).sum();
    SHORT_COLUMNS + uri + long
}

pub(crate) fn object_bytes(row: &Object) -> usize {
    SHORT_COLUMNS + row.object.as_str().len()
}

pub(crate) fn span_bytes(row: &Span) -> usize {
    let optional = [&row.scope, &row.links, &row.events];
    let optional: usize = optional.into_iter().flatten().map(|json| json.as_str().len()).sum();
    SHORT_COLUMNS
        + row.attributes.as_str().len()
        + row.resource_attributes.as_str().len()
        + optional
}

pub(crate) fn log_bytes(row: &Log) -> usize {
    let body = row.body.as_ref().map_or(0, String::len);
    SHORT_COLUMNS + row.attributes.as_str().len() + row.resource_attributes.as_str().len() + body
}

pub(crate) fn metric_bytes(row: &Metric) -> usize {
    let buckets = row.buckets.as_ref().map_or(0, |json| json.as_str().len());
    SHORT_COLUMNS + row.attributes.as_str().len() + row.resource_attributes.as_str().len() + buckets
}

pub(crate) fn reject_bytes(row: &Reject) -> usize {
    SHORT_COLUMNS + row.head.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests {
    use durward_schemas::cell::Json;

    use super::*;

    fn sizes(reading: Reading) -> Vec<usize> {
        reading.into_contents().iter().map(Content::positions).collect()
    }

    /// Scenario: no rows, many rows, few large rows, rows of several kinds.
    /// Guarantees: no content is empty or larger than its bounds, and no row is lost.
    #[test]
    fn contents_are_bounded() {
        assert_eq!(sizes(Reading::default()), [0; 0]);
        let many = vec![Access::default(); MAX_ROWS + 1];
        assert_eq!(sizes(Reading { accesses: many, ..Reading::default() }), [MAX_ROWS, 1]);
        let large = Object { object: Json("x".repeat(MAX_BYTES / 2)), ..Object::default() };
        let reading = Reading {
            objects: vec![large; 3],
            rejects: vec![Reject::default()],
            ..Reading::default()
        };
        assert_eq!(sizes(reading), [1, 1, 1, 1]);
    }
}
