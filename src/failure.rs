//! How a command fails: what is wrong, what to do, and the exit code that says whose matter it is.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use durward_correlate::query::{Fault, QueryError};
use durward_detect::escape;

use crate::{hint, out};

/// Exit codes, as the reference documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Wrong usage, rule or SQL.
    Usage = 2,
    /// Wrong configuration.
    Config = 3,
    /// Input, output or the lock.
    Io = 4,
    /// Interrupted by a person.
    Interrupted = 130,
}

/// A failed command: primary message, detail, hint.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    error: anyhow::Error,
    hint: Option<String>,
    /// What else is wrong, where all of it is told at once.
    more: Vec<Self>,
}

impl Failure {
    pub(crate) fn new(code: Code, error: impl Into<anyhow::Error>) -> Self {
        Self { code, error: error.into(), hint: None, more: Vec::new() }
    }

    /// Everything that is wrong; the first gives the exit code.
    pub(crate) fn all(failures: Vec<Self>) -> Option<Self> {
        let mut failures = failures.into_iter();
        let first = failures.next()?;
        Some(Self { more: failures.collect(), ..first })
    }

    pub(crate) fn usage(message: impl std::fmt::Display) -> Self {
        Self::new(Code::Usage, anyhow::anyhow!("{message}"))
    }

    pub(crate) fn io(message: impl std::fmt::Display) -> Self {
        Self::new(Code::Io, anyhow::anyhow!("{message}"))
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With commands that name `data_dir`, if they have to.
    pub(crate) fn about(mut self, data_dir: &Path) -> Self {
        self.hint = self.hint.map(|text| hint::complete(&text, data_dir));
        self.more = self.more.into_iter().map(|failure| failure.about(data_dir)).collect();
        self
    }

    /// What is wrong, with its causes.
    pub(crate) fn message(&self) -> String {
        format!("{:#}", self.error)
    }

    /// Prints it where people look, and gives the exit code.
    pub(crate) fn tell(&self) -> ExitCode {
        if out::is_reader_gone(&self.error) {
            return ExitCode::SUCCESS;
        }
        // Where nobody reads standard error either, the exit code has to do.
        let _unread = write!(std::io::stderr(), "{}", self.text());
        ExitCode::from(self.code as u8)
    }

    /// As people read it.
    pub(crate) fn text(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!(" hint: {hint}\n")).unwrap_or_default();
        let more: String = self.more.iter().map(Self::text).collect();
        // What is wrong may quote what rows hold, which is the attacker's.
        let message = self.message();
        let lines: Vec<String> = message.lines().map(escape::visible).collect();
        format!("error: {}\n{hint}{more}", lines.join("\n"))
    }
}

/// Whatever has no better code is a matter of input or output.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        match error.downcast::<QueryError>() {
            Ok(query) => from_query(query),
            Err(error) => Self { code: Code::Io, error, hint: None, more: Vec::new() },
        }
    }
}

fn from_query(error: QueryError) -> Failure {
    let code = match error.fault {
        Fault::Statement | Fault::Limit => Code::Usage,
        Fault::Data | Fault::Busy => Code::Io,
    };
    let hint = error.hint.clone();
    Failure { hint, ..Failure::new(code, error) }
}
