//! `-o short`: one line per problem and a summary line, without wrapping.

use owo_colors::OwoColorize as _;

use crate::domain::finding::{Finding, Severity};

use super::builds::BuildsReport;
use super::change::{ChangeReport, ChangeState};
use super::setup::{SetupReport, StepState};
use super::status::StatusReport;
use super::text_layout::{Style, TextPage, paint};

pub(super) fn status(report: &StatusReport, style: &Style) -> String {
    let mut page = TextPage::new(style);
    problems(&mut page, style, &report.findings);
    page.line(&report.summary_line);
    page.finish()
}

pub(super) fn change(report: &ChangeReport, style: &Style) -> String {
    let mut page = TextPage::new(style);
    for change in report.changes.iter().filter(|change| change.state == ChangeState::Failed) {
        let place =
            change.namespace.as_ref().map(|namespace| format!("{namespace}: ")).unwrap_or_default();
        let error = change.error.as_deref().unwrap_or_default();
        let glyph = style.glyph(Severity::Error);
        page.line(&single_line(&format!(
            "{glyph} {} {place}{}: {error}",
            paint(Severity::Error, "failed"),
            change.summary
        )));
    }
    problems(&mut page, style, &report.findings);
    page.line(&report.summary_line);
    page.finish()
}

pub(super) fn builds(report: &BuildsReport, style: &Style) -> String {
    let mut page = TextPage::new(style);
    problems(&mut page, style, &report.findings);
    page.line(&report.summary_line);
    page.finish()
}

pub(super) fn setup(report: &SetupReport, style: &Style) -> String {
    let mut page = TextPage::new(style);
    for step in &report.steps {
        for change in step.changes.iter().filter(|change| change.state == ChangeState::Done) {
            page.line(&single_line(&format!("{} {}", style.glyph(Severity::Ok), change.summary)));
        }
        if step.state == StepState::Failed {
            let reason = step.reason.as_deref().unwrap_or_default();
            page.line(&single_line(&format!(
                "{} {}: {reason}",
                style.glyph(Severity::Error),
                step.title
            )));
        }
    }
    page.gap();
    report
        .manifests
        .iter()
        .flat_map(|manifests| manifests.lines())
        .for_each(|line| page.line(line));
    if let Some(command_line) = &report.command_line {
        page.line("Equivalent non-interactive command:");
        page.line(&format!("  {command_line}"));
        page.gap();
    }
    page.line(&report.summary_line);
    page.finish()
}

fn problems(page: &mut TextPage, style: &Style, findings: &[Finding]) {
    for finding in findings.iter().filter(|finding| finding.severity > Severity::Info) {
        let place = finding
            .namespace
            .as_ref()
            .map(|namespace| format!("{namespace}: "))
            .unwrap_or_default();
        let severity = paint(finding.severity, finding.severity.as_str());
        let glyph = style.glyph(finding.severity);
        page.line(&single_line(&format!(
            "{glyph} {} {severity} {place}{}",
            finding.code.as_str().bold(),
            finding.message
        )));
    }
}

fn single_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
