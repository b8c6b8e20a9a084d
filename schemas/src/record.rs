//! What the log holds, and what one turn of the pipeline makes of it.

use crate::cell::Json;
use crate::ids::LogPosition;
use crate::table::Row;
use crate::tables::{
    Access, Amendment, Change, Credential, Grant, Log, Metric, Object, Reject, SourceCounter, Span,
    Workload,
};
use crate::time::Time;

/// One record of the log: sealed, redacted input, or something else that changes judgements.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The position of its first row. A record without rows takes one position.
    pub first_position: LogPosition,
    /// When it was recorded. The only clock that the core sees.
    pub ingest_time: Time,
    /// What it holds.
    pub content: Content,
}

/// What a record holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Stages of requests, edges not yet resolved.
    Accesses(Vec<Access>),
    /// Kubernetes objects as listed.
    Objects(Vec<Object>),
    /// Spans.
    Spans(Vec<Span>),
    /// Log records.
    Logs(Vec<Log>),
    /// Metric points.
    Metrics(Vec<Metric>),
    /// What could not be read.
    Rejects(Vec<Reject>),
    /// What one delivery brought, so that accepted + duplicates + rejected = received can be checked.
    Received(Receipt),
    /// The loop's clock reading: time passes by these only.
    Tick,
    /// How judgements are made from now on, and by which version of the program: JSON.
    Settings(Json),
    /// Something of our own is not there any more, or was not to be used for a while.
    Loss(Loss),
    /// A file ended: nothing of this source is outstanding (lateness 0, DESIGN decision 11).
    EndOfSource(String),
}

/// A part of our own that was lost, damaged or stood still, found at a start or while it was used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loss {
    /// Which part: `log`, `lake`, `checkpoints`, `keys`, `format`, `clock`.
    pub part: String,
    /// What is so, in a sentence.
    pub text: String,
    /// Rows that were acknowledged are gone, or may be.
    pub is_lasting: bool,
}

/// One delivery: a webhook batch, an OTLP request, a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    /// The configured source.
    pub source: String,
    /// The format, such as `kube-audit`.
    pub kind: String,
    /// The Kubernetes cluster.
    pub cluster: Option<String>,
    /// Items: rows and rejects together.
    pub items: i64,
    /// Bytes as received, before decompression.
    pub bytes: i64,
    /// Deliveries of this source that were refused since its last receipt, for want of room.
    pub refused: i64,
}

impl Content {
    /// How many positions it takes.
    #[must_use]
    pub fn positions(&self) -> usize {
        match self {
            Self::Accesses(rows) => rows.len(),
            Self::Objects(rows) => rows.len(),
            Self::Spans(rows) => rows.len(),
            Self::Logs(rows) => rows.len(),
            Self::Metrics(rows) => rows.len(),
            Self::Rejects(rows) => rows.len(),
            Self::Received(_)
            | Self::Tick
            | Self::Settings(_)
            | Self::Loss(_)
            | Self::EndOfSource(_) => 1,
        }
    }

    /// Gives every row its position and recording time.
    pub fn place(&mut self, first: LogPosition, ingest_time: Time) {
        match self {
            Self::Accesses(rows) => place(rows, first, ingest_time),
            Self::Objects(rows) => place(rows, first, ingest_time),
            Self::Spans(rows) => place(rows, first, ingest_time),
            Self::Logs(rows) => place(rows, first, ingest_time),
            Self::Metrics(rows) => place(rows, first, ingest_time),
            Self::Rejects(rows) => place(rows, first, ingest_time),
            Self::Received(_)
            | Self::Tick
            | Self::Settings(_)
            | Self::Loss(_)
            | Self::EndOfSource(_) => {}
        }
    }
}

fn place<R: Row>(rows: &mut [R], first: LogPosition, ingest_time: Time) {
    for (position, row) in (first..).zip(rows) {
        row.set_log_position(position);
        row.set_recorded(ingest_time);
    }
}

/// What `correlate` made of one record: rows with their edges, in the order of their positions.
///
/// `detect` observes it, the lake writes it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Turn {
    /// The position of the record's last row.
    pub last_position: LogPosition,
    /// When the record was recorded.
    pub ingest_time: Time,
    /// Whether this record is a tick.
    pub is_tick: bool,
    /// How judgements are made from this record on, if it says so.
    pub settings: Option<Json>,
    /// What of our own was lost, if the record says so.
    pub loss: Option<Loss>,
    /// New accesses; duplicates are gone.
    pub accesses: Vec<Access>,
    /// Edges that became known.
    pub amendments: Vec<Amendment>,
    /// New objects.
    pub objects: Vec<Object>,
    /// Changes that the accesses made.
    pub changes: Vec<Change>,
    /// New versions of credentials.
    pub credentials: Vec<Credential>,
    /// New versions of workloads.
    pub workloads: Vec<Workload>,
    /// New versions of grants.
    pub grants: Vec<Grant>,
    /// New spans.
    pub spans: Vec<Span>,
    /// New log records.
    pub logs: Vec<Log>,
    /// New metric points.
    pub metrics: Vec<Metric>,
    /// New rejects.
    pub rejects: Vec<Reject>,
    /// What each source brought; made at ticks.
    pub source_counters: Vec<SourceCounter>,
    /// Rows of the record that were there already.
    pub duplicates: usize,
}
