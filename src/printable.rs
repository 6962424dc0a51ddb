//! Text of servers and other users, made safe for terminals.

use anstream::adapter::strip_str;

/// Removes control characters and bidirectional formatting from text that a server or another user chose.
pub(crate) fn printable(text: &str) -> String {
    let is_bidi = |char: char| matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_unsafe = |char: char| (char.is_control() && char != '\n') || is_bidi(char);
    strip_str(text).to_string().replace(is_unsafe, " ")
}

/// As [`printable`], in one line: a line break could imitate another list entry or command.
pub(crate) fn printable_line(text: &str) -> String {
    printable(text).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_control_and_bidirectional_characters() {
        assert_eq!(printable("a\u{202e}b\u{2066}c"), "a b c");
        assert_eq!(printable_line("a\x1b[2Jb\nsecret/c\r"), "ab secret/c ");
        assert_eq!(printable("a\x1b[2Jb\x07c\td\ne \u{9b}31m√"), "abc d\ne  31m√");
    }
}
