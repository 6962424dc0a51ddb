//! Replaces the text on a terminal.

use unicode_width::UnicodeWidthStr as _;

use super::strip_str;

const HOME: &str = "\x1b[H";
const CLEAR_REST_OF_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// Overwrites lines from the top and clears only the rest of each, to avoid flicker. If the text is too high, the lines
/// before the last one, which is the summary, are truncated.
pub(super) fn frame(text: &str, columns: usize, rows: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    let columns = columns.max(1);
    let width = |line: &str| strip_str(line).to_string().width();
    let height = |line: &&str| width(line).div_ceil(columns).max(1);
    let mut shown = HOME.to_owned();
    let mut show = |line: &str| {
        shown += line;
        // At the right edge the cursor is on the last character, which must not be cleared.
        if line.is_empty() || width(line) % columns != 0 {
            shown += CLEAR_REST_OF_LINE;
        }
        shown.push('\n');
    };
    // One row for the cursor.
    let room = rows.saturating_sub(1);
    match lines.split_last() {
        Some((last, others)) if lines.iter().map(height).sum::<usize>() > room => {
            let mut left = room.saturating_sub(1 + height(last));
            let fitting = others.iter().take_while(|line| {
                let fits = height(line) <= left;
                left = left.saturating_sub(height(line));
                fits
            });
            let fitting = fitting.count();
            others.iter().take(fitting).for_each(|line| show(line));
            show(&format!("... {} more lines", others.len() - fitting));
            show(last);
        }
        _ => lines.iter().for_each(|line| show(line)),
    }
    shown + CLEAR_BELOW
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, columns: usize, rows: usize) -> Vec<String> {
        let frame = frame(text, columns, rows);
        assert!(frame.starts_with(HOME) && frame.ends_with(CLEAR_BELOW));
        strip_str(&frame).to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn overwrites_lines_and_clears_rest() {
        assert_eq!(frame("one\n\ntwo\n", 80, 24), "\x1b[Hone\x1b[K\n\x1b[K\ntwo\x1b[K\n\x1b[J");
        assert_eq!(frame("three\n", 5, 24), "\x1b[Hthree\n\x1b[J");
    }

    #[test]
    fn keeps_first_and_last_lines_of_high_text() {
        let text: String = (1..=30).map(|number| format!("line {number}\n")).collect();
        assert_eq!(lines(&text, 80, 31).len(), 30);
        let shown = lines(&text, 80, 10);
        assert_eq!(
            (shown.len(), shown[6].as_str(), shown[7].as_str(), shown[8].as_str()),
            (9, "line 7", "... 22 more lines", "line 30")
        );
        assert_eq!(lines(&text, 80, 1), ["... 29 more lines", "line 30"]);
    }

    #[test]
    fn counts_columns_of_wide_and_combining_characters() {
        assert_eq!(frame("倉庫\n", 4, 24), "\x1b[H倉庫\n\x1b[J");
        assert_eq!(frame("cafe\u{301}\n", 5, 24), "\x1b[Hcafe\u{301}\x1b[K\n\x1b[J");
    }

    #[test]
    fn counts_rows_of_wrapped_line() {
        let text = format!("{}\nb\nc\nlast\n", "\x1b[31ma\x1b[39m".repeat(25));
        assert_eq!(lines(&text, 20, 6).len(), 4);
        assert_eq!(lines(&text, 20, 5), [&*"a".repeat(25), "... 2 more lines", "last"]);
    }
}
