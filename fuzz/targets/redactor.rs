//! Fuzzes what takes `redactor`: see `durward_ingest::fuzz`.

#![no_main]

use durward_ingest::fuzz::{Target, check};

libfuzzer_sys::fuzz_target!(|data: &[u8]| check(Target::Redactor, data));
