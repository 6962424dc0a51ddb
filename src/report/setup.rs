//! What `setup` and `teardown` have to say, step by step.

use serde::Serialize;

use crate::domain::finding::Severity;
use crate::ui::printable;

use super::change::{ChangeEntry, ChangeState};
use super::status::StatusReport;
use super::text_layout::Style;
use super::{API_VERSION, Format, count, serialize, short, text};

/// A set-up, planned, checked or done.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SetupReport {
    /// The version of this format.
    #[cfg_attr(test, schemars(extend("const" = API_VERSION)))]
    pub api_version: &'static str,
    /// What this is.
    #[cfg_attr(test, schemars(extend("const" = "SetupReport")))]
    pub kind: &'static str,
    /// Nothing failed, and a check found everything done.
    pub ok: bool,
    /// `setup` or `teardown`.
    pub command: &'static str,
    /// Nothing was written because of `--dry-run` or `--check`.
    pub dry_run: bool,
    /// The steps, in their order.
    pub steps: Vec<StepReport>,
    /// What becomes of each namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<NamespacePreview>,
    /// The first status after it, where namespaces were linked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusReport>,
    /// The same set-up as one command that asks nothing, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_line: Option<String>,
    /// What somebody else is to write, where it was asked to be printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<String>,
    /// The outcome in one line.
    pub summary_line: String,
}

/// One step.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    /// Its name: `cluster`, `quay`, `token`, `operator`, `secret`, `integration`, `userRole`, `nodeTrust`, `proof`.
    pub step: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What became of it.
    pub state: StepState,
    /// Why it was skipped or failed, or what it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// What was found.
    pub facts: Vec<NoteReport>,
    /// What was done, or would be.
    pub changes: Vec<ChangeEntry>,
}

/// Something that was found.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NoteReport {
    /// How good or bad it is.
    pub severity: Severity,
    /// One sentence.
    pub text: String,
}

/// A namespace before anything is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NamespacePreview {
    /// Its name.
    pub name: String,
    /// It will be linked.
    pub in_scope: bool,
    /// Why, or why not.
    pub why: String,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum StepState {
    /// Done now.
    Done,
    /// Was done before.
    AlreadyDone,
    /// Would be done.
    Planned,
    /// Need not be done, or was not wanted.
    Skipped,
    /// Could not be done, or is not known to be done.
    Failed,
    /// Not reached, since one before it failed.
    NotReached,
}

impl StepReport {
    /// The same, not reached.
    pub fn not_reached(mut self) -> Self {
        if !matches!(self.state, StepState::AlreadyDone | StepState::Skipped) {
            self.state = StepState::NotReached;
            self.changes = self.changes.into_iter().map(ChangeEntry::skipped).collect();
        }
        self
    }

    /// The same, failed.
    pub fn failed(mut self, messages: &[String], hints: &[String]) -> Self {
        self.state = StepState::Failed;
        self.reason = Some(printable(&messages.join(": ")));
        self.hints = hints.to_vec();
        self
    }

    /// The same, with the commands that it names as the person began theirs: `oc quay` or `kubectl quay`.
    pub fn addressed(mut self, program: &str) -> Self {
        let texts = self
            .reason
            .iter_mut()
            .chain(&mut self.hints)
            .chain(self.facts.iter_mut().map(|fact| &mut fact.text));
        texts.for_each(|text| *text = text.replace("oc quay", program));
        self
    }

    /// The step by itself, as text to read.
    pub fn render(&self, style: &Style) -> String {
        text::step(self, style)
    }

    /// The worst of what was found.
    pub(super) fn severity(&self) -> Severity {
        let found = self
            .facts
            .iter()
            .map(|fact| fact.severity)
            .filter(|severity| *severity != Severity::Info)
            .max();
        match self.state {
            StepState::Failed => Severity::Error,
            StepState::NotReached => Severity::Unknown,
            StepState::Planned | StepState::Skipped => {
                found.unwrap_or(Severity::Info).max(Severity::Info)
            }
            StepState::Done | StepState::AlreadyDone => found.unwrap_or(Severity::Ok),
        }
    }
}

impl SetupReport {
    /// Puts a report together; the summary_line is made from the steps.
    pub fn new(
        program: &str,
        command: &'static str,
        dry_run: bool,
        is_check: bool,
        steps: Vec<StepReport>,
    ) -> Self {
        let steps: Vec<_> = steps.into_iter().map(|step| step.addressed(program)).collect();
        let is_open = |step: &&StepReport| match step.state {
            StepState::Failed | StepState::NotReached => true,
            StepState::Planned => is_check,
            StepState::Done | StepState::AlreadyDone | StepState::Skipped => false,
        };
        let open: Vec<_> = steps.iter().filter(is_open).map(|step| step.title).collect();
        let summary_line = summary_line(program, command, dry_run, is_check, &steps, &open);
        Self {
            api_version: API_VERSION,
            kind: "SetupReport",
            ok: open.is_empty(),
            command,
            dry_run: dry_run || is_check,
            namespaces: vec![],
            status: None,
            command_line: None,
            manifests: None,
            summary_line,
            steps,
        }
    }

    /// What was made, as text to read: for who has seen the steps.
    pub fn made(&self, style: &Style) -> String {
        text::made(self, style)
    }

    /// The report in a format.
    ///
    /// # Errors
    /// If a machine-readable format cannot be written, which is a mistake in this program.
    pub fn render(&self, format: Format, style: &Style) -> anyhow::Result<String> {
        Ok(match format {
            Format::Text | Format::Html | Format::Mirror => text::setup(self, style, false),
            Format::Wide => text::setup(self, style, true),
            Format::Short => short::setup(self, style),
            Format::Json => serialize::json(self)?,
            Format::Yaml => serialize::yaml(self)?,
            Format::Name => {
                let changes = self.steps.iter().flat_map(|step| &step.changes);
                let changed = changes.filter(|change| {
                    matches!(change.state, ChangeState::Planned | ChangeState::Done)
                });
                serialize::names(changed.map(|change| &change.object))
            }
        })
    }
}

fn summary_line(
    program: &str,
    command: &str,
    dry_run: bool,
    is_check: bool,
    steps: &[StepReport],
    open: &[&str],
) -> String {
    let changes = |state| {
        steps.iter().flat_map(|step| &step.changes).filter(|change| change.state == state).count()
    };
    if !open.is_empty() {
        let what = if is_check { "Not set up" } else { "Not done" };
        return format!(
            "{what}: {}{}{program} {command}",
            open.join(", "),
            super::summary_line::HINT_PREFIX
        );
    }
    match (command, changes(ChangeState::Planned), changes(ChangeState::Done)) {
        (_, planned, _) if dry_run && planned > 0 => {
            format!("{} planned; nothing was written", count(planned, "change"))
        }
        (_, planned, 0) if planned > 0 => format!("{} planned", count(planned, "change")),
        ("teardown", _, 0) => "There is nothing to take back".into(),
        ("teardown", _, done) => {
            format!("The integration is taken back, with {}", count(done, "change"))
        }
        (_, _, 0) => "Everything is set up; nothing was written".into(),
        (_, _, done) => format!("Set up, with {}", count(done, "change")),
    }
}
