//! `durward rules`: which there are, and whether a file is one.

use std::path::PathBuf;
use std::process::ExitCode;

use durward_detect::{RuleFile, check_rules};

use crate::cli::RulesVerb;
use crate::failure::{Code, Failure};

/// Lists or checks.
pub(crate) fn rules(verb: &RulesVerb) -> Result<ExitCode, Failure> {
    match verb {
        RulesVerb::List => {
            for rule in durward_detect::rule::listed() {
                println!("{:<14} {:<44} {}", rule.level, rule.id, rule.title);
            }
            Ok(ExitCode::SUCCESS)
        }
        RulesVerb::Lint { paths } => lint(paths),
    }
}

fn lint(paths: &[PathBuf]) -> Result<ExitCode, Failure> {
    let mut files = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::io(format!("reading {}: {error}", path.display())))?;
        files.push(RuleFile { name: path.display().to_string(), text });
    }
    let warnings = check_rules(&files).map_err(|error| Failure::new(Code::Usage, error))?;
    for warning in &warnings {
        eprintln!("warning: {}:{}: {}", warning.file, warning.line, warning.message);
    }
    println!("{} rules ok", files.len());
    Ok(ExitCode::SUCCESS)
}
