//! The only door to stdout, stderr, prompts, color and progress.
//!
//! Whoever writes styles always; the door strips what the stream cannot show. stdout carries the report, everything
//! else goes to stderr.

mod progress;

use std::env;
use std::io::{self, IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};
use inquire::InquireError;
use inquire::ui::RenderConfig;
use owo_colors::OwoColorize as _;

use crate::error::{Error, ExitStatus, Stopped};
use progress::Line;
pub use progress::Progress;

/// The columns of a terminal that does not tell.
const UNKNOWN_WIDTH: usize = 80;

/// What the global flags say about input and output.
#[derive(Clone, Copy, Debug)]
pub struct UiOptions {
    /// `--color`.
    pub color: clap::ColorChoice,
    /// `--no-input`: ask nothing.
    pub no_input: bool,
}

/// Stdout, stderr and the keyboard, as they are in this run. Made once.
#[derive(Debug)]
pub struct Ui {
    out: ColorChoice,
    err: ColorChoice,
    can_prompt: bool,
    ascii: bool,
    width: Option<usize>,
    /// The progress line on stderr, which all other output there has to clear first.
    line: Line,
}

impl Ui {
    /// Looks at the streams and at the environment (`NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`, `TERM`, `COLUMNS`,
    /// `LC_ALL`, `LC_CTYPE`, `LANG`).
    pub fn new(options: UiOptions) -> Self {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let color = |auto: ColorChoice| match options.color {
            clap::ColorChoice::Auto => auto,
            clap::ColorChoice::Always => ColorChoice::Always,
            clap::ColorChoice::Never => ColorChoice::Never,
        };
        let moves = stderr.is_terminal() && !is_dumb();
        Self {
            out: color(AutoStream::choice(&stdout)),
            err: color(AutoStream::choice(&stderr)),
            can_prompt: !options.no_input && io::stdin().is_terminal() && stderr.is_terminal(),
            ascii: !cfg!(windows) && !is_utf8(|name| env::var(name).ok()),
            width: width(env::var("COLUMNS").ok(), stdout.is_terminal(), terminal_size::terminal_size_of(&stdout)),
            line: Line::new(moves),
        }
    }

    /// Whether stdout's readers may see no more than ASCII.
    pub fn ascii(&self) -> bool {
        self.ascii
    }

    /// The columns of stdout: `COLUMNS`, or the terminal's. None where stdout is no terminal.
    pub fn width(&self) -> Option<usize> {
        self.width
    }

    /// Writes a report, or a part of one, to stdout.
    ///
    /// # Errors
    /// If stdout cannot be written to; a closed pipe too, which [`Error::exit_status`] knows.
    pub fn out(&self, text: &str) -> io::Result<()> {
        self.line.clear();
        let mut stdout = AutoStream::new(io::stdout(), self.out);
        stdout.write_all(text.as_bytes())?;
        if !text.is_empty() && !text.ends_with('\n') {
            stdout.write_all(b"\n")?;
        }
        stdout.flush()
    }

    /// Shows a text instead of the one before: on a terminal in its place, elsewhere after a line with `---`.
    ///
    /// # Errors
    /// As [`Ui::out`].
    pub fn redraw(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout();
        // Not through the stream that strips colors: it would strip these too.
        if stdout.is_terminal() && !is_dumb() {
            stdout.write_all(b"\x1b[H\x1b[2J")?;
        } else {
            stdout.write_all(b"---\n")?;
        }
        self.out(text)
    }

    /// Says on stderr what is being done, or is about to be.
    pub fn status(&self, text: &str) {
        self.write_err(text);
    }

    /// Warns on stderr.
    pub fn warn(&self, text: &str) {
        self.write_err(&format!("{} {}", "warning:".yellow().bold(), printable(text)));
    }

    /// Hints on stderr at what to do next.
    pub fn hint(&self, text: &str) {
        self.write_err(&format!("{} {}", "hint:".cyan().bold(), printable(text)));
    }

    /// Tells on stderr why a command failed. Says nothing if nothing failed: a closed pipe, a person who left.
    pub fn error(&self, error: &Error) {
        if error.exit_status() != ExitStatus::Failure {
            return;
        }
        for (place, message) in error.messages().iter().enumerate() {
            let label = if place == 0 { "error:" } else { "caused by:" };
            self.write_err(&format!("{} {}", label.red().bold(), printable(message)));
        }
        for hint in error.hints() {
            self.hint(hint);
        }
    }

    /// Whether a person can be asked: stdin and stderr are terminals, and `--no-input` is absent.
    pub fn can_prompt(&self) -> bool {
        self.can_prompt
    }

    /// Asks a question to be answered with yes or no.
    ///
    /// # Errors
    /// [`Stopped`] on Esc and Ctrl-C; a failure if the terminal does not work. Ask [`Ui::can_prompt`] first.
    pub fn confirm(&self, question: &str, default: bool) -> Result<bool, Error> {
        self.line.clear();
        let prompt = inquire::Confirm::new(question).with_default(default);
        prompt.with_render_config(self.prompt_colors()).prompt().map_err(prompt_error)
    }

    /// Asks for a line of text.
    ///
    /// # Errors
    /// As [`Ui::confirm`].
    pub fn text(&self, question: &str) -> Result<String, Error> {
        self.line.clear();
        inquire::Text::new(question).with_render_config(self.prompt_colors()).prompt().map_err(prompt_error)
    }

    /// Starts to count `total` pieces of work, which [`Progress::tick`] tells to be done one by one. What takes over a
    /// second is shown, on a terminal, in one line `WHAT: 3 of 12`, which goes when the value does.
    pub fn progress(&self, what: &'static str, total: usize) -> Progress<'_> {
        Progress::new(&self.line, what, total)
    }

    /// When stderr is gone there is nobody left to be told, so errors are dropped.
    fn write_err(&self, text: &str) {
        self.line.clear();
        let _ = writeln!(AutoStream::new(io::stderr(), self.err), "{}", text.trim_end_matches('\n'));
    }

    fn prompt_colors(&self) -> RenderConfig<'static> {
        if self.err == ColorChoice::Never { RenderConfig::empty() } else { RenderConfig::default_colored() }
    }
}

/// The text without what would steer the terminal; for words that a server, or anyone else, chose.
pub fn printable(text: &str) -> String {
    let steer = |char: char| char.is_control() && char != '\n';
    anstream::adapter::strip_str(text).to_string().replace(steer, " ")
}

fn prompt_error(error: InquireError) -> Error {
    match error {
        InquireError::OperationCanceled | InquireError::OperationInterrupted => Stopped.into(),
        other => anyhow::Error::from(other).context("could not ask on this terminal").into(),
    }
}

fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// The first of the three variables that is set to something decides (POSIX, "Internationalization Variables").
fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable).find(|value| !value.is_empty());
    locale.is_some_and(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

fn width(
    columns: Option<String>,
    is_terminal: bool,
    size: Option<(terminal_size::Width, terminal_size::Height)>,
) -> Option<usize> {
    let asked = columns.and_then(|columns| columns.trim().parse().ok()).filter(|&columns| columns > 0);
    let measured = size.map_or(UNKNOWN_WIDTH, |(width, _)| width.0.into());
    asked.or_else(|| is_terminal.then_some(measured))
}

#[cfg(test)]
mod tests {
    use terminal_size::{Height, Width};

    use super::*;

    fn ui(no_input: bool) -> Ui {
        Ui::new(UiOptions { color: clap::ColorChoice::Never, no_input })
    }

    #[test]
    fn the_first_locale_variable_that_is_set_decides() {
        let utf8 =
            |set: &[(&str, &str)]| is_utf8(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()));
        assert!(utf8(&[("LANG", "en_US.UTF-8")]));
        assert!(utf8(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]));
        assert!(!utf8(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]));
        assert!(!utf8(&[("LANG", "de_DE.ISO-8859-1")]));
        assert!(!utf8(&[]));
    }

    #[test]
    fn the_width_is_what_was_asked_or_measured() {
        let size = Some((Width(132), Height(50)));
        assert_eq!(width(Some("60".into()), true, size), Some(60));
        assert_eq!(width(Some("60".into()), false, None), Some(60));
        assert_eq!(width(Some("many".into()), true, size), Some(132));
        assert_eq!(width(Some("0".into()), true, size), Some(132));
        assert_eq!(width(None, true, None), Some(80));
        assert_eq!(width(None, false, None), None);
    }

    #[test]
    fn nobody_is_asked_against_their_will() {
        assert!(!ui(true).can_prompt());
    }

    #[test]
    fn flags_decide_about_color_for_both_streams() {
        let never = ui(true);
        assert_eq!((never.out, never.err), (ColorChoice::Never, ColorChoice::Never));
        let always = Ui::new(UiOptions { color: clap::ColorChoice::Always, no_input: true });
        assert_eq!((always.out, always.err), (ColorChoice::Always, ColorChoice::Always));
    }

    #[test]
    fn what_steers_a_terminal_does_not_get_through() {
        assert_eq!(printable("a\x1b[2Jb\x07c\td\ne \u{9b}31m√"), "abc d\ne  31m√");
    }

    #[test]
    fn esc_and_ctrl_c_stop() {
        for error in [InquireError::OperationCanceled, InquireError::OperationInterrupted] {
            assert_eq!(prompt_error(error).exit_status(), ExitStatus::Interrupted);
        }
        assert_eq!(prompt_error(InquireError::NotTTY).exit_status(), ExitStatus::Failure);
    }
}
