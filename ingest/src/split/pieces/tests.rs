use proptest::prelude::*;
use serde_json::json;

use super::super::Splitter;
use super::*;

/// Texts and faults of the items in `input`, at once and byte by byte, which must agree.
fn items(input: &[u8], max: usize) -> Vec<(String, String, Option<Fault>)> {
    let mut whole = Splitter::lines(max);
    let mut found = whole.push(input);
    found.extend(whole.finish());
    let mut bytewise = Splitter::lines(max);
    let mut again: Vec<Item> = input.iter().flat_map(|byte| bytewise.push(&[*byte])).collect();
    again.extend(bytewise.finish());
    assert_eq!(found, again);
    let text =
        |item: Item| (String::from_utf8_lossy(&item.bytes).into_owned(), item.position, item.fault);
    found.into_iter().map(text).collect()
}

/// The texts of the items in `lines`; the line that a record holds, where one does.
fn texts(lines: &[String]) -> Vec<(String, Option<Fault>)> {
    let inner = |text: String| match serde_json::from_str::<Value>(&text) {
        Ok(record) => {
            let line = ["log", "message", "MESSAGE"].iter().find_map(|key| record[*key].as_str());
            line.map_or_else(|| text.clone(), |line| line.trim_end().to_owned())
        }
        Err(_) => text,
    };
    let found = items(lines.join("\n").as_bytes(), 1 << 20);
    found.into_iter().map(|(text, _, fault)| (inner(text), fault)).collect()
}

/// Scenario: two streams of the CRI whose lines were cut and are interleaved, one of them with an empty
/// last piece; white space at the cuts; a line in one piece between them.
/// Guarantees: each line is one item at the place of its first piece, with nothing of it lost.
#[test]
fn pieces_of_the_cri_are_joined_by_stream() {
    let line = |stream: &str, tag: &str, text: &str| {
        format!("2026-11-25T00:00:00Z {stream} {tag} {text}\n")
    };
    let input = [
        line("stdout", "P", "{\"a\":\"x "),
        line("stderr", "P", "{\"b\":1"),
        line("stdout", "P", " y\"}"),
        line("stderr", "F", "}"),
        "2026-11-25T00:00:00Z stdout F\n".to_owned(),
        line("stdout", "F", "{\"c\":2}"),
    ];
    let found = items(input.concat().as_bytes(), 1000);
    let expected = [
        ("2026-11-25T00:00:00Z stderr F {\"b\":1}", "line 2"),
        ("2026-11-25T00:00:00Z stdout F {\"a\":\"x  y\"}", "line 1"),
        ("2026-11-25T00:00:00Z stdout F {\"c\":2}", "line 6"),
    ];
    let found: Vec<_> =
        found.iter().map(|(text, place, fault)| (text.as_str(), place.as_str(), *fault)).collect();
    assert_eq!(found, expected.map(|(text, place)| (text, place, None)));
}

proptest! {
    /// Scenario: any line in any pieces, in every form that runtimes and shippers give them.
    /// Guarantees: the line, whole.
    #[test]
    fn any_cut_is_joined(text in "[ -z|}~]{1,60}", cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4)) {
        let line = json!({ "auditID": text }).to_string();
        let mut at: Vec<usize> = cuts.iter().map(|cut| 1 + cut.index(line.len() - 1)).collect();
        at.push(0);
        at.push(line.len());
        at.sort_unstable();
        at.dedup();
        let pieces: Vec<&str> = at.windows(2).map(|ends| line.get(ends[0]..ends[1]).expect("a piece")).collect();
        let forms: [fn(&str, bool) -> String; 6] = [
            |text, is_last| format!("2026-11-25T00:00:00Z stdout {} {text}", if is_last { "F" } else { "P" }),
            |text, is_last| json!({"log": format!("{text}{}", if is_last { "\n" } else { "" }), "stream": "stdout", "time": "x"}).to_string(),
            |text, _| json!({"log": text, "stream": "stdout", "time": "x"}).to_string(),
            |text, is_last| json!({"log": text, "stream": "stdout", "_p": if is_last { "F" } else { "P" }}).to_string(),
            |text, is_last| json!({"message": text, "partial_message": "true", "partial_last": is_last.to_string()}).to_string(),
            |text, is_last| json!({"MESSAGE": text, "CONTAINER_PARTIAL_MESSAGE": "true", "CONTAINER_PARTIAL_LAST": is_last.to_string()}).to_string(),
        ];
        for form in forms {
            let of_piece = |(index, piece): (usize, &&str)| form(piece, index + 1 == pieces.len());
            let lines: Vec<String> = pieces.iter().enumerate().map(of_piece).collect();
            let found = texts(&lines);
            prop_assert_eq!(found.len(), 1, "{:?}", lines);
            prop_assert!(found[0].0.ends_with(&line) && found[0].1.is_none(), "{:?}", lines);
        }
    }
}

/// Scenario: lines whose last piece never comes, before a line that is whole, and at the end.
/// Guarantees: what is there of them is one item that says so; the whole line stands alone.
#[test]
fn unfinished_lines_are_told() {
    let cri = |tag: &str, text: &str| format!("2026-11-25T00:00:00Z stdout {tag} {text}");
    let docker = |text: &str| json!({"log": text, "stream": "stdout", "time": "x"}).to_string();
    let unclosed = Some(Fault::Unclosed);
    for (cut, whole) in [
        (cri("P", "{\"a\":1,"), cri("F", "{\"b\":2}")),
        (docker("{\"a\":1,"), docker("{\"b\":2}\n")),
        (docker("{\"a\":1,"), docker("{\"b\":2}")),
    ] {
        let found = texts(&[cut.clone(), whole.clone(), cut]);
        let ends = |at: usize, text: &str| found[at].0.ends_with(text);
        assert_eq!(found.iter().map(|item| item.1).collect::<Vec<_>>(), [unclosed, None, unclosed]);
        assert!(ends(0, "{\"a\":1,") && ends(1, "{\"b\":2}") && ends(2, "{\"a\":1,"), "{found:?}");
    }
    let ended = texts(&[cri("P", "{\"a\":1}")]);
    assert_eq!(ended[0].1, None);
}

/// Scenario: records that Fluent Bit trimmed of their line breaks: text, JSON, JSON that a client nested
/// deeply; and objects that only speak of streams.
/// Guarantees: each is a line by itself.
#[test]
fn whole_lines_are_no_pieces() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(4000), "]".repeat(4000));
    for text in ["[2026-11-25T00:00:00Z] \"GET / HTTP/1.1\"", "{\"a\":\"}\\\"{\"}", &deep] {
        let record = json!({"log": text, "stream": "stdout"}).to_string();
        let found = texts(&[record.clone(), record]);
        assert_eq!(found, [(text.to_owned(), None), (text.to_owned(), None)]);
    }
    let other = r#"{"stream":"x","auditID":"a"}"#.to_owned();
    assert_eq!(texts(&[other.clone(), other]).len(), 2);
}

/// Scenario: a line in pieces that becomes larger than is read; many lines that stay open.
/// Guarantees: the first is too large, with its length; of the others the oldest are given up.
#[test]
fn what_is_held_is_bounded() {
    let piece = |tag: &str| format!("2026-11-25T00:00:00Z stdout {tag} {}\n", "x".repeat(90));
    let found = items([piece("P"), piece("P"), piece("F")].concat().as_bytes(), 200);
    assert_eq!(found.iter().map(|item| item.2).collect::<Vec<_>>(), [Some(Fault::TooLarge)]);
    let open = |container: usize| {
        json!({"log": "{\"a\":", "stream": "stdout", "container_id": container.to_string()})
            .to_string()
            + "\n"
    };
    let lines: String = (0..100).map(open).collect();
    let mut splitter = Splitter::lines(1000);
    assert_eq!(splitter.push(lines.as_bytes()).len(), 100 - MAX_OPEN);
    assert_eq!(splitter.finish().len(), MAX_OPEN);
}
