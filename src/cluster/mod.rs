//! Client for the Kubernetes API: reads the state that the domain needs, and writes changes.
//!
//! Every request goes through `Cluster::send`, which limits concurrency and retries. Reads return
//! [`crate::domain::snapshot::Observed`]: an unreadable object is unknown, never missing. Every
//! write is guarded by `resourceVersion` or is idempotent.

mod access;
mod namespaces;
mod olm;
mod resources;
#[cfg(test)]
mod tests;
#[cfg(any(test, fuzzing))]
pub mod untrusted;

pub use access::access_review::ResourceAttributes;
pub use access::client::{Cluster, Options};
pub use access::error::{Cause, ClusterError};
pub use access::kubeconfig::{KubeconfigNames, entries};
pub use namespaces::all::ClusterResources;
pub use namespaces::credentials::{CA_KEY, Credentials};
pub use namespaces::events::{EventInput, EventRecord};
pub use namespaces::lease::Lease;
pub use namespaces::read::{BuildsMode, SecretsMode};
pub use namespaces::watch::{Content, OtherSecret, Versioned, WatchUpdate};
pub use olm::cluster_extension::Extension;
pub use olm::cluster_info::Platform;
pub use olm::image_config::{ConfigMap, ImageConfig, NodeTrust, TRUST_NAMESPACE};
pub use olm::installation::{Csv, InstallPlan, Subscription};
pub use olm::olm_conditions::OlmCondition;
pub use olm::operator::{
    Crd, Deployment, INSTALLER, OPERATOR_DEPLOYMENTS, OPERATOR_NAMESPACE, Operator, PACKAGE,
    QUAY_INTEGRATION_CRD_NAME, quay_integration_crd,
};
pub use olm::package_manifests::{Channel, Package};
pub use resources::dynamic::{ObjectKind, is_superset};
pub use resources::list_names::NameKind;
