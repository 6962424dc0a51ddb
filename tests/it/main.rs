//! The integration suite: it runs the built program over real HTTP and TLS, against the sandbox, or, where
//! `KUBEBUILDER_ASSETS` names a folder with them, against a real etcd and kube-apiserver with the sandbox's Quay.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "these are tests")]

mod support;

mod findings;
mod interrupted;
mod link;
