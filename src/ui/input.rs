//! A line editor with Readline's keys.

use std::io::{self, Write as _};

use crossterm::cursor::{Hide, MoveToColumn, MoveUp, Show};
use crossterm::event::{
    self, DisableBracketedPaste, EnableBracketedPaste, Event, KeyCode, KeyEvent, KeyEventKind,
    KeyModifiers,
};
use crossterm::terminal::{self, Clear, ClearType};
use crossterm::{execute, queue};
use inquire::InquireError;
use owo_colors::OwoColorize as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::UNKNOWN_WIDTH;

const HIDDEN: &str = "********";

#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub text: &'a str,
    /// Shown in parentheses: the default, or the possible answers.
    pub suffix: Option<&'a str>,
    /// Shown in a line below.
    pub help: Option<&'a str>,
    pub is_hidden: bool,
    pub is_colored: bool,
}

#[derive(Debug)]
pub(super) struct InputError {
    pub message: String,
    /// Keep the answer to edit it.
    pub keep_input: bool,
}

/// Asks until `check` accepts the answer, and prints it as formatted by `shown`. The terminal must be in raw mode.
///
/// # Errors
/// If the user cancels, or the terminal does not work.
pub(super) fn ask<T>(
    question: &Question<'_>,
    check: impl Fn(&str) -> io::Result<Result<T, InputError>>,
    shown: impl Fn(&T) -> String,
) -> Result<T, InquireError> {
    execute!(io::stderr(), EnableBracketedPaste)?;
    let answer = read(question, check, shown);
    execute!(io::stderr(), DisableBracketedPaste)?;
    answer
}

fn read<T>(
    question: &Question<'_>,
    check: impl Fn(&str) -> io::Result<Result<T, InputError>>,
    shown: impl Fn(&T) -> String,
) -> Result<T, InquireError> {
    let mut input = Input::default();
    let mut frame = InputFrame::default();
    let mut rejected = None;
    loop {
        frame.draw(&question.open(&input, rejected.as_deref(), question.help))?;
        let pressed = match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => input.press(key),
            Event::Paste(text) => {
                input.insert(&text);
                KeyOutcome::Edited
            }
            _ => KeyOutcome::Edited,
        };
        match pressed {
            KeyOutcome::Edited => {}
            KeyOutcome::Done => match check(&input.text())? {
                Ok(answer) => {
                    frame.finish(&question.closed(&shown(&answer), ">"))?;
                    return Ok(answer);
                }
                Err(InputError { message, keep_input }) => {
                    rejected = Some(message);
                    if !keep_input {
                        input = Input::default();
                    }
                }
            },
            KeyOutcome::Canceled => {
                frame.finish(&question.closed("<canceled>", "?"))?;
                return Err(InquireError::OperationCanceled);
            }
            KeyOutcome::Interrupted => {
                input.cursor = input.chars.len();
                frame.draw(&question.open(&input, None, None))?;
                return Err(InquireError::OperationInterrupted);
            }
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Input {
    chars: Vec<char>,
    cursor: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyOutcome {
    Edited,
    Done,
    Canceled,
    Interrupted,
}

impl Input {
    fn text(&self) -> String {
        self.chars.iter().collect()
    }

    fn insert(&mut self, text: &str) {
        let before = self.chars.len();
        self.chars.splice(self.cursor..self.cursor, text.chars());
        self.cursor += self.chars.len() - before;
    }

    fn press(&mut self, key: KeyEvent) -> KeyOutcome {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        let by_word = control || alt;
        match key.code {
            KeyCode::Enter => return KeyOutcome::Done,
            KeyCode::Esc => return KeyOutcome::Canceled,
            // AltGr on Windows, for typing a character.
            KeyCode::Char(char) if control && !alt => {
                return self.control(char.to_ascii_lowercase());
            }
            KeyCode::Char('b') if alt && !control => self.cursor = self.word_before(),
            KeyCode::Char('f') if alt && !control => self.cursor = self.word_after(),
            KeyCode::Char('d') if alt && !control => self.delete(self.cursor, self.word_after()),
            KeyCode::Char(_) if alt && !control => {}
            KeyCode::Char(char) => self.insert(char.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace if by_word => self.delete(self.word_before(), self.cursor),
            KeyCode::Backspace => self.delete(self.cursor.saturating_sub(1), self.cursor),
            KeyCode::Delete if by_word => self.delete(self.cursor, self.word_after()),
            KeyCode::Delete => self.delete(self.cursor, self.cursor + 1),
            KeyCode::Left if by_word => self.cursor = self.word_before(),
            KeyCode::Left => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Right if by_word => self.cursor = self.word_after(),
            KeyCode::Right => self.cursor = self.chars.len().min(self.cursor + 1),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.chars.len(),
            _ => {}
        }
        KeyOutcome::Edited
    }

    /// The keys of GNU Readline (`readline(3)`, "Emacs Standard bindings"). Others are ignored.
    fn control(&mut self, char: char) -> KeyOutcome {
        match char {
            'a' => self.cursor = 0,
            'b' => self.cursor = self.cursor.saturating_sub(1),
            'c' => return KeyOutcome::Interrupted,
            'd' => self.delete(self.cursor, self.cursor + 1),
            'e' => self.cursor = self.chars.len(),
            'f' => self.cursor = self.chars.len().min(self.cursor + 1),
            'h' => self.delete(self.cursor.saturating_sub(1), self.cursor),
            // A terminal in raw mode sends a line feed as Ctrl-J.
            'j' | 'm' => return KeyOutcome::Done,
            'k' => self.delete(self.cursor, self.chars.len()),
            'u' => self.delete(0, self.cursor),
            'w' => self.delete(self.word_before(), self.cursor),
            _ => {}
        }
        KeyOutcome::Edited
    }

    fn delete(&mut self, from: usize, to: usize) {
        self.chars.drain(from..to.min(self.chars.len()));
        self.cursor = from;
    }

    /// The start of the word before the cursor.
    fn word_before(&self) -> usize {
        let before = &self.chars[..self.cursor];
        let end =
            before.iter().rposition(|char| !char.is_whitespace()).map_or(0, |place| place + 1);
        before[..end].iter().rposition(|char| char.is_whitespace()).map_or(0, |place| place + 1)
    }

    /// The end of the word after the cursor.
    fn word_after(&self) -> usize {
        let after = &self.chars[self.cursor..];
        let start = after.iter().position(|char| !char.is_whitespace()).unwrap_or(after.len());
        let length = after[start..]
            .iter()
            .position(|char| char.is_whitespace())
            .unwrap_or(after.len() - start);
        self.cursor + start + length
    }
}

/// The displayed text, with colors and without; `cursor` is an index of `plain`.
#[derive(Debug, Default)]
struct InputView {
    printed: String,
    plain: Vec<char>,
    cursor: usize,
}

impl InputView {
    fn add(&mut self, plain: &str, paint: impl Fn(&str) -> String) {
        self.printed += &paint(plain);
        self.plain.extend(plain.chars());
    }
}

impl Question<'_> {
    fn paint(&self, text: &str, paint: impl Fn(&str) -> String) -> String {
        if self.is_colored { paint(text) } else { text.to_owned() }
    }

    /// The question before its answer.
    fn open(&self, input: &Input, rejection: Option<&str>, help: Option<&str>) -> InputView {
        let mut view = InputView::default();
        if let Some(message) = rejection {
            view.add("# ", |text| self.paint(text, |text| text.bright_red().to_string()));
            view.add(&format!("{}\n", wrap(message, 2)), |text| {
                self.paint(text, |text| text.bright_red().to_string())
            });
        }
        view.add("? ", |text| self.paint(text, |text| text.bright_green().to_string()));
        let suffix = self.suffix.map(|suffix| format!(" ({suffix})")).unwrap_or_default();
        view.add(&format!("{} ", wrap(&format!("{}{suffix}", self.text), 2)), str::to_owned);
        view.cursor = view.plain.len();
        if !self.is_hidden {
            // Do not print line breaks and other control characters.
            let typed: String = input
                .chars
                .iter()
                .map(|char| if char.is_control() { ' ' } else { *char })
                .collect();
            view.cursor += input.cursor;
            view.add(&typed, str::to_owned);
        }
        // For the cursor after the last character.
        view.add(" ", str::to_owned);
        if let Some(help) = help {
            view.add(&format!("\n{}", wrap(&format!("[{help}]"), 1)), |text| {
                self.paint(text, |text| text.bright_cyan().to_string())
            });
        }
        view
    }

    fn closed(&self, answer: &str, mark: &str) -> InputView {
        let mut view = InputView::default();
        view.add(&format!("{mark} "), |text| {
            self.paint(text, |text| text.bright_green().to_string())
        });
        let whole = wrap(&format!("{} {answer}", self.text), 2);
        let question = wrap(self.text, 2);
        match whole.strip_prefix(&question) {
            Some(answer) => {
                view.add(&question, str::to_owned);
                view.add(answer, |text| self.paint(text, |text| text.bright_cyan().to_string()));
            }
            None => view.add(&whole, str::to_owned),
        }
        view.cursor = view.plain.len();
        view
    }
}

pub(super) fn hidden() -> String {
    HIDDEN.to_owned()
}

/// Wraps between words; continuation lines have `indent` columns.
pub(super) fn wrap(text: &str, indent: usize) -> String {
    wrap_at(text, indent, columns())
}

fn wrap_at(text: &str, indent: usize, width: usize) -> String {
    let room = width.saturating_sub(indent + 1).max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.width();
        let Some(line) = lines.last_mut() else { break };
        if used > 0 && used + 1 + length > room {
            lines.push(word.to_owned());
            used = length;
        } else {
            if used > 0 || !line.is_empty() {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
        }
    }
    lines.join(&format!("\n{:indent$}", ""))
}

fn columns() -> usize {
    terminal::size().map_or(UNKNOWN_WIDTH, |(columns, _)| columns.max(1).into())
}

/// The drawn text, which the next one replaces.
#[derive(Debug, Default)]
struct InputFrame {
    /// The row of the cursor.
    row: usize,
}

impl InputFrame {
    fn draw(&mut self, view: &InputView) -> io::Result<()> {
        let columns = columns();
        let mut stderr = io::stderr().lock();
        self.print(&mut stderr, view)?;
        let (row, column) = position(&view.plain, view.cursor, columns);
        let (last_row, _) = position(&view.plain, view.plain.len().saturating_sub(1), columns);
        up(&mut stderr, last_row.saturating_sub(row))?;
        queue!(stderr, MoveToColumn(u16::try_from(column).unwrap_or(u16::MAX)), Show)?;
        self.row = row;
        stderr.flush()
    }

    /// Draws the final text.
    fn finish(&mut self, view: &InputView) -> io::Result<()> {
        let mut stderr = io::stderr().lock();
        self.print(&mut stderr, view)?;
        stderr.write_all(b"\r\n")?;
        queue!(stderr, Show)?;
        stderr.flush()
    }

    /// Overwrites the previous text.
    fn print(&self, stderr: &mut io::StderrLock<'_>, view: &InputView) -> io::Result<()> {
        queue!(stderr, Hide, MoveToColumn(0))?;
        up(stderr, self.row)?;
        queue!(stderr, Clear(ClearType::FromCursorDown))?;
        // A terminal in raw mode needs carriage returns.
        stderr.write_all(view.printed.replace('\n', "\r\n").as_bytes())
    }
}

fn up(stderr: &mut io::StderrLock<'_>, rows: usize) -> io::Result<()> {
    if rows > 0 { queue!(stderr, MoveUp(u16::try_from(rows).unwrap_or(u16::MAX))) } else { Ok(()) }
}

fn position(text: &[char], at: usize, columns: usize) -> (usize, usize) {
    let (mut row, mut column) = (0, 0);
    for (index, char) in text.iter().enumerate() {
        let width = char.width().unwrap_or_default();
        // A wide character that does not fit is printed in the next row.
        if column > 0 && column + width > columns {
            (row, column) = (row + 1, 0);
        }
        if index == at {
            break;
        }
        if *char == '\n' {
            (row, column) = (row + 1, 0);
        } else {
            column += width;
        }
    }
    (row, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str, cursor: usize) -> Input {
        Input { chars: text.chars().collect(), cursor }
    }

    fn press(input: &mut Input, code: KeyCode, modifiers: KeyModifiers) -> KeyOutcome {
        input.press(KeyEvent::new(code, modifiers))
    }

    #[test]
    fn supports_readline_keys() {
        const CONTROL: KeyModifiers = KeyModifiers::CONTROL;
        const ALT: KeyModifiers = KeyModifiers::ALT;
        const NONE: KeyModifiers = KeyModifiers::NONE;
        // `|` is the cursor.
        let table = [
            ("one two|", 'u', CONTROL, "|"),
            ("one| two", 'u', CONTROL, "| two"),
            ("one two |", 'w', CONTROL, "one |"),
            ("one tw|o", 'w', CONTROL, "one |o"),
            ("one| two", 'k', CONTROL, "one|"),
            ("one two|", 'a', CONTROL, "|one two"),
            ("|one two", 'e', CONTROL, "one two|"),
            ("one|", 'b', CONTROL, "on|e"),
            ("|one", 'f', CONTROL, "o|ne"),
            ("o|ne", 'd', CONTROL, "o|e"),
            ("on|e", 'h', CONTROL, "o|e"),
            ("one|", 'd', CONTROL, "one|"),
            ("|one", 'h', CONTROL, "|one"),
            ("one two|", 'b', ALT, "one |two"),
            ("|one two", 'f', ALT, "one| two"),
            ("|one two", 'd', ALT, "| two"),
            ("one|", 'x', CONTROL, "one|"),
            ("one|", 'x', ALT, "one|"),
            ("one|", '@', CONTROL.union(ALT), "one@|"),
            ("on|e", 'U', KeyModifiers::SHIFT, "onU|e"),
            ("one|", 'é', NONE, "oneé|"),
        ];
        for (before, char, modifiers, after) in table {
            let line = |text: &str| {
                typed(
                    &text.replace('|', ""),
                    text.chars().position(|char| char == '|').unwrap_or_default(),
                )
            };
            let mut edited = line(before);
            assert_eq!(
                press(&mut edited, KeyCode::Char(char), modifiers),
                KeyOutcome::Edited,
                "{before} {char}"
            );
            assert_eq!(edited, line(after), "{before} {char} {modifiers:?}");
        }
    }

    #[test]
    fn ends_with_enter_esc_or_ctrl_c() {
        let table = [
            (KeyCode::Enter, KeyModifiers::NONE, KeyOutcome::Done),
            (KeyCode::Char('j'), KeyModifiers::CONTROL, KeyOutcome::Done),
            (KeyCode::Esc, KeyModifiers::NONE, KeyOutcome::Canceled),
            (KeyCode::Char('c'), KeyModifiers::CONTROL, KeyOutcome::Interrupted),
        ];
        for (code, modifiers, pressed) in table {
            assert_eq!(press(&mut typed("one", 3), code, modifiers), pressed, "{code:?}");
        }
    }

    #[test]
    fn wraps_long_question_between_words() {
        let question = "Apply these changes in the cluster of context default/api-example-com:6443/kube:admin? (Y/n)";
        let wrapped = wrap_at(question, 2, 60);
        assert_eq!(
            wrapped,
            "Apply these changes in the cluster of context\n  default/api-example-com:6443/kube:admin? (Y/n)"
        );
        assert_eq!(wrap_at("short", 2, 60), "short");
    }

    #[test]
    fn computes_cursor_position() {
        let text: Vec<char> = "? ab\ncdefg ".chars().collect();
        assert_eq!(position(&text, 3, 4), (0, 3));
        assert_eq!(position(&text, 5, 4), (1, 0));
        assert_eq!(position(&text, 9, 4), (2, 0));
        assert_eq!(position(&text, 10, 4), (2, 1));
        let text: Vec<char> = "倉庫e\u{301} ".chars().collect();
        assert_eq!(position(&text, 1, 8), (0, 2));
        assert_eq!(position(&text, 1, 3), (1, 0));
        assert_eq!(position(&text, 4, 8), (0, 5));
    }

    #[test]
    fn hides_answer() {
        let question = Question {
            text: "Password:",
            suffix: None,
            help: Some("hidden"),
            is_hidden: true,
            is_colored: false,
        };
        let empty = question.open(&Input::default(), None, question.help);
        let view = question.open(&typed("s3cret", 6), None, question.help);
        assert_eq!((view.printed.as_str(), view.cursor), (empty.printed.as_str(), empty.cursor));
        assert_eq!(question.closed(&hidden(), ">").printed, "> Password: ********");
    }
}
