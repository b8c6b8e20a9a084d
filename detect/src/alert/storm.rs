//! What is told next of all that is due: the gravest, of equals what there is little of; many of one sort are one
//! digest.
//!
//! So whoever opens very many incidents keeps nothing else from being told, and people are told of all of his at
//! once.

use std::collections::BTreeMap;

use durward_schemas::ids::IncidentId;

use crate::alert::{Alert, Due, Kind, Story};
use crate::escape::{query, shortened};
use crate::sentence::count;

/// So many messages at a time can be read. Of more, those of one sort are one message.
const STORM: usize = 10;

/// So many of one sort are a digest in a storm.
const MANY: usize = 3;

/// Those who did it, of whom a digest names the first and the last: whoever came first may want to be all there is.
const MOST_NAMED: usize = 16;

/// Characters of one name.
const NAME: usize = 60;

/// One message, and the incidents that it tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What is shown.
    pub alert: Alert,
    /// Which attempt it is, from 1.
    pub attempt: i64,
    /// The versions of incidents that are told by it.
    pub dues: Vec<Due>,
}

/// The next message: to be asked again after each, since something graver may have come.
#[must_use]
pub fn next(due: Vec<Due>) -> Option<Message> {
    let is_storm = due.len() > STORM;
    let mut sorts: BTreeMap<(i64, String), Vec<Due>> = BTreeMap::new();
    for due in due {
        let sort = (-due.alert.severity_id, due.alert.story.title.clone());
        sorts.entry(sort).or_default().push(due);
    }
    let gravest = sorts.first_key_value().map(|((severity, _), _)| *severity)?;
    let gravest = sorts.into_iter().filter(|((severity, _), _)| *severity == gravest);
    let position = |due: &Due| due.alert.log_position;
    let mut least = gravest
        .map(|(_, dues)| dues)
        .min_by_key(|dues| (dues.len(), dues.iter().map(position).min()))?;
    least.sort_by_key(position);
    if is_storm && least.len() >= MANY {
        return digest(least);
    }
    let first = least.into_iter().next()?;
    Some(Message { alert: first.alert.clone(), attempt: first.attempt, dues: vec![first] })
}

/// Many incidents of one sort: the argument of the first, and who else it is about.
fn digest(dues: Vec<Due>) -> Option<Message> {
    let alerts: Vec<&Alert> = dues.iter().map(|due| &due.alert).collect();
    let (first, last) = (*alerts.first()?, *alerts.last()?);
    let number = i64::try_from(alerts.len()).unwrap_or(i64::MAX);
    let total = |of: fn(&Alert) -> i64| alerts.iter().map(|alert| of(alert)).sum();
    let mut kinds: BTreeMap<&str, i64> = BTreeMap::new();
    for kind in alerts.iter().flat_map(|alert| &alert.kinds) {
        *kinds.entry(&kind.title).or_default() += kind.count;
    }
    let mut kinds: Vec<Kind> =
        kinds.into_iter().map(|(title, count)| Kind { title: title.into(), count }).collect();
    kinds.sort_by_key(|kind| -kind.count);
    let mut names: Vec<String> =
        alerts.iter().map(|alert| shortened(&alert.story.who, NAME)).collect();
    names.dedup();
    let left_out = names.len().saturating_sub(MOST_NAMED);
    if left_out > 0 {
        names.splice(MOST_NAMED / 2..MOST_NAMED / 2 + left_out, [format!("{left_out} others")]);
    }
    let story = Story {
        title: format!("{number} incidents: {}", first.story.title),
        who: names.join("; "),
        next_step: query(&format!(
            "SELECT opened_time, identity, title, incident_id FROM incidents WHERE opened_time >= '{}' ORDER BY opened_time",
            alerts.iter().map(|alert| alert.first_time).min()?
        )),
        ..first.story.clone()
    };
    let alert = Alert {
        incident_id: IncidentId(format!(
            "{} and {}",
            first.incident_id,
            count(number - 1, "other")
        )),
        first_time: alerts.iter().map(|alert| alert.first_time).min()?,
        last_time: alerts.iter().map(|alert| alert.last_time).max()?,
        finding_count: total(|alert| alert.finding_count),
        event_count: total(|alert| alert.event_count),
        kinds,
        log_position: last.log_position,
        cluster: first
            .cluster
            .clone()
            .filter(|_| alerts.iter().all(|alert| alert.cluster == first.cluster)),
        story,
        ..first.clone()
    };
    let attempt = dues.iter().map(|due| due.attempt).max()?;
    Some(Message { alert, attempt, dues })
}

#[cfg(test)]
mod tests {
    use durward_schemas::Time;

    use super::*;
    use crate::alert::{sample, slack, text};

    fn due(position: i64, severity_id: i64, title: &str, who: &str) -> Due {
        let mut alert = sample::alert();
        alert.incident_id = IncidentId(format!("i{position}"));
        alert.log_position = position;
        alert.first_time = Time(position);
        alert.severity_id = severity_id;
        alert.story.title = title.into();
        alert.story.who = who.into();
        Due { alert, attempt: 1 }
    }

    /// Titles of all messages, one after the other, with the number of incidents.
    fn told(mut due: Vec<Due>) -> Vec<(String, usize)> {
        let mut told = Vec::new();
        while let Some(message) = next(due.clone()) {
            due.retain(|due| !message.dues.contains(due));
            told.push((message.alert.story.title, message.dues.len()));
        }
        told
    }

    /// Scenario: a few incidents; then four hundred of one sort before one of another, one that is graver, and two of
    /// a third.
    /// Guarantees: few are told one by one, the gravest first; of a storm, what is graver and what there is little of
    /// comes first, and all of the storm is one message.
    #[test]
    fn a_storm_hides_nothing() {
        let few = vec![due(1, 4, "a", "x"), due(2, 5, "b", "x"), due(3, 4, "a", "y")];
        let one = |title: &str| (title.to_owned(), 1);
        assert_eq!(told(few), [one("b"), one("a"), one("a")]);
        let mut many: Vec<Due> =
            (0..400).map(|at| due(at, 4, "storm", &format!("s{at}"))).collect();
        many.extend([due(401, 4, "new", "x"), due(402, 5, "graver", "x")]);
        many.extend([due(403, 4, "two", "x"), due(404, 4, "two", "y")]);
        let storm = ("400 incidents: storm".to_owned(), 400);
        assert_eq!(told(many), [one("graver"), one("new"), one("two"), one("two"), storm]);
    }

    /// Scenario: a digest of incidents of many, the last of somebody else in another cluster.
    /// Guarantees: first and last are named, the others counted, and it is shown within the bounds of Slack.
    #[test]
    fn a_digest_names_the_first_and_the_last() {
        let mut many: Vec<Due> = (0..400)
            .map(|at| due(at, 4, "storm", &format!("attacker {at} {}", "x".repeat(500))))
            .collect();
        let mut last = due(401, 4, "storm", "victim");
        last.alert.cluster = Some("other".into());
        many.push(last);
        let message = next(many).expect("a message");
        let who = &message.alert.story.who;
        assert!(who.starts_with("attacker 0 ") && who.ends_with("; victim"), "{who}");
        assert!(who.contains("; 385 others; "), "{who}");
        assert_eq!((message.alert.cluster.clone(), message.alert.event_count), (None, 401 * 7));
        let shown = slack::render(&message.alert).to_string();
        assert!(shown.chars().count() < 13_000);
        assert!(text::render(&message.alert).contains("SELECT opened_time"));
    }
}
