//! What is silenced: whether it can be, and until when.

use durward_detect::RuleFile;
use durward_schemas::Time;

use super::problem::Problems;
use super::{Config, Exemption};

/// The end of an exemption: a time of RFC 3339, or a date, at whose beginning (UTC) it ends.
pub(super) fn until(text: &str) -> Option<Time> {
    let is_date = text.len() == "2026-07-23".len();
    Time::parse(text)
        .or_else(|| is_date.then(|| Time::parse(&format!("{text}T00:00:00Z"))).flatten())
}

/// Refuses what would silence nothing, or for ever against what is written.
pub(super) fn check(config: &Config, rules: &[RuleFile], problems: &mut Problems) {
    let exemptions = &config.detect.exemptions;
    let known = if exemptions.is_empty() { Vec::new() } else { names(rules) };
    for Exemption { of, until: end, .. } in exemptions {
        if let Some(text) = end.as_deref().filter(|text| until(text).is_none()) {
            problems.add(
                "detect.exemptions.until",
                Some(text),
                &format!("{text} is no date and no time"),
                "write 2026-12-31, or 2026-12-31T18:00:00Z; leave it out to silence for ever",
            );
        }
        if !known.contains(of) {
            let hint = nearest(of, &known).map_or_else(
                || "`durward rules list` shows all".to_owned(),
                |name| format!("did you mean {name}?"),
            );
            let message = format!("{of} is no detector and no rule");
            problems.add("detect.exemptions.of", Some(of), &message, &hint);
        }
    }
}

fn nearest<'a>(of: &str, known: &'a [String]) -> Option<&'a String> {
    let near = |name: &String| strsim::jaro_winkler(of, name);
    let nearest = known.iter().max_by(|a, b| near(a).total_cmp(&near(b)));
    nearest.filter(|name| near(name) > 0.7)
}

/// Everything that can be silenced.
fn names(rules: &[RuleFile]) -> Vec<String> {
    let built_in = durward_detect::rule::listed().into_iter().map(|rule| rule.id);
    let own = rules.iter().flat_map(durward_detect::rule::ids);
    let detectors = durward_detect::detector_names().into_iter().map(str::to_owned);
    detectors.chain(built_in).chain(own).collect()
}
