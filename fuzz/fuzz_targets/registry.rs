//! A registry's challenge or token.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| oc_quay::untrusted::registry(bytes));
