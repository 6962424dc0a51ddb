//! Idempotent writes, except for those of service accounts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Request;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize as _;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use crate::cluster::access::client::Cluster;
use crate::cluster::access::conflict_retry::ConflictRetry;
use crate::cluster::access::error::{CONFLICT_HINT, ClusterError};
use crate::cluster::resources::convert::{DOCKERCONFIGJSON, DOCKERCONFIGJSON_KEY};
use crate::cluster::resources::{self, Kind, NAMESPACES, QUAY_INTEGRATIONS, SECRETS};
use crate::domain::change::ScopeEdit;
use crate::domain::dockerconfig::AuthEntry;
use crate::domain::integration::QuayIntegration;
use crate::domain::names::{
    FINALIZER, LINKED_ANNOTATION, MANAGED_BY, MANAGED_BY_LABEL, OPERATOR_FINALIZER,
    secret_annotations, spare_secret,
};
use crate::domain::snapshot::Secret;

impl Cluster {
    /// Edits the namespace lists of the QuayIntegration. Returns the effective edit, which differs
    /// from `edit` if the lists were changed since it was planned.
    ///
    /// # Errors
    /// Also unless exactly one QuayIntegration exists.
    pub async fn edit_scope(&self, edit: &ScopeEdit) -> Result<ScopeEdit, ClusterError> {
        let mut retry = ConflictRetry::default();
        loop {
            let found: Vec<QuayIntegration> = self
                .list::<resources::QuayIntegration, _>(&QUAY_INTEGRATIONS, None, Default::default())
                .await?;
            let [resource] = found.as_slice() else {
                let reason =
                    format!("exactly one QuayIntegration is required, found {}", found.len());
                return Err(ClusterError::other(
                    "edit the namespace lists of the QuayIntegration",
                    reason,
                ));
            };
            let (effective, spec) = edited_lists(resource, edit);
            if effective.is_empty() {
                return Ok(effective);
            }
            let patch = json!({ "metadata": { "resourceVersion": resource.resource_version }, "spec": spec });
            match self.merge(&QUAY_INTEGRATIONS, None, &resource.name, &patch).await {
                Err(error) if error.is_conflict() => retry.backoff(error).await?,
                done => return done.map(|()| effective),
            }
        }
    }

    /// Sets or removes the annotation of a namespace that was linked on request.
    pub async fn set_linked_annotation(
        &self,
        name: &str,
        linked: bool,
    ) -> Result<(), ClusterError> {
        let value = if linked { json!("true") } else { Value::Null };
        let patch = json!({ "metadata": { "annotations": { LINKED_ANNOTATION: value } } });
        match self.merge(&NAMESPACES, None, name, &patch).await {
            Err(error) if error.is_not_found() && !linked => Ok(()),
            done => done,
        }
    }

    pub async fn remove_operator_finalizer(&self, name: &str) -> Result<(), ClusterError> {
        self.edit_finalizer(name, OPERATOR_FINALIZER, false).await
    }

    /// Adds or removes our finalizer.
    ///
    /// # Errors
    /// Also if it is to be added to a namespace that is being deleted.
    pub async fn set_finalizer(&self, name: &str, present: bool) -> Result<(), ClusterError> {
        self.edit_finalizer(name, FINALIZER, present).await
    }

    async fn edit_finalizer(
        &self,
        name: &str,
        finalizer: &str,
        wanted: bool,
    ) -> Result<(), ClusterError> {
        let mut retry = ConflictRetry::default();
        loop {
            let Some(namespace) = self.get::<resources::Namespace>(&NAMESPACES, None, name).await?
            else {
                return Ok(());
            };
            let mut finalizers = namespace.metadata.finalizers.unwrap_or_default();
            if finalizers.iter().any(|found| found == finalizer) == wanted {
                return Ok(());
            }
            finalizers.retain(|found| found != finalizer);
            finalizers.extend(wanted.then(|| finalizer.to_owned()));
            let metadata = json!({ "resourceVersion": namespace.metadata.resource_version, "finalizers": finalizers });
            match self.merge(&NAMESPACES, None, name, &json!({ "metadata": metadata })).await {
                Err(error) if error.is_conflict() => retry.backoff(error).await?,
                Err(error) if error.is_not_found() => return Ok(()),
                done => return done,
            }
        }
    }

    pub async fn find_secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Secret>, ClusterError> {
        Ok(self.get::<resources::Secret>(&SECRETS, Some(namespace), name).await?.map(Secret::from))
    }

    /// Creates a secret of type `kubernetes.io/dockerconfigjson` with our label and entry, and
    /// returns it.
    ///
    /// # Errors
    /// Also if a secret exists: its content might be newer than the entry.
    pub async fn create_secret(
        &self,
        namespace: &str,
        name: &str,
        entry: &AuthEntry<'_>,
    ) -> Result<Secret, ClusterError> {
        let secret = replacement(json!({}), name, entry);
        Ok(self
            .create_as::<resources::Secret>(&SECRETS, Some(namespace), name, &secret)
            .await?
            .into())
    }

    /// Writes an entry into a secret at `version` and keeps the rest. Concurrent changes might be
    /// newer than the entry and are not overwritten: the next run decides.
    ///
    /// # Errors
    /// Also if it was deleted or changed otherwise.
    pub async fn update_secret(
        &self,
        namespace: &str,
        name: &str,
        entry: &AuthEntry<'_>,
        version: &str,
    ) -> Result<Secret, ClusterError> {
        let content =
            |secret: &resources::Secret| secret.value(DOCKERCONFIGJSON_KEY).ok().flatten();
        let has_entry = |secret: &resources::Secret| {
            content(secret).is_some_and(|content| entry.is_in(&content))
        };
        let found = self.get::<resources::Secret>(&SECRETS, Some(namespace), name).await?;
        let before = found.as_ref().and_then(content);
        if let Some(found) = found.filter(has_entry) {
            return Ok(found.into());
        }
        let metadata =
            json!({ "resourceVersion": version, "annotations": secret_annotations(name) });
        let patch = json!({ "metadata": metadata, "data": { DOCKERCONFIGJSON_KEY: encoded(&entry.render(before.as_ref())) } });
        match self.merge_as::<resources::Secret>(&SECRETS, Some(namespace), name, &patch).await {
            Err(error) if error.is_conflict() => {
                let secret = self.get::<resources::Secret>(&SECRETS, Some(namespace), name).await?;
                secret
                    .filter(has_entry)
                    .map(Secret::from)
                    .ok_or_else(|| error.with_message(CONFLICT_HINT))
            }
            done => Ok(done?.into()),
        }
    }

    /// Replaces a secret of the wrong type at `version`, as a secret's type is immutable. A copy
    /// with all of its content is stored under another name before the secret is deleted. The copy
    /// is deleted only after the new secret exists: after an error it might be the only copy of
    /// others' content. The next run compares both and continues.
    ///
    /// # Errors
    /// Also on a conflict.
    pub async fn replace_secret(
        &self,
        namespace: &str,
        name: &str,
        entry: &AuthEntry<'_>,
        version: &str,
    ) -> Result<Secret, ClusterError> {
        let (kind, place, spare) = (&SECRETS, Some(namespace), &spare_secret(name));
        let stored = match self.get::<Value>(kind, place, name).await? {
            Some(found) if found["type"] == DOCKERCONFIGJSON => {
                return self.update_secret(namespace, name, entry, version).await;
            }
            Some(old) if old["metadata"]["resourceVersion"] != version => {
                return Err(ClusterError::conflict(format!(
                    "replace {}",
                    kind.describe(place, name)
                )));
            }
            Some(old) => {
                let stored = self.store_replacement(namespace, &old, spare, entry).await?;
                self.delete_as_read(namespace, &old).await?;
                Some(stored)
            }
            None => self.get::<Value>(kind, place, spare).await?.filter(is_ours),
        };
        let Some(stored) = stored else { return self.create_secret(namespace, name, entry).await };
        let written = self
            .create_as::<resources::Secret>(
                kind,
                place,
                name,
                &replacement(stored.clone(), name, entry),
            )
            .await?;
        self.delete_as_read(namespace, &stored).await?;
        Ok(written.into())
    }

    /// Stores the copy under another name. One that an interrupted replacement left is reused if
    /// equal, and deleted if the secret contains all of its content.
    ///
    /// # Errors
    /// Also if a secret of that name is not ours or has other content.
    async fn store_replacement(
        &self,
        namespace: &str,
        old: &Value,
        spare: &str,
        entry: &AuthEntry<'_>,
    ) -> Result<Value, ClusterError> {
        let (kind, place) = (&SECRETS, Some(namespace));
        let wanted = replacement(old.clone(), spare, entry);
        if let Some(found) = self.get::<Value>(kind, place, spare).await? {
            let conflict = |why: &str| {
                Err(ClusterError::other(format!("delete {}", kind.describe(place, spare)), why))
            };
            if !is_ours(&found) {
                return conflict(
                    "it does not have our label, and its name is required to replace another secret",
                );
            }
            if replacement(found.clone(), spare, entry) == wanted {
                return Ok(found);
            }
            let read =
                |secret: &Value| resources::Secret::deserialize(secret).ok().map(Secret::from);
            let is_covered = read(&found)
                .is_some_and(|found| found.is_covered_by(read(old).as_ref(), entry.place.host));
            if !is_covered {
                return conflict("it has content that the original secret lacks");
            }
            self.delete_as_read(namespace, &found).await?;
        }
        self.create_as(kind, place, spare, &wanted).await
    }

    /// Deletes a secret if unchanged; a missing one is accepted.
    ///
    /// # Errors
    /// Also if it was changed or recreated: others might have added content.
    pub async fn delete_secret(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        version: &str,
    ) -> Result<(), ClusterError> {
        let same =
            Preconditions { uid: Some(uid.to_owned()), resource_version: Some(version.to_owned()) };
        let params = DeleteParams::default().preconditions(same);
        match self.delete(&SECRETS, Some(namespace), name, &params).await {
            Err(error) if error.is_conflict() => Err(error.with_message(CONFLICT_HINT)),
            deleted => deleted,
        }
    }

    async fn delete_as_read(&self, namespace: &str, secret: &Value) -> Result<(), ClusterError> {
        let field = |name: &str| secret["metadata"][name].as_str().unwrap_or_default();
        self.delete_secret(namespace, field("name"), field("uid"), field("resourceVersion")).await
    }

    pub(in crate::cluster) async fn create(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        object: &Value,
    ) -> Result<(), ClusterError> {
        self.create_as::<IgnoredAny>(kind, namespace, name, object).await.map(|_| ())
    }

    async fn create_as<T: DeserializeOwned>(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        object: &Value,
    ) -> Result<T, ClusterError> {
        let request = Request::new(kind.path(namespace))
            .create(&PostParams::default(), object.to_string().into());
        self.send(&format!("create {}", kind.describe(namespace, name)), request).await
    }

    /// With a `resourceVersion` in the patch, the API server rejects a stale one (409).
    pub(in crate::cluster) async fn merge(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        patch: &Value,
    ) -> Result<(), ClusterError> {
        self.merge_as::<IgnoredAny>(kind, namespace, name, patch).await.map(|_| ())
    }

    pub(in crate::cluster) async fn merge_as<T: DeserializeOwned>(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        patch: &Value,
    ) -> Result<T, ClusterError> {
        let request = Request::new(kind.path(namespace)).patch(
            name,
            &PatchParams::default(),
            &Patch::Merge(patch),
        );
        self.send(&format!("update {}", kind.describe(namespace, name)), request).await
    }

    /// A missing object is accepted.
    pub(in crate::cluster) async fn delete(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
        params: &DeleteParams,
    ) -> Result<(), ClusterError> {
        let request = Request::new(kind.path(namespace)).delete(name, params);
        let call = format!("delete {}", kind.describe(namespace, name));
        match self.send::<IgnoredAny>(&call, request).await {
            Err(error) if error.is_not_found() => Ok(()),
            done => done.map(|_| ()),
        }
    }
}

/// The replacement of a secret, of type `kubernetes.io/dockerconfigjson`: with our label and entry,
/// and all content of others.
fn replacement(mut secret: Value, name: &str, entry: &AuthEntry<'_>) -> Value {
    let before = secret["data"][DOCKERCONFIGJSON_KEY].as_str();
    let before = before
        .and_then(|text| String::from_utf8(STANDARD.decode(text).ok()?).ok())
        .map(SecretString::from);
    let mut data = secret["data"].take();
    let mut metadata = json!({ "name": name });
    for kept in ["labels", "annotations", "ownerReferences"] {
        if let Some(value) = secret["metadata"].get_mut(kept) {
            metadata[kept] = value.take();
        }
    }
    metadata["labels"][MANAGED_BY_LABEL] = json!(MANAGED_BY);
    for (annotation, value) in secret_annotations(name) {
        metadata["annotations"][annotation] = json!(value);
    }
    data[DOCKERCONFIGJSON_KEY] = encoded(&entry.render(before.as_ref()));
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": DOCKERCONFIGJSON, "data": data })
}

fn is_ours(secret: &Value) -> bool {
    secret["metadata"]["labels"][MANAGED_BY_LABEL] == MANAGED_BY
}

fn encoded(content: &SecretString) -> Value {
    json!(STANDARD.encode(content.expose_secret()))
}

/// The effective edit, and the lists that it changes.
fn edited_lists(resource: &QuayIntegration, edit: &ScopeEdit) -> (ScopeEdit, Value) {
    let (mut allow, mut deny) = (resource.allow.clone(), resource.deny.clone());
    edit.apply(&mut allow, &mut deny);
    let effective = ScopeEdit::between([&resource.allow, &resource.deny], [&allow, &deny]);
    let mut lists = serde_json::Map::new();
    if allow != resource.allow {
        lists.insert("allowlistNamespaces".into(), json!(allow));
    }
    if deny != resource.deny {
        lists.insert("denylistNamespaces".into(), json!(deny));
    }
    (effective, Value::Object(lists))
}
