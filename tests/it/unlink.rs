//! `unlink`: removes all objects of the link, and no others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::traffic::Fault;
use serde_json::json;

use crate::support::{ACCOUNTS, TestEnv};

fn linked() -> TestEnv {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.sandbox.quay.push_tag("openshift_shop", "app", "latest").unwrap();
    env
}

#[track_caller]
fn assert_unlinked(env: &TestEnv, namespace: &str) {
    for account in ACCOUNTS {
        let secret = format!("{account}-quay-openshift");
        assert_eq!(env.get("Secret", namespace, &secret), None);
        for list in ["secrets", "imagePullSecrets"] {
            let references = env.references(namespace, account, list);
            assert!(!references.contains(&secret), "{account} {list}: {references:?}");
            assert!(
                references.iter().any(|name| name.contains("dockercfg")),
                "OpenShift's own is gone: {references:?}"
            );
        }
    }
}

#[test]
fn unlinks_and_keeps_images() {
    let env = linked();
    env.create_credentials("shop", "my-own", "me:password");
    env.create_credentials("shop", "my-quay-openshift", "me:password");
    env.oc_quay(&["unlink", "-n", "shop", "--yes"]).succeeds();
    assert_unlinked(&env, "shop");
    for secret in ["my-own", "my-quay-openshift"] {
        assert!(env.get("Secret", "shop", secret).is_some(), "{secret} was never ours");
    }
    let quay = &env.sandbox.quay;
    assert_eq!(quay.repositories("openshift_shop").len(), 3);
    assert_eq!(quay.robots("openshift_shop").len(), 3);
    assert_eq!(quay.prototypes("openshift_shop").len(), 3);

    env.forget_traffic();
    for command in ["unlink", "repair"] {
        let run = env.oc_quay(&[command, "-n", "shop", "--yes"]).succeeds();
        assert!(run.stdout.contains("Nothing to do"), "{}", run.stdout);
    }
    env.assert_nothing_written();
    assert!(env.quay_traffic().entries().is_empty(), "there is nothing to ask Quay");

    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn removes_finalizer_that_would_delete_images() {
    let env = TestEnv::new();
    env.namespace("golden");
    env.image_stream("golden", "app");
    env.link_by_hand("golden", "app");
    let others = json!({ "metadata": { "finalizers": ["example.com/other", "quay.redhat.com/quayintegrations"] } });
    env.merge("Namespace", "", "golden", &others);
    env.oc_quay(&["unlink", "-n", "golden", "--yes"]).succeeds();
    assert_unlinked(&env, "golden");
    let namespace = env.get("Namespace", "", "golden").unwrap();
    assert_eq!(namespace["metadata"]["finalizers"], json!(["example.com/other"]));
    env.merge("Namespace", "", "golden", &json!({ "metadata": { "finalizers": null } }));
}

#[test]
fn unlinks_other_service_accounts() {
    let env = TestEnv::new();
    let metadata = json!({ "name": "pipeline", "namespace": "shop" });
    env.create(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }));
    env.oc_quay(&["link", "-n", "shop", "--service-account", "pipeline=write", "--yes"]).succeeds();
    env.oc_quay(&["unlink", "-n", "shop", "--yes"]).succeeds();
    assert_unlinked(&env, "shop");
    assert_eq!(env.get("Secret", "shop", "pipeline-quay-openshift"), None);
    let account = env.get("ServiceAccount", "shop", "pipeline").unwrap();
    assert!(account["metadata"]["annotations"]["oc-quay/role"].is_null(), "{account}");
    assert!(
        !env.references("shop", "pipeline", "secrets")
            .contains(&"pipeline-quay-openshift".to_owned())
    );
}

#[test]
fn restores_build_configs_before_deleting_their_secret() {
    let env = linked();
    let output = json!({ "to": { "kind": "ImageStreamTag", "name": "app:latest" } });
    env.build_config("shop", "app", &output);
    env.build_config("shop", "kept", &output);
    env.oc_quay(&["builds", "rewrite", "-n", "shop", "--yes"]).succeeds();
    let tracked = json!({ "argocd.argoproj.io/tracking-id": "shop:build.openshift.io/BuildConfig:shop/kept" });
    env.merge("BuildConfig", "shop", "kept", &json!({ "metadata": { "annotations": tracked } }));
    env.forget_traffic();
    let run = env.oc_quay(&["unlink", "-n", "shop", "--yes", "-o", "json"]).ends_with(2);
    assert_eq!(run.codes(), ["OQ512"]);
    let message = "BuildConfig kept references secret builder-quay-openshift, which will be deleted. BuildConfig kept cannot be changed: Argo CD";
    assert!(run.stdout.contains(message), "{}", run.stdout);
    let place = |method: &str, path: &str| {
        let writes = env.cluster_traffic().writes();
        writes.iter().position(|entry| entry.method == method && entry.path.contains(path)).unwrap()
    };
    assert!(
        place("PATCH", "/buildconfigs/app") < place("DELETE", "/secrets/builder-quay-openshift")
    );
    assert_eq!(env.get("BuildConfig", "shop", "app").unwrap()["spec"]["output"], output);
    assert_unlinked(&env, "shop");
    let again = env.oc_quay(&["unlink", "-n", "shop", "--yes"]).succeeds();
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
}

#[test]
fn unlinks_while_quay_is_unreachable() {
    let env = linked();
    env.oc_quay(&["unlink", "-n", "shop", "--yes"])
        .env("OC_QUAY_URL", "https://127.0.0.1:1")
        .succeeds();
    assert_unlinked(&env, "shop");
}

#[test]
fn unlinks_without_quay_or_its_token() {
    let quay_is_unavailable =
        |env: &TestEnv| env.quay_traffic().fault(Fault::on("*", "").drop_before());
    let token_is_missing =
        |env: &TestEnv| env.delete("Secret", "openshift-operators", "quay-integration");
    let integration_is_missing = |env: &TestEnv| env.delete("QuayIntegration", "", "quay");
    for prepare in
        [&quay_is_unavailable as &dyn Fn(&TestEnv), &token_is_missing, &integration_is_missing]
    {
        let env = linked();
        prepare(&env);
        let unlink = env.oc_quay(&["unlink", "-n", "shop", "--yes", "--cluster-id", "openshift"]);
        unlink.env("OC_QUAY_URL", env.sandbox.quay.url()).succeeds();
        assert_unlinked(&env, "shop");
    }
}

#[test]
fn changes_nothing_while_the_token_is_unreadable() {
    let env = linked();
    env.grant("dev", "shop");
    env.forget_traffic();
    let ask = "hint: ask a cluster administrator to run: oc quay unlink -n shop\n";
    for selection in [&["-n", "shop"][..], &["shop"]] {
        for flag in ["--yes", "--dry-run"] {
            let unlink = || env.oc_quay(&["unlink", flag]).args(selection);
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
        env.cluster_traffic()
            .fault(Fault::on("GET", "openshift-operators/secrets").status(status).body(&answer));
        let run = env.oc_quay(&["unlink", "-n", "shop", "--yes"]).ends_with(2);
        assert!(run.stderr.contains("quay-integration"), "{}", run.stderr);
        assert_eq!(run.stderr.contains(ask), status == 403, "{}", run.stderr);
        env.clear_faults();
    }
    env.assert_nothing_written();
    env.oc_quay(&["unlink", "-n", "shop", "--yes"]).succeeds();
    assert_unlinked(&env, "shop");
}

#[test]
fn reports_that_unread_namespace_lists_are_not_changed() {
    let env = linked();
    env.grant("dev", "shop");
    for flag in ["--dry-run", "--yes"] {
        let run =
            env.oc_quay(&["unlink", "-n", "shop", "-o", "json", flag]).guest("dev").ends_with(1);
        assert_eq!(run.codes(), ["OQ901"]);
        assert!(
            run.stdout.contains("The namespace lists are not changed: could not list"),
            "{}",
            run.stdout
        );
    }
    assert_unlinked(&env, "shop");
    env.oc_quay(&["unlink", "-n", "shop", "--yes"]).succeeds();
}

#[test]
fn keeps_secrets_with_credentials_of_others() {
    let env = linked();
    let secret = "builder-quay-openshift";
    let config = json!({ "auths": {
        env.sandbox.quay.host(): { "auth": STANDARD.encode(env.credentials("shop", secret).0 + ":token") },
        "registry.example.com": { "auth": STANDARD.encode("me:password") },
    } });
    env.merge(
        "Secret",
        "shop",
        secret,
        &json!({ "data": { ".dockerconfigjson": STANDARD.encode(config.to_string()) } }),
    );
    let run = env.oc_quay(&["unlink", "-n", "shop", "--yes", "-o", "json"]).ends_with(2);
    assert_eq!(run.codes(), ["OQ318"]);
    let kept = env.get("Secret", "shop", secret).unwrap();
    assert_eq!(kept["data"][".dockerconfigjson"], STANDARD.encode(config.to_string()));
    assert!(env.references("shop", "builder", "imagePullSecrets").contains(&secret.to_owned()));
    assert_eq!(env.get("Secret", "shop", "default-quay-openshift"), None);
}

#[test]
fn keeps_credentials_added_after_the_plan() {
    let env = linked();
    let secret = "builder-quay-openshift";
    let mut config = env.content("shop", secret);
    config["auths"]["registry.example.com"] = json!({ "auth": STANDARD.encode("me:password") });
    let openshift = env.sandbox.openshift.clone();
    let data = STANDARD.encode(config.to_string());
    env.cluster_traffic().fault(
        Fault::on("DELETE", "/secrets/builder-quay-openshift").nth(1).before(move || {
            let mut object = openshift.get("Secret", "shop", secret).unwrap();
            object["data"][".dockerconfigjson"] = json!(data);
            openshift.put(object);
        }),
    );
    let run = env.oc_quay(&["unlink", "-n", "shop", "--yes"]).ends_with(1);
    assert!(run.stdout.contains("the object was modified"), "{}", run.stdout);
    assert_eq!(env.content("shop", secret), config);
    let run = env.oc_quay(&["unlink", "-n", "shop", "--yes", "-o", "json"]).ends_with(2);
    assert_eq!(run.codes(), ["OQ318"]);
    assert_eq!(env.content("shop", secret), config);
}

#[test]
fn deletes_the_rest_of_an_interrupted_replacement() {
    let env = linked();
    let spares = ["builder-quay-openshift-spare", "default-quay-openshift-spare"];
    for (spare, registry) in
        spares.into_iter().zip([env.sandbox.quay.host(), "registry.example.com".to_owned()])
    {
        env.create_credentials("shop", spare, "me:password");
        env.merge(
            "Secret",
            "shop",
            spare,
            &json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": "oc-quay" } } }),
        );
        let config = json!({ "auths": { registry: { "auth": STANDARD.encode("me:password") } } });
        env.set_content("shop", spare, &config);
    }
    let run = env.oc_quay(&["unlink", "-n", "shop", "--yes", "-o", "json"]).ends_with(2);
    assert_eq!(run.codes(), ["OQ318"]);
    assert_unlinked(&env, "shop");
    assert_eq!(env.get("Secret", "shop", spares[0]), None);
    assert!(env.get("Secret", "shop", spares[1]).is_some(), "it holds credentials of others");
}

#[test]
fn deletes_robot_accounts_only_when_requested() {
    let env = linked();
    env.sandbox.quay.add_robot("openshift_shop", "mine", "").unwrap();
    env.oc_quay(&["unlink", "-n", "shop", "--delete-robots", "--yes"]).succeeds();
    let robots: Vec<_> =
        env.sandbox.quay.robots("openshift_shop").into_iter().map(|robot| robot.short).collect();
    assert_eq!(robots, ["mine"], "that one we did not make");
    assert_eq!(env.sandbox.quay.repositories("openshift_shop").len(), 3);
    env.forget_traffic();
    env.oc_quay(&["unlink", "-n", "shop", "--delete-robots", "--yes"]).succeeds();
    env.assert_nothing_written();
}

#[test]
fn deletes_organization_only_when_named() {
    let env = linked();
    env.forget_traffic();
    let delete = ["unlink", "-n", "shop", "--delete-organization", "--yes"];
    let run = env.oc_quay(&delete).ends_with(2);
    assert!(run.stderr.contains("--confirm-organization openshift_shop"), "{}", run.stderr);
    assert!(run.stderr.contains("all its repositories (3) and tags (1)"), "{}", run.stderr);
    let run =
        env.oc_quay(&delete).args(&["--confirm-organization", "openshift_shops"]).ends_with(2);
    assert!(run.stderr.contains("nothing was changed"), "{}", run.stderr);
    let run =
        env.oc_quay(&["unlink", "shop", "default", "--delete-organization", "--yes"]).ends_with(2);
    assert!(run.stderr.contains("works on one namespace"), "{}", run.stderr);
    env.assert_nothing_written();

    env.oc_quay(&delete).args(&["--confirm-organization", "openshift_shop"]).succeeds();
    assert_unlinked(&env, "shop");
    assert_eq!(env.sandbox.quay.organizations(), Vec::<String>::new());
    env.forget_traffic();
    env.oc_quay(&delete).args(&["--confirm-organization", "openshift_shop"]).succeeds();
    env.assert_nothing_written();
}

#[test]
fn keeps_objects_of_another_cluster() {
    let env = TestEnv::new();
    env.sandbox.quay.add_organization("openshift_shop", "quayadmin");
    env.sandbox
        .quay
        .add_robot("openshift_shop", "builder", "oc-quay cluster=other namespace=shop uid=other")
        .unwrap();
    for flags in [
        &["--delete-robots"][..],
        &["--delete-organization", "--confirm-organization", "openshift_shop"],
    ] {
        env.oc_quay(&["unlink", "-n", "shop", "--yes"]).args(flags).ends_with(2);
        assert_eq!(env.sandbox.quay.robots("openshift_shop").len(), 1);
    }
}

#[test]
fn keeps_and_reports_dependents_of_unread_objects() {
    let env = linked();
    let rejection = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"No"}"#;
    let unlink = ["unlink", "-n", "shop", "--yes", "-o", "json"];
    for resource in ["serviceaccounts", "secrets"] {
        env.cluster_traffic().fault(
            Fault::on("GET", &format!("namespaces/shop/{resource}")).status(403).body(rejection),
        );
        let run = env.oc_quay(&unlink).args(&["--delete-robots"]).ends_with(1);
        assert_eq!(run.codes(), ["OQ901", "OQ901"], "{resource}: {}", run.stdout);
        assert!(env.get("Secret", "shop", "builder-quay-openshift").is_some(), "{resource}");
        assert_eq!(env.sandbox.quay.robots("openshift_shop").len(), 3, "{resource}");
        env.clear_faults();
    }
    env.quay_traffic().fault(Fault::on("*", "").drop_before());
    let delete = ["--delete-organization", "--confirm-organization", "openshift_shop"];
    let run = env.oc_quay(&unlink).args(&delete).ends_with(1);
    assert_eq!(run.codes(), ["OQ901"]);
    assert_unlinked(&env, "shop");
    env.clear_faults();
    assert_eq!(env.sandbox.quay.organizations(), ["openshift_shop"]);
    env.oc_quay(&unlink).args(&delete).succeeds();
    assert_eq!(env.sandbox.quay.organizations(), Vec::<String>::new());
}

#[test]
fn dry_run_unlinks_nothing() {
    let env = linked();
    env.forget_traffic();
    let run = env
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
    env.oc_quay(&["unlink", "-n", "shop"]).ends_with(2);
    env.assert_nothing_written();
}
