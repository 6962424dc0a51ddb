//! The OpenShift side: a client made from the kubeconfig, reading what the domain needs to know, and the few writes.
//!
//! Every call goes through one door, `Cluster::send`, which bounds how many are under way, retries what is safe to
//! retry, and turns failures into sentences. Reading answers a [`crate::bridge::snapshot::Read`]: what could not be
//! read is unknown, never absent. Every write is guarded by the version of the object it was planned for, or does
//! nothing when it was done before.

mod all;
mod client;
mod error;
mod kinds;
mod kubeconfig;
mod read;
mod reduce;
mod service_account;
#[cfg(test)]
mod tests;
mod tries;
mod watch;
mod write;

pub use all::AllParts;
pub use client::{Cluster, Options};
pub use error::{Cause, ClusterError};
pub use read::{Parts, Secrets};
