//! What the program says of itself: lines for people on a terminal, JSON elsewhere, always on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging: warnings, or more with each `-v`; `RUST_LOG` decides where it is set.
pub(crate) fn start(verbose: u8) {
    let ours = match verbose {
        0 => "warn,buoyant_kernel=off",
        1 => {
            "warn,buoyant_kernel=off,durward=info,durward_ingest=info,durward_correlate=info,durward_detect=info"
        }
        _ => {
            "info,buoyant_kernel=off,durward=debug,durward_ingest=debug,durward_correlate=debug,durward_detect=debug"
        }
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(ours));
    // Where nobody reads standard error any more, there is nobody to tell that either.
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    if std::io::stderr().is_terminal() {
        logs.init();
    } else {
        logs.json().init();
    }
}
