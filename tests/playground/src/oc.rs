//! `oc` in the playground.

use std::env::consts::EXE_SUFFIX;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::{env, fs, io};

/// The exit code of a shell for a command that is not found.
const NOT_FOUND: u8 = 127;

/// Runs the plugin for `oc quay`. All other commands run the installed `oc`, or `kubectl` where there is no `oc`.
pub(crate) fn run(mut arguments: Vec<OsString>) -> ExitCode {
    arguments.remove(0);
    if arguments.first().is_some_and(|command| command == "quay") {
        arguments[0] = "oc-quay".into();
        return oc_quay::run(arguments).into();
    }
    let Some(client) = installed_client() else {
        eprintln!(
            "error: neither oc nor kubectl is installed, so only `oc quay` works in the playground"
        );
        return ExitCode::from(NOT_FOUND);
    };
    let error = replace_process(Command::new(&client).args(arguments));
    eprintln!("error: failed to run {}: {error}", client.display());
    ExitCode::from(NOT_FOUND)
}

/// The first `oc` on PATH, or else the first `kubectl`, except the playground's own.
fn installed_client() -> Option<PathBuf> {
    let own = env::current_exe().and_then(fs::canonicalize).ok()?;
    let path = env::var_os("PATH")?;
    let is_installed = |file: &PathBuf| {
        // The `oc` of another playground would run this one again.
        let is_playground = |file: &PathBuf| {
            *file == own || file.file_stem().is_some_and(|name| name == "playground")
        };
        fs::canonicalize(file).is_ok_and(|file| file.is_file() && !is_playground(&file))
    };
    let find = |name: &str| {
        let mut files =
            env::split_paths(&path).map(|folder| folder.join(format!("{name}{EXE_SUFFIX}")));
        files.find(is_installed)
    };
    find("oc").or_else(|| find("kubectl"))
}

/// Continues as another program. Returns only if that fails.
#[cfg(unix)]
fn replace_process(command: &mut Command) -> io::Error {
    std::os::unix::process::CommandExt::exec(command)
}

/// Runs another program and exits with its code. Returns only if that fails.
#[cfg(not(unix))]
#[expect(clippy::exit, reason = "the exit code is that of the other program")]
fn replace_process(command: &mut Command) -> io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}
