//! Positions that the log does not hold any more: the lake's rows take the place of the records, and what it does
//! not hold either is named.

use durward_ingest::Gap;
use durward_schemas::ids::LogPosition;
use durward_schemas::record::Loss;

use crate::pipeline::Pipeline;

/// Positions of the lake that are read at once.
const STEP: LogPosition = 20_000;

impl Pipeline {
    /// Takes from the lake what the log lacks.
    pub(super) async fn bridge(&mut self, gap: Gap) -> anyhow::Result<()> {
        let held = gap.last.min(self.known);
        tracing::warn!(
            first = gap.first,
            last = gap.last,
            held,
            place = gap.place,
            "positions are not in the log: the state is made anew from the lake as far as it holds them"
        );
        let oldest = self.rebuild(gap.first, held).await?;
        // Of the time before somebody was told, or not; nobody is told again.
        if let Some(telling) = &self.telling {
            telling.skip_to(gap.last)?;
        }
        self.reach(gap.last);
        let short = if gap.first <= held { self.witness.short(held) } else { Vec::new() };
        self.losses.push(loss(&gap, held, &short, oldest.as_deref()));
        self.flush().await?;
        // So that it need not be done again.
        self.checkpoint()
    }

    /// Takes the rows from `first` to `last` from the lake into the state, and writes what tables lack that
    /// follows from them. When the oldest row was recorded.
    async fn rebuild(
        &mut self,
        first: LogPosition,
        last: LogPosition,
    ) -> anyhow::Result<Option<String>> {
        let mut oldest = None;
        for from in (first..=last).step_by(usize::try_from(STEP)?) {
            let to = last.min(from + STEP - 1);
            let records = loop {
                match self.lake.records(from, to).await {
                    Ok(records) => break records,
                    Err(error) => self.patience.refused(error.into()).await?,
                }
            };
            self.accepted();
            for (record, older) in records {
                oldest = oldest.or(Some(record.ingest_time));
                let turn = self.correlator.turn(record, &older);
                let judgement = self.detection.observe(&turn);
                self.stage(&turn, judgement);
            }
            self.reach(to);
            self.flush_if_due().await?;
        }
        Ok(oldest.map(|time| time.to_string()))
    }
}

/// A gap that the lake holds up to `held`, but for what the `short` tables may have held beyond their ends.
fn loss(gap: &Gap, held: LogPosition, short: &[(&str, LogPosition)], oldest: Option<&str>) -> Loss {
    let Gap { first, last, place } = gap;
    let mut parts =
        vec![format!("positions {first} to {last} are not in the log any more ({place})")];
    if *first <= held {
        let oldest = oldest.unwrap_or("now, since the lake had no rows");
        parts.push(format!(
            "the state was made anew from the lake, which holds what was recorded since {oldest}"
        ));
    }
    parts.extend(short.iter().map(|(table, end)| {
        format!("{table} ends at position {end}, and whatever it held beyond is lost")
    }));
    if held < *last {
        parts.push(format!("those from position {} on are lost", (*first).max(held + 1)));
    }
    let text = parts.join("; ");
    Loss { part: "log".into(), text, is_lasting: held < *last || !short.is_empty() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: a gap that the lake holds whole, in part, and not at all; a table that may have held more.
    /// Guarantees: only what the lake does not hold is told as lost, with its positions.
    #[test]
    fn only_what_the_lake_lacks_is_lost() {
        let check = |held: LogPosition, short: &[(&str, LogPosition)], expected: &str| {
            let gap = Gap { first: 5, last: 9, place: "there".into() };
            let loss = loss(&gap, held, short, Some("then"));
            let is_lasting = held < 9 || !short.is_empty();
            assert_eq!((loss.text.as_str(), loss.is_lasting), (expected, is_lasting));
        };
        let gone = "positions 5 to 9 are not in the log any more (there)";
        let made =
            "; the state was made anew from the lake, which holds what was recorded since then";
        let lacks = "; accesses ends at position 7, and whatever it held beyond is lost";
        check(9, &[], &format!("{gone}{made}"));
        check(9, &[("accesses", 7)], &format!("{gone}{made}{lacks}"));
        check(6, &[], &format!("{gone}{made}; those from position 7 on are lost"));
        check(0, &[], &format!("{gone}; those from position 5 on are lost"));
    }
}
