//! `oc quay`: link OpenShift namespaces to Red Hat Quay, see what is wrong, put it right.
//!
//! One idea carries it: a namespace is linked when what Quay and the cluster hold equals what the rules say they
//! should hold. Data flows one way: gather, judge, plan, apply, print.
//!
//! | room | what lives there |
//! |---|---|
//! | [`cli`] | the command line; its doc comments are the help |
//! | `commands` | a file per command: gather, judge, plan, ask, apply, report |
//! | `ops` | what commands share: the settings, both sides, gathering and applying |
//! | [`domain`] | pure: names, scope, desired, snapshot, checks, plan |
//! | `completion` | what could stand at the cursor, for shells, `oc` and `kubectl` |
//! | [`cluster`] | the OpenShift side: reading and writing |
//! | [`quay`] | the Quay side: reading and writing |
//! | [`setup`] | the steps of the set-up, each with what it finds, plans, does and verifies |
//! | [`request_metrics`] | counts every request to both sides |
//! | `backoff` | how long to wait before something is tried again |
//! | `proxy`, `tls` | the way to both sides, and whom to trust there |
//! | [`report`] | one report value, rendered for people and programs |
//! | [`ui`] | the only door to stdout, stderr and prompts |
//! | [`error`] | kinds of error and their exit codes |

mod backoff;
pub mod cli;
pub mod cluster;
mod commands;
mod completion;
pub mod controller;
pub mod domain;
pub mod error;
mod logging;
mod ops;
mod proxy;
pub mod quay;
pub mod report;
pub mod request_metrics;
pub mod setup;
mod tls;
pub mod ui;
#[cfg(any(test, fuzzing))]
pub mod untrusted;

use std::ffi::OsString;
use std::path::Path;

use clap::{ColorChoice, CommandFactory as _, FromArgMatches as _};

use cli::Cli;
use commands::CommandContext;
use error::{Cancelled, Error, ExitStatus};
use ui::{Ui, UiOptions};

/// Runs a command line, the program's name in front.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitStatus {
    let args: Vec<_> = args.into_iter().collect();
    let program = program(args.first());
    if let Some(words) = completion::asked(&args) {
        let ui = Ui::new(UiOptions { color: ColorChoice::Never, no_input: true });
        // A closed pipe leaves nobody to tell.
        let _ = ui.out(&completion::candidates(words));
        return ExitStatus::Success;
    }
    let cli = match parse(args, program) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe leaves nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { ExitStatus::Failure } else { ExitStatus::Success };
        }
    };
    let ui = Ui::new(UiOptions { color: cli.global.color, no_input: cli.global.no_input });
    logging::start(cli.global.verbose, cli.command.log_format());
    let interruption = async { drop(tokio::signal::ctrl_c().await) };
    execute(&ui, &cli, program, interruption)
}

/// A run within the process of a test.
#[derive(Debug)]
pub struct CapturedRun {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// Runs a command line without a terminal and without a log, and keeps what it writes. For tests that play thousands of runs: the
/// rest of the environment is the process's own. Pauses between two attempts are shortened to `pause_percent`, for the
/// whole process.
///
/// # Errors
/// A command line that clap refuses.
pub fn run_captured(
    args: impl IntoIterator<Item = OsString>,
    pause_percent: u32,
    interruption: impl Future<Output = ()>,
) -> Result<CapturedRun, clap::Error> {
    backoff::shorten(pause_percent);
    let args: Vec<_> = args.into_iter().collect();
    let program = program(args.first());
    let cli = parse(args, program)?;
    let ui = Ui::in_memory();
    let status = execute(&ui, &cli, program, interruption);
    let [stdout, stderr] = ui.streams();
    Ok(CapturedRun { status, stdout, stderr })
}

fn parse(args: Vec<OsString>, program: &'static str) -> Result<Cli, clap::Error> {
    let matches = cli::called(Cli::command(), program).try_get_matches_from(args);
    matches.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(cli::single_suggestion)
}

/// The name the person typed: `kubectl quay` under a link `kubectl-quay`, else `oc quay`.
fn program(argument: Option<&OsString>) -> &'static str {
    let name = argument
        .and_then(|argument| Path::new(argument).file_name())
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    if name.starts_with("kubectl") { "kubectl quay" } else { "oc quay" }
}

/// Runs the command, until it ends or is interrupted, and says why it failed. Every change can be interrupted; the next run goes
/// on.
fn execute(
    ui: &Ui,
    cli: &Cli,
    program: &str,
    interruption: impl Future<Output = ()>,
) -> ExitStatus {
    let invocation = commands::invocation(program, &cli.global);
    let context = CommandContext { ui, global: &cli.global, program, invocation: &invocation };
    run_command(&context, cli, interruption).unwrap_or_else(|error| {
        let error = error.addressed(&invocation.to_string());
        ui.error(&error);
        error.exit_status()
    })
}

fn run_command(
    context: &CommandContext,
    cli: &Cli,
    interruption: impl Future<Output = ()>,
) -> Result<ExitStatus, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(env!("CARGO_PKG_NAME"))
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = commands::run(context, cli) => result,
            () = interruption => {
                context.ui.interrupted();
                Err(Cancelled.into())
            }
        }
    });
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_shows_the_name_it_was_called_by() {
        let named = |name: &str| program(Some(&name.into()));
        assert_eq!(named("/usr/local/bin/oc-quay"), "oc quay");
        assert_eq!(named("/home/me/.krew/bin/kubectl-quay"), "kubectl quay");
        assert_eq!(named("kubectl-quay.exe"), "kubectl quay");
        assert_eq!(program(None), "oc quay");
    }
}
