//! What `explain` has to say: entries of the table of findings.

use owo_colors::OwoColorize as _;
use serde::Serialize;

use crate::domain::finding::{Code, Severity};

use super::text_layout::{Style, TextPage, paint, plain};
use super::{Format, client, serialize};

/// What a finding code means.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Explanation {
    /// The code.
    code: &'static str,
    /// The severity of every finding with it.
    severity: Severity,
    /// A few words.
    title: &'static str,
    /// What it means and how it comes about.
    meaning: &'static str,
    /// What to do about it.
    remedy: &'static str,
    /// A command to copy, if one helps; NAMESPACE stands for the namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Where the same can be read, relative to the project.
    docs: String,
}

/// One code explained, or all of them listed.
///
/// # Errors
/// If a machine-readable format cannot be written, which is a mistake in this program.
pub fn explanation(
    code: Option<Code>,
    program: &str,
    format: Format,
    style: &Style,
) -> anyhow::Result<String> {
    let all: Vec<_> = code
        .as_ref()
        .map_or(Code::ALL, std::slice::from_ref)
        .iter()
        .map(|&code| entry(code, program))
        .collect();
    match (format, all.as_slice()) {
        (Format::Json, [one]) => serialize::json(one),
        (Format::Json, all) => serialize::json(&all),
        (Format::Yaml, [one]) => serialize::yaml(one),
        (Format::Yaml, all) => serialize::yaml(&all),
        (Format::Text | Format::Wide, [one]) => Ok(text(one, style)),
        (Format::Name, all) => Ok(all.iter().map(|entry| format!("{}\n", entry.code)).collect()),
        (_, all) => Ok(list(all, format, style)),
    }
}

/// A line for each; where people read it, as wide as their terminal.
fn list(all: &[Explanation], format: Format, style: &Style) -> String {
    let mut page = TextPage::new(style);
    for entry in all {
        let lead = format!("{}  {:<7}  ", entry.code, entry.severity.as_str());
        match format {
            Format::Text if style.width.is_some() => page.prose(&lead, entry.title, plain),
            _ => page.line(&format!("{lead}{}", entry.title)),
        }
    }
    page.finish()
}

fn entry(code: Code, program: &str) -> Explanation {
    let entry = code.entry();
    let hint = entry.hint.replace("{namespace}", "NAMESPACE");
    Explanation {
        code: entry.code,
        severity: entry.severity,
        title: entry.title,
        meaning: entry.meaning,
        remedy: entry.remedy,
        hint: hint.strip_prefix("oc ").map(|arguments| format!("{} {arguments}", client(program))),
        docs: code.docs(),
    }
}

fn text(entry: &Explanation, style: &Style) -> String {
    let mut page = TextPage::new(style);
    page.line(&format!(
        "{} {}: {}",
        entry.code.bold(),
        paint(entry.severity, entry.severity.as_str()),
        entry.title
    ));
    page.gap();
    page.prose("", entry.meaning, plain);
    page.gap();
    page.prose("", entry.remedy, plain);
    if let Some(hint) = &entry.hint {
        page.gap();
        page.line(&format!("  {hint}"));
    }
    page.finish()
}
