//! `setup` with the in-cluster controller, the replacement of the operator, and teardown.

use sandbox::manifests;
use sandbox::openshift::olm;
use serde_json::{Value, json};

use crate::support::TestEnv;

const OPERATORS: &str = "openshift-operators";
const FINALIZER: &str = "quay.redhat.com/quayintegrations";

/// The controller's objects that are checked: kind and namespace; all have its name.
const OBJECTS: [(&str, &str); 11] = [
    ("ClusterRole", ""),
    ("ClusterRoleBinding", ""),
    ("Namespace", ""),
    ("ServiceAccount", "oc-quay"),
    ("Role", "oc-quay"),
    ("RoleBinding", "oc-quay"),
    ("NetworkPolicy", "oc-quay"),
    ("Service", "oc-quay"),
    ("Deployment", "oc-quay"),
    ("PodDisruptionBudget", "oc-quay"),
    ("MutatingWebhookConfiguration", ""),
];

fn controller_objects(env: &TestEnv) -> Vec<&'static str> {
    let is_there = |(kind, namespace): &(&str, &str)| env.get(kind, namespace, "oc-quay").is_some();
    OBJECTS.into_iter().filter(is_there).map(|(kind, _)| kind).collect()
}

/// Whether the rollout of the Deployment is complete.
fn controller_is_ready(env: &TestEnv) -> bool {
    env.get("Deployment", "oc-quay", "oc-quay").is_some_and(|deployment| {
        let status = &deployment["status"];
        status["observedGeneration"] == deployment["metadata"]["generation"]
            && status["availableReplicas"] == deployment["spec"]["replicas"]
    })
}

/// Whether the same set-up once more finds nothing to do.
#[track_caller]
fn assert_nothing_to_do(env: &TestEnv, arguments: &[&str]) {
    env.forget_traffic();
    let run = env.setup(arguments).args(&["-o", "json"]).succeeds();
    assert_eq!(run.json()["summaryLine"], "Already set up; nothing was written", "{}", run.stdout);
    env.assert_nothing_written();
}

#[test]
fn installs_and_removes_in_cluster_controller() {
    let env = TestEnv::bare();
    let run = env.setup(&["--controller", "in-cluster", "--dry-run", "-o", "yaml"]).succeeds();
    assert!(run.stdout.contains("image: quay.io/oc-quay/oc-quay:v"), "{}", run.stdout);
    assert_eq!(controller_objects(&env), Vec::<&str>::new());

    let run = env.setup(&["--controller", "in-cluster", "-o", "json"]).succeeds();
    assert_eq!(run.state("operator"), "done", "{}", run.stdout);
    assert_eq!(controller_objects(&env).len(), OBJECTS.len(), "{:?}", controller_objects(&env));
    assert!(controller_is_ready(&env));
    assert_eq!(env.subscriptions(), 0, "the operator is not installed too");
    assert_nothing_to_do(&env, &["--controller", "in-cluster"]);
    // It is found again without being named.
    assert_nothing_to_do(&env, &[]);

    // Changed objects are repaired, another image is an update, and OpenShift's fields are kept.
    let image = json!({ "spec": { "replicas": 1 } });
    env.merge("Deployment", "oc-quay", "oc-quay", &image);
    // A status that changes meanwhile would cost a second patch.
    env.wait_for("the edit to be rolled out", || controller_is_ready(&env));
    env.forget_traffic();
    env.setup(&["--controller-image", "registry.example.com/oc-quay:v2"]).succeeds();
    let writes: Vec<_> =
        env.cluster_traffic().writes().into_iter().map(|entry| entry.kind).collect();
    assert_eq!(writes, ["patch deployments"]);
    let deployment = env.get("Deployment", "oc-quay", "oc-quay").unwrap();
    assert_eq!(deployment["spec"]["replicas"], 2);
    assert_eq!(
        deployment["spec"]["template"]["spec"]["containers"][0]["image"],
        "registry.example.com/oc-quay:v2"
    );
    assert_nothing_to_do(&env, &[]);

    // Without a controller its finalizer would block the deletion of a namespace.
    env.namespace("shop");
    env.merge(
        "Namespace",
        "",
        "shop",
        &json!({ "metadata": { "finalizers": ["example.com/other", "oc-quay/organization"] } }),
    );
    let run = env.oc_quay(&["teardown", "--yes", "-o", "json"]).succeeds();
    assert_eq!(
        env.get("Namespace", "", "shop").unwrap()["metadata"]["finalizers"],
        json!(["example.com/other"])
    );
    assert_eq!(
        (run.state("controller"), run.state("integration")),
        ("done".into(), "done".into()),
        "{}",
        run.stdout
    );
    env.wait_for("the removal of the controller", || controller_objects(&env).is_empty());
    env.forget_traffic();
    let run = env.oc_quay(&["teardown", "--yes", "-o", "json"]).succeeds();
    assert_eq!(run.json()["summaryLine"], "Nothing to remove");
    env.assert_nothing_written();
}

#[test]
fn second_setup_keeps_edits_of_the_deployment() {
    let env = TestEnv::bare();
    env.setup(&["--controller", "in-cluster"]).succeeds();
    let deployment = || env.get("Deployment", "oc-quay", "oc-quay").unwrap();
    let pod = || deployment()["spec"]["template"]["spec"].clone();
    let container = || {
        let all = pod()["containers"].as_array().unwrap().clone();
        all.into_iter().find(|container| container["name"] == "oc-quay").unwrap()
    };
    let mut edited = container();
    let arguments = edited["args"].as_array_mut().unwrap();
    arguments.extend(["--deletion-policy=delete", "--resync-interval", "2h"].map(Value::from));
    edited["resources"]["limits"]["memory"] = json!("1Gi");
    let proxy = json!({ "name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128" });
    edited["env"].as_array_mut().unwrap().push(proxy.clone());
    let mount = json!({ "name": "extra", "mountPath": "/extra" });
    edited["volumeMounts"].as_array_mut().unwrap().push(mount.clone());
    let volumes = [json!({ "name": "extra", "emptyDir": {} }), pod()["volumes"][0].clone()];
    let sidecar = json!({ "name": "sidecar", "image": "registry.example.com/sidecar:1" });
    let toleration = json!({ "key": "node-role.kubernetes.io/infra", "operator": "Exists" });
    let terms = json!([{ "matchExpressions": [{ "key": "zone", "operator": "Exists" }] }]);
    let node_affinity =
        json!({ "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } });
    let edit = |container: &Value| {
        let pod = json!({
            "containers": [sidecar, container], "volumes": volumes, "nodeSelector": { "zone": "a" },
            "tolerations": [toleration], "affinity": { "nodeAffinity": node_affinity },
        });
        let annotations = json!({ "kubectl.kubernetes.io/restartedAt": "2026-12-01T00:00:00Z" });
        let template = json!({ "metadata": { "annotations": annotations, "labels": { "team": "web" } }, "spec": pod });
        let metadata =
            json!({ "annotations": { "example.com/note": "ours" }, "labels": { "team": "web" } });
        env.merge(
            "Deployment",
            "oc-quay",
            "oc-quay",
            &json!({ "metadata": metadata, "spec": { "template": template } }),
        );
    };
    edit(&edited);
    let budget = json!({ "spec": { "minAvailable": null, "maxUnavailable": 1 } });
    env.merge("PodDisruptionBudget", "oc-quay", "oc-quay", &budget);
    // Until the edit is rolled out, `setup` waits for it, which is a change of its own.
    env.wait_for("the edit to be rolled out", || controller_is_ready(&env));
    assert_nothing_to_do(&env, &["--controller", "in-cluster"]);

    // An update changes the image and nothing else; what the manifests set is as they set it.
    let before =
        [pod()["volumes"].clone(), pod()["tolerations"].clone(), pod()["affinity"].clone()];
    let mut reset = edited.clone();
    reset["args"][1] = json!("--log-format=text");
    reset["readinessProbe"]["httpGet"]["path"] = json!("/healthz");
    edit(&reset);
    let mut webhook =
        env.get("MutatingWebhookConfiguration", "", "oc-quay").unwrap()["webhooks"][0].clone();
    webhook["timeoutSeconds"] = json!(9);
    env.merge("MutatingWebhookConfiguration", "", "oc-quay", &json!({ "webhooks": [webhook] }));
    env.merge("Deployment", "oc-quay", "oc-quay", &json!({ "spec": { "replicas": 3 } }));
    env.setup(&["--controller-image", "registry.example.com/oc-quay:v2"]).succeeds();
    let updated = container();
    assert_eq!(
        (&updated["image"], &updated["resources"]),
        (&json!("registry.example.com/oc-quay:v2"), &edited["resources"])
    );
    let arguments: Vec<_> =
        updated["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(arguments[1], "--log-format=json");
    assert!(
        arguments.ends_with(&["--deletion-policy=delete", "--resync-interval", "2h"]),
        "{arguments:?}"
    );
    assert!(updated["env"].as_array().unwrap().contains(&proxy), "{updated}");
    assert!(updated["volumeMounts"].as_array().unwrap().contains(&mount), "{updated}");
    assert_eq!(updated["readinessProbe"]["httpGet"]["path"], "/readyz");
    assert_eq!(
        [pod()["volumes"].clone(), pod()["tolerations"].clone(), pod()["affinity"].clone()],
        before
    );
    assert_eq!(
        (&pod()["containers"][0]["name"], &pod()["nodeSelector"]["zone"]),
        (&json!("sidecar"), &json!("a"))
    );
    let template = deployment()["spec"]["template"]["metadata"].clone();
    assert_eq!(
        (&template["labels"]["team"], &deployment()["metadata"]["labels"]["team"]),
        (&json!("web"), &json!("web"))
    );
    assert_eq!(deployment()["spec"]["replicas"], 2);
    assert_eq!(
        env.get("MutatingWebhookConfiguration", "", "oc-quay").unwrap()["webhooks"][0]["timeoutSeconds"],
        3
    );
    assert_eq!(
        env.get("PodDisruptionBudget", "oc-quay", "oc-quay").unwrap()["spec"]["maxUnavailable"],
        1
    );
    assert_nothing_to_do(&env, &[]);
}

#[test]
fn status_update_is_no_conflict() {
    let env = TestEnv::bare();
    env.setup(&["--controller", "in-cluster"]).succeeds();
    let update = || env.setup(&["--controller-image", "registry.example.com/oc-quay:v2"]);
    let change = |path: &str, patch: Value| drop(env.merge("Deployment", "oc-quay", path, &patch));
    let edited = json!({ "spec": { "replicas": 1 } });
    let run =
        env.interfere("PATCH", "/deployments/oc-quay", update(), || change("oc-quay", edited));
    assert!(run.code == Some(1) && run.said().contains("the object was modified"), "{run:#?}");
    let status = json!({ "status": { "observedGeneration": 9 } });
    let run = env
        .interfere("PATCH", "/deployments/oc-quay", update(), || change("oc-quay/status", status));
    assert_eq!(run.code, Some(0), "{run:#?}");
    let deployment = env.get("Deployment", "oc-quay", "oc-quay").unwrap();
    assert_eq!(
        deployment["spec"]["template"]["spec"]["containers"][0]["image"],
        "registry.example.com/oc-quay:v2"
    );
}

#[test]
fn controller_replaces_operator_once_it_is_ready() {
    let env = TestEnv::bare();
    env.setup(&[]).succeeds();
    env.namespace("shop");
    env.merge(
        "Namespace",
        "",
        "shop",
        &json!({ "metadata": { "finalizers": ["example.com/other", FINALIZER] } }),
    );
    let integration = env.get("QuayIntegration", "", "quay").unwrap();

    let run = env.setup(&["--controller", "in-cluster", "-o", "json"]).succeeds();
    assert!(run.said().contains("the controller is passive until it is removed"), "{}", run.stdout);
    assert!(controller_is_ready(&env) && env.operator_runs(), "both are there");

    let run =
        env.setup(&["--controller", "in-cluster", "--replace-operator", "-o", "json"]).succeeds();
    assert_eq!(run.state("operator"), "done", "{}", run.stdout);
    assert!(controller_is_ready(&env));
    assert_eq!(env.subscriptions(), 0);
    assert_eq!(env.get("Deployment", OPERATORS, olm::DEPLOYMENT), None);
    let webhooks: Vec<Value> = env.list("MutatingWebhookConfiguration", "");
    assert_eq!(webhooks.len(), 1, "{webhooks:#?}");
    assert_eq!(
        env.get("Namespace", "", "shop").unwrap()["metadata"]["finalizers"],
        json!(["example.com/other"])
    );
    assert_eq!(
        env.get("QuayIntegration", "", "quay").unwrap()["spec"],
        integration["spec"],
        "nothing of the integration changes"
    );
    assert_nothing_to_do(&env, &["--controller", "in-cluster", "--replace-operator"]);
}

#[test]
fn stops_operator_without_olm_and_deletes_its_webhook() {
    let env = TestEnv::bare();
    env.create(&manifests::operator_deployment(OPERATORS, 1));
    env.create(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": "operators" },
        "webhooks": [{
            "name": "quayintegration.quay.redhat.com",
            "clientConfig": { "url": "https://127.0.0.1:1/admissionwebhook" },
            "rules": [{ "apiGroups": ["example.com"], "apiVersions": ["v1"], "resources": ["none"], "operations": ["CREATE"] }],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }],
    }));
    env.setup(&["--controller", "in-cluster", "--replace-operator"]).succeeds();
    assert_eq!(env.get("Deployment", OPERATORS, olm::DEPLOYMENT).unwrap()["spec"]["replicas"], 0);
    assert_eq!(env.get("MutatingWebhookConfiguration", "", "operators"), None);
    assert!(controller_is_ready(&env));
    assert_nothing_to_do(&env, &["--replace-operator"]);
    let again = env.setup(&[]).succeeds();
    assert!(
        again.said().contains("scaled to 0: the controller is active")
            && !again.said().contains("is passive until"),
        "{}",
        again.stdout
    );
}

#[test]
fn changes_unlabeled_objects_only_with_adopt() {
    let env = TestEnv::bare();
    env.create(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": { "name": "oc-quay" },
        "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] }],
    }));
    let run = env.setup(&["--controller", "in-cluster", "-o", "json"]).ends_with(2);
    assert!(
        run.said().contains("ClusterRole oc-quay already exists without the label of oc quay"),
        "{run:#?}"
    );
    assert!(run.said().contains("--adopt"), "{run:#?}");
    assert_eq!(controller_objects(&env), ["ClusterRole"]);
    assert_eq!(
        env.get("ClusterRole", "", "oc-quay").unwrap()["rules"][0]["resources"],
        json!(["pods"])
    );
    env.setup(&["--controller", "in-cluster", "--adopt"]).succeeds();
    assert!(controller_is_ready(&env));
    assert_nothing_to_do(&env, &["--controller", "in-cluster"]);
}

#[test]
fn replacement_ignores_other_deployment_of_same_name() {
    let env = TestEnv::bare();
    env.namespace("mallory");
    env.create(&manifests::operator_deployment("mallory", 0));
    env.create(&manifests::operator_deployment(OPERATORS, 1));
    env.setup(&["--controller", "in-cluster", "--replace-operator"]).succeeds();
    assert_eq!(env.get("Deployment", OPERATORS, olm::DEPLOYMENT).unwrap()["spec"]["replicas"], 0);
    env.merge("Deployment", "mallory", olm::DEPLOYMENT, &json!({ "spec": { "replicas": 1 } }));
    assert_nothing_to_do(&env, &["--replace-operator"]);
}

#[test]
fn controller_that_is_not_ready_replaces_nothing() {
    let env = TestEnv::bare();
    env.setup(&[]).succeeds();
    env.trouble(Some(&olm::Trouble::NeverFinishes));
    let run = env
        .setup(&[
            "--controller",
            "in-cluster",
            "--replace-operator",
            "--operator-timeout",
            "2s",
            "-o",
            "json",
        ])
        .ends_with(1);
    assert!(
        run.said().contains("0 of 2 pods are ready (oc describe pods -n oc-quay)"),
        "{}",
        run.stdout
    );
    assert!(env.operator_runs(), "the operator works on");
}
