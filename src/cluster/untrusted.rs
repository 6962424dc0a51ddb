//! Parsers of kubeconfigs and API responses, for fuzzing: see [`crate::untrusted`].

use std::sync::LazyLock;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use crate::cluster::access::authorization::Authorizer;
use crate::cluster::access::error::Cause;
use crate::cluster::access::{kubeconfig, transport};
use crate::cluster::namespaces::builds;
use crate::cluster::{Options, resources};
use crate::domain::integration::QuayIntegration;
use crate::domain::snapshot::{Build, BuildConfig, ImageStream, Namespace, Secret, ServiceAccount};

/// The client requires a runtime.
static RUNTIME: LazyLock<Option<Runtime>> = LazyLock::new(|| Runtime::new().ok());

/// Includes building the client. Does not run credential plugins.
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
    let (Ok(resolved), Some(runtime)) =
        (kubeconfig::resolve_bytes(bytes, &options), RUNTIME.as_ref())
    else {
        return;
    };
    let _entered = runtime.enter();
    let authorizer = Authorizer::new(resolved.authorization, None);
    let _ = transport::client(&resolved.config, resolved.identity.as_ref(), authorizer, 1);
}

/// A response, parsed as each kind.
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
