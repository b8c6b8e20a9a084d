//! Which trace a request says it belongs to: headers in, ids out. All of it is claimed.

/// The ids of a trace and of a span in it, in lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Trace {
    pub(crate) trace: Option<String>,
    pub(crate) span: Option<String>,
}

/// The trace that fields or headers name, by any of the ways in use. `get` gives a field by its name
/// in lower case with `_` between words.
pub(crate) fn trace<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Trace {
    let first = |names: &[&str], digits| names.iter().find_map(|name| id(get(name)?, digits));
    let whole = [("traceparent", '-', 1), ("b3", '-', 0), ("uber_trace_id", ':', 0)];
    let found = whole.iter().find_map(|(name, mark, at)| parted(get(name)?, *mark, *at));
    found.unwrap_or_else(|| Trace {
        trace: first(&["trace_id", "traceid", "x_b3_traceid", "x_b3_trace_id"], 32),
        span: first(&["span_id", "spanid", "x_b3_spanid", "x_b3_span_id"], 16),
    })
}

/// Trace and span side by side: <https://www.w3.org/TR/trace-context/#traceparent-header>,
/// <https://github.com/openzipkin/b3-propagation#single-header>,
/// <https://www.jaegertracing.io/docs/1.76/sdk-migration/#propagation-format>.
fn parted(header: &str, mark: char, at: usize) -> Option<Trace> {
    let mut parts = header.split(mark).skip(at);
    let trace = id(parts.next()?, 32)?;
    let span = id(parts.next()?, 16);
    Some(Trace { trace: Some(trace), span })
}

/// An id of at most so many digits, filled up with zeros: B3 allows 64 bits for a trace.
fn id(text: &str, digits: usize) -> Option<String> {
    let text = text.trim();
    let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_set = text.bytes().any(|byte| byte != b'0');
    let fits = text.len() <= digits;
    (is_hex && is_set && fits).then(|| format!("{:0>digits$}", text.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: the headers of W3C, B3 in one and in several, Jaeger, and hostile ones.
    /// Guarantees: ids of 32 and 16 digits, or none.
    #[test]
    fn headers_of_every_kind() {
        let check = |headers: &[(&str, &str)], expect: (Option<&str>, Option<&str>)| {
            let get =
                |name: &str| headers.iter().find(|header| header.0 == name).map(|header| header.1);
            let found = trace(get);
            assert_eq!((found.trace.as_deref(), found.span.as_deref()), expect, "{headers:?}");
        };
        let (long, short) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let both = (Some(long), Some(short));
        check(&[("traceparent", &format!("00-{long}-{short}-01"))], both);
        check(&[("b3", &format!("{long}-{short}-1"))], both);
        check(&[("uber_trace_id", &format!("{long}:{short}:0:1"))], both);
        check(&[("x_b3_traceid", &long.to_uppercase()), ("x_b3_spanid", short)], both);
        check(
            &[("x_b3_traceid", "1fb3cc7da9591477")],
            (Some("00000000000000001fb3cc7da9591477"), None),
        );
        check(&[("trace_id", long)], (Some(long), None));
        check(&[("b3", "0")], (None, None));
        check(&[("traceparent", "00-zz-zz-01"), ("trace_id", "<script>")], (None, None));
        check(&[], (None, None));
    }
}
