use proptest::prelude::*;

use super::*;

/// Splits `input` at once and byte by byte, which must agree; gives text, position and fault.
fn split(input: &[u8], max: usize) -> Vec<(String, String, Option<Fault>)> {
    let mut whole = Splitter::new(true, max);
    let mut items = whole.push(input);
    items.extend(whole.finish());
    let mut bytewise = Splitter::new(true, max);
    let mut again: Vec<Item> = input.iter().flat_map(|byte| bytewise.push(&[*byte])).collect();
    again.extend(bytewise.finish());
    assert_eq!(items, again, "{}", String::from_utf8_lossy(input));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    items.into_iter().map(|item| (text(item.bytes), item.position, item.fault)).collect()
}

fn check(input: &str, expect: &[&str]) {
    let found: Vec<String> = split(input.as_bytes(), 1000).into_iter().map(|item| item.0).collect();
    assert_eq!(found, expect, "{input}");
}

/// Scenario: one document, JSON lines, lists, lists in objects, with and without white space.
/// Guarantees: the items, whatever the form; nothing for what is empty.
#[test]
fn items_of_every_form() {
    check("", &[]);
    check(" \n", &[]);
    check(r#"{"a":1}"#, &[r#"{"a":1}"#]);
    check("{\n  \"a\": {\"b\": 1}\n}\n", &["{\n  \"a\": {\"b\": 1}\n}"]);
    check("{\"a\":1}\n{\"a\":2}\r\n\n{\"a\":3}", &[r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#]);
    check(r#"[{"a":1}, 7, "x,]", [2], null]"#, &[r#"{"a":1}"#, "7", r#""x,]""#, "[2]", "null"]);
    check(
        r#"{"kind":"EventList","items":[{"a":[{}]},{"items":[1]}],"z":{"items":[9]}}"#,
        &[r#"{"a":[{}]}"#, r#"{"items":[1]}"#],
    );
    check(r#"{"items":[]}"#, &[]);
    check(r#"{"items": [1] , "items" : [2]}{"a":"items"}"#, &["1", "2", r#"{"a":"items"}"#]);
    check(r#"{"spec":{"items":[1]}}"#, &[r#"{"spec":{"items":[1]}}"#]);
    check(r#"{"items":{"a":[1]}}"#, &[r#"{"items":{"a":[1]}}"#]);
    check("\u{feff}{\"a\":1}", &[r#"{"a":1}"#]);
    check(r#"{"a":"}\"]\\"}{"b":1}"#, &[r#"{"a":"}\"]\\"}"#, r#"{"b":1}"#]);
}

/// Scenario: items that are cut, unbalanced, torn by a line break, or no JSON at all.
/// Guarantees: each is one item with its place, and every neighbour is whole.
#[test]
fn broken_items_stand_alone() {
    let unclosed = Some(Fault::Unclosed);
    let lines =
        split(b"{\"a\":1}\n{\"a\":\"cut\n{\"a\":{\"b\":1\n{\"a\":2}\ngarbage { here\n{\"a\":3", 99);
    let places: Vec<_> = lines.iter().map(|item| (item.1.as_str(), item.2)).collect();
    assert_eq!(
        places,
        [
            ("line 1", None),
            ("line 2", unclosed),
            ("line 3", unclosed),
            ("line 4", None),
            ("line 5", None),
            ("line 6", unclosed),
        ]
    );
    let list = split(br#"{"items":[{"a":1},{"a":[1},nope,{"a":2},{"a":"#, 99);
    let found: Vec<_> =
        list.iter().map(|item| (item.0.as_str(), item.1.as_str(), item.2)).collect();
    assert_eq!(
        found,
        [
            (r#"{"a":1}"#, "item 1", None),
            (r#"{"a":[1}"#, "item 2", None),
            ("nope", "item 3", None),
            (r#"{"a":2}"#, "item 4", None),
            (r#"{"a":"#, "item 5", unclosed),
        ]
    );
    assert_eq!(split(br#"{"items":[1,"#, 99).last().unwrap().2, unclosed);
}

/// Scenario: a log with lines of text and of JSON, some cut, a list of lines, a value over lines.
/// Guarantees: each line is an item; a cut one costs itself only.
#[test]
fn lines_of_text_are_items() {
    let check = |input: &str, expect: &[&str]| {
        let mut splitter = Splitter::lines(1000);
        let mut items = splitter.push(input.as_bytes());
        items.extend(splitter.finish());
        let found: Vec<_> =
            items.iter().map(|item| String::from_utf8_lossy(&item.bytes).into_owned()).collect();
        assert_eq!(found, expect, "{input}");
    };
    check(
        "[2026] \"GET {\" 200\n{\"a\":1}\ntime=x\r\n",
        &["[2026] \"GET {\" 200", r#"{"a":1}"#, "time=x\r"],
    );
    check("[{\"a\":1},\n {\"a\":2}]", &[r#"{"a":1}"#, r#"{"a":2}"#]);
    check("[\n  {\"a\":1}\n]\n[2026] x", &[r#"{"a":1}"#, "[2026] x"]);
    check("{\n  \"a\": [\n    1]\n}", &["{\n  \"a\": [\n    1]\n}"]);
    check("{\"cut\":\"he\n[2026] x\n{\"a\":1}", &["{\"cut\":\"he", "[2026] x", r#"{"a":1}"#]);
    check(
        "{\"cut\":{\n[2026] x\n{\"cut\":\ntime=x",
        &["{\"cut\":{\n", "[2026] x", "{\"cut\":\n", "time=x"],
    );
}

/// Scenario: items around the largest size that is allowed.
/// Guarantees: a larger one is its length and its head; its neighbours are untouched.
#[test]
fn too_large_items_keep_their_head() {
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(20_000));
    let mut splitter = Splitter::new(true, 10_000);
    let mut items = splitter.push(format!("[1,{large},2]").as_bytes());
    items.extend(splitter.finish());
    let seen: Vec<_> =
        items.iter().map(|item| (item.bytes.len(), item.length, item.fault)).collect();
    assert_eq!(seen, [(1, 1, None), (HEAD, large.len(), Some(Fault::TooLarge)), (1, 1, None)]);
}

proptest! {
    /// Scenario: any bytes, and bytes that look like JSON, in any chunks.
    /// Guarantees: no panic, and chunks make no difference.
    #[test]
    fn chunks_make_no_difference(input in "[\\[\\]{}\",:items\\\\ \n0a]{0,80}", noise in any::<Vec<u8>>()) {
        split(input.as_bytes(), 20);
        split(&noise, 20);
        let mut whole = Splitter::lines(20);
        let mut items = whole.push(input.as_bytes());
        items.extend(whole.finish());
        let mut bytewise = Splitter::lines(20);
        let mut again: Vec<Item> = input.bytes().flat_map(|byte| bytewise.push(&[byte])).collect();
        again.extend(bytewise.finish());
        prop_assert_eq!(items, again);
    }

    /// Scenario: a list of any JSON texts.
    /// Guarantees: as many items as were put in, each as it was.
    #[test]
    fn items_come_back(texts in proptest::collection::vec(".{0,20}", 0..8)) {
        let items: Vec<String> = texts.iter().map(|text| serde_json::json!({"a": text}).to_string()).collect();
        let list = format!("{{\"kind\":\"EventList\",\"items\":[{}]}}", items.join(", "));
        let found: Vec<String> = split(list.as_bytes(), 1000).into_iter().map(|item| item.0).collect();
        prop_assert_eq!(found, items);
    }
}
