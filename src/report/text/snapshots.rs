//! What people look at, as it is printed: a file for each picture in `snapshots/`. `UPDATE_DOCS=1` writes them anew; read them
//! before they are committed.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use crate::report::fixtures::*;
use crate::report::{Format, Style};

/// Renders in every way that is looked at, and compares. In colors, ESC is written as ␛.
fn look(name: &str, render: impl Fn(Format, &Style) -> anyhow::Result<String>) {
    let width = |columns| Style { width: Some(columns), ascii: false };
    let views = [
        ("60", Format::Text, width(60)),
        ("80", Format::Text, width(80)),
        ("200", Format::Text, width(200)),
        ("80-ascii", Format::Text, Style { ascii: true, ..width(80) }),
        ("80-color", Format::Text, width(80)),
        ("log", Format::Text, Style { width: None, ascii: false }),
        ("wide", Format::Wide, width(80)),
    ];
    for (view, format, style) in views {
        let text = render(format, &style).unwrap();
        let text = if view == "80-color" { text.replace('\x1b', "␛") } else { strip(&text) };
        assert_written(&format!("src/report/text/snapshots/{name}.{view}.txt"), &text);
    }
}

#[test]
fn a_namespace_with_problems() {
    let report = one(vec![stale("myproj"), missing("myproj"), rival("myproj")]);
    look("one", |format, style| report.render(format, style));
}

#[test]
fn many_namespaces() {
    look("many", |format, style| five_hundred().render(format, style));
}

#[test]
fn changes_of_which_one_failed() {
    look("changes", |format, style| failed().render(format, style));
}
