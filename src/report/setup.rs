//! The report of `setup` and `teardown`.

use serde::Serialize;

use crate::domain::finding::Severity;
use crate::printable::printable;

use super::change::{ChangeEntry, ChangeState};
use super::status::StatusReport;
use super::text_layout::Style;
use super::{API_VERSION, Format, count, serialize, short, text};

/// A planned, checked or applied setup or teardown.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SetupReport {
    /// The version of this format.
    #[cfg_attr(test, schemars(extend("const" = API_VERSION)))]
    pub api_version: &'static str,
    /// The kind of report.
    #[cfg_attr(test, schemars(extend("const" = "SetupReport")))]
    pub kind: &'static str,
    /// No step failed, and `--check` found nothing to do.
    pub ok: bool,
    /// `setup` or `teardown`.
    pub command: &'static str,
    /// Nothing was written because of `--dry-run` or `--check`.
    pub dry_run: bool,
    /// The steps, in order.
    pub steps: Vec<StepReport>,
    /// The scope of each namespace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<NamespacePreview>,
    /// The status after namespaces were linked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusReport>,
    /// The equivalent non-interactive command, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_line: Option<String>,
    /// Manifests to apply by other means, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<String>,
    /// The outcome in one line.
    pub summary_line: String,
}

/// A step.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    /// Its name: `cluster`, `quay`, `token`, `operator`, `secret`, `integration`, `userRole`, `nodeTrust`, `proof`.
    pub step: &'static str,
    /// Its title.
    pub title: &'static str,
    /// The state.
    pub state: StepState,
    /// Why it was skipped or failed, or the missing input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How to resolve it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// Observations.
    pub facts: Vec<NoteReport>,
    /// The changes.
    pub changes: Vec<ChangeEntry>,
}

/// An observation.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NoteReport {
    /// The severity.
    pub severity: Severity,
    /// The text.
    pub text: String,
}

/// The scope of a namespace after setup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NamespacePreview {
    /// Its name.
    pub name: String,
    /// It will be linked.
    pub in_scope: bool,
    /// The reason.
    pub why: String,
}

/// The state of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum StepState {
    /// Applied now.
    Done,
    /// Nothing to do.
    AlreadyDone,
    /// To be applied.
    Planned,
    /// Not necessary or not requested.
    Skipped,
    /// Failed, or not confirmed.
    Failed,
    /// Not reached, since an earlier step failed.
    NotReached,
}

impl StepReport {
    /// Sets [`StepState::NotReached`] and skips its changes.
    pub fn not_reached(mut self) -> Self {
        if !matches!(self.state, StepState::AlreadyDone | StepState::Skipped) {
            self.state = StepState::NotReached;
            self.changes = self.changes.into_iter().map(ChangeEntry::skipped).collect();
        }
        self
    }

    /// Sets [`StepState::Failed`].
    pub fn failed(mut self, messages: &[String], hints: &[String]) -> Self {
        self.state = StepState::Failed;
        self.reason = Some(printable(&messages.join(": ")));
        self.hints = hints.to_vec();
        self
    }

    /// Replaces `oc quay` in its texts by the program name as it was typed.
    pub fn with_program_name(mut self, program: &str) -> Self {
        let texts = self
            .reason
            .iter_mut()
            .chain(&mut self.hints)
            .chain(self.facts.iter_mut().map(|fact| &mut fact.text));
        texts.for_each(|text| *text = text.replace("oc quay", program));
        self
    }

    /// The text of a single step.
    pub fn render(&self, style: &Style) -> String {
        text::step(self, style)
    }

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
    /// Derives `summary_line` from the steps.
    pub fn new(
        program: &str,
        command: &'static str,
        dry_run: bool,
        is_check: bool,
        steps: Vec<StepReport>,
    ) -> Self {
        let steps: Vec<_> = steps.into_iter().map(|step| step.with_program_name(program)).collect();
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

    /// The changes made, as text, after the steps were shown interactively.
    pub fn render_changes(&self, style: &Style) -> String {
        text::setup_changes(self, style)
    }

    /// # Errors
    /// If serialization fails, which is a bug.
    pub fn render(&self, format: Format, style: &Style) -> anyhow::Result<String> {
        Ok(match format {
            Format::Text => text::setup(self, style, false),
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
        ("teardown", _, 0) => "Nothing to remove".into(),
        ("teardown", _, done) => {
            format!("Integration removed: {}", count(done, "change"))
        }
        (_, _, 0) => "Already set up; nothing was written".into(),
        (_, _, done) => format!("Setup complete: {}", count(done, "change")),
    }
}
