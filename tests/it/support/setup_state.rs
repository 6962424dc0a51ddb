//! The state of both sides after a setup or a teardown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{STREAMS, TestEnv};

/// A ConfigMap of others for the nodes.
pub(crate) const CONFIG_MAP_OF_OTHERS: &str = "registries-of-others";

/// Objects of others in the namespaces that a setup writes to.
const FOREIGN_OBJECTS: [(&str, &str, &str); 2] =
    [("ConfigMap", "openshift-config", "others"), ("Secret", "openshift-operators", "others")];

impl TestEnv {
    /// Creates objects beside those of a setup, and an organization with an application of the same
    /// name.
    pub(crate) fn create_foreign_objects(&self) {
        for (kind, namespace, name) in FOREIGN_OBJECTS {
            self.create(&json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name, "namespace": namespace } }));
        }
        self.sandbox.quay.add_organization("others", "alice");
        self.sandbox.quay.add_application("others", "openshift", "");
    }

    /// Makes the nodes trust a registry of others.
    pub(crate) fn trust_foreign_registry(&self) {
        self.create(&json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": CONFIG_MAP_OF_OTHERS, "namespace": "openshift-config" },
            "data": { "registry.example.com": "theirs" },
        }));
        self.merge(
            "Image",
            "",
            "cluster",
            &json!({ "spec": { "additionalTrustedCA": { "name": CONFIG_MAP_OF_OTHERS } } }),
        );
    }

    /// Objects of others with their versions, for a comparison.
    pub(crate) fn foreign_objects(&self) -> Vec<String> {
        let version = |(kind, namespace, name)| {
            let object =
                self.get(kind, namespace, name).unwrap_or_else(|| panic!("{kind} {name} is gone"));
            format!("{kind} {namespace}/{name} {}", object["metadata"]["resourceVersion"])
        };
        let applications = format!("{:?}", self.sandbox.quay.applications("others"));
        FOREIGN_OBJECTS.into_iter().map(version).chain([applications]).collect()
    }

    pub(crate) fn single_integration(&self) -> Option<Value> {
        let mut found = self.list("QuayIntegration", "");
        if found.len() == 1 { found.pop() } else { None }
    }

    pub(crate) fn stored_token(&self) -> Option<String> {
        let secret = self.get("Secret", "openshift-operators", "quay-integration")?;
        Some(
            String::from_utf8(STANDARD.decode(secret["data"]["token"].as_str()?).unwrap()).unwrap(),
        )
    }

    pub(crate) fn trusted_registries(&self) -> Vec<String> {
        let config = self.get("Image", "", "cluster").unwrap();
        let name = config["spec"]["additionalTrustedCA"]["name"].as_str();
        let map = name.and_then(|name| self.get("ConfigMap", "openshift-config", name));
        map.and_then(|map| Some(map["data"].as_object()?.keys().cloned().collect()))
            .unwrap_or_default()
    }

    pub(crate) fn subscriptions(&self) -> usize {
        let all = self.list("Subscription", "");
        all.iter()
            .filter(|subscription| subscription["spec"]["name"] == "quay-bridge-operator")
            .count()
    }

    pub(crate) fn registry_key(&self) -> String {
        self.sandbox.quay.host().replace(':', "..")
    }

    /// True when one operator runs.
    pub(crate) fn operator_runs(&self) -> bool {
        let deployments = self.list("Deployment", "openshift-operators");
        self.subscriptions() == 1
            && deployments.iter().any(|deployment| deployment["status"]["availableReplicas"] == 1)
    }

    /// Asserts that the integration is set up and namespace `shop` linked, with each object once.
    #[track_caller]
    pub(crate) fn assert_set_up(&self) {
        let quay = &self.sandbox.quay;
        let integration = self
            .single_integration()
            .unwrap_or_else(|| panic!("{:#?}", self.list("QuayIntegration", "")));
        assert_eq!(integration["spec"]["quayHostname"], quay.url());
        self.stored_token().expect("no token is stored");
        self.assert_linked("shop", &STREAMS);
        self.assert_foreign_references("shop");
    }

    /// Asserts that no object of a setup is left in the cluster.
    #[track_caller]
    pub(crate) fn assert_torn_down(&self) {
        assert_eq!(self.list("QuayIntegration", ""), Vec::<Value>::new());
        let left = [
            ("Secret", "openshift-operators", "quay-integration"),
            ("ConfigMap", "openshift-config", "oc-quay-registry-cas"),
            ("Subscription", "openshift-operators", "quay-bridge-operator"),
            ("Deployment", "openshift-operators", "quay-bridge-operator"),
            ("ClusterRole", "", "oc-quay-user"),
            ("ClusterRoleBinding", "", "oc-quay-user"),
        ];
        for (kind, namespace, name) in left {
            // OLM deletes its objects with a delay.
            self.wait_for(&format!("the end of {kind} {name}"), || {
                self.get(kind, namespace, name).is_none()
            });
        }
        assert_eq!(
            self.get("Image", "", "cluster").unwrap()["spec"]["additionalTrustedCA"],
            Value::Null
        );
    }
}
