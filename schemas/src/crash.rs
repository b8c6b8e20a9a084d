//! Places at which a test may end the program as a crash would.
//!
//! `DURWARD_CRASH_AT=lake_committed:3` ends it when it comes to that place for the third time: no
//! destructor runs and nothing is flushed. Release builds have no such places.

/// Ends the process here, if the environment says so.
#[cfg(debug_assertions)]
pub fn point(place: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static WANTED: OnceLock<Option<(String, usize)>> = OnceLock::new();
    static PASSED: AtomicUsize = AtomicUsize::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("DURWARD_CRASH_AT").ok()?;
        let (place, time) = text.split_once(':').unwrap_or((&text, "1"));
        Some((place.to_owned(), time.parse().ok()?))
    });
    let Some((wanted, time)) = wanted else { return };
    if wanted == place && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *time {
        std::process::abort();
    }
}

/// Does nothing: the program was built for people.
#[cfg(not(debug_assertions))]
pub const fn point(_place: &str) {}
