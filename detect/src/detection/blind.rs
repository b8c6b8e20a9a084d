//! What detection cannot see any more, told as findings: what its memories forgot, and what of our own was lost.

use durward_schemas::record::Loss;
use durward_schemas::tables::Access;

use crate::detection::Detection;
use crate::detector::blindness;
use crate::detector::{Hit, Seen};
use crate::finding::{Cause, Scored};
use crate::lineage::Origin;
use crate::memory::{Fill, Look};

impl Detection {
    /// Every memory under its name.
    fn memories(&self, look: Look<'_>) {
        self.detectors.iter().for_each(|detector| detector.memories(look));
        self.memory.stories.memories(look);
        self.memory.lineage.memories(look);
        self.memory.owners.memories(look);
        self.memory.tally.memories(look);
        self.findings.memories(look);
    }

    /// How full each memory is.
    #[must_use]
    pub fn fills(&self) -> Vec<(&'static str, Fill)> {
        let mut fills = Vec::new();
        self.memories(&mut |name, memory| fills.push((name, memory.fill())));
        fills
    }

    /// Memories that forgot something for the sake of this row, since somebody brought more than all others: what is
    /// told of each once a day. That what is old leaves what is full is everyday.
    pub(super) fn forgetting(&mut self, row: &Access, cause: Cause) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut told = Vec::new();
        self.memories(&mut |name, memory| {
            let fill = memory.fill();
            let before = self.memory.forgetting.get(name);
            if fill.forgotten == 0 || before.is_some_and(|(_, count)| *count == fill.forgotten) {
                return;
            }
            let day = cause.recorded.date();
            let majority = memory.majority();
            let is_told = before.is_some_and(|(then, _)| *then == day);
            // A cluster is nobody.
            if !is_told && majority.len() > 1 {
                hits.push(blindness::forgotten(name, fill, &majority, row, day));
            }
            let day = if majority.len() > 1 || is_told { day } else { i32::MIN };
            told.push((name.to_owned(), (day, fill.forgotten)));
        });
        self.memory.forgetting.extend(told);
        hits
    }

    /// What of our own was lost is a finding about nobody; where it lasts, people are told.
    pub(super) fn loss(&mut self, loss: &Loss, cause: Cause) {
        let row = Access { time: cause.recorded, ..Access::default() };
        let hit = blindness::loss(loss);
        let story = loss.is_lasting.then(|| "durward".to_owned());
        let origin = Origin { story, ..Origin::default() };
        let seen = Seen::of(&row);
        let (detector, settings) = (blindness::NAME, &self.settings);
        self.findings.take(Scored { detector, hit: &hit, seen, origin: &origin, cause, settings });
    }
}
