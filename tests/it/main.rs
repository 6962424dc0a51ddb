//! The integration suite: it runs the built program over real HTTP and TLS, against the sandbox, or, where
//! `KUBEBUILDER_ASSETS` names a folder with them, against a real etcd and kube-apiserver with the sandbox's Quay.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "these are tests"
)]

mod support;

mod bad_input;
mod builds;
mod builds_e2e;
#[cfg(unix)]
mod completion;
mod concurrent_runs;
mod crash_recovery;
mod docs;
mod faults;
mod findings;
mod html_report;
mod images;
mod import;
mod layout;
mod link;
mod onboarding;
mod output;
mod ownership;
mod project_user;
#[cfg(unix)]
mod prompts;
mod repair;
mod request_budget;
mod run;
mod run_imports;
mod run_in_cluster;
mod scope;
mod secret_leaks;
mod setup_cluster;
mod setup_concurrent_runs;
mod setup_controller;
mod setup_crash_recovery;
mod setup_extension;
mod setup_faults;
mod setup_integration;
mod setup_operator;
mod setup_quay;
mod setup_secret;
mod setup_token;
mod setup_trust;
mod soak;
mod status;
mod style;
mod teardown;
mod tenant_isolation;
mod unlink;
mod webhook;
#[cfg(unix)]
mod wizard;
