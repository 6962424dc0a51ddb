//! `docs/reference.md` is generated from the command line.

use clap::{Command, CommandFactory as _};
use oc_quay::cli::Cli;

use super::assert_fresh;

const PATH: &str = "docs/reference.md";

const INTRODUCTION: &str = "\
<!-- Generated from `src/cli.rs`; update it with `UPDATE_SNAPSHOTS=1 cargo test --test it docs` -->

# Command reference

Every command with all of its own flags. Those of every command come last. `--help` behind a command says the same, and
`-h` shows most of it on one screen.
";

/// The width of the help in columns.
const WIDTH: usize = 100;

/// Rows and columns of a usual terminal.
const SCREEN: (usize, usize) = (50, 100);

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    // Global flags are added to commands when the whole is built.
    for command in commands("oc quay", &Cli::command()) {
        page += &section(command);
    }
    page + &section(Cli::command().bin_name("oc quay"))
}

fn section(command: Command) -> String {
    let name = command.get_bin_name().unwrap_or_default().to_owned();
    let help = command.disable_help_flag(true).term_width(WIDTH).render_long_help().to_string();
    let help: Vec<_> = help.lines().map(str::trim_end).collect();
    format!("\n## {name}\n\n```text\n{}\n```\n", help.join("\n").trim_end())
}

/// Subcommands, each before its own, with their full names.
pub(super) fn commands(name: &str, command: &Command) -> Vec<Command> {
    let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
    let below = visible.flat_map(|command| {
        let name = format!("{name} {}", command.get_name());
        let below = commands(&name, command);
        std::iter::once(command.clone().bin_name(name)).chain(below)
    });
    below.collect()
}

#[test]
fn page_is_up_to_date() {
    assert_fresh(&[(PATH.to_owned(), page())]);
}

#[test]
fn short_help_fits_a_screen() {
    let mut program = Cli::command().term_width(SCREEN.1);
    program.build();
    for mut command in commands("oc quay", &program) {
        let rows = command.render_help().to_string().lines().count();
        let name = command.get_bin_name().unwrap_or_default();
        assert!(
            rows <= SCREEN.0,
            "{name} -h has {rows} rows: let --help alone show what is seldom needed (hide_short_help)"
        );
    }
}
