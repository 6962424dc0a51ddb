//! A single namespace and its checks.

use owo_colors::OwoColorize as _;

use super::findings::FindingList;
use crate::domain::finding::{Finding, Severity};
use crate::report::status::{CheckReport, NamespaceReport, StatusReport};
use crate::report::text_layout::{Style, TextPage, plain};

/// Per check: many image streams can have the same finding.
const MAX_FINDINGS: usize = 10;

/// `myproj -> openshift_myproj`, and its checks.
pub(super) fn show(
    page: &mut TextPage,
    style: &Style,
    report: &StatusReport,
    namespace: &NamespaceReport,
    finding_list: &FindingList,
) {
    let organization = namespace.organization.as_ref().filter(|_| namespace.linked);
    let arrow = organization.map(|organization| format!("-> {organization}")).unwrap_or_default();
    let heading = format!("{} {arrow}", namespace.name.bold());
    if page.fits(&heading) {
        page.line(&heading);
    } else {
        page.line(&namespace.name.bold().to_string());
        page.line(&arrow);
    }
    checks(page, style, &namespace.checks, report.namespace_findings(), finding_list, true);
}

/// `findings` are in the order of the checks. Checks without findings are skipped unless `all`.
pub(super) fn checks(
    page: &mut TextPage,
    style: &Style,
    checks: &[CheckReport],
    findings: &[Finding],
    finding_list: &FindingList,
    all: bool,
) {
    let title_width = checks.iter().map(|check| check.title.len()).max().unwrap_or_default();
    let mut findings = findings.iter();
    for check in checks {
        let its_findings: Vec<_> = findings.by_ref().take(check.findings.len()).collect();
        if all || check.severity != Severity::Ok {
            let lead = format!("  {} {:<title_width$}  ", style.glyph(check.severity), check.title);
            page.paragraph(&lead, &check.fact, plain);
            finding_list.show(page, 6, &its_findings, MAX_FINDINGS);
        }
    }
}
