//! Where the state begins: the newest checkpoint that lake and log bear out.

use std::collections::BTreeMap;

use durward_correlate::Correlator;
use durward_detect::{Detection, Settings};
use durward_schemas::Time;
use durward_schemas::ids::LogPosition;
use durward_schemas::record::Loss;

use crate::checkpoint::{self, Checkpoint};
use crate::store::Store;

/// Tables whose rows come from the log alone; those of others are made from them.
const SOURCES: [&str; 7] =
    ["accesses", "objects", "spans", "logs", "metrics", "rejects", "source_counters"];

/// The state that is begun with, and what was found missing.
pub(super) struct Begun {
    pub(super) state: Checkpoint,
    pub(super) losses: Vec<Loss>,
    pub(super) witness: Witness,
}

/// What is known of the completeness of the lake's tables.
#[derive(Debug, Default)]
pub(super) struct Witness {
    /// Up to where each table that holds something is complete, as its commits say. What it held beyond would
    /// be gone without a trace, but for the checkpoints.
    now: BTreeMap<String, LogPosition>,
    /// The position of the newest checkpoint that reads back, and up to where each table was complete then.
    then: Option<(LogPosition, BTreeMap<String, LogPosition>)>,
}

impl Witness {
    /// The tables that may lack rows at positions up to `last` which come from the log alone, and up to where
    /// they hold them.
    pub(super) fn short(&self, last: LogPosition) -> Vec<(&str, LogPosition)> {
        let is_borne_out = |table: &str, now: LogPosition| {
            let then = self.then.as_ref().filter(|(position, _)| *position >= last);
            then.is_some_and(|(_, tables)| tables.get(table).is_none_or(|then| *then <= now))
        };
        let sources = self.now.iter().filter(|(table, _)| SOURCES.contains(&table.as_str()));
        let short = sources.filter(|(table, now)| **now < last && !is_borne_out(table, **now));
        short.map(|(table, now)| (table.as_str(), *now)).collect()
    }
}

/// The state before the first record that is to be taken.
pub(super) fn begin(store: &Store) -> anyhow::Result<Begun> {
    let correlate = durward_correlate::Settings::default();
    let mut losses = missing(store);
    let coverage = store.lake.coverage();
    let mut witness = Witness { now: coverage.clone(), then: None };
    let mut held = BTreeMap::new();
    let mut chosen = None;
    for found in checkpoint::load(&store.dir.checkpoints(), correlate)? {
        match found {
            Ok(found) => {
                let short = short(&found.header.tables, &coverage);
                witness.then.get_or_insert((found.state.position, found.header.tables));
                if short.is_empty() {
                    chosen = Some(found.state);
                    break;
                }
                for (table, end) in short {
                    held.entry(table).or_insert(end);
                }
            }
            Err(why) => losses.push(Loss {
                part: "checkpoints".into(),
                text: format!("{why}: it is passed over, and the state is made from what is left"),
                is_lasting: false,
            }),
        }
    }
    for table in store.lake.made() {
        let is_known = chosen.is_some() || held.contains_key(table);
        if !is_known {
            losses.push(made(table));
        }
    }
    let covered = |table: &str| coverage.get(table).copied().unwrap_or(0);
    losses.extend(
        held.iter().map(|(table, end)| fell_short(table, covered(table), *end, store.log.first())),
    );
    let state = match chosen {
        Some(state) => state,
        None => Checkpoint {
            position: 0,
            correlator: Correlator::new(correlate),
            detection: Detection::new(Settings::default())?,
        },
    };
    Ok(Begun { state, losses, witness })
}

/// What directory and log say is missing.
fn missing(store: &Store) -> Vec<Loss> {
    let mut losses = store.dir.missing().to_vec();
    losses.extend(store.damaged.iter().cloned());
    losses.extend(store.log.missing().map(|missing| Loss {
        part: "log".into(),
        text: format!(
            "{} is missing: the lake holds what it held up to position {}; whatever it held beyond is lost, and how much that is, nobody knows",
            missing.what, store.known
        ),
        is_lasting: true,
    }));
    losses.extend(store.log.clock_ahead().map(clock_ahead));
    losses
}

fn clock_ahead(last: Time) -> Loss {
    Loss {
        part: "clock".into(),
        text: format!(
            "the last record was recorded at {last}, which is later than now: the clock was wrong then, or is now; rows of that run are kept under its dates"
        ),
        is_lasting: false,
    }
}

/// The tables that held more when a checkpoint was made than they hold now, and up to where.
fn short(
    then: &BTreeMap<String, LogPosition>,
    now: &BTreeMap<String, LogPosition>,
) -> Vec<(String, LogPosition)> {
    let is_short =
        |(table, end): &(&String, &LogPosition)| now.get(*table).is_none_or(|now| now < *end);
    then.iter().filter(is_short).map(|(table, end)| (table.clone(), *end)).collect()
}

fn made(table: &str) -> Loss {
    Loss {
        part: "lake".into(),
        text: format!(
            "table {table} was missing and was made anew, with what the log and other tables still say"
        ),
        is_lasting: SOURCES.contains(&table),
    }
}

/// A table that held rows up to `end` and holds them up to `covered`, with a log that begins at `first`.
fn fell_short(table: &str, covered: LogPosition, end: LogPosition, first: LogPosition) -> Loss {
    let lost = covered + 1..=end.min(first - 1);
    let is_source = SOURCES.contains(&table);
    let gone = match (is_source, lost.is_empty()) {
        (_, true) => "they are written again from the log".to_owned(),
        (true, false) => format!(
            "those up to position {} are lost, and the others are written again from the log",
            lost.end()
        ),
        (false, false) => "they are made again from the accesses".to_owned(),
    };
    let is_lasting = is_source && !lost.is_empty();
    let text =
        format!("table {table} lost its rows from position {} to {end}: {gone}", covered + 1);
    Loss { part: "lake".into(), text, is_lasting }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: tables that end before a gap does, without a checkpoint, with one behind the gap, with one that
    /// knew one of the tables to hold more, and with one from before the gap.
    /// Guarantees: a table is complete only if a checkpoint says so.
    #[test]
    fn tables_are_complete_as_far_as_checkpoints_bear_out() {
        let tables = |accesses: LogPosition| {
            let tables = [("accesses", accesses), ("changes", 40), ("spans", 900)];
            BTreeMap::from(tables.map(|(name, end)| (name.to_owned(), end)))
        };
        let check = |then: Option<(LogPosition, LogPosition)>, expected: &[(&str, LogPosition)]| {
            let then = then.map(|(position, accesses)| (position, tables(accesses)));
            assert_eq!(Witness { now: tables(50), then }.short(600), expected);
        };
        check(None, &[("accesses", 50)]);
        check(Some((700, 50)), &[]);
        check(Some((700, 60)), &[("accesses", 50)]);
        check(Some((500, 50)), &[("accesses", 50)]);
    }

    /// Scenario: a table that a checkpoint knew to hold rows up to 300 holds less, with logs that begin at once, in
    /// the middle and behind; a table whose rows are made from others.
    /// Guarantees: what is told as lost is what no part holds any more.
    #[test]
    fn what_no_part_holds_is_lost() {
        let check =
            |table: &str, covered: LogPosition, first: LogPosition, expected: Option<&str>| {
                let loss = fell_short(table, covered, 300, first);
                assert_eq!(loss.is_lasting, expected.is_some(), "{}", loss.text);
                assert!(loss.text.contains(expected.unwrap_or("again")), "{}", loss.text);
            };
        check("accesses", 0, 1, None);
        check("accesses", 100, 101, None);
        check("accesses", 100, 150, Some("those up to position 149 are lost"));
        check("accesses", 0, 400, Some("those up to position 300 are lost"));
        check("findings_versions", 0, 400, None);
    }
}
