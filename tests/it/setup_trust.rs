//! The set-up's step that has the nodes trust Quay's certificate authority.

use std::fs;

use serde_json::{Value, json};

use crate::support::{CONFIG_MAP_OF_OTHERS, TestEnv};

const CONFIG: &str = "openshift-config";
const OLD: &str = "-----BEGIN CERTIFICATE-----\nMIIold\n-----END CERTIFICATE-----";
/// Has the nodes trust Quay; the operator is not what these tests are about.
const APPLY: [&str; 3] = ["--controller=none", "--node-trust", "apply"];
const OURS: &str = "oc-quay-registry-cas";

/// The content of a ConfigMap for the nodes.
#[track_caller]
fn data(env: &TestEnv, name: &str) -> Value {
    env.get("ConfigMap", CONFIG, name).unwrap_or_else(|| panic!("no ConfigMap {name}"))["data"]
        .clone()
}

/// The certificate authority of this environment's Quay.
fn authority(env: &TestEnv) -> String {
    fs::read_to_string(env.sandbox.ca_file()).unwrap()
}

/// The name of the ConfigMap that the image configuration trusts.
fn trusted(env: &TestEnv) -> Value {
    env.get("Image", "", "cluster").unwrap()["spec"]["additionalTrustedCA"]["name"].clone()
}

/// The writes to what nodes trust.
fn writes(env: &TestEnv) -> Vec<String> {
    let kinds = env.cluster_traffic().writes().into_iter().map(|entry| entry.kind);
    kinds.filter(|kind| kind.ends_with(" configmaps") || kind.ends_with(" images")).collect()
}

/// An environment in which all but the node trust is set up.
fn set_up_but_for_trust() -> TestEnv {
    let env = TestEnv::bare();
    env.setup(&["--controller=none"]).succeeds();
    env.forget_traffic();
    env
}

#[test]
fn configures_node_trust_once() {
    let env = TestEnv::bare();
    let run = env.setup(&APPLY).args(&["-o", "json"]).succeeds();
    assert_eq!(run.state("nodeTrust"), "done");
    assert_eq!(trusted(&env), OURS);
    let host = env.sandbox.quay.host();
    let (name, port) = host.split_once(':').unwrap();
    assert_eq!(data(&env, OURS), json!({ format!("{name}..{port}"): authority(&env) }));
    assert_eq!(writes(&env), ["create configmaps", "patch images"]);

    env.forget_traffic();
    let run = env.setup(&APPLY).args(&["-o", "json"]).succeeds();
    assert_eq!(run.state("nodeTrust"), "alreadyDone");
    env.assert_nothing_written();
}

#[test]
fn hosted_control_plane_gets_instructions_only() {
    let Some(env) =
        TestEnv::stand_in_bare(sandbox::Options::default(), "its control plane is its own")
    else {
        return;
    };
    let external = json!({ "status": { "controlPlaneTopology": "External" } });
    env.merge("Infrastructure", "", "cluster/status", &external);
    let run = env.setup(&APPLY).args(&["-o", "json"]).succeeds();
    let step = run.step("nodeTrust");
    assert_eq!(step["state"], "skipped");
    let reason = step["reason"].as_str().unwrap();
    assert!(reason.contains("spec.configuration.image.additionalTrustedCA.name"), "{reason}");
    assert!(step["facts"].to_string().contains("pods cannot pull from it"), "{step:#}");
    assert_eq!(writes(&env), Vec::<String>::new());
    let run = env
        .setup(&["--controller=none", "--node-trust", "print", "--dry-run", "-o", "yaml"])
        .succeeds();
    assert!(!run.stdout.contains("kind: ConfigMap"), "{}", run.stdout);
}

#[test]
fn changes_nodes_only_when_requested() {
    for (arguments, variable, reason) in [
        (&[][..], "", "not requested (use --node-trust apply)"),
        (&["--node-trust", "skip"], "", "--node-trust skip"),
        (&[], "skip", "--node-trust skip"),
        (&["--node-trust", "print"], "", "--node-trust print"),
    ] {
        let env = set_up_but_for_trust();
        let mut command = env.setup(arguments).args(&["--controller=none", "-o", "json"]);
        if !variable.is_empty() {
            command = command.env("OC_QUAY_NODE_TRUST", variable);
        }
        let run = command.succeeds();
        let step = run.step("nodeTrust");
        assert_eq!(step["state"], "skipped");
        assert!(step["reason"].as_str().unwrap().starts_with(reason), "{step:#}");
        assert!(step["facts"].to_string().contains("pods cannot pull from it"), "{step:#}");
        env.assert_nothing_written();
    }
}

#[test]
fn printed_manifests_configure_node_trust() {
    let env = set_up_but_for_trust();
    let report = env.setup(&["--node-trust", "print", "-o", "json"]).succeeds().json();
    let manifests = report["manifests"].as_str().unwrap();
    let human = env.setup(&["--node-trust", "print"]).succeeds();
    for line in manifests.lines() {
        assert!(human.stdout.contains(line.trim_end()), "{line:?} is not in {}", human.stdout);
    }
    let objects: Vec<Value> = serde_saphyr::from_multiple(manifests)
        .unwrap_or_else(|error| panic!("{error}\n{manifests}"));
    let [config_map, image] = objects.as_slice() else { panic!("{objects:#?}") };
    env.create(config_map);
    env.merge(
        image["kind"].as_str().unwrap(),
        "",
        image["metadata"]["name"].as_str().unwrap(),
        &json!({ "spec": image["spec"] }),
    );
    let run = env.setup(&APPLY).args(&["-o", "json"]).succeeds();
    assert_eq!(run.state("nodeTrust"), "alreadyDone");
    assert_eq!(writes(&env), Vec::<String>::new());
}

#[test]
fn extends_config_map_of_others() {
    let env = set_up_but_for_trust();
    env.trust_foreign_registry();
    env.setup(&APPLY).succeeds();
    assert_eq!(trusted(&env), CONFIG_MAP_OF_OTHERS);
    let expected = json!({ "registry.example.com": "theirs", env.registry_key(): authority(&env) });
    assert_eq!(data(&env, CONFIG_MAP_OF_OTHERS), expected);
    assert_eq!(writes(&env), ["patch configmaps"]);
}

#[test]
fn appends_certificate_to_existing_key() {
    let env = set_up_but_for_trust();
    env.trust_foreign_registry();
    env.merge(
        "ConfigMap",
        CONFIG,
        CONFIG_MAP_OF_OTHERS,
        &json!({ "data": { env.registry_key(): OLD } }),
    );
    env.setup(&APPLY).succeeds();
    let found = data(&env, CONFIG_MAP_OF_OTHERS);
    assert_eq!(found[env.registry_key()], format!("{OLD}\n{}", authority(&env)));
    assert_eq!(found["registry.example.com"], "theirs");
    env.forget_traffic();
    env.setup(&APPLY).succeeds();
    env.assert_nothing_written();
}

#[test]
fn creates_missing_referenced_config_map() {
    let env = set_up_but_for_trust();
    env.merge(
        "Image",
        "",
        "cluster",
        &json!({ "spec": { "additionalTrustedCA": { "name": "gone" } } }),
    );
    env.setup(&APPLY).succeeds();
    assert_eq!(trusted(&env), "gone");
    assert_eq!(data(&env, "gone"), json!({ env.registry_key(): authority(&env) }));
    assert_eq!(writes(&env), ["create configmaps"]);
}

#[test]
fn references_own_config_map_again() {
    let env = set_up_but_for_trust();
    env.setup(&APPLY).succeeds();
    env.merge("Image", "", "cluster", &json!({ "spec": { "additionalTrustedCA": null } }));
    env.setup(&APPLY).succeeds();
    assert_eq!(trusted(&env), OURS);
    assert_eq!(data(&env, OURS), json!({ env.registry_key(): authority(&env) }));
}

#[test]
fn merges_concurrent_changes_on_next_run() {
    let env = set_up_but_for_trust();
    env.trust_foreign_registry();
    let added = json!({ "data": { "another.example.com": "added meanwhile" } });
    let setup = env.setup(&APPLY).args(&["-o", "json"]);
    let run = env.interfere("PATCH", "/configmaps/", setup, || {
        env.merge("ConfigMap", CONFIG, CONFIG_MAP_OF_OTHERS, &added);
    });
    assert_eq!((run.code, run.state("nodeTrust")), (Some(1), "failed".to_owned()), "{run:#?}");
    assert_eq!(
        data(&env, CONFIG_MAP_OF_OTHERS),
        json!({ "registry.example.com": "theirs", "another.example.com": "added meanwhile" })
    );

    env.setup(&APPLY).succeeds();
    let keys: Vec<_> =
        data(&env, CONFIG_MAP_OF_OTHERS).as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
}

#[test]
fn does_not_overwrite_changed_image_configuration() {
    let env = set_up_but_for_trust();
    let setup = env.setup(&APPLY).args(&["-o", "json"]);
    let run = env.interfere("PATCH", "/images/cluster", setup, || env.trust_foreign_registry());
    assert_eq!((run.code, run.state("nodeTrust")), (Some(1), "failed".to_owned()), "{run:#?}");
    assert_eq!(trusted(&env), CONFIG_MAP_OF_OTHERS);

    env.setup(&APPLY).succeeds();
    assert_eq!(trusted(&env), CONFIG_MAP_OF_OTHERS);
    assert_eq!(data(&env, CONFIG_MAP_OF_OTHERS)[env.registry_key()], authority(&env));
}

#[test]
fn skips_node_trust_without_authority() {
    let env = TestEnv::bare();
    let insecure = ["--controller=none", "--insecure", "--node-trust", "apply", "-o", "json"];
    let run = env.setup(&insecure).without_env("OC_QUAY_CA_FILE").succeeds();
    let step = run.step("nodeTrust");
    assert_eq!(
        (&step["state"], &step["reason"]),
        (&json!("skipped"), &json!("there is no certificate authority to trust"))
    );
    assert!(
        step["facts"].to_string().contains("nodes still verify Quay's certificate"),
        "{step:#}"
    );

    // A system that trusts Quay's certificate.
    drop(env);
    let env = TestEnv::bare();
    let trusting = env.setup(&APPLY).args(&["-o", "json"]).without_env("OC_QUAY_CA_FILE");
    let run = trusting.env("SSL_CERT_FILE", env.sandbox.ca_file()).succeeds();
    let step = run.step("nodeTrust");
    assert_eq!(step["state"], "skipped");
    assert!(
        step["reason"].as_str().unwrap().starts_with("this machine trusts Quay's certificate"),
        "{step:#}"
    );
    assert_eq!(trusted(&env), Value::Null);
    assert_eq!(writes(&env), Vec::<String>::new());
}
