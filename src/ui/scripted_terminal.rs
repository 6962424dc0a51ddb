//! A terminal for unit tests with predefined answers and captured output.

use anstream::adapter::strip_str;
use parking_lot::{Mutex, MutexGuard};
use secrecy::SecretString;

use crate::error::{Cancelled, Error};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ScriptedAnswer {
    Enter,
    Yes,
    No,
    Type(&'static str),
    /// The option with this label.
    Choose(&'static str),
    Esc,
}

#[derive(Debug)]
pub(super) struct ScriptedTerminal(Mutex<Script>);

#[derive(Debug)]
struct Script {
    answers: std::vec::IntoIter<ScriptedAnswer>,
    questions: Vec<String>,
    stdout: String,
    stderr: String,
}

impl ScriptedTerminal {
    pub(super) fn new(answers: Vec<ScriptedAnswer>) -> Self {
        let (questions, stdout, stderr) = (vec![], String::new(), String::new());
        Self(Mutex::new(Script { answers: answers.into_iter(), questions, stdout, stderr }))
    }

    pub(super) fn confirm(&self, question: &str, default: bool) -> Result<bool, Error> {
        match self.answer(question)? {
            ScriptedAnswer::Enter => Ok(default),
            ScriptedAnswer::Yes => Ok(true),
            ScriptedAnswer::No => Ok(false),
            other => panic!("{other:?} does not answer {question:?}"),
        }
    }

    pub(super) fn text(&self, question: &str, default: Option<&str>) -> Result<String, Error> {
        match self.answer(question)? {
            ScriptedAnswer::Enter => Ok(default.unwrap_or_default().to_owned()),
            ScriptedAnswer::Type(text) => Ok(text.to_owned()),
            other => panic!("{other:?} does not answer {question:?}"),
        }
    }

    pub(super) fn select(
        &self,
        question: &str,
        options: &[(&str, &str)],
        default: usize,
    ) -> Result<usize, Error> {
        assert!(default < options.len(), "{question:?} has no option {default}");
        match self.answer(question)? {
            ScriptedAnswer::Enter => Ok(default),
            ScriptedAnswer::Choose(wanted) => Ok(options
                .iter()
                .position(|(label, _)| *label == wanted)
                .unwrap_or_else(|| panic!("{question:?} has no option {wanted:?}: {options:?}"))),
            other => panic!("{other:?} does not answer {question:?}"),
        }
    }

    pub(super) fn password(&self, question: &str) -> Result<SecretString, Error> {
        match self.answer(question)? {
            ScriptedAnswer::Type(password) => Ok(password.into()),
            other => panic!("{other:?} does not answer {question:?}"),
        }
    }

    pub(super) fn print_out(&self, text: &str) {
        self.script().stdout.push_str(&strip_str(text).to_string());
    }

    pub(super) fn print_err(&self, text: &str) {
        self.script().stderr.push_str(&strip_str(text).to_string());
    }

    pub(super) fn questions(&self) -> Vec<String> {
        self.script().questions.clone()
    }

    pub(super) fn stdout(&self) -> String {
        self.script().stdout.clone()
    }

    pub(super) fn stderr(&self) -> String {
        self.script().stderr.clone()
    }

    fn answer(&self, question: &str) -> Result<ScriptedAnswer, Error> {
        let mut script = self.script();
        script.questions.push(question.to_owned());
        script.stderr.push_str(&format!("? {question}\n"));
        match script.answers.next() {
            Some(ScriptedAnswer::Esc) => Err(Cancelled.into()),
            Some(answer) => Ok(answer),
            None => panic!("unexpected question {question:?}"),
        }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock()
    }
}

impl Drop for ScriptedTerminal {
    fn drop(&mut self) {
        let left: Vec<_> = self.script().answers.by_ref().collect();
        assert!(left.is_empty() || std::thread::panicking(), "unused answers {left:?}");
    }
}
