//! `import`.

use clap::Args;

use super::ChangeArgs;
use crate::domain::imports::NamedTag;

/// `import`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # What Quay has and the image streams of the namespace have not, or not any more
  oc quay import --missing

  # One tag, and keep following it
  oc quay import app:latest --scheduled

  # Every tag that Quay has of an image stream
  oc quay import app -n shop --yes")]
pub struct Import {
    /// Image streams, or single tags of them; without any, every image stream that has a repository
    #[arg(value_name = "STREAM[:TAG]")]
    pub named: Vec<NamedTag>,
    /// Only tags that the image stream has not, or of which Quay has another image
    #[arg(long)]
    pub missing: bool,
    /// Have OpenShift ask Quay every 15 minutes from now on, whatever the QuayIntegration says
    #[arg(long)]
    pub scheduled: bool,
    /// How to go about it.
    #[command(flatten)]
    pub changing: ChangeArgs,
}
