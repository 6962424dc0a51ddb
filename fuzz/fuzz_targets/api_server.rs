//! Responses of an API server.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| oc_quay::untrusted::api_server(bytes));
