//! The command line. The doc comments are the help text.

mod builds;
mod completion;
mod duration;
mod help;
mod images;
mod import;
mod run;
mod setup;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{FalseyValueParser, RangedI64ValueParser};
use clap::{ArgAction, Args, ColorChoice, Parser, Subcommand, ValueEnum};

use crate::domain::Role;
use crate::report::Format;
pub use builds::{BuildConfigs, Builds, BuildsCommand};
pub use completion::{Completion, Shell};
use duration::duration;
pub(crate) use help::{called, single_suggestion};
pub use images::Images;
pub use import::Import;
pub use run::{LogFormat, Run};
pub use setup::{Setup, Teardown};

/// Link OpenShift namespaces to Red Hat Quay, see what is wrong, put it right.
#[derive(Debug, Parser)]
#[command(name = "oc-quay", version, propagate_version = false)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Flags of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set up the integration, asking step by step or scripted
    Setup(Box<Setup>),
    /// Link namespaces: organization, robot accounts, secrets and repositories
    Link(Link),
    /// Say exactly what is right and wrong
    Status(Status),
    /// Put right what can be put right without losing anything
    Repair(Repair),
    /// List BuildConfigs and their last builds, and have them push to Quay
    Builds(Builds),
    /// Import what Quay has into image streams, now
    Import(Import),
    /// List what is still in OpenShift's own registry, and how it gets to Quay
    Images(Images),
    /// Take a link back; organization and images stay
    Unlink(Unlink),
    /// Take the integration out of the cluster; organizations and images stay
    Teardown(Teardown),
    /// Keep namespaces linked for as long as it runs: the bridge
    Run(Run),
    /// Explain a finding code
    Explain(Explain),
    /// Print what completes commands, flags and names in a shell
    Completion(Completion),
    /// Print the versions of this plugin, the cluster and Quay
    Version(Version),
}

impl Command {
    /// How it writes its log, if it is the one that has nothing else to say.
    pub(crate) fn log_format(&self) -> Option<LogFormat> {
        match self {
            Command::Run(run) => {
                (!run.manifests && !run.changing.dry_run).then_some(run.log_format)
            }
            _ => None,
        }
    }
}

/// Flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Namespace to work on, instead of the context's
    #[arg(short, long, global = true, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Output format
    #[arg(short, long, global = true, value_enum, default_value_t, hide_default_value = true)]
    pub output: Format,
    /// Address of the Quay (OC_QUAY_URL), instead of the QuayIntegration's
    #[arg(long, global = true, value_name = "URL")]
    pub quay_url: Option<String>,
    /// File with the token for Quay, `-` for stdin (or the token itself in OC_QUAY_TOKEN)
    #[arg(long, global = true, value_name = "FILE")]
    pub quay_token_file: Option<PathBuf>,
    /// Certificate authority of the Quay, PEM (OC_QUAY_CA_FILE); the system's are trusted too
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub quay_ca_file: Option<PathBuf>,
    /// Cluster ID (OC_QUAY_CLUSTER_ID), instead of the QuayIntegration's
    #[arg(long, global = true, value_name = "ID", hide_short_help = true)]
    pub cluster_id: Option<String>,
    /// Do not verify Quay's certificate; allow plain http
    #[arg(long, global = true, hide_short_help = true)]
    pub insecure: bool,
    /// Requests in flight at once, to each side
    #[arg(long, global = true, value_name = "N", default_value_t = 8, value_parser = at_once(), hide_short_help = true)]
    pub concurrency: u16,
    /// Ask nothing
    #[arg(long, global = true, hide_short_help = true)]
    pub no_input: bool,
    /// Use colors
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN", hide_short_help = true)]
    pub color: ColorChoice,
    /// Show the requests on stderr: -v those to Quay, -vv those to the cluster too, up to -vvvv
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Kubeconfig file
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub context: Option<String>,
    /// Cluster in the kubeconfig
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub cluster: Option<String>,
    /// User in the kubeconfig
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub user: Option<String>,
    /// User to impersonate
    #[arg(long = "as", global = true, value_name = "USER", hide_short_help = true)]
    pub impersonate: Option<String>,
    /// Group to impersonate; may be repeated
    #[arg(long = "as-group", global = true, value_name = "GROUP", hide_short_help = true)]
    pub impersonate_groups: Vec<String>,
    /// UID to impersonate
    #[arg(long = "as-uid", global = true, value_name = "UID", hide_short_help = true)]
    pub impersonate_uid: Option<String>,
    /// How long one request may take, such as 10s or 1m
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", value_parser = duration, hide_short_help = true)]
    pub request_timeout: Duration,
}

/// Which namespaces to work on. Without any: that of `-n`, or of the context.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// Namespaces
    #[arg(value_name = "NAMESPACE")]
    pub namespaces: Vec<String>,
    /// All namespaces that can be seen
    #[arg(short = 'A', long, conflicts_with_all = ["namespaces", "selector"])]
    pub all_namespaces: bool,
    /// Namespaces with these labels
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "namespaces")]
    pub selector: Option<String>,
}

/// How a command that changes something goes about it.
#[derive(Clone, Copy, Debug, Args)]
pub struct ChangeArgs {
    /// Print what would be done and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask (OC_QUAY_YES)
    #[arg(short, long, alias = "confirm", env = "OC_QUAY_YES", hide_env = true, value_parser = FalseyValueParser::new())]
    pub yes: bool,
}

/// `link`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Link the namespace of the current context
  oc quay link

  # See what linking would do
  oc quay link -n shop --dry-run

  # Let OpenShift Pipelines push
  oc quay link -n shop --service-account pipeline=write --yes")]
pub struct Link {
    /// Which namespaces.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Another service account to link, with a role: read (default), write or admin; may be repeated
    #[arg(long = "service-account", value_name = "NAME[=ROLE]", value_parser = request)]
    pub service_accounts: Vec<(String, Role)>,
    /// Take over an organization that another cluster marked, or that is not ours to administer
    #[arg(long)]
    pub adopt: bool,
    /// Link a namespace that is excluded by its name, such as openshift-*
    #[arg(long)]
    pub force: bool,
    /// How long to wait for service accounts that are still to appear
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub wait: Duration,
    /// How to go about it.
    #[command(flatten)]
    pub changing: ChangeArgs,
}

/// `status`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # The namespace of the current context
  oc quay status

  # Log in to the registry with what the secrets really hold
  oc quay status -n shop --probe

  # All namespaces, for a pipeline
  oc quay status -A -o json

  # All namespaces, as a page for a browser
  oc quay status -A -o html --output-file status.html")]
pub struct Status {
    /// Which namespaces.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Ask the registry what the logins in the secrets may pull and push
    #[arg(long)]
    pub probe: bool,
    /// Keep looking, and show it again when it changes
    #[arg(short, long, conflicts_with = "output_file")]
    pub watch: bool,
    /// Write the report into a file, as for `-o html`
    #[arg(long, value_name = "FILE")]
    pub output_file: Option<PathBuf>,
    /// The severity that makes the exit code 1
    #[arg(long, value_enum, default_value_t = FailOn::Error, value_name = "LEVEL")]
    pub fail_on: FailOn,
}

/// The severity that makes the exit code 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// What could not be checked, warnings and errors
    Unknown,
    /// Warnings and errors
    Warning,
    /// Errors
    Error,
    /// Nothing that was found
    Never,
}

/// `repair`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Put the namespace of the current context right
  oc quay repair

  # All namespaces, without asking
  oc quay repair -A --yes

  # New tokens for the robot accounts of a namespace
  oc quay repair -n shop --rotate --yes")]
pub struct Repair {
    /// Which namespaces.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Renew the tokens of the robot accounts, and the secrets with them
    #[arg(long)]
    pub rotate: bool,
    /// Take over objects that others marked or made
    #[arg(long)]
    pub adopt: bool,
    /// Ask the registry what the logins may do, and mend what is too little
    #[arg(long)]
    pub probe: bool,
    /// How to go about it.
    #[command(flatten)]
    pub changing: ChangeArgs,
}

/// `unlink`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Unlink the namespace of the current context; organization and images stay
  oc quay unlink

  # Delete the organization and its images too
  oc quay unlink -n shop --delete-organization --confirm-organization openshift_shop --yes")]
pub struct Unlink {
    /// Which namespaces.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Delete the robot accounts too
    #[arg(long)]
    pub delete_robots: bool,
    /// Delete the organization with all its images too; asks for its name
    #[arg(long)]
    pub delete_organization: bool,
    /// The name of the organization to delete, instead of being asked for it (OC_QUAY_CONFIRM_ORGANIZATION)
    #[arg(long, value_name = "NAME", env = "OC_QUAY_CONFIRM_ORGANIZATION", hide_env = true)]
    pub confirm_organization: Option<String>,
    /// How to go about it.
    #[command(flatten)]
    pub changing: ChangeArgs,
}

/// `explain`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # What OQ306 means and what to do about it
  oc quay explain OQ306")]
pub struct Explain {
    /// A finding code; without one, all of them are listed
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}

/// `version`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Only this plugin; nothing is connected to
  oc quay version --client")]
pub struct Version {
    /// Only this plugin's version
    #[arg(long)]
    pub client: bool,
}

/// How many requests may be in flight at once.
fn at_once() -> RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=64)
}

/// `NAME` or `NAME=ROLE`.
fn request(text: &str) -> Result<(String, Role), String> {
    let (name, role) = match text.split_once('=') {
        Some((name, role)) => (name, role.parse()?),
        None => (text, Role::Read),
    };
    crate::domain::names::kubernetes_name(name)?;
    Ok((name.to_owned(), role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn service_accounts_are_asked_for_with_a_role() {
        assert_eq!(request("pipeline"), Ok(("pipeline".into(), Role::Read)));
        assert_eq!(request("pipeline=write"), Ok(("pipeline".into(), Role::Write)));
        for text in ["", "=write", "pipeline=owner", "Pipe"] {
            assert!(request(text).is_err(), "{text}");
        }
    }
}
