//! Changes to namespaces: references of others, and damage.

use sandbox::quay::RepoRole;
use serde_json::{Value, json};

use super::TestEnv;

/// A pull secret of others, in both lists of every service account of [`TestEnv::shared_namespace`].
pub(crate) const FOREIGN: &str = "foreign";

/// The service accounts that are linked by default.
pub(crate) const ACCOUNTS: [&str; 3] = ["builder", "default", "deployer"];

pub(crate) const STREAMS: [&str; 3] = ["app", "base", "web"];

impl TestEnv {
    /// A namespace with three image streams, and a pull secret of others in the lists of its
    /// service accounts.
    pub(crate) fn shared_namespace(&self, name: &str) {
        self.namespace(name);
        STREAMS.iter().for_each(|stream| self.image_stream(name, stream));
        ACCOUNTS.iter().for_each(|account| self.add_reference(name, account, FOREIGN));
    }

    /// Adds a name to both lists of a service account, guarded by the resource version.
    pub(crate) fn add_reference(&self, namespace: &str, account: &str, name: &str) {
        self.edit_lists(namespace, account, |list| list.push(json!({ "name": name })));
    }

    pub(crate) fn remove_reference(&self, namespace: &str, account: &str, name: &str) {
        self.edit_lists(namespace, account, |list| list.retain(|entry| entry["name"] != name));
    }

    fn edit_lists(&self, namespace: &str, account: &str, edit: impl Fn(&mut Vec<Value>)) {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}");
        self.wait_for(&format!("a turn to write service account {account}"), || {
            let mut object = self.get("ServiceAccount", namespace, account).unwrap();
            for list in ["secrets", "imagePullSecrets"] {
                let mut entries = object[list].as_array().cloned().unwrap_or_default();
                edit(&mut entries);
                object[list] = entries.into();
            }
            let (status, body) = self.api(reqwest::Method::PUT, &path, Some(&object));
            assert!(status == 200 || status == 409, "update {account}: {status} {body}");
            status == 200
        });
    }

    #[track_caller]
    pub(crate) fn assert_foreign_references(&self, namespace: &str) {
        for (account, list) in ACCOUNTS
            .iter()
            .flat_map(|account| [(account, "secrets"), (account, "imagePullSecrets")])
        {
            let references = self.references(namespace, account, list);
            assert_eq!(
                references.iter().filter(|name| *name == FOREIGN).count(),
                1,
                "{account} {list}: {references:?}"
            );
        }
    }

    /// Damages a linked namespace: a pull secret is deleted, a robot account's token renewed, a
    /// service account loses its references, a robot account a permission, and a default permission
    /// exists twice.
    pub(crate) fn damage(&self, namespace: &str) {
        let (quay, organization) = (&self.sandbox.quay, format!("openshift_{namespace}"));
        self.delete("Secret", namespace, "default-quay-openshift");
        quay.regenerate(&organization, "builder").unwrap();
        self.remove_reference(namespace, "deployer", "deployer-quay-openshift");
        quay.set_permission(&organization, "app", &format!("{organization}+builder"), None);
        quay.add_prototype(&organization, &format!("{organization}+default"), RepoRole::Read);
    }
}
