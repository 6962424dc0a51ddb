//! Runs the program at a pseudo-terminal, with a user who reads the screen and types.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anstream::adapter::strip_str;
use pty_process::Size;
use pty_process::blocking::{Pty, open};
use rustix::termios::{Termios, tcgetattr};

use super::{Command, TestEnv};

/// Columns and rows.
const USUAL: (u16, u16) = (80, 24);

const SCREEN_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Key {
    Enter,
    Esc,
    CtrlC,
    Up,
    Down,
}

pub(crate) struct Terminal<'a> {
    env: &'a TestEnv,
    line: String,
    program: Running,
    keyboard: Arc<Pty>,
    /// The program's side of the terminal, which keeps its modes while it is open.
    end: OwnedFd,
    modes: Termios,
    screen: Screen,
    reader: JoinHandle<()>,
}

/// The result of a run in a terminal.
pub(crate) struct Left {
    pub(crate) screen: String,
    /// All output, with control sequences.
    pub(crate) written: String,
}

/// Killed with the test, even if that fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

type Screen = Arc<(Mutex<Shown>, Condvar)>;

struct Shown {
    parser: vt100::Parser,
    written: Vec<u8>,
}

impl<'a> Command<'a> {
    /// Runs an ignored test of this suite instead of the program.
    pub(crate) fn test(env: &'a TestEnv, name: &str) -> Self {
        Self {
            program: std::env::current_exe().unwrap(),
            environment: [("LC_ALL".to_owned(), "C.UTF-8".into())].into(),
            ..Self::new(env, &[name, "--exact", "--ignored", "--nocapture"])
        }
    }

    pub(crate) fn at_terminal(self) -> Terminal<'a> {
        self.in_window(USUAL.0, USUAL.1)
    }

    pub(crate) fn in_window(self, columns: u16, rows: u16) -> Terminal<'a> {
        Terminal::start(self, (columns, rows), None, None)
    }

    /// Runs it at a terminal, but with its report going to a file.
    pub(crate) fn at_terminal_into(self, stdout: File) -> Terminal<'a> {
        Terminal::start(self, USUAL, None, Some(stdout.into()))
    }

    /// Runs it at a terminal, but with stdin at its end.
    pub(crate) fn at_terminal_without_stdin(self) -> Terminal<'a> {
        Terminal::start(self, USUAL, Some(Stdio::null()), None)
    }
}

impl<'a> Terminal<'a> {
    fn start(
        command: Command<'a>,
        (columns, rows): (u16, u16),
        stdin: Option<Stdio>,
        stdout: Option<Stdio>,
    ) -> Self {
        let (pty, end) = open().unwrap();
        pty.resize(Size::new(rows, columns)).unwrap();
        let modes = tcgetattr(&end).unwrap();
        let kept = end.as_fd().try_clone_to_owned().unwrap();
        let mut program = command.process();
        if program.get_envs().all(|(name, _)| name != "TERM") {
            program.env("TERM", "xterm-256color");
        }
        let mut program = pty_process::blocking::Command::from(program);
        if let Some(stdin) = stdin {
            program = program.stdin(stdin);
        }
        if let Some(stdout) = stdout {
            program = program.stdout(stdout);
        }
        let program = Running(program.spawn(end).unwrap());
        let size = [rows, columns].map(|count| NonZeroU16::new(count).unwrap());
        let shown = Shown { parser: vt100::Parser::new(size[0], size[1], 0), written: vec![] };
        let screen: Screen = Arc::new((Mutex::new(shown), Condvar::new()));
        let keyboard = Arc::new(pty);
        let reader = std::thread::spawn({
            let (pty, screen) = (Arc::clone(&keyboard), Arc::clone(&screen));
            move || show(&pty, &screen)
        });
        Self {
            env: command.env,
            line: command.line(),
            program,
            keyboard,
            end: kept,
            modes,
            screen,
            reader,
        }
    }

    #[track_caller]
    pub(crate) fn sees(&self, text: &str) -> &Self {
        self.waits_for(text, |screen| screen.contains(text))
    }

    /// Reads until the screen meets a condition. A hidden cursor means that the program is still
    /// drawing.
    #[track_caller]
    pub(crate) fn waits_for(&self, what: &str, mut is_so: impl FnMut(&str) -> bool) -> &Self {
        let deadline = Instant::now() + SCREEN_TIMEOUT;
        let mut shown = self.shown();
        while shown.parser.screen().hide_cursor() || !is_so(&contents(&shown)) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{}: timed out waiting for {what:?}, saw:\n{}",
                self.line,
                contents(&shown)
            );
            shown = self.screen.1.wait_timeout(shown, left).unwrap().0;
        }
        drop(shown);
        self
    }

    /// Waits until no prompt reads keys, so that Ctrl-C is a signal.
    #[track_caller]
    pub(crate) fn waits_for_restored_modes(&self) -> &Self {
        let deadline = Instant::now() + SCREEN_TIMEOUT;
        while flags(&tcgetattr(&self.end).unwrap()) != flags(&self.modes) {
            assert!(Instant::now() < deadline, "{}: the prompt did not end", self.line);
            std::thread::sleep(Duration::from_millis(5));
        }
        self
    }

    /// Number of rows that the terminal had to wrap.
    pub(crate) fn broken_lines(&self) -> usize {
        let shown = self.shown();
        let screen = shown.parser.screen();
        (0..screen.size().0.get()).filter(|row| screen.row_wrapped(*row)).count()
    }

    pub(crate) fn screen(&self) -> String {
        contents(&self.shown())
    }

    pub(crate) fn press(&self, key: Key) -> &Self {
        self.types(match key {
            Key::Enter => "\r",
            Key::Esc => "\x1b",
            Key::CtrlC => "\x03",
            Key::Up => "\x1b[A",
            Key::Down => "\x1b[B",
        })
    }

    pub(crate) fn types(&self, text: &str) -> &Self {
        (&*self.keyboard).write_all(text.as_bytes()).unwrap();
        self
    }

    /// Pastes a text, in brackets if the program enabled them, with newlines as Enter.
    pub(crate) fn pastes(&self, text: &str) -> &Self {
        let text = text.replace('\n', "\r");
        let in_brackets = self.shown().parser.screen().bracketed_paste();
        self.types(&if in_brackets { format!("\x1b[200~{text}\x1b[201~") } else { text })
    }

    /// Pastes a text without brackets.
    pub(crate) fn pastes_without_brackets(&self, text: &str) -> &Self {
        self.types(&text.replace('\n', "\r"))
    }

    /// Waits for the end and asserts the exit code, the restored modes of the terminal, and that no
    /// secret was shown.
    #[track_caller]
    pub(crate) fn ends_with(mut self, code: i32) -> Left {
        let deadline = Instant::now() + SCREEN_TIMEOUT;
        let status = loop {
            if let Some(status) = self.program.0.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "{} did not end:\n{}", self.line, self.screen());
            std::thread::sleep(Duration::from_millis(5));
        };
        let modes = tcgetattr(&self.end).unwrap();
        // The reader ends once all descriptors are closed.
        drop(self.end);
        self.reader.join().unwrap();
        let shown = self.screen.0.lock().unwrap();
        let written = String::from_utf8(shown.written.clone()).unwrap();
        let screen = contents(&shown);
        assert_eq!(status.code(), Some(code), "{}\n{screen}", self.line);
        assert!(!written.contains("panicked"), "{written}");
        assert_eq!(flags(&modes), flags(&self.modes), "the terminal's modes were changed");
        assert!(!shown.parser.screen().hide_cursor(), "the cursor is hidden");
        assert!(!shown.parser.screen().bracketed_paste(), "pastes still come in brackets");
        let (row, column) = shown.parser.screen().cursor_position();
        let is_free = screen.lines().nth(row.into()).is_none_or(str::is_empty);
        assert!(is_free && column == 0, "the shell has no line for its prompt:\n{screen}");
        // A long line might have been wrapped.
        let unbroken = strip_str(&written).to_string().replace(['\r', '\n'], "");
        for secret in self.env.secrets() {
            assert!(
                !written.contains(&secret) && !unbroken.contains(&secret),
                "a secret was shown:\n{screen}"
            );
        }
        Left { screen, written }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.screen.0.lock().unwrap()
    }
}

/// Copies output to the screen until the terminal is closed.
fn show(mut pty: &Pty, screen: &Screen) {
    let mut bytes = [0; 4096];
    // Linux ends it with an error, other systems without.
    while let Ok(count @ 1..) = pty.read(&mut bytes) {
        let mut shown = screen.0.lock().unwrap();
        shown.parser.process(&bytes[..count]);
        shown.written.extend(&bytes[..count]);
        screen.1.notify_all();
    }
}

fn contents(shown: &Shown) -> String {
    let lines = shown.parser.screen().contents();
    lines.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The modes that a shell depends on: echo, lines, signals, and newlines.
fn flags(modes: &Termios) -> impl PartialEq + std::fmt::Debug {
    (modes.input_modes, modes.output_modes, modes.local_modes)
}
