#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;

fn manifests() -> Vec<Value> {
    ControllerManifests::new(None, Some("registry.example.com/oc-quay:v1")).manifests().collect()
}

fn of_kind<'a>(manifests: &'a [Value], kind: &str) -> &'a Value {
    manifests.iter().find(|object| object["kind"] == kind).unwrap()
}

#[test]
fn all_that_the_bridge_needs_is_there_once_and_carries_our_label() {
    let manifests = manifests();
    let kinds: Vec<_> = manifests.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    let expected = [
        "ClusterRole",
        "ClusterRoleBinding",
        "Namespace",
        "ServiceAccount",
        "Role",
        "RoleBinding",
        "NetworkPolicy",
        "Service",
        "Deployment",
        "PodDisruptionBudget",
        "ServiceMonitor",
        "MutatingWebhookConfiguration",
    ];
    assert_eq!(kinds, expected);
    for object in &manifests {
        assert_eq!(object["metadata"]["name"], "oc-quay", "{object}");
        assert_eq!(object["metadata"]["labels"][MANAGED_BY_LABEL], MANAGED_BY, "{object}");
    }
}

#[test]
fn metrics_are_for_the_monitoring_alone() {
    let manifests = manifests();
    let policy = &of_kind(&manifests, "NetworkPolicy")["spec"];
    assert_eq!(policy["podSelector"], of_kind(&manifests, "Deployment")["spec"]["selector"]);
    for rule in policy["ingress"].as_array().unwrap() {
        let is_metrics = rule["ports"] == json!([{ "protocol": "TCP", "port": 8080 }]);
        assert_eq!(rule["from"].is_array(), is_metrics, "{rule}");
    }
}

#[test]
fn the_namespace_and_the_image_are_those_that_are_named() {
    let bridge =
        ControllerManifests::new(Some("quay-bridge"), Some("registry.example.com/oc-quay:v1"));
    let manifests: Vec<_> = bridge.manifests().collect();
    assert!(manifests.iter().all(|object| object["kind"] != "Namespace"), "others may live there");
    let text = serde_json::to_string(&manifests).unwrap();
    assert!(!text.contains(r#""namespace":"oc-quay""#), "{text}");
    assert_eq!(
        of_kind(&manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"],
        bridge.image
    );
    let image = ControllerManifests::new(None, None).image;
    assert!(image.ends_with(concat!(":v", env!("CARGO_PKG_VERSION"))), "{image}");
}

#[test]
fn the_pod_passes_the_restricted_pod_security_standard() {
    let manifests = manifests();
    let pod = &of_kind(&manifests, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let container = &pod["containers"][0]["securityContext"];
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["capabilities"], json!({ "drop": ["ALL"] }));
    assert_eq!(container["readOnlyRootFilesystem"], true);
    assert!(
        pod["volumes"].as_array().unwrap().iter().all(|volume| volume["secret"].is_object()),
        "{pod}"
    );
}

#[test]
fn what_refers_to_each_other_agrees() {
    let manifests = manifests();
    let pod = &of_kind(&manifests, "Deployment")["spec"]["template"];
    let service = of_kind(&manifests, "Service");
    let container = &pod["spec"]["containers"][0];
    let ports: BTreeSet<_> = container["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["name"].as_str().unwrap())
        .collect();
    for port in service["spec"]["ports"].as_array().unwrap() {
        assert!(ports.contains(port["targetPort"].as_str().unwrap()), "{port}");
    }
    for (key, value) in service["spec"]["selector"].as_object().unwrap() {
        assert_eq!(&pod["metadata"]["labels"][key], value);
        assert_eq!(
            &service["metadata"]["labels"][key], value,
            "the ServiceMonitor selects the Service by it"
        );
    }
    let secret =
        &service["metadata"]["annotations"]["service.beta.openshift.io/serving-cert-secret-name"];
    assert_eq!(&pod["spec"]["volumes"][0]["secret"]["secretName"], secret);
    let folder = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
    let args: Vec<_> =
        container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
    assert!(args.contains(&format!("--webhook-cert-dir={folder}").as_str()), "{args:?}");
    let client = &of_kind(&manifests, "MutatingWebhookConfiguration")["webhooks"][0]["clientConfig"]
        ["service"];
    assert_eq!(
        (&client["name"], &client["namespace"]),
        (&service["metadata"]["name"], &service["metadata"]["namespace"])
    );
    assert_eq!(client["port"], service["spec"]["ports"][0]["port"]);
}

#[test]
fn the_container_is_started_with_a_command_line_that_is_one() {
    use clap::Parser as _;
    let manifests = manifests();
    let args =
        &of_kind(&manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"];
    let words = args.as_array().unwrap().iter().map(|arg| arg.as_str().unwrap());
    crate::cli::Cli::try_parse_from(std::iter::once("oc-quay").chain(words)).unwrap();
}

#[test]
fn no_right_is_for_everything() {
    for object in manifests().iter().filter(|object| !object["rules"].is_null()) {
        assert!(!object["rules"].to_string().contains('*'), "{object}");
    }
}
