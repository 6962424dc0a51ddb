//! The screen after a whole setup.
//!
//! `UPDATE_SNAPSHOTS=1` updates them; read them before they are committed.

use std::path::Path;

use sandbox::Options;

use super::Person;
use crate::support::{Left, TestEnv};

/// A set-up from beginning to end in a window of so many columns.
fn set_up(columns: u16, (variable, value): (&str, &str)) -> Option<(Left, String)> {
    let env = TestEnv::stand_in_bare(Options::default(), "versions and names are the stand-in's")?;
    env.namespace("shop");
    let command = env.oc_quay(&["setup"]).env(variable, value);
    let (left, _) = Person::begins(&env, command, columns).finishes(0);
    let port = env.sandbox.quay.host().split(':').nth(1).unwrap().to_owned();
    // Ports have as many digits as this has letters.
    let screen = left.screen.replace(&port, "PORTS");
    let url = env.sandbox.openshift.url();
    let screen = screen.replace(url.rsplit(':').next().unwrap(), "SPORT");
    Some((left, format!("{}\n", screen.trim_start())))
}

#[test]
fn screens_match_snapshots_at_both_widths() {
    for columns in [80, 60] {
        let Some((_, screen)) = set_up(columns, ("UNUSED", "")) else { return };
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/it/wizard/screen-{columns}.txt"));
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(&file, &screen).unwrap();
        }
        assert_eq!(screen, std::fs::read_to_string(&file).unwrap(), "at {columns} columns");
    }
}

#[test]
fn colors_do_not_change_text() {
    let Some((colored, with)) = set_up(80, ("TERM", "xterm")) else { return };
    let Some((plain, without)) = set_up(80, ("NO_COLOR", "1")) else { return };
    assert_eq!(with, without);
    let colors = |left: &Left| {
        left.written.matches("\x1b[1m").count() + left.written.matches("\x1b[36m").count()
    };
    assert!(colors(&colored) > 0, "{}", colored.written);
    assert_eq!(colors(&plain), 0, "{}", plain.written);
}

#[test]
fn uses_ascii_without_utf8_locale() {
    let Some((left, _)) = set_up(80, ("LC_ALL", "C")) else { return };
    assert!(left.written.is_ascii(), "{}", left.screen);
}
