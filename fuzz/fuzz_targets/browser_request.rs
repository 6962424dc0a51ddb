//! Requests to the OAuth redirect listener of `oc quay setup`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| oc_quay::untrusted::browser_request(bytes));
