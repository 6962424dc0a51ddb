//! What a step found and what it is about to do.

use super::change::Change;
use crate::bridge::finding::Level;

/// What a step has to say before it does anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What was found.
    pub facts: Vec<Fact>,
    /// What is to be done; nothing if all is done.
    pub changes: Vec<Change>,
    /// What stands in the way, if something does.
    pub obstacle: Option<Obstacle>,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// How good or bad it is.
    pub level: Level,
    /// One sentence, without a full stop.
    pub text: String,
}

/// What keeps a step from doing its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It need not be done, or somebody does not want it: why.
    Skip(String),
    /// Something has to be said first.
    Needs(Vec<Need>),
    /// Something has to be put right first: why, and how.
    Blocked { reason: String, hints: Vec<String> },
}

/// An answer that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// What: `the address of the Quay`.
    pub what: &'static str,
    /// The flags and variables that give it.
    pub flags: &'static str,
}

impl Plan {
    /// Adds what was found.
    pub fn fact(&mut self, level: Level, text: impl Into<String>) {
        self.facts.push(Fact { level, text: text.into() });
    }

    /// The same plan, with something in its way.
    pub fn blocked(mut self, reason: impl Into<String>) -> Self {
        self.obstacle = Some(Obstacle::Blocked { reason: reason.into(), hints: vec![] });
        self
    }

    /// Adds a hint to what stands in the way.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Some(Obstacle::Blocked { hints, .. }) = &mut self.obstacle {
            hints.push(hint.into());
        }
        self
    }

    /// The same plan, not to be carried out.
    pub fn skipped(mut self, why: impl Into<String>) -> Self {
        self.obstacle = Some(Obstacle::Skip(why.into()));
        self
    }

    /// The same plan, waiting for an answer.
    pub fn needs(mut self, what: &'static str, flags: &'static str) -> Self {
        self.obstacle = Some(Obstacle::Needs(vec![Need { what, flags }]));
        self
    }

    /// Whether everything is as it should be.
    pub fn is_done(&self) -> bool {
        self.changes.is_empty() && self.obstacle.is_none()
    }
}
