//! One line on stderr that counts.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use super::{UNKNOWN_WIDTH, printable};

/// What is done sooner needs no progress.
const FIRST_MS: u64 = 1000;
const EVERY_MS: u64 = 100;

/// The line itself: it is rewritten in place, with spaces rather than escape sequences, which `NO_COLOR` and old
/// consoles would spoil.
#[derive(Debug)]
pub(super) struct Line {
    /// Whether it may be shown at all.
    moves: bool,
    /// The columns it takes up now.
    shown: AtomicUsize,
}

impl Line {
    pub(super) fn new(moves: bool) -> Self {
        Self { moves, shown: AtomicUsize::new(0) }
    }

    /// Takes the line away, if it is there.
    pub(super) fn clear(&self) {
        let shown = self.shown.swap(0, Relaxed);
        if shown > 0 {
            let _ = write!(io::stderr(), "\r{:shown$}\r", "");
        }
    }

    /// Shows as much of the text as one line of the window holds: what went on in the next could not be taken away.
    fn show(&self, text: &str) {
        let width = terminal_size::terminal_size_of(io::stderr()).map_or(UNKNOWN_WIDTH, |(width, _)| width.0.into());
        let text: String = text.chars().take(width.saturating_sub(1)).collect();
        let shown = self.shown.swap(text.chars().count(), Relaxed);
        let _ = write!(io::stderr(), "\r{text:shown$}");
    }
}

/// Work that is under way.
#[derive(Debug)]
pub struct Progress<'a> {
    line: &'a Line,
    what: &'static str,
    total: usize,
    done: AtomicUsize,
    started: Instant,
    /// When to show the line next, in milliseconds since the start.
    due: AtomicU64,
}

impl<'a> Progress<'a> {
    pub(super) fn new(line: &'a Line, what: &'static str, total: usize) -> Self {
        let due = AtomicU64::new(FIRST_MS);
        Self { line, what, total, done: AtomicUsize::new(0), started: Instant::now(), due }
    }

    /// One more is done.
    pub fn tick(&self) {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(text) = self.count(elapsed).filter(|_| self.line.moves) {
            self.line.show(&text);
        }
    }

    /// Counts one more, and gives the text to show if it is time to.
    fn count(&self, elapsed: u64) -> Option<String> {
        let done = self.done.fetch_add(1, Relaxed) + 1;
        if elapsed < self.due.load(Relaxed) {
            return None;
        }
        self.due.store(elapsed + EVERY_MS, Relaxed);
        Some(format!("{}: {done} of {}", self.what, self.total))
    }
}

/// Something that others are at.
#[derive(Debug)]
pub struct Waiting<'a> {
    line: &'a Line,
    what: &'static str,
    started: Instant,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(line: &'a Line, what: &'static str) -> Self {
        Self { line, what, started: Instant::now() }
    }

    /// Tells how far they are.
    pub fn say(&self, state: &str) {
        if self.line.moves {
            self.line.show(&format!("{} ({} s): {}", self.what, self.started.elapsed().as_secs(), printable(state)));
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.line.clear();
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_shown_in_the_first_second_and_then_not_too_often() {
        let line = Line::new(false);
        let progress = Progress::new(&line, "Namespaces checked", 12);
        let shown: Vec<_> = [10, 999, 1000, 1050, 1100].into_iter().map(|elapsed| progress.count(elapsed)).collect();
        assert_eq!(
            shown,
            [None, None, Some("Namespaces checked: 3 of 12".into()), None, Some("Namespaces checked: 5 of 12".to_owned())]
        );
    }

    #[test]
    fn a_line_that_was_never_shown_needs_no_clearing() {
        let line = Line::new(false);
        Progress::new(&line, "Namespaces checked", 1).tick();
        assert_eq!(line.shown.load(Relaxed), 0);
    }
}
