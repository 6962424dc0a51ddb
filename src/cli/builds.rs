//! `builds`: what BuildConfigs push, and where.

use clap::{Args, Subcommand};

use super::ChangeArgs;

/// `builds`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # The builds of the namespace of the current context
  oc quay builds

  # Have all BuildConfigs of a namespace push to Quay, without any webhook
  oc quay builds rewrite -n shop

  # Have them push where they did before
  oc quay builds restore -n shop")]
pub struct Builds {
    /// What to do; without it, BuildConfigs and their last builds are listed.
    #[command(subcommand)]
    pub command: Option<BuildsCommand>,
    /// All namespaces that can be seen
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
}

/// What is done about BuildConfigs.
#[derive(Debug, Subcommand)]
pub enum BuildsCommand {
    /// Have BuildConfigs push to Quay by themselves, so that no webhook is needed
    #[command(after_help = "Examples:
  # See what would be changed in a namespace
  oc quay builds rewrite -n shop --dry-run

  # One BuildConfig, without asking
  oc quay builds rewrite app -n shop --yes")]
    Rewrite(BuildConfigs),
    /// Have BuildConfigs push where they did before they were rewritten
    #[command(after_help = "Examples:
  # All that were rewritten in a namespace
  oc quay builds restore -n shop")]
    Restore(BuildConfigs),
}

impl BuildsCommand {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            BuildsCommand::Rewrite(_) => "rewrite",
            BuildsCommand::Restore(_) => "restore",
        }
    }
}

/// Which BuildConfigs to change, and how to go about it.
#[derive(Debug, Args)]
pub struct BuildConfigs {
    /// BuildConfigs; without one, all of the namespace
    #[arg(value_name = "NAME", conflicts_with = "all_namespaces")]
    pub build_configs: Vec<String>,
    /// Those of all namespaces that can be seen
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// How to go about it.
    #[command(flatten)]
    pub changing: ChangeArgs,
}
