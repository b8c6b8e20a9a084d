//! Where the state begins: the newest good checkpoint, then what the log no longer has, from the lake.

use durward_correlate::Correlator;
use durward_detect::{Detection, Settings};
use durward_schemas::ids::LogPosition;

use crate::checkpoint::{self, Checkpoint};
use crate::data_dir::Rebuilt;
use crate::pipeline::Telling;
use crate::store::Store;

/// Positions of the lake that are read at once.
const STEP: LogPosition = 20_000;

/// The state before the first record that the log still has.
pub(super) async fn begin(store: &Store, telling: Option<&Telling>) -> anyhow::Result<Checkpoint> {
    let correlate = durward_correlate::Settings::default();
    let found = checkpoint::load(&store.dir.checkpoints(), correlate)?;
    let mut begun = match found {
        Some(found) => found,
        None => Checkpoint {
            position: 0,
            correlator: Correlator::new(correlate),
            detection: Detection::new(Settings::default())?,
        },
    };
    let before_log = store.log.first() - 1;
    if begun.position < before_log {
        rebuild(store, &mut begun, before_log).await?;
        // Of the time before somebody was told, or not; nobody is told again.
        if let Some(telling) = telling {
            telling.skip_to(before_log)?;
        }
    }
    Ok(begun)
}

/// Takes the rows up to `end` from the lake into the state. What they gave rise to is written.
async fn rebuild(store: &Store, begun: &mut Checkpoint, end: LogPosition) -> anyhow::Result<()> {
    let first = begun.position + 1;
    tracing::warn!(
        first,
        end,
        "the log begins too late for the checkpoints: the state is made anew from the lake"
    );
    let mut oldest = None;
    for from in (first..=end).step_by(usize::try_from(STEP)?) {
        for (record, older) in store.lake.records(from, end.min(from + STEP - 1)).await? {
            oldest = oldest.or(Some(record.ingest_time));
            let turn = begun.correlator.turn(record, &older);
            begun.detection.observe(&turn);
        }
    }
    begun.position = end;
    let oldest = oldest.map(|time| time.to_string());
    store.dir.write_rebuilt(&Rebuilt { first_position: first, last_position: end, oldest })?;
    Ok(())
}
