//! BuildConfigs: where each pushes, where that ends up, and its last build.

use owo_colors::OwoColorize as _;

use super::findings::FindingList;
use crate::domain::finding::Severity;
use crate::report::builds::{
    BuildConfigReport, BuildReport, BuildsReport, PushedBy, ShipwrightReport, webhook_answers,
};
use crate::report::text_layout::{Style, TextPage, plain};

pub(in crate::report) fn builds(report: &BuildsReport, style: &Style, wide: bool) -> String {
    let mut page = TextPage::new(style);
    for group in report.build_configs.chunk_by(|a, b| a.namespace == b.namespace) {
        page.gap();
        page.line(&group.first().map_or("", |first| &first.namespace).bold().to_string());
        group
            .iter()
            .for_each(|config| one(&mut page, style, config, webhook_answers(&report.findings)));
    }
    for build in &report.shipwright_builds {
        page.gap();
        shipwright(&mut page, style, build);
    }
    page.gap();
    let listing = FindingList::new(report.next.as_deref(), wide);
    listing.show(&mut page, 0, &report.findings.iter().collect::<Vec<_>>(), usize::MAX);
    page.gap();
    let best = if report.unread.is_empty() { Severity::Ok } else { Severity::Unknown };
    let worst =
        report.findings.iter().map(|finding| finding.severity).max().unwrap_or(best).max(best);
    super::summary_line(&mut page, &report.summary_line, worst);
    page.finish()
}

fn one(page: &mut TextPage, style: &Style, config: &BuildConfigReport, webhook_answers: bool) {
    let severity = match config.sent_by {
        _ if config.missing_secret.is_some() || config.refused.is_some() => Severity::Error,
        PushedBy::Operator | PushedBy::Bridge | PushedBy::Webhook if !webhook_answers => {
            Severity::Error
        }
        PushedBy::Nobody => Severity::Warning,
        PushedBy::Unknown => Severity::Unknown,
        PushedBy::None => Severity::Info,
        PushedBy::Itself | PushedBy::Operator | PushedBy::Bridge | PushedBy::Webhook => {
            Severity::Ok
        }
    };
    page.line(&format!(
        "  {} {} {}",
        style.glyph(severity),
        config.name,
        format!("({})", config.strategy).dimmed()
    ));
    let mut row = |label: &str, text: &str| page.prose(&format!("      {label:<8}"), text, plain);
    row("output", config.output.as_deref().unwrap_or("none"));
    match (&config.image, &config.reason) {
        (Some(image), None) if config.missing_secret.is_some() => {
            let secret = config.missing_secret.as_deref().unwrap_or_default();
            row("in Quay", &format!("{image}, but there is no secret {secret} to push with"));
        }
        (Some(image), None) if config.refused.is_some() => {
            row("in Quay", &format!("{image}, but its builds are refused"));
        }
        (Some(image), None) => row("in Quay", &format!("{image}, {}", sent_by(config))),
        (Some(image), Some(reason)) => row("in Quay", &format!("{image}, perhaps: {reason}")),
        (None, reason) => {
            row("in Quay", &format!("nothing: {}", reason.as_deref().unwrap_or_default()))
        }
    }
    if let Some(build) = &config.last_build {
        row("last", &last(build));
    }
}

fn sent_by(config: &BuildConfigReport) -> &'static str {
    match config.sent_by {
        PushedBy::Itself if config.rewritten => "since it was rewritten",
        PushedBy::Itself => "as it says itself",
        PushedBy::Operator => "sent there by the operator's webhook",
        PushedBy::Bridge => "sent there by the webhook of oc quay run",
        PushedBy::Webhook => "sent there by a webhook, as one that was tried",
        PushedBy::Nobody | PushedBy::None | PushedBy::Unknown => "but nobody sends it there",
    }
}

/// `app-3 Complete, imported`
fn last(build: &BuildReport) -> String {
    let reason =
        if build.reason.is_empty() { String::new() } else { format!(" ({})", build.reason) };
    let imported = match build.imported {
        Some(true) => ", imported",
        Some(false) => ", not imported",
        None => "",
    };
    format!("{} {}{reason}{imported}", build.name, build.phase)
}

/// A Build of Shipwright, with the stanza to paste into it where it does not push to Quay yet.
fn shipwright(page: &mut TextPage, style: &Style, build: &ShipwrightReport) {
    let severity = if build.to_quay { Severity::Ok } else { Severity::Info };
    let kind = format!("(Shipwright, {})", build.namespace);
    page.line(&format!("  {} {} {}", style.glyph(severity), build.name, kind.dimmed()));
    page.prose("      output  ", &build.output, plain);
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
