//! `durward serve`: all doors open, until a signal.

use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ServeArgs;
use crate::config::{self, Settings};
use crate::failure::Failure;
use crate::render::Output;
use crate::server::{Addresses, Server};

/// Serves.
pub(crate) async fn serve(data_dir: &Path, args: &ServeArgs) -> Result<ExitCode, Failure> {
    let loaded = config::load(args.config.as_deref(), &args.set)?;
    let settings = Settings::of(&loaded, Some(data_dir))?;
    let server = Server::open(data_dir, settings).await?;
    tell(&server.addresses, args.output);
    server.run(stopped()).await?;
    Ok(ExitCode::SUCCESS)
}

/// One line when all doors are open.
fn tell(addresses: &Addresses, output: Output) {
    if output == Output::Table {
        eprintln!(
            "ready: audit webhook {} /v1/k8s-audit/CLUSTER, OTLP gRPC {}, OTLP HTTP {}, queries http://{}/api/v1/query, metrics http://{}/metrics",
            addresses.audit,
            addresses.otlp_grpc,
            addresses.otlp_http,
            addresses.web,
            addresses.admin
        );
    } else {
        eprintln!("{}", serde_json::to_string(addresses).unwrap_or_default());
    }
}

/// SIGTERM or SIGINT: drain and end well. A second SIGINT ends at once.
pub(crate) async fn stopped() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(crate::failure::Code::Interrupted as i32);
        }
    });
}
