//! What prepares words of others for a terminal: see [`crate::untrusted`].

use super::{printable, printable_line, prompt, redraw};

/// Words of a server, or of another user, on their way to the terminal.
///
/// # Panics
/// If something of them would steer it.
#[allow(clippy::panic, reason = "this is what is looked for")]
pub fn terminal(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let shown = printable(&text);
    let line = printable_line(&text);
    assert!(
        !shown.chars().any(|char| char.is_control() && char != '\n'),
        "it steers the terminal: {shown:?}"
    );
    assert!(
        !line.contains('\n') && printable(&shown) == shown,
        "it changes when it is read again: {shown:?}"
    );
    let _ = prompt::is_plain(&text);
    let size = |place: usize| bytes.get(place).copied().map_or(0, usize::from);
    let _ = redraw::frame(&text, size(0), size(1));
}
