//! What tests share: the lab's recordings of a real API server, and a context to read them in.

use std::path::PathBuf;
use std::sync::LazyLock;

use durward_schemas::Time;
use serde_json::Value;

use crate::{Context, Keys};

/// One HTTP or gRPC request as it was sent.
pub(crate) struct Frame {
    /// Method, target, headers.
    pub(crate) head: Value,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// Names of the recordings.
pub(crate) const RECORDINGS: &[&str] =
    &["a-production", "b-metadata", "c-careless", "d-stratus", "e-benign", "f-production"];

/// The folder of the lab; says so and gives nothing where it is not there.
pub(crate) fn lab() -> Option<PathBuf> {
    let lab =
        std::env::var_os("DURWARD_SHARED_DATA").map(|data| PathBuf::from(data).join("../lab"));
    let lab = lab.filter(|lab| lab.is_dir());
    if lab.is_none() {
        println!("skipped: DURWARD_SHARED_DATA does not name a folder with the lab beside it");
    }
    lab
}

/// The file `name` of a recording, decompressed.
pub(crate) fn recorded(recording: &str, name: &str) -> Option<Vec<u8>> {
    let path = lab()?.join("k8s/recordings").join(recording).join(name);
    let bytes = std::fs::read(&path).unwrap();
    Some(if name.ends_with(".zst") { zstd::decode_all(bytes.as_slice()).unwrap() } else { bytes })
}

/// The requests in a file of frames: a line of JSON that says how many bytes follow.
pub(crate) fn frames(recording: &str, name: &str) -> Option<Vec<Frame>> {
    let bytes = recorded(recording, name)?;
    let mut frames = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, after) = rest.split_at(end);
        let head: Value = serde_json::from_slice(line).unwrap();
        let length = usize::try_from(head["bytes"].as_u64().unwrap()).unwrap();
        let (body, after) = after[1..].split_at(length);
        frames.push(Frame { head, body: body.to_vec() });
        rest = &after[1..];
    }
    Some(frames)
}

/// Runs `read` with a context of cluster `prod`, source `test`, received in November 2026.
pub(crate) fn with_context<R>(read: impl FnOnce(&Context<'_>) -> R) -> R {
    // Compiling what secrets look like takes longer than most reads.
    static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::from_bytes(&[7; 32], [9; 32]));
    read(&Context {
        cluster: Some("prod"),
        source: "test",
        received: Time::parse("2026-11-25T00:00:00Z").unwrap(),
        as_of: None,
        keys: &KEYS,
        trusted_proxies: &[],
        default_cluster: None,
    })
}
