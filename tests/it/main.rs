//! The integration suite: it runs the built program over real HTTP and TLS, against the sandbox, or, where
//! `KUBEBUILDER_ASSETS` names a folder with them, against a real etcd and kube-apiserver with the sandbox's Quay.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "these are tests")]

mod support;

mod bad_input;
mod building;
mod builds;
#[cfg(unix)]
mod completion;
mod cost;
mod docs;
mod endurance;
mod faults;
mod findings;
mod first_run;
mod images;
mod import;
mod interrupted;
mod leaks;
mod link;
mod output;
mod ownership;
mod page;
mod project_user;
#[cfg(unix)]
mod prompts;
mod repair;
mod run;
mod run_imports;
mod run_in_cluster;
mod scope;
mod setup_bridge;
mod setup_cluster;
mod setup_extension;
mod setup_faults;
mod setup_integration;
mod setup_interrupted;
mod setup_operator;
mod setup_quay;
mod setup_secret;
mod setup_together;
mod setup_token;
mod setup_trust;
mod status;
mod teardown;
mod tenants;
mod together;
mod unlink;
mod webhook;
#[cfg(unix)]
mod wizard;
