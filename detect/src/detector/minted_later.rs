//! A credential used before it was minted: impossible, unless a clock or the log lies.

use durward_schemas::values::severity;

use crate::detector::{Detector, Hit, Seen};
use crate::escape::{query, sql};
use crate::sentence;
use crate::settings::Settings;

/// Finds uses that are earlier than the minting by more than clocks may differ.
#[derive(Debug)]
pub(crate) struct MintedLater {
    clock_skew: i64,
}

impl MintedLater {
    pub(crate) fn new(clock_skew: i64) -> Self {
        Self { clock_skew }
    }
}

impl Detector for MintedLater {
    fn name(&self) -> &'static str {
        "minted_later"
    }

    fn configure(&mut self, settings: &Settings) {
        self.clock_skew = settings.clock_skew;
    }

    fn judge(&mut self, Seen { row, .. }: Seen<'_>) -> Vec<Hit> {
        let (Some(credential), Some(issued)) = (&row.credential_id, row.credential_issued_time)
        else {
            return Vec::new();
        };
        // A time that was not believed says nothing.
        let early = issued.since(row.time);
        if !row.judged || row.time_suspect == Some(true) || early <= self.clock_skew {
            return Vec::new();
        }
        let (who, deed, place) = (sentence::who(row), sentence::deed(row), sentence::place(row));
        vec![Hit {
            anchor: credential.to_string(),
            title: "Credential used before it was minted".into(),
            reason: format!(
                "{who} {deed} from {place} with {credential}, {} before that was minted: a clock, a key or the log is not to be trusted",
                sentence::duration(early)
            ),
            severity_id: severity::HIGH,
            techniques: vec!["T1550.001".into(), "T1562.008".into()],
            next_step: query(&format!(
                "SELECT time, verb, resource, object_name, source_ip FROM correlated_events WHERE credential_id = {} ORDER BY time",
                sql(credential.as_str())
            )),
            ..Hit::default()
        }]
    }

    fn judges_again(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use durward_schemas::Time;
    use durward_schemas::tables::Access;
    use durward_schemas::time::MINUTE;

    use super::*;

    fn check(used: i64, minted: i64, suspect: Option<bool>, expected: usize) {
        let row = Access {
            judged: true,
            time: Time(used),
            time_suspect: suspect,
            credential_id: Some("JTI=1".into()),
            credential_issued_time: Some(Time(minted)),
            ..Access::default()
        };
        let mut judge = MintedLater::new(MINUTE);
        assert_eq!(judge.judge(Seen::of(&row)).len(), expected);
        let later_stage = Access { judged: false, ..row };
        assert!(judge.judge(Seen::of(&later_stage)).is_empty());
    }

    /// Scenario: uses after, a little before and long before the minting.
    /// Guarantees: only what no difference of clocks explains is found.
    #[test]
    fn only_what_clocks_do_not_explain_is_found() {
        check(10 * MINUTE, 9 * MINUTE, None, 0);
        check(10 * MINUTE, 11 * MINUTE, None, 0);
        check(10 * MINUTE, 11 * MINUTE + 1, None, 1);
        check(10 * MINUTE, 20 * MINUTE, Some(true), 0);
    }
}
