//! Fuzz target: see [`crate::untrusted`].

use super::{prompt, redraw};
use crate::printable::{printable, printable_line};

/// # Panics
/// If untrusted text could control the terminal.
#[allow(clippy::panic, reason = "the fuzzer looks for panics")]
pub fn terminal(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let shown = printable(&text);
    let line = printable_line(&text);
    assert!(
        !shown.chars().any(|char| char.is_control() && char != '\n'),
        "controls the terminal: {shown:?}"
    );
    assert!(!line.contains('\n') && printable(&shown) == shown, "not idempotent: {shown:?}");
    let _ = prompt::is_plain(&text);
    let size = |index: usize| bytes.get(index).copied().map_or(0, usize::from);
    let _ = redraw::frame(&text, size(0), size(1));
}
