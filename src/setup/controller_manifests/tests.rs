#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;

fn manifests() -> Vec<Value> {
    ControllerManifests::new(None, Some("registry.example.com/oc-quay:v1")).manifests().collect()
}

fn find_kind<'a>(manifests: &'a [Value], kind: &str) -> &'a Value {
    manifests.iter().find(|object| object["kind"] == kind).unwrap()
}

#[test]
fn contains_each_object_once_with_our_label() {
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
fn restricts_metrics_to_monitoring() {
    let manifests = manifests();
    let policy = &find_kind(&manifests, "NetworkPolicy")["spec"];
    assert_eq!(policy["podSelector"], find_kind(&manifests, "Deployment")["spec"]["selector"]);
    for rule in policy["ingress"].as_array().unwrap() {
        let is_metrics = rule["ports"] == json!([{ "protocol": "TCP", "port": 8080 }]);
        assert_eq!(rule["from"].is_array(), is_metrics, "{rule}");
    }
}

#[test]
fn uses_given_namespace_and_image() {
    let controller =
        ControllerManifests::new(Some("quay-controller"), Some("registry.example.com/oc-quay:v1"));
    let manifests: Vec<_> = controller.manifests().collect();
    assert!(manifests.iter().all(|object| object["kind"] != "Namespace"), "others may live there");
    let text = serde_json::to_string(&manifests).unwrap();
    assert!(!text.contains(r#""namespace":"oc-quay""#), "{text}");
    assert_eq!(
        find_kind(&manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"],
        controller.image
    );
    let image = ControllerManifests::new(None, None).image;
    assert!(image.ends_with(concat!(":v", env!("CARGO_PKG_VERSION"))), "{image}");
}

#[test]
fn pod_meets_restricted_pod_security_standard() {
    let manifests = manifests();
    let pod = &find_kind(&manifests, "Deployment")["spec"]["template"]["spec"];
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
fn references_between_objects_match() {
    let manifests = manifests();
    let pod = &find_kind(&manifests, "Deployment")["spec"]["template"];
    let service = find_kind(&manifests, "Service");
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
    let client = &find_kind(&manifests, "MutatingWebhookConfiguration")["webhooks"][0]["clientConfig"]
        ["service"];
    assert_eq!(
        (&client["name"], &client["namespace"]),
        (&service["metadata"]["name"], &service["metadata"]["namespace"])
    );
    assert_eq!(client["port"], service["spec"]["ports"][0]["port"]);
}

#[test]
fn container_args_are_a_valid_command_line() {
    use clap::Parser as _;
    let manifests = manifests();
    let args =
        &find_kind(&manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"];
    let words = args.as_array().unwrap().iter().map(|arg| arg.as_str().unwrap());
    crate::cli::Cli::try_parse_from(std::iter::once("oc-quay").chain(words)).unwrap();
}

#[test]
fn rules_contain_no_wildcards() {
    for object in manifests().iter().filter(|object| !object["rules"].is_null()) {
        assert!(!object["rules"].to_string().contains('*'), "{object}");
    }
}
