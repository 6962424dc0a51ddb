//! The report of commands that make changes, before and after.

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::change::{Change, Verb};
use crate::domain::finding::{Finding, ObjectRef, Severity};
use crate::printable::{printable, printable_line};

use super::status::{Endpoints, SettingReport};
use super::text_layout::Style;
use super::{
    API_VERSION, Format, Invocation, complete_hint, make_printable, serialize, short, summary_line,
    text, with_severity,
};

/// The changes of a command, planned or done.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChangeReport {
    /// The version of this format.
    #[cfg_attr(test, schemars(extend("const" = API_VERSION)))]
    pub api_version: &'static str,
    /// The kind of report.
    #[cfg_attr(test, schemars(extend("const" = "ChangeReport")))]
    pub kind: &'static str,
    /// No change failed or was skipped, and no finding is an error.
    pub ok: bool,
    /// `link`, `repair`, `unlink`, `import`, `builds rewrite`, `builds restore`.
    pub command: &'static str,
    /// Nothing was written because of `--dry-run`.
    pub dry_run: bool,
    /// The time of the report in UTC: `2026-12-01T09:30:00Z`.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub time: String,
    /// The API server as `host:port`, and its context.
    pub cluster: Option<SettingReport>,
    /// The URL of Quay.
    pub quay: Option<SettingReport>,
    /// The changes, in order.
    pub changes: Vec<ChangeEntry>,
    /// Blocked changes and remaining problems.
    pub findings: Vec<Finding>,
    /// The outcome in one line.
    pub summary_line: String,
}

/// A change and its result.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChangeEntry {
    /// The namespace; none for a change to the integration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The operation.
    pub verb: Verb,
    /// The object.
    pub object: ObjectRef,
    /// The change in one sentence.
    pub summary: String,
    /// The state.
    pub state: ChangeState,
    /// The error of a failed change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The inverse change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}

/// The state of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ChangeState {
    /// Not applied yet.
    Planned,
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// Not applied, since a dependency failed or the command was cancelled.
    Skipped,
}

impl ChangeEntry {
    pub fn new(namespace: Option<&str>, change: &Change) -> Self {
        let object = change.object();
        Self {
            namespace: namespace.map(str::to_owned),
            verb: change.verb(),
            object: ObjectRef { name: printable_line(&object.name), ..object },
            summary: printable(&change.summary()),
            state: ChangeState::Planned,
            error: None,
            undo: change.inverse().map(|inverse| printable(&inverse.summary())),
        }
    }

    /// A planned change outside of any [`Change`].
    pub fn planned(verb: Verb, object: ObjectRef, summary: String) -> Self {
        Self {
            namespace: None,
            verb,
            object,
            summary: printable(&summary),
            state: ChangeState::Planned,
            error: None,
            undo: None,
        }
    }

    pub fn in_namespace(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    pub fn done(self) -> Self {
        Self { state: ChangeState::Done, ..self }
    }

    pub fn failed(self, error: impl Into<String>) -> Self {
        Self { state: ChangeState::Failed, error: Some(printable(&error.into())), ..self }
    }

    pub fn skipped(self) -> Self {
        Self { state: ChangeState::Skipped, ..self }
    }

    pub(super) fn is_in_quay(&self) -> bool {
        matches!(
            self.object.kind,
            "Organization" | "RobotAccount" | "DefaultPermission" | "Repository"
        )
    }
}

impl ChangeReport {
    /// `invocation` is the start of its commands.
    pub fn new(
        invocation: &Invocation,
        endpoints: Endpoints,
        command: &'static str,
        dry_run: bool,
        changes: Vec<ChangeEntry>,
        mut findings: Vec<Finding>,
    ) -> Self {
        for finding in &mut findings {
            make_printable(finding);
            complete_hint(finding, invocation);
        }
        let is_ok =
            |change: &ChangeEntry| matches!(change.state, ChangeState::Planned | ChangeState::Done);
        let mut report = Self {
            api_version: API_VERSION,
            kind: "ChangeReport",
            ok: changes.iter().all(is_ok) && with_severity(&findings, Severity::Error) == 0,
            command,
            dry_run,
            time: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            cluster: endpoints.cluster,
            quay: endpoints.quay,
            changes,
            findings,
            summary_line: String::new(),
        };
        report.summary_line = summary_line::change(&report);
        report
    }

    pub fn count(&self, state: ChangeState) -> usize {
        self.changes.iter().filter(|change| change.state == state).count()
    }

    /// The text has colors, which [`crate::ui::Ui`] removes if necessary.
    ///
    /// # Errors
    /// If serialization fails, which is a bug.
    pub fn render(&self, format: Format, style: &Style) -> anyhow::Result<String> {
        Ok(match format {
            Format::Text => text::change(self, style, false),
            Format::Wide => text::change(self, style, true),
            Format::Short => short::change(self, style),
            Format::Json => serialize::json(self)?,
            Format::Yaml => serialize::yaml(self)?,
            Format::Name => {
                let changed = |change: &&ChangeEntry| {
                    matches!(change.state, ChangeState::Planned | ChangeState::Done)
                };
                serialize::names(self.changes.iter().filter(changed).map(|change| &change.object))
            }
        })
    }
}
