//! Deletion of namespaces, as in the namespace controller (k8s.io/kubernetes,
//! pkg/controller/namespace/deletion).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::text;
use crate::api::Api;
use crate::kinds::{self, Collection};

/// Arbitrary.
const LONG_AGO: &str = "1970-01-01T00:00:00Z";

/// Objects that remain after the deletion, waiting for finalizers.
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

/// The namespaces of each kind, from one list request per kind.
pub(crate) struct Content(Vec<(Collection, BTreeSet<String>)>);

impl Content {
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

/// Advances the deletion of a namespace. Once its content is deleted, `kubernetes` is removed from
/// `spec.finalizers`; the API server deletes the namespace when `metadata.finalizers` is empty too.
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

/// They cover the content only, not finalizers of the namespace itself.
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
