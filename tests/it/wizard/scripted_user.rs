//! A user who answers the questions in their order.

use std::collections::BTreeMap;

use crate::support::{Command, Key, Left, Terminal, TestEnv};

/// The rows of a window in which the whole set-up can be read.
const ROWS: u16 = 200;

/// The answer to a question. An empty text is Enter.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Text(String),
    Option(&'static str),
}

/// A question: the step that it belongs to, and how it begins.
pub(super) type Question = (&'static str, &'static str);

/// The questions of a fresh set-up, in their order.
pub(super) const QUESTIONS: [Question; 17] = [
    ("Quay", "Address of Quay (such as quay.example.com):"),
    ("Token", "Where does the token for Quay come from?"),
    ("Token", "User name in Quay:"),
    ("Token", "Password:"),
    ("Token", "Apply these changes"),
    ("Secret", "Apply these changes"),
    ("Operator", "Which controller should manage linked namespaces?"),
    ("Operator", "Channel of the operator:"),
    ("Operator", "Approval of its updates:"),
    ("Operator", "Apply these changes"),
    ("QuayIntegration", "Cluster ID, the start of organization names:"),
    ("QuayIntegration", "Apply these changes"),
    ("Users of projects", "Let users of projects see which Quay the cluster uses?"),
    ("Users of projects", "Apply these changes"),
    ("Node trust", "Nodes do not trust Quay's CA. How do you want to proceed?"),
    ("Node trust", "Apply these changes"),
    ("First namespaces", "Namespaces to link now (such as a,b, or none):"),
];

/// A person in the middle of a set-up.
pub(super) struct Person<'a> {
    pub(super) terminal: Terminal<'a>,
    /// Answers to questions without a usable default.
    answers: BTreeMap<Question, Answer>,
    /// The questions asked so far.
    pub(super) asked: Vec<Question>,
}

impl<'a> Person<'a> {
    /// Begins a set-up in a window of so many columns, knowing the address of Quay and its superuser's password.
    pub(super) fn begins(env: &'a TestEnv, command: Command<'a>, columns: u16) -> Self {
        let quay = &env.sandbox.quay;
        let answers = [
            (QUESTIONS[0], quay.url()),
            (QUESTIONS[2], "quayadmin".to_owned()),
            (QUESTIONS[3], quay.password("quayadmin").unwrap_or_default()),
            (QUESTIONS[16], "shop".to_owned()),
        ];
        let answers = answers.map(|(question, text)| (question, Answer::Text(text)));
        Self { terminal: command.in_window(columns, ROWS), answers: answers.into(), asked: vec![] }
    }

    /// Will answer a question with a text.
    pub(super) fn will_type(mut self, question: Question, text: &str) -> Self {
        self.answers.insert(question, Answer::Text(text.to_owned()));
        self
    }

    /// Will choose the option that begins so.
    pub(super) fn will_choose(mut self, question: Question, option: &'static str) -> Self {
        self.answers.insert(question, Answer::Option(option));
        self
    }

    /// Answers one question after the other until this one, which is left open.
    #[track_caller]
    pub(super) fn goes_to(&mut self, question: Question) -> &mut Self {
        while let Some(asked) = self.next() {
            if asked == question {
                self.asked.pop();
                return self;
            }
            self.answers_as_planned(asked);
        }
        panic!("never asked {question:?}:\n{}", self.terminal.screen());
    }

    /// Goes to a question and answers it, this once.
    #[track_caller]
    pub(super) fn types(&mut self, question: Question, text: &str) -> &mut Self {
        self.goes_to(question).asked.push(question);
        self.answer(&Answer::Text(text.to_owned()));
        self
    }

    /// Goes to a question and chooses the option that begins so, this once.
    #[track_caller]
    pub(super) fn chooses(&mut self, question: Question, option: &'static str) -> &mut Self {
        self.goes_to(question).asked.push(question);
        self.answer(&Answer::Option(option));
        self
    }

    /// Goes to a question and leaves.
    #[track_caller]
    pub(super) fn leaves_at(mut self, question: Question, key: Key) -> (Left, Vec<Question>) {
        self.goes_to(question).terminal.press(key);
        (self.terminal.ends_with(130), self.asked)
    }

    /// Answers all questions that are left.
    #[track_caller]
    pub(super) fn finishes(mut self, code: i32) -> (Left, Vec<Question>) {
        self.finishes_somehow();
        (self.terminal.ends_with(code), self.asked)
    }

    /// Answers all questions that are left, however it ends.
    #[track_caller]
    pub(super) fn finishes_somehow(&mut self) {
        while let Some(asked) = self.next() {
            self.answers_as_planned(asked);
        }
    }

    #[track_caller]
    fn answers_as_planned(&self, question: Question) {
        let answer = self.answers.get(&question).cloned().unwrap_or(Answer::Text(String::new()));
        self.answer(&answer);
    }

    #[track_caller]
    fn answer(&self, answer: &Answer) {
        match answer {
            Answer::Text(text) => self.terminal.types(text),
            Answer::Option(option) => self.moves_to(option),
        };
        self.terminal.press(Key::Enter);
    }

    /// Waits for the next question; none if the program has ended.
    #[track_caller]
    fn next(&mut self) -> Option<Question> {
        let answered = self.asked.len();
        let mut next = None;
        self.terminal.waits_for("a question or the end", |screen| {
            next = question(screen, answered);
            next.is_some() || screen.contains("non-interactive command:\n")
        });
        self.asked.extend(next);
        next
    }

    fn moves_to(&self, option: &str) -> &Terminal<'a> {
        let is_option = |line: &&str| {
            line.starts_with("> ") || line.starts_with("  ") && !line.starts_with("    ")
        };
        let screen = self.terminal.screen();
        let below = screen.lines().skip_while(|line| !line.starts_with("? ")).skip(1);
        let options: Vec<_> = below.filter(is_option).collect();
        let from = options.iter().position(|line| line.starts_with("> ")).unwrap();
        let to = options.iter().position(|line| line[2..].starts_with(option));
        let to = to.unwrap_or_else(|| panic!("no option {option}:\n{screen}"));
        for _ in from..to {
            self.terminal.press(Key::Down);
        }
        for _ in to..from {
            self.terminal.press(Key::Up);
        }
        &self.terminal
    }
}

/// The question that is open, after so many that were answered.
fn question(screen: &str, answered: usize) -> Option<Question> {
    let (above, open) = screen.rsplit_once("\n? ")?;
    if above.lines().filter(|line| line.starts_with("> ")).count() != answered {
        return None;
    }
    let title = above.lines().rev().find_map(|line| Some(line.split_once(" of 9 ")?.1))?;
    let mut known =
        QUESTIONS.iter().chain(&MORE).filter(|(step, text)| *step == title && !text.is_empty());
    Some(
        *known
            .find(|(_, text)| open.starts_with(text))
            .unwrap_or_else(|| panic!("an unknown question:\n{screen}")),
    )
}

/// The questions that are asked only where something is not as usual.
pub(super) const MORE: [Question; 16] = [
    ("Quay", "Continue anyway?"),
    ("Quay", "Quay's certificate is not trusted. How do you want to proceed?"),
    ("Quay", "File with the certificate authority:"),
    ("Quay", "Does the owner of Quay confirm this SHA-256?"),
    ("Quay", "Try again?"),
    ("Token", "Token:"),
    ("Token", "E-mail address:"),
    ("Token", "New password (8 characters or more):"),
    ("Token", "Repeat the password:"),
    ("Token", "Try again?"),
    ("Secret", "Replace it?"),
    ("Operator", "Try again?"),
    ("QuayIntegration", "Link only these namespaces (such as a,b; Enter for all):"),
    ("Token", "Client ID:"),
    ("Token", "How do you want to transfer the token?"),
    ("Token", "Final address in the browser:"),
];
