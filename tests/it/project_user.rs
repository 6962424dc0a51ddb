//! A project user, without permissions in the cluster or with the role of the setup: every command
//! for developers is useful.

use serde_json::{Value, json};

use crate::support::{Run, TestEnv};

/// A command as the project's user.
fn as_user(env: &TestEnv, arguments: &[&str]) -> Run {
    env.oc_quay(arguments).args(&["-n", "shop"]).user("dev").run()
}

/// Project `shop` with a BuildConfig and an image in the internal registry, and an image in Quay.
fn create_objects(env: &TestEnv) {
    env.grant("dev", "shop");
    env.trust_quay();
    env.build_config(
        "shop",
        "app",
        &json!({ "to": { "kind": "ImageStreamTag", "name": "app:latest" } }),
    );
    env.sandbox.quay.push_tag("openshift_shop", "app", "latest").unwrap();
    env.push_inside("shop", "web", "1");
}

/// Asserts the output of the commands for developers.
#[track_caller]
fn assert_useful(env: &TestEnv) {
    let host = env.sandbox.quay.host();
    let probe = as_user(env, &["status", "--probe", "-o", "json"]);
    assert_eq!(probe.code, Some(0), "{probe:#?}");
    let checks = probe.json()["namespaces"][0]["checks"].as_array().unwrap().clone();
    let registry = checks.iter().find(|check| check["title"] == "Registry").unwrap();
    assert_eq!(registry["fact"], "3 of 3 credentials accepted", "{registry}");
    assert_eq!(probe.json()["integration"]["quay"]["value"], env.sandbox.quay.url());

    let builds = as_user(env, &["builds", "-o", "json"]);
    assert_eq!(builds.code, Some(0), "{builds:#?}");
    let [config] = builds.json()["buildConfigs"].as_array().unwrap().clone().try_into().unwrap();
    assert_eq!(config["image"], format!("{host}/openshift_shop/app:latest"), "{config}");
    assert_eq!(config["sentBy"], "missing", "{config}");

    let images = as_user(env, &["images", "-o", "json"]);
    assert_eq!(images.code, Some(0), "{images:#?}");
    let [image] = images.json()["images"].as_array().unwrap().clone().try_into().unwrap();
    assert_eq!(image["target"], format!("{host}/openshift_shop/web:1"), "{image}");

    let import = as_user(env, &["import", "app:latest", "--yes", "-o", "json"]);
    assert_eq!(import.code, Some(0), "{import:#?}");
    assert_eq!(import.json()["summaryLine"], "Imported into shop: 1 change");
    let digest = env.quay_digest("openshift_shop", "app", "latest").unwrap();
    assert_eq!(env.newest_item("shop", "app", "latest").unwrap()["image"], Value::from(digest));
}

#[test]
fn works_in_linked_project_without_cluster_permissions() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    create_objects(&env);
    assert_useful(&env);
}

#[test]
fn works_for_users_with_the_role_that_setup_creates() {
    let Some(env) = TestEnv::stand_in(
        "the users of the real API server do not come from OpenShift's OAuth server",
    ) else {
        return;
    };
    env.setup(&["--controller=none", "--user-role"]).succeeds();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    create_objects(&env);
    assert_useful(&env);
    let source = |run: &Run| run.json()["integration"]["quay"]["source"].clone();
    assert_eq!(source(&as_user(&env, &["status", "-o", "json"])), "QuayIntegration quay");

    // Before the project is linked, only the role allows reading which Quay the cluster uses.
    env.oc_quay(&["unlink", "-n", "shop", "--yes"]).succeeds();
    for command in [&["status"][..], &["builds"], &["images"]] {
        let run = as_user(&env, command);
        assert_eq!(run.code, Some(0), "{run:#?}");
    }
    env.oc_quay(&["teardown", "--yes"]).succeeds();
    let run = as_user(&env, &["images"]);
    assert_eq!(run.code, Some(2), "{run:#?}");
    assert!(run.stderr.contains("ask a cluster administrator"), "{run:#?}");
}
