//! Arguments of `run`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{ChangeArgs, duration};
use crate::domain::deletion_policy::DeletionPolicy;
use crate::logging::LogFormat;

const MIN_RESYNC_INTERVAL: Duration = Duration::from_secs(60);

/// `run`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Preview the first reconcile in the cluster of the current context
  oc quay run --dry-run

  # Confirm, and reconcile until Ctrl-C
  oc quay run")]
pub struct Run {
    /// Address of /healthz, /readyz and /metrics, such as 0.0.0.0:8080
    #[arg(long, value_name = "ADDRESS")]
    pub metrics_bind_address: Option<SocketAddr>,
    /// Address of the build webhook, such as 0.0.0.0:8443
    #[arg(long, value_name = "ADDRESS", requires = "webhook_cert_dir")]
    pub webhook_bind_address: Option<SocketAddr>,
    /// Directory with the webhook's tls.crt and tls.key; changes are reloaded
    #[arg(long, value_name = "DIR")]
    pub webhook_cert_dir: Option<PathBuf>,
    /// Use leader election, with a Lease in the namespace of -n or of the context
    #[arg(long)]
    pub leader_elect: bool,
    /// Full resync interval (minimum 1m)
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = resync_interval)]
    pub resync_interval: Duration,
    /// Deletion policy for organizations of deleted namespaces: retain or delete (overridden by
    /// annotation oc-quay/deletion-policy)
    #[arg(long, value_name = "POLICY", default_value_t)]
    pub deletion_policy: DeletionPolicy,
    /// `--yes` is implied in a pod.
    #[command(flatten)]
    pub changing: ChangeArgs,
    /// Format of the log on stderr
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// Each resync queries Quay for every namespace.
fn resync_interval(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < MIN_RESYNC_INTERVAL {
        return Err(format!("invalid interval {text}: resync interval must be at least 1m"));
    }
    Ok(time)
}
