use durward_schemas::record::Content;
use durward_schemas::table::Row;
use proptest::prelude::*;

use super::*;
use crate::lab::with_context;

/// Pieces from which inputs are made: good items, bad ones, and what stands between them.
const PIECES: &[&str] = &[
    r#"{"auditID":"a","stage":"s","requestReceivedTimestamp":"2026-11-23T17:56:57Z"}"#,
    r#"{"kind":"Pod","metadata":{"name":"a"}}"#,
    r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"x"},{"name":7}]}]}]}"#,
    r#"{"kind":"EventList","items":["#,
    "{",
    "}",
    "[",
    "]",
    ",",
    "\n",
    "\"",
    "\\",
    "nope",
    "\u{0}",
    "{\"kind\":0}",
    "7",
    "\u{a}\u{3}\u{a}\u{1}\u{1}",
];

proptest! {
    /// Scenario: any bytes, and any arrangement of good items, bad ones and punctuation.
    /// Guarantees: every format answers, and nothing that is no white space goes unaccounted.
    #[test]
    fn any_input_is_accounted_for(
        bytes in any::<Vec<u8>>(),
        pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..12),
    ) {
        for format in Format::ALL {
            for input in [bytes.as_slice(), pieces.concat().as_bytes()] {
                let reading = with_context(|context| read(*format, input, context));
                let contents = reading.clone().into_contents();
                let sealed: usize = contents.iter().map(Content::positions).sum();
                prop_assert_eq!(sealed, reading.items());
            }
        }
    }

    /// Scenario: a list of audit events in which any may be broken in some way.
    /// Guarantees: rows and rejects together are the items; each good one is a row.
    #[test]
    fn rows_and_rejects_are_the_items(choice in proptest::collection::vec(0_usize..5, 0..20)) {
        let items = [PIECES[0], "{}", "nope", "7", r#"{"auditID":[1]}"#];
        let list: Vec<&str> = choice.iter().map(|index| items[*index]).collect();
        let good = choice.iter().filter(|index| **index == 0).count();
        for input in [format!(r#"{{"items":[{}]}}"#, list.join(",")), list.join("\n")] {
            let reading = with_context(|context| read(Format::KubeAudit, input.as_bytes(), context));
            prop_assert_eq!((reading.accesses.len(), reading.items()), (good, list.len()), "{}", input);
        }
    }
}

/// Scenario: the tables that say which field fills which column.
/// Guarantees: each names only columns of `accesses`, and each column once.
#[test]
fn mappings_name_columns() {
    let columns: Vec<&str> = Access::TABLE.columns.iter().map(|column| column.name).collect();
    for format in Format::ALL {
        let mut named: Vec<&str> = format.mapping().iter().map(|line| line.column).collect();
        let strange: Vec<&&str> = named.iter().filter(|name| !columns.contains(name)).collect();
        assert!(strange.is_empty(), "{format}: {strange:?}");
        named.sort_unstable();
        let before = named.len();
        named.dedup();
        assert_eq!(named.len(), before, "{format} names a column twice");
    }
}
