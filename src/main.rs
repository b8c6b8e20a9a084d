//! Watches how Kubernetes workloads use their identities, and says when something is off, and why.
//!
//! This package is wiring and nothing else: the only place that knows the order of the stages.

mod admin;
mod checkpoint;
mod cli;
mod clock;
mod commands;
mod config;
mod data_dir;
mod deliver;
mod descriptors;
mod failure;
mod hint;
mod metrics;
mod out;
mod pipeline;
mod progress;
mod reload;
mod render;
mod rule_files;
mod server;
mod sql;
mod store;
mod telemetry;
mod web;

use std::process::ExitCode;

use clap::Parser;

/// Rows are many small texts, made by one thread and let go by another (docs/measurements.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command_line = cli::CommandLine::parse();
    telemetry::start(command_line.verbose);
    // Whatever is written is for nobody else on the machine, also in a directory that others may look into.
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    // One TLS provider for everything; a second installation is refused and changes nothing.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    match commands::run(command_line) {
        Ok(code) => code,
        Err(failure) => failure.tell(),
    }
}
