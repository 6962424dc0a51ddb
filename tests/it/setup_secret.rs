//! `setup`: the Secret that holds the token, and Quay's certificate authority beside it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::Options;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::support::World;

const NAMESPACE: &str = "openshift-operators";
const NAME: &str = "quay-integration";

fn data(secret: &Value, key: &str) -> Option<String> {
    Some(String::from_utf8(STANDARD.decode(secret["data"][key].as_str()?).unwrap()).unwrap())
}

fn secret(world: &World) -> Value {
    world.get("Secret", NAMESPACE, NAME).unwrap()
}

/// A world that is set up, and another token for the same Quay.
fn set_up() -> (World, String) {
    let world = World::bare();
    world.setup(&["--controller=none"]).succeeds();
    let other = world.sandbox.quay.add_full_token("alice");
    world.note_secret(&other);
    world.forget_traffic();
    (world, other)
}

#[test]
fn name_namespace_and_key_can_be_chosen_and_the_namespace_is_made() {
    let world = World::bare();
    world.namespace("shop");
    let chosen =
        ["--secret-name", "registry", "--secret-namespace", "oc-quay", "--secret-key", "oauth"];
    let run = world.setup(&["--controller=none", "-o", "json"]).args(&chosen).succeeds();
    let step = run.step("secret");
    assert_eq!(step["changes"].as_array().unwrap().len(), 2, "{step}");
    assert!(step["facts"].to_string().contains("it will not find `oauth`"), "{step}");
    let secret = world.get("Secret", "oc-quay", "registry").unwrap();
    assert_eq!(data(&secret, "oauth"), Some(world.sandbox.quay.admin_token()));
    assert_eq!(world.get("Secret", NAMESPACE, NAME), None);
    let integration = world.get("QuayIntegration", "", "quay").unwrap();
    let expected = json!({ "namespace": "oc-quay", "name": "registry", "key": "oauth" });
    assert_eq!(integration["spec"]["credentialsSecret"], expected);

    // The other commands find it there, and so does the next run.
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.forget_traffic();
    world.oc_quay(&["setup", "--yes", "--controller=none"]).succeeds();
    world.assert_nothing_written();
}

#[test]
fn the_authority_that_is_stored_beside_the_token_is_trusted() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let status = || world.oc_quay(&["status", "-n", "shop"]).without_env("OC_QUAY_CA_FILE");
    status().ends_with(1);

    let run = world.setup(&["--controller=none", "-o", "json"]).succeeds();
    assert!(
        run.step("secret").to_string().contains("put Quay's certificate authority (ca.crt)"),
        "{}",
        run.stdout
    );
    let authority = std::fs::read_to_string(world.sandbox.ca_file()).unwrap();
    assert_eq!(data(&secret(&world), "ca.crt"), Some(authority));
    world.forget_traffic();
    status().succeeds();
    assert_eq!(world.cluster_traffic().count("get secrets"), 1);
    world.forget_traffic();
    world.setup(&["--controller=none"]).without_env("OC_QUAY_CA_FILE").succeeds();
    world.assert_nothing_written();

    let broken = json!({ "data": { "ca.crt": STANDARD.encode("no certificate") } });
    world.merge("Secret", NAMESPACE, NAME, &broken);
    let run = status().ends_with(1);
    assert!(
        run.stderr.contains("ca.crt in the Secret with the token is not used"),
        "{}",
        run.stderr
    );
    // One that is given goes first.
    world.oc_quay(&["status", "-n", "shop"]).succeeds();
}

#[test]
fn stores_only_the_certificates_of_the_authority_file() {
    let world = World::new();
    let authority = std::fs::read_to_string(world.sandbox.ca_file()).unwrap();
    let key = "-----BEGIN PRIVATE KEY-----\nbm90IGZvciBvdGhlcnM=\n-----END PRIVATE KEY-----\n";
    let file = world.dir().join("both.pem");
    std::fs::write(&file, format!("{key}{authority}")).unwrap();
    let path = file.to_str().unwrap();
    let setup = |arguments: &[&str]| {
        world.setup(arguments).args(&["--quay-ca-file", path, "--node-trust", "apply"])
    };
    let printed = world.oc_quay(&[
        "setup",
        "--controller=none",
        "--dry-run",
        "-o",
        "yaml",
        "--quay-ca-file",
        path,
    ]);
    let printed = printed
        .env("OC_QUAY_URL", world.sandbox.quay.url())
        .env("OC_QUAY_TOKEN", world.sandbox.quay.admin_token());
    for run in [printed.succeeds(), setup(&["--controller=none", "-o", "json"]).succeeds()] {
        assert!(
            !run.stdout.contains("bm90IGZvciBvdGhlcnM") && !run.stdout.contains("PRIVATE KEY"),
            "{}",
            run.stdout
        );
        let said = format!(
            "--quay-ca-file: {path} holds more than certificates, which is left out: PRIVATE KEY"
        );
        assert!(run.stderr.contains(&said), "{}", run.stderr);
    }
    assert_eq!(data(&secret(&world), "ca.crt"), Some(authority));
    let maps = world.list("ConfigMap", "openshift-config");
    assert!(
        !maps.is_empty() && maps.iter().all(|map| !map.to_string().contains("PRIVATE KEY")),
        "{maps:#?}"
    );
}

#[test]
fn another_token_is_replaced_only_if_that_is_said() {
    let (world, other) = set_up();
    let run = world.setup(&["--controller=none"]).env("OC_QUAY_TOKEN", &other).ends_with(2);
    world.assert_nothing_written();
    let written =
        secret(&world)["metadata"]["creationTimestamp"].as_str().unwrap()[..10].to_owned();
    for part in ["--replace-token", "OC_QUAY_REPLACE_TOKEN", "of quayadmin", "of alice", &written] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    world.merge(
        "Secret",
        NAMESPACE,
        NAME,
        &json!({ "data": { "notes": STANDARD.encode("keep me") } }),
    );
    let run = world
        .setup(&["--controller=none", "--replace-token", "-o", "json"])
        .env("OC_QUAY_TOKEN", &other)
        .succeeds();
    assert_eq!(run.state("secret"), "done");
    let secret = secret(&world);
    assert_eq!(
        (data(&secret, "token"), data(&secret, "notes").as_deref()),
        (Some(other), Some("keep me"))
    );
}

#[test]
fn a_stored_token_that_quay_does_not_accept_is_replaced_without_asking() {
    let (world, _) = set_up();
    world.sandbox.quay.expire_tokens();
    let run = world.setup(&["--controller=none"]).without_env("OC_QUAY_TOKEN").ends_with(2);
    assert!(
        run.stderr.contains("a token for Quay") && run.stderr.contains("is of no use"),
        "{}",
        run.stderr
    );
    let new = world.sandbox.quay.add_full_token("quayadmin");
    world.note_secret(&new);
    world.setup(&["--controller=none"]).env("OC_QUAY_TOKEN", &new).succeeds();
    assert_eq!(data(&secret(&world), "token"), Some(new));

    // A new one is issued just as well.
    world.sandbox.quay.expire_tokens();
    let password = world.sandbox.quay.password("quayadmin").unwrap();
    let signed_in = world
        .setup(&["--controller=none", "--quay-username", "quayadmin"])
        .without_env("OC_QUAY_TOKEN");
    signed_in.env("OC_QUAY_PASSWORD", password).succeeds();
    let [application] =
        world.sandbox.quay.applications("openshift-integration").try_into().unwrap();
    assert_eq!(data(&secret(&world), "token"), Some(application.tokens[0].token.clone()));
}

#[test]
fn a_secret_that_is_changed_meanwhile_is_not_written_over() {
    let Some(world) = World::stand_in_bare(
        Options::default(),
        "somebody writes at a moment that only a fault can choose",
    ) else {
        return;
    };
    world.setup(&["--controller=none"]).succeeds();
    let other = world.sandbox.quay.add_full_token("alice");
    let cluster = world.sandbox.openshift.clone();
    let write = move || {
        let mut secret = cluster.get("Secret", NAMESPACE, NAME).unwrap();
        secret["data"]["token"] = STANDARD.encode("somebody-elses").into();
        cluster.put(secret);
    };
    world
        .cluster_traffic()
        .fault(Fault::on("PATCH", "/secrets/quay-integration").times(1).before(write));
    let run = world
        .setup(&["--controller=none", "--replace-token", "-o", "json"])
        .env("OC_QUAY_TOKEN", &other)
        .ends_with(1);
    assert!(run.step("secret").to_string().contains("meanwhile"), "{}", run.stdout);
    assert_eq!(data(&secret(&world), "token").as_deref(), Some("somebody-elses"));
    world.clear_faults();
    world.setup(&["--controller=none", "--replace-token"]).env("OC_QUAY_TOKEN", &other).succeeds();
    assert_eq!(data(&secret(&world), "token"), Some(other));
}

#[test]
fn a_secret_that_is_made_meanwhile_is_not_written_over() {
    let Some(world) = World::stand_in_bare(
        Options::default(),
        "somebody writes at a moment that only a fault can choose",
    ) else {
        return;
    };
    let cluster = world.sandbox.openshift.clone();
    let write = move || drop(cluster.create(sandbox::manifests::credentials("somebody-elses")));
    world
        .cluster_traffic()
        .fault(Fault::on("POST", "/openshift-operators/secrets").times(1).before(write));
    world.setup(&["--controller=none"]).ends_with(1);
    assert_eq!(data(&secret(&world), "token").as_deref(), Some("somebody-elses"));
}

#[test]
fn shows_in_a_dry_run_that_a_token_would_be_replaced() {
    let world = World::bare();
    world.setup(&["--controller=none"]).succeeds();
    let other = world.sandbox.quay.add_full_token("quayadmin");
    let setup = |arguments: &[&str]| {
        world
            .oc_quay(&["setup", "--controller=none"])
            .args(arguments)
            .env("OC_QUAY_URL", world.sandbox.quay.url())
            .env("OC_QUAY_TOKEN", &other)
    };
    let run = setup(&["--dry-run"]).succeeds();
    assert!(run.stderr.contains("--replace-token is needed"), "{}", run.stderr);
    assert!(run.stdout.contains("put the token into secret quay-integration"), "{}", run.stdout);
    setup(&["--yes"]).ends_with(2);
    setup(&["--yes", "--replace-token"]).succeeds();
}
