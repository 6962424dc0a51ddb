//! Snapshot tests of the text output; the files are in `snapshots/`. `UPDATE_SNAPSHOTS=1` updates them.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use crate::report::fixtures::*;
use crate::report::{Format, Style};

/// Compares all views. ESC is written as ␛.
fn assert_snapshots(name: &str, render: impl Fn(Format, &Style) -> anyhow::Result<String>) {
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
        assert_file(&format!("src/report/text/snapshots/{name}.{view}.txt"), &text);
    }
}

#[test]
fn namespace_with_problems() {
    let report =
        one_namespace(vec![stale("myproj"), missing("myproj"), conflicting_secret("myproj")]);
    assert_snapshots("one", |format, style| report.render(format, style));
}

#[test]
fn many_namespaces() {
    assert_snapshots("many", |format, style| five_hundred_namespaces().render(format, style));
}

#[test]
fn failed_change() {
    assert_snapshots("changes", |format, style| failed_changes().render(format, style));
}
