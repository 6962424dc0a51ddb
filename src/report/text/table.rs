//! A table of several namespaces, their findings, and counts.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use owo_colors::OwoColorize as _;

use super::findings::FindingList;
use crate::domain::finding::{Finding, Severity};
use crate::report::status::{NamespaceReport, StatusReport};
use crate::report::text_layout::{Style, TextPage, columns, pad, paint, plain};

/// The maximum number of rows for namespaces with problems. Namespaces without problems are only counted if either kind
/// has more.
const MAX_ROWS: usize = 20;
/// The maximum number of namespaces with findings shown.
const MAX_DETAILED: usize = 10;
/// The maximum number of findings per namespace.
const MAX_FINDINGS: usize = 3;

const GUTTER: &str = "   ";

pub(super) fn show(
    page: &mut TextPage,
    style: &Style,
    report: &StatusReport,
    finding_list: &FindingList,
    wide: bool,
) {
    let groups = group(report);
    let (problematic, healthy): (Vec<_>, Vec<_>) = groups
        .iter()
        .partition(|(_, findings)| relevant_findings(findings, false).next().is_some());
    let max_problematic = if wide { usize::MAX } else { MAX_ROWS };
    let max_healthy =
        if wide || problematic.len().max(healthy.len()) <= MAX_ROWS { usize::MAX } else { 0 };
    let shown: Vec<_> = problematic
        .iter()
        .take(max_problematic)
        .chain(healthy.iter().take(max_healthy))
        .copied()
        .collect();

    if !shown.is_empty() {
        rows(page, style, &shown, wide);
    }
    let hidden = [
        (problematic.len().saturating_sub(max_problematic), "more with problems"),
        (healthy.len().saturating_sub(max_healthy), "without problems"),
    ];
    let hidden: Vec<_> = hidden
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, of)| format!("{number} {of}"))
        .collect();
    if !hidden.is_empty() {
        page.line(&format!("  {}, shown by -o wide", hidden.join(", ")).dimmed().to_string());
    }
    page.gap();
    details(page, &groups, finding_list, wide);
    page.paragraph("", &counts(report), plain);
}

type Group<'a> = (&'a NamespaceReport, &'a [Finding]);

/// Namespaces with their findings, in the order of the report.
fn group(report: &StatusReport) -> Vec<Group<'_>> {
    let mut rest = report.namespace_findings();
    let mut groups = Vec::with_capacity(report.namespaces.len());
    for namespace in &report.namespaces {
        let end = rest
            .iter()
            .take_while(|finding| finding.namespace.as_deref() == Some(namespace.name.as_str()))
            .count();
        let (its_findings, after) = rest.split_at(end);
        groups.push((namespace, its_findings));
        rest = after;
    }
    groups
}

struct Column {
    title: &'static str,
    width: usize,
    cell: fn(&NamespaceReport) -> &str,
}

impl Column {
    fn new(title: &'static str, groups: &[&Group], cell: fn(&NamespaceReport) -> &str) -> Self {
        let widths = groups.iter().map(|(namespace, _)| columns(cell(namespace)));
        Self { title, width: widths.max().unwrap_or_default().max(title.len()), cell }
    }

    fn pad(&self, text: &str) -> String {
        pad(text, self.width) + GUTTER
    }

    fn total_width(all: &[Column], style: &Style) -> usize {
        all.iter().map(|column| column.width + GUTTER.len()).sum::<usize>()
            + style.mark_width()
            + " ".len()
    }
}

/// The index of the colored column.
const STATE: usize = 1;

fn rows(page: &mut TextPage, style: &Style, groups: &[&Group], wide: bool) {
    let column = |title, cell| Column::new(title, groups, cell);
    let mut all = vec![
        column("NAMESPACE", |namespace| &namespace.name),
        column("STATE", NamespaceReport::state),
        column("ORGANIZATION", |namespace| {
            namespace.organization.as_deref().filter(|_| namespace.linked).unwrap_or_default()
        }),
    ];
    if wide {
        all.push(column("SCOPE", |namespace| &namespace.scope));
    }
    let codes: Vec<_> = groups.iter().map(|(_, findings)| codes(findings, wide)).collect();
    let widest = codes
        .iter()
        .map(|codes| codes.join(" ").len())
        .max()
        .unwrap_or_default()
        .max("FINDINGS".len());
    let room = style.width.filter(|_| !wide).unwrap_or(usize::MAX);
    // Drop the organization first, since the name implies it.
    if Column::total_width(&all, style) + widest > room {
        all.truncate(STATE + 1);
    }
    let room = room.saturating_sub(Column::total_width(&all, style));

    let titles: String = all.iter().map(|column| column.pad(column.title)).collect();
    page.line(&format!("{} {titles}FINDINGS", style.mark("")).dimmed().to_string());
    for ((namespace, _), codes) in groups.iter().zip(codes) {
        let mut line = format!("{} ", glyph(style, namespace));
        for (place, column) in all.iter().enumerate() {
            let cell = column.pad((column.cell)(namespace));
            line.push_str(&if place == STATE { paint_state(namespace, &cell) } else { cell });
        }
        page.line(&format!("{line}{}", fit(&codes, room)));
    }
}

/// At least one code, and the number of the others: `OQ101 OQ102 +3`.
fn fit(codes: &[&str], room: usize) -> String {
    for shown in (1..=codes.len()).rev() {
        let suffix = match codes.len() - shown {
            0 => String::new(),
            some => format!(" +{some}"),
        };
        let text = format!("{}{suffix}", codes[..shown].join(" "));
        if text.len() <= room || shown == 1 {
            return text;
        }
    }
    String::new()
}

fn glyph(style: &Style, namespace: &NamespaceReport) -> String {
    match namespace.severity {
        Severity::Ok | Severity::Info if !namespace.linked => style.mark(&"-".dimmed().to_string()),
        Severity::Info => style.glyph(Severity::Ok),
        severity => style.glyph(severity),
    }
}

fn paint_state(namespace: &NamespaceReport, text: &str) -> String {
    match namespace.severity {
        Severity::Ok | Severity::Info if !namespace.linked => text.dimmed().to_string(),
        Severity::Info => paint(Severity::Ok, text),
        severity => paint(severity, text),
    }
}

/// Without duplicates.
fn codes(findings: &[Finding], all: bool) -> Vec<&'static str> {
    let mut codes = Vec::new();
    for finding in relevant_findings(findings, all) {
        if !codes.contains(&finding.code.as_str()) {
            codes.push(finding.code.as_str());
        }
    }
    codes
}

/// Skips informational findings unless `all`.
fn relevant_findings(findings: &[Finding], all: bool) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(move |finding| all || finding.severity > Severity::Info)
}

fn details(page: &mut TextPage, groups: &[Group], finding_list: &FindingList, wide: bool) {
    let limit = if wide { usize::MAX } else { MAX_DETAILED };
    let with_findings = || {
        groups.iter().filter_map(|(namespace, findings)| {
            let findings: Vec<_> = relevant_findings(findings, wide).collect();
            (!findings.is_empty()).then_some((*namespace, findings))
        })
    };
    for (namespace, findings) in with_findings().take(limit) {
        page.line(&namespace.name.bold().to_string());
        finding_list.show(page, 2, &findings, MAX_FINDINGS);
        page.gap();
    }
    let codes =
        groups.iter().map(|(_, findings)| codes(findings, wide)).filter(|codes| !codes.is_empty());
    let mut more = BTreeMap::<_, usize>::new();
    codes.skip(limit).flatten().for_each(|code| *more.entry(code).or_default() += 1);
    if !more.is_empty() {
        let mut more: Vec<_> = more.into_iter().collect();
        more.sort_by_key(|(code, number)| (Reverse(*number), *code));
        let more: Vec<_> =
            more.iter().map(|(code, number)| format!("{code} in {number}")).collect();
        let text = format!("In more namespaces, shown by -o wide: {}", more.join(", "));
        page.paragraph("", &text, |text| text.dimmed().to_string());
        page.gap();
    }
}

/// `30 namespaces: 2 with errors, 1 with warnings, 1 unknown, 20 ok, 6 not linked`
fn counts(report: &StatusReport) -> String {
    let words = [
        ("error", "with errors"),
        ("warning", "with warnings"),
        ("unknown", "unknown"),
        ("ok", "ok"),
        ("not linked", "not linked"),
    ];
    let number =
        |state| report.namespaces.iter().filter(|namespace| namespace.state() == state).count();
    let parts: Vec<_> = words
        .into_iter()
        .map(|(state, words)| (number(state), words))
        .filter(|(number, _)| *number > 0)
        .map(|(number, words)| format!("{number} {words}"))
        .collect();
    format!("{} namespaces: {}", report.namespaces.len(), parts.join(", "))
}
