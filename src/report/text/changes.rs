//! Changes: by namespace, and within one by side, as they are planned or as they went.

use std::collections::HashMap;

use owo_colors::OwoColorize as _;

use super::findings::FindingList;
use crate::domain::change::Verb;
use crate::domain::finding::{Finding, Severity};
use crate::report::change::{ChangeEntry, ChangeReport, ChangeState};
use crate::report::count;
use crate::report::text_layout::{Style, TextPage, paint, plain};

/// Beyond this many changes, namespaces are summed up; what fails or deletes is still shown.
const MAX_CHANGES: usize = 100;

pub(in crate::report) fn change(report: &ChangeReport, style: &Style, wide: bool) -> String {
    let mut page = TextPage::new(style);
    let groups = groups(&report.changes);
    let summed_up = !wide && report.changes.len() > MAX_CHANGES && groups.len() > 1;
    let name_width = groups.iter().map(|(name, _)| name.len()).max().unwrap_or_default();

    for (name, changes) in groups {
        if summed_up {
            page.line(&format!("{}  {}", format!("{name:<name_width$}").bold(), sum(&changes)));
            let telling = changes.into_iter().filter(|change| is_informative(change));
            telling.for_each(|change| entry(&mut page, style, 2, change, wide));
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

/// The changes by namespace, in the order of the plan.
fn groups(changes: &[ChangeEntry]) -> Vec<(&str, Vec<&ChangeEntry>)> {
    let mut groups: Vec<(&str, Vec<_>)> = Vec::new();
    let mut places = HashMap::new();
    for change in changes {
        let name = change.namespace.as_deref().unwrap_or("Integration");
        let place = *places.entry(name).or_insert_with(|| {
            groups.push((name, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(change);
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
        page.prose(&lead, &format!("{} (not tried)", change.summary), |text| {
            text.dimmed().to_string()
        });
    } else {
        page.prose(&lead, &change.summary, plain);
    }
    let below = indent + 4;
    if let Some(error) = &change.error {
        page.prose(&format!("{:below$}{} ", "", paint(Severity::Error, "failed:")), error, plain);
    }
    if let Some(undo) = change.undo.as_ref().filter(|_| wide) {
        page.prose(&format!("{:below$}", ""), &format!("undone by: {undo}"), |text| {
            text.dimmed().to_string()
        });
    }
}

/// `16 changes: 12 create, 4 update`
fn sum(changes: &[&ChangeEntry]) -> String {
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

fn is_informative(change: &ChangeEntry) -> bool {
    change.verb == Verb::Delete || change.state == ChangeState::Failed
}

/// What no change here mends. Each with its command: nothing else names one.
fn remaining(page: &mut TextPage, findings: &[Finding], wide: bool) {
    let listing = FindingList::new(None, wide);
    for group in findings.chunk_by(|a, b| a.namespace == b.namespace) {
        if let Some(first) = group.first() {
            page.line(&format!(
                "Remaining in {}",
                first.namespace.as_deref().unwrap_or("the integration").bold()
            ));
            listing.show(page, 2, &group.iter().collect::<Vec<_>>(), usize::MAX);
            page.gap();
        }
    }
}
