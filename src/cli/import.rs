//! `import`.

use clap::Args;

use super::ChangeArgs;
use crate::domain::imports::NamedTag;

/// `import`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Import tags that are missing or outdated in the image streams
  oc quay import --missing

  # Import one tag and follow it
  oc quay import app:latest --scheduled

  # Import every tag of an image stream from Quay
  oc quay import app -n shop --yes")]
pub struct Import {
    /// Image streams or single tags [default: every image stream with a repository]
    #[arg(value_name = "STREAM[:TAG]")]
    pub named: Vec<NamedTag>,
    /// Only tags that are missing in the image stream or have another image in Quay
    #[arg(long)]
    pub missing: bool,
    /// Enable scheduled imports (every 15 minutes) for these tags
    #[arg(long)]
    pub scheduled: bool,
    #[command(flatten)]
    pub changing: ChangeArgs,
}
