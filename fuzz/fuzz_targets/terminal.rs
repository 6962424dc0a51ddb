//! Words of others on their way to the terminal, which nothing of them may steer.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| oc_quay::untrusted::terminal(bytes));
