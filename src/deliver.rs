//! Tells people what is owed: what is due goes out, what came of it is settled and reported.

use std::sync::PoisonError;
use std::time::Duration;

use durward_detect::alert::{SlackRoute, deliver, storm};
use durward_schemas::tables::Delivery;
use durward_schemas::{Clock, crash};
use tokio::sync::mpsc;

use crate::pipeline::SharedOutbox;

/// How often the outbox is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Runs until it is dropped; whatever is then not told stays owed on disk.
pub(crate) async fn run(
    outbox: SharedOutbox,
    mut route: SlackRoute,
    clock: Clock,
    report: mpsc::Sender<Delivery>,
) {
    loop {
        let due = outbox.lock().unwrap_or_else(PoisonError::into_inner).due(clock());
        let Some(message) = storm::next(due).map(Box::new) else {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        };
        if let Err(error) = route.read_again() {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::warn!(
                error,
                "the URL of Slack's webhook cannot be read again; the one before counts"
            );
        }
        let told = route.deliver(&message.alert, message.attempt, clock()).await;
        crash::point("alert_told");
        if told.outcome != "delivered" {
            tracing::warn!(incident = %told.incident_id, outcome = told.outcome, error = told.error, "an alert was not taken");
        }
        for due in &message.dues {
            let delivery = deliver::of_incident(&told, &due.alert, due.attempt);
            let settled = outbox.lock().unwrap_or_else(PoisonError::into_inner).settle(&delivery);
            if let Err(error) = settled {
                tracing::error!(
                    error = format!("{:#}", anyhow::Error::from(error)),
                    "a delivery could not be noted; it may be told twice"
                );
                // What cannot be noted is due again at once.
                tokio::time::sleep(LOOK_EVERY).await;
            }
            // The row is worth less than the alert: if nobody takes rows any more, the telling goes on.
            let _stopping = report.send(delivery).await;
        }
    }
}
