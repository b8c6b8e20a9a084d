//! What is silenced: whether it can be, and until when.

use std::path::Path;

use durward_schemas::Time;

use super::{Config, Exemption};
use crate::failure::{Code, Failure};
use crate::rule_files;

/// Detectors that are no rules: `detect/src/detector`.
const DETECTORS: &[&str] = &[
    "blindness",
    "first_seen",
    "minted_for_another",
    "minted_later",
    "reused_audit_id",
    "sigma",
    "two_addresses",
];

/// The end of an exemption: a time of RFC 3339, or a date, at whose beginning (UTC) it ends.
pub(super) fn until(text: &str) -> Option<Time> {
    let is_date = text.len() == "2026-07-23".len();
    Time::parse(text)
        .or_else(|| is_date.then(|| Time::parse(&format!("{text}T00:00:00Z"))).flatten())
}

/// Refuses what would silence nothing, or for ever against what is written. `file` is where it was read from.
pub(super) fn check(config: &Config, file: Option<(&Path, &str)>) -> Result<(), Failure> {
    let exemptions = &config.detect.exemptions;
    for exemption in exemptions {
        let text = exemption.until.as_deref().filter(|text| until(text).is_none());
        if let Some(text) = text {
            let message = format!("detect.exemptions: until: {text} is no date and no time");
            return Err(refused(&message, file, "until", text).hint(
                "write 2026-12-31, or 2026-12-31T18:00:00Z; leave it out to silence for ever",
            ));
        }
    }
    let known = if exemptions.is_empty() { Vec::new() } else { names(config) };
    let unknown = |exemption: &&Exemption| !known.contains(&exemption.of);
    let Some(Exemption { of, .. }) = exemptions.iter().find(unknown) else { return Ok(()) };
    let message = format!("detect.exemptions: of: {of} is no detector and no rule");
    let near = |name: &String| strsim::jaro_winkler(of, name);
    let nearest = known.iter().max_by(|a, b| near(a).total_cmp(&near(b)));
    let nearest = nearest.filter(|name| near(name) > 0.7);
    let hint = nearest.map_or("`durward rules list` shows all".to_owned(), |name| {
        format!("did you mean {name}?")
    });
    Err(refused(&message, file, "of", of).hint(hint))
}

fn refused(message: &str, file: Option<(&Path, &str)>, key: &str, value: &str) -> Failure {
    let holds = |line: &str| {
        line.split_once(&format!("{key}:")).is_some_and(|(_, rest)| rest.contains(value))
    };
    let place = file.and_then(|(path, text)| {
        let line = text.lines().position(holds)? + 1;
        Some(format!("{}:{line}: ", path.display()))
    });
    Failure::new(Code::Config, anyhow::anyhow!("{}{message}", place.unwrap_or_default()))
}

/// Everything that can be silenced. Rule files that cannot be read are refused elsewhere.
fn names(config: &Config) -> Vec<String> {
    let built_in = durward_detect::rule::listed().into_iter().map(|rule| rule.id);
    let files = rule_files::read(&config.detect.rules).unwrap_or_default();
    let id = |line: &str| {
        line.trim().strip_prefix("id:").map(|id| id.trim().trim_matches(['"', '\'']).to_owned())
    };
    let own = files.iter().flat_map(|file| file.text.lines().filter_map(id).collect::<Vec<_>>());
    DETECTORS.iter().map(|name| (*name).to_owned()).chain(built_in).chain(own).collect()
}
