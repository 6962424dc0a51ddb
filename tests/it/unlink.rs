//! `unlink`: everything of the link is taken back, and nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::traffic::Fault;
use serde_json::json;

use crate::support::{ACCOUNTS, World};

fn linked() -> World {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.sandbox.quay.push_tag("openshift_shop", "app", "latest").unwrap();
    world
}

#[track_caller]
fn assert_unlinked(world: &World, namespace: &str) {
    for account in ACCOUNTS {
        let secret = format!("{account}-quay-openshift");
        assert_eq!(world.get("Secret", namespace, &secret), None);
        for list in ["secrets", "imagePullSecrets"] {
            let references = world.references(namespace, account, list);
            assert!(!references.contains(&secret), "{account} {list}: {references:?}");
            assert!(
                references.iter().any(|name| name.contains("dockercfg")),
                "OpenShift's own is gone: {references:?}"
            );
        }
    }
}

#[test]
fn a_link_is_taken_back_and_the_images_stay() {
    let world = linked();
    world.create_login("shop", "my-own", "me:password");
    world.create_login("shop", "my-quay-openshift", "me:password");
    world.oc_quay(&["unlink", "-n", "shop", "--yes"]).succeeds();
    assert_unlinked(&world, "shop");
    for secret in ["my-own", "my-quay-openshift"] {
        assert!(world.get("Secret", "shop", secret).is_some(), "{secret} was never ours");
    }
    let quay = &world.sandbox.quay;
    assert_eq!(quay.repositories("openshift_shop").len(), 3);
    assert_eq!(quay.robots("openshift_shop").len(), 3);
    assert_eq!(quay.prototypes("openshift_shop").len(), 3);

    world.forget_traffic();
    for command in ["unlink", "repair"] {
        let run = world.oc_quay(&[command, "-n", "shop", "--yes"]).succeeds();
        assert!(run.stdout.contains("Nothing to do"), "{}", run.stdout);
    }
    world.assert_nothing_written();
    assert!(world.quay_traffic().entries().is_empty(), "there is nothing to ask Quay");

    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn the_finalizer_goes_so_that_deleting_the_namespace_no_longer_deletes_the_images() {
    let world = World::new();
    world.namespace("golden");
    world.image_stream("golden", "app");
    world.link_by_hand("golden", "app");
    let others = json!({ "metadata": { "finalizers": ["example.com/other", "quay.redhat.com/quayintegrations"] } });
    world.merge("Namespace", "", "golden", &others);
    world.oc_quay(&["unlink", "-n", "golden", "--yes"]).succeeds();
    assert_unlinked(&world, "golden");
    let namespace = world.get("Namespace", "", "golden").unwrap();
    assert_eq!(namespace["metadata"]["finalizers"], json!(["example.com/other"]));
    world.merge("Namespace", "", "golden", &json!({ "metadata": { "finalizers": null } }));
}

#[test]
fn other_service_accounts_are_unlinked_too() {
    let world = World::new();
    let metadata = json!({ "name": "pipeline", "namespace": "shop" });
    world.create(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }));
    world
        .oc_quay(&["link", "-n", "shop", "--service-account", "pipeline=write", "--yes"])
        .succeeds();
    world.oc_quay(&["unlink", "-n", "shop", "--yes"]).succeeds();
    assert_unlinked(&world, "shop");
    assert_eq!(world.get("Secret", "shop", "pipeline-quay-openshift"), None);
    let account = world.get("ServiceAccount", "shop", "pipeline").unwrap();
    assert!(account["metadata"]["annotations"]["oc-quay/role"].is_null(), "{account}");
    assert!(
        !world
            .references("shop", "pipeline", "secrets")
            .contains(&"pipeline-quay-openshift".to_owned())
    );
}

#[test]
fn build_configs_push_where_they_did_before_their_secret_goes() {
    let world = linked();
    let output = json!({ "to": { "kind": "ImageStreamTag", "name": "app:latest" } });
    world.build_config("shop", "app", &output);
    world.build_config("shop", "kept", &output);
    world.oc_quay(&["builds", "rewrite", "-n", "shop", "--yes"]).succeeds();
    let tracked = json!({ "argocd.argoproj.io/tracking-id": "shop:build.openshift.io/BuildConfig:shop/kept" });
    world.merge("BuildConfig", "shop", "kept", &json!({ "metadata": { "annotations": tracked } }));
    world.forget_traffic();
    let run = world.oc_quay(&["unlink", "-n", "shop", "--yes", "-o", "json"]).ends_with(2);
    assert_eq!(run.codes(), ["OQ512"]);
    let message = "BuildConfig kept names secret builder-quay-openshift, which goes. BuildConfig kept stays as it is: Argo CD";
    assert!(run.stdout.contains(message), "{}", run.stdout);
    let place = |method: &str, path: &str| {
        let writes = world.cluster_traffic().writes();
        writes.iter().position(|entry| entry.method == method && entry.path.contains(path)).unwrap()
    };
    assert!(
        place("PATCH", "/buildconfigs/app") < place("DELETE", "/secrets/builder-quay-openshift")
    );
    assert_eq!(world.get("BuildConfig", "shop", "app").unwrap()["spec"]["output"], output);
    assert_unlinked(&world, "shop");
    let again = world.oc_quay(&["unlink", "-n", "shop", "--yes"]).succeeds();
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
}

#[test]
fn a_quay_that_is_gone_does_not_hold_up_an_unlink() {
    let world = linked();
    world
        .oc_quay(&["unlink", "-n", "shop", "--yes"])
        .env("OC_QUAY_URL", "https://127.0.0.1:1")
        .succeeds();
    assert_unlinked(&world, "shop");
}

#[test]
fn unlinks_without_quay_or_its_token() {
    let quay_is_down = |world: &World| world.quay_traffic().fault(Fault::on("*", "").drop_before());
    let token_is_missing =
        |world: &World| world.delete("Secret", "openshift-operators", "quay-integration");
    let integration_is_missing = |world: &World| world.delete("QuayIntegration", "", "quay");
    for prepare in [&quay_is_down as &dyn Fn(&World), &token_is_missing, &integration_is_missing] {
        let world = linked();
        prepare(&world);
        let unlink = world.oc_quay(&["unlink", "-n", "shop", "--yes", "--cluster-id", "openshift"]);
        unlink.env("OC_QUAY_URL", world.sandbox.quay.url()).succeeds();
        assert_unlinked(&world, "shop");
    }
}

#[test]
fn changes_nothing_while_the_token_is_unreadable() {
    let world = linked();
    world.grant("dev", "shop");
    world.forget_traffic();
    let ask = "hint: ask a cluster administrator to run: oc quay unlink -n shop\n";
    for selection in [&["-n", "shop"][..], &["shop"]] {
        for flag in ["--yes", "--dry-run"] {
            let unlink = || world.oc_quay(&["unlink", flag]).args(selection);
            let run = unlink().user("dev").ends_with(2);
            assert!(
                run.stderr.contains("could not list QuayIntegrations") && run.stderr.contains(ask),
                "{}",
                run.stderr
            );
            let run = unlink().guest("dev").without_env("OC_QUAY_TOKEN").ends_with(2);
            assert!(
                run.stderr.contains("could not list QuayIntegrations") && run.stderr.contains(ask),
                "{}",
                run.stderr
            );
        }
    }
    let message = r#"secrets \"quay-integration\" is forbidden"#;
    for (status, reason) in [(403, "Forbidden"), (500, "InternalError")] {
        let answer = format!(
            r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"{reason}","code":{status},"message":"{message}"}}"#
        );
        world
            .cluster_traffic()
            .fault(Fault::on("GET", "openshift-operators/secrets").status(status).body(&answer));
        let run = world.oc_quay(&["unlink", "-n", "shop", "--yes"]).ends_with(2);
        assert!(run.stderr.contains("quay-integration"), "{}", run.stderr);
        assert_eq!(run.stderr.contains(ask), status == 403, "{}", run.stderr);
        world.clear_faults();
    }
    world.assert_nothing_written();
    world.oc_quay(&["unlink", "-n", "shop", "--yes"]).succeeds();
    assert_unlinked(&world, "shop");
}

#[test]
fn reports_that_unread_namespace_lists_are_not_changed() {
    let world = linked();
    world.grant("dev", "shop");
    for flag in ["--dry-run", "--yes"] {
        let run =
            world.oc_quay(&["unlink", "-n", "shop", "-o", "json", flag]).guest("dev").ends_with(1);
        assert_eq!(run.codes(), ["OQ901"]);
        assert!(
            run.stdout.contains("The namespace lists are not changed: could not list"),
            "{}",
            run.stdout
        );
    }
    assert_unlinked(&world, "shop");
    world.oc_quay(&["unlink", "-n", "shop", "--yes"]).succeeds();
}

#[test]
fn keeps_secrets_that_hold_logins_of_others() {
    let world = linked();
    let secret = "builder-quay-openshift";
    let config = json!({ "auths": {
        world.sandbox.quay.host(): { "auth": STANDARD.encode(world.login("shop", secret).0 + ":token") },
        "registry.example.com": { "auth": STANDARD.encode("me:password") },
    } });
    world.merge(
        "Secret",
        "shop",
        secret,
        &json!({ "data": { ".dockerconfigjson": STANDARD.encode(config.to_string()) } }),
    );
    let run = world.oc_quay(&["unlink", "-n", "shop", "--yes", "-o", "json"]).ends_with(2);
    assert_eq!(run.codes(), ["OQ318"]);
    let kept = world.get("Secret", "shop", secret).unwrap();
    assert_eq!(kept["data"][".dockerconfigjson"], STANDARD.encode(config.to_string()));
    assert!(world.references("shop", "builder", "imagePullSecrets").contains(&secret.to_owned()));
    assert_eq!(world.get("Secret", "shop", "default-quay-openshift"), None);
}

#[test]
fn keeps_a_login_added_after_the_plan() {
    let world = linked();
    let secret = "builder-quay-openshift";
    let mut config = world.content("shop", secret);
    config["auths"]["registry.example.com"] = json!({ "auth": STANDARD.encode("me:password") });
    let openshift = world.sandbox.openshift.clone();
    let data = STANDARD.encode(config.to_string());
    world.cluster_traffic().fault(
        Fault::on("DELETE", "/secrets/builder-quay-openshift").nth(1).before(move || {
            let mut object = openshift.get("Secret", "shop", secret).unwrap();
            object["data"][".dockerconfigjson"] = json!(data);
            openshift.put(object);
        }),
    );
    let run = world.oc_quay(&["unlink", "-n", "shop", "--yes"]).ends_with(1);
    assert!(run.stdout.contains("it was changed meanwhile"), "{}", run.stdout);
    assert_eq!(world.content("shop", secret), config);
    let run = world.oc_quay(&["unlink", "-n", "shop", "--yes", "-o", "json"]).ends_with(2);
    assert_eq!(run.codes(), ["OQ318"]);
    assert_eq!(world.content("shop", secret), config);
}

#[test]
fn deletes_the_rest_of_an_interrupted_replacement() {
    let world = linked();
    let spares = ["builder-quay-openshift-spare", "default-quay-openshift-spare"];
    for (spare, registry) in
        spares.into_iter().zip([world.sandbox.quay.host(), "registry.example.com".to_owned()])
    {
        world.create_login("shop", spare, "me:password");
        world.merge(
            "Secret",
            "shop",
            spare,
            &json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": "oc-quay" } } }),
        );
        let config = json!({ "auths": { registry: { "auth": STANDARD.encode("me:password") } } });
        world.set_content("shop", spare, &config);
    }
    let run = world.oc_quay(&["unlink", "-n", "shop", "--yes", "-o", "json"]).ends_with(2);
    assert_eq!(run.codes(), ["OQ318"]);
    assert_unlinked(&world, "shop");
    assert_eq!(world.get("Secret", "shop", spares[0]), None);
    assert!(world.get("Secret", "shop", spares[1]).is_some(), "it holds a login of others");
}

#[test]
fn robot_accounts_go_only_when_asked_for() {
    let world = linked();
    world.sandbox.quay.add_robot("openshift_shop", "mine", "").unwrap();
    world.oc_quay(&["unlink", "-n", "shop", "--delete-robots", "--yes"]).succeeds();
    let robots: Vec<_> =
        world.sandbox.quay.robots("openshift_shop").into_iter().map(|robot| robot.short).collect();
    assert_eq!(robots, ["mine"], "that one we did not make");
    assert_eq!(world.sandbox.quay.repositories("openshift_shop").len(), 3);
    world.forget_traffic();
    world.oc_quay(&["unlink", "-n", "shop", "--delete-robots", "--yes"]).succeeds();
    world.assert_nothing_written();
}

#[test]
fn the_organization_goes_only_when_it_is_named() {
    let world = linked();
    world.forget_traffic();
    let delete = ["unlink", "-n", "shop", "--delete-organization", "--yes"];
    let run = world.oc_quay(&delete).ends_with(2);
    assert!(run.stderr.contains("--confirm-organization openshift_shop"), "{}", run.stderr);
    assert!(run.stderr.contains("all its repositories (3) and tags (1)"), "{}", run.stderr);
    let run =
        world.oc_quay(&delete).args(&["--confirm-organization", "openshift_shops"]).ends_with(2);
    assert!(run.stderr.contains("nothing was changed"), "{}", run.stderr);
    let run = world
        .oc_quay(&["unlink", "shop", "default", "--delete-organization", "--yes"])
        .ends_with(2);
    assert!(run.stderr.contains("one namespace at a time"), "{}", run.stderr);
    world.assert_nothing_written();

    world.oc_quay(&delete).args(&["--confirm-organization", "openshift_shop"]).succeeds();
    assert_unlinked(&world, "shop");
    assert_eq!(world.sandbox.quay.organizations(), Vec::<String>::new());
    world.forget_traffic();
    world.oc_quay(&delete).args(&["--confirm-organization", "openshift_shop"]).succeeds();
    world.assert_nothing_written();
}

#[test]
fn what_is_another_clusters_is_not_deleted() {
    let world = World::new();
    world.sandbox.quay.add_organization("openshift_shop", "quayadmin");
    world
        .sandbox
        .quay
        .add_robot("openshift_shop", "builder", "oc-quay cluster=other namespace=shop uid=other")
        .unwrap();
    for flags in [
        &["--delete-robots"][..],
        &["--delete-organization", "--confirm-organization", "openshift_shop"],
    ] {
        world.oc_quay(&["unlink", "-n", "shop", "--yes"]).args(flags).ends_with(2);
        assert_eq!(world.sandbox.quay.robots("openshift_shop").len(), 1);
    }
}

#[test]
fn keeps_what_depends_on_something_unread_and_says_so() {
    let world = linked();
    let refusal = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"No"}"#;
    let unlink = ["unlink", "-n", "shop", "--yes", "-o", "json"];
    for resource in ["serviceaccounts", "secrets"] {
        world.cluster_traffic().fault(
            Fault::on("GET", &format!("namespaces/shop/{resource}")).status(403).body(refusal),
        );
        let run = world.oc_quay(&unlink).args(&["--delete-robots"]).ends_with(1);
        assert_eq!(run.codes(), ["OQ901", "OQ901"], "{resource}: {}", run.stdout);
        assert!(world.get("Secret", "shop", "builder-quay-openshift").is_some(), "{resource}");
        assert_eq!(world.sandbox.quay.robots("openshift_shop").len(), 3, "{resource}");
        world.clear_faults();
    }
    world.quay_traffic().fault(Fault::on("*", "").drop_before());
    let delete = ["--delete-organization", "--confirm-organization", "openshift_shop"];
    let run = world.oc_quay(&unlink).args(&delete).ends_with(1);
    assert_eq!(run.codes(), ["OQ901"]);
    assert_unlinked(&world, "shop");
    world.clear_faults();
    assert_eq!(world.sandbox.quay.organizations(), ["openshift_shop"]);
    world.oc_quay(&unlink).args(&delete).succeeds();
    assert_eq!(world.sandbox.quay.organizations(), Vec::<String>::new());
}

#[test]
fn a_dry_run_takes_nothing_back() {
    let world = linked();
    world.forget_traffic();
    let run = world
        .oc_quay(&["unlink", "-n", "shop", "--delete-robots", "--dry-run", "-o", "json"])
        .succeeds();
    let report = run.json();
    assert_eq!(report["dryRun"], true);
    let deleted = report["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|change| change["verb"] == "delete")
        .count();
    assert_eq!(deleted, 6, "3 secrets and 3 robot accounts: {}", run.stdout);
    world.oc_quay(&["unlink", "-n", "shop"]).ends_with(2);
    world.assert_nothing_written();
}
