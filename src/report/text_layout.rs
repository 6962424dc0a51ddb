//! What human text is made of: glyphs, colors, and lines that wrap.

use owo_colors::OwoColorize as _;

use crate::domain::finding::Severity;

/// How wide prose is where nobody says how wide the page is.
const DEFAULT_WIDTH: usize = 80;

/// Prose is not squeezed into less than this: it would be columns of single words.
const MIN_WIDTH: usize = 24;

/// What human text depends on besides the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// The columns of the terminal. None where there is no terminal: tables are then as wide as they need to be.
    pub width: Option<usize>,
    /// Glyphs in ASCII.
    pub ascii: bool,
}

impl Style {
    /// How many columns a mark in front of a line has. In ASCII, `ok` has two, so that it is not the `+` of what is created.
    pub(super) fn mark_width(&self) -> usize {
        if self.ascii { 2 } else { 1 }
    }

    /// A mark in front of a line, as wide as all are.
    pub(super) fn mark(&self, mark: &str) -> String {
        let rest = self.mark_width().saturating_sub(columns(mark));
        format!("{mark}{:rest$}", "")
    }

    /// The glyph of a severity, in its color.
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

/// A text in the color of a severity.
pub(super) fn paint(severity: Severity, text: &str) -> String {
    match severity {
        Severity::Ok => text.green().to_string(),
        Severity::Info => text.blue().to_string(),
        Severity::Unknown => text.magenta().to_string(),
        Severity::Warning => text.yellow().to_string(),
        Severity::Error => text.red().to_string(),
    }
}

/// A text without its colors, as it takes up columns.
pub(super) fn columns(text: &str) -> usize {
    anstream::adapter::strip_str(text).to_string().chars().count()
}

/// Lines of text, one below the other.
pub(super) struct TextPage {
    text: String,
    width: usize,
}

impl TextPage {
    pub(super) fn new(style: &Style) -> Self {
        Self { text: String::new(), width: style.width.unwrap_or(DEFAULT_WIDTH) }
    }

    /// A line as it is, however long.
    pub(super) fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// An empty line, unless there is one already or nothing above it.
    pub(super) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Prose behind a lead. What does not fit goes on below the prose, not below the lead; a word that is too long for a
    /// line, such as an address, stays whole.
    pub(super) fn prose(&mut self, lead: &str, prose: &str, paint: impl Fn(&str) -> String) {
        let indent = columns(lead);
        let width = self.width.saturating_sub(indent).max(MIN_WIDTH);
        for (place, line) in wrap(prose, width).iter().enumerate() {
            let line = paint(line);
            if place == 0 {
                self.line(&format!("{lead}{line}"));
            } else {
                self.line(&format!("{:indent$}{line}", ""));
            }
        }
    }

    /// Whether a line would fit.
    pub(super) fn fits(&self, line: &str) -> bool {
        columns(line) <= self.width
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// Text without paint, for [`TextPage::prose`].
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
    fn prose_hangs_below_itself() {
        let mut page = page(40);
        page.prose("  × Secrets  ", "one two three four five six seven eight", plain);
        assert_eq!(
            page.finish(),
            "  × Secrets  one two three four five six\n             seven eight\n"
        );
    }

    #[test]
    fn colors_take_no_columns() {
        let (mut colored, mut bare) = (page(30), page(30));
        colored.prose(&paint(Severity::Error, "OQ301 "), "a secret that is not there", |line| {
            paint(Severity::Error, line)
        });
        bare.prose("OQ301 ", "a secret that is not there", plain);
        assert_eq!(anstream::adapter::strip_str(&colored.finish()).to_string(), bare.finish());
    }

    #[test]
    fn a_long_word_stays_whole_and_empty_prose_keeps_its_lead() {
        let address = "https://quay.example.com/organization/openshift_myproj";
        assert_eq!(wrap(&format!("see {address} there"), 20), ["see", address, "there"]);
        let mut page = page(80);
        page.prose("lead ", "", plain);
        assert_eq!(page.finish(), "lead\n");
    }

    #[test]
    fn gaps_do_not_add_up() {
        let mut page = page(80);
        page.gap();
        page.line("a");
        page.gap();
        page.gap();
        page.line("b");
        assert_eq!(page.finish(), "a\n\nb\n");
    }

    #[test]
    fn glyphs_are_as_wide_as_each_other_and_the_fallback_is_ascii() {
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
                assert!(!["+", "~", "-"].contains(&mark.trim()), "{mark} is the mark of a change");
            }
        }
    }
}
