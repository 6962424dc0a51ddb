//! What a command that changes something has to say: before it writes, and after.

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::change::{Change, Verb};
use crate::domain::finding::{Finding, ObjectRef, Severity};
use crate::ui::{printable, printable_line};

use super::status::{Endpoints, SettingReport};
use super::text_layout::Style;
use super::{
    API_VERSION, Format, Invocation, address_hint, make_printable, serialize, short, summary_line,
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
    /// What this is.
    #[cfg_attr(test, schemars(extend("const" = "ChangeReport")))]
    pub kind: &'static str,
    /// No change failed or was left out, and no finding is an error.
    pub ok: bool,
    /// `link`, `repair`, `unlink`, `import`, `builds rewrite`, `builds restore`.
    pub command: &'static str,
    /// Nothing was written because of `--dry-run`.
    pub dry_run: bool,
    /// When the report was made, in UTC: `2026-12-01T09:30:00Z`.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    pub time: String,
    /// The API server as `host:port`, and the context that names it.
    pub cluster: Option<SettingReport>,
    /// The address of the Quay.
    pub quay: Option<SettingReport>,
    /// The changes, in the order they are made.
    pub changes: Vec<ChangeEntry>,
    /// What could not be planned, and what remains afterwards.
    pub findings: Vec<Finding>,
    /// The outcome in one line.
    pub summary_line: String,
}

/// One change and what became of it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChangeEntry {
    /// The namespace it is made for; none for a change to the integration as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What happens to the object.
    pub verb: Verb,
    /// The object.
    pub object: ObjectRef,
    /// The change in one sentence.
    pub summary: String,
    /// What became of it.
    pub state: ChangeState,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What would take it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ChangeState {
    /// Not tried yet.
    Planned,
    /// Done.
    Done,
    /// Tried in vain.
    Failed,
    /// Not tried, since something it needs failed, or a person stopped the command.
    Skipped,
}

impl ChangeEntry {
    /// A change that is planned.
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

    /// A change outside of any namespace's plan that is planned.
    pub fn of(verb: Verb, object: ObjectRef, summary: String) -> Self {
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

    /// The same in a namespace.
    pub fn in_namespace(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    /// The same, done.
    pub fn done(self) -> Self {
        Self { state: ChangeState::Done, ..self }
    }

    /// The same, tried in vain.
    pub fn failed(self, error: impl Into<String>) -> Self {
        Self { state: ChangeState::Failed, error: Some(printable(&error.into())), ..self }
    }

    /// The same, left out.
    pub fn skipped(self) -> Self {
        Self { state: ChangeState::Skipped, ..self }
    }

    /// Whether the object is in Quay and not in the cluster.
    pub(super) fn is_in_quay(&self) -> bool {
        matches!(
            self.object.kind,
            "Organization" | "RobotAccount" | "DefaultPermission" | "Repository"
        )
    }
}

impl ChangeReport {
    /// Puts a report together. `invocation` is how the commands in it begin.
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
            address_hint(finding, invocation);
        }
        let went_well =
            |change: &ChangeEntry| matches!(change.state, ChangeState::Planned | ChangeState::Done);
        let mut report = Self {
            api_version: API_VERSION,
            kind: "ChangeReport",
            ok: changes.iter().all(went_well) && with_severity(&findings, Severity::Error) == 0,
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

    /// How many changes are in a state.
    pub fn count(&self, state: ChangeState) -> usize {
        self.changes.iter().filter(|change| change.state == state).count()
    }

    /// The report in a format. Colors are always in it, for [`crate::ui::Ui`] to strip.
    ///
    /// # Errors
    /// If a machine-readable format cannot be written, which is a mistake in this program.
    pub fn render(&self, format: Format, style: &Style) -> anyhow::Result<String> {
        Ok(match format {
            Format::Text | Format::Html | Format::Mirror => text::change(self, style, false),
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
