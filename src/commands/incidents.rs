//! `durward incidents`: findings that tell one story.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::IncidentsVerb;
use crate::clock;
use crate::commands::lists::{self, INCIDENTS};
use crate::commands::query::limits;
use crate::failure::Failure;

/// Lists or shows.
pub(crate) async fn incidents(data_dir: &Path, verb: IncidentsVerb) -> Result<ExitCode, Failure> {
    match verb {
        IncidentsVerb::List { filter, limits, output } => {
            let now = (clock::system())();
            let manner = (self::limits(limits), output);
            lists::print(data_dir, &INCIDENTS, &filter, now, manner).await?;
            Ok(ExitCode::SUCCESS)
        }
        IncidentsVerb::Show(args) => super::explain::explain(data_dir, &args.into()).await,
    }
}
