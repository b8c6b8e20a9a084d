//! One record of the log -> the state, judgements, rows that wait to be written, and what people are owed.

use std::time::Instant;

use durward_correlate::deduplicate::Older;
use durward_correlate::lake::Judged;
use durward_detect::Judgement;
use durward_ingest::log::{LogError, Read};
use durward_schemas::ids::LogPosition;
use durward_schemas::record::{Record, Turn};
use durward_schemas::tables::Delivery;

use crate::pipeline::Pipeline;

impl Pipeline {
    /// Takes what comes next; false if there is nothing now.
    pub(super) async fn step(&mut self) -> anyhow::Result<bool> {
        match self.reader.next() {
            Ok(None) => return Ok(false),
            Ok(Some(Read::Record(record))) => self.take(record).await?,
            Ok(Some(Read::Gap(gap))) => self.bridge(gap).await?,
            Err(error @ LogError::File { .. }) => self.patience.refused(error.into()).await?,
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    async fn take(&mut self, record: Record) -> anyhow::Result<()> {
        let older = match self.correlator.lookup(&record) {
            Some(ask) => loop {
                match self.lake.older(&ask, record.first_position).await {
                    Ok(older) => break older,
                    Err(error) => self.patience.refused(error.into()).await?,
                }
            },
            None => Older::default(),
        };
        self.now = record.ingest_time;
        let turn = self.correlator.turn(record, &older);
        let judgement = self.detection.observe(&turn);
        // Owed before its position can be checkpointed: an alert is never lost between the two.
        while let Some(telling) = &self.telling
            && let Err(error) = telling.owe(&judgement.owed, turn.ingest_time)
        {
            self.patience.refused(error).await?;
        }
        self.accepted();
        self.stage(&turn, judgement);
        self.reach(turn.last_position);
        self.flush_if_due().await
    }

    /// Everything up to `position` is in the state.
    pub(super) fn reach(&mut self, position: LogPosition) {
        self.reached = position;
        // What people rely on can be asked for.
        if self.lake.pending() == 0 {
            self.progress.reach(position);
        }
    }

    /// Takes the rows of a turn and what is judged of them to the lake, and says so to those who count.
    pub(super) fn stage(&mut self, turn: &Turn, judgement: Judgement) {
        let Judgement { findings, finding_events, incidents, owed } = judgement;
        let judged = Judged { findings, finding_events, incidents, deliveries: Vec::new() };
        self.lake.stage(turn, &judged);
        let sizes = turn.is_tick.then(|| self.sizes());
        if let Some(observer) = &mut self.observer {
            observer(turn, &judged, &owed, sizes);
        }
    }

    /// A delivery is a row too, though no record of the log brought it.
    pub(super) fn delivered(&mut self, delivery: Delivery) {
        let judged = Judged { deliveries: vec![delivery], ..Judged::default() };
        let turn = Turn::default();
        self.lake.stage(&turn, &judged);
        if let Some(observer) = &mut self.observer {
            observer(&turn, &judged, &[], None);
        }
        self.waiting_since.get_or_insert_with(Instant::now);
    }
}
