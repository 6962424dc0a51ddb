//! The text of `setup` and `teardown`.

use owo_colors::OwoColorize as _;

use super::changes::entry;
use crate::domain::finding::Severity;
use crate::report::change::ChangeState;
use crate::report::setup::{SetupReport, StepReport, StepState};
use crate::report::text_layout::{Style, TextPage, paint, plain};

pub(in crate::report) fn setup(report: &SetupReport, style: &Style, wide: bool) -> String {
    let mut page = TextPage::new(style);
    for step in &report.steps {
        page.line(&format!("{}{}", step.title.bold(), state_suffix(step.state)));
        body(&mut page, step, style, wide);
    }
    if wide && !report.namespaces.is_empty() {
        page.gap();
        let width = report
            .namespaces
            .iter()
            .map(|namespace| namespace.name.len())
            .max()
            .unwrap_or_default();
        for namespace in &report.namespaces {
            let scope = if namespace.in_scope { "in " } else { "out" };
            page.paragraph(
                &format!("{:<width$}  {scope}  ", namespace.name),
                &namespace.why,
                plain,
            );
        }
    }
    if let Some(status) = &report.status {
        page.gap();
        super::status(status, style, wide).lines().for_each(|line| page.line(line));
    }
    end(&mut page, report);
    page.finish()
}

/// The changes made, and the equivalent command.
pub(in crate::report) fn setup_changes(report: &SetupReport, style: &Style) -> String {
    let mut page = TextPage::new(style);
    let changes = report.steps.iter().flat_map(|step| &step.changes);
    for change in changes.filter(|change| change.state == ChangeState::Done) {
        page.paragraph(&format!("{} ", style.glyph(Severity::Ok)), &change.summary, plain);
    }
    end(&mut page, report);
    page.finish()
}

fn end(page: &mut TextPage, report: &SetupReport) {
    page.gap();
    if let Some(manifests) = &report.manifests {
        manifests.lines().for_each(|line| page.line(line));
        page.gap();
    }
    if let Some(command_line) = &report.command_line {
        page.line("Equivalent non-interactive command:");
        page.line(&format!("  {}", command_line.cyan()));
        page.gap();
    }
    super::summary_line(
        page,
        &report.summary_line,
        if report.ok { Severity::Ok } else { Severity::Error },
    );
}

/// Without the title.
pub(in crate::report) fn step(step: &StepReport, style: &Style) -> String {
    let mut page = TextPage::new(style);
    body(&mut page, step, style, false);
    page.finish()
}

fn state_suffix(state: StepState) -> &'static str {
    match state {
        StepState::Done | StepState::AlreadyDone | StepState::Failed => "",
        StepState::Planned => " (to do)",
        StepState::Skipped => " (skipped)",
        StepState::NotReached => " (not reached)",
    }
}

fn body(page: &mut TextPage, step: &StepReport, style: &Style, wide: bool) {
    for fact in &step.facts {
        let (sentence, lines) = fact.text.split_once('\n').unwrap_or((&fact.text, ""));
        page.paragraph(&format!("  {} ", style.glyph(fact.severity)), sentence, plain);
        // Commands of several lines are not wrapped.
        lines.lines().for_each(|line| page.line(line));
    }
    step.changes.iter().for_each(|change| entry(page, style, 2, change, wide));
    let severity = step.severity();
    if let Some(reason) = &step.reason {
        let severity = if step.state == StepState::Skipped { Severity::Info } else { severity };
        page.paragraph(&format!("  {} ", style.glyph(severity)), reason, |text| {
            paint(severity, text)
        });
    }
    for hint in &step.hints {
        page.paragraph("      ", hint, |text| text.cyan().to_string());
    }
}
