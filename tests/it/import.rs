//! `import`: what Quay has comes into the image streams, and what does not says why.

use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::support::World;

/// Namespace `shop`, linked, in a cluster that trusts Quay's certificate.
fn linked() -> World {
    let world = World::new();
    world.trust_quay();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world
}

fn push(world: &World, repository: &str, tag: &str) -> Value {
    json!(world.sandbox.quay.push_tag("openshift_shop", repository, tag).unwrap())
}

/// The digest that a tag has in its image stream.
fn has(world: &World, stream: &str, tag: &str) -> Value {
    world.newest_item("shop", stream, tag).map_or(Value::Null, |item| item["image"].clone())
}

/// A tag as the spec of its image stream has it.
fn spec(world: &World, stream: &str, tag: &str) -> Value {
    let stream = world.get("ImageStream", "shop", stream).unwrap();
    stream["spec"]["tags"]
        .as_array()
        .unwrap()
        .iter()
        .find(|known| known["name"] == tag)
        .unwrap()
        .clone()
}

#[test]
fn what_quay_has_comes_into_the_image_streams_and_then_nothing_is_missing() {
    let world = linked();
    let (one, latest, web) =
        (push(&world, "app", "1"), push(&world, "app", "latest"), push(&world, "web", "1"));
    world.forget_traffic();
    let run = world.oc_quay(&["import", "-n", "shop", "--missing", "--yes"]).succeeds();
    assert!(run.stdout.ends_with("Imported into shop: 3 changes\n"), "{}", run.stdout);
    assert_eq!(
        [has(&world, "app", "1"), has(&world, "app", "latest"), has(&world, "web", "1")],
        [one, latest.clone(), web]
    );
    assert_eq!(
        world.cluster_traffic().count("create imagestreamimports"),
        2,
        "one for each image stream"
    );
    assert_eq!(
        world.quay_traffic().entries().len(),
        3,
        "the list of repositories, and the tags of those that have some"
    );

    world.forget_traffic();
    let again = world.oc_quay(&["import", "-n", "shop", "--missing", "--yes"]).succeeds();
    assert_eq!(again.stdout, "Nothing to do\n");
    world.assert_nothing_written();

    let newer = push(&world, "app", "latest");
    let planned = world
        .oc_quay(&["import", "-n", "shop", "--missing", "--dry-run", "-o", "json"])
        .succeeds()
        .json();
    let image = format!("{}/openshift_shop/app:latest", world.sandbox.quay.host());
    assert_eq!(planned["changes"][0]["summary"], format!("import app:latest from {image}"));
    assert_eq!(
        (planned["changes"].as_array().unwrap().len(), has(&world, "app", "latest")),
        (1, latest)
    );
    let unasked = world.oc_quay(&["import", "app:latest", "-n", "shop"]).ends_with(2);
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);

    world.oc_quay(&["import", "app", "-n", "shop", "--scheduled", "--yes"]).succeeds();
    assert_eq!(has(&world, "app", "latest"), newer);
    let expected = json!({ "kind": "DockerImage", "name": image });
    let spec = spec(&world, "app", "latest");
    assert_eq!((&spec["from"], &spec["importPolicy"]["scheduled"]), (&expected, &json!(true)));
    assert_eq!(spec["referencePolicy"]["type"], "Source");
}

/// An import puts its own policy in the place of the tag's.
#[test]
fn a_tag_stays_scheduled_and_the_certificate_is_the_integrations_business() {
    let world = linked();
    push(&world, "app", "latest");
    world.oc_quay(&["import", "app:latest", "-n", "shop", "--scheduled", "--yes"]).succeeds();
    let image = spec(&world, "app", "latest")["from"].clone();
    let policy = json!({ "importMode": "PreserveOriginal", "scheduled": true });
    let tags = json!([{ "name": "latest", "from": image, "importPolicy": policy, "referencePolicy": { "type": "Source" } }]);
    world.merge("ImageStream", "shop", "app", &json!({ "spec": { "tags": tags } }));
    let newer = push(&world, "app", "latest");
    world.oc_quay(&["import", "-n", "shop", "--missing", "--insecure", "--yes"]).succeeds();
    assert_eq!(has(&world, "app", "latest"), newer);
    let policy = spec(&world, "app", "latest")["importPolicy"].clone();
    assert_eq!(
        (&policy["scheduled"], &policy["importMode"]),
        (&json!(true), &json!("PreserveOriginal"))
    );
    assert_ne!(policy["insecure"], true, "--insecure is about this client");
}

#[test]
fn an_import_that_fails_says_why_and_the_others_succeed() {
    let world = linked();
    let digest = push(&world, "app", "1");
    let failed = world
        .oc_quay(&["import", "app:1", "app:absent", "-n", "shop", "--yes", "-o", "json"])
        .ends_with(1)
        .json();
    let states: Vec<_> =
        failed["changes"].as_array().unwrap().iter().map(|change| &change["state"]).collect();
    assert_eq!(states, ["done", "failed"]);
    let error = failed["changes"][1]["error"].as_str().unwrap();
    assert!(error.ends_with("not found (Quay has no such image)"), "{error}");
    assert_eq!(has(&world, "app", "1"), digest);

    world.create_login("shop", "a-rival", "somebody:else");
    let refused = world.oc_quay(&["import", "app:1", "-n", "shop", "--yes"]).ends_with(1);
    let words = refused.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains("(secret a-rival is tried, and no other; its login somebody is refused"),
        "{words}"
    );

    world.merge("Image", "", "cluster", &json!({ "spec": { "additionalTrustedCA": null } }));
    let untrusted = world.oc_quay(&["import", "app:1", "-n", "shop", "--yes"]).ends_with(1);
    let words = untrusted.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("(the cluster does not trust Quay's certificate)"), "{words}");
    let missing = world.oc_quay(&["import", "nothing", "-n", "shop", "--yes"]).ends_with(2);
    assert!(
        missing.stderr.contains("Quay has no repository openshift_shop/nothing"),
        "{}",
        missing.stderr
    );
    for nonsense in ["app@sha256:00", "App", "app:"] {
        world.oc_quay(&["import", nonsense, "-n", "shop", "--yes"]).ends_with(2);
    }
}

#[test]
fn what_something_else_decides_over_is_left_alone_until_it_is_named() {
    let world = linked();
    let digest = push(&world, "base", "ubi");
    let from = json!({ "kind": "DockerImage", "name": "registry.example.com/ubi:9" });
    let tags = json!([{ "name": "ubi", "from": from, "referencePolicy": { "type": "Local" } }, { "name": "own" }]);
    world.merge("ImageStream", "shop", "base", &json!({ "spec": { "tags": tags } }));
    let left = world.oc_quay(&["import", "-n", "shop", "--yes", "-o", "json"]).succeeds();
    assert_eq!(
        (left.codes(), left.json()["changes"].clone()),
        (vec!["OQ524".to_owned()], json!([]))
    );
    let spec_before = spec(&world, "base", "ubi");
    assert_eq!(spec_before["from"], from);

    let run = world.oc_quay(&["import", "base:ubi", "-n", "shop", "--yes"]).succeeds();
    let words = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("instead of following registry.example.com/ubi:9"), "{words}");
    assert_eq!(has(&world, "base", "ubi"), digest);
    assert_eq!(
        spec(&world, "base", "ubi")["referencePolicy"]["type"],
        "Local",
        "OpenShift keeps it"
    );
}

#[test]
fn an_image_pushed_into_the_cluster_stays_until_its_tag_is_named() {
    let world = linked();
    let older = push(&world, "app", "latest");
    world.oc_quay(&["import", "app:latest", "-n", "shop", "--yes"]).succeeds();
    let newer = json!(world.push_inside("shop", "app", "latest"));
    let insists = |when: &str| {
        let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds();
        assert_eq!(status.codes(), ["OQ525"], "{when}");
        assert_eq!(
            status.json()["findings"][0]["hint"],
            "oc quay import app:latest -n shop",
            "{when}"
        );
        let run =
            world.oc_quay(&["import", "-n", "shop", "--missing", "--yes", "-o", "json"]).succeeds();
        let run = (run.codes(), run.json()["changes"].clone());
        (
            run.0,
            run.1.as_array().unwrap().iter().all(|change| change["object"]["name"] != "app:latest"),
        )
    };
    let left = (vec!["OQ524".to_owned()], true);
    assert_eq!(insists("before anything else happens in Quay"), left);
    // Another tag has the repository looked into.
    push(&world, "app", "other");
    assert_eq!(insists("after a push of another tag"), left);
    assert_eq!(has(&world, "app", "latest"), newer);
    world.oc_quay(&["import", "app:latest", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(has(&world, "app", "latest"), older);
    world.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).succeeds();
}

#[test]
fn a_tag_that_only_points_at_quay_is_not_imported() {
    let world = linked();
    push(&world, "app", "latest");
    let image = format!("{}/openshift_shop/app:latest", world.sandbox.quay.host());
    let tag = json!({ "name": "latest", "from": { "kind": "DockerImage", "name": image }, "reference": true });
    world.merge("ImageStream", "shop", "app", &json!({ "spec": { "tags": [tag] } }));
    world.forget_traffic();
    world.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).succeeds();
    let asked = world.quay_traffic().entries();
    assert!(asked.iter().all(|entry| !entry.path.contains("/tag/")), "{asked:?}");
    for command in
        [&["import", "-n", "shop", "--missing", "--yes"][..], &["import", "-n", "shop", "--yes"]]
    {
        assert_eq!(world.oc_quay(command).succeeds().stdout, "Nothing to do\n");
    }
    assert_eq!(has(&world, "app", "latest"), Value::Null);
}

/// It is pushed to while its import is on the way.
#[test]
fn a_tag_that_changed_after_the_plan_is_not_imported() {
    let Some(world) = World::stand_in("what happens between two requests is arranged") else {
        return;
    };
    world.trust_quay();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    push(&world, "app", "latest");
    world.oc_quay(&["import", "app:latest", "-n", "shop", "--yes"]).succeeds();
    for tag in ["latest", "other"] {
        push(&world, "app", tag);
    }
    let before = world.sandbox.openshift.get("ImageStream", "shop", "app").unwrap();
    let newer = json!(world.push_inside("shop", "app", "latest"));
    let after = world.sandbox.openshift.get("ImageStream", "shop", "app").unwrap();
    world.sandbox.openshift.put(before);
    let openshift = world.sandbox.openshift.clone();
    let pushed = move || openshift.put(after.clone());
    world.cluster_traffic().fault(Fault::on("POST", "/imagestreamimports").times(1).before(pushed));
    let run =
        world.oc_quay(&["import", "-n", "shop", "--missing", "--yes", "-o", "json"]).ends_with(1);
    let report = run.json();
    let states: Vec<_> =
        report["changes"].as_array().unwrap().iter().map(|change| &change["state"]).collect();
    assert_eq!(states, ["failed", "done"], "{}", run.stdout);
    assert!(run.stdout.contains("the tag was changed after this was planned"), "{}", run.stdout);
    assert_eq!(has(&world, "app", "latest"), newer);
}

#[test]
fn a_project_administrator_imports_tags_by_name_without_a_token() {
    let world = linked();
    world.grant("dev", "shop");
    let digest = push(&world, "app", "1");
    let guest =
        |arguments: &[&str]| world.oc_quay(arguments).guest("dev").without_env("OC_QUAY_TOKEN");
    let swept = guest(&["import", "-n", "shop", "--yes"]).ends_with(2);
    assert!(
        swept.stderr.contains("tags that are named are imported without a token"),
        "{}",
        swept.stderr
    );
    world.forget_traffic();
    guest(&["import", "app:1", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(has(&world, "app", "1"), digest);
    assert_eq!(world.quay_traffic().entries().len(), 0);
}
