//! Parts of a data directory that are lost, damaged or older copies: what is acknowledged afterwards is in the lake,
//! once, and what was lost is named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{Place, scenario};

/// What can become of one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    /// As it was after the first quarter of the story.
    Older,
    Missing,
    /// One bit of every file is turned, in its middle.
    Damaged,
}

use Fate::{Damaged, Kept, Missing, Older};

/// The parts, with what is done to each.
const PARTS: [(&str, &[Fate]); 6] = [
    ("log", &[Kept, Older, Missing, Damaged]),
    ("checkpoints", &[Kept, Older, Missing, Damaged]),
    ("lake/accesses", &[Kept, Older, Missing]),
    ("lake/changes", &[Kept, Missing]),
    ("format.json", &[Kept, Missing, Damaged]),
    ("keys", &[Kept, Missing]),
];

/// How many combinations are tried where nobody asks for all of them.
const FEW: usize = 12;

/// One fate for each part.
type Combination = [Fate; PARTS.len()];

/// The combination with this number, and how many there are.
fn combination(mut number: usize) -> Combination {
    let mut fates = [Kept; PARTS.len()];
    for (fate, (_, possible)) in fates.iter_mut().zip(PARTS) {
        *fate = possible[number % possible.len()];
        number /= possible.len();
    }
    fates
}

fn number_of_combinations() -> usize {
    PARTS.iter().map(|(_, possible)| possible.len()).product()
}

/// Copies a file or a directory.
fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("a directory");
        for entry in fs::read_dir(from).expect("a directory") {
            let entry = entry.expect("an entry");
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else if from.is_file() {
        fs::copy(from, to).expect("a copy");
    }
}

fn remove(path: &Path) {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.expect("it was there");
}

/// Every file below `path`.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).expect("a directory");
    entries.flat_map(|entry| files(&entry.expect("an entry").path())).collect()
}

fn apply(fate: Fate, now: &Path, before: &Path) {
    match fate {
        Kept => {}
        Missing => remove(now),
        Older => {
            remove(now);
            copy(before, now);
        }
        Damaged => {
            for file in files(now) {
                let mut bytes = fs::read(&file).expect("a file");
                let middle = bytes.len() / 2;
                bytes[middle] ^= 4;
                fs::write(&file, bytes).expect("a file");
            }
        }
    }
}

/// The audit ids of some lines of the story, of those rows that the lake has once, and whether any is there twice.
fn ids(lines: &[String]) -> BTreeSet<String> {
    let id = |line: &String| {
        let event: Value = serde_json::from_str(line).expect("an event");
        format!(
            "{} {}",
            event["auditID"].as_str().unwrap_or_default(),
            event["stage"].as_str().unwrap_or_default()
        )
    };
    lines.iter().map(id).collect()
}

fn found(place: &Place) -> Vec<String> {
    let rows = place.query("SELECT source_event_id, stage FROM accesses");
    let text = |row: &Value, column: &str| row[column].as_str().unwrap_or_default().to_owned();
    rows.iter()
        .map(|row| format!("{} {}", text(row, "source_event_id"), text(row, "stage")))
        .collect()
}

/// A story in a directory: a copy of it after the first quarter and after the first half, and the second half as a file.
struct Story {
    place: Place,
    cluster: String,
    first: BTreeSet<String>,
    second: BTreeSet<String>,
}

impl Story {
    fn begin() -> Self {
        let story = scenario("minted-for-another");
        let cluster = story.expectation().expect("an expectation").cluster;
        let lines: Vec<String> =
            story.audit_lines().expect("lines").iter().map(|line| (*line).clone()).collect();
        let half = lines.len() / 2;
        let place = Place::new();
        for (name, part) in
            [("1", &lines[..half / 2]), ("2", &lines[half / 2..half]), ("3", &lines[half..])]
        {
            fs::write(place.path(name), part.join("\n")).expect("a file");
        }
        place.ingest_paths(&cluster, &[&place.path("1")]);
        copy(&place.data(), &place.path("older"));
        place.ingest_paths(&cluster, &[&place.path("2")]);
        copy(&place.data(), &place.path("newer"));
        Self { place, cluster, first: ids(&lines[..half]), second: ids(&lines[half..]) }
    }

    /// What became of the parts, then the second half of the story.
    fn check(&self, fates: Combination) {
        let place = &self.place;
        remove(&place.data());
        copy(&place.path("newer"), &place.data());
        for (fate, (part, _)) in fates.into_iter().zip(PARTS) {
            apply(fate, &place.data().join(part), &place.path("older").join(part));
        }
        place.ingest_paths(&self.cluster, &[&place.path("3")]);
        let rows = found(place);
        let distinct: BTreeSet<String> = rows.iter().cloned().collect();
        assert_eq!(rows.len(), distinct.len(), "{fates:?}: rows are there twice");
        let lost: Vec<_> = self.second.difference(&distinct).collect();
        assert!(lost.is_empty(), "{fates:?}: acknowledged and not in the lake: {lost:?}");
        let told = fs::read(place.data().join("losses.json"))
            .unwrap_or_else(|_| br#"{"notes":[]}"#.to_vec());
        let told: Value = serde_json::from_slice(&told).expect("JSON");
        let told = told["notes"].as_array().expect("notes");
        if !self.first.is_subset(&distinct) {
            let named = told.iter().any(|loss| loss["is_lasting"] == true);
            assert!(named, "{fates:?}: rows are lost and nobody says so: {told:?}");
        }
        // Checkpoints may go without anything being lost, damage of a log that they cover is read by nobody, and
        // where nothing else is left to say so, a table may go unnoticed but is written again.
        let is_worth_telling = |(fate, (part, _)): (Fate, (&str, _))| match part {
            "log" => matches!(fate, Older | Missing),
            "format.json" | "keys" => fate != Kept,
            _ => false,
        };
        let must_be = fates.into_iter().zip(PARTS).any(is_worth_telling);
        assert!(!must_be || !told.is_empty(), "{fates:?}: nobody says what was lost");
        let is_calm = fates.iter().all(|fate| *fate == Kept);
        assert!(!is_calm || told.is_empty(), "{told:?}");
    }
}

/// Scenario: each part of a directory by itself, then some combinations of all parts, is lost, damaged or an older
/// copy, between two halves of a story. `DURWARD_PROVE=all` tries all combinations.
/// Guarantees: every event that is taken afterwards is in the lake, no event is there twice, and where rows are gone
/// a loss that lasts is told.
#[test]
fn whatever_is_lost_later_events_are_kept_and_losses_are_named() {
    let story = Story::begin();
    let all = number_of_combinations();
    let mut alone = Vec::new();
    for (at, (_, possible)) in PARTS.iter().enumerate() {
        for fate in *possible {
            let mut fates = [Kept; PARTS.len()];
            fates[at] = *fate;
            alone.push(fates);
        }
    }
    alone.dedup();
    // A step that shares no divisor with the number of combinations visits each of them.
    let step = (all / FEW..all).find(|step| gcd(*step, all) == 1).expect("a step");
    let wanted = if std::env::var_os("DURWARD_PROVE").is_some() { all } else { FEW };
    let some = (0..wanted).map(|at| combination((at * step + 7) % all));
    for fates in alone.into_iter().chain(some) {
        story.check(fates);
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Scenario: a bit is turned in a file of rows and in a commit of the lake, and a file is gone.
/// Guarantees: `doctor --verify` names each file and exits with 1; before that it says that all is as it was written;
/// a start tells of the file too.
#[test]
fn damaged_files_of_the_lake_are_named() {
    let place = Place::new();
    let story = scenario("minted-for-another");
    place.ingest(story);
    let calm = place.run(&["doctor", "--verify"]);
    assert!(
        calm.code == 0 && calm.out.contains("files of the lake are what was written"),
        "{}",
        calm.out
    );
    let parquet = |table: &str| {
        let mut files = files(&place.data().join("lake").join(table));
        files.retain(|file| file.extension().is_some_and(|extension| extension == "parquet"));
        files.remove(0)
    };
    let damaged = parquet("accesses");
    apply(Damaged, &damaged, &damaged);
    let gone = parquet("changes");
    remove(&gone);
    let said = place.run(&["doctor", "--verify", "-o", "json"]);
    let text =
        |path: &Path| path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    for file in [&damaged, &gone] {
        assert!(said.out.contains(&text(file)), "{}", said.out);
    }
    let [state, _] = place.files(story);
    place.ingest_paths("another", &[&state]);
    let told = fs::read_to_string(place.data().join("losses.json")).expect("losses");
    assert!(told.contains(&text(&damaged)) && told.contains(&text(&gone)), "{told}");
}
