//! The real program, run on a data directory of its own.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use durward_fixtures::Scenario;
use serde_json::Value;

/// A place with a data directory and the files of one scenario.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

/// What came of one run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The state and the audit log of a scenario as files.
    pub(crate) fn files(&self, scenario: &Scenario) -> [PathBuf; 2] {
        let [state, audit] = [self.path("state.json.zst"), self.path("audit.jsonl.zst")];
        std::fs::write(&state, scenario.state).expect("a file");
        std::fs::write(&audit, scenario.audit).expect("a file");
        [state, audit]
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::cargo_bin("durward").expect("the program");
        command
            .env("DURWARD_DATA_DIR", self.data())
            .env_remove("DURWARD_CONFIG")
            .env_remove("RUST_LOG");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let output = self.command().args(args).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// Takes state and audit log of a scenario; what was told, as JSON.
    pub(crate) fn ingest(&self, scenario: &Scenario) -> Value {
        let [state, audit] = self.files(scenario);
        let cluster = scenario.expectation().expect("an expectation").cluster;
        self.ingest_paths(&cluster, &[&state, &audit])
    }

    pub(crate) fn ingest_paths(&self, cluster: &str, paths: &[&Path]) -> Value {
        let mut args = vec!["ingest", "--cluster", cluster, "-o", "json"];
        args.extend(paths.iter().map(|path| path.to_str().expect("a path")));
        let ran = self.run(&args);
        assert_eq!(ran.code, 0, "{}", ran.err);
        serde_json::from_str(&ran.out).expect("JSON")
    }

    /// The rows of an answer.
    pub(crate) fn query(&self, sql: &str) -> Vec<Value> {
        let ran = self.run(&["query", "-o", "json", sql]);
        assert_eq!(ran.code, 0, "{sql}: {}", ran.err);
        serde_json::from_str(&ran.out).expect("JSON")
    }

    /// The one number of an answer.
    pub(crate) fn count(&self, sql: &str) -> i64 {
        let rows = self.query(&format!("SELECT count(*) AS n FROM {sql}"));
        rows[0]["n"].as_i64().expect("a number")
    }
}

/// The scenario of that name.
pub(crate) fn scenario(name: &str) -> &'static Scenario {
    durward_fixtures::scenario(name).expect(name)
}
