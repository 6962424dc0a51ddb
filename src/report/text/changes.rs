//! Changes, by namespace, and then by Quay and cluster.

use std::collections::HashMap;

use owo_colors::OwoColorize as _;

use super::findings::FindingList;
use crate::domain::change::Verb;
use crate::domain::finding::{Finding, Severity};
use crate::report::change::{ChangeEntry, ChangeReport, ChangeState};
use crate::report::count;
use crate::report::text_layout::{Style, TextPage, paint, plain};

/// With more changes than this, only a summary per namespace is shown, with its failed and deleting changes.
const MAX_CHANGES: usize = 100;

pub(in crate::report) fn change(report: &ChangeReport, style: &Style, wide: bool) -> String {
    let mut page = TextPage::new(style);
    let groups = groups(&report.changes);
    let is_summary = !wide && report.changes.len() > MAX_CHANGES && groups.len() > 1;
    let name_width = groups.iter().map(|(name, _)| name.len()).max().unwrap_or_default();

    for (name, changes) in groups {
        if is_summary {
            page.line(&format!(
                "{}  {}",
                format!("{name:<name_width$}").bold(),
                summarize(&changes)
            ));
            let shown = changes.into_iter().filter(|change| is_shown_in_summary(change));
            shown.for_each(|change| entry(&mut page, style, 2, change, wide));
        } else {
            page.gap();
            page.line(&name.bold().to_string());
            let (in_quay, in_cluster): (Vec<_>, Vec<_>) =
                changes.into_iter().partition(|change| change.is_in_quay());
            side(&mut page, style, "Quay", in_quay, wide);
            side(&mut page, style, "Cluster", in_cluster, wide);
        }
    }
    page.gap();
    remaining(&mut page, &report.findings, wide);
    page.gap();
    super::summary_line(
        &mut page,
        &report.summary_line,
        if report.ok { Severity::Ok } else { Severity::Error },
    );
    page.finish()
}

/// By namespace, in the order of the plan.
fn groups(changes: &[ChangeEntry]) -> Vec<(&str, Vec<&ChangeEntry>)> {
    let mut groups: Vec<(&str, Vec<_>)> = Vec::new();
    let mut indexes = HashMap::new();
    for change in changes {
        let name = change.namespace.as_deref().unwrap_or("Integration");
        let index = *indexes.entry(name).or_insert_with(|| {
            groups.push((name, Vec::new()));
            groups.len() - 1
        });
        groups[index].1.push(change);
    }
    groups
}

fn side(page: &mut TextPage, style: &Style, name: &str, changes: Vec<&ChangeEntry>, wide: bool) {
    if !changes.is_empty() {
        page.line(&format!("  {name}"));
        changes.into_iter().for_each(|change| entry(page, style, 4, change, wide));
    }
}

pub(super) fn entry(
    page: &mut TextPage,
    style: &Style,
    indent: usize,
    change: &ChangeEntry,
    wide: bool,
) {
    let symbol = match (change.state, change.verb) {
        (ChangeState::Failed, _) => style.glyph(Severity::Error),
        (ChangeState::Skipped, _) => ".".dimmed().to_string(),
        (_, Verb::Create) => "+".green().to_string(),
        (_, Verb::Update) => "~".yellow().to_string(),
        (_, Verb::Delete) => "-".red().to_string(),
    };
    let lead = format!("{:indent$}{} ", "", style.mark(&symbol));
    if change.state == ChangeState::Skipped {
        page.paragraph(&lead, &format!("{} (skipped)", change.summary), |text| {
            text.dimmed().to_string()
        });
    } else {
        page.paragraph(&lead, &change.summary, plain);
    }
    let below = indent + 4;
    if let Some(error) = &change.error {
        page.paragraph(
            &format!("{:below$}{} ", "", paint(Severity::Error, "failed:")),
            error,
            plain,
        );
    }
    if let Some(undo) = change.undo.as_ref().filter(|_| wide) {
        page.paragraph(&format!("{:below$}", ""), &format!("inverse: {undo}"), |text| {
            text.dimmed().to_string()
        });
    }
}

/// `16 changes: 12 create, 4 update`
fn summarize(changes: &[&ChangeEntry]) -> String {
    let number = |verb, word| {
        let number = changes.iter().filter(|change| change.verb == verb).count();
        (number > 0).then(|| format!("{number} {word}"))
    };
    let parts = [
        number(Verb::Create, "create"),
        number(Verb::Update, "update"),
        number(Verb::Delete, "delete"),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    format!("{}: {}", count(changes.len(), "change"), parts.join(", "))
}

fn is_shown_in_summary(change: &ChangeEntry) -> bool {
    change.verb == Verb::Delete || change.state == ChangeState::Failed
}

/// Findings that the changes do not resolve, with their commands.
fn remaining(page: &mut TextPage, findings: &[Finding], wide: bool) {
    let finding_list = FindingList::new(None, wide);
    for group in findings.chunk_by(|a, b| a.namespace == b.namespace) {
        if let Some(first) = group.first() {
            page.line(&format!(
                "Remaining in {}",
                first.namespace.as_deref().unwrap_or("the integration").bold()
            ));
            finding_list.show(page, 2, &group.iter().collect::<Vec<_>>(), usize::MAX);
            page.gap();
        }
    }
}
