//! Descriptors of files: as many as the system allows, and of these some that no connection gets.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections of a door at most.
const MOST: usize = 1024;
/// What log, lake, checkpoints and queries need at the same time at most.
const SPARE: u64 = 384;

/// Raises the limit to what may be had without asking anybody; gives what it is then.
pub(crate) fn raise() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Connections that each of so many doors may have when so many files may be open.
pub(crate) fn connections(files: u64, doors: u64) -> usize {
    let each = files.saturating_sub(SPARE) / doors.max(1);
    // A machine that allows hardly any files is told by its errors; doors are not shut for it.
    usize::try_from(each).unwrap_or(MOST).clamp(16, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: limits of open files, as systems have them.
    /// Guarantees: all doors together leave the spare ones, where there are enough at all.
    #[test]
    fn some_descriptors_are_spared() {
        for (files, expected) in
            [(64, 16), (1024, 128), (4096, 742), (1 << 20, MOST), (u64::MAX, MOST)]
        {
            let each = connections(files, 5);
            assert_eq!(each, expected, "{files}");
            assert!(files < 512 || each as u64 * 5 + SPARE <= files);
        }
    }
}
