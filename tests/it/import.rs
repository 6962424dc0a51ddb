//! `import`: updates image streams from Quay, and reports why a tag is not imported.

use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::support::TestEnv;

/// Namespace `shop`, linked, in a cluster that trusts Quay's certificate.
fn linked() -> TestEnv {
    let env = TestEnv::new();
    env.trust_quay();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env
}

fn push(env: &TestEnv, repository: &str, tag: &str) -> Value {
    json!(env.sandbox.quay.push_tag("openshift_shop", repository, tag).unwrap())
}

fn has(env: &TestEnv, stream: &str, tag: &str) -> Value {
    env.newest_item("shop", stream, tag).map_or(Value::Null, |item| item["image"].clone())
}

fn spec(env: &TestEnv, stream: &str, tag: &str) -> Value {
    let stream = env.get("ImageStream", "shop", stream).unwrap();
    stream["spec"]["tags"]
        .as_array()
        .unwrap()
        .iter()
        .find(|known| known["name"] == tag)
        .unwrap()
        .clone()
}

#[test]
fn imports_missing_tags_into_image_streams() {
    let env = linked();
    let (one, latest, web) =
        (push(&env, "app", "1"), push(&env, "app", "latest"), push(&env, "web", "1"));
    env.forget_traffic();
    let run = env.oc_quay(&["import", "-n", "shop", "--missing", "--yes"]).succeeds();
    assert!(run.stdout.ends_with("Imported into shop: 3 changes\n"), "{}", run.stdout);
    assert_eq!(
        [has(&env, "app", "1"), has(&env, "app", "latest"), has(&env, "web", "1")],
        [one, latest.clone(), web]
    );
    assert_eq!(
        env.cluster_traffic().count("create imagestreamimports"),
        2,
        "one for each image stream"
    );
    assert_eq!(
        env.quay_traffic().entries().len(),
        3,
        "the list of repositories, and the tags of those that have some"
    );

    env.forget_traffic();
    let again = env.oc_quay(&["import", "-n", "shop", "--missing", "--yes"]).succeeds();
    assert_eq!(again.stdout, "Nothing to do\n");
    env.assert_nothing_written();

    let newer = push(&env, "app", "latest");
    let planned = env
        .oc_quay(&["import", "-n", "shop", "--missing", "--dry-run", "-o", "json"])
        .succeeds()
        .json();
    let image = format!("{}/openshift_shop/app:latest", env.sandbox.quay.host());
    assert_eq!(planned["changes"][0]["summary"], format!("import app:latest from {image}"));
    assert_eq!(
        (planned["changes"].as_array().unwrap().len(), has(&env, "app", "latest")),
        (1, latest)
    );
    let unasked = env.oc_quay(&["import", "app:latest", "-n", "shop"]).ends_with(2);
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);

    env.oc_quay(&["import", "app", "-n", "shop", "--scheduled", "--yes"]).succeeds();
    assert_eq!(has(&env, "app", "latest"), newer);
    let expected = json!({ "kind": "DockerImage", "name": image });
    let spec = spec(&env, "app", "latest");
    assert_eq!((&spec["from"], &spec["importPolicy"]["scheduled"]), (&expected, &json!(true)));
    assert_eq!(spec["referencePolicy"]["type"], "Source");
}

/// An import replaces the policy of the tag.
#[test]
fn keeps_schedule_and_uses_integration_certificate_setting() {
    let env = linked();
    push(&env, "app", "latest");
    env.oc_quay(&["import", "app:latest", "-n", "shop", "--scheduled", "--yes"]).succeeds();
    let image = spec(&env, "app", "latest")["from"].clone();
    let policy = json!({ "importMode": "PreserveOriginal", "scheduled": true });
    let tags = json!([{ "name": "latest", "from": image, "importPolicy": policy, "referencePolicy": { "type": "Source" } }]);
    env.merge("ImageStream", "shop", "app", &json!({ "spec": { "tags": tags } }));
    let newer = push(&env, "app", "latest");
    env.oc_quay(&["import", "-n", "shop", "--missing", "--insecure", "--yes"]).succeeds();
    assert_eq!(has(&env, "app", "latest"), newer);
    let policy = spec(&env, "app", "latest")["importPolicy"].clone();
    assert_eq!(
        (&policy["scheduled"], &policy["importMode"]),
        (&json!(true), &json!("PreserveOriginal"))
    );
    assert_ne!(policy["insecure"], true, "--insecure is about this client");
}

#[test]
fn reports_failed_import_and_continues_with_others() {
    let env = linked();
    let digest = push(&env, "app", "1");
    let failed = env
        .oc_quay(&["import", "app:1", "app:absent", "-n", "shop", "--yes", "-o", "json"])
        .ends_with(1)
        .json();
    let states: Vec<_> =
        failed["changes"].as_array().unwrap().iter().map(|change| &change["state"]).collect();
    assert_eq!(states, ["done", "failed"]);
    let error = failed["changes"][1]["error"].as_str().unwrap();
    assert!(error.ends_with("not found (Quay has no such image)"), "{error}");
    assert_eq!(has(&env, "app", "1"), digest);

    env.create_credentials("shop", "a-rival", "other:else");
    let rejected = env.oc_quay(&["import", "app:1", "-n", "shop", "--yes"]).ends_with(1);
    let words = rejected.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("(only secret a-rival is used; its credentials of other are rejected"),
        "{words}"
    );

    env.merge("Image", "", "cluster", &json!({ "spec": { "additionalTrustedCA": null } }));
    let untrusted = env.oc_quay(&["import", "app:1", "-n", "shop", "--yes"]).ends_with(1);
    let words = untrusted.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("(the cluster does not trust Quay's certificate)"), "{words}");
    let missing = env.oc_quay(&["import", "nothing", "-n", "shop", "--yes"]).ends_with(2);
    assert!(
        missing.stderr.contains("repository openshift_shop/nothing not found in Quay"),
        "{}",
        missing.stderr
    );
    for nonsense in ["app@sha256:00", "App", "app:"] {
        env.oc_quay(&["import", nonsense, "-n", "shop", "--yes"]).ends_with(2);
    }
}

#[test]
fn skips_tags_managed_by_others_unless_named() {
    let env = linked();
    let digest = push(&env, "base", "ubi");
    let from = json!({ "kind": "DockerImage", "name": "registry.example.com/ubi:9" });
    let tags = json!([{ "name": "ubi", "from": from, "referencePolicy": { "type": "Local" } }, { "name": "own" }]);
    env.merge("ImageStream", "shop", "base", &json!({ "spec": { "tags": tags } }));
    let left = env.oc_quay(&["import", "-n", "shop", "--yes", "-o", "json"]).succeeds();
    assert_eq!(
        (left.codes(), left.json()["changes"].clone()),
        (vec!["OQ524".to_owned()], json!([]))
    );
    let spec_before = spec(&env, "base", "ubi");
    assert_eq!(spec_before["from"], from);

    let run = env.oc_quay(&["import", "base:ubi", "-n", "shop", "--yes"]).succeeds();
    let words = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("which follows registry.example.com/ubi:9 now"), "{words}");
    assert_eq!(has(&env, "base", "ubi"), digest);
    assert_eq!(spec(&env, "base", "ubi")["referencePolicy"]["type"], "Local", "OpenShift keeps it");
}

#[test]
fn keeps_pushed_image_unless_its_tag_is_named() {
    let env = linked();
    let older = push(&env, "app", "latest");
    env.oc_quay(&["import", "app:latest", "-n", "shop", "--yes"]).succeeds();
    let newer = json!(env.push_inside("shop", "app", "latest"));
    let insists = |when: &str| {
        let status = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds();
        assert_eq!(status.codes(), ["OQ525"], "{when}");
        assert_eq!(
            status.json()["findings"][0]["hint"],
            "oc quay import app:latest -n shop",
            "{when}"
        );
        let run =
            env.oc_quay(&["import", "-n", "shop", "--missing", "--yes", "-o", "json"]).succeeds();
        let run = (run.codes(), run.json()["changes"].clone());
        (
            run.0,
            run.1.as_array().unwrap().iter().all(|change| change["object"]["name"] != "app:latest"),
        )
    };
    let left = (vec!["OQ524".to_owned()], true);
    assert_eq!(insists("before anything else happens in Quay"), left);
    // Another tag makes the program read the repository.
    push(&env, "app", "other");
    assert_eq!(insists("after a push of another tag"), left);
    assert_eq!(has(&env, "app", "latest"), newer);
    env.oc_quay(&["import", "app:latest", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(has(&env, "app", "latest"), older);
    env.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).succeeds();
}

#[test]
fn does_not_import_reference_tags() {
    let env = linked();
    push(&env, "app", "latest");
    let image = format!("{}/openshift_shop/app:latest", env.sandbox.quay.host());
    let tag = json!({ "name": "latest", "from": { "kind": "DockerImage", "name": image }, "reference": true });
    env.merge("ImageStream", "shop", "app", &json!({ "spec": { "tags": [tag] } }));
    env.forget_traffic();
    env.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).succeeds();
    let asked = env.quay_traffic().entries();
    assert!(asked.iter().all(|entry| !entry.path.contains("/tag/")), "{asked:?}");
    for command in
        [&["import", "-n", "shop", "--missing", "--yes"][..], &["import", "-n", "shop", "--yes"]]
    {
        assert_eq!(env.oc_quay(command).succeeds().stdout, "Nothing to do\n");
    }
    assert_eq!(has(&env, "app", "latest"), Value::Null);
}

/// The tag is pushed during its import.
#[test]
fn does_not_import_tag_changed_after_the_plan() {
    let Some(env) = TestEnv::stand_in("what happens between two requests is arranged") else {
        return;
    };
    env.trust_quay();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    push(&env, "app", "latest");
    env.oc_quay(&["import", "app:latest", "-n", "shop", "--yes"]).succeeds();
    for tag in ["latest", "other"] {
        push(&env, "app", tag);
    }
    let before = env.sandbox.openshift.get("ImageStream", "shop", "app").unwrap();
    let newer = json!(env.push_inside("shop", "app", "latest"));
    let after = env.sandbox.openshift.get("ImageStream", "shop", "app").unwrap();
    env.sandbox.openshift.put(before);
    let openshift = env.sandbox.openshift.clone();
    let pushed = move || openshift.put(after.clone());
    env.cluster_traffic().fault(Fault::on("POST", "/imagestreamimports").times(1).before(pushed));
    let run =
        env.oc_quay(&["import", "-n", "shop", "--missing", "--yes", "-o", "json"]).ends_with(1);
    let report = run.json();
    let states: Vec<_> =
        report["changes"].as_array().unwrap().iter().map(|change| &change["state"]).collect();
    assert_eq!(states, ["failed", "done"], "{}", run.stdout);
    assert!(run.stdout.contains("the tag was changed after planning"), "{}", run.stdout);
    assert_eq!(has(&env, "app", "latest"), newer);
}

#[test]
fn project_administrator_imports_named_tags_without_token() {
    let env = linked();
    env.grant("dev", "shop");
    let digest = push(&env, "app", "1");
    let guest =
        |arguments: &[&str]| env.oc_quay(arguments).guest("dev").without_env("OC_QUAY_TOKEN");
    let swept = guest(&["import", "-n", "shop", "--yes"]).ends_with(2);
    assert!(
        swept.stderr.contains("name the tags to import them without a token"),
        "{}",
        swept.stderr
    );
    env.forget_traffic();
    guest(&["import", "app:1", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(has(&env, "app", "1"), digest);
    assert_eq!(env.quay_traffic().entries().len(), 0);
}
