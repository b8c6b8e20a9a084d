//! Kubernetes objects as somebody listed them: they seed the state, and make it again when it is lost.

use crate::cell::Json;
use crate::ids::{EventId, LogPosition};
use crate::table::table;
use crate::time::Time;

table! {
    /// One Kubernetes object as it stood at `time`, by format `kube-list`.
    Object = "objects", recorded: ingest_time {
        /// When the object was listed.
        time: Time,
        /// Time prefix and hash of cluster and content.
        event_id: EventId,
        /// The ordinal of the row in the log.
        log_position: LogPosition,
        /// The Kubernetes cluster.
        cluster: Option<String>,
        /// API group; empty for the core group.
        api_group: String,
        /// Kind, such as `RoleBinding`.
        kind: String,
        /// Namespace.
        namespace: Option<String>,
        /// Name.
        name: String,
        /// UID.
        uid: Option<String>,
        /// The object, redacted, without managed fields.
        object: Json,
        /// The configured source.
        source: String,
        /// When the log took it.
        ingest_time: Time,
    }
}
