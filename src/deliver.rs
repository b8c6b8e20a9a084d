//! Tells people what is owed: what is due goes out, what came of it is settled and reported.

use std::sync::PoisonError;
use std::time::Duration;

use durward_detect::alert::SlackRoute;
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
        tokio::time::sleep(LOOK_EVERY).await;
        let due = outbox.lock().unwrap_or_else(PoisonError::into_inner).due(clock());
        if !due.is_empty()
            && let Err(error) = route.read_again()
        {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::warn!(
                error,
                "the URL of Slack's webhook cannot be read again; the one before counts"
            );
        }
        for due in due {
            let delivery = route.deliver(&due.alert, due.attempt, clock()).await;
            crash::point("alert_told");
            if delivery.outcome != "delivered" {
                tracing::warn!(incident = %delivery.incident_id, outcome = delivery.outcome, error = delivery.error, "an alert was not taken");
            }
            let settled = outbox.lock().unwrap_or_else(PoisonError::into_inner).settle(&delivery);
            if let Err(error) = settled {
                tracing::error!(
                    error = format!("{:#}", anyhow::Error::from(error)),
                    "a delivery could not be noted; it may be told twice"
                );
            }
            // The row is worth less than the alert: if nobody takes rows any more, the telling goes on.
            let _stopping = report.send(delivery).await;
        }
    }
}
