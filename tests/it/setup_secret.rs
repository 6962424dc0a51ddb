//! `setup`: the Secret that holds the token, and Quay's certificate authority beside it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::Options;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::support::TestEnv;

const NAMESPACE: &str = "openshift-operators";
const NAME: &str = "quay-integration";

fn data(secret: &Value, key: &str) -> Option<String> {
    Some(String::from_utf8(STANDARD.decode(secret["data"][key].as_str()?).unwrap()).unwrap())
}

fn secret(env: &TestEnv) -> Value {
    env.get("Secret", NAMESPACE, NAME).unwrap()
}

/// An environment that is set up, and another token for the same Quay.
fn set_up() -> (TestEnv, String) {
    let env = TestEnv::bare();
    env.setup(&["--controller=none"]).succeeds();
    let other = env.sandbox.quay.add_full_token("alice");
    env.note_secret(&other);
    env.forget_traffic();
    (env, other)
}

#[test]
fn uses_given_secret_and_creates_its_namespace() {
    let env = TestEnv::bare();
    env.namespace("shop");
    let chosen =
        ["--secret-name", "registry", "--secret-namespace", "oc-quay", "--secret-key", "oauth"];
    let run = env.setup(&["--controller=none", "-o", "json"]).args(&chosen).succeeds();
    let step = run.step("secret");
    assert_eq!(step["changes"].as_array().unwrap().len(), 2, "{step}");
    assert!(step["facts"].to_string().contains("not `oauth`"), "{step}");
    let secret = env.get("Secret", "oc-quay", "registry").unwrap();
    assert_eq!(data(&secret, "oauth"), Some(env.sandbox.quay.admin_token()));
    assert_eq!(env.get("Secret", NAMESPACE, NAME), None);
    let integration = env.get("QuayIntegration", "", "quay").unwrap();
    let expected = json!({ "namespace": "oc-quay", "name": "registry", "key": "oauth" });
    assert_eq!(integration["spec"]["credentialsSecret"], expected);

    // The other commands find it there, and so does the next run.
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.forget_traffic();
    env.oc_quay(&["setup", "--yes", "--controller=none"]).succeeds();
    env.assert_nothing_written();
}

#[test]
fn trusts_stored_certificate_authority() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let status = || env.oc_quay(&["status", "-n", "shop"]).without_env("OC_QUAY_CA_FILE");
    status().ends_with(1);

    let run = env.setup(&["--controller=none", "-o", "json"]).succeeds();
    assert!(
        run.step("secret").to_string().contains("write Quay's certificate authority (ca.crt)"),
        "{}",
        run.stdout
    );
    let authority = std::fs::read_to_string(env.sandbox.ca_file()).unwrap();
    assert_eq!(data(&secret(&env), "ca.crt"), Some(authority));
    env.forget_traffic();
    status().succeeds();
    assert_eq!(env.cluster_traffic().count("get secrets"), 1);
    env.forget_traffic();
    env.setup(&["--controller=none"]).without_env("OC_QUAY_CA_FILE").succeeds();
    env.assert_nothing_written();

    let broken = json!({ "data": { "ca.crt": STANDARD.encode("no certificate") } });
    env.merge("Secret", NAMESPACE, NAME, &broken);
    let run = status().ends_with(1);
    assert!(
        run.stderr.contains("ca.crt in the Secret with the token is ignored"),
        "{}",
        run.stderr
    );
    // One that is given goes first.
    env.oc_quay(&["status", "-n", "shop"]).succeeds();
}

#[test]
fn stores_only_the_certificates_of_the_authority_file() {
    let env = TestEnv::new();
    let authority = std::fs::read_to_string(env.sandbox.ca_file()).unwrap();
    let key = "-----BEGIN PRIVATE KEY-----\nbm90IGZvciBvdGhlcnM=\n-----END PRIVATE KEY-----\n";
    let file = env.dir().join("both.pem");
    std::fs::write(&file, format!("{key}{authority}")).unwrap();
    let path = file.to_str().unwrap();
    let setup = |arguments: &[&str]| {
        env.setup(arguments).args(&["--quay-ca-file", path, "--node-trust", "apply"])
    };
    let printed = env.oc_quay(&[
        "setup",
        "--controller=none",
        "--dry-run",
        "-o",
        "yaml",
        "--quay-ca-file",
        path,
    ]);
    let printed = printed
        .env("OC_QUAY_URL", env.sandbox.quay.url())
        .env("OC_QUAY_TOKEN", env.sandbox.quay.admin_token());
    for run in [printed.succeeds(), setup(&["--controller=none", "-o", "json"]).succeeds()] {
        assert!(
            !run.stdout.contains("bm90IGZvciBvdGhlcnM") && !run.stdout.contains("PRIVATE KEY"),
            "{}",
            run.stdout
        );
        let said =
            format!("--quay-ca-file: {path}: only certificates are used; ignored: PRIVATE KEY");
        assert!(run.stderr.contains(&said), "{}", run.stderr);
    }
    assert_eq!(data(&secret(&env), "ca.crt"), Some(authority));
    let maps = env.list("ConfigMap", "openshift-config");
    assert!(
        !maps.is_empty() && maps.iter().all(|map| !map.to_string().contains("PRIVATE KEY")),
        "{maps:#?}"
    );
}

#[test]
fn replaces_token_only_when_requested() {
    let (env, other) = set_up();
    let run = env.setup(&["--controller=none"]).env("OC_QUAY_TOKEN", &other).ends_with(2);
    env.assert_nothing_written();
    let written = secret(&env)["metadata"]["creationTimestamp"].as_str().unwrap()[..10].to_owned();
    for part in ["--replace-token", "OC_QUAY_REPLACE_TOKEN", "of quayadmin", "to alice", &written] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    env.merge(
        "Secret",
        NAMESPACE,
        NAME,
        &json!({ "data": { "notes": STANDARD.encode("keep me") } }),
    );
    let run = env
        .setup(&["--controller=none", "--replace-token", "-o", "json"])
        .env("OC_QUAY_TOKEN", &other)
        .succeeds();
    assert_eq!(run.state("secret"), "done");
    let secret = secret(&env);
    assert_eq!(
        (data(&secret, "token"), data(&secret, "notes").as_deref()),
        (Some(other), Some("keep me"))
    );
}

#[test]
fn replaces_rejected_stored_token() {
    let (env, _) = set_up();
    env.sandbox.quay.expire_tokens();
    let run = env.setup(&["--controller=none"]).without_env("OC_QUAY_TOKEN").ends_with(2);
    assert!(
        run.stderr.contains("a token for Quay") && run.stderr.contains("is unusable"),
        "{}",
        run.stderr
    );
    let new = env.sandbox.quay.add_full_token("quayadmin");
    env.note_secret(&new);
    env.setup(&["--controller=none"]).env("OC_QUAY_TOKEN", &new).succeeds();
    assert_eq!(data(&secret(&env), "token"), Some(new));

    // A new one is issued just as well.
    env.sandbox.quay.expire_tokens();
    let password = env.sandbox.quay.password("quayadmin").unwrap();
    let signed_in = env
        .setup(&["--controller=none", "--quay-username", "quayadmin"])
        .without_env("OC_QUAY_TOKEN");
    signed_in.env("OC_QUAY_PASSWORD", password).succeeds();
    let [application] = env.sandbox.quay.applications("openshift-integration").try_into().unwrap();
    assert_eq!(data(&secret(&env), "token"), Some(application.tokens[0].token.clone()));
}

#[test]
fn does_not_overwrite_concurrently_changed_secret() {
    let Some(env) = TestEnv::stand_in_bare(
        Options::default(),
        "another process writes at a moment that only a fault can choose",
    ) else {
        return;
    };
    env.setup(&["--controller=none"]).succeeds();
    let other = env.sandbox.quay.add_full_token("alice");
    let cluster = env.sandbox.openshift.clone();
    let write = move || {
        let mut secret = cluster.get("Secret", NAMESPACE, NAME).unwrap();
        secret["data"]["token"] = STANDARD.encode("other-token").into();
        cluster.put(secret);
    };
    env.cluster_traffic()
        .fault(Fault::on("PATCH", "/secrets/quay-integration").times(1).before(write));
    let run = env
        .setup(&["--controller=none", "--replace-token", "-o", "json"])
        .env("OC_QUAY_TOKEN", &other)
        .ends_with(1);
    assert!(run.step("secret").to_string().contains("the object was modified"), "{}", run.stdout);
    assert_eq!(data(&secret(&env), "token").as_deref(), Some("other-token"));
    env.clear_faults();
    env.setup(&["--controller=none", "--replace-token"]).env("OC_QUAY_TOKEN", &other).succeeds();
    assert_eq!(data(&secret(&env), "token"), Some(other));
}

#[test]
fn does_not_overwrite_concurrently_created_secret() {
    let Some(env) = TestEnv::stand_in_bare(
        Options::default(),
        "another process writes at a moment that only a fault can choose",
    ) else {
        return;
    };
    let cluster = env.sandbox.openshift.clone();
    let write = move || drop(cluster.create(sandbox::manifests::credentials("other-token")));
    env.cluster_traffic()
        .fault(Fault::on("POST", "/openshift-operators/secrets").times(1).before(write));
    env.setup(&["--controller=none"]).ends_with(1);
    assert_eq!(data(&secret(&env), "token").as_deref(), Some("other-token"));
}

#[test]
fn dry_run_shows_that_a_token_would_be_replaced() {
    let env = TestEnv::bare();
    env.setup(&["--controller=none"]).succeeds();
    let other = env.sandbox.quay.add_full_token("quayadmin");
    let setup = |arguments: &[&str]| {
        env.oc_quay(&["setup", "--controller=none"])
            .args(arguments)
            .env("OC_QUAY_URL", env.sandbox.quay.url())
            .env("OC_QUAY_TOKEN", &other)
    };
    let run = setup(&["--dry-run"]).succeeds();
    assert!(run.stderr.contains("--replace-token is required"), "{}", run.stderr);
    assert!(run.stdout.contains("secret quay-integration"), "{}", run.stdout);
    setup(&["--yes"]).ends_with(2);
    setup(&["--yes", "--replace-token"]).succeeds();
}
