//! The cluster and the operator in it: versions, OLM, the CRD, and the trust of nodes.

pub(in crate::cluster) mod cluster_extension;
pub(in crate::cluster) mod cluster_info;
pub(in crate::cluster) mod image_config;
pub(in crate::cluster) mod installation;
pub(in crate::cluster) mod olm_conditions;
pub(in crate::cluster) mod operator;
pub(in crate::cluster) mod package_manifests;
