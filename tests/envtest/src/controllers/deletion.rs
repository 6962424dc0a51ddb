//! What happens to a namespace that is being deleted, as the namespace controller does it
//! (k8s.io/kubernetes, pkg/controller/namespace/deletion).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::text;
use crate::api::Api;
use crate::kinds::{self, Collection};

/// The start of Unix time: nothing depends on when a condition changed.
const LONG_AGO: &str = "1970-01-01T00:00:00Z";

/// What is left after everything was told to go: objects that wait for their finalizers.
#[derive(Default)]
pub(crate) struct Remains {
    by_resource: BTreeMap<String, usize>,
    by_finalizer: BTreeMap<String, usize>,
}

impl Remains {
    fn note(&mut self, resource: &str, object: &Value) {
        *self.by_resource.entry(resource.to_owned()).or_default() += 1;
        for finalizer in object["metadata"]["finalizers"].as_array().into_iter().flatten() {
            *self.by_finalizer.entry(text(finalizer)).or_default() += 1;
        }
    }
}

/// What namespaces hold, each kind by the namespaces it is in: a list of everything is one request, however many there are.
pub(crate) struct Content(Vec<(Collection, BTreeSet<String>)>);

impl Content {
    /// Reads it.
    pub(crate) async fn read(api: &Api) -> Result<Self> {
        let lists = kinds::content().map(|collection| async {
            let objects = api.list(&collection.everywhere()).await?;
            let namespaces =
                objects.iter().map(|object| text(&object["metadata"]["namespace"])).collect();
            anyhow::Ok((collection, namespaces))
        });
        Ok(Self(try_join_all(lists).await?))
    }
}

/// Deletes all that `namespace` holds.
pub(crate) async fn empty(api: &Api, content: &Content, namespace: &str) -> Result<Remains> {
    let mut remains = Remains::default();
    for (collection, _) in content.0.iter().filter(|(_, namespaces)| namespaces.contains(namespace))
    {
        let path = collection.in_namespace(namespace);
        api.delete(&path).await?;
        for object in api.list(&path).await? {
            remains.note(&collection.resource, &object);
        }
    }
    Ok(remains)
}

/// Takes the deletion of `namespace` a step on. The API server removes it once its content is gone, which we say by
/// taking `kubernetes` off `spec.finalizers`, and `metadata.finalizers` is empty, which is up to whoever is in there.
pub(super) async fn finish(api: &Api, content: &Content, namespace: &Value) -> Result<()> {
    if namespace["spec"]["finalizers"].as_array().is_none_or(Vec::is_empty) {
        return Ok(());
    }
    let name = text(&namespace["metadata"]["name"]);
    let path = format!("/api/v1/namespaces/{name}");
    let remains = empty(api, content, &name).await?;

    let mut namespace = namespace.clone();
    namespace["status"]["conditions"] = conditions(&remains);
    let mut namespace = api.replace(&format!("{path}/status"), &namespace).await?;
    if remains.by_resource.is_empty() {
        namespace["spec"]["finalizers"] = json!([]);
        api.replace(&format!("{path}/finalize"), &namespace).await?;
    }
    Ok(())
}

/// The conditions of a namespace in deletion. They speak of its content only: a finalizer of the namespace itself is
/// in none of them.
fn conditions(remains: &Remains) -> Value {
    let counts = |counts: &BTreeMap<String, usize>, verb: &str| {
        let parts: Vec<String> = counts
            .iter()
            .map(|(what, count)| format!("{what} {verb} {count} resource instances"))
            .collect();
        parts.join(", ")
    };
    let content = match remains.by_resource.is_empty() {
        true => ("ContentRemoved", "All content successfully removed".to_owned()),
        false => (
            "SomeResourcesRemain",
            format!("Some resources are remaining: {}", counts(&remains.by_resource, "has")),
        ),
    };
    let finalizers = match remains.by_finalizer.is_empty() {
        true => ("ContentHasNoFinalizers", "All content-preserving finalizers finished".to_owned()),
        false => (
            "SomeFinalizersRemain",
            format!(
                "Some content in the namespace has finalizers remaining: {}",
                counts(&remains.by_finalizer, "in")
            ),
        ),
    };
    json!([
        condition(
            "NamespaceDeletionDiscoveryFailure",
            false,
            "ResourcesDiscovered",
            "All resources successfully discovered"
        ),
        condition(
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed"
        ),
        condition(
            "NamespaceDeletionContentFailure",
            false,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization"
        ),
        condition(
            "NamespaceContentRemaining",
            !remains.by_resource.is_empty(),
            content.0,
            &content.1
        ),
        condition(
            "NamespaceFinalizersRemaining",
            !remains.by_finalizer.is_empty(),
            finalizers.0,
            &finalizers.1
        ),
    ])
}

fn condition(kind: &str, holds: bool, reason: &str, message: &str) -> Value {
    let status = if holds { "True" } else { "False" };
    json!({ "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": LONG_AGO })
}
