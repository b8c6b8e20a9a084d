use super::*;

/// Runs `read` with a context of cluster `prod`, source `test`, received in November 2026.
pub(crate) fn with_context<R>(read: impl FnOnce(&Context<'_>) -> R) -> R {
    let keys = Keys::from_bytes(&[7; 32], [9; 32]);
    read(&Context {
        cluster: Some("prod"),
        source: "test",
        received: Time::parse("2026-11-25T00:00:00Z").unwrap(),
        as_of: None,
        keys: &keys,
        trusted_proxies: &[],
        default_cluster: None,
    })
}
