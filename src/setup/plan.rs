//! What a step found and what it is about to do.

use super::change::SetupChange;
use crate::domain::finding::Severity;

/// What a step has to say before it does anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepPlan {
    /// What was found.
    pub facts: Vec<Note>,
    /// What is to be done; nothing if all is done.
    pub changes: Vec<SetupChange>,
    /// What stands in the way, if something does.
    pub obstacle: Option<Blocker>,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How good or bad it is.
    pub severity: Severity,
    /// One sentence, without a full stop.
    pub text: String,
}

/// What keeps a step from doing its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// It need not be done, or somebody does not want it: why.
    Skip(String),
    /// Something has to be said first.
    Needs(Vec<MissingInput>),
    /// Something has to be put right first: why, and how.
    Blocked { reason: String, hints: Vec<String> },
}

/// An answer that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingInput {
    /// What: `the address of the Quay`.
    pub what: &'static str,
    /// The flags and variables that give it.
    pub flags: &'static str,
}

impl StepPlan {
    /// Adds what was found.
    pub fn fact(&mut self, severity: Severity, text: impl Into<String>) {
        self.facts.push(Note { severity, text: text.into() });
    }

    /// The same plan, with something in its way.
    pub fn blocked(mut self, reason: impl Into<String>) -> Self {
        self.obstacle = Some(Blocker::Blocked { reason: reason.into(), hints: vec![] });
        self
    }

    /// Adds a hint to what stands in the way.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Some(Blocker::Blocked { hints, .. }) = &mut self.obstacle {
            hints.push(hint.into());
        }
        self
    }

    /// The same plan, not to be carried out.
    pub fn skipped(mut self, why: impl Into<String>) -> Self {
        self.obstacle = Some(Blocker::Skip(why.into()));
        self
    }

    /// The same plan, waiting for an answer.
    pub fn needs(mut self, what: &'static str, flags: &'static str) -> Self {
        self.obstacle = Some(Blocker::Needs(vec![MissingInput { what, flags }]));
        self
    }

    /// Whether everything is as it should be.
    pub fn is_done(&self) -> bool {
        self.changes.is_empty() && self.obstacle.is_none()
    }
}
