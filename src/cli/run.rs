//! `run`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{ChangeArgs, duration};
use crate::domain::deletion_policy::DeletionPolicy;

/// The shortest time between two passes through everything.
const MIN_RESYNC_INTERVAL: Duration = Duration::from_secs(60);

/// `run`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # See what it would do at first, in the cluster of the current context
  oc quay run --dry-run

  # Do that and keep to it, after a question; Ctrl-C ends it
  oc quay run

  # What makes it run in the cluster
  oc quay run --manifests | oc apply -f -

  # The same with an image of your own, in a namespace of your own
  oc quay run --manifests --image registry.example.com/oc-quay:v1 -n quay-bridge")]
pub struct Run {
    /// Print the objects that make it run in the cluster, in a namespace `oc-quay` or in that of -n, and end
    #[arg(long, conflicts_with_all = ["metrics_bind_address", "webhook_bind_address", "leader_elect"])]
    pub manifests: bool,
    /// The image that they name, instead of this version's
    #[arg(long, value_name = "IMAGE", requires = "manifests")]
    pub image: Option<String>,
    /// Serve /healthz, /readyz and /metrics there, such as 0.0.0.0:8080
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_bind_address: Option<SocketAddr>,
    /// Serve the webhook for builds there, such as 0.0.0.0:8443
    #[arg(long, value_name = "ADDRESS", requires = "webhook_cert_dir")]
    pub webhook_bind_address: Option<SocketAddr>,
    /// Folder with the webhook's tls.crt and tls.key, which are read again when they change
    #[arg(long, value_name = "DIR")]
    pub webhook_cert_dir: Option<PathBuf>,
    /// Work only while this replica holds the Lease in the namespace of -n or of the context
    #[arg(long)]
    pub leader_elect: bool,
    /// How often everything is looked at without being asked, a minute at the least
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = resync_interval)]
    pub resync_interval: Duration,
    /// What becomes of the organization of a namespace that is deleted, retain or delete, unless the namespace's annotation
    /// oc-quay/deletion-policy says
    #[arg(long, value_name = "POLICY", default_value_t)]
    pub deletion_policy: DeletionPolicy,
    /// How to go about it; in a pod it begins at once
    #[command(flatten)]
    pub changing: ChangeArgs,
    /// How to write the log on stderr
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people
    #[default]
    Text,
    /// A JSON object a line
    Json,
}

/// A time between two passes. Each of them asks Quay about every namespace.
fn resync_interval(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < MIN_RESYNC_INTERVAL {
        return Err(format!(
            "{text} is too often: everything is looked at once a minute at the most"
        ));
    }
    Ok(time)
}
