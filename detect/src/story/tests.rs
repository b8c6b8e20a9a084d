use durward_schemas::tables::Finding;
use durward_schemas::time::{HOUR, MINUTE};

use super::*;
use crate::finding::More;

/// A finding of medium severity by a judge, with what it shares, at a time.
fn finding(judge: &str, anchor: &str, shared: &[&str], time: i64) -> Known {
    let row = Finding {
        finding_id: format!("{judge} {anchor}").into(),
        detector: "sigma".into(),
        rule_id: Some(judge.into()),
        severity_id: severity::MEDIUM,
        ..Finding::default()
    };
    let more = More {
        story: Some(shared.first().copied().unwrap_or_default().to_owned()),
        shared: shared.iter().map(|key| (*key).to_owned()).collect(),
        anchor: anchor.into(),
        habit: format!("{judge} of {shared:?}"),
        first_time: time,
        last_time: time,
        ..More::default()
    };
    Known { row, more }
}

fn with(known: Known, change: impl FnOnce(&mut Known)) -> Known {
    let mut known = known;
    change(&mut known);
    known
}

fn tell(stories: &mut Stories, known: &Known) -> Verdict {
    let (owner, habit) = (known.owner(), known.more.habit.clone());
    stories.learn(None, owner, habit, EventRole::Anchor, known.more.last_time);
    stories.verdict(known, &Settings::default())
}

/// Whether the second of two findings opens an incident with the first, in either order.
fn check(first: &Known, second: &Known, expected: bool) {
    for (first, second) in [(first, second), (second, first)] {
        let mut stories = Stories::default();
        assert_eq!(tell(&mut stories, first), Verdict::Alone);
        let opened = if expected {
            Verdict::Opens(vec![first.row.finding_id.clone()])
        } else {
            Verdict::Alone
        };
        assert_eq!(tell(&mut stories, second), opened, "{:?} {:?}", first.more, second.more);
    }
}

/// Scenario: pairs of findings of medium severity that share something or nothing, near and far, by
/// one or two judges, about one or two anchors.
/// Guarantees: two judges, two anchors, one credential, change or identity, one hour: else there is
/// no incident; learners and what is less than medium do not count. The order does not matter.
#[test]
fn pairs_open_incidents() {
    let first = || finding("secrets", "1", &["credential a", "change x", "identity i"], 0);
    check(&first(), &finding("exec", "2", &["credential a"], HOUR), true);
    check(&first(), &finding("exec", "2", &["credential b", "change x"], HOUR), true);
    check(&first(), &finding("exec", "2", &["identity i"], HOUR), true);
    check(&first(), &finding("exec", "2", &["credential a"], HOUR + 1), false);
    check(&first(), &finding("exec", "2", &["credential b", "change y", "identity j"], 0), false);
    check(&first(), &finding("secrets", "2", &["credential a"], 1), false);
    check(&first(), &finding("exec", "1", &["credential a"], 1), false);
    let learning = |known: &mut Known| known.row.state = FindingState::Learning;
    check(&first(), &with(finding("exec", "2", &["credential a"], 1), learning), false);
    let low = |known: &mut Known| known.row.severity_id = severity::LOW;
    check(&first(), &with(finding("exec", "2", &["credential a"], 1), low), false);
    let nobody = |known: &mut Known| known.more.story = None;
    check(&first(), &with(finding("exec", "2", &["credential a"], 1), nobody), false);
}

/// Scenario: what two findings of one identity are habits of, before they meet.
/// Guarantees: one of them has to be new; a finding of high severity opens alone and takes no habit with it.
#[test]
fn two_habits_are_no_incident() {
    let pair = |habits: &[&str], second: Known| {
        let mut stories = Stories::default();
        let first = finding("secrets", "1", &["identity i"], 10 * HOUR);
        for judge in habits {
            tell(
                &mut stories,
                &finding(
                    judge,
                    "before",
                    &["identity i"],
                    if *judge == "exec" { 0 } else { 2 * HOUR },
                ),
            );
        }
        tell(&mut stories, &first);
        tell(&mut stories, &second)
    };
    let exec = || finding("exec", "2", &["identity i"], 10 * HOUR + 1);
    let partner = || Verdict::Opens(vec!["secrets 1".into()]);
    assert_eq!(pair(&[], exec()), partner());
    assert_eq!(pair(&["exec"], exec()), partner());
    assert_eq!(pair(&["secrets"], exec()), partner());
    assert_eq!(pair(&["secrets", "exec"], exec()), Verdict::Alone);
    let high = || with(exec(), |known| known.row.severity_id = severity::HIGH);
    assert_eq!(pair(&[], high()), partner());
    assert_eq!(pair(&["secrets"], high()), Verdict::Opens(Vec::new()));
}

/// An incident of identity i that began at ten hours.
fn running(stories: &mut Stories) -> IncidentId {
    let mut opener = with(finding("owns", "0", &["i", "credential c"], 10 * HOUR), |known| {
        known.row.severity_id = severity::HIGH;
    });
    assert_eq!(tell(stories, &opener), Verdict::Opens(Vec::new()));
    stories.open(&mut opener)
}

/// Scenario: findings near an incident: of its identity, of a credential in it, of nobody in it; late;
/// and a nightly job of its identity that ran before the story began.
/// Guarantees: what is of the story joins; the habit is context, and what it does does not keep the
/// story running.
#[test]
fn a_story_is_joined_by_what_is_new() {
    let verdict = |known: Known| {
        let mut stories = Stories::default();
        let nightly = finding("nightly", "1", &["i"], 0);
        tell(&mut stories, &nightly);
        let incident = running(&mut stories);
        match tell(&mut stories, &known) {
            Verdict::Joins { incident: joined, .. } => {
                assert_eq!(joined, incident);
                "joins"
            }
            Verdict::Alone => "alone",
            Verdict::Opens(_) => "opens",
        }
    };
    let low = |known: &mut Known| known.row.severity_id = severity::LOW;
    let late = 16 * HOUR;
    assert_eq!(verdict(with(finding("exec", "2", &["i"], late), low)), "joins");
    assert_eq!(verdict(with(finding("exec", "2", &["i"], late + 1), low)), "alone");
    assert_eq!(verdict(with(finding("exec", "2", &["j", "credential c"], late), low)), "joins");
    assert_eq!(verdict(with(finding("exec", "2", &["j"], 10 * HOUR), low)), "alone");
    assert_eq!(verdict(finding("nightly", "2", &["i"], 10 * HOUR + MINUTE)), "alone");
    let high = |known: &mut Known| known.row.severity_id = severity::HIGH;
    assert_eq!(verdict(with(finding("nightly", "2", &["i"], 10 * HOUR + MINUTE), high)), "joins");
    let mut stories = Stories::default();
    let incident = running(&mut stories);
    let far = finding("exec", "2", &["i"], 16 * HOUR + 1);
    assert!(!stories.is_near(&far, &incident, 6 * HOUR));
}

/// Scenario: more findings of one credential than may wait.
/// Guarantees: the newest still wait, and what waits stays bounded.
#[test]
fn what_waits_is_bounded() {
    let mut stories = Stories::default();
    for time in 0..50 {
        tell(&mut stories, &finding("secrets", &time.to_string(), &["credential a"], time));
    }
    let waiting = stories.waiting.peek(&(String::new(), "credential a".into()));
    assert_eq!(waiting.map(Vec::len), Some(MOST_WAITING));
    let Verdict::Opens(partners) = tell(&mut stories, &finding("exec", "x", &["credential a"], 50))
    else {
        unreachable!("it pairs")
    };
    assert_eq!(partners.len(), MOST_WAITING);
}

/// Scenario: what of our own was lost is an incident, and somebody calls himself as its story is called.
/// Guarantees: nobody's deed joins it, and it joins nobody's story.
#[test]
fn a_loss_is_the_story_of_nobody() {
    let loss = || {
        with(finding("lost", "1", &[], 0), |known| {
            known.row.detector = blindness::NAME.into();
            known.row.severity_id = severity::HIGH;
            known.more.story = Some("durward".into());
        })
    };
    let deed = || {
        with(finding("owns", "2", &["durward"], 1), |known| {
            known.row.severity_id = severity::HIGH;
            known.row.identity = Some("durward".into());
        })
    };
    for (first, second) in [(loss(), deed()), (deed(), loss())] {
        let mut stories = Stories::default();
        let mut first = first;
        assert_eq!(tell(&mut stories, &first), Verdict::Opens(Vec::new()));
        stories.open(&mut first);
        assert_eq!(tell(&mut stories, &second), Verdict::Opens(Vec::new()));
    }
}
