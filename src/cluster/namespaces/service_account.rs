//! Edits of service accounts. Their lists are shared with OpenShift and other writers, so they are
//! never written as a whole.
//!
//! `imagePullSecrets` has no merge key: merge patch, strategic merge patch and apply all replace
//! the list (kube-apiserver 1.34). A JSON patch adds or removes one entry and tests the
//! `resourceVersion`.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, TestOperation};
use kube::api::{Patch, PatchParams};
use kube::core::Request;
use serde_json::{Value, json};

use crate::cluster::access::client::Cluster;
use crate::cluster::access::conflict_retry::ConflictRetry;
use crate::cluster::access::error::ClusterError;
use crate::cluster::resources::{self, SERVICE_ACCOUNTS};
use crate::domain::change::ServiceAccountEdit;
use crate::domain::names::ROLE_ANNOTATION;
use crate::domain::snapshot::ServiceAccount;

impl Cluster {
    /// Edits a service account, first based on `seen` without reading it, and after a conflict
    /// based on its current state. Returns the result, or none if there is nothing to change.
    ///
    /// # Errors
    /// Also if it is missing, unless the edit only removes.
    pub async fn edit_service_account(
        &self,
        namespace: &str,
        name: &str,
        seen: Option<&ServiceAccount>,
        edit: &ServiceAccountEdit,
    ) -> Result<Option<ServiceAccount>, ClusterError> {
        let mut next = match seen {
            // OpenShift annotates every service account. Without annotations, the first attempt is
            // rejected.
            Some(seen) => json_patch(seen, true, edit),
            None => self.current_patch(namespace, name, edit).await?,
        };
        let mut retry = ConflictRetry::default();
        while let Some(patch) = next {
            match self.apply(namespace, name, &patch).await {
                Err(error) if error.is_conflict() || error.is_unprocessable() => {
                    retry.backoff(error.clone()).await?;
                    next = self.current_patch(namespace, name, edit).await?;
                    if error.is_unprocessable() && next.as_ref() == Some(&patch) {
                        return Err(error);
                    }
                }
                Err(error) if error.is_not_found() && !is_addition(edit) => return Ok(None),
                done => return done.map(Some),
            }
        }
        Ok(None)
    }

    /// The patch for the current service account.
    async fn current_patch(
        &self,
        namespace: &str,
        name: &str,
        edit: &ServiceAccountEdit,
    ) -> Result<Option<json_patch::Patch>, ClusterError> {
        match self
            .get::<resources::ServiceAccount>(&SERVICE_ACCOUNTS, Some(namespace), name)
            .await?
        {
            Some(account) => {
                let annotated = account.metadata.annotations.is_some();
                Ok(json_patch(&account.into(), annotated, edit))
            }
            None if is_addition(edit) => Err(ClusterError::other(
                edit_call(namespace, name),
                "the service account does not exist",
            )),
            None => Ok(None),
        }
    }

    async fn apply(
        &self,
        namespace: &str,
        name: &str,
        patch: &json_patch::Patch,
    ) -> Result<ServiceAccount, ClusterError> {
        let patch = Patch::Json::<()>(patch.clone());
        let request = Request::new(SERVICE_ACCOUNTS.path(Some(namespace))).patch(
            name,
            &PatchParams::default(),
            &patch,
        );
        Ok(self
            .send::<resources::ServiceAccount>(&edit_call(namespace, name), request)
            .await?
            .into())
    }
}

fn edit_call(namespace: &str, name: &str) -> String {
    format!("edit {}", SERVICE_ACCOUNTS.describe(Some(namespace), name))
}

fn is_addition(edit: &ServiceAccountEdit) -> bool {
    edit.mountable == Some(true) || edit.pull == Some(true) || matches!(edit.role, Some(Some(_)))
}

/// None if there is nothing to change. The patch tests the `resourceVersion`, so the list indexes
/// are valid. `annotated`: the account has annotations.
fn json_patch(
    account: &ServiceAccount,
    annotated: bool,
    edit: &ServiceAccountEdit,
) -> Option<json_patch::Patch> {
    let mut operations =
        list_operations("secrets", &account.mountable, &edit.secret, edit.mountable);
    operations.extend(list_operations("imagePullSecrets", &account.pull, &edit.secret, edit.pull));
    operations.extend(role_operation(account, annotated, edit));
    if operations.is_empty() {
        return None;
    }
    let value = json!(account.resource_version);
    operations.insert(
        0,
        PatchOperation::Test(TestOperation { path: path(["metadata", "resourceVersion"]), value }),
    );
    Some(json_patch::Patch(operations))
}

/// Removes from the end, so that earlier indexes remain valid. An empty list is absent and must be
/// added as a whole.
fn list_operations(
    list: &str,
    names: &[String],
    secret: &str,
    wanted: Option<bool>,
) -> Vec<PatchOperation> {
    let entries = names.iter().enumerate().rev().filter(|(_, name)| *name == secret);
    match wanted {
        None => vec![],
        Some(false) => entries.map(|(index, _)| remove([list, &index.to_string()])).collect(),
        Some(true) if entries.count() > 0 => vec![],
        Some(true) if names.is_empty() => vec![add([list], json!([{ "name": secret }]))],
        Some(true) => vec![add([list, "-"], json!({ "name": secret }))],
    }
}

fn role_operation(
    account: &ServiceAccount,
    annotated: bool,
    edit: &ServiceAccountEdit,
) -> Option<PatchOperation> {
    match edit.role? {
        Some(role) if account.role.as_deref() == Some(role.as_str()) => None,
        Some(role) if annotated => {
            Some(add(["metadata", "annotations", ROLE_ANNOTATION], json!(role)))
        }
        Some(role) => Some(add(["metadata", "annotations"], json!({ ROLE_ANNOTATION: role }))),
        None => account.role.as_ref().map(|_| remove(["metadata", "annotations", ROLE_ANNOTATION])),
    }
}

fn add<const N: usize>(tokens: [&str; N], value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: path(tokens), value })
}

fn remove<const N: usize>(tokens: [&str; N]) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation { path: path(tokens) })
}

fn path<const N: usize>(tokens: [&str; N]) -> PointerBuf {
    PointerBuf::from_tokens(tokens)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::domain::Role;

    const SECRET: &str = "builder-quay-openshift";

    /// As the API server would apply it; `None` without a change.
    fn edited(object: &Value, edit: &ServiceAccountEdit) -> Option<Value> {
        let read: resources::ServiceAccount = serde_json::from_value(object.clone()).unwrap();
        let annotated = read.metadata.annotations.is_some();
        let patch = json_patch(&read.into(), annotated, edit)?;
        let mut object = object.clone();
        json_patch::patch(&mut object, &patch).unwrap();
        Some(object)
    }

    fn edit(wanted: bool, role: Option<Option<Role>>) -> ServiceAccountEdit {
        ServiceAccountEdit {
            secret: SECRET.into(),
            mountable: Some(wanted),
            pull: Some(wanted),
            role,
        }
    }

    #[test]
    fn adds_missing_and_keeps_existing_entries() {
        let bare = json!({ "metadata": { "name": "builder", "resourceVersion": "1" } });
        let linked = json!({
            "metadata": { "name": "builder", "resourceVersion": "1", "annotations": { "oc-quay/role": "write" } },
            "secrets": [{ "name": SECRET }], "imagePullSecrets": [{ "name": SECRET }],
        });
        assert_eq!(edited(&bare, &edit(true, Some(Some(Role::Write)))), Some(linked.clone()));
        assert_eq!(edited(&linked, &edit(true, Some(Some(Role::Write)))), None);
        assert_eq!(edited(&bare, &edit(false, Some(None))), None);
        let unlinked = json!({
            "metadata": { "name": "builder", "resourceVersion": "1", "annotations": {} },
            "secrets": [], "imagePullSecrets": [],
        });
        assert_eq!(edited(&linked, &edit(false, Some(None))), Some(unlinked));
        let untouched =
            ServiceAccountEdit { secret: SECRET.into(), mountable: None, pull: None, role: None };
        assert_eq!(edited(&linked, &untouched), None);
    }

    #[test]
    fn rejects_stale_version() {
        let seen = ServiceAccount {
            name: "builder".into(),
            resource_version: "1".into(),
            ..Default::default()
        };
        let patch = json_patch(&seen, false, &edit(true, None)).unwrap();
        let mut moved_on = json!({ "metadata": { "resourceVersion": "2" } });
        assert!(json_patch::patch(&mut moved_on, &patch).is_err());
    }

    proptest! {
        /// Our entry is in the list once, or not at all, and all others are unchanged.
        #[test]
        fn keeps_other_entries(
            mountable in prop::collection::vec(prop::sample::select(vec!["a", "b", SECRET]), 0..5),
            pull in prop::collection::vec(prop::sample::select(vec!["a", "b", SECRET]), 0..5),
            wanted: bool,
        ) {
            let list = |names: &[&str]| names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>();
            let object = json!({
                "metadata": { "name": "builder", "resourceVersion": "1" },
                "secrets": list(&mountable), "imagePullSecrets": list(&pull),
            });
            let after = edited(&object, &edit(wanted, None)).unwrap_or_else(|| object.clone());
            for (field, before) in [("secrets", mountable), ("imagePullSecrets", pull)] {
                let (ours, others): (Vec<_>, Vec<_>) =
                    after[field].as_array().unwrap().iter().cloned().partition(|entry| entry["name"] == SECRET);
                let others_before: Vec<_> = before.iter().copied().filter(|name| *name != SECRET).collect();
                prop_assert_eq!(others, list(&others_before));
                let entries = before.len() - others_before.len();
                prop_assert_eq!(ours.len(), if wanted { entries.max(1) } else { 0 });
            }
        }
    }
}
