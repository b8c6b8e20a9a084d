use std::io::Write;

use super::*;
use crate::alert::sample;

const S: i64 = SECOND;

/// An outbox in a directory of its own, with a clock that the test turns.
struct Box {
    directory: tempfile::TempDir,
    outbox: Outbox,
}

impl Box {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let outbox = Outbox::open(directory.path(), Pace::default()).expect("an outbox");
        Self { directory, outbox }
    }

    /// What a crash leaves: the file, and nothing else.
    fn reopen(self) -> Self {
        let Self { directory, outbox } = self;
        drop(outbox);
        let outbox = Outbox::open(directory.path(), Pace::default()).expect("an outbox");
        Self { directory, outbox }
    }

    fn owe(&mut self, version: i64, severity_id: i64, at: i64) {
        let alert = alert(version, severity_id);
        self.outbox.owe(&[alert], Time(at)).expect("it can be written");
    }

    fn settle(&mut self, version: i64, outcome: &str, wait: Option<f64>, at: i64) {
        let delivery = Delivery {
            time: Time(at),
            incident_id: alert(version, 4).incident_id,
            log_position: version * 10,
            outcome: outcome.into(),
            retry_after_seconds: wait,
            ..Delivery::default()
        };
        self.outbox.settle(&delivery).expect("it can be written");
    }

    /// Versions and attempts that are due at `at`.
    fn check(&self, at: i64, expected: &[(i64, i64)]) {
        let due = self.outbox.due(Time(at));
        let due: Vec<_> = due.iter().map(|due| (due.alert.version, due.attempt)).collect();
        assert_eq!(due, expected, "at {} s", at / S);
    }
}

fn alert(version: i64, severity_id: i64) -> Alert {
    Alert { version, severity_id, log_position: version * 10, ..sample::alert() }
}

/// Scenario: three versions of an incident while the first waits for more.
/// Guarantees: one message, about the latest; nothing twice when the log is replayed; all of it after a crash.
#[test]
fn one_message_speaks_for_all_that_waited() {
    let mut it = Box::new();
    it.owe(1, 4, 0);
    it.owe(2, 4, 10 * S);
    it.check(29 * S, &[]);
    assert_eq!(it.outbox.next_due(), Some(Time(30 * S)));
    let mut it = it.reopen();
    it.owe(3, 4, 20 * S);
    it.owe(2, 4, 21 * S);
    it.check(30 * S, &[(3, 1)]);
    it.settle(3, "delivered", None, 31 * S);
    it.check(i64::MAX, &[]);
    let mut it = it.reopen();
    it.owe(3, 4, 40 * S);
    it.check(i64::MAX, &[]);
    assert_eq!((it.outbox.position(), it.outbox.waiting()), (30, 0));
}

/// Scenario: an incident goes on after it was told, becomes graver, and is taken back.
/// Guarantees: counts wait for hours, gravity does not, and whoever was told hears that it was wrong.
#[test]
fn what_was_told_is_not_told_again_without_need() {
    let mut it = Box::new();
    it.owe(1, 4, 0);
    it.settle(1, "delivered", None, 30 * S);
    it.owe(2, 4, 60 * S);
    it.check(HOUR, &[]);
    it.check(4 * HOUR + 30 * S, &[(2, 1)]);
    it.owe(3, 5, 61 * S);
    it.check(90 * S, &[(3, 1)]);
    it.settle(3, "delivered", None, 90 * S);
    it.owe(4, 1, 100 * S);
    it.check(130 * S, &[(4, 1)]);
    let mut never_told = Box::new();
    never_told.owe(1, 1, 0);
    never_told.check(i64::MAX, &[]);
}

/// Scenario: something grave of another sort joins an incident that was told.
/// Guarantees: it is told as soon as what just came is grouped, whatever was told before; after the interval where
/// one is set.
#[test]
fn another_sort_does_not_wait() {
    let mut it = Box::new();
    it.owe(1, 4, 0);
    it.settle(1, "delivered", None, 30 * S);
    let more = Alert { grave_sorts: 2, ..alert(2, 4) };
    it.outbox.owe(&[more], Time(60 * S)).expect("it can be written");
    it.check(89 * S, &[]);
    it.check(90 * S, &[(2, 1)]);
    it.outbox.pace.group_interval = 5 * MINUTE;
    it.check(5 * MINUTE + 29 * S, &[]);
    it.check(5 * MINUTE + 30 * S, &[(2, 1)]);
}

/// Scenario: a version that comes while an earlier one is under way.
/// Guarantees: it is not lost when the earlier one is delivered.
#[test]
fn what_came_meanwhile_still_waits() {
    let mut it = Box::new();
    it.owe(1, 4, 0);
    it.owe(2, 5, 31 * S);
    it.settle(1, "delivered", None, 32 * S);
    it.check(61 * S, &[]);
    it.check(62 * S, &[(2, 1)]);
}

/// Scenario: answers that ask to wait, failures, and a refusal for good.
/// Guarantees: nobody is asked before the time; waits double; a refusal ends it until something new comes.
#[test]
fn failures_wait_and_refusals_end() {
    let mut it = Box::new();
    it.owe(1, 4, 0);
    it.settle(1, "retry", Some(7.0), 30 * S);
    let mut it = it.reopen();
    it.check(36 * S, &[]);
    it.check(37 * S, &[(1, 2)]);
    it.settle(1, "retry", None, 37 * S);
    it.check(38 * S, &[]);
    it.check(39 * S, &[(1, 3)]);
    it.settle(1, "refused", None, 39 * S);
    it.check(i64::MAX, &[]);
    assert_eq!(it.outbox.refused(), 1);
    it.owe(2, 4, 50 * S);
    it.check(80 * S, &[(2, 3)]);
    for _ in 0..80 {
        it.settle(2, "retry", None, 80 * S);
    }
    it.check(80 * S + 5 * MINUTE, &[(2, 83)]);
}

/// Scenario: the file cut here and there, and with a broken byte in its last line.
/// Guarantees: what was whole before is there, what is written afterwards is read back.
#[test]
fn a_cut_tail_is_dropped() {
    let mut it = Box::new();
    it.owe(1, 4, 0);
    let path = it.directory.path().join("outbox-1.jsonl");
    let before = std::fs::read(&path).expect("a file");
    it.owe(2, 4, 0);
    let whole = std::fs::read(&path).expect("a file");
    for cut in (before.len()..whole.len()).step_by(23) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("outbox-1.jsonl");
        let mut bytes = whole.get(..cut).expect("a part").to_vec();
        if cut % 2 == 0 {
            bytes.push(0xff);
        }
        std::fs::write(&path, bytes).expect("it can be written");
        let outbox = Outbox::open(directory.path(), Pace::default()).expect("an outbox");
        let mut cut_box = Box { directory, outbox };
        cut_box.owe(2, 4, 0);
        cut_box.reopen().check(i64::MAX, &[(2, 1)]);
    }
}

/// Scenario: a log that is replayed although its outbox was lost.
/// Guarantees: what is skipped is told to nobody, what comes later is.
#[test]
fn what_is_skipped_is_not_told() {
    let mut it = Box::new();
    it.outbox.skip_to(10).expect("it can be written");
    it.owe(1, 4, 0);
    it.check(i64::MAX, &[]);
    it.owe(2, 4, 0);
    it.reopen().check(i64::MAX, &[(2, 1)]);
}

/// Scenario: a directory that is a file.
/// Guarantees: an error that says what was attempted and where.
#[test]
fn errors_say_where() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(b"x").expect("it can be written");
    let error = Outbox::open(file.path(), Pace::default()).expect_err("it is no directory");
    assert!(error.to_string().starts_with("opening the outbox in "), "{error}");
}
