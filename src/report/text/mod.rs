//! `-o text` and `-o wide`. A single namespace is shown with its checks, several as a table.

mod builds;
mod changes;
mod findings;
mod namespace;
mod setup;
mod table;

use owo_colors::OwoColorize as _;

use crate::domain::finding::Severity;

use super::status::{IntegrationReport, SettingReport, StatusReport};
use super::summary_line::{ASK_PREFIX, HINT_PREFIX};
use super::text_layout::{Style, TextPage, paint};
pub(super) use builds::builds;
pub(super) use changes::change;
use findings::FindingList;
pub(super) use setup::{setup, setup_changes, step};

pub(super) fn status(report: &StatusReport, style: &Style, wide: bool) -> String {
    let mut page = TextPage::new(style);
    settings(&mut page, &report.integration);
    let relevant: Vec<_> = report
        .integration
        .checks
        .iter()
        .filter(|check| wide || check.severity != Severity::Ok)
        .collect();
    if !relevant.is_empty() {
        page.gap();
    }
    let finding_list = FindingList::new(report.next.as_deref(), wide);
    namespace::checks(
        &mut page,
        style,
        &report.integration.checks,
        report.integration_findings(),
        &finding_list,
        wide,
    );
    page.gap();
    match report.namespaces.as_slice() {
        [] => {}
        [one] => namespace::show(&mut page, style, report, one, &finding_list),
        _ => table::show(&mut page, style, report, &finding_list, wide),
    }
    page.gap();
    summary_line(&mut page, &report.summary_line, report.max_severity());
    page.finish()
}

fn settings(page: &mut TextPage, integration: &IntegrationReport) {
    let mut row = |label: &str, setting: &Option<SettingReport>| {
        let lead = format!("{label:<13}");
        match setting {
            None => page.paragraph(&lead, "unknown", |text| text.dimmed().to_string()),
            Some(SettingReport { value: None, source }) => {
                page.paragraph(&lead, source, str::to_owned)
            }
            Some(SettingReport { value: Some(value), source }) => {
                page.paragraph(&lead, &format!("{value} ({source})"), str::to_owned)
            }
        }
    };
    row("Cluster", &integration.cluster);
    row("Quay", &integration.quay);
    row("Cluster ID", &integration.cluster_id);
    row("Token", &integration.token);
}

/// Does not break the command, so that it can be copied.
fn summary_line(page: &mut TextPage, summary_line: &str, severity: Severity) {
    let severity = if severity == Severity::Info { Severity::Ok } else { severity };
    let bold = |text: &str| paint(severity, text).bold().to_string();
    let Some((separator, (answer, command))) = [HINT_PREFIX, ASK_PREFIX]
        .into_iter()
        .find_map(|separator| Some((separator, summary_line.rsplit_once(separator)?)))
    else {
        return page.paragraph("", summary_line, bold);
    };
    if page.fits(summary_line) {
        page.line(&format!("{}{separator}{}", bold(answer), command.cyan()));
    } else {
        page.paragraph("", answer, bold);
        page.line(&format!("{}{}", separator.trim_start_matches(". "), command.cyan()));
    }
}

#[cfg(test)]
mod snapshots;
#[cfg(test)]
mod tests;
