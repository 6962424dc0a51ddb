//! A user of a project, without any permission in the cluster or with the role that a set-up can give: every command that is for
//! developers has something to say.

use serde_json::{Value, json};

use crate::support::{Run, World};

/// A command as the project's user.
fn as_user(world: &World, arguments: &[&str]) -> Run {
    world.oc_quay(arguments).args(&["-n", "shop"]).user("dev").run()
}

/// Project `shop` with a BuildConfig and an image in the internal registry, and an image in Quay.
fn furnish(world: &World) {
    world.grant("dev", "shop");
    world.trust_quay();
    world.build_config(
        "shop",
        "app",
        &json!({ "to": { "kind": "ImageStreamTag", "name": "app:latest" } }),
    );
    world.sandbox.quay.push_tag("openshift_shop", "app", "latest").unwrap();
    world.push_inside("shop", "web", "1");
}

/// What the developers' commands have to say.
#[track_caller]
fn assert_useful(world: &World) {
    let host = world.sandbox.quay.host();
    let probe = as_user(world, &["status", "--probe", "-o", "json"]);
    assert_eq!(probe.code, Some(0), "{probe:#?}");
    let checks = probe.json()["namespaces"][0]["checks"].as_array().unwrap().clone();
    let registry = checks.iter().find(|check| check["title"] == "Registry").unwrap();
    assert_eq!(registry["fact"], "3 of 3 logins accepted", "{registry}");
    assert_eq!(probe.json()["integration"]["quay"]["value"], world.sandbox.quay.url());

    let builds = as_user(world, &["builds", "-o", "json"]);
    assert_eq!(builds.code, Some(0), "{builds:#?}");
    let [config] = builds.json()["buildConfigs"].as_array().unwrap().clone().try_into().unwrap();
    assert_eq!(config["image"], format!("{host}/openshift_shop/app:latest"), "{config}");
    assert_eq!(config["sentBy"], "nobody", "{config}");

    let images = as_user(world, &["images", "-o", "json"]);
    assert_eq!(images.code, Some(0), "{images:#?}");
    let [image] = images.json()["images"].as_array().unwrap().clone().try_into().unwrap();
    assert_eq!(image["target"], format!("{host}/openshift_shop/web:1"), "{image}");

    let import = as_user(world, &["import", "app:latest", "--yes", "-o", "json"]);
    assert_eq!(import.code, Some(0), "{import:#?}");
    assert_eq!(import.json()["summaryLine"], "Imported into shop: 1 change");
    let digest = world.quay_digest("openshift_shop", "app", "latest").unwrap();
    assert_eq!(world.newest_item("shop", "app", "latest").unwrap()["image"], Value::from(digest));
}

#[test]
fn works_for_users_of_a_linked_project_without_cluster_permissions() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    furnish(&world);
    assert_useful(&world);
}

#[test]
fn works_for_users_with_the_role_that_a_setup_gives() {
    let Some(world) = World::stand_in(
        "the users of the real API server do not come from OpenShift's OAuth server",
    ) else {
        return;
    };
    world.setup(&["--controller=none", "--user-role"]).succeeds();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    furnish(&world);
    assert_useful(&world);
    let source = |run: &Run| run.json()["integration"]["quay"]["source"].clone();
    assert_eq!(source(&as_user(&world, &["status", "-o", "json"])), "QuayIntegration quay");

    // Before the project is linked, nothing but the role says which Quay the cluster uses.
    world.oc_quay(&["unlink", "-n", "shop", "--yes"]).succeeds();
    for command in [&["status"][..], &["builds"], &["images"]] {
        let run = as_user(&world, command);
        assert_eq!(run.code, Some(0), "{run:#?}");
    }
    world.oc_quay(&["teardown", "--yes"]).succeeds();
    let run = as_user(&world, &["images"]);
    assert_eq!(run.code, Some(2), "{run:#?}");
    assert!(run.stderr.contains("ask a cluster administrator"), "{run:#?}");
}
