//! Layout of text output: glyphs, colors, wrapping.

use owo_colors::OwoColorize as _;
use unicode_width::UnicodeWidthStr as _;

use crate::domain::finding::Severity;

const DEFAULT_WIDTH: usize = 80;

const MIN_WIDTH: usize = 24;

/// The properties of the terminal that text output depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// The columns of the terminal; none without a terminal, where tables are not limited.
    pub width: Option<usize>,
    /// Use ASCII glyphs.
    pub ascii: bool,
}

impl Style {
    /// The columns of a glyph. ASCII needs two, for `ok`: `+` marks created objects.
    pub(super) fn mark_width(&self) -> usize {
        if self.ascii { 2 } else { 1 }
    }

    /// Pads a glyph to [`Self::mark_width`].
    pub(super) fn mark(&self, mark: &str) -> String {
        pad(mark, self.mark_width())
    }

    pub(super) fn glyph(&self, severity: Severity) -> String {
        let glyph = match (severity, self.ascii) {
            (Severity::Ok, false) => "√",
            (Severity::Ok, true) => "ok",
            (Severity::Info, _) => "i",
            (Severity::Unknown, _) => "?",
            (Severity::Warning, false) => "‼",
            (Severity::Warning, true) => "!",
            (Severity::Error, false) => "×",
            (Severity::Error, true) => "x",
        };
        self.mark(&paint(severity, glyph))
    }
}

pub(super) fn paint(severity: Severity, text: &str) -> String {
    match severity {
        Severity::Ok => text.green().to_string(),
        Severity::Info => text.blue().to_string(),
        Severity::Unknown => text.magenta().to_string(),
        Severity::Warning => text.yellow().to_string(),
        Severity::Error => text.red().to_string(),
    }
}

/// The displayed width, without escape sequences.
pub(super) fn columns(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().width()
}

/// Adds spaces. The padding of `format!` counts characters, not columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    let padding = width.saturating_sub(columns(text));
    format!("{text}{:padding$}", "")
}

pub(super) struct TextPage {
    text: String,
    width: usize,
}

impl TextPage {
    pub(super) fn new(style: &Style) -> Self {
        Self { text: String::new(), width: style.width.unwrap_or(DEFAULT_WIDTH) }
    }

    /// Adds a line without wrapping.
    pub(super) fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// Adds an empty line, unless the page is empty or ends with one.
    pub(super) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Adds a paragraph after a lead. Continuation lines are indented by the width of the lead; long words such as URLs are
    /// not broken.
    pub(super) fn paragraph(&mut self, lead: &str, text: &str, paint: impl Fn(&str) -> String) {
        let indent = columns(lead);
        let width = self.width.saturating_sub(indent).max(MIN_WIDTH);
        for (index, line) in wrap(text, width).iter().enumerate() {
            let line = paint(line);
            if index == 0 {
                self.line(&format!("{lead}{line}"));
            } else {
                self.line(&format!("{:indent$}{line}", ""));
            }
        }
    }

    pub(super) fn fits(&self, line: &str) -> bool {
        columns(line) <= self.width
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// No color, for [`TextPage::paragraph`].
pub(super) fn plain(text: &str) -> String {
    text.to_owned()
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if columns(line) + 1 + columns(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(width: usize) -> TextPage {
        TextPage::new(&Style { width: Some(width), ascii: false })
    }

    #[test]
    fn paragraph_has_hanging_indent() {
        let mut page = page(40);
        page.paragraph("  × Secrets  ", "one two three four five six seven eight", plain);
        assert_eq!(
            page.finish(),
            "  × Secrets  one two three four five six\n             seven eight\n"
        );
    }

    #[test]
    fn colors_have_no_width() {
        let (mut colored, mut bare) = (page(30), page(30));
        colored.paragraph(
            &paint(Severity::Error, "OQ301 "),
            "a secret that is not there",
            |line| paint(Severity::Error, line),
        );
        bare.paragraph("OQ301 ", "a secret that is not there", plain);
        assert_eq!(anstream::adapter::strip_str(&colored.finish()).to_string(), bare.finish());
    }

    #[test]
    fn counts_columns_of_wide_and_combining_characters() {
        let (wide, combined) = ("倉庫", "cafe\u{301}");
        assert_eq!([wide, combined].map(columns), [4, 4]);
        assert_eq!([wide, combined].map(|name| pad(name, 6)), ["倉庫  ", "cafe\u{301}  "]);
        assert_eq!(wrap(&format!("{wide} {wide} {combined}"), 9), ["倉庫 倉庫", combined]);
        let mut page = page(40);
        page.paragraph(&format!("{wide} "), "one two three four five six seven eight", plain);
        assert!(page.finish().ends_with("seven\n     eight\n"));
    }

    #[test]
    fn keeps_long_word_and_lead_of_empty_paragraph() {
        let address = "https://quay.example.com/organization/openshift_myproj";
        assert_eq!(wrap(&format!("see {address} there"), 20), ["see", address, "there"]);
        let mut page = page(80);
        page.paragraph("lead ", "", plain);
        assert_eq!(page.finish(), "lead\n");
    }

    #[test]
    fn gaps_do_not_accumulate() {
        let mut page = page(80);
        page.gap();
        page.line("a");
        page.gap();
        page.gap();
        page.line("b");
        assert_eq!(page.finish(), "a\n\nb\n");
    }

    #[test]
    fn glyphs_have_same_width_and_ascii_fallback() {
        for ascii in [false, true] {
            let style = Style { width: None, ascii };
            let marks = [
                Severity::Ok,
                Severity::Info,
                Severity::Unknown,
                Severity::Warning,
                Severity::Error,
            ]
            .map(|severity| style.glyph(severity));
            let shown = marks.map(|mark| anstream::adapter::strip_str(&mark).to_string());
            for mark in &shown {
                assert_eq!(columns(mark), style.mark_width());
                assert!(!ascii || mark.is_ascii());
                assert!(!["+", "~", "-"].contains(&mark.trim()), "{mark} is the glyph of a change");
            }
        }
    }
}
