//! Checks: they turn what should be and what is into findings. A file per check.

use crate::bridge::finding::{Finding, Level};

/// What one check has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was checked: `Robot accounts`.
    pub title: &'static str,
    /// The worst level among the findings; `Ok` without any.
    pub level: Level,
    /// The state in a few words, when it is fine as when it is not.
    pub fact: String,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Check {
    /// A check with the level of its worst finding.
    pub fn new(title: &'static str, fact: impl Into<String>, findings: Vec<Finding>) -> Self {
        let level = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
        Self { title, level, fact: fact.into(), findings }
    }
}
