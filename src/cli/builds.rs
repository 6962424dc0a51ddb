//! `builds`.

use clap::{Args, Subcommand};

use super::ChangeArgs;
use crate::report::Format;

/// `builds`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # List the builds of the namespace of the current context
  oc quay builds

  # Redirect all BuildConfigs of a namespace to Quay, without any webhook
  oc quay builds rewrite -n shop

  # Restore their original output
  oc quay builds restore -n shop")]
pub struct Builds {
    /// Without one, BuildConfigs and their last builds are listed.
    #[command(subcommand)]
    pub command: Option<BuildsCommand>,
    /// All accessible namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Output format
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_default_value = true
    )]
    pub output: Format,
}

/// Changes to BuildConfigs.
#[derive(Debug, Subcommand)]
pub enum BuildsCommand {
    /// Set the output of BuildConfigs to Quay, so that no webhook is needed
    #[command(after_help = "Examples:
  # Preview the changes in a namespace
  oc quay builds rewrite -n shop --dry-run

  # One BuildConfig, without confirmation
  oc quay builds rewrite app -n shop --yes")]
    Rewrite(BuildConfigs),
    /// Restore the original output of rewritten BuildConfigs
    #[command(after_help = "Examples:
  # All rewritten BuildConfigs of a namespace
  oc quay builds restore -n shop")]
    Restore(BuildConfigs),
}

impl BuildsCommand {
    /// The name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            BuildsCommand::Rewrite(_) => "rewrite",
            BuildsCommand::Restore(_) => "restore",
        }
    }
}

/// Arguments of the changing subcommands.
#[derive(Debug, Args)]
pub struct BuildConfigs {
    /// BuildConfigs [default: all of the namespace]
    #[arg(value_name = "NAME", conflicts_with = "all_namespaces")]
    pub build_configs: Vec<String>,
    /// BuildConfigs of all accessible namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    #[command(flatten)]
    pub changing: ChangeArgs,
}
