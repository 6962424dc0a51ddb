//! The set-up's step that has the nodes trust Quay's certificate authority.

use std::fs;

use serde_json::{Value, json};

use crate::support::{CONFIG_MAP_OF_OTHERS, World};

const CONFIG: &str = "openshift-config";
const OLD: &str = "-----BEGIN CERTIFICATE-----\nMIIold\n-----END CERTIFICATE-----";
/// Has the nodes trust Quay; the operator is not what these tests are about.
const APPLY: [&str; 3] = ["--controller=none", "--node-trust", "apply"];
const OURS: &str = "oc-quay-registry-cas";

/// The content of a ConfigMap for the nodes.
#[track_caller]
fn data(world: &World, name: &str) -> Value {
    world.get("ConfigMap", CONFIG, name).unwrap_or_else(|| panic!("no ConfigMap {name}"))["data"]
        .clone()
}

/// The certificate authority of this world's Quay.
fn authority(world: &World) -> String {
    fs::read_to_string(world.sandbox.ca_file()).unwrap()
}

/// The name of the ConfigMap that the image configuration trusts.
fn trusted(world: &World) -> Value {
    world.get("Image", "", "cluster").unwrap()["spec"]["additionalTrustedCA"]["name"].clone()
}

/// The writes to what nodes trust.
fn writes(world: &World) -> Vec<String> {
    let kinds = world.cluster_traffic().writes().into_iter().map(|entry| entry.kind);
    kinds.filter(|kind| kind.ends_with(" configmaps") || kind.ends_with(" images")).collect()
}

/// A world in which all but the node trust is set up.
fn set_up_but_for_trust() -> World {
    let world = World::bare();
    world.setup(&["--controller=none"]).succeeds();
    world.forget_traffic();
    world
}

#[test]
fn the_authority_is_put_where_the_nodes_look_for_it_and_a_second_run_writes_nothing() {
    let world = World::bare();
    let run = world.setup(&APPLY).args(&["-o", "json"]).succeeds();
    assert_eq!(run.state("nodeTrust"), "done");
    assert_eq!(trusted(&world), OURS);
    let host = world.sandbox.quay.host();
    let (name, port) = host.split_once(':').unwrap();
    assert_eq!(data(&world, OURS), json!({ format!("{name}..{port}"): authority(&world) }));
    assert_eq!(writes(&world), ["create configmaps", "patch images"]);

    world.forget_traffic();
    let run = world.setup(&APPLY).args(&["-o", "json"]).succeeds();
    assert_eq!(run.state("nodeTrust"), "alreadyDone");
    world.assert_nothing_written();
}

#[test]
fn writes_nothing_where_the_control_plane_is_hosted_and_names_the_fields() {
    let Some(world) =
        World::stand_in_bare(sandbox::Options::default(), "its control plane is its own")
    else {
        return;
    };
    let external = json!({ "status": { "controlPlaneTopology": "External" } });
    world.merge("Infrastructure", "", "cluster/status", &external);
    let run = world.setup(&APPLY).args(&["-o", "json"]).succeeds();
    let step = run.step("nodeTrust");
    assert_eq!(step["state"], "skipped");
    let reason = step["reason"].as_str().unwrap();
    assert!(reason.contains("spec.configuration.image.additionalTrustedCA.name"), "{reason}");
    assert!(step["facts"].to_string().contains("pods cannot pull from it"), "{step:#}");
    assert_eq!(writes(&world), Vec::<String>::new());
    let run = world
        .setup(&["--controller=none", "--node-trust", "print", "--dry-run", "-o", "yaml"])
        .succeeds();
    assert!(!run.stdout.contains("kind: ConfigMap"), "{}", run.stdout);
}

#[test]
fn nodes_are_left_alone_unless_somebody_says_otherwise() {
    for (arguments, variable, reason) in [
        (&[][..], "", "nodes are not updated unless somebody asks for it: --node-trust apply"),
        (&["--node-trust", "skip"], "", "it was asked to be left"),
        (&[], "skip", "it was asked to be left"),
        (&["--node-trust", "print"], "", "it was asked to be printed"),
    ] {
        let world = set_up_but_for_trust();
        let mut command = world.setup(arguments).args(&["--controller=none", "-o", "json"]);
        if !variable.is_empty() {
            command = command.env("OC_QUAY_NODE_TRUST", variable);
        }
        let run = command.succeeds();
        let step = run.step("nodeTrust");
        assert_eq!(step["state"], "skipped");
        assert!(step["reason"].as_str().unwrap().starts_with(reason), "{step:#}");
        assert!(step["facts"].to_string().contains("pods cannot pull from it"), "{step:#}");
        world.assert_nothing_written();
    }
}

#[test]
fn what_is_printed_makes_the_nodes_trust_it_when_somebody_else_writes_it() {
    let world = set_up_but_for_trust();
    let report = world.setup(&["--node-trust", "print", "-o", "json"]).succeeds().json();
    let manifests = report["manifests"].as_str().unwrap();
    let human = world.setup(&["--node-trust", "print"]).succeeds();
    for line in manifests.lines() {
        assert!(human.stdout.contains(line.trim_end()), "{line:?} is not in {}", human.stdout);
    }
    let objects: Vec<Value> = serde_saphyr::from_multiple(manifests)
        .unwrap_or_else(|error| panic!("{error}\n{manifests}"));
    let [config_map, image] = objects.as_slice() else { panic!("{objects:#?}") };
    world.create(config_map);
    world.merge(
        image["kind"].as_str().unwrap(),
        "",
        image["metadata"]["name"].as_str().unwrap(),
        &json!({ "spec": image["spec"] }),
    );
    let run = world.setup(&APPLY).args(&["-o", "json"]).succeeds();
    assert_eq!(run.state("nodeTrust"), "alreadyDone");
    assert_eq!(writes(&world), Vec::<String>::new());
}

#[test]
fn a_config_map_that_others_have_for_the_nodes_is_added_to() {
    let world = set_up_but_for_trust();
    world.trust_others();
    world.setup(&APPLY).succeeds();
    assert_eq!(trusted(&world), CONFIG_MAP_OF_OTHERS);
    let expected =
        json!({ "registry.example.com": "theirs", world.registry_key(): authority(&world) });
    assert_eq!(data(&world, CONFIG_MAP_OF_OTHERS), expected);
    assert_eq!(writes(&world), ["patch configmaps"]);
}

#[test]
fn an_authority_is_put_beside_the_one_that_signs_until_then() {
    let world = set_up_but_for_trust();
    world.trust_others();
    world.merge(
        "ConfigMap",
        CONFIG,
        CONFIG_MAP_OF_OTHERS,
        &json!({ "data": { world.registry_key(): OLD } }),
    );
    world.setup(&APPLY).succeeds();
    let found = data(&world, CONFIG_MAP_OF_OTHERS);
    assert_eq!(found[world.registry_key()], format!("{OLD}\n{}", authority(&world)));
    assert_eq!(found["registry.example.com"], "theirs");
    world.forget_traffic();
    world.setup(&APPLY).succeeds();
    world.assert_nothing_written();
}

#[test]
fn a_config_map_that_is_named_but_not_there_is_made() {
    let world = set_up_but_for_trust();
    world.merge(
        "Image",
        "",
        "cluster",
        &json!({ "spec": { "additionalTrustedCA": { "name": "gone" } } }),
    );
    world.setup(&APPLY).succeeds();
    assert_eq!(trusted(&world), "gone");
    assert_eq!(data(&world, "gone"), json!({ world.registry_key(): authority(&world) }));
    assert_eq!(writes(&world), ["create configmaps"]);
}

#[test]
fn a_config_map_of_ours_that_nothing_trusts_any_more_is_trusted_again() {
    let world = set_up_but_for_trust();
    world.setup(&APPLY).succeeds();
    world.merge("Image", "", "cluster", &json!({ "spec": { "additionalTrustedCA": null } }));
    world.setup(&APPLY).succeeds();
    assert_eq!(trusted(&world), OURS);
    assert_eq!(data(&world, OURS), json!({ world.registry_key(): authority(&world) }));
}

#[test]
fn what_somebody_writes_meanwhile_is_not_overwritten_and_the_next_run_merges_with_it() {
    let world = set_up_but_for_trust();
    world.trust_others();
    let added = json!({ "data": { "another.example.com": "added meanwhile" } });
    let setup = world.setup(&APPLY).args(&["-o", "json"]);
    let run = world.interfere("PATCH", "/configmaps/", setup, || {
        world.merge("ConfigMap", CONFIG, CONFIG_MAP_OF_OTHERS, &added);
    });
    assert_eq!((run.code, run.state("nodeTrust")), (Some(1), "failed".to_owned()), "{run:#?}");
    assert_eq!(
        data(&world, CONFIG_MAP_OF_OTHERS),
        json!({ "registry.example.com": "theirs", "another.example.com": "added meanwhile" })
    );

    world.setup(&APPLY).succeeds();
    let keys: Vec<_> =
        data(&world, CONFIG_MAP_OF_OTHERS).as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
}

#[test]
fn an_image_configuration_that_is_pointed_elsewhere_meanwhile_stays_so() {
    let world = set_up_but_for_trust();
    let setup = world.setup(&APPLY).args(&["-o", "json"]);
    let run = world.interfere("PATCH", "/images/cluster", setup, || world.trust_others());
    assert_eq!((run.code, run.state("nodeTrust")), (Some(1), "failed".to_owned()), "{run:#?}");
    assert_eq!(trusted(&world), CONFIG_MAP_OF_OTHERS);

    world.setup(&APPLY).succeeds();
    assert_eq!(trusted(&world), CONFIG_MAP_OF_OTHERS);
    assert_eq!(data(&world, CONFIG_MAP_OF_OTHERS)[world.registry_key()], authority(&world));
}

#[test]
fn without_an_authority_there_is_nothing_for_the_nodes_to_trust() {
    let world = World::bare();
    let insecure = ["--controller=none", "--insecure", "--node-trust", "apply", "-o", "json"];
    let run = world.setup(&insecure).without_env("OC_QUAY_CA_FILE").succeeds();
    let step = run.step("nodeTrust");
    assert_eq!(
        (&step["state"], &step["reason"]),
        (&json!("skipped"), &json!("there is no certificate authority to trust"))
    );
    assert!(
        step["facts"].to_string().contains("nodes verify Quay's certificate all the same"),
        "{step:#}"
    );

    // A system that trusts Quay's certificate by itself.
    drop(world);
    let world = World::bare();
    let trusting = world.setup(&APPLY).args(&["-o", "json"]).without_env("OC_QUAY_CA_FILE");
    let run = trusting.env("SSL_CERT_FILE", world.sandbox.ca_file()).succeeds();
    let step = run.step("nodeTrust");
    assert_eq!(step["state"], "skipped");
    assert!(
        step["reason"].as_str().unwrap().starts_with("this machine trusts Quay's certificate"),
        "{step:#}"
    );
    assert_eq!(trusted(&world), Value::Null);
    assert_eq!(writes(&world), Vec::<String>::new());
}
