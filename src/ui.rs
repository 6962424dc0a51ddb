//! The only door to stdout, stderr, prompts, color and progress.
//!
//! Whoever writes styles always; the door strips what the stream cannot show. stdout carries the report, everything
//! else goes to stderr.

mod input;
mod progress;
mod prompt;
mod redraw;
#[cfg(test)]
mod scripted_terminal;
#[cfg(test)]
mod tests;
mod transcript;
#[cfg(any(test, fuzzing))]
pub mod untrusted;

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use owo_colors::OwoColorize as _;
use secrecy::SecretString;
use terminal_size::{Height, Width};

use crate::error::{Error, ExitStatus};
use progress::StatusLine;
pub use progress::{Progress, Spinner};
#[cfg(test)]
pub(crate) use scripted_terminal::ScriptedAnswer;
use transcript::Transcript;

/// The columns of a terminal that does not tell.
const UNKNOWN_WIDTH: usize = 80;
const DEFAULT_WINDOW: (Width, Height) = (Width(80), Height(24));

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
    person: InputSource,
    out: ColorChoice,
    err: ColorChoice,
    can_prompt: bool,
    ascii: bool,
    width: Option<usize>,
    /// The progress line on stderr, which all other output there has to clear first.
    line: Arc<StatusLine>,
}

/// Who reads and answers.
#[derive(Debug)]
enum InputSource {
    /// Whoever is at the process's own streams.
    Real,
    /// None: both streams are kept in memory, and no question can be asked.
    Absent(Transcript),
    /// The one that a test plays.
    #[cfg(test)]
    Played(scripted_terminal::ScriptedTerminal),
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
            person: InputSource::Real,
            out: color(AutoStream::choice(&stdout)),
            err: color(AutoStream::choice(&stderr)),
            can_prompt: !options.no_input && io::stdin().is_terminal() && stderr.is_terminal(),
            ascii: !cfg!(windows) && !is_utf8(|name| env::var(name).ok()),
            width: width(
                env::var("COLUMNS").ok(),
                stdout.is_terminal(),
                terminal_size::terminal_size_of(&stdout),
            ),
            line: Arc::new(StatusLine::new(moves)),
        }
    }

    /// Keeps both streams in memory, for [`Ui::streams`]. They are those of a run without a terminal.
    pub(crate) fn in_memory() -> Self {
        Self {
            person: InputSource::Absent(Transcript::default()),
            out: ColorChoice::Never,
            err: ColorChoice::Never,
            can_prompt: false,
            ascii: false,
            width: None,
            line: Arc::new(StatusLine::new(false)),
        }
    }

    /// Stdout and stderr of a run in memory; empty of any other.
    pub(crate) fn streams(&self) -> [String; 2] {
        match &self.person {
            InputSource::Absent(transcript) => transcript.streams().clone(),
            _ => Default::default(),
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

    /// Writes a report, or a part of one, to stdout. A reader that closes the pipe has seen enough: the exit code still tells what
    /// the command found or did.
    ///
    /// # Errors
    /// If stdout cannot be written to.
    pub fn out(&self, text: &str) -> io::Result<()> {
        match self.write_line(text) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        self.write_out(&format!("{text}{newline}"))
    }

    /// Shows a text instead of the one before: on a terminal in its place, elsewhere after a line with `---`.
    ///
    /// # Errors
    /// If stdout cannot be written to; a closed pipe too, which [`Error::exit_status`] knows: it ends the watching.
    pub fn redraw(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout();
        if matches!(self.person, InputSource::Real) && stdout.is_terminal() && !is_dumb() {
            let text = if self.out == ColorChoice::Never {
                strip_str(text).to_string()
            } else {
                text.to_owned()
            };
            let (Width(columns), Height(rows)) =
                terminal_size::terminal_size_of(&stdout).unwrap_or(DEFAULT_WINDOW);
            self.line.clear();
            // Not through the stream that strips colors: it would strip what steers, too.
            stdout.write_all(redraw::frame(&text, columns.into(), rows.into()).as_bytes())?;
            stdout.flush()
        } else {
            self.write_out("---\n")?;
            self.write_line(text)
        }
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
        for hint in error.request().into_iter().chain(error.hints().iter().map(String::as_str)) {
            self.hint(hint);
        }
    }

    /// Ends the line in which a terminal shows `^C`.
    pub fn interrupted(&self) {
        if matches!(self.person, InputSource::Real) && io::stderr().is_terminal() {
            self.write_err("");
        }
    }

    /// Whether a person can be asked: stdin and stderr are terminals, and `--no-input` is absent.
    pub fn can_prompt(&self) -> bool {
        self.can_prompt
    }

    /// Asks a question to be answered with yes or no. Enter takes the default.
    ///
    /// # Errors
    /// [`Cancelled`](crate::error::Cancelled) on Esc and Ctrl-C; a failure if the terminal does not work. Ask
    /// [`Ui::can_prompt`] first.
    pub fn confirm(&self, question: &str, default: bool) -> Result<bool, Error> {
        self.line.clear();
        match &self.person {
            InputSource::Real => {
                prompt::confirm(self.prompts_in_color(), &printable(question), default)
            }
            InputSource::Absent(_) => Err(no_terminal()),
            #[cfg(test)]
            InputSource::Played(rehearsal) => rehearsal.confirm(question, default),
        }
    }

    /// Asks for a line of text, without spaces around it, until `check` likes it; else it says what is wrong. Enter
    /// takes the default, which is checked like any other answer.
    ///
    /// # Errors
    /// As [`Ui::confirm`].
    pub fn text(
        &self,
        question: &str,
        default: Option<&str>,
        check: &dyn Fn(&str) -> Result<(), String>,
    ) -> Result<String, Error> {
        loop {
            self.line.clear();
            let line = match &self.person {
                InputSource::Real => prompt::text(
                    self.prompts_in_color(),
                    &printable(question),
                    default.map(printable_line).as_deref(),
                )?,
                InputSource::Absent(_) => return Err(no_terminal()),
                #[cfg(test)]
                InputSource::Played(rehearsal) => rehearsal.text(question, default)?,
            };
            let answer = line.trim();
            let checked = if prompt::is_plain(answer) {
                check(answer)
            } else {
                Err(prompt::ONE_LINE.to_owned())
            };
            match checked {
                Ok(()) => return Ok(answer.to_owned()),
                Err(message) => self.refuse(&message),
            }
        }
    }

    /// Asks to choose one of some options, each a label and a help, which may be empty. Enter takes the one at
    /// `default`. Gives the place of the one that was chosen.
    ///
    /// # Errors
    /// As [`Ui::confirm`].
    pub fn select(
        &self,
        question: &str,
        options: &[(&str, &str)],
        default: usize,
    ) -> Result<usize, Error> {
        self.line.clear();
        match &self.person {
            InputSource::Real => {
                let options: Vec<_> = options
                    .iter()
                    .map(|(label, help)| (printable_line(label), printable_line(help)))
                    .collect();
                let options: Vec<_> =
                    options.iter().map(|(label, help)| (label.as_str(), help.as_str())).collect();
                prompt::select(self.prompts_in_color(), &printable(question), &options, default)
            }
            InputSource::Absent(_) => Err(no_terminal()),
            #[cfg(test)]
            InputSource::Played(rehearsal) => rehearsal.select(question, options, default),
        }
    }

    /// Asks for a password or a token, until there is one. Nothing of it is shown.
    ///
    /// # Errors
    /// As [`Ui::confirm`].
    pub fn password(&self, question: &str) -> Result<SecretString, Error> {
        self.line.clear();
        match &self.person {
            InputSource::Real => prompt::password(self.prompts_in_color(), &printable(question)),
            InputSource::Absent(_) => Err(no_terminal()),
            #[cfg(test)]
            InputSource::Played(rehearsal) => rehearsal.password(question),
        }
    }

    /// Starts to count `total` pieces of work, or one of unknown size with none; [`Progress::track`] does it. What takes
    /// over a second is shown, on a terminal, in one line that goes when the value does.
    pub fn progress(&self, what: &'static str, total: usize) -> Progress<'_> {
        Progress::new(&self.line, what, total)
    }

    /// Starts to wait for others, which is shown, on a terminal, in one line that goes when the value does.
    pub fn waiting(&self, what: &'static str) -> Spinner<'_> {
        Spinner::new(&self.line, what)
    }

    /// Says what is wrong with an answer, as prompts do.
    fn refuse(&self, message: &str) {
        self.write_err(&format!("{} {}", "#".red(), input::wrap(&printable(message), 2)));
    }

    fn write_out(&self, text: &str) -> io::Result<()> {
        self.line.clear();
        match &self.person {
            InputSource::Real => {
                let mut stdout = AutoStream::new(io::stdout(), self.out);
                stdout.write_all(text.as_bytes())?;
                stdout.flush()
            }
            InputSource::Absent(transcript) => {
                transcript.print_out(text);
                Ok(())
            }
            #[cfg(test)]
            InputSource::Played(rehearsal) => {
                rehearsal.print_out(text);
                Ok(())
            }
        }
    }

    /// A way to say a line on stderr for who knows nothing of this.
    pub fn teller(&self) -> Arc<dyn Fn(&str) + Send + Sync> {
        let (line, color) = (Arc::clone(&self.line), self.err);
        Arc::new(move |text| {
            line.clear();
            drop(writeln!(AutoStream::new(io::stderr(), color), "{}", printable(text)));
        })
    }

    /// When stderr is gone there is nobody left to be told, so errors are dropped.
    fn write_err(&self, text: &str) {
        self.line.clear();
        let text = text.trim_end_matches('\n');
        match &self.person {
            InputSource::Real => drop(writeln!(AutoStream::new(io::stderr(), self.err), "{text}")),
            InputSource::Absent(transcript) => transcript.print_err(&format!("{text}\n")),
            #[cfg(test)]
            InputSource::Played(rehearsal) => rehearsal.print_err(&format!("{text}\n")),
        }
    }

    fn prompts_in_color(&self) -> bool {
        self.err != ColorChoice::Never
    }
}

/// The text without what would steer the terminal, or have it show the text in another order; for words that a server, or
/// anyone else, chose.
pub fn printable(text: &str) -> String {
    let reorders = |char: char| matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let steer = |char: char| (char.is_control() && char != '\n') || reorders(char);
    strip_str(text).to_string().replace(steer, " ")
}

/// The same in one line: a line break would begin another entry of a list, or another command.
pub fn printable_line(text: &str) -> String {
    printable(text).replace('\n', " ")
}

fn no_terminal() -> Error {
    Error::new("there is no terminal to ask at")
}

fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// The first of the three variables that is set to something decides (POSIX, "Internationalization Variables").
fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(variable)
        .find(|value| !value.is_empty());
    locale.is_some_and(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

fn width(
    columns: Option<String>,
    is_terminal: bool,
    size: Option<(Width, Height)>,
) -> Option<usize> {
    let asked =
        columns.and_then(|columns| columns.trim().parse().ok()).filter(|&columns| columns > 0);
    let measured = size.map_or(UNKNOWN_WIDTH, |(width, _)| width.0.into());
    asked.or_else(|| is_terminal.then_some(measured))
}

/// A terminal of 80 columns with a person that a test plays.
#[cfg(test)]
impl Ui {
    /// Every question takes the next answer. One too many or one too few fails the test.
    pub(crate) fn with_answers(options: UiOptions, answers: Vec<ScriptedAnswer>) -> Self {
        Self {
            person: InputSource::Played(scripted_terminal::ScriptedTerminal::new(answers)),
            out: ColorChoice::Never,
            err: ColorChoice::Never,
            can_prompt: !options.no_input,
            ascii: false,
            width: Some(UNKNOWN_WIDTH),
            line: Arc::new(StatusLine::new(false)),
        }
    }

    /// The questions so far.
    pub(crate) fn questions(&self) -> Vec<String> {
        self.rehearsal().questions()
    }

    /// What was written to stdout.
    pub(crate) fn stdout(&self) -> String {
        self.rehearsal().stdout()
    }

    /// What was written to stderr, with a line `? QUESTION` for every question.
    pub(crate) fn stderr(&self) -> String {
        self.rehearsal().stderr()
    }

    fn rehearsal(&self) -> &scripted_terminal::ScriptedTerminal {
        match &self.person {
            InputSource::Played(rehearsal) => rehearsal,
            other => panic!("{other:?} is no rehearsal"),
        }
    }
}
