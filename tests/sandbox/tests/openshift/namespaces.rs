//! OpenShift's controllers for namespaces and service accounts.

use std::time::Duration;

use sandbox::openshift::Cluster;
use serde_json::{Value, json};

use super::{ACCOUNTS, Api, INTEGRATIONS, SECRETS, STREAMS, secret};

const NAMESPACE: &str = "/api/v1/namespaces/myproj";
const LISTS: [&str; 2] = ["secrets", "imagePullSecrets"];

fn dockercfg(account: &Value) -> String {
    account["metadata"]["annotations"]["openshift.io/internal-registry-pull-secret-ref"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Waits until a service account has its dockercfg secret in both lists, and returns the account.
fn settled(api: &Api, name: &str) -> Value {
    for _ in 0..500 {
        let account = api.call("admin", "GET", &format!("{ACCOUNTS}/{name}")).body;
        let reference = json!({"name": dockercfg(&account)});
        if LISTS
            .iter()
            .all(|list| account[list].as_array().is_some_and(|items| items.contains(&reference)))
        {
            return account;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{name} does not settle");
}

fn account_names(api: &Api) -> Vec<String> {
    let accounts = api.get(ACCOUNTS);
    accounts["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn new_namespace_has_the_default_service_account() {
    let api = Api::asleep();
    assert_eq!(account_names(&api), ["default"]);
    assert_eq!(api.get(&format!("{ACCOUNTS}/default"))["secrets"], Value::Null);
}

#[test]
fn other_service_accounts_follow_with_a_delay() {
    let api = Api::start();
    for name in ["builder", "default", "deployer"] {
        let account = settled(&api, name);
        let secret_name = dockercfg(&account);
        assert!(secret_name.starts_with(&format!("{name}-dockercfg-")), "{secret_name}");
        api.call("admin", "GET", &format!("{SECRETS}/{secret_name}"))
            .expect(200, &json!({"type": "kubernetes.io/dockercfg"}));
    }
    assert_eq!(account_names(&api), ["builder", "default", "deployer"]);
    let annotations = api.get(NAMESPACE)["metadata"]["annotations"].clone();
    for key in ["mcs", "supplemental-groups", "uid-range"] {
        assert!(
            annotations[format!("openshift.io/sa.scc.{key}")].is_string(),
            "{key} in {annotations}"
        );
    }
}

#[test]
fn openshift_restores_only_its_own_reference() {
    let api = Api::start();
    let own = dockercfg(&settled(&api, "builder"));
    let path = format!("{ACCOUNTS}/builder");
    let ours = json!([{"name": "ours"}]);
    api.patch("strategic", &path, &json!({"imagePullSecrets": ours}))
        .expect(200, &json!({"imagePullSecrets": ours}));
    let account = settled(&api, "builder");
    assert_eq!(account["imagePullSecrets"], json!([{"name": "ours"}, {"name": own}]));
    assert_eq!(account["secrets"], json!([{"name": own}]));

    api.call("admin", "DELETE", &format!("{SECRETS}/{own}")).expect(200, &json!({}));
    for _ in 0..500 {
        if dockercfg(&settled(&api, "builder")) != own {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("a deleted dockercfg secret was not replaced");
}

#[test]
fn deleted_service_account_is_recreated_with_a_new_secret() {
    let api = Api::start();
    let old = settled(&api, "deployer");
    api.call("admin", "DELETE", &format!("{ACCOUNTS}/deployer")).expect(200, &json!({}));
    api.eventually(&format!("{SECRETS}/{}", dockercfg(&old)), 404, &json!({}));
    let new = settled(&api, "deployer");
    assert_ne!(new["metadata"]["uid"], old["metadata"]["uid"]);
    assert_ne!(dockercfg(&new), dockercfg(&old));
}

#[test]
fn disabled_capabilities_omit_their_objects() {
    let without = vec!["build.openshift.io".to_owned(), "quay.redhat.com".to_owned()];
    let api = Api::with(Cluster {
        settle: Duration::from_millis(20),
        internal_registry: false,
        without,
        ..Cluster::default()
    });
    api.eventually(
        &format!("{ACCOUNTS}/deployer"),
        200,
        &json!({"secrets": null, "imagePullSecrets": null}),
    );
    assert_eq!(account_names(&api), ["default", "deployer"]);
    assert!(api.get(SECRETS)["items"].as_array().unwrap().is_empty());
    let stream = api.send_json("POST", STREAMS, &json!({"metadata": {"name": "app"}}));
    stream.expect(201, &json!({"status": {"dockerImageRepository": ""}}));
    assert_eq!(api.call("admin", "GET", INTEGRATIONS).status, 404);
    assert_eq!(api.call("admin", "GET", "/apis/build.openshift.io/v1/builds").status, 404);
}

#[test]
fn namespace_with_finalizer_remains_terminating_without_content() {
    let api = Api::start();
    settled(&api, "builder");
    let finalizer = json!({"metadata": {"finalizers": ["quay.redhat.com/quayintegrations"]}});
    api.patch("merge", NAMESPACE, &finalizer).expect(200, &finalizer);
    api.call("admin", "DELETE", NAMESPACE).expect(200, &json!({}));
    let expected = json!({"status": {"phase": "Terminating"}, "spec": {"finalizers": null}, "metadata": finalizer["metadata"]});
    api.eventually(NAMESPACE, 200, &expected);
    assert!(api.get(SECRETS)["items"].as_array().unwrap().is_empty());

    let message = "secrets \"a\" is forbidden: unable to create new content in namespace myproj because it is being terminated";
    let rejected = api.send_json("POST", SECRETS, &secret("a")).rejected(403, "Forbidden", message);
    assert_eq!(rejected["details"]["causes"][0]["reason"], "NamespaceTerminating");

    let released = json!([{"op": "remove", "path": "/metadata/finalizers"}]);
    api.patch("json", NAMESPACE, &released).expect(200, &json!({}));
    assert_eq!(api.call("admin", "GET", NAMESPACE).status, 404);
}

#[test]
fn conditions_name_content_with_a_finalizer() {
    let api = Api::start();
    let mut kept = secret("a");
    kept["metadata"]["finalizers"] = json!(["example.com/keep"]);
    api.send_json("POST", SECRETS, &kept).expect(201, &json!({}));
    api.call("admin", "DELETE", NAMESPACE).expect(200, &json!({}));
    api.eventually(
        &format!("{SECRETS}/a"),
        200,
        &json!({"metadata": {"deletionGracePeriodSeconds": 0}}),
    );
    let namespace =
        api.eventually(NAMESPACE, 200, &json!({"spec": {"finalizers": ["kubernetes"]}}));
    let conditions = namespace["status"]["conditions"].as_array().unwrap();
    let remaining =
        conditions.iter().find(|each| each["type"] == "NamespaceFinalizersRemaining").unwrap();
    assert_eq!(remaining["status"], "True");
    assert_eq!(
        remaining["message"],
        "Some content in the namespace has finalizers remaining: example.com/keep in 1 resource instances"
    );

    let released = json!({"metadata": {"finalizers": null}});
    api.patch("merge", &format!("{SECRETS}/a"), &released).expect(200, &json!({}));
    api.eventually(NAMESPACE, 404, &json!({}));
}
