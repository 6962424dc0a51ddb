//! Scripts of requests.

mod access;
mod deletion;
mod discovery;
mod lists;
mod patches;
mod watches;
mod webhooks;
mod writes;

use serde_json::{Value, json};

use crate::step::Script;

const INTEGRATIONS: &str = "/apis/quay.redhat.com/v1/quayintegrations";

pub(crate) fn all() -> Vec<Script> {
    let mut scripts = vec![
        access::rejections(),
        access::reviews(),
        deletion::objects(),
        deletion::namespaces(),
        discovery::discovery(),
        lists::selectors(),
        lists::pages(),
        patches::service_accounts(),
        patches::objects(),
        watches::watches(),
        writes::creates(),
        writes::updates(),
        writes::custom_resources(),
        webhooks::configurations(),
        webhooks::calls(),
    ];
    // These affect other scripts.
    scripts.extend(
        [watches::expiry(), deletion::definitions()]
            .map(|script| Script { is_alone: true, ..script }),
    );
    scripts
}

fn secret(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"token": "t"}})
}

/// A valid QuayIntegration.
fn integration(name: &str) -> Value {
    json!({
        "apiVersion": "quay.redhat.com/v1", "kind": "QuayIntegration", "metadata": {"name": name},
        "spec": {
            "clusterID": "openshift", "quayHostname": "https://quay.example.com",
            "credentialsSecret": {"namespace": "openshift-operators", "name": "quay-integration"},
        },
    })
}

/// Merge patch; `null` removes a field.
fn with(mut object: Value, change: Value) -> Value {
    merge(&mut object, change);
    object
}

fn merge(object: &mut Value, change: Value) {
    match (object, change) {
        (Value::Object(fields), Value::Object(changes)) => {
            for (key, value) in changes {
                match value {
                    Value::Null => drop(fields.remove(&key)),
                    value => merge(fields.entry(key).or_insert(Value::Null), value),
                }
            }
        }
        (object, change) => *object = change,
    }
}
