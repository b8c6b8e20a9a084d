//! What can be typed. Nothing else in the program sees a raw flag.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use durward_schemas::Time;

use crate::render::Output;

const EXAMPLES: &str = "\
Examples:
  durward demo                                   see it work, without a cluster
  durward ingest --cluster prod audit.log        take an audit log file
  durward query \"SELECT * FROM denials LIMIT 5\"  ask
  durward serve --set default_cluster=prod       open the doors

Exit codes: 0 ok, 1 findings at or over --fail-on, 2 usage, rule or SQL error,
3 configuration, 4 input, output or lock, 130 interrupted.";

/// Watches how Kubernetes workloads use their identities, and says when something is off, and why.
#[derive(Debug, Parser)]
#[command(name = "durward", version, propagate_version = true, after_help = EXAMPLES)]
pub(crate) struct CommandLine {
    /// Directory that holds everything Durward keeps
    #[arg(long, global = true, env = "DURWARD_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Say more of what is done; twice for details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Replay a recorded story through the real doors, and show what comes out
    Demo(DemoArgs),
    /// Take files, directories or standard input; return when all of it can be queried
    Ingest(IngestArgs),
    /// Open the doors and run until stopped
    Serve(ServeArgs),
    /// Ask a question in SQL
    Query(QueryArgs),
    /// List findings, or show one
    #[command(subcommand)]
    Findings(FindingsVerb),
    /// List incidents, or show one
    #[command(subcommand)]
    Incidents(IncidentsVerb),
    /// Explain an access, a finding or an incident: who, why it was possible, what changed, how it is known
    Explain(ExplainArgs),
    /// Say who an identity is: its workloads, credentials, permissions and findings
    Who(WhoArgs),
    /// Say what each source brings and lacks, and what follows from that
    Doctor(DoctorArgs),
    /// Look at detection rules
    #[command(subcommand)]
    Rules(RulesVerb),
    /// Try the ways in which people are told
    #[command(subcommand)]
    Notify(NotifyVerb),
    /// Check, show or describe the configuration
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Answer one question on standard input: what `query` starts
    #[command(hide = true)]
    SqlWorker,
    /// Print the reference of the command line or the tables as Markdown
    #[command(hide = true)]
    Reference {
        /// Which
        #[arg(value_enum)]
        of: Reference,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reference {
    Cli,
    Tables,
    Config,
    Sources,
    Rules,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Stay open afterwards, to look around
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// Cluster that the input speaks of
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Name of the source, as `sources` shows it
    #[arg(long, value_name = "NAME", default_value = "file")]
    pub(crate) source: String,
    /// Format of the input; found out by default
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub(crate) format: String,
    /// Time as of which listed objects hold, where the file does not say (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(crate) as_of: Option<String>,
    /// Configuration file: what it says of how inputs are read, such as `trusted_proxies` and `audit_containers`
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    pub(crate) config: Option<PathBuf>,
    /// Set one key of the configuration
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "to")]
    pub(crate) set: Vec<String>,
    /// Send to the server that holds the data directory instead, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    pub(crate) to: Option<String>,
    /// Exit with 1 if findings of this severity or above were made
    #[arg(long, value_name = "SEVERITY", value_enum)]
    pub(crate) fail_on: Option<Severity>,
    /// How to print what was taken
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// Files (also .gz, .zst), directories, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Severity {
    Informational = 1,
    Low = 2,
    Medium = 3,
    High = 4,
    Critical = 5,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Configuration file
    #[arg(long, env = "DURWARD_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Set one key of the configuration, such as listen.audit.address=127.0.0.1:0
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// How to say that it is ready
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// The statement
    pub(crate) sql: String,
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct LimitArgs {
    /// The longest that the query may take
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// The most memory that the query may take
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = size)]
    pub(crate) memory: u64,
    /// The most rows that the answer may have
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub(crate) max_rows: usize,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FindingsVerb {
    /// List findings, the newest first
    List {
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        limits: LimitArgs,
        /// How to print them
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
        /// Exit with 1 if there are any of this severity or above
        #[arg(long, value_name = "SEVERITY", value_enum)]
        fail_on: Option<Severity>,
    },
    /// Show one finding with its evidence
    Show(ShowArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum IncidentsVerb {
    /// List incidents, those with the newest events first
    List {
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        limits: LimitArgs,
        /// How to print them
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Show one incident with its findings and evidence
    Show(ShowArgs),
}

/// Which one is shown, and how.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// Its id, or the beginning of it
    pub(crate) id: String,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

impl From<ShowArgs> for ExplainArgs {
    fn from(ShowArgs { limits, id, output }: ShowArgs) -> Self {
        Self { limits, id, mapping: false, output }
    }
}

/// A point in time, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    At(Time),
    Before(Duration),
}

#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// From this time on: 2026-07-23T10:00:00Z, or how long ago, such as 24h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<Moment>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) until: Option<Moment>,
    /// Of this severity or above
    #[arg(long, value_name = "SEVERITY", value_enum)]
    pub(crate) severity: Option<Severity>,
    /// In this state, such as alerted or silenced; of incidents open or merged
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// Of this cluster
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// Of this identity: namespace/name of a ServiceAccount, or the whole name
    #[arg(long, value_name = "NAME")]
    pub(crate) identity: Option<String>,
    /// Of this rule or detector; incidents with such a finding
    #[arg(long, value_name = "NAME")]
    pub(crate) rule: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
    /// Those too that nobody has to look at
    #[arg(long)]
    pub(crate) all: bool,
}

impl FilterArgs {
    /// Whether what nobody has to look at is asked for.
    pub(crate) fn asks_for_rest(&self) -> bool {
        self.all || self.state.is_some() || self.severity == Some(Severity::Informational)
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    let words = "write a time such as 2026-07-23T10:00:00Z, or how long ago, such as 30m, 24h, 7d";
    let before = || duration(text).map(Moment::Before);
    Time::parse(text)
        .map_or_else(|| before().map_err(|_| words.to_owned()), |at| Ok(Moment::At(at)))
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// Event id, request key, audit id, finding id or incident id, or the beginning of it
    pub(crate) id: String,
    /// Show each column of an access with the field that it was read from
    #[arg(long)]
    pub(crate) mapping: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct WhoArgs {
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// An identity: namespace/name of a ServiceAccount, a user name, a pod, a credential id
    pub(crate) id: String,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// Print the audit policy that leaves nothing out that Durward needs, and nothing else
    #[arg(long)]
    pub(crate) audit_policy: bool,
    /// Read every file of the lake and compare it with its checksums; exits with 1 if one is not what was written
    #[arg(long)]
    pub(crate) verify: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RulesVerb {
    /// List the rules
    List,
    /// Check rule files against the schema
    Lint {
        /// Sigma rule files
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum NotifyVerb {
    /// Send a test message by every configured route
    Test {
        /// Configuration file
        #[arg(long, env = "DURWARD_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        /// Set one key of the configuration
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Check a configuration file
    Check {
        /// The file
        #[arg(env = "DURWARD_CONFIG")]
        file: PathBuf,
    },
    /// Show every value and where it came from
    Show {
        /// The file
        #[arg(long, env = "DURWARD_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        /// Set one key of the configuration
        #[arg(long, value_name = "KEY=VALUE")]
        set: Vec<String>,
    },
    /// Print the JSON Schema of the configuration
    Schema,
}

/// `30s`, `5m`, `1h`, `250ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("write a number and a unit: 250ms, 30s, 5m, 1h, 7d".into()),
    };
    let number: u64 =
        number.parse().map_err(|_| "write a number and a unit, such as 30s".to_owned())?;
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(|| "that is too long".into())
}

/// `64MiB`, `1GiB`, `1000000`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let bytes = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err("write a number and a unit: 512MiB, 1GiB".into()),
    };
    let number: u64 =
        number.parse().map_err(|_| "write a number and a unit, such as 1GiB".to_owned())?;
    number.checked_mul(bytes).ok_or_else(|| "that is too large".into())
}
