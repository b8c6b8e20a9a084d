//! `durward notify test`: does a message arrive?

use std::io::Write as _;
use std::process::ExitCode;

use durward_detect::alert::Alert;

use crate::cli::NotifyVerb;
use crate::failure::{Code, Failure};
use crate::{clock, config};

/// Sends a test message by every route.
pub(crate) async fn notify(verb: &NotifyVerb) -> Result<ExitCode, Failure> {
    let NotifyVerb::Test { config, set } = verb;
    let loaded = config::load(config.as_deref(), set)?;
    config::check_values(&loaded)?;
    let route = config::route(&loaded.config).map_err(|error| {
        Failure::new(Code::Config, error)
            .hint("slack.webhook_url_file names a file that holds nothing but the webhook's URL")
    })?;
    let Some(route) = route else {
        return Err(Failure::new(Code::Config, anyhow::anyhow!("no route is configured"))
            .hint("set slack.webhook_url_file: docs/how-to/slack.md"));
    };
    let clock = clock::system();
    let delivery = route.deliver(&Alert::test(clock()), 1, clock()).await;
    if delivery.outcome == "delivered" {
        writeln!(crate::out::lock(), "slack: delivered")?;
        return Ok(ExitCode::SUCCESS);
    }
    let reason = delivery
        .error
        .unwrap_or_else(|| format!("HTTP {}", delivery.http_status.unwrap_or_default()));
    Err(Failure::io(format!("slack: {}: {reason}", delivery.outcome))
        .hint("docs/how-to/slack.md says what each answer means"))
}
