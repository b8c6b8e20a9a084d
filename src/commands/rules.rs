//! `durward rules`: which there are, and whether a file is one.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use durward_detect::check_rules;

use crate::cli::RulesVerb;
use crate::failure::{Code, Failure};
use crate::{out, rule_files};

/// Lists or checks.
pub(crate) fn rules(verb: &RulesVerb) -> Result<ExitCode, Failure> {
    match verb {
        RulesVerb::List => {
            let mut out = crate::out::lock();
            for rule in durward_detect::rule::listed() {
                writeln!(
                    out,
                    "{:<14} {:<20} {:<44} {}",
                    rule.level, rule.log, rule.id, rule.title
                )?;
            }
            Ok(ExitCode::SUCCESS)
        }
        RulesVerb::Lint { paths } => lint(paths),
    }
}

fn lint(paths: &[PathBuf]) -> Result<ExitCode, Failure> {
    let files = rule_files::read(paths)?;
    let warnings = check_rules(&files).map_err(|error| Failure::new(Code::Usage, error))?;
    for warning in &warnings {
        out::say(&format!("warning: {}:{}: {}", warning.file, warning.line, warning.message));
    }
    writeln!(crate::out::lock(), "{} rules ok", files.len())?;
    Ok(ExitCode::SUCCESS)
}
