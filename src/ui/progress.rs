//! One line on stderr that counts.

use std::io::{self, Write as _};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{UNKNOWN_WIDTH, printable};

/// What is done sooner needs no progress.
const INITIAL_DELAY: Duration = Duration::from_secs(1);
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

/// The line itself: it is rewritten in place, with spaces rather than escape sequences, which `NO_COLOR` and old
/// consoles would spoil.
#[derive(Debug)]
pub(super) struct StatusLine {
    /// Whether it may be shown at all.
    moves: bool,
    /// The columns it takes up now.
    shown: AtomicUsize,
}

impl StatusLine {
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
        let width = terminal_size::terminal_size_of(io::stderr())
            .map_or(UNKNOWN_WIDTH, |(width, _)| width.0.into());
        let text: String = text.chars().take(width.saturating_sub(1)).collect();
        let shown = self.shown.swap(text.chars().count(), Relaxed);
        let _ = write!(io::stderr(), "\r{text:shown$}");
    }
}

/// Work that is under way: so many pieces, or one whose size nobody knows.
#[derive(Debug)]
pub struct Progress<'a> {
    line: &'a StatusLine,
    what: &'static str,
    total: usize,
    done: AtomicUsize,
    /// What was begun last.
    current: Mutex<String>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(line: &'a StatusLine, what: &'static str, total: usize) -> Self {
        Self { line, what, total, done: AtomicUsize::new(0), current: Mutex::default() }
    }

    /// This piece is begun.
    pub fn at(&self, piece: &str) {
        piece.clone_into(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// One more is done.
    pub fn tick(&self) {
        self.done.fetch_add(1, Relaxed);
    }

    /// Does the work. The line moves on while nothing is done, too: that is when a person wonders.
    pub async fn track<T>(&self, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let mut due = interval_at(started + INITIAL_DELAY, REDRAW_INTERVAL);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                outcome = &mut work => return outcome,
                now = due.tick(), if self.line.moves => self.line.show(&self.text(now - started)),
            }
        }
    }

    /// `Reading: 120 of 500, 14/s, 27 s left: shop`; `Reading: 3 s` where there is nothing to count.
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
        match self.current.lock().unwrap_or_else(PoisonError::into_inner).as_str() {
            "" => format!("{what}: {state}"),
            current => format!("{what}: {state}: {}", printable(current)),
        }
    }
}

/// A time as people say it.
fn approximate(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 100 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

/// Something that others are at.
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

    /// Tells how far they are.
    pub fn say(&self, state: &str) {
        if self.line.moves {
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
    fn it_says_what_is_done_how_fast_how_long_it_takes_and_where_it_is() {
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
        assert_eq!(text("Looking around", 0, 0, "", 3200), "Looking around: 3 s");
    }

    #[test]
    fn what_a_name_says_cannot_steer_the_terminal() {
        assert_eq!(text("Reading", 0, 0, "a\x1b[2Jb", 1000), "Reading: 1 s: ab");
    }

    #[tokio::test]
    async fn a_line_that_was_never_shown_needs_no_clearing() {
        let line = StatusLine::new(true);
        assert_eq!(Progress::new(&line, "Reading", 1).track(async { 7 }).await, 7);
        assert_eq!(line.shown.load(Relaxed), 0);
    }
}
