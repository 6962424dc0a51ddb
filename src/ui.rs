//! The only access to stdout, stderr, prompts, color and progress.
//!
//! Callers always add styles; this module removes those that a stream does not support. Reports go to stdout, everything
//! else to stderr.

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
use crate::printable::{printable, printable_line};
use progress::StatusLine;
pub use progress::{Progress, Spinner};
#[cfg(test)]
pub(crate) use scripted_terminal::ScriptedAnswer;
use transcript::Transcript;

/// For terminals without a known width.
const UNKNOWN_WIDTH: usize = 80;
const DEFAULT_WINDOW: (Width, Height) = (Width(80), Height(24));

#[derive(Clone, Copy, Debug)]
pub struct UiOptions {
    /// `--color`
    pub color: ColorChoice,
    /// `--no-input`
    pub no_input: bool,
}

#[derive(Debug)]
pub struct Ui {
    source: InputSource,
    out: ColorChoice,
    err: ColorChoice,
    can_prompt: bool,
    ascii: bool,
    width: Option<usize>,
    /// The progress line on stderr, to be cleared before other output.
    status_line: Arc<StatusLine>,
}

#[derive(Debug)]
enum InputSource {
    /// The process's own streams.
    Process,
    /// Output in memory, no prompts.
    Memory(Transcript),
    /// Scripted answers in tests.
    #[cfg(test)]
    Scripted(scripted_terminal::ScriptedTerminal),
}

impl Ui {
    /// Reads the properties of the streams and the environment (`NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`, `TERM`, `COLUMNS`,
    /// `LC_ALL`, `LC_CTYPE`, `LANG`).
    pub fn new(options: UiOptions) -> Self {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let color = |auto: ColorChoice| match options.color {
            ColorChoice::Auto => auto,
            choice => choice,
        };
        let can_redraw = stderr.is_terminal() && !is_dumb();
        Self {
            source: InputSource::Process,
            out: color(AutoStream::choice(&stdout)),
            err: color(AutoStream::choice(&stderr)),
            can_prompt: !options.no_input && io::stdin().is_terminal() && stderr.is_terminal(),
            ascii: !cfg!(windows) && !is_utf8(|name| env::var(name).ok()),
            width: width(
                env::var("COLUMNS").ok(),
                stdout.is_terminal(),
                terminal_size::terminal_size_of(&stdout),
            ),
            status_line: Arc::new(StatusLine::new(can_redraw)),
        }
    }

    /// Captures the output of a run without a terminal, for [`Ui::streams`].
    pub(crate) fn in_memory() -> Self {
        Self {
            source: InputSource::Memory(Transcript::default()),
            out: ColorChoice::Never,
            err: ColorChoice::Never,
            can_prompt: false,
            ascii: false,
            width: None,
            status_line: Arc::new(StatusLine::new(false)),
        }
    }

    /// Stdout and stderr of [`Ui::in_memory`]; otherwise empty.
    pub(crate) fn streams(&self) -> [String; 2] {
        match &self.source {
            InputSource::Memory(transcript) => transcript.streams().clone(),
            _ => Default::default(),
        }
    }

    /// Whether stdout only supports ASCII.
    pub fn ascii(&self) -> bool {
        self.ascii
    }

    /// The columns of stdout: `COLUMNS`, or the terminal's; none without a terminal.
    pub fn width(&self) -> Option<usize> {
        self.width
    }

    /// Writes to stdout. A broken pipe is ignored, so that the exit code is that of the command.
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

    /// Replaces the previous text on a terminal; elsewhere, adds the text after a line `---`.
    ///
    /// # Errors
    /// If stdout cannot be written to, including a broken pipe, to end the watch.
    pub fn redraw(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout();
        if matches!(self.source, InputSource::Process) && stdout.is_terminal() && !is_dumb() {
            let text = if self.out == ColorChoice::Never {
                strip_str(text).to_string()
            } else {
                text.to_owned()
            };
            let (Width(columns), Height(rows)) =
                terminal_size::terminal_size_of(&stdout).unwrap_or(DEFAULT_WINDOW);
            self.status_line.clear();
            // Not through `AutoStream`, which would remove the cursor movements.
            stdout.write_all(redraw::frame(&text, columns.into(), rows.into()).as_bytes())?;
            stdout.flush()
        } else {
            self.write_out("---\n")?;
            self.write_line(text)
        }
    }

    pub fn status(&self, text: &str) {
        self.write_err(text);
    }

    pub fn warn(&self, text: &str) {
        self.write_err(&format!("{} {}", "warning:".yellow().bold(), printable(text)));
    }

    pub fn hint(&self, text: &str) {
        self.write_err(&format!("{} {}", "hint:".cyan().bold(), printable(text)));
    }

    /// Prints an error to stderr, except broken pipes and cancellations.
    pub fn error(&self, error: &Error) {
        if error.exit_status() != ExitStatus::Failure {
            return;
        }
        for (index, message) in error.messages().iter().enumerate() {
            let label = if index == 0 { "error:" } else { "caused by:" };
            self.write_err(&format!("{} {}", label.red().bold(), printable(message)));
        }
        for hint in error
            .administrator_request()
            .into_iter()
            .chain(error.hints().iter().map(String::as_str))
        {
            self.hint(hint);
        }
    }

    /// Ends the line in which a terminal shows `^C`.
    pub fn interrupted(&self) {
        if matches!(self.source, InputSource::Process) && io::stderr().is_terminal() {
            self.write_err("");
        }
    }

    /// Whether stdin and stderr are terminals, and `--no-input` is absent.
    pub fn can_prompt(&self) -> bool {
        self.can_prompt
    }

    /// Asks a yes/no question. Enter selects the default.
    ///
    /// # Errors
    /// [`Cancelled`](crate::error::Cancelled) on Esc and Ctrl-C; a failure if the terminal does not work. Check
    /// [`Ui::can_prompt`] first.
    pub fn confirm(&self, question: &str, default: bool) -> Result<bool, Error> {
        self.status_line.clear();
        match &self.source {
            InputSource::Process => {
                prompt::confirm(self.prompts_in_color(), &printable(question), default)
            }
            InputSource::Memory(_) => Err(no_terminal()),
            #[cfg(test)]
            InputSource::Scripted(terminal) => terminal.confirm(question, default),
        }
    }

    /// Asks for a line of text, which is trimmed, until `check` accepts it. Enter selects the default, which is checked,
    /// too.
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
            self.status_line.clear();
            let line = match &self.source {
                InputSource::Process => prompt::text(
                    self.prompts_in_color(),
                    &printable(question),
                    default.map(printable_line).as_deref(),
                )?,
                InputSource::Memory(_) => return Err(no_terminal()),
                #[cfg(test)]
                InputSource::Scripted(terminal) => terminal.text(question, default)?,
            };
            let answer = line.trim();
            let checked = if prompt::is_plain(answer) {
                check(answer)
            } else {
                Err(prompt::ONE_LINE.to_owned())
            };
            match checked {
                Ok(()) => return Ok(answer.to_owned()),
                Err(message) => self.reject(&message),
            }
        }
    }

    /// Asks to select one of `options`, pairs of label and help, which can be empty. Enter selects the one at index
    /// `default`. Returns the index.
    ///
    /// # Errors
    /// As [`Ui::confirm`].
    pub fn select(
        &self,
        question: &str,
        options: &[(&str, &str)],
        default: usize,
    ) -> Result<usize, Error> {
        self.status_line.clear();
        match &self.source {
            InputSource::Process => {
                let options: Vec<_> = options
                    .iter()
                    .map(|(label, help)| (printable_line(label), printable_line(help)))
                    .collect();
                let options: Vec<_> =
                    options.iter().map(|(label, help)| (label.as_str(), help.as_str())).collect();
                prompt::select(self.prompts_in_color(), &printable(question), &options, default)
            }
            InputSource::Memory(_) => Err(no_terminal()),
            #[cfg(test)]
            InputSource::Scripted(terminal) => terminal.select(question, options, default),
        }
    }

    /// Asks for a password or a token, without echo, until it is not empty.
    ///
    /// # Errors
    /// As [`Ui::confirm`].
    pub fn password(&self, question: &str) -> Result<SecretString, Error> {
        self.status_line.clear();
        match &self.source {
            InputSource::Process => prompt::password(self.prompts_in_color(), &printable(question)),
            InputSource::Memory(_) => Err(no_terminal()),
            #[cfg(test)]
            InputSource::Scripted(terminal) => terminal.password(question),
        }
    }

    /// Counts `total` work items, or none if the number is unknown. On a terminal, [`Progress::track`] shows a line after a
    /// second, which is removed on drop.
    pub fn progress(&self, what: &'static str, total: usize) -> Progress<'_> {
        Progress::new(&self.status_line, what, total)
    }

    /// Shows a wait in one line on a terminal, which is removed on drop.
    pub fn waiting(&self, what: &'static str) -> Spinner<'_> {
        Spinner::new(&self.status_line, what)
    }

    /// Prints the error of an answer in the style of prompts.
    fn reject(&self, message: &str) {
        self.write_err(&format!("{} {}", "#".red(), input::wrap(&printable(message), 2)));
    }

    fn write_out(&self, text: &str) -> io::Result<()> {
        self.status_line.clear();
        match &self.source {
            InputSource::Process => {
                let mut stdout = AutoStream::new(io::stdout(), self.out);
                stdout.write_all(text.as_bytes())?;
                stdout.flush()
            }
            InputSource::Memory(transcript) => {
                transcript.print_out(text);
                Ok(())
            }
            #[cfg(test)]
            InputSource::Scripted(terminal) => {
                terminal.print_out(text);
                Ok(())
            }
        }
    }

    /// A function that prints a line to stderr, for modules without access to [`Ui`].
    pub fn teller(&self) -> Arc<dyn Fn(&str) + Send + Sync> {
        let (status_line, color) = (Arc::clone(&self.status_line), self.err);
        Arc::new(move |text| {
            status_line.clear();
            drop(writeln!(AutoStream::new(io::stderr(), color), "{}", printable(text)));
        })
    }

    /// Ignores errors, since there is no other stream to report them.
    fn write_err(&self, text: &str) {
        self.status_line.clear();
        let text = text.trim_end_matches('\n');
        match &self.source {
            InputSource::Process => {
                drop(writeln!(AutoStream::new(io::stderr(), self.err), "{text}"))
            }
            InputSource::Memory(transcript) => transcript.print_err(&format!("{text}\n")),
            #[cfg(test)]
            InputSource::Scripted(terminal) => terminal.print_err(&format!("{text}\n")),
        }
    }

    fn prompts_in_color(&self) -> bool {
        self.err != ColorChoice::Never
    }
}

fn no_terminal() -> Error {
    Error::new("prompts require a terminal")
}

fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// The first variable that is not empty decides (POSIX, "Internationalization Variables").
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
    let configured =
        columns.and_then(|columns| columns.trim().parse().ok()).filter(|&columns| columns > 0);
    let measured = size.map_or(UNKNOWN_WIDTH, |(width, _)| width.0.into());
    configured.or_else(|| is_terminal.then_some(measured))
}

/// A terminal of 80 columns with scripted answers.
#[cfg(test)]
impl Ui {
    /// Each question takes the next answer. Missing and unused answers fail the test.
    pub(crate) fn with_answers(options: UiOptions, answers: Vec<ScriptedAnswer>) -> Self {
        Self {
            source: InputSource::Scripted(scripted_terminal::ScriptedTerminal::new(answers)),
            out: ColorChoice::Never,
            err: ColorChoice::Never,
            can_prompt: !options.no_input,
            ascii: false,
            width: Some(UNKNOWN_WIDTH),
            status_line: Arc::new(StatusLine::new(false)),
        }
    }

    pub(crate) fn questions(&self) -> Vec<String> {
        self.terminal().questions()
    }

    pub(crate) fn stdout(&self) -> String {
        self.terminal().stdout()
    }

    /// Stderr, with a line `? QUESTION` for each question.
    pub(crate) fn stderr(&self) -> String {
        self.terminal().stderr()
    }

    fn terminal(&self) -> &scripted_terminal::ScriptedTerminal {
        match &self.source {
            InputSource::Scripted(terminal) => terminal,
            other => panic!("{other:?} is not scripted"),
        }
    }
}
