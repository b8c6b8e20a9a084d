//! The books: what could not be read, and how much each source brought.

use crate::ids::{LogPosition, RejectId};
use crate::table::table;
use crate::time::Time;

table! {
    /// One input that could not be read, kept with its reason.
    Reject = "rejects", recorded: ingest_time {
        /// When it was received.
        time: Time,
        /// Keyed hash of cluster, format and the bytes.
        reject_id: RejectId,
        /// The ordinal of the row in the log.
        log_position: LogPosition,
        /// The configured source.
        source: String,
        /// The Kubernetes cluster.
        cluster: Option<String>,
        /// The format that was tried.
        format: String,
        /// Why, in a word that can be counted.
        reason: String,
        /// Why, in a sentence.
        detail: String,
        /// What to do about it.
        hint: Option<String>,
        /// The first 4 KiB, masked.
        head: Option<String>,
        /// Length of the whole in bytes.
        byte_length: i64,
        /// Where in the input: `line 7`, `item 3`.
        position: Option<String>,
        /// When the log took it.
        ingest_time: Time,
    }
}

table! {
    /// What one source brought since its last row; made at ticks.
    SourceCounter = "source_counters", recorded: ingest_time {
        /// The tick.
        time: Time,
        /// The configured source.
        source: String,
        /// The format.
        kind: String,
        /// The Kubernetes cluster.
        cluster: Option<String>,
        /// The ordinal of the tick in the log.
        log_position: LogPosition,
        /// Rows that became rows.
        accepted: i64,
        /// Rows that were there already.
        duplicates: i64,
        /// Inputs that could not be read.
        rejected: i64,
        /// Bytes received.
        bytes: i64,
        /// Until when everything has surely arrived.
        watermark: Option<Time>,
        /// Events that the source lost, as far as can be known.
        lost_estimate: i64,
        /// Time of the latest event.
        last_time: Option<Time>,
        /// When the log took the tick.
        ingest_time: Time,
        /// Seconds from the latest event to the tick.
        lag_seconds: Option<f64>,
        /// How far the source was read: `file@offset`, topic/partition/offset.
        position: Option<String>,
        /// Events that the source itself says it lost.
        lost_reported: Option<i64>,
    }
}
