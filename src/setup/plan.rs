//! Plan of a step: its notes, its changes and what blocks it.

use super::change::SetupChange;
use crate::domain::finding::Severity;

/// Plan of a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepPlan {
    pub notes: Vec<Note>,
    /// Empty if everything is done.
    pub changes: Vec<SetupChange>,
    pub blocker: Option<Blocker>,
}

/// An observation to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub severity: Severity,
    /// A sentence without a full stop.
    pub text: String,
}

/// Reason why a step cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// The step is not needed or not requested.
    Skip(String),
    /// Options are missing.
    Needs(Vec<MissingInput>),
    /// A problem has to be solved first.
    Blocked { reason: String, hints: Vec<String> },
}

/// A required option that was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingInput {
    /// A noun, such as `the address of Quay`.
    pub what: &'static str,
    /// The flags and variables that set it.
    pub flags: &'static str,
}

impl StepPlan {
    pub fn note(&mut self, severity: Severity, text: impl Into<String>) {
        self.notes.push(Note { severity, text: text.into() });
    }

    pub fn blocked(mut self, reason: impl Into<String>) -> Self {
        self.blocker = Some(Blocker::Blocked { reason: reason.into(), hints: vec![] });
        self
    }

    /// Adds a hint to [`Blocker::Blocked`].
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Some(Blocker::Blocked { hints, .. }) = &mut self.blocker {
            hints.push(hint.into());
        }
        self
    }

    pub fn skipped(mut self, why: impl Into<String>) -> Self {
        self.blocker = Some(Blocker::Skip(why.into()));
        self
    }

    pub fn needs(mut self, what: &'static str, flags: &'static str) -> Self {
        self.blocker = Some(Blocker::Needs(vec![MissingInput { what, flags }]));
        self
    }

    pub fn is_done(&self) -> bool {
        self.changes.is_empty() && self.blocker.is_none()
    }
}
