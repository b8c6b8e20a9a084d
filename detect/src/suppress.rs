//! What is known and accepted is kept as a row and told to nobody.

use durward_schemas::tables::Finding;
use durward_schemas::values::FindingState;

use crate::settings::{Exemption, Settings};

/// The state of a finding that belongs to no incident (yet).
pub(crate) fn state(finding: &Finding, learning: bool, settings: &Settings) -> FindingState {
    if learning {
        FindingState::Learning
    } else if settings.exemptions.iter().any(|exemption| covers(exemption, finding)) {
        FindingState::Silenced
    } else {
        FindingState::BelowBudget
    }
}

fn covers(exemption: &Exemption, finding: &Finding) -> bool {
    let same =
        |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
    (exemption.of == finding.detector || Some(&exemption.of) == finding.rule_id.as_ref())
        && same(&exemption.identity, &finding.identity)
        && same(&exemption.cluster, &finding.cluster)
        && exemption.until.is_none_or(|until| finding.time < until)
}

#[cfg(test)]
mod tests {
    use durward_schemas::Time;

    use super::*;

    fn check(exemption: Exemption, expected: FindingState) {
        let finding = Finding {
            detector: "sigma".into(),
            rule_id: Some("rule".into()),
            identity: Some("alice".into()),
            time: Time(10),
            ..Finding::default()
        };
        let settings = Settings { exemptions: vec![exemption], ..Settings::default() };
        assert_eq!(state(&finding, false, &settings), expected);
        assert_eq!(state(&finding, true, &settings), FindingState::Learning);
    }

    /// Scenario: exemptions by detector, by rule, for somebody else, and expired.
    /// Guarantees: only what was named, and only until then, is silenced.
    #[test]
    fn only_what_is_named_is_silenced() {
        let of = |of: &str| Exemption {
            of: of.into(),
            identity: None,
            cluster: None,
            until: None,
            reason: "known".into(),
        };
        check(of("sigma"), FindingState::Silenced);
        check(of("rule"), FindingState::Silenced);
        check(of("other"), FindingState::BelowBudget);
        check(Exemption { identity: Some("bob".into()), ..of("rule") }, FindingState::BelowBudget);
        check(Exemption { cluster: Some("b".into()), ..of("rule") }, FindingState::BelowBudget);
        check(Exemption { until: Some(Time(10)), ..of("rule") }, FindingState::BelowBudget);
        check(Exemption { until: Some(Time(11)), ..of("rule") }, FindingState::Silenced);
    }
}
