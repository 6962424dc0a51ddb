//! The OpenShift side: a client made from the kubeconfig, reading what the domain needs to know, and the few writes.
//!
//! Every call goes through one door, `Cluster::send`, which bounds how many are under way, retries what is safe to
//! retry, and turns failures into sentences. Reading answers a [`crate::bridge::snapshot::Observed`]: what could not be
//! read is unknown, never absent. Every write is guarded by the version of the object it was planned for, or does
//! nothing when it was done before.

mod access;
mod all;
mod authorization;
mod builds;
mod client;
mod conditions;
mod credentials;
mod error;
mod event;
mod extension;
mod follow;
mod imports;
mod kinds;
mod kubeconfig;
mod layers;
mod lease;
mod names;
mod objects;
mod olm;
mod operator;
mod packages;
mod platform;
mod pod;
mod pods;
mod problem;
mod read;
mod reduce;
mod service_account;
mod shipwright;
#[cfg(test)]
mod tests;
mod transport;
mod trial;
mod tries;
mod trust;
#[cfg(any(test, fuzzing))]
pub mod untrusted;
mod watch;
mod webhooks;
mod write;

pub use access::ResourceAttributes;
pub use all::ClusterResources;
pub use client::{Cluster, Options};
pub use credentials::{CA_KEY, Credentials};
pub use error::{Cause, ClusterError};
pub use event::{EventInput, EventRecord};
pub use extension::Extension;
pub use follow::{Content, OtherSecret, Versioned, WatchUpdate};
pub use kubeconfig::{KubeconfigNames, entries};
pub use lease::Lease;
pub use names::NameKind;
pub use objects::{ObjectKind, holds};
pub use olm::{Csv, InstallPlan, Subscription};
pub use operator::{
    Crd, Deployment, INSTALLER, OPERATOR_DEPLOYMENTS, OPERATOR_NAMESPACE, Operator, PACKAGE, QUAY_INTEGRATION_CRD_NAME,
    quay_integration_crd,
};
pub use packages::{Channel, Package};
pub use platform::Platform;
pub use problem::OlmCondition;
pub(crate) use read::not_wanted;
pub use read::{BuildsMode, NamespaceResources, SecretsMode};
pub use trust::{ConfigMap, ImageConfig, NodeTrust, TRUST_NAMESPACE};
