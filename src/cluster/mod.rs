//! Client for the Kubernetes API: reads the state that the domain needs, and writes changes.
//!
//! Every request goes through `Cluster::send`, which limits concurrency and retries. Reads return
//! [`crate::domain::snapshot::Observed`]: an unreadable object is unknown, never missing. Every
//! write is guarded by `resourceVersion` or is idempotent.

mod access;
mod all;
mod authorization;
mod builds;
mod change_stream;
mod client;
mod cluster_extension;
mod cluster_info;
mod conditions;
mod conflict_retry;
mod convert;
mod credentials;
mod dry_run_build;
mod dynamic;
mod error;
mod events;
mod image_config;
mod image_layers;
mod imports;
mod in_cluster;
mod kubeconfig;
mod lease;
mod list_names;
mod olm;
mod olm_conditions;
mod operator;
mod package_manifests;
mod pods;
mod read;
mod resources;
mod service_account;
mod shipwright;
#[cfg(test)]
mod tests;
mod transport;
#[cfg(any(test, fuzzing))]
pub mod untrusted;
mod watch;
mod webhooks;
mod write;

pub use access::ResourceAttributes;
pub use all::ClusterResources;
pub use client::{Cluster, Options};
pub use cluster_extension::Extension;
pub use cluster_info::Platform;
pub use credentials::{CA_KEY, Credentials};
pub use dynamic::{ObjectKind, is_superset};
pub use error::{Cause, ClusterError};
pub use events::{EventInput, EventRecord};
pub use image_config::{ConfigMap, ImageConfig, NodeTrust, TRUST_NAMESPACE};
pub use kubeconfig::{KubeconfigNames, entries};
pub use lease::Lease;
pub use list_names::NameKind;
pub use olm::{Csv, InstallPlan, Subscription};
pub use olm_conditions::OlmCondition;
pub use operator::{
    Crd, Deployment, INSTALLER, OPERATOR_DEPLOYMENTS, OPERATOR_NAMESPACE, Operator, PACKAGE,
    QUAY_INTEGRATION_CRD_NAME, quay_integration_crd,
};
pub use package_manifests::{Channel, Package};
pub use read::{BuildsMode, SecretsMode};
pub use watch::{Content, OtherSecret, Versioned, WatchUpdate};
