//! Manifests of the integration for a Git repository, without the token.

use serde_json::{Value, json};

use super::steps::{integration, node_trust, operator, user_role};
use super::{NodeTrust, SetupSession};
use crate::cluster::CA_KEY;
use crate::domain::integration::SecretKey;
use crate::domain::names::{MANAGED_BY, MANAGED_BY_LABEL};
use crate::printable::printable_line;

/// Value of the token in the Secret's manifest.
const PLACEHOLDER: &str = "the OAuth token for Quay";

/// All manifests, including those of existing objects. An operator that others installed is left
/// out, and so is the Secret unless it is known to be missing: see [`left_out_comment`]. `external`
/// is the store and key of an ExternalSecret (External Secrets Operator, `external-secrets.io/v1`)
/// that replaces the Secret.
pub fn manifests(setup: &SetupSession, external: Option<&(String, String)>) -> Vec<Value> {
    let key = setup.secret();
    let secret = match external {
        None => is_missing(setup).then(|| secret(setup, &key)),
        Some((store, remote)) => Some(external_secret(&key, store, remote)),
    };
    let mut objects = operator::manifests(setup);
    objects.extend(secret);
    objects.extend(integration::manifest(setup));
    objects.extend(user_role::manifests(setup));
    if matches!(setup.options.node_trust, Some(NodeTrust::Apply | NodeTrust::Print)) {
        objects.extend(node_trust::manifests(setup));
    }
    objects
}

/// A YAML comment about the omitted Secret: applying one with a placeholder would overwrite the
/// token.
pub fn left_out_comment(
    setup: &SetupSession,
    external: Option<&(String, String)>,
) -> Option<String> {
    if external.is_some() || is_missing(setup) {
        return None;
    }
    let key = setup.secret();
    let why = match &setup.found.credentials {
        Ok(_) => "exists: applying one with a placeholder would overwrite its token".to_owned(),
        Err(unread) => format!(
            "might exist ({unread}): applying one with a placeholder would overwrite its token"
        ),
    };
    let comment =
        format!("Secret {} in namespace {} is left out, since it {why}", key.name, key.namespace);
    Some(format!("# {}\n", printable_line(&comment)))
}

fn is_missing(setup: &SetupSession) -> bool {
    setup.found.credentials.as_ref().is_ok_and(|credentials| !credentials.exists())
}

pub fn trust_manifests(setup: &SetupSession) -> Vec<Value> {
    node_trust::manifests(setup)
}

fn secret(setup: &SetupSession, key: &SecretKey) -> Value {
    let mut data = json!({ key.key.clone(): PLACEHOLDER });
    if let Some(ca) = setup.ca() {
        data[CA_KEY] = json!(String::from_utf8_lossy(ca));
    }
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": key.name, "namespace": key.namespace, "labels": { MANAGED_BY_LABEL: MANAGED_BY } },
        "type": "Opaque",
        "stringData": data,
    })
}

fn external_secret(key: &SecretKey, store: &str, remote: &str) -> Value {
    json!({
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": { "name": key.name, "namespace": key.namespace, "labels": { MANAGED_BY_LABEL: MANAGED_BY } },
        "spec": {
            "secretStoreRef": { "kind": "ClusterSecretStore", "name": store },
            "target": { "name": key.name },
            "data": [{ "secretKey": key.key, "remoteRef": { "key": remote } }],
        },
    })
}
