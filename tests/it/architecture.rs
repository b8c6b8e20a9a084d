//! The shape of the dependencies: our crates are a star, and what is foreign has one home.
//!
//! Data flows in a line, code depends in a star: stages meet only in `schemas`, and only the root
//! package knows their order. `ARCHITECTURE.md` says why.

use std::fmt;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Each of our packages, and which of ours it may name; a new one must be put here.
const STAR: &[(&str, &[&str])] = &[
    ("durward-schemas", &[]),
    ("durward-ingest", &["durward-schemas"]),
    ("durward-correlate", &["durward-schemas"]),
    ("durward-detect", &["durward-schemas"]),
    ("durward-fixtures", &["durward-schemas"]),
    (
        "durward",
        &[
            "durward-schemas",
            "durward-ingest",
            "durward-correlate",
            "durward-detect",
            "durward-fixtures",
        ],
    ),
];

/// What is foreign, and who alone may name it; a name that ends in `*` stands for all that begin so.
const HOMES: &[(&str, &[&str])] = &[
    ("datafusion*", &["durward-correlate"]),
    ("deltalake*", &["durward-correlate"]),
    ("parquet*", &["durward-correlate"]),
    ("object_store", &["durward-correlate"]),
    ("sqllogictest", &["durward-correlate"]),
    ("opentelemetry*", &["durward-ingest"]),
    ("tonic*", &["durward-ingest"]),
    ("prost*", &["durward-ingest"]),
    ("rdkafka*", &["durward-ingest"]),
    ("flate2", &["durward-ingest"]),
    ("rsigma*", &["durward-detect"]),
    ("wiremock", &["durward-detect"]),
    ("clap*", &["durward"]),
    ("anyhow", &["durward"]),
    ("comfy-table", &["durward"]),
    ("indicatif", &["durward"]),
    ("tracing-subscriber", &["durward"]),
];

/// The same, where tests may name it too: they play the other end of a door.
const HOMES_OUTSIDE_TESTS: &[(&str, &[&str])] = &[("reqwest", &["durward-detect"])];

/// One package names another in its `Cargo.toml`.
struct Edge {
    from: String,
    to: String,
    in_tests: bool,
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.in_tests { " (dev-dependency)" } else { "" };
        write!(f, "{} -> {}{kind}", self.from, self.to)
    }
}

impl Edge {
    /// What is wrong with it, if anything is.
    fn complaint(&self) -> Option<String> {
        if self.to.starts_with("durward") { self.off_the_star() } else { self.away_from_home() }
    }

    fn off_the_star(&self) -> Option<String> {
        let Some((_, allowed)) = STAR.iter().find(|(name, _)| *name == self.from) else {
            return Some(format!("{self}: {} has no place in the star", self.from));
        };
        let fits = allowed.contains(&self.to.as_str());
        (!fits).then(|| format!("{self}: {} may name of ours only {allowed:?}", self.from))
    }

    fn away_from_home(&self) -> Option<String> {
        let outside_tests = HOMES_OUTSIDE_TESTS.iter().filter(|_| !self.in_tests);
        let mut homes = HOMES.iter().chain(outside_tests).filter(|(of, _)| names(of, &self.to));
        let (_, home) = homes.find(|(_, home)| !home.contains(&self.from.as_str()))?;
        Some(format!("{self}: {} lives only in {}", self.to, home.join(", ")))
    }
}

fn names(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

/// Every edge that begins in one of our packages.
fn edges() -> Vec<Edge> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let metadata =
        MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("cargo metadata");
    let mut edges = Vec::new();
    for package in &metadata.packages {
        edges.extend(package.dependencies.iter().map(|dependency| Edge {
            from: package.name.to_string(),
            to: dependency.name.clone(),
            in_tests: dependency.kind == DependencyKind::Development,
        }));
    }
    edges
}

/// Scenario: every dependency that a `Cargo.toml` of the workspace names, tests included.
/// Guarantees: stages meet only in `schemas`, and each foreign thing stays in its home.
#[test]
fn dependencies_are_a_star() {
    let edges = edges();
    assert!(edges.len() > 50, "only {} dependencies were read", edges.len());
    let complaints: Vec<String> = edges.iter().filter_map(Edge::complaint).collect();
    assert!(complaints.is_empty(), "edges that break the shape:\n{}", complaints.join("\n"));
}

/// Scenario: edges that must not be, and some that may.
/// Guarantees: the first are named exactly, the others are let through.
#[test]
fn wrong_edges_are_named() {
    let check = |from: &str, to: &str, in_tests: bool, expect: Option<&str>| {
        let edge = Edge { from: from.into(), to: to.into(), in_tests };
        assert_eq!(edge.complaint().as_deref(), expect);
    };
    check(
        "durward-schemas",
        "durward-ingest",
        false,
        Some("durward-schemas -> durward-ingest: durward-schemas may name of ours only []"),
    );
    check(
        "durward-detect",
        "durward-fixtures",
        true,
        Some(
            "durward-detect -> durward-fixtures (dev-dependency): \
             durward-detect may name of ours only [\"durward-schemas\"]",
        ),
    );
    check(
        "durward-new",
        "durward-schemas",
        false,
        Some("durward-new -> durward-schemas: durward-new has no place in the star"),
    );
    check(
        "durward-detect",
        "datafusion-common",
        false,
        Some(
            "durward-detect -> datafusion-common: datafusion-common lives only in durward-correlate",
        ),
    );
    check(
        "durward",
        "tonic",
        true,
        Some("durward -> tonic (dev-dependency): tonic lives only in durward-ingest"),
    );
    check(
        "durward-ingest",
        "reqwest",
        false,
        Some("durward-ingest -> reqwest: reqwest lives only in durward-detect"),
    );
    check("durward-ingest", "reqwest", true, None);
    check("durward", "durward-ingest", false, None);
    check("durward-correlate", "datafusion", false, None);
    check("durward-schemas", "arrow", false, None);
}
