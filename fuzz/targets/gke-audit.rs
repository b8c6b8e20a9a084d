//! Fuzzes what takes `gke-audit`: see `durward_ingest::fuzz`.

#![no_main]

use durward_ingest::Format;
use durward_ingest::fuzz::{Target, check};

libfuzzer_sys::fuzz_target!(|data: &[u8]| check(Target::Format(Format::GkeAudit), data));
