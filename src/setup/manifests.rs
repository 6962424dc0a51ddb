//! The objects of a set-up, for a Git repository. The token is never in them.

use serde_json::{Value, json};

use super::steps::{integration, trust};
use super::{Change, ObjectChange, Plan, Setup, Step, Write};
use crate::bridge::integration::SecretKey;
use crate::bridge::names::{MANAGED_BY, MANAGED_BY_LABEL};
use crate::cluster::CA_KEY;

/// Stands where the token goes.
const PLACEHOLDER: &str = "the OAuth token for Quay";

/// The objects of the set-up, those that are there already too: a repository holds all of them. The operator is left out
/// where somebody has installed it. `external` is store and key of an ExternalSecret (External Secrets Operator,
/// `external-secrets.io/v1`) that takes the Secret's place.
pub fn manifests(setup: &Setup, external: Option<&(String, String)>) -> Vec<Value> {
    let key = setup.secret();
    let secret = match external {
        None => secret(setup, &key),
        Some((store, remote)) => external_secret(&key, store, remote),
    };
    let mut objects = created(&setup.plan(Step::Operator));
    objects.push(secret);
    objects.extend(integration::manifest(setup));
    objects.extend(created(&setup.plan(Step::NodeTrust)));
    objects
}

fn created(plan: &Plan) -> Vec<Value> {
    if plan.obstacle.is_some() {
        return vec![];
    }
    let objects = plan.changes.iter().filter_map(|change| match change {
        Change::Object(change) => object(change),
        _ => None,
    });
    objects.collect()
}

/// What has to be written for nodes to trust Quay.
pub fn trust_manifests(setup: &Setup) -> Vec<Value> {
    trust::changes(setup).map(|plan| created(&plan)).unwrap_or_default()
}

/// The object as it is created, or the part of it that is merged.
fn object(change: &ObjectChange) -> Option<Value> {
    match &change.write {
        Write::Create(object) => Some(object.clone()),
        Write::Merge(patch) => {
            let mut object = patch.clone();
            object["apiVersion"] = json!(change.kind.api_version());
            object["kind"] = json!(change.kind.as_str());
            object["metadata"] = json!({ "name": change.name });
            if let Some(namespace) = &change.namespace {
                object["metadata"]["namespace"] = json!(namespace);
            }
            Some(object)
        }
        Write::Delete(_) => None,
    }
}

fn secret(setup: &Setup, key: &SecretKey) -> Value {
    let mut data = json!({ key.key.clone(): PLACEHOLDER });
    if let Some(ca) = &setup.answers.ca {
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
