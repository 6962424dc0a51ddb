//! Connections to the API server: kubeconfig, credentials, proxies, retries and errors.

pub(in crate::cluster) mod access_review;
pub(in crate::cluster) mod authorization;
pub(in crate::cluster) mod client;
pub(in crate::cluster) mod conflict_retry;
pub(in crate::cluster) mod error;
pub(in crate::cluster) mod in_cluster;
pub(in crate::cluster) mod kubeconfig;
pub(in crate::cluster) mod transport;
