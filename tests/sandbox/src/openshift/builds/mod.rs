//! Builds: from a BuildConfig to an image in a registry.
//!
//! [`instantiate()`] is what `oc start-build` asks for, [`validate`] what the API rejects, and
//! [`round`] the build controller with the pods it starts. The controller is a client of the API as on a real cluster, so
//! webhooks see what it writes, and it plays on any API server that knows Builds. Rules and messages are those of
//! openshift-apiserver `pkg/build` and openshift-controller-manager `pkg/build/controller/build`.
//!
//! Not simulated: sources and base images (every build makes the same small image), triggers, and Jenkins.

mod controller;
mod instantiate;
mod permissions;
mod pod;
mod push_secret;
mod registry;
pub(crate) mod strategy;
pub(crate) mod validate;

use serde_json::Value;

pub use controller::{Client, Round, round};
pub use instantiate::{instantiate, repeat};
pub(crate) use permissions::check_strategy;

use super::kinds::BUILD;
use super::{OpenShift, api};

/// The annotation and the label with the name of a build's BuildConfig.
const CONFIG: &str = "openshift.io/build-config.name";
/// The annotation with a build's number.
const NUMBER: &str = "openshift.io/build.number";
/// The label with the run policy of a build's BuildConfig.
const RUN_POLICY: &str = "openshift.io/build.start-policy";

/// True for every final phase.
fn is_complete(build: &Value) -> bool {
    !matches!(build["status"]["phase"].as_str(), None | Some("New" | "Pending" | "Running"))
}

/// Plays the build controller of the stand-in for as long as the server lives.
pub(crate) async fn run(openshift: OpenShift) {
    let mut changed = openshift.store().subscribe();
    let settle = openshift.cluster().settle;
    loop {
        changed.borrow_and_update();
        let has_work = openshift.store().list(BUILD, None).any(|build| !is_complete(build));
        let outcome = if has_work { round(&api::InProcess(&openshift)).await } else { Round::Idle };
        match outcome {
            Round::Progress => tokio::time::sleep(settle).await,
            // A real controller backs off as well.
            Round::Rejected => tokio::time::sleep(settle * 10).await,
            Round::Idle => {
                if changed.changed().await.is_err() {
                    return;
                }
                tokio::time::sleep(settle).await;
            }
        }
    }
}
