//! Prompts on the terminal, drawn on stderr.
//!
//! Input typed before a question is discarded, and a paste answers at most one question. Terminals with bracketed paste
//! (nearly all) send a paste as one event, with its newlines. Others send a newline as the Enter key and the rest of the
//! paste immediately after it.

use std::io::{self, Write as _};
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal;
use inquire::list_option::ListOption;
use inquire::ui::{RenderConfig, Styled};
use inquire::{InquireError, Select};
use secrecy::SecretString;
use unicode_width::UnicodeWidthStr as _;

use super::input::{self, InputError, Question};
use crate::error::{Cancelled, Error};
use crate::printable::printable_line;

/// The rest of a paste arrives within this time, faster than a user types.
const PASTE_GAP: Duration = Duration::from_millis(50);

pub(super) const ONE_LINE: &str = "Enter a single line of text.";

/// Visible options; the arrow keys scroll to the others.
const PAGE_SIZE: usize = 7;

/// The columns before an option, and before its help on a separate line.
const MARK: usize = 2;
const INDENT: usize = 4;

const YES_OR_NO: &str = "Invalid answer, try typing 'y' for yes or 'n' for no";

pub(super) fn confirm(is_colored: bool, question: &str, default: bool) -> Result<bool, Error> {
    let suffix = Some(if default { "Y/n" } else { "y/N" });
    let question = Question { text: question, suffix, help: None, is_hidden: false, is_colored };
    let check = |answer: &str| {
        Ok(match answer.trim().to_lowercase().as_str() {
            "" => Ok(default),
            "y" | "yes" => Ok(true),
            "n" | "no" => Ok(false),
            _ => Err(InputError { message: YES_OR_NO.into(), keep_input: false }),
        })
    };
    let shown = |answer: &bool| if *answer { "Yes" } else { "No" }.to_owned();
    ask(|| input::ask(&question, check, shown))
}

/// Returns the line without trimming. An empty default is ignored.
pub(super) fn text(
    is_colored: bool,
    question: &str,
    default: Option<&str>,
) -> Result<String, Error> {
    let default = default.filter(|default| !default.is_empty());
    let question =
        Question { text: question, suffix: default, help: None, is_hidden: false, is_colored };
    let check = |answer: &str| {
        if discard_rest_of_paste()? {
            return Ok(Err(InputError { message: ONE_LINE.into(), keep_input: true }));
        }
        Ok(Ok(if answer.is_empty() { default.unwrap_or_default() } else { answer }.to_owned()))
    };
    let shown = |answer: &String| printable_line(answer).trim().to_owned();
    ask(|| input::ask(&question, check, shown))
}

/// Returns the index of the selected option.
pub(super) fn select(
    is_colored: bool,
    question: &str,
    options: &[(&str, &str)],
    default: usize,
) -> Result<usize, Error> {
    let width = terminal::size().map_or(super::UNKNOWN_WIDTH, |(columns, _)| columns.into());
    let formatter = |chosen: ListOption<&String>| {
        options.get(chosen.index).map_or("", |(label, _)| *label).to_owned()
    };
    let question = input::wrap(question, MARK);
    let prompt =
        Select::new(&question, options.iter().map(|option| describe(*option, width)).collect())
            .with_starting_cursor(default)
            .with_page_size(PAGE_SIZE)
            .with_help_message("arrow keys to move, Enter to choose")
            .with_formatter(&formatter)
            .without_filtering();
    ask(|| prompt.with_render_config(colors(is_colored)).raw_prompt()).map(|chosen| chosen.index)
}

fn colors(is_colored: bool) -> RenderConfig<'static> {
    if is_colored {
        RenderConfig::default_colored()
    } else {
        // Without color, only the prefix marks answered questions.
        RenderConfig { answered_prompt_prefix: Styled::new(">"), ..RenderConfig::empty() }
    }
}

/// Does not even show the length of the answer.
pub(super) fn password(is_colored: bool, question: &str) -> Result<SecretString, Error> {
    let help = Some("not shown while you type or paste it");
    let question = Question { text: question, suffix: None, help, is_hidden: true, is_colored };
    let check = |answer: &str| {
        let rest = discard_rest_of_paste()?;
        if rest || answer.trim().is_empty() || !is_plain(answer) {
            return Ok(Err(InputError { message: ONE_LINE.into(), keep_input: false }));
        }
        Ok(Ok(SecretString::from(answer.trim())))
    };
    ask(|| input::ask(&question, check, |_| input::hidden()))
}

/// Whether an answer is a single line without control characters.
pub(super) fn is_plain(answer: &str) -> bool {
    !answer.trim().contains(char::is_control)
}

/// An option and its help, in one line if it fits.
fn describe((label, help): (&str, &str), width: usize) -> String {
    if help.is_empty() {
        return label.to_owned();
    }
    let line = format!("{label}: {help}");
    if MARK + line.width() < width {
        return line;
    }
    let mut lines = vec![label.to_owned()];
    let mut last = String::new();
    for word in help.split_whitespace() {
        if !last.is_empty() && INDENT + last.width() + 1 + word.width() >= width {
            lines.push(std::mem::take(&mut last));
        }
        last = if last.is_empty() { word.to_owned() } else { format!("{last} {word}") };
    }
    lines.push(last);
    lines.join(&format!("\n{:INDENT$}", ""))
}

fn ask<T>(prompt: impl FnOnce() -> Result<T, InquireError>) -> Result<T, Error> {
    // Disables echo until the end of the prompt.
    terminal::enable_raw_mode().map_err(InquireError::from).map_err(prompt_error)?;
    let answer = discard_typed_ahead().map_err(InquireError::from).and_then(|()| prompt());
    if matches!(answer, Err(InquireError::OperationInterrupted)) {
        // Moves the cursor below the question, so that the shell does not overwrite it.
        let _ = io::stderr().write_all(b"\r\n");
    }
    let restored = terminal::disable_raw_mode().map_err(InquireError::from);
    answer.and_then(|answer| restored.map(|()| answer)).map_err(prompt_error)
}

fn discard_typed_ahead() -> io::Result<()> {
    discard_unread()?;
    while event::poll(Duration::ZERO)? {
        event::read()?;
    }
    Ok(())
}

/// Discards the rest of a paste after an answer. Returns whether it was more than newlines. Call it in raw mode, that
/// is, from a validator, so that it is not echoed.
fn discard_rest_of_paste() -> io::Result<bool> {
    let mut rest = false;
    while event::poll(PASTE_GAP)? {
        rest |= match event::read()? {
            Event::Key(key) => key.kind == KeyEventKind::Press && !is_newline(key),
            Event::Paste(text) => !text.trim().is_empty(),
            _ => false,
        };
        discard_unread()?;
    }
    Ok(rest)
}

/// crossterm 0.29 reads only 1024 bytes of a paste without brackets, and the others at the next key (crossterm-rs/crossterm, pull request 1057).
#[cfg(unix)]
fn discard_unread() -> io::Result<()> {
    Ok(rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush)?)
}

#[cfg(not(unix))]
fn discard_unread() -> io::Result<()> {
    Ok(())
}

/// A terminal in raw mode sends a line feed as Ctrl-J.
fn is_newline(key: KeyEvent) -> bool {
    key.code == KeyCode::Enter
        || (key.code == KeyCode::Char('j') && key.modifiers == KeyModifiers::CONTROL)
}

fn prompt_error(error: InquireError) -> Error {
    match error {
        InquireError::OperationCanceled | InquireError::OperationInterrupted => Cancelled.into(),
        other => anyhow::Error::from(other).context("failed to prompt on this terminal").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitStatus;

    #[test]
    fn esc_and_ctrl_c_cancel() {
        for error in [InquireError::OperationCanceled, InquireError::OperationInterrupted] {
            assert_eq!(prompt_error(error).exit_status(), ExitStatus::Interrupted);
        }
        assert_eq!(prompt_error(InquireError::NotTTY).exit_status(), ExitStatus::Failure);
    }

    #[test]
    fn answer_is_single_plain_line() {
        for plain in ["", "quay.example.com", " spaces at the ends \r\n", "münchen"] {
            assert!(is_plain(plain), "{plain:?}");
        }
        for other in ["two\nlines", "two\rlines", "red \x1b[31m", "a\tb", "\u{9b}31m"] {
            assert!(!is_plain(other), "{other:?}");
        }
    }

    #[test]
    fn option_fits_terminal() {
        let option = (
            "Sign in",
            "user name and password of a Quay user; the token is made for you and the password is not kept",
        );
        assert_eq!(describe(("Stop", ""), 60), "Stop");
        assert_eq!(describe(option, 132), format!("{}: {}", option.0, option.1));
        let narrow = describe(option, 60);
        assert_eq!(
            narrow,
            "Sign in\n    user name and password of a Quay user; the token is\n    made for you and the password is not kept"
        );
        assert!(narrow.lines().all(|line| line.len() < 60));
    }
}
