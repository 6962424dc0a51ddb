//! Objects that a test creates by hand: a namespace as the operator links it, and damage to one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::quay::RepoRole;
use serde_json::{Value, json};

use super::{ACCOUNTS, TestEnv};

const ROLES: [(&str, RepoRole); 3] =
    [("builder", RepoRole::Write), ("default", RepoRole::Read), ("deployer", RepoRole::Read)];

impl TestEnv {
    /// Creates the robot accounts of a namespace in its organization, as the operator does.
    pub(crate) fn robots_by_hand(&self, namespace: &str) {
        self.robots_by_hand_with_mark(namespace, "");
    }

    /// With the ownership mark of version 0.
    pub(crate) fn marked_robots_by_hand(&self, namespace: &str) {
        let uid = self.get("Namespace", "", namespace).unwrap()["metadata"]["uid"]
            .as_str()
            .unwrap()
            .to_owned();
        self.robots_by_hand_with_mark(
            namespace,
            &format!("oc-quay cluster=api.old:6443 namespace={namespace} uid={uid}"),
        );
    }

    fn robots_by_hand_with_mark(&self, namespace: &str, mark: &str) {
        let organization = format!("openshift_{namespace}");
        self.sandbox.quay.add_organization(&organization, "quayadmin");
        for account in ACCOUNTS {
            self.sandbox.quay.add_robot(&organization, account, mark).unwrap();
        }
    }

    /// Links a namespace as the operator does, as recorded: without our label and ownership mark.
    pub(crate) fn link_by_hand(&self, namespace: &str, image_stream: &str) {
        self.link_by_hand_with_mark(namespace, image_stream, "");
    }

    /// With robot accounts that have an ownership mark.
    pub(crate) fn link_by_hand_with_mark(&self, namespace: &str, image_stream: &str, mark: &str) {
        let organization = format!("openshift_{namespace}");
        self.robots_by_hand_with_mark(namespace, mark);
        for (account, role) in ROLES {
            self.sandbox.quay.add_prototype(
                &organization,
                &format!("{organization}+{account}"),
                role,
            );
        }
        self.sandbox.quay.add_repository(&organization, image_stream, "quayadmin");
        for account in ACCOUNTS {
            let secret = format!("{account}-quay-openshift");
            let token = self.sandbox.quay.robot_token(&organization, account).unwrap();
            self.create_credentials(
                namespace,
                &secret,
                &format!("{organization}+{account}:{token}"),
            );
            for list in ["secrets", "imagePullSecrets"] {
                let mut names = self.references(namespace, account, list);
                names.push(secret.clone());
                self.set_references(namespace, account, list, &names);
            }
        }
        self.merge(
            "Namespace",
            "",
            namespace,
            &json!({ "metadata": { "finalizers": ["quay.redhat.com/quayintegrations"] } }),
        );
    }

    /// Creates a secret with credentials for this environment's Quay.
    pub(crate) fn create_credentials(&self, namespace: &str, secret: &str, credentials: &str) {
        let config = json!({ "auths": { self.sandbox.quay.host(): { "auth": STANDARD.encode(credentials) } } });
        self.create(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": secret, "namespace": namespace },
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": { ".dockerconfigjson": config.to_string() },
        }));
    }

    /// Makes the cluster trust this environment's Quay, for imports and on the nodes.
    pub(crate) fn trust_quay(&self) {
        let ca = std::fs::read_to_string(self.sandbox.ca_file()).unwrap();
        self.create(&json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "registry-cas", "namespace": "openshift-config" },
            "data": { self.sandbox.quay.host().replace(':', ".."): ca },
        }));
        self.merge(
            "Image",
            "",
            "cluster",
            &json!({ "spec": { "additionalTrustedCA": { "name": "registry-cas" } } }),
        );
    }

    pub(crate) fn content(&self, namespace: &str, secret: &str) -> Value {
        let secret = self.get("Secret", namespace, secret).unwrap();
        serde_json::from_slice(
            &STANDARD.decode(secret["data"][".dockerconfigjson"].as_str().unwrap()).unwrap(),
        )
        .unwrap()
    }

    pub(crate) fn set_content(&self, namespace: &str, secret: &str, content: &Value) {
        let data = json!({ "data": { ".dockerconfigjson": STANDARD.encode(content.to_string()) } });
        self.merge("Secret", namespace, secret, &data);
    }

    pub(crate) fn set_references(
        &self,
        namespace: &str,
        account: &str,
        list: &str,
        names: &[String],
    ) {
        let names: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
        self.merge("ServiceAccount", namespace, account, &json!({ list: names }));
    }

    pub(crate) fn remove_from_list(
        &self,
        namespace: &str,
        account: &str,
        list: &str,
        secret: &str,
    ) {
        let kept: Vec<_> = self
            .references(namespace, account, list)
            .into_iter()
            .filter(|name| name != secret)
            .collect();
        self.set_references(namespace, account, list, &kept);
    }
}
