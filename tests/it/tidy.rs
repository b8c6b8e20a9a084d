//! House rules that no compiler holds: sizes, names, words, and what stands above a test.
//!
//! A rule takes a file and gives a complaint for each breach. Each rule is held against the whole
//! repository, and against one small file that breaks it.

mod tree;

use tree::{File, files};

type Rule = fn(&File) -> Vec<String>;

/// This file names what it forbids.
const THIS: &str = "tests/it/tidy.rs";

/// Holds `rule` against every file of the repository with one of `endings`.
fn hold(rule: Rule, endings: &[&str]) {
    let files = files(endings);
    assert!(!files.is_empty(), "there is no file that ends in {endings:?}");
    let complaints: Vec<String> = files.iter().flat_map(rule).collect();
    assert!(complaints.is_empty(), "{} breaches:\n{}", complaints.len(), complaints.join("\n"));
}

/// Expects that `rule` complains of a file at `path` with `text`, in these words.
fn breach(rule: Rule, path: &str, text: &str, expect: &str) {
    assert_eq!(rule(&File::new(path, text)), [expect]);
}

/// One complaint for each line in which `forbidden` is found.
fn on_lines<'a>(
    file: &File,
    lines: impl Iterator<Item = (usize, &'a str)>,
    forbidden: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let complaint = |(number, line)| Some(format!("{}:{number}: {}", file.path, forbidden(line)?));
    lines.filter_map(complaint).collect()
}

/// One complaint for each line with one of `words`, and what to do instead.
fn on_words<'a>(
    file: &File,
    lines: impl Iterator<Item = (usize, &'a str)>,
    words: &[&str],
    instead: &str,
) -> Vec<String> {
    if file.path == THIS {
        return Vec::new();
    }
    on_lines(file, lines, |line| {
        let found = words.iter().find(|word| line.contains(**word))?;
        Some(format!("{found}: {instead}"))
    })
}

// === sizes ===

/// How many production lines a file may have.
fn most_lines(path: &str) -> usize {
    match path.rsplit('/').next() {
        _ if path == "src/pipeline.rs" => 200,
        Some("lib.rs") => 120,
        Some("main.rs") => 60,
        _ => 500,
    }
}

fn sizes(file: &File) -> Vec<String> {
    let (lines, most) = (file.production(), most_lines(&file.path));
    let complaint = || format!("{}: {lines} production lines, at most {most}", file.path);
    (lines > most).then(complaint).into_iter().collect()
}

/// Scenario: the production lines of each source file, tests at its end left out.
/// Guarantees: a file can be read in one sitting, and those that show the way in a minute.
#[test]
fn files_are_small() {
    breach(
        sizes,
        "a/src/long.rs",
        &"\n".repeat(501),
        "a/src/long.rs: 501 production lines, at most 500",
    );
    breach(
        sizes,
        "a/src/lib.rs",
        &"\n".repeat(121),
        "a/src/lib.rs: 121 production lines, at most 120",
    );
    breach(sizes, "src/main.rs", &"\n".repeat(61), "src/main.rs: 61 production lines, at most 60");
    breach(
        sizes,
        "src/pipeline.rs",
        &"\n".repeat(201),
        "src/pipeline.rs: 201 production lines, at most 200",
    );
    let tail = format!("{}#[cfg(test)]\nmod tests {{{}", "\n".repeat(500), "\n".repeat(300));
    assert!(sizes(&File::new("a/src/tested.rs", &tail)).is_empty());
    hold(sizes, &[".rs"]);
}

// === names ===

fn module_names(file: &File) -> Vec<String> {
    let is_mod = file.path.ends_with("/mod.rs") && !file.path.starts_with("tests/");
    let complaint = || format!("{}: name it after its folder, and put it beside it", file.path);
    is_mod.then(complaint).into_iter().collect()
}

/// Scenario: the names of all source files.
/// Guarantees: `foo.rs` stands beside `foo/`, so that every tab of an editor has its own name.
#[test]
fn no_module_is_called_mod() {
    breach(
        module_names,
        "a/src/b/mod.rs",
        "",
        "a/src/b/mod.rs: name it after its folder, and put it beside it",
    );
    hold(module_names, &[".rs"]);
}

// === words ===

fn ascii(file: &File) -> Vec<String> {
    on_lines(file, file.lines(), |line| {
        let odd = line.chars().find(|c| !c.is_ascii())?;
        Some(format!("U+{:04X} is not ASCII; escape it", u32::from(odd)))
    })
}

/// Scenario: every letter of every source file.
/// Guarantees: no letter only looks like another, and none turns the direction of what is read.
#[test]
fn source_is_ascii() {
    breach(ascii, "a/src/b.rs", "a\n\"\u{202e}\"", "a/src/b.rs:2: U+202E is not ASCII; escape it");
    hold(ascii, &[".rs", ".sql", ".slt", ".toml", ".py", ".yml", ".yaml"]);
}

fn unfinished(file: &File) -> Vec<String> {
    let words = ["TODO", "FIXME", "XXX", "todo!", "unimplemented!"];
    on_words(file, file.lines(), &words, "finish it, or leave it out and say so")
}

/// Scenario: words that mark what somebody meant to come back to.
/// Guarantees: what is in the repository is finished.
#[test]
fn nothing_is_unfinished() {
    breach(
        unfinished,
        "a/src/b.rs",
        "todo!()",
        "a/src/b.rs:1: todo!: finish it, or leave it out and say so",
    );
    hold(unfinished, &[".rs", ".sql", ".slt", ".toml", ".py", ".yml", ".yaml"]);
}

fn clocks(file: &File) -> Vec<String> {
    if file.path == "src/clock.rs" {
        return Vec::new();
    }
    let words = ["SystemTime::now", "Utc::now", "Local::now"];
    on_words(file, file.lines(), &words, "take a Clock or a Time as an argument")
}

/// Scenario: every way to read the wall clock.
/// Guarantees: there is one, in the one file that hands it out.
#[test]
fn one_file_reads_the_clock() {
    let expect = "a/src/b.rs:1: Utc::now: take a Clock or a Time as an argument";
    breach(clocks, "a/src/b.rs", "let now = Utc::now();", expect);
    assert!(clocks(&File::new("src/clock.rs", "SystemTime::now()")).is_empty());
    hold(clocks, &[".rs"]);
}

// === tests ===

fn is_test_attribute(line: &str) -> bool {
    let line = line.trim();
    line == "#[test]" || line.starts_with("#[tokio::test")
}

/// The doc lines right above line `number`, attributes between them left out.
fn docs_above(file: &File, number: usize) -> Vec<&str> {
    let above: Vec<&str> = file.text.lines().take(number - 1).map(str::trim).collect();
    let is_other = |line: &&str| !line.starts_with("///") && !line.starts_with("#[");
    let begin = above.iter().rposition(is_other).map_or(0, |other| other + 1);
    above[begin..].iter().filter_map(|line| line.strip_prefix("/// ")).collect()
}

fn told(file: &File) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, _) in file.lines().filter(|(_, line)| is_test_attribute(line)) {
        let docs = docs_above(file, number);
        let says = |beginning: &str| docs.iter().any(|line| line.starts_with(beginning));
        if !(docs.first().is_some_and(|line| line.starts_with("Scenario: "))
            && says("Guarantees: "))
        {
            complaints.push(format!(
                "{}:{number}: a test without its two lines, Scenario and Guarantees",
                file.path
            ));
        }
    }
    complaints
}

/// Scenario: what stands above each test.
/// Guarantees: every test says what happens in it and what it promises.
#[test]
fn tests_say_what_they_promise() {
    let expect = "a/src/b.rs:2: a test without its two lines, Scenario and Guarantees";
    breach(told, "a/src/b.rs", "/// Scenario: only half.\n#[test]\nfn half() {}", expect);
    let whole = "/// Scenario: a\n/// Guarantees: b,\n/// and c.\n#[expect(dead_code)]\n#[tokio::test(start_paused = true)]";
    assert!(told(&File::new("a/src/b.rs", whole)).is_empty());
    hold(told, &[".rs"]);
}

fn ignored(file: &File) -> Vec<String> {
    on_lines(file, file.lines(), |line| {
        let is_ignored = line.trim_start().starts_with("#[ignore");
        is_ignored.then(|| "an ignored test: run it, or assert what is wrong today".to_owned())
    })
}

/// Scenario: tests that are switched off.
/// Guarantees: there are none; what cannot run says so in a visible line.
#[test]
fn no_test_is_ignored() {
    let expect = "a/src/b.rs:2: an ignored test: run it, or assert what is wrong today";
    breach(ignored, "a/src/b.rs", "#[test]\n#[ignore]", expect);
    hold(ignored, &[".rs"]);
}

fn sleeps(file: &File) -> Vec<String> {
    let words = ["thread::sleep", "time::sleep"];
    on_words(file, file.test_lines(), &words, "poll a condition with a deadline")
}

/// Scenario: test code that waits by the clock.
/// Guarantees: there is none, so no test is slower than it must be or fails on a slow machine.
#[test]
fn tests_do_not_sleep() {
    let expect = "a/src/tests.rs:1: thread::sleep: poll a condition with a deadline";
    breach(sleeps, "a/src/tests.rs", "std::thread::sleep(second);", expect);
    let tail = "tokio::time::sleep(due)\n#[cfg(test)]\nmod tests {\ntokio::time::sleep(due)";
    breach(
        sleeps,
        "a/src/b.rs",
        tail,
        "a/src/b.rs:4: time::sleep: poll a condition with a deadline",
    );
    hold(sleeps, &[".rs"]);
}

// === manifests and views ===

fn lints(file: &File) -> Vec<String> {
    let complaint = |what: &str| vec![format!("{}: {what}", file.path)];
    if !file.text.contains("[lints]\nworkspace = true\n") {
        return complaint("does not take the lints of the workspace");
    }
    if file.text.contains("[workspace]") && !file.text.contains("unsafe_code = \"forbid\"\n") {
        return complaint("does not forbid unsafe code");
    }
    Vec::new()
}

/// Scenario: the manifest of each package.
/// Guarantees: all have the same lints, and unsafe code is forbidden, which no file can take back.
#[test]
fn packages_share_their_lints() {
    breach(
        lints,
        "a/Cargo.toml",
        "[package]\n",
        "a/Cargo.toml: does not take the lints of the workspace",
    );
    let root = "[workspace]\n[lints]\nworkspace = true\n";
    breach(lints, "Cargo.toml", root, "Cargo.toml: does not forbid unsafe code");
    hold(lints, &["Cargo.toml"]);
}

fn views(file: &File) -> Vec<String> {
    let says = !file.path.contains("/views/") || file.text.starts_with("-- One row for each ");
    let complaint = || format!("{}: does not open with `-- One row for each`", file.path);
    (!says).then(complaint).into_iter().collect()
}

/// Scenario: the first line of each view.
/// Guarantees: it says what one row is.
#[test]
fn views_say_what_a_row_is() {
    let expect = "a/views/b.sql: does not open with `-- One row for each`";
    breach(views, "a/views/b.sql", "SELECT 1", expect);
    hold(views, &[".sql"]);
}

// === documents ===

/// Whether `word` is a path from the root of the repository, and no pattern of paths.
fn is_path(word: &str) -> bool {
    const FOLDERS: &[&str] = &[
        "schemas",
        "ingest",
        "correlate",
        "detect",
        "fixtures",
        "src",
        "tests",
        "e2e",
        "deploy",
        "docs",
    ];
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    word.split_once('/').is_some_and(|(folder, _)| FOLDERS.contains(&folder))
        && word.chars().all(is_plain)
}

/// What a line of Markdown names: paths in backticks from the root, links from where the page is.
fn named(page: &str, line: &str) -> Vec<String> {
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let quoted = line.split('`').skip(1).step_by(2).filter(|word| is_path(word)).map(str::to_owned);
    let links = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    let links = links.filter(|link| !link.is_empty() && !link.contains("://"));
    quoted.chain(links.map(|link| format!("{folder}/{link}"))).collect()
}

fn documents(file: &File) -> Vec<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let lines = file.lines().flat_map(|(number, line)| {
        named(&file.path, line).into_iter().map(move |name| (number, name))
    });
    let missing = lines.filter(|(_, name)| !root.join(name.trim_start_matches('/')).exists());
    missing.map(|(number, name)| format!("{}:{number}: there is no {name}", file.path)).collect()
}

/// Scenario: every path and link in every page.
/// Guarantees: what a page names is there, so that its reader can follow.
#[test]
fn documents_name_what_is_there() {
    let expect = "docs/a.md:2: there is no src/gone.rs";
    breach(documents, "docs/a.md", "See `src/main.rs`, `src/*.rs`.\n`src/gone.rs`", expect);
    let expect = "docs/a.md:1: there is no docs/gone.md";
    breach(
        documents,
        "docs/a.md",
        "[here](gone.md#part), [there](../README.md), [far](https://x.y)",
        expect,
    );
    hold(documents, &[".md"]);
}
