//! Reports of commands and their output formats. Rendering adds no information, so that all formats have the same content.

mod builds;
mod change;
mod explain;
#[cfg(test)]
mod fixtures;
mod html;
mod images;
mod invocation;
mod manifests;
#[cfg(test)]
mod schema;
mod serialize;
mod setup;
mod short;
mod status;
mod summary_line;
mod text;
mod text_layout;
mod version;

pub use builds::{BuildConfigReport, BuildReport, BuildsReport, PushedBy, ShipwrightReport};
pub use change::{ChangeEntry, ChangeReport, ChangeState};
pub use explain::explain;
pub use images::{ImageReport, ImagesFormat, ImagesReport};
pub use invocation::Invocation;
pub use manifests::{list, manifests, stream};
pub use setup::{NamespacePreview, NoteReport, SetupReport, StepReport, StepState};
pub use status::{
    CheckReport, Endpoints, IntegrationReport, NamespaceReport, SettingReport, StatusFormat,
    StatusReport, Summary,
};
pub use text_layout::Style;
pub use version::{VersionFormat, VersionReport};

use crate::domain::finding::{Finding, Severity};
use crate::printable::{printable, printable_line};

/// The version of the machine-readable formats.
pub const API_VERSION: &str = "oc-quay/v1";

/// The common formats of `-o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    /// Text without truncation, with details.
    Wide,
    /// Problems and a summary line.
    Short,
    Json,
    Yaml,
    /// Names of the affected objects.
    Name,
}

/// `2 errors, 1 warning, 1 unknown`; empty without problems.
fn problems(errors: usize, warnings: usize, unknown: usize) -> String {
    let parts = [
        (errors > 0).then(|| count(errors, "error")),
        (warnings > 0).then(|| count(warnings, "warning")),
        (unknown > 0).then(|| format!("{unknown} unknown")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// `1 error`, `2 errors`.
fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn with_severity(findings: &[Finding], severity: Severity) -> usize {
    findings.iter().filter(|finding| finding.severity == severity).count()
}

/// `oc` of `oc quay`.
fn client(program: &str) -> &str {
    program.split(' ').next().unwrap_or(program)
}

/// Removes terminal control characters, since servers and users with write access choose parts of findings.
fn make_printable(finding: &mut Finding) {
    finding.message = printable(&finding.message);
    finding.object.name = printable_line(&finding.object.name);
}

/// Adds the program and connection flags to the hint, for the user or the administrator who is asked. Findings on the
/// integration have no namespace to insert.
fn complete_hint(finding: &mut Finding, invocation: &Invocation) {
    finding.explained_by = invocation.prefix(&finding.explained_by);
    let Some(hint) = &mut finding.hint else { return };
    *hint = hint.replace(" -n {namespace}", "");
    *hint = match finding.ask {
        None => invocation.prefix(hint),
        Some(_) => invocation.for_administrator().prefix(hint),
    };
}

#[cfg(test)]
mod tenant;
#[cfg(test)]
mod tests;
