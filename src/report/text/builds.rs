//! The text of `builds`.

use owo_colors::OwoColorize as _;

use super::findings::FindingList;
use crate::domain::finding::Severity;
use crate::report::builds::{
    BuildConfigReport, BuildReport, BuildsReport, PushedBy, ShipwrightReport, is_webhook_reachable,
};
use crate::report::text_layout::{Style, TextPage, plain};

pub(in crate::report) fn builds(report: &BuildsReport, style: &Style, wide: bool) -> String {
    let mut page = TextPage::new(style);
    for group in report.build_configs.chunk_by(|a, b| a.namespace == b.namespace) {
        page.gap();
        page.line(&group.first().map_or("", |first| &first.namespace).bold().to_string());
        group.iter().for_each(|config| {
            build_config(&mut page, style, config, is_webhook_reachable(&report.findings))
        });
    }
    for build in &report.shipwright_builds {
        page.gap();
        shipwright(&mut page, style, build);
    }
    page.gap();
    let finding_list = FindingList::new(report.next.as_deref(), wide);
    finding_list.show(&mut page, 0, &report.findings.iter().collect::<Vec<_>>(), usize::MAX);
    page.gap();
    let minimum = if report.unread.is_empty() { Severity::Ok } else { Severity::Unknown };
    let max_severity = report
        .findings
        .iter()
        .map(|finding| finding.severity)
        .max()
        .unwrap_or(minimum)
        .max(minimum);
    super::summary_line(&mut page, &report.summary_line, max_severity);
    page.finish()
}

fn build_config(
    page: &mut TextPage,
    style: &Style,
    config: &BuildConfigReport,
    is_webhook_reachable: bool,
) {
    let severity = match config.sent_by {
        _ if config.missing_secret.is_some() || config.rejected.is_some() => Severity::Error,
        PushedBy::Operator | PushedBy::Controller | PushedBy::Webhook if !is_webhook_reachable => {
            Severity::Error
        }
        PushedBy::Missing => Severity::Warning,
        PushedBy::Unknown => Severity::Unknown,
        PushedBy::None => Severity::Info,
        PushedBy::Direct | PushedBy::Operator | PushedBy::Controller | PushedBy::Webhook => {
            Severity::Ok
        }
    };
    page.line(&format!(
        "  {} {} {}",
        style.glyph(severity),
        config.name,
        format!("({})", config.strategy).dimmed()
    ));
    let mut row =
        |label: &str, text: &str| page.paragraph(&format!("      {label:<8}"), text, plain);
    row("output", config.output.as_deref().unwrap_or("none"));
    match (&config.image, &config.reason) {
        (Some(image), None) if config.missing_secret.is_some() => {
            let secret = config.missing_secret.as_deref().unwrap_or_default();
            row("in Quay", &format!("{image}, but push secret {secret} is missing"));
        }
        (Some(image), None) if config.rejected.is_some() => {
            row("in Quay", &format!("{image}, but its builds are rejected"));
        }
        (Some(image), None) => row("in Quay", &format!("{image}, {}", describe_pusher(config))),
        (Some(image), Some(reason)) => row("in Quay", &format!("{image}, possibly: {reason}")),
        (None, reason) => {
            row("in Quay", &format!("nothing: {}", reason.as_deref().unwrap_or_default()))
        }
    }
    if let Some(build) = &config.last_build {
        row("last", &describe_build(build));
    }
}

fn describe_pusher(config: &BuildConfigReport) -> &'static str {
    match config.sent_by {
        PushedBy::Direct if config.rewritten => "rewritten",
        PushedBy::Direct => "set in its output",
        PushedBy::Operator => "redirected by the operator's webhook",
        PushedBy::Controller => "redirected by the webhook of oc quay run",
        PushedBy::Webhook => "redirected by a webhook, as a dry run shows",
        PushedBy::Missing | PushedBy::None | PushedBy::Unknown => "but no webhook redirects it",
    }
}

/// `app-3 Complete, imported`
fn describe_build(build: &BuildReport) -> String {
    let reason =
        if build.reason.is_empty() { String::new() } else { format!(" ({})", build.reason) };
    let imported = match build.imported {
        Some(true) => ", imported",
        Some(false) => ", not imported",
        None => "",
    };
    format!("{} {}{reason}{imported}", build.name, build.phase)
}

/// Includes the YAML to add to a Build that does not push to Quay.
fn shipwright(page: &mut TextPage, style: &Style, build: &ShipwrightReport) {
    let severity = if build.to_quay { Severity::Ok } else { Severity::Info };
    let kind = format!("(Shipwright, {})", build.namespace);
    page.line(&format!("  {} {} {}", style.glyph(severity), build.name, kind.dimmed()));
    page.paragraph("      output  ", &build.output, plain);
    if !build.to_quay {
        page.line("      To have it push to Quay, its spec needs:");
        for line in [
            "output:".to_owned(),
            format!("  image: {}", build.image),
            format!("  pushSecret: {}", build.push_secret),
        ] {
            page.line(&format!("        {line}"));
        }
    }
}
