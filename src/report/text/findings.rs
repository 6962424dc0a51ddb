//! Findings and their hints.

use owo_colors::OwoColorize as _;

use crate::domain::finding::Finding;
use crate::report::text_layout::{TextPage, paint, plain};

#[derive(Clone, Copy)]
pub(super) struct FindingList<'a> {
    /// The command of the summary line, which is not repeated.
    closing: Option<&'a str>,
    /// Without limit, with all commands and references.
    wide: bool,
}

impl<'a> FindingList<'a> {
    pub(super) fn new(closing: Option<&'a str>, wide: bool) -> Self {
        Self { closing, wide }
    }

    pub(super) fn show(
        &self,
        page: &mut TextPage,
        indent: usize,
        findings: &[&Finding],
        limit: usize,
    ) {
        let limit = if self.wide { usize::MAX } else { limit };
        for (index, finding) in findings.iter().enumerate().take(limit) {
            let severity = paint(finding.severity, &format!("{:<7}", finding.severity.as_str()));
            let lead = format!("{:indent$}{} {severity} ", "", finding.code.as_str().bold());
            page.paragraph(&lead, &finding.message, plain);

            let below = indent + "OQ000 warning ".len();
            let next = findings.get(index + 1).filter(|_| index + 1 < limit);
            if let Some(hint) = &finding.hint
                && self.is_shown(hint, next.and_then(|next| next.hint.as_deref()))
            {
                let ask = finding.ask.map(|who| format!("ask {who} to run: ")).unwrap_or_default();
                page.line(&format!("{:below$}> {ask}{}", "", hint.cyan()));
            }
            if self.wide {
                page.line(&format!(
                    "{:below$}{}",
                    "",
                    format!("see {}", finding.explained_by).dimmed()
                ));
            }
        }
        let more = findings.len().saturating_sub(limit);
        if more > 0 {
            page.paragraph(
                &format!("{:indent$}", ""),
                &format!("and {more} more, shown by -o wide"),
                |text| text.dimmed().to_string(),
            );
        }
    }

    /// A hint shared by consecutive findings is shown after the last of them, and not if the summary line has it.
    fn is_shown(&self, hint: &str, next_hint: Option<&str>) -> bool {
        next_hint != Some(hint)
            && (self.wide || !self.closing.is_some_and(|closing| covers(closing, hint)))
    }
}

/// Whether a command is the same as another, or the same for more namespaces.
fn covers(command: &str, other: &str) -> bool {
    let for_one_namespace = other.rsplit_once(" -n ").map(|(stem, _)| stem);
    command == other
        || for_one_namespace.is_some_and(|stem| {
            command.strip_prefix(stem).is_some_and(|rest| rest.starts_with(' '))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_covers_same_command_for_one_namespace() {
        assert!(covers("oc quay repair -A", "oc quay repair -n shop"));
        assert!(covers("oc quay repair -n shop", "oc quay repair -n shop"));
        assert!(covers("oc quay repair shop web", "oc quay repair -n shop"));
        assert!(!covers("oc quay repair -A", "oc quay repair --adopt -n shop"));
        assert!(!covers("oc quay repair -A", "oc quay unlink -n shop"));
        assert!(!covers("oc quay repair -A", "oc quay explain OQ101"));
    }
}
