//! Random secrets and identifiers in the alphabets of Quay, and digests.

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A token of upper-case letters and digits (`random_string_generator` of `data/database.py`): 64 characters
/// for a robot, 40 for OAuth.
pub(crate) fn token(length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    bytes(length).into_iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

/// Random bytes in Base64 (`generate_csrf_token` of `endpoints/csrf.py`).
pub(crate) fn base64(length: usize) -> String {
    STANDARD.encode(bytes(length))
}

/// A random UUID in its usual form.
pub(crate) fn uuid() -> String {
    let hex = hex(&bytes(16));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The SHA-256 of `data` in hexadecimal.
pub(crate) fn sha256(data: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, data).as_ref())
}

fn bytes(length: usize) -> Vec<u8> {
    let mut buffer = vec![0; length];
    // The generator only fails where the operating system has no randomness at all; a constant is then as good.
    let _ = rand::fill(&mut buffer);
    buffer
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
