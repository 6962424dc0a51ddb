//! What a set-up, or its teardown, leaves on both sides.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{STREAMS, World};

/// The ConfigMap that somebody else may have had for the nodes before.
pub(crate) const CONFIG_MAP_OF_OTHERS: &str = "registries-of-others";

/// What is somebody else's, in the namespaces that a set-up writes to.
const OF_OTHERS: [(&str, &str, &str); 2] =
    [("ConfigMap", "openshift-config", "others"), ("Secret", "openshift-operators", "others")];

impl World {
    /// Makes objects beside those that a set-up makes, and an organization with an application of the same name.
    pub(crate) fn furnish_others(&self) {
        for (kind, namespace, name) in OF_OTHERS {
            self.create(&json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name, "namespace": namespace } }));
        }
        self.sandbox.quay.add_organization("others", "alice");
        self.sandbox.quay.add_application("others", "openshift", "");
    }

    /// Has the nodes trust a registry of somebody else.
    pub(crate) fn trust_others(&self) {
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

    /// What is somebody else's, with its version: the same before and after.
    pub(crate) fn others(&self) -> Vec<String> {
        let version = |(kind, namespace, name)| {
            let object =
                self.get(kind, namespace, name).unwrap_or_else(|| panic!("{kind} {name} is gone"));
            format!("{kind} {namespace}/{name} {}", object["metadata"]["resourceVersion"])
        };
        let applications = format!("{:?}", self.sandbox.quay.applications("others"));
        OF_OTHERS.into_iter().map(version).chain([applications]).collect()
    }

    /// The QuayIntegration, if there is just one.
    pub(crate) fn one_integration(&self) -> Option<Value> {
        let mut found = self.list("QuayIntegration", "");
        if found.len() == 1 { found.pop() } else { None }
    }

    /// The token in the one Secret, where there is one.
    pub(crate) fn stored_token(&self) -> Option<String> {
        let secret = self.get("Secret", "openshift-operators", "quay-integration")?;
        Some(
            String::from_utf8(STANDARD.decode(secret["data"]["token"].as_str()?).unwrap()).unwrap(),
        )
    }

    /// The registries of the ConfigMap that the nodes look into.
    pub(crate) fn trusted_registries(&self) -> Vec<String> {
        let config = self.get("Image", "", "cluster").unwrap();
        let name = config["spec"]["additionalTrustedCA"]["name"].as_str();
        let map = name.and_then(|name| self.get("ConfigMap", "openshift-config", name));
        map.and_then(|map| Some(map["data"].as_object()?.keys().cloned().collect()))
            .unwrap_or_default()
    }

    /// How many Subscriptions to the operator there are.
    pub(crate) fn subscriptions(&self) -> usize {
        let all = self.list("Subscription", "");
        all.iter()
            .filter(|subscription| subscription["spec"]["name"] == "quay-bridge-operator")
            .count()
    }

    /// The key of this world's Quay in a ConfigMap for the nodes.
    pub(crate) fn registry_key(&self) -> String {
        self.sandbox.quay.host().replace(':', "..")
    }

    /// Whether the operator is there once and runs.
    pub(crate) fn operator_runs(&self) -> bool {
        let deployments = self.list("Deployment", "openshift-operators");
        self.subscriptions() == 1
            && deployments.iter().any(|deployment| deployment["status"]["availableReplicas"] == 1)
    }

    /// Whether namespace `shop` and everything that it takes is set up, each of it just once.
    #[track_caller]
    pub(crate) fn assert_set_up(&self) {
        let quay = &self.sandbox.quay;
        let integration = self
            .one_integration()
            .unwrap_or_else(|| panic!("{:#?}", self.list("QuayIntegration", "")));
        assert_eq!(integration["spec"]["quayHostname"], quay.url());
        self.stored_token().expect("no token is stored");
        self.assert_linked("shop", &STREAMS);
        self.assert_foreign_references("shop");
    }

    /// Whether nothing is left of what a set-up makes in the cluster.
    #[track_caller]
    pub(crate) fn assert_taken_back(&self) {
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
            // What OLM made it takes away by and by.
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
