//! A request to the port where the set-up waits for the browser.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| oc_quay::untrusted::browser_request(bytes));
