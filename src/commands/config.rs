//! `durward config`: check it, show it with origins, describe it.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use crate::cli::ConfigVerb;
use crate::config::{self, Settings};
use crate::failure::Failure;

/// Does one of the three.
pub(crate) fn config(data_dir: Option<&Path>, verb: &ConfigVerb) -> Result<ExitCode, Failure> {
    match verb {
        ConfigVerb::Check { file } => {
            Settings::of(&config::load(Some(file), &[])?, data_dir)?;
            writeln!(crate::out::lock(), "{}: ok", file.display())?;
        }
        ConfigVerb::Show { config, set } => {
            crate::out::lock().write_all(shown(config.as_deref(), set)?.as_bytes())?;
        }
        ConfigVerb::Schema => crate::out::lock().write_all(config::SCHEMA.as_bytes())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Every value as `key: value`, with where it came from.
fn shown(file: Option<&Path>, sets: &[String]) -> Result<String, Failure> {
    let loaded = config::load(file, sets)?;
    config::check_values(&loaded)?;
    let value: Value = serde_json::to_value(&loaded.config).unwrap_or_default();
    let mut leaves = Vec::new();
    config::leaves(&value, "", &mut leaves);
    let lines = leaves.into_iter().map(|(path, value)| {
        let origin = loaded.origins.get(&path).copied().unwrap_or("default");
        format!("{:<44} # {origin}\n", format!("{path}: {value}"))
    });
    Ok(lines.collect())
}
