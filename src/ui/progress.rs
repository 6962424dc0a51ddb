//! A progress line on stderr.

use std::io::{self, Write as _};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use unicode_width::UnicodeWidthStr as _;

use super::UNKNOWN_WIDTH;
use crate::printable::printable;

const INITIAL_DELAY: Duration = Duration::from_secs(1);
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

/// Rewritten in place with spaces instead of escape sequences, because of `NO_COLOR` and old consoles.
#[derive(Debug)]
pub(super) struct StatusLine {
    is_enabled: bool,
    shown: AtomicUsize,
}

impl StatusLine {
    pub(super) fn new(is_enabled: bool) -> Self {
        Self { is_enabled, shown: AtomicUsize::new(0) }
    }

    pub(super) fn clear(&self) {
        let shown = self.shown.swap(0, Relaxed);
        if shown > 0 {
            let _ = write!(io::stderr(), "\r{:shown$}\r", "");
        }
    }

    /// Truncates the text to one line, since more could not be removed.
    fn show(&self, text: &str) {
        let width = terminal_size::terminal_size_of(io::stderr())
            .map_or(UNKNOWN_WIDTH, |(width, _)| width.0.into());
        let text = truncate(text, width.saturating_sub(1));
        let padding = self.shown.swap(text.width(), Relaxed).saturating_sub(text.width());
        let _ = write!(io::stderr(), "\r{text}{:padding$}", "");
    }
}

/// The start of the text that fits into the columns.
fn truncate(text: &str, columns: usize) -> &str {
    let ends = text.char_indices().map(|(start, char)| start + char.len_utf8());
    let end = ends.take_while(|end| text[..*end].width() <= columns).last();
    &text[..end.unwrap_or_default()]
}

/// Work with a number of items, or of unknown size.
#[derive(Debug)]
pub struct Progress<'a> {
    line: &'a StatusLine,
    what: &'static str,
    total: usize,
    done: AtomicUsize,
    /// The item started last.
    current: Mutex<String>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(line: &'a StatusLine, what: &'static str, total: usize) -> Self {
        Self { line, what, total, done: AtomicUsize::new(0), current: Mutex::default() }
    }

    pub fn at(&self, item: &str) {
        item.clone_into(&mut self.current.lock());
    }

    pub fn tick(&self) {
        self.done.fetch_add(1, Relaxed);
    }

    /// Awaits `work` and redraws the line periodically, even if no item is done.
    pub async fn track<T>(&self, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let mut due = interval_at(started + INITIAL_DELAY, REDRAW_INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                outcome = &mut work => return outcome,
                now = due.tick(), if self.line.is_enabled => self.line.show(&self.text(now - started)),
            }
        }
    }

    /// `Reading: 120 of 500, 14/s, 27 s left: shop`; `Reading: 3 s` without items.
    fn text(&self, elapsed: Duration) -> String {
        let Self { what, total, .. } = self;
        let (done, seconds) = (self.done.load(Relaxed), elapsed.as_secs_f64());
        let state = match done {
            _ if *total < 2 => format!("{} s", elapsed.as_secs()),
            0 => format!("0 of {total}, {} s", elapsed.as_secs()),
            _ => {
                let rate = done as f64 / seconds;
                let left = Duration::from_secs_f64((total.saturating_sub(done)) as f64 / rate);
                format!(
                    "{done} of {total}, {rate:.*}/s, {} left",
                    usize::from(rate < 10.0),
                    approximate(left)
                )
            }
        };
        match self.current.lock().as_str() {
            "" => format!("{what}: {state}"),
            current => format!("{what}: {state}: {}", printable(current)),
        }
    }
}

/// `27 s` or `3 min`.
fn approximate(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 100 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

/// A wait for an external event.
#[derive(Debug)]
pub struct Spinner<'a> {
    line: &'a StatusLine,
    what: &'static str,
    started: Instant,
}

impl<'a> Spinner<'a> {
    pub(super) fn new(line: &'a StatusLine, what: &'static str) -> Self {
        Self { line, what, started: Instant::now() }
    }

    pub fn say(&self, state: &str) {
        if self.line.is_enabled {
            self.line.show(&format!(
                "{} ({} s): {}",
                self.what,
                self.started.elapsed().as_secs(),
                printable(state)
            ));
        }
    }
}

impl Drop for Spinner<'_> {
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

    fn text(
        what: &'static str,
        total: usize,
        done: usize,
        current: &str,
        milliseconds: u64,
    ) -> String {
        let line = StatusLine::new(false);
        let progress = Progress::new(&line, what, total);
        (0..done).for_each(|_| progress.tick());
        progress.at(current);
        progress.text(Duration::from_millis(milliseconds))
    }

    #[test]
    fn shows_count_rate_remaining_time_and_item() {
        assert_eq!(text("Reading", 500, 0, "shop", 1000), "Reading: 0 of 500, 1 s: shop");
        assert_eq!(
            text("Reading", 500, 120, "shop", 8500),
            "Reading: 120 of 500, 14/s, 26 s left: shop"
        );
        assert_eq!(
            text("Changing", 5000, 10, "shop", 20_000),
            "Changing: 10 of 5000, 0.5/s, 167 min left: shop"
        );
        assert_eq!(text("Reading", 1, 0, "shop", 3200), "Reading: 3 s: shop");
        assert_eq!(text("Discovering", 0, 0, "", 3200), "Discovering: 3 s");
    }

    #[test]
    fn removes_control_characters_from_names() {
        assert_eq!(text("Reading", 0, 0, "a\x1b[2Jb", 1000), "Reading: 1 s: ab");
    }

    #[test]
    fn truncates_to_columns() {
        for (name, columns, shown) in [
            ("倉庫", 4, "倉庫"),
            ("倉庫", 3, "倉"),
            ("cafe\u{301}s", 4, "cafe\u{301}"),
            ("shop", 0, ""),
        ] {
            assert_eq!(truncate(name, columns), shown, "{name} {columns}");
        }
    }

    #[tokio::test]
    async fn does_not_clear_line_that_was_not_shown() {
        let line = StatusLine::new(true);
        assert_eq!(Progress::new(&line, "Reading", 1).track(async { 7 }).await, 7);
        assert_eq!(line.shown.load(Relaxed), 0);
    }
}
