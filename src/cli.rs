//! The command line. The doc comments are the help text.

mod builds;
mod completion;
mod duration;
mod help;
mod images;
mod import;
mod manifests;
mod run;
mod setup;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{FalseyValueParser, RangedI64ValueParser};
use clap::{ArgAction, Args, ColorChoice, Parser, Subcommand, ValueEnum};

use crate::domain::Role;
use crate::logging::LogFormat;
use crate::report::{Format, StatusFormat, VersionFormat};
pub use builds::{BuildConfigs, Builds, BuildsCommand};
pub use completion::{Completion, Shell};
use duration::duration;
pub(crate) use help::{set_bin_name, single_suggestion};
pub use images::Images;
pub use import::Import;
pub use manifests::{Manifests, ManifestsFormat};
pub use run::Run;
pub use setup::{Setup, Teardown};

/// Link OpenShift namespaces to Red Hat Quay, diagnose and repair them.
#[derive(Debug, Parser)]
#[command(name = "oc-quay", version, propagate_version = false)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// Flags of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set up the integration, interactively or by flags
    Setup(Box<Setup>),
    /// Link namespaces: organization, robot accounts, secrets and repositories
    Link(Link),
    /// Show the state of linked namespaces and what is wrong
    Status(Status),
    /// Repair linked namespaces (never deletes data)
    Repair(Repair),
    /// List BuildConfigs and their last builds, and redirect them to Quay
    Builds(Builds),
    /// Import tags from Quay into image streams
    Import(Import),
    /// List images in the internal registry and how to copy them to Quay
    Images(Images),
    /// Unlink namespaces (keeps organization and images)
    Unlink(Unlink),
    /// Remove the integration from the cluster (keeps organizations and images)
    Teardown(Teardown),
    /// Run the controller
    Run(Run),
    /// Print the manifests that deploy the controller
    Manifests(Manifests),
    /// Explain a finding code
    Explain(Explain),
    /// Generate shell completion scripts
    Completion(Completion),
    /// Print the versions of this plugin, the cluster and Quay
    Version(Version),
}

impl Command {
    /// `-o` of commands with the common formats. Those of `status`, `images`, `manifests` and `version` are in their
    /// arguments.
    pub(crate) fn output(&self) -> Format {
        match self {
            Command::Setup(args) => args.changing.output,
            Command::Link(args) => args.changing.output,
            Command::Repair(args) => args.changing.output,
            Command::Builds(args) => args.output,
            Command::Import(args) => args.changing.output,
            Command::Unlink(args) => args.changing.output,
            Command::Teardown(args) => args.changing.output,
            Command::Run(args) => args.changing.output,
            Command::Explain(args) => args.output,
            Command::Status(_)
            | Command::Images(_)
            | Command::Manifests(_)
            | Command::Completion(_)
            | Command::Version(_) => Format::default(),
        }
    }

    /// The log format of a command whose only output is its log.
    pub(crate) fn log_format(&self) -> Option<LogFormat> {
        match self {
            Command::Run(run) => (!run.changing.dry_run).then_some(run.log_format),
            _ => None,
        }
    }
}

/// Flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Namespace [default: the context's]
    #[arg(short, long, global = true, value_name = "NAME")]
    pub namespace: Option<String>,
    /// URL of Quay (OC_QUAY_URL) [default: the QuayIntegration's]
    #[arg(long, global = true, value_name = "URL")]
    pub quay_url: Option<String>,
    /// File with the Quay token, `-` for stdin (or set the token in OC_QUAY_TOKEN)
    #[arg(long, global = true, value_name = "FILE")]
    pub quay_token_file: Option<PathBuf>,
    /// PEM file with Quay's CA (OC_QUAY_CA_FILE), in addition to the system's CAs
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub quay_ca_file: Option<PathBuf>,
    /// Cluster ID (OC_QUAY_CLUSTER_ID) [default: the QuayIntegration's]
    #[arg(long, global = true, value_name = "ID", hide_short_help = true)]
    pub cluster_id: Option<String>,
    /// Skip verification of Quay's certificate and allow plain HTTP
    #[arg(long, global = true, hide_short_help = true)]
    pub insecure: bool,
    /// Maximum concurrent requests per server
    #[arg(long, global = true, value_name = "N", default_value_t = 8, value_parser = concurrency(), hide_short_help = true)]
    pub concurrency: u16,
    /// Never prompt
    #[arg(long, global = true, hide_short_help = true)]
    pub no_input: bool,
    /// Use colors
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN", hide_short_help = true)]
    pub color: ColorChoice,
    /// Log requests on stderr: -v those to Quay, -vv those to the cluster too, up to -vvvv
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
    /// Timeout of a single request, such as 10s or 1m
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", value_parser = duration, hide_short_help = true)]
    pub request_timeout: Duration,
}

impl GlobalArgs {
    pub(crate) fn color(&self) -> anstream::ColorChoice {
        match self.color {
            ColorChoice::Auto => anstream::ColorChoice::Auto,
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        }
    }
}

/// Selection of namespaces. Default: that of `-n`, or of the context.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// Namespaces
    #[arg(value_name = "NAMESPACE")]
    pub namespaces: Vec<String>,
    /// All accessible namespaces
    #[arg(short = 'A', long, conflicts_with_all = ["namespaces", "selector"])]
    pub all_namespaces: bool,
    /// Namespaces with these labels
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "namespaces")]
    pub selector: Option<String>,
}

/// Flags of commands that make changes.
#[derive(Clone, Copy, Debug, Args)]
pub struct ChangeArgs {
    /// Output format
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_default_value = true
    )]
    pub output: Format,
    /// Print the changes without making them
    #[arg(long)]
    pub dry_run: bool,
    /// Skip confirmation (OC_QUAY_YES)
    #[arg(short, long, alias = "confirm", env = "OC_QUAY_YES", hide_env = true, value_parser = FalseyValueParser::new())]
    pub yes: bool,
}

/// `link`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Link the namespace of the current context
  oc quay link

  # Preview the changes
  oc quay link -n shop --dry-run

  # Allow OpenShift Pipelines to push
  oc quay link -n shop --service-account pipeline=write --yes")]
pub struct Link {
    #[command(flatten)]
    pub target: TargetArgs,
    /// Additional service account to link, with role read (default), write or admin; repeatable
    #[arg(long = "service-account", value_name = "NAME[=ROLE]", value_parser = service_account)]
    pub service_accounts: Vec<(String, Role)>,
    /// Adopt an organization of another cluster, or one without admin permission on it
    #[arg(long)]
    pub adopt: bool,
    /// Link a namespace that is protected by its name, such as openshift-*
    #[arg(long)]
    pub force: bool,
    /// How long to wait for missing service accounts
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub wait: Duration,
    #[command(flatten)]
    pub changing: ChangeArgs,
}

/// `status`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # The namespace of the current context
  oc quay status

  # Test the credentials in the secrets against the registry
  oc quay status -n shop --probe

  # All namespaces, as JSON
  oc quay status -A -o json

  # All namespaces, as an HTML report
  oc quay status -A -o html --output-file status.html")]
pub struct Status {
    #[command(flatten)]
    pub target: TargetArgs,
    /// Test the credentials in the secrets against the registry
    #[arg(long)]
    pub probe: bool,
    /// Watch one namespace and print the report when it changes
    #[arg(short, long, conflicts_with = "output_file")]
    pub watch: bool,
    /// Output format
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_default_value = true
    )]
    pub output: StatusFormat,
    /// Write the report to a file
    #[arg(long, value_name = "FILE")]
    pub output_file: Option<PathBuf>,
    /// Lowest severity that sets exit code 1
    #[arg(long, value_enum, default_value_t = FailOn::Error, value_name = "SEVERITY")]
    pub fail_on: FailOn,
}

/// The lowest severity that sets exit code 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Failed checks, warnings and errors
    Unknown,
    /// Warnings and errors
    Warning,
    /// Errors
    Error,
    /// No finding
    Never,
}

/// `repair`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Repair the namespace of the current context
  oc quay repair

  # All namespaces, without confirmation
  oc quay repair -A --yes

  # New tokens for the robot accounts of a namespace
  oc quay repair -n shop --rotate --yes")]
pub struct Repair {
    #[command(flatten)]
    pub target: TargetArgs,
    /// Renew the tokens of the robot accounts and update the secrets
    #[arg(long)]
    pub rotate: bool,
    /// Adopt objects that belong to another owner
    #[arg(long)]
    pub adopt: bool,
    /// Test the credentials against the registry and repair missing permissions
    #[arg(long)]
    pub probe: bool,
    #[command(flatten)]
    pub changing: ChangeArgs,
}

/// `unlink`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Unlink the namespace of the current context; organization and images are kept
  oc quay unlink

  # Delete the organization and its images too
  oc quay unlink -n shop --delete-organization --confirm-organization openshift_shop --yes")]
pub struct Unlink {
    #[command(flatten)]
    pub target: TargetArgs,
    /// Also delete the robot accounts
    #[arg(long)]
    pub delete_robots: bool,
    /// Also delete the organization with all its images; prompts for its name
    #[arg(long)]
    pub delete_organization: bool,
    /// Name of the organization to delete, instead of the prompt (OC_QUAY_CONFIRM_ORGANIZATION)
    #[arg(long, value_name = "NAME", env = "OC_QUAY_CONFIRM_ORGANIZATION", hide_env = true)]
    pub confirm_organization: Option<String>,
    #[command(flatten)]
    pub changing: ChangeArgs,
}

/// `explain`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Explain OQ306 and how to resolve it
  oc quay explain OQ306")]
pub struct Explain {
    /// Finding code [default: list all]
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
    /// Output format
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_default_value = true
    )]
    pub output: Format,
}

/// `version`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Only this plugin, without any connection
  oc quay version --client")]
pub struct Version {
    /// Only this plugin's version
    #[arg(long)]
    pub client: bool,
    /// Output format
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_default_value = true
    )]
    pub output: VersionFormat,
}

fn concurrency() -> RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=64)
}

/// A container image, so that an unset variable or a stray space is not written into a Deployment.
fn image(text: &str) -> Result<String, String> {
    let is_invalid = |c: char| c.is_whitespace() || c.is_control();
    if text.is_empty() || text.contains(is_invalid) {
        return Err("expected an image such as registry.example.com/oc-quay:v1".into());
    }
    Ok(text.to_owned())
}

/// `NAME` or `NAME=ROLE`.
fn service_account(text: &str) -> Result<(String, Role), String> {
    let (name, role) = match text.split_once('=') {
        Some((name, role)) => (name, role.parse()?),
        None => (text, Role::Read),
    };
    crate::domain::names::validate_kubernetes_name(name)?;
    Ok((name.to_owned(), role))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn rejects_images_that_are_empty_or_have_spaces() {
        assert_eq!(image("quay.io/a/b:v1"), Ok("quay.io/a/b:v1".into()));
        for text in ["", " ", "a b", "a:v1\n", "a\u{1b}b"] {
            assert!(image(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn parses_service_account_with_role() {
        assert_eq!(service_account("pipeline"), Ok(("pipeline".into(), Role::Read)));
        assert_eq!(service_account("pipeline=write"), Ok(("pipeline".into(), Role::Write)));
        for text in ["", "=write", "pipeline=owner", "Pipe"] {
            assert!(service_account(text).is_err(), "{text}");
        }
    }
}
