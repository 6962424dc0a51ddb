//! `oc quay`: link OpenShift namespaces to Red Hat Quay, diagnose and repair them.
//!
//! A namespace is linked when the actual state in Quay and in the cluster equals the desired state. Data flows in one
//! direction: collect, check, plan, apply, print.
//!
//! | module | content |
//! |---|---|
//! | [`cli`] | command line; its doc comments are the help |
//! | `commands` | one file per command: collect, check, plan, confirm, apply, report |
//! | `ops` | shared by commands and controller: settings, connections, collecting and applying |
//! | [`domain`] | pure logic: names, scope, desired state, snapshot, checks, plan |
//! | `completion` | shell completion |
//! | [`cluster`] | Kubernetes API client |
//! | [`quay`] | Quay API client |
//! | [`setup`] | setup steps: discover, plan, apply, verify |
//! | [`controller`] | `oc quay run`: watches, reconciliation, webhook |
//! | [`request_metrics`] | counts and durations of requests |
//! | `backoff` | delays between retries |
//! | `printable` | text of servers and other users, made safe for terminals |
//! | `proxy`, `tls` | proxies and trusted certificates |
//! | [`report`] | reports and their output formats |
//! | [`ui`] | stdout, stderr and prompts |
//! | [`error`] | errors and exit codes |
//! | `logging` | log on stderr |

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
mod printable;
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

use anstream::ColorChoice;
use clap::{CommandFactory as _, FromArgMatches as _};

use cli::Cli;
use commands::CommandContext;
use error::{Cancelled, Error, ExitStatus};
use ui::{Ui, UiOptions};

/// Runs a command line; the first argument is the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitStatus {
    let args: Vec<_> = args.into_iter().collect();
    let program = program(args.first());
    if let Some(words) = completion::requested_words(&args) {
        let ui = Ui::new(UiOptions { color: ColorChoice::Never, no_input: true });
        // A closed pipe is not an error here.
        let _ = ui.out(&completion::candidates(words));
        return ExitStatus::Success;
    }
    let cli = match parse(args, program) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitStatus::Failure } else { ExitStatus::Success };
        }
    };
    let ui = Ui::new(UiOptions { color: cli.global.color(), no_input: cli.global.no_input });
    logging::start(cli.global.verbose, cli.command.log_format());
    let interruption = async { drop(tokio::signal::ctrl_c().await) };
    execute(&ui, &cli, program, interruption)
}

#[derive(Debug)]
pub struct CapturedRun {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command line without terminal and log and captures its output, for tests with thousands of runs.
/// `pause_percent` shortens the delays between retries in the whole process.
///
/// # Errors
/// clap's usage errors.
pub fn run_captured(
    args: impl IntoIterator<Item = OsString>,
    pause_percent: u32,
    interruption: impl Future<Output = ()>,
) -> Result<CapturedRun, clap::Error> {
    backoff::set_percent(pause_percent);
    let args: Vec<_> = args.into_iter().collect();
    let program = program(args.first());
    let cli = parse(args, program)?;
    let ui = Ui::in_memory();
    let status = execute(&ui, &cli, program, interruption);
    let [stdout, stderr] = ui.streams();
    Ok(CapturedRun { status, stdout, stderr })
}

fn parse(args: Vec<OsString>, program: &'static str) -> Result<Cli, clap::Error> {
    let matches = cli::set_bin_name(Cli::command(), program).try_get_matches_from(args);
    matches.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(cli::single_suggestion)
}

fn program(argument: Option<&OsString>) -> &'static str {
    let name = argument
        .and_then(|argument| Path::new(argument).file_name())
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    if name.starts_with("kubectl") { "kubectl quay" } else { "oc quay" }
}

/// Runs the command until it ends or is interrupted, and prints its error. Every change can be interrupted; the next
/// run continues.
fn execute(
    ui: &Ui,
    cli: &Cli,
    program: &str,
    interruption: impl Future<Output = ()>,
) -> ExitStatus {
    let invocation = commands::invocation(program, &cli.global);
    let context = CommandContext {
        ui,
        global: &cli.global,
        connection: (&cli.global).into(),
        program,
        invocation: &invocation,
        output: cli.command.output(),
    };
    run_command(&context, cli, interruption).unwrap_or_else(|error| {
        let error = error.with_program_name(&invocation.to_string());
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
    fn detects_kubectl_program_name() {
        let named = |name: &str| program(Some(&name.into()));
        assert_eq!(named("/usr/local/bin/oc-quay"), "oc quay");
        assert_eq!(named("/home/me/.krew/bin/kubectl-quay"), "kubectl quay");
        assert_eq!(named("kubectl-quay.exe"), "kubectl quay");
        assert_eq!(program(None), "oc quay");
    }
}
