//! What reads bytes of kubeconfigs and API servers, without the connection: see [`crate::untrusted`].

use std::sync::LazyLock;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use super::authorization::Authorizer;
use super::error::Cause;
use super::{Options, builds, kubeconfig, resources, transport};
use crate::domain::integration::QuayIntegration;
use crate::domain::snapshot::{Build, BuildConfig, ImageStream, Namespace, Secret, ServiceAccount};

/// Some part of a client needs one to be made.
static RUNTIME: LazyLock<Option<Runtime>> = LazyLock::new(|| Runtime::new().ok());

/// A kubeconfig, up to the client that is made of it. No credential plugin is run.
pub fn kubeconfig(bytes: &[u8]) {
    let options = Options {
        kubeconfig: None,
        context: None,
        cluster: None,
        user: None,
        impersonate: None,
        impersonate_groups: vec![],
        impersonate_uid: None,
        timeout: Duration::ZERO,
        concurrency: 1,
    };
    let (Ok(choice), Some(runtime)) = (kubeconfig::choice_in(bytes, &options), RUNTIME.as_ref())
    else {
        return;
    };
    let _entered = runtime.enter();
    let authorizer = Authorizer::new(choice.authorization, None);
    // What is wrong with it is a sentence.
    let _ = transport::client(&choice.config, choice.identity.as_ref(), authorizer, 1);
}

/// An answer, as each of the objects that it may be.
pub fn api_server(bytes: &[u8]) {
    for status in [200, 401, 404, 409, 500] {
        let _ = Cause::from_response("https://api.one", status, bytes).to_string();
    }
    read::<resources::Namespace, Namespace>(bytes);
    read::<resources::ServiceAccount, ServiceAccount>(bytes);
    read::<resources::Secret, Secret>(bytes);
    read::<resources::ImageStream, ImageStream>(bytes);
    read::<resources::QuayIntegration, QuayIntegration>(bytes);
    read::<builds::StoredBuildConfig, BuildConfig>(bytes);
    read::<builds::StoredBuild, Build>(bytes);
}

fn read<T: DeserializeOwned, U: From<T>>(bytes: &[u8]) {
    let _ = serde_json::from_slice::<T>(bytes).map(U::from);
}
