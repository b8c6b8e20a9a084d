//! Each verb, a file each.

mod config;
mod demo;
mod doctor;
mod explain;
mod findings;
mod incidents;
mod ingest;
mod lists;
mod notify;
mod query;
mod reference;
mod rules;
mod serve;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::{CommandLine, Verb};
use crate::failure::Failure;
use crate::hint;

/// Runs what was typed.
pub(crate) fn run(command_line: CommandLine) -> Result<ExitCode, Failure> {
    let data_dir = command_line.data_dir;
    let named = data_dir.clone().or_else(hint::default_data_dir);
    verb(data_dir, command_line.verb).map_err(|failure| match named {
        Some(data_dir) => failure.about(&data_dir),
        None => failure,
    })
}

fn verb(data_dir: Option<PathBuf>, verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::SqlWorker => Ok(query::worker()),
        Verb::Demo(args) => runtime()?.block_on(demo::demo(data_dir, &args)),
        Verb::Query(args) => runtime()?.block_on(query::query(&data_dir_of(data_dir)?, &args)),
        Verb::Ingest(args) => runtime()?.block_on(ingest::ingest(&data_dir_of(data_dir)?, args)),
        Verb::Serve(args) => runtime()?.block_on(serve::serve(&data_dir_of(data_dir)?, &args)),
        Verb::Notify(verb) => runtime()?.block_on(notify::notify(&verb)),
        Verb::Explain(args) => {
            runtime()?.block_on(explain::explain(&data_dir_of(data_dir)?, &args))
        }
        Verb::Who(args) => runtime()?.block_on(explain::who(&data_dir_of(data_dir)?, &args)),
        Verb::Doctor(args) => runtime()?.block_on(doctor::doctor(&data_dir_of(data_dir)?, &args)),
        Verb::Config(verb) => config::config(data_dir_of(data_dir).ok().as_deref(), &verb),
        Verb::Rules(verb) => rules::rules(&verb),
        Verb::Reference { of } => {
            crate::out::lock().write_all(reference::page(of).as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Findings(verb) => {
            runtime()?.block_on(findings::findings(&data_dir_of(data_dir)?, verb))
        }
        Verb::Incidents(verb) => {
            runtime()?.block_on(incidents::incidents(&data_dir_of(data_dir)?, verb))
        }
    }
}

/// The one runtime of a command. Both cores are few; what blocks has threads of its own.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Where data is kept: as named, else beside other programs' state.
fn data_dir_of(named: Option<PathBuf>) -> Result<PathBuf, Failure> {
    named.or_else(hint::default_data_dir).ok_or_else(|| {
        Failure::usage("no data directory was named")
            .hint("name one with --data-dir or DURWARD_DATA_DIR")
    })
}
