//! Writes the man pages, one for the program and one per command, into a folder:
//! `cargo run --example man -- FOLDER DATE`.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use oc_quay::cli::Cli;

const SEE_ALSO: &str = ".SH SEE ALSO\n.BR oc\\-quay (1)\nhas the options of every command.\n";

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let (Some(folder), Some(date)) = (arguments.next().map(PathBuf::from), arguments.next()) else {
        return Err(io::Error::other("name the folder and the date"));
    };
    fs::create_dir_all(&folder)?;
    write(&Cli::command(), "oc quay", &date, &folder)
}

/// Writes the page of a command, and those of the commands below it. Flags of every command are on the program's page
/// alone, as the whole is never built.
fn write(command: &Command, name: &str, date: &str, folder: &Path) -> io::Result<()> {
    let page = command
        .clone()
        .bin_name(name)
        .display_name(name.replace(' ', "-"))
        .disable_help_subcommand(true);
    // What `-h` leaves out would have no text here.
    let page = page.mut_args(|arg| arg.hide_short_help(false));
    let page = Man::new(page)
        .date(date)
        .manual("oc quay")
        .source(concat!("oc-quay ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    page.render(&mut text)?;
    let mut text = with_examples(&String::from_utf8_lossy(&text));
    if name != "oc quay" {
        text += SEE_ALSO;
    }
    fs::write(folder.join(page.get_filename()), text)?;
    let below = command.get_subcommands().filter(|command| !command.is_hide_set());
    below.into_iter().try_for_each(|command| {
        write(command, &format!("{name} {}", command.get_name()), date, folder)
    })
}

/// The page with its examples, which come last, under the heading that man pages have for them and with their lines left
/// as they are.
fn with_examples(page: &str) -> String {
    match page.split_once(".SH EXTRA\nExamples:\n") {
        Some((before, examples)) => format!("{before}.SH EXAMPLES\n.nf\n{examples}.fi\n"),
        None => page.to_owned(),
    }
}
