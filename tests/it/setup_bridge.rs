//! `setup` with our own bridge in the operator's place, taking over from the operator, and the way back.

use sandbox::manifests;
use sandbox::openshift::olm;
use serde_json::{Value, json};

use crate::support::World;

const OPERATORS: &str = "openshift-operators";
const FINALIZER: &str = "quay.redhat.com/quayintegrations";

/// The bridge's objects that are looked at: kind and namespace; all have its name.
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

fn bridge_objects(world: &World) -> Vec<&'static str> {
    let is_there =
        |(kind, namespace): &(&str, &str)| world.get(kind, namespace, "oc-quay").is_some();
    OBJECTS.into_iter().filter(is_there).map(|(kind, _)| kind).collect()
}

/// Whether the Deployment is rolled out as it is specified now.
fn bridge_runs(world: &World) -> bool {
    world.get("Deployment", "oc-quay", "oc-quay").is_some_and(|deployment| {
        let status = &deployment["status"];
        status["observedGeneration"] == deployment["metadata"]["generation"]
            && status["availableReplicas"] == deployment["spec"]["replicas"]
    })
}

/// Whether the same set-up once more finds nothing to do.
#[track_caller]
fn assert_nothing_to_do(world: &World, arguments: &[&str]) {
    world.forget_traffic();
    let run = world.setup(arguments).args(&["-o", "json"]).succeeds();
    assert_eq!(
        run.json()["summaryLine"],
        "Everything is set up; nothing was written",
        "{}",
        run.stdout
    );
    world.assert_nothing_written();
}

#[test]
fn the_built_in_bridge_takes_the_operators_place_and_goes_again() {
    let world = World::bare();
    let run = world.setup(&["--controller", "in-cluster", "--dry-run", "-o", "yaml"]).succeeds();
    assert!(run.stdout.contains("image: quay.io/oc-quay/oc-quay:v"), "{}", run.stdout);
    assert_eq!(bridge_objects(&world), Vec::<&str>::new());

    let run = world.setup(&["--controller", "in-cluster", "-o", "json"]).succeeds();
    assert_eq!(run.state("operator"), "done", "{}", run.stdout);
    assert_eq!(bridge_objects(&world).len(), OBJECTS.len(), "{:?}", bridge_objects(&world));
    assert!(bridge_runs(&world));
    assert_eq!(world.subscriptions(), 0, "the operator is not installed too");
    assert_nothing_to_do(&world, &["--controller", "in-cluster"]);
    // It is found again without being named.
    assert_nothing_to_do(&world, &[]);

    // What somebody changed is put right, another image is an update, and OpenShift's own is left alone.
    let image = json!({ "spec": { "replicas": 1 } });
    world.merge("Deployment", "oc-quay", "oc-quay", &image);
    // A status that changes meanwhile would cost a second patch.
    world.wait_for("the edit to be rolled out", || bridge_runs(&world));
    world.forget_traffic();
    world.setup(&["--controller-image", "registry.example.com/oc-quay:v2"]).succeeds();
    let writes: Vec<_> =
        world.cluster_traffic().writes().into_iter().map(|entry| entry.kind).collect();
    assert_eq!(writes, ["patch deployments"]);
    let deployment = world.get("Deployment", "oc-quay", "oc-quay").unwrap();
    assert_eq!(deployment["spec"]["replicas"], 2);
    assert_eq!(
        deployment["spec"]["template"]["spec"]["containers"][0]["image"],
        "registry.example.com/oc-quay:v2"
    );
    assert_nothing_to_do(&world, &[]);

    // Without a bridge nobody would take its finalizer off a namespace that is deleted.
    world.namespace("shop");
    world.merge(
        "Namespace",
        "",
        "shop",
        &json!({ "metadata": { "finalizers": ["example.com/other", "oc-quay/organization"] } }),
    );
    let run = world.oc_quay(&["teardown", "--yes", "-o", "json"]).succeeds();
    assert_eq!(
        world.get("Namespace", "", "shop").unwrap()["metadata"]["finalizers"],
        json!(["example.com/other"])
    );
    assert_eq!(
        (run.state("bridge"), run.state("integration")),
        ("done".into(), "done".into()),
        "{}",
        run.stdout
    );
    world.wait_for("the bridge to go", || bridge_objects(&world).is_empty());
    world.forget_traffic();
    let run = world.oc_quay(&["teardown", "--yes", "-o", "json"]).succeeds();
    assert_eq!(run.json()["summaryLine"], "There is nothing to take back");
    world.assert_nothing_written();
}

#[test]
fn a_second_setup_keeps_edits_of_the_deployment() {
    let world = World::bare();
    world.setup(&["--controller", "in-cluster"]).succeeds();
    let deployment = || world.get("Deployment", "oc-quay", "oc-quay").unwrap();
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
        world.merge(
            "Deployment",
            "oc-quay",
            "oc-quay",
            &json!({ "metadata": metadata, "spec": { "template": template } }),
        );
    };
    edit(&edited);
    let budget = json!({ "spec": { "minAvailable": null, "maxUnavailable": 1 } });
    world.merge("PodDisruptionBudget", "oc-quay", "oc-quay", &budget);
    // Until the edit is rolled out, `setup` waits for it, which is a change of its own.
    world.wait_for("the edit to be rolled out", || bridge_runs(&world));
    assert_nothing_to_do(&world, &["--controller", "in-cluster"]);

    // An update changes the image and nothing else; what the manifests set is as they set it.
    let before =
        [pod()["volumes"].clone(), pod()["tolerations"].clone(), pod()["affinity"].clone()];
    let mut reset = edited.clone();
    reset["args"][1] = json!("--log-format=text");
    reset["readinessProbe"]["httpGet"]["path"] = json!("/healthz");
    edit(&reset);
    let mut webhook =
        world.get("MutatingWebhookConfiguration", "", "oc-quay").unwrap()["webhooks"][0].clone();
    webhook["timeoutSeconds"] = json!(9);
    world.merge("MutatingWebhookConfiguration", "", "oc-quay", &json!({ "webhooks": [webhook] }));
    world.merge("Deployment", "oc-quay", "oc-quay", &json!({ "spec": { "replicas": 3 } }));
    world.setup(&["--controller-image", "registry.example.com/oc-quay:v2"]).succeeds();
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
        world.get("MutatingWebhookConfiguration", "", "oc-quay").unwrap()["webhooks"][0]["timeoutSeconds"],
        3
    );
    assert_eq!(
        world.get("PodDisruptionBudget", "oc-quay", "oc-quay").unwrap()["spec"]["maxUnavailable"],
        1
    );
    assert_nothing_to_do(&world, &[]);
}

#[test]
fn a_status_that_changes_meanwhile_is_no_conflict() {
    let world = World::bare();
    world.setup(&["--controller", "in-cluster"]).succeeds();
    let update = || world.setup(&["--controller-image", "registry.example.com/oc-quay:v2"]);
    let change =
        |path: &str, patch: Value| drop(world.merge("Deployment", "oc-quay", path, &patch));
    let edited = json!({ "spec": { "replicas": 1 } });
    let run =
        world.interfere("PATCH", "/deployments/oc-quay", update(), || change("oc-quay", edited));
    assert!(run.code == Some(1) && run.said().contains("it was changed meanwhile"), "{run:#?}");
    let status = json!({ "status": { "observedGeneration": 9 } });
    let run = world
        .interfere("PATCH", "/deployments/oc-quay", update(), || change("oc-quay/status", status));
    assert_eq!(run.code, Some(0), "{run:#?}");
    let deployment = world.get("Deployment", "oc-quay", "oc-quay").unwrap();
    assert_eq!(
        deployment["spec"]["template"]["spec"]["containers"][0]["image"],
        "registry.example.com/oc-quay:v2"
    );
}

#[test]
fn the_bridge_takes_over_from_the_operator_once_it_runs() {
    let world = World::bare();
    world.setup(&[]).succeeds();
    world.namespace("shop");
    world.merge(
        "Namespace",
        "",
        "shop",
        &json!({ "metadata": { "finalizers": ["example.com/other", FINALIZER] } }),
    );
    let integration = world.get("QuayIntegration", "", "quay").unwrap();

    let run = world.setup(&["--controller", "in-cluster", "-o", "json"]).succeeds();
    assert!(run.said().contains("the bridge stands by until it is gone"), "{}", run.stdout);
    assert!(bridge_runs(&world) && world.operator_runs(), "both are there");

    let run =
        world.setup(&["--controller", "in-cluster", "--replace-operator", "-o", "json"]).succeeds();
    assert_eq!(run.state("operator"), "done", "{}", run.stdout);
    assert!(bridge_runs(&world));
    assert_eq!(world.subscriptions(), 0);
    assert_eq!(world.get("Deployment", OPERATORS, olm::DEPLOYMENT), None);
    let webhooks: Vec<Value> = world.list("MutatingWebhookConfiguration", "");
    assert_eq!(webhooks.len(), 1, "{webhooks:#?}");
    assert_eq!(
        world.get("Namespace", "", "shop").unwrap()["metadata"]["finalizers"],
        json!(["example.com/other"])
    );
    assert_eq!(
        world.get("QuayIntegration", "", "quay").unwrap()["spec"],
        integration["spec"],
        "nothing of the integration changes"
    );
    assert_nothing_to_do(&world, &["--controller", "in-cluster", "--replace-operator"]);
}

#[test]
fn an_operator_without_olm_is_stopped_and_its_webhook_goes() {
    let world = World::bare();
    world.create(&manifests::operator_deployment(OPERATORS, 1));
    world.create(&json!({
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
    world.setup(&["--controller", "in-cluster", "--replace-operator"]).succeeds();
    assert_eq!(world.get("Deployment", OPERATORS, olm::DEPLOYMENT).unwrap()["spec"]["replicas"], 0);
    assert_eq!(world.get("MutatingWebhookConfiguration", "", "operators"), None);
    assert!(bridge_runs(&world));
    assert_nothing_to_do(&world, &["--replace-operator"]);
    let again = world.setup(&[]).succeeds();
    assert!(
        again.said().contains("scaled to 0: the bridge does not stand by")
            && !again.said().contains("stands by until"),
        "{}",
        again.stdout
    );
}

#[test]
fn what_others_made_in_the_bridges_place_is_changed_only_when_asked_for() {
    let world = World::bare();
    world.create(&json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": { "name": "oc-quay" },
        "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] }],
    }));
    let run = world.setup(&["--controller", "in-cluster", "-o", "json"]).ends_with(2);
    assert!(
        run.said().contains("there is a ClusterRole oc-quay already that does not carry our label"),
        "{run:#?}"
    );
    assert!(run.said().contains("--adopt"), "{run:#?}");
    assert_eq!(bridge_objects(&world), ["ClusterRole"]);
    assert_eq!(
        world.get("ClusterRole", "", "oc-quay").unwrap()["rules"][0]["resources"],
        json!(["pods"])
    );
    world.setup(&["--controller", "in-cluster", "--adopt"]).succeeds();
    assert!(bridge_runs(&world));
    assert_nothing_to_do(&world, &["--controller", "in-cluster"]);
}

#[test]
fn a_take_over_stops_the_operator_and_not_what_only_has_its_name() {
    let world = World::bare();
    world.namespace("mallory");
    world.create(&manifests::operator_deployment("mallory", 0));
    world.create(&manifests::operator_deployment(OPERATORS, 1));
    world.setup(&["--controller", "in-cluster", "--replace-operator"]).succeeds();
    assert_eq!(world.get("Deployment", OPERATORS, olm::DEPLOYMENT).unwrap()["spec"]["replicas"], 0);
    world.merge("Deployment", "mallory", olm::DEPLOYMENT, &json!({ "spec": { "replicas": 1 } }));
    assert_nothing_to_do(&world, &["--replace-operator"]);
}

#[test]
fn a_bridge_that_does_not_come_to_run_takes_nothing_over() {
    let world = World::bare();
    world.setup(&[]).succeeds();
    world.trouble(Some(&olm::Trouble::NeverFinishes));
    let run = world
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
    assert!(world.operator_runs(), "the operator works on");
}
