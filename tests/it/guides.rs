//! The guides of docs/how-to: what people copy out of them can be read.

use std::path::Path;

/// The fenced blocks of a page with their language and line.
fn blocks(page: &str) -> Vec<(String, usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, usize, String)> = None;
    for (number, line) in page.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => blocks.push(block),
            (Some(language), None) => {
                open = Some((language.trim().to_owned(), number + 1, String::new()));
            }
            (None, Some((language, at, text))) => open = Some((language, at, text + line + "\n")),
            (None, None) => {}
        }
    }
    blocks
}

/// Scenario: every block of YAML or JSON in the guides.
/// Guarantees: each can be parsed as it stands.
#[test]
fn configuration_in_guides_parses() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/how-to");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).expect("the guides") {
        let path = entry.expect("a page").path();
        let page = std::fs::read_to_string(&path).expect("text");
        for (language, line, text) in blocks(&page) {
            let parsed = match language.as_str() {
                "yaml" => serde_saphyr::from_multiple::<serde_json::Value>(&text)
                    .map(|_| ())
                    .map_err(|error| error.to_string()),
                "json" => serde_json::from_str::<serde_json::Value>(&text)
                    .map(|_| ())
                    .map_err(|error| error.to_string()),
                _ => continue,
            };
            assert_eq!(parsed, Ok(()), "{}:{line}", path.display());
            read += 1;
        }
    }
    assert!(read > 0);
}

/// Scenario: the rule that the guide to rules shows.
/// Guarantees: whoever copies it has a rule that can be used.
#[test]
fn the_rule_of_the_guide_can_be_used() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/how-to/rules.md");
    let page = std::fs::read_to_string(path).expect("text");
    let rules = blocks(&page).into_iter().filter(|(_, _, text)| text.starts_with("title:"));
    let files: Vec<_> = rules
        .map(|(_, line, text)| durward_detect::RuleFile { name: format!("rules.md:{line}"), text })
        .collect();
    assert_eq!(files.len(), 1);
    assert_eq!(durward_detect::check_rules(&files), Ok(Vec::new()));
}
