//! The report of `explain`.

use owo_colors::OwoColorize as _;
use serde::Serialize;

use crate::domain::finding::{Code, Severity};

use super::text_layout::{Style, TextPage, paint, plain};
use super::{Format, client, serialize};

/// A finding code and its explanation.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Explanation {
    /// The code.
    code: &'static str,
    /// The severity of every finding with it.
    severity: Severity,
    /// A short title.
    title: &'static str,
    /// The meaning and the causes.
    meaning: &'static str,
    /// How to resolve it.
    remedy: &'static str,
    /// A command; NAMESPACE is a placeholder.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Path in the repository.
    docs: String,
}

/// Explains one code, or lists all.
///
/// # Errors
/// If serialization fails, which is a bug.
pub fn explain(
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
        (Format::Json, [entry]) => serialize::json(entry),
        (Format::Json, all) => serialize::json(&all),
        (Format::Yaml, [entry]) => serialize::yaml(entry),
        (Format::Yaml, all) => serialize::yaml(&all),
        (Format::Text | Format::Wide, [entry]) => Ok(text(entry, style)),
        (Format::Name, all) => Ok(all.iter().map(|entry| format!("{}\n", entry.code)).collect()),
        (_, all) => Ok(list(all, format, style)),
    }
}

/// One line per code, wrapped only on a terminal.
fn list(all: &[Explanation], format: Format, style: &Style) -> String {
    let mut page = TextPage::new(style);
    for entry in all {
        let lead = format!("{}  {:<7}  ", entry.code, entry.severity.as_str());
        match format {
            Format::Text if style.width.is_some() => page.paragraph(&lead, entry.title, plain),
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
    page.paragraph("", entry.meaning, plain);
    page.gap();
    page.paragraph("", entry.remedy, plain);
    if let Some(hint) = &entry.hint {
        page.gap();
        page.line(&format!("  {hint}"));
    }
    page.finish()
}
