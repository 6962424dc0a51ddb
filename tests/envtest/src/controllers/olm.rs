//! The sandbox's Operator Lifecycle Manager on the real API server.

use anyhow::Result;
use sandbox::openshift::olm::{self, Write};
use serde_json::{Value, json};

use super::text;
use crate::api::Api;

/// apiVersion, kind and list path.
type Listing = (&'static str, &'static str, &'static str);

/// Runs one step of OLM. Failed writes are retried in the next round.
pub(super) async fn round(api: &Api) -> Result<()> {
    let mut objects = Vec::new();
    for kind in olm::KINDS {
        objects.extend(list(api, kind).await?);
    }
    if olm::needs_accounts(&objects) {
        objects.extend(list(api, olm::ACCOUNTS).await?);
    }
    let mut outcome = Ok(());
    for write in olm::step(&objects) {
        outcome = outcome.and(apply(api, write).await);
    }
    outcome
}

/// Sets `apiVersion` and `kind`, which lists of built-in kinds omit.
async fn list(api: &Api, (api_version, kind, path): Listing) -> Result<Vec<Value>> {
    let mut objects = api.list(path).await?;
    for object in &mut objects {
        object["apiVersion"] = json!(api_version);
        object["kind"] = json!(kind);
    }
    Ok(objects)
}

async fn apply(api: &Api, write: Write) -> Result<()> {
    match write {
        Write::Create(object) => {
            api.create(&collection(&object), &object).await?;
            if object["status"].is_object() {
                // A create ignores the status of a kind with a status subresource.
                api.merge(
                    &format!("{}/status", path(&object)),
                    &json!({ "status": object["status"] }),
                )
                .await?;
            }
        }
        Write::Status(object) => {
            drop(api.replace(&format!("{}/status", path(&object)), &object).await?)
        }
        Write::Finalizers(object) => {
            let metadata = &object["metadata"];
            let guarded = json!({ "finalizers": metadata["finalizers"], "resourceVersion": metadata["resourceVersion"] });
            api.merge(&path(&object), &json!({ "metadata": guarded })).await?;
        }
        Write::Delete(object) => api.delete(&path(&object)).await?,
    }
    Ok(())
}

fn path(object: &Value) -> String {
    format!("{}/{}", collection(object), text(&object["metadata"]["name"]))
}

/// The list path of the object's kind in its namespace.
fn collection(object: &Value) -> String {
    let listing = olm::KINDS
        .iter()
        .find(|(_, kind, _)| object["kind"] == *kind)
        .map_or("", |(_, _, path)| path);
    let all = listing.split('?').next().unwrap_or_default();
    match (&object["metadata"]["namespace"], all.rsplit_once('/')) {
        (Value::String(namespace), Some((api, plural))) => {
            format!("{api}/namespaces/{namespace}/{plural}")
        }
        _ => all.to_owned(),
    }
}
