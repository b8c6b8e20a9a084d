//! What the loop does when a disk refuses: it waits, says so, and tries again until it is told to stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use durward_schemas::record::Loss;
use tokio::sync::watch;

use crate::progress::Progress;

/// The first wait; it doubles with each refusal.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait, and so the time within which it goes on once there is room again.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// Waiting that was shorter is told to nobody but the program's own log.
const WORTH_TELLING: Duration = Duration::from_secs(10);

/// How refusals are met. Without progress to tell of, the first refusal ends the loop.
#[derive(Debug)]
pub(super) struct Patience {
    progress: Option<Arc<Progress>>,
    stopping: watch::Sender<bool>,
    trouble: Option<Trouble>,
}

/// A refusal that is not over.
#[derive(Debug)]
struct Trouble {
    since: Instant,
    wait: Duration,
    text: String,
}

impl Patience {
    /// None: the first refusal is an error.
    pub(super) fn none() -> Self {
        Self { progress: None, stopping: watch::Sender::new(false), trouble: None }
    }

    /// Until `stopping` says so; meanwhile `progress` tells why.
    pub(super) fn telling(&mut self, progress: Arc<Progress>) {
        self.progress = Some(progress);
    }

    /// Who tells that it is time to stop.
    pub(super) fn stopping(&self) -> watch::Sender<bool> {
        self.stopping.clone()
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Returns when it is time to stop.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + use<> {
        let mut stopping = self.stopping.subscribe();
        async move {
            // The sender is here, so it does not go away.
            let _stopped = stopping.wait_for(|stopping| *stopping).await;
        }
    }

    /// Something was refused: returns when it is time to try again.
    ///
    /// # Errors
    /// With `error`, if there is no patience or it is time to stop.
    pub(super) async fn refused(&mut self, error: anyhow::Error) -> anyhow::Result<()> {
        let stopping =
            "stopping while the disk refuses; the log holds what it refused, for the next start";
        let Some(progress) = self.progress.clone() else { return Err(error) };
        if self.is_stopping() {
            return Err(error.context(stopping));
        }
        let text = format!("{error:#}");
        let wait = match &mut self.trouble {
            Some(trouble) => {
                trouble.wait = (trouble.wait * 2).min(LONGEST_WAIT);
                trouble.wait
            }
            none => {
                tracing::error!(
                    error = text,
                    "the disk refuses: what is in the log waits, and is taken when it accepts again"
                );
                none.insert(Trouble { since: Instant::now(), wait: FIRST_WAIT, text: text.clone() })
                    .wait
            }
        };
        progress.block(format!("waiting for the disk: {text}"));
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.stopped() => Err(error.context(stopping)),
        }
    }

    /// It was accepted; what to tell if it had been refused for long.
    pub(super) fn accepted(&mut self) -> Option<Loss> {
        let Trouble { since, text, .. } = self.trouble.take()?;
        if let Some(progress) = &self.progress {
            progress.unblock();
        }
        let waited = since.elapsed();
        tracing::warn!(seconds = waited.as_secs(), "the disk accepts again");
        (waited >= WORTH_TELLING).then(|| Loss {
            part: "lake".into(),
            text: format!(
                "the disk refused for {} s, and judgements came late by as much; nothing that was acknowledged is lost: {text}",
                waited.as_secs()
            ),
            is_lasting: false,
        })
    }
}

/// Never, where nothing waits.
pub(super) async fn sleep(due: Option<Duration>) {
    match due {
        Some(due) => tokio::time::sleep(due).await,
        None => std::future::pending().await,
    }
}
