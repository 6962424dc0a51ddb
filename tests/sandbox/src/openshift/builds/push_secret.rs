//! Which secret a build pushes with (openshift-controller-manager `resolveImageSecretAsReference`).

use serde_json::Value;

use super::super::credentials;
use super::super::meta;

/// The first secret with credentials for the image, else the first pull secret at all, which then will not do. `secrets` are
/// those in the service account's `secrets` that exist, in its order.
pub(super) fn choose<'a>(secrets: &'a [Value], image: &str) -> Option<&'a str> {
    let fits = |secret: &&Value| credentials::first_credential(&[*secret], image).is_some();
    let is_pull_secret = |secret: &&Value| {
        matches!(
            secret["type"].as_str(),
            Some("kubernetes.io/dockerconfigjson" | "kubernetes.io/dockercfg")
        )
    };
    secrets.iter().find(fits).or_else(|| secrets.iter().find(is_pull_secret)).map(meta::name)
}
