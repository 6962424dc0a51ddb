//! What a command has to say, as one value, and the formats it is rendered in. A file per format.
//!
//! A report is complete when it is made: rendering adds nothing, so every format tells the same.

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
pub use explain::explanation;
pub use images::{ImageReport, ImagesReport};
pub use invocation::Invocation;
pub use manifests::{list, manifests, stream};
pub use setup::{NamespacePreview, NoteReport, SetupReport, StepReport, StepState};
pub use status::{
    CheckReport, Endpoints, IntegrationReport, NamespaceReport, SettingReport, StatusReport,
    Summary,
};
pub use text_layout::Style;
pub use version::VersionReport;

use crate::domain::finding::{Finding, Severity};
use crate::ui::{printable, printable_line};

/// The version of the machine-readable formats.
pub const API_VERSION: &str = "oc-quay/v1";

/// The formats of `-o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For people, with everything
    Wide,
    /// Problems and one summary line
    Short,
    /// JSON
    Json,
    /// YAML
    Yaml,
    /// The names of the objects concerned
    Name,
    /// A page for a browser, of `status` alone
    Html,
    /// What `oc image mirror -f` reads; for `images` alone
    Mirror,
}

/// Counts of what is wrong, in words: `2 errors, 1 warning, 1 unknown`. Empty if nothing is.
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

/// The client of a program: `oc` of `oc quay`.
fn client(program: &str) -> &str {
    program.split(' ').next().unwrap_or(program)
}

/// Has no word of a finding steer the terminal: a server chose some of them, and whoever may write the object others.
fn make_printable(finding: &mut Finding) {
    finding.message = printable(&finding.message);
    finding.object.name = printable_line(&finding.object.name);
}

/// Has the hint begin as the person began, or as whoever is to be asked will. A namespace that the hint asks for is not
/// named where the finding is about the integration as a whole.
fn address_hint(finding: &mut Finding, invocation: &Invocation) {
    finding.explained_by = invocation.begin(&finding.explained_by);
    let Some(hint) = &mut finding.hint else { return };
    *hint = hint.replace(" -n {namespace}", "");
    *hint = match finding.ask {
        None => invocation.begin(hint),
        Some(_) => invocation.of_others().begin(hint),
    };
}

#[cfg(test)]
mod tenant;
#[cfg(test)]
mod tests;
