//! The objects that the domain reads and writes: lists, watches, builds, secrets, Events and the Lease.

pub(in crate::cluster) mod all;
pub(in crate::cluster) mod builds;
pub(in crate::cluster) mod change_stream;
pub(in crate::cluster) mod conditions;
pub(in crate::cluster) mod credentials;
pub(in crate::cluster) mod dry_run_build;
pub(in crate::cluster) mod events;
pub(in crate::cluster) mod image_layers;
pub(in crate::cluster) mod imports;
pub(in crate::cluster) mod lease;
pub(in crate::cluster) mod pods;
pub(in crate::cluster) mod read;
pub(in crate::cluster) mod service_account;
pub(in crate::cluster) mod shipwright;
pub(in crate::cluster) mod watch;
pub(in crate::cluster) mod webhooks;
pub(in crate::cluster) mod write;
