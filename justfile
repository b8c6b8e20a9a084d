# Verbs for people; CI runs `.ci/run` and nothing else.

set positional-arguments

default: check

# What to run before a commit.
check: fmt lint test

# What must hold before a change lands: about an hour from nothing, minutes when warm.
ci:
    .ci/run

fmt:
    cargo fmt --all

fmt-check:
    cargo fmt --all --check

lint:
    cargo clippy --workspace --all-targets -- -D warnings

test *args:
    cargo test --workspace "$@"

# Write snapshots and .slt expectations anew; then read the diff.
bless:
    INSTA_UPDATE=always DURWARD_BLESS=1 cargo test --workspace
    git diff --stat

demo *args:
    cargo run -- demo "$@"

# Ask the data directory of DURWARD_DATA_DIR.
sql query:
    cargo run -- query "$1"

# A real kube-apiserver and Collector, and a SIGKILL in the middle.
e2e *args:
    cargo build
    e2e/run.py "${CARGO_TARGET_DIR:-target}/debug/durward" "$@"

# What must hold against hostile clients, in its long form: `just prove bombs`, or all; see e2e/doors.py.
prove *args:
    cargo build
    e2e/doors.py "${CARGO_TARGET_DIR:-target}/debug/durward" "$@" --times 5

# Every fuzz target for so many seconds each; see fuzz/README.md.
fuzz seconds="60":
    cd fuzz && for target in $(cargo +nightly fuzz list); do cargo +nightly fuzz run -s none "$target" -- -max_total_time="$1" -rss_limit_mb=2048 -timeout=10 || exit 1; done

doc:
    RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --workspace --no-deps --document-private-items

# Each needs its tool: cargo install --locked cargo-deny typos-cli cargo-machete
deny:
    cargo deny --offline check bans licenses sources

typos:
    typos

unused:
    cargo machete

# Write the reference pages that come from code anew; then read the diff.
reference:
    cargo build
    for page in cli tables config sources rules; do "${CARGO_TARGET_DIR:-target}/debug/durward" reference $page > docs/reference/$page.md; done
    git diff --stat docs/reference

# The long form of an attack that tests have in a short form: eviction.
prove name keys="10000000":
    DURWARD_PROVE_KEYS="$2" cargo test --release --workspace --lib -- "$1" --nocapture
