//! `durward serve`: all doors open, until a signal; SIGHUP reads the configuration again.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::ServeArgs;
use crate::config::{self, Settings};
use crate::failure::Failure;
use crate::out;
use crate::reload::Reload;
use crate::render::Output;
use crate::server::{Addresses, Server};

/// After the first signal to end; Kubernetes kills after 30 s.
const END_WITHIN: Duration = Duration::from_secs(24);

/// Serves.
pub(crate) async fn serve(data_dir: &Path, args: &ServeArgs) -> Result<ExitCode, Failure> {
    // From here on SIGHUP is no end, and the others end well, however early they come.
    let hangups = signal(SignalKind::hangup())?;
    let stopped = stopped()?;
    let mut server = Server::open(data_dir, settings(data_dir, args)?).await?;
    let reload = server.reload();
    out::say(&ready(&server.addresses, args.output));
    let serving = server.run(stopped);
    tokio::select! {
        ran = serving => ran?,
        () = reload_at(hangups, reload, data_dir, args) => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// The configuration as it is now.
fn settings(data_dir: &Path, args: &ServeArgs) -> Result<Settings, Failure> {
    let loaded = config::load(args.config.as_deref(), &args.set)?;
    Settings::of(&loaded, Some(data_dir))
}

/// Reads the configuration again at each SIGHUP, and says what came of it. Does not end.
async fn reload_at(mut hangups: Signal, reload: Option<Reload>, data_dir: &Path, args: &ServeArgs) {
    let Some(mut reload) = reload else { return std::future::pending().await };
    while hangups.recv().await.is_some() {
        let reloaded = match settings(data_dir, args) {
            Ok(settings) => reload.take(settings).await,
            Err(failure) => Err(failure),
        };
        reload.count(reloaded.is_ok());
        out::say(&match reloaded {
            Ok(later) => taken(&later, args.output),
            Err(failure) => refused(&failure, args.output),
        });
    }
    std::future::pending::<()>().await;
}

/// One line when all doors are open.
fn ready(addresses: &Addresses, output: Output) -> String {
    if output != Output::Table {
        return serde_json::to_string(addresses).unwrap_or_default();
    }
    format!(
        "ready: audit webhook {} /v1/k8s-audit/CLUSTER, OTLP gRPC {}, OTLP HTTP {}, queries http://{}/api/v1/query, metrics http://{}/metrics",
        addresses.audit, addresses.otlp_grpc, addresses.otlp_http, addresses.web, addresses.admin
    )
}

/// One line when a configuration is in force; `later` are the keys that wait for the next start.
fn taken(later: &[String], output: Output) -> String {
    if output != Output::Table {
        return json!({ "reloaded": true, "at_next_start": later }).to_string();
    }
    let later = match later {
        [] => String::new(),
        keys => format!("; changed, and taken at the next start only: {}", keys.join(", ")),
    };
    format!("reloaded: rules, exemptions and certificates are as configured now{later}")
}

/// What is wrong with a configuration that is not taken.
fn refused(failure: &Failure, output: Output) -> String {
    if output != Output::Table {
        return json!({ "reloaded": false, "error": failure.text() }).to_string();
    }
    format!("{}not reloaded: the configuration before stays in force", failure.text())
}

/// What was acknowledged is in the log, and the next start takes it.
fn end_at_once() {
    std::process::exit(crate::failure::Code::Interrupted as i32);
}

/// SIGTERM or SIGINT: drain and end well. A second one ends at once: nothing that was acknowledged is lost.
///
/// From the call on no such signal ends the program by itself, whenever the future is waited for.
pub(crate) fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            end_at_once();
        });
        // Whatever hangs, a thread that waits for nothing else ends it.
        let watching = std::thread::Builder::new().name("end".to_owned()).spawn(|| {
            std::thread::sleep(END_WITHIN);
            end_at_once();
        });
        if let Err(error) = watching {
            tracing::warn!(%error, "nothing watches over the end");
        }
    })
}
