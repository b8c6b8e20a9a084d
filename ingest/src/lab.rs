//! The lab's recordings, for tests: what a real API server and its exporter sent.

use std::path::PathBuf;

use serde_json::Value;

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
