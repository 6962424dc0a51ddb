//! `builds`: what BuildConfigs push, and where; and what `status` says about it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::tls::Authority;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::builds_e2e::with_webhook;
use crate::support::World;

fn stream_tag(name: &str) -> Value {
    json!({ "to": { "kind": "ImageStreamTag", "name": name } })
}

/// The code for a BuildConfig that nobody sends to Quay. Behind a real API server there is no registry of OpenShift's.
fn sent_by_nobody(world: &World) -> &'static str {
    if world.is_real() { "OQ506" } else { "OQ505" }
}

fn output(world: &World, config: &str) -> Value {
    world.get("BuildConfig", "shop", config).unwrap()["spec"]["output"].clone()
}

/// The codes of a report's findings with the names of their objects, sorted.
fn found(report: &Value, from: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let line = |finding: &Value| {
        format!(
            "{} {}",
            finding["code"].as_str().unwrap(),
            finding["object"]["name"].as_str().unwrap_or_default()
        )
    };
    let mut lines: Vec<_> = findings.map(line).filter(|line| line.starts_with(from)).collect();
    lines.sort();
    lines
}

#[test]
fn build_configs_push_to_quay_without_a_webhook_and_are_put_back_as_they_were() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let odd = json!({
        "to": { "kind": "ImageStreamTag", "name": "web:1.0", "namespace": "shop" },
        "pushSecret": { "name": "builder-dockercfg" },
        "imageLabels": [{ "name": "a", "value": "b" }],
    });
    world.build_config("shop", "app", &stream_tag("app:latest"));
    world.build_config("shop", "web", &odd);
    world.build_config(
        "shop",
        "elsewhere",
        &json!({ "to": { "kind": "DockerImage", "name": "docker.io/acme/app:1" } }),
    );
    world.build_config("shop", "silent", &json!({}));
    world.build_config("shop", "kept", &stream_tag("base:1"));
    let kept = json!({ "metadata": { "annotations": { "argocd.argoproj.io/tracking-id": "shop:build.openshift.io/BuildConfig:shop/kept" } } });
    world.merge("BuildConfig", "shop", "kept", &kept);
    let before = ["app", "web"].map(|config| output(&world, config));
    world.forget_traffic();

    let dry = world
        .oc_quay(&["builds", "rewrite", "app", "web", "-n", "shop", "--dry-run", "-o", "json"])
        .succeeds();
    assert_eq!(dry.json()["changes"].as_array().unwrap().len(), 2);
    world.assert_nothing_written();

    // All that can be is rewritten; what Argo CD keeps is not, and makes the exit code.
    let run =
        world.oc_quay(&["builds", "rewrite", "-n", "shop", "--yes", "-o", "json"]).ends_with(2);
    assert_eq!(found(&run.json(), "OQ51"), ["OQ511 elsewhere", "OQ511 silent", "OQ512 kept"]);
    assert!(
        run.stdout.contains(
            "Argo CD would undo it; write there spec.output: {to: {kind: DockerImage, name: "
        ),
        "{}",
        run.stdout
    );
    let host = world.sandbox.quay.host();
    let rewritten = json!({
        "to": { "kind": "DockerImage", "name": format!("{host}/openshift_shop/web:1.0") },
        "pushSecret": { "name": "builder-quay-openshift" },
        "imageLabels": [{ "name": "a", "value": "b" }],
    });
    assert_eq!(output(&world, "web"), rewritten);
    assert_eq!(output(&world, "kept"), stream_tag("base:1"));
    world.forget_traffic();
    world.oc_quay(&["builds", "rewrite", "app", "web", "-n", "shop", "--yes"]).succeeds();
    world.assert_nothing_written();

    let name = world.start_build("shop", "app");
    world.wait_for_build("shop", &name, "Complete");
    let list = world.oc_quay(&["builds", "-n", "shop", "-o", "json"]).succeeds().json();
    let app = &list["buildConfigs"][0];
    assert_eq!(
        (&app["name"], &app["sentBy"], &app["rewritten"]),
        (&json!("app"), &json!("itself"), &json!(true))
    );
    assert_eq!(
        (&app["lastBuild"]["phase"], &app["lastBuild"]["imported"]),
        (&json!("Complete"), &json!(false))
    );
    let text = world.oc_quay(&["builds", "-n", "shop"]).succeeds().stdout;
    assert!(text.contains(&format!("{name} Complete, not imported")), "{text}");

    // What somebody changed since is theirs.
    world.merge(
        "BuildConfig",
        "shop",
        "web",
        &json!({ "spec": { "output": { "to": { "name": "quay.example.com/a/b:1" } } } }),
    );
    world.oc_quay(&["builds", "restore", "web", "-n", "shop", "--yes"]).ends_with(2);
    world.merge("BuildConfig", "shop", "web", &json!({ "spec": { "output": rewritten } }));
    world.merge(
        "BuildConfig",
        "shop",
        "web",
        &json!({ "spec": { "output": { "pushSecret": { "name": "my-own" } } } }),
    );
    world.oc_quay(&["builds", "restore", "web", "-n", "shop", "--yes"]).ends_with(2);
    world.oc_quay(&["builds", "rewrite", "web", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(output(&world, "web")["pushSecret"]["name"], "my-own");
    world.merge("BuildConfig", "shop", "web", &json!({ "spec": { "output": rewritten } }));

    // Applying the file that a BuildConfig came from leaves a secret alone that was never in it.
    world.merge(
        "BuildConfig",
        "shop",
        "app",
        &json!({ "spec": { "output": { "to": before[0]["to"] } } }),
    );
    world.oc_quay(&["builds", "rewrite", "app", "-n", "shop", "--yes"]).succeeds();
    world.merge(
        "BuildConfig",
        "shop",
        "app",
        &json!({ "spec": { "output": { "to": before[0]["to"] } } }),
    );
    let run = world.oc_quay(&["builds", "restore", "-n", "shop", "--yes"]).succeeds();
    let words = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("again, without secret builder-quay-openshift"), "{words}");
    assert_eq!(["app", "web"].map(|config| output(&world, config)), before);
    let annotations =
        world.get("BuildConfig", "shop", "web").unwrap()["metadata"]["annotations"].clone();
    assert!(!annotations.to_string().contains("former-output"), "{annotations}");

    world.oc_quay(&["builds", "rewrite", "nothing", "-n", "shop", "--yes"]).ends_with(2);
    world.delete("Secret", "shop", "builder-quay-openshift");
    let run = world
        .oc_quay(&["builds", "rewrite", "app", "-n", "shop", "--yes", "-o", "json"])
        .ends_with(2);
    assert!(run.stdout.contains("there is no secret builder-quay-openshift"), "{}", run.stdout);
}

#[test]
fn a_push_secret_that_is_gone_is_found_and_repair_makes_it_anew() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.build_config("shop", "app", &stream_tag("app:latest"));
    world.oc_quay(&["builds", "rewrite", "-n", "shop", "--yes"]).succeeds();
    world.delete("Secret", "shop", "builder-quay-openshift");
    let list = world.oc_quay(&["builds", "-n", "shop", "-o", "json"]).ends_with(1).json();
    assert_eq!(list["buildConfigs"][0]["missingSecret"], "builder-quay-openshift");
    assert_eq!(
        (found(&list, "OQ51"), &list["summaryLine"]),
        (vec!["OQ513 app".into()], &json!("The BuildConfig does not push to Quay"))
    );
    let text = world.oc_quay(&["builds", "-n", "shop"]).ends_with(1).stdout;
    assert!(text.contains("but there is no secret"), "{text}");
    let status = || world.oc_quay(&["status", "-n", "shop", "-o", "json"]).run().json();
    assert_eq!(found(&status(), "OQ51"), ["OQ513 app"]);
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(found(&status(), "OQ5"), [""; 0]);
}

#[test]
fn status_tells_where_builds_go_and_what_keeps_them_from_it() {
    let Some(world) = World::stand_in("its webhooks and builds are arranged") else { return };
    world.namespace("images");
    world.oc_quay(&["link", "shop", "images", "--yes"]).succeeds();
    world.build_config("shop", "app", &stream_tag("app:latest"));
    world.build_config("shop", "lost", &stream_tag("unknown:latest"));
    let elsewhere =
        json!({ "to": { "kind": "ImageStreamTag", "namespace": "images", "name": "app:1" } });
    world.build_config("shop", "cross", &elsewhere);
    world.build_config("shop", "silent", &json!({}));
    let status = || world.oc_quay(&["status", "-n", "shop", "-o", "json"]).run().json();
    assert_eq!(found(&status(), "OQ5"), ["OQ505 app", "OQ506 lost", "OQ509 cross"]);

    // Rewritten to the Quay of before.
    world.oc_quay(&["builds", "rewrite", "app", "-n", "shop", "--yes"]).succeeds();
    let moved = ["status", "-n", "shop", "-o", "json", "--cluster-id", "other"];
    assert_eq!(found(&world.oc_quay(&moved).run().json(), "OQ510"), ["OQ510 app"]);
    world.oc_quay(&["builds", "restore", "app", "-n", "shop", "--yes"]).succeeds();

    let waits = world.start_build("shop", "lost");
    world.wait_for("the build to be told that it has no place to push to", || {
        world.get("Build", "shop", &waits).unwrap()["status"]["reason"] == "InvalidOutputReference"
    });
    let report = status();
    assert_eq!(found(&report, "OQ506"), ["OQ506 lost".to_owned(), format!("OQ506 {waits}")]);
    let hint = |report: &Value, code: &str, name: &str| {
        let findings = report["findings"].as_array().unwrap();
        findings.iter().find(|one| one["code"] == code && one["object"]["name"] == name).unwrap()["hint"].clone()
    };
    assert_eq!(hint(&report, "OQ506", "lost"), "oc quay builds rewrite -n shop");
    assert_eq!(
        hint(&report, "OQ506", &waits),
        format!("oc cancel-build {waits} -n shop"),
        "it stays as it was made"
    );

    let webhook = |name: &str, hook: &str, policy: &str, operations: Value| {
        world.create(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": { "name": name },
            "webhooks": [{
                "name": hook, "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": policy,
                "clientConfig": { "service": { "namespace": "openshift-operators", "name": "bridge" } },
                "rules": [{ "apiGroups": ["build.openshift.io"], "apiVersions": ["v1"], "operations": operations, "resources": ["builds"] }],
            }],
        }));
    };
    webhook("operator", "quayintegration.quay.redhat.com", "Fail", json!(["CREATE", "UPDATE"]));
    let report = status();
    assert_eq!(
        found(&report, "OQ5"),
        ["OQ502 operator", "OQ507 silent", &format!("OQ508 {waits}"), "OQ509 cross"]
    );
    assert!(report.to_string().contains("rewritten by the operator's webhook"), "{report}");
    assert_eq!(
        hint(&report, "OQ507", "silent"),
        "oc edit buildconfigs silent -n shop",
        "no repair gives it an output"
    );
    // The same is found by the command that is about builds, with the same exit code.
    let list = world.oc_quay(&["builds", "-n", "shop", "-o", "json"]).ends_with(1).json();
    assert_eq!(found(&list, "OQ5"), found(&report, "OQ5"));
    assert_eq!(list["buildConfigs"][0]["sentBy"], "operator");
    let summary_line = "0 of 4 BuildConfigs push to Quay, and the API server cannot call the webhook that rewrites builds";
    assert!(list["summaryLine"].as_str().unwrap().starts_with(summary_line), "{list}");
    let silent = list["buildConfigs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|config| config["name"] == "silent")
        .unwrap();
    assert!(silent["refused"].as_str().unwrap().contains("it has no output"), "{silent}");

    world.remove_from_list("shop", "builder", "secrets", "builder-quay-openshift");
    let report = status();
    assert_eq!(
        found(&report, "OQ507").len(),
        4,
        "the operator refuses every build of an unlinked builder"
    );
    assert_eq!(hint(&report, "OQ507", "app"), "oc quay repair -n shop");
    webhook("bridge", "builds.bridge.oc-quay", "Ignore", json!(["CREATE"]));
    assert_eq!(found(&status(), "OQ501"), ["OQ501 operator"]);
}

#[test]
fn who_may_not_read_webhooks_is_told_what_that_means_for_builds_alone() {
    let world = World::new();
    world.grant("dev", "shop");
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let status = || world.oc_quay(&["status", "-n", "shop", "-o", "json"]).guest("dev").run();
    assert_eq!(status().codes(), ["OQ901"], "the QuayIntegration");
    world.build_config("shop", "app", &stream_tag("app:latest"));
    assert_eq!(
        status().codes(),
        ["OQ901", sent_by_nobody(&world)],
        "a build that was tried came back as it was"
    );
    world.cluster_traffic().fault(Fault::on("POST", "/namespaces/shop/builds").html(403).times(1));
    assert_eq!(status().codes(), ["OQ901", "OQ901"]);
    // What needs no webhook can be done all the same.
    world.oc_quay(&["builds", "rewrite", "-n", "shop", "--yes"]).guest("dev").succeeds();
    assert_eq!(status().codes(), ["OQ901"]);
}

/// That a webhook is registered does not say that it can be called; only a build does.
#[test]
fn a_webhook_that_cannot_be_called_is_found_by_trying_a_build() {
    let world = World::new();
    world.grant("dev", "shop");
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.build_config("shop", "app", &stream_tag("app:latest"));
    let (bridge, _) = with_webhook(&world, &[]);
    let dev = |command: &[&str]| {
        world.oc_quay(&[command, &["-n", "shop", "-o", "json"]].concat()).guest("dev").run().json()
    };
    // A real API server takes a moment to learn of a webhook, and of every change to it.
    let waits = |what: &str, is_so: &dyn Fn() -> bool| world.wait_for(what, is_so);
    waits("builds are rewritten", &|| found(&dev(&["status"]), "OQ").len() == 1);
    assert_eq!(dev(&["builds"])["buildConfigs"][0]["sentBy"], "webhook");
    let admin = || world.oc_quay(&["status", "-n", "shop", "-o", "json"]).run().json();
    world.forget_traffic();
    assert_eq!(found(&admin(), "OQ"), [""; 0]);
    // The bridge may write its conditions just then.
    let writes = world.cluster_traffic().writes();
    assert!(writes.iter().all(|entry| entry.path.contains("/quayintegrations/")), "{writes:#?}");
    assert_eq!(world.list("Build", "shop").len(), 0);

    let words =
        |report: &Value| report["findings"][0]["message"].as_str().unwrap_or_default().to_owned();
    let change = |webhook: Value| {
        let mut hook =
            world.get("MutatingWebhookConfiguration", "", "bridge").unwrap()["webhooks"][0].clone();
        hook.as_object_mut().unwrap().extend(webhook.as_object().unwrap().clone());
        world.merge("MutatingWebhookConfiguration", "", "bridge", &json!({ "webhooks": [hook] }));
    };
    let client = world.get("MutatingWebhookConfiguration", "", "bridge").unwrap()["webhooks"][0]["clientConfig"].clone();
    let stranger = STANDARD.encode(Authority::new().unwrap().pem());
    change(json!({ "clientConfig": { "url": client["url"], "caBundle": stranger } }));
    waits("its authority is another", &|| {
        words(&admin()).contains("certificate signed by unknown authority")
    });
    change(json!({ "clientConfig": client }));
    waits("its authority is the right one", &|| found(&admin(), "OQ").is_empty());

    drop(bridge);
    let report = admin();
    assert_eq!(found(&report, "OQ"), ["OQ502 bridge"]);
    assert!(
        words(&report).contains("Every build is refused")
            && words(&report).contains("connection refused"),
        "{report}"
    );
    assert_eq!(
        found(&dev(&["status"]), "OQ502"),
        ["OQ502 "],
        "whoever may not read webhooks is told too"
    );
    change(json!({ "failurePolicy": "Ignore" }));
    waits("it fails open", &|| words(&admin()).contains("came back as it was"));
    assert_eq!(found(&dev(&["status"]), "OQ50"), [format!("{} app", sent_by_nobody(&world))]);
}

#[test]
fn builds_of_shipwright_are_listed_with_what_to_paste_into_them() {
    let cluster = sandbox::openshift::Cluster { shipwright: true, ..Default::default() };
    let options = sandbox::Options { cluster, ..Default::default() };
    let Some(world) = World::stand_in_bare(options, "it has no Shipwright") else { return };
    world.integration();
    world.namespace("shop");
    world.sandbox.openshift.put(json!({
        "apiVersion": "shipwright.io/v1beta1", "kind": "Build", "metadata": { "name": "app", "namespace": "shop" },
        "spec": { "output": { "image": "image-registry.openshift-image-registry.svc:5000/shop/app:1" } },
    }));
    let text = world.oc_quay(&["builds", "-n", "shop"]).succeeds().stdout;
    let host = world.sandbox.quay.host();
    let stanza = format!(
        "output:\n          image: {host}/openshift_shop/app:1\n          pushSecret: builder-quay-openshift"
    );
    assert!(text.contains(&stanza), "{text}");
}

/// A tenant writes the annotation; who restores may be an administrator.
#[test]
fn what_a_namespace_says_never_steers_the_terminal() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.build_config(
        "shop",
        "app",
        &json!({ "to": { "kind": "DockerImage", "name": "q/a/b:1" } }),
    );
    let former = json!({ "to": { "kind": "ImageStreamTag", "name": "\u{1b}[2J\u{7}app:1" }, "image": "q/a/b:1" }).to_string();
    let annotations = json!({ "metadata": { "annotations": { "oc-quay/former-output": former } } });
    world.merge("BuildConfig", "shop", "app", &annotations);
    for format in ["text", "wide", "json"] {
        let arguments = [
            "builds",
            "restore",
            "app",
            "-n",
            "shop",
            "--dry-run",
            "--color",
            "always",
            "-o",
            format,
        ];
        let run = world.oc_quay(&arguments).succeeds();
        assert!(run.stdout.contains("ImageStreamTag"), "{}", run.stdout);
        assert!(
            !run.stdout.contains("[2J") && !run.stdout.contains('\u{7}'),
            "{format}: {:?}",
            run.stdout
        );
    }
}

#[test]
fn what_may_not_be_listed_is_not_taken_for_nothing() {
    let Some(world) = World::stand_in("its rights are taken away") else { return };
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.build_config("shop", "app", &stream_tag("app:latest"));
    let before = world.oc_quay(&["builds", "-n", "shop", "-o", "short"]).succeeds();
    assert!(before.stdout.contains("The BuildConfig does not push to Quay"), "{}", before.stdout);
    // Flags of every command may stand before what a command has below it.
    world.oc_quay(&["builds", "-n", "shop", "-o", "json", "rewrite", "--dry-run"]).succeeds();

    world.sandbox.openshift.deny("admin", "list", "build.openshift.io", "buildconfigs");
    for format in ["text", "short", "json"] {
        let run = world.oc_quay(&["builds", "-n", "shop", "-o", format]).ends_with(2);
        let said = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            said.contains("Which BuildConfigs there are is not known: could not list"),
            "{said}"
        );
        assert!(!said.contains("There are no BuildConfigs"), "{said}");
    }
}

#[test]
fn says_that_nothing_runs_behind_a_webhook() {
    let Some(world) = World::stand_in("its webhook is called by nobody") else { return };
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.create(&json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": "operator" },
        "webhooks": [{
            "name": "quayintegration.quay.redhat.com",
            "clientConfig": {
                "service": { "namespace": "openshift-operators", "name": "quay-bridge-operator-service" },
                "caBundle": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1BQT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=",
            },
            "rules": [{ "apiGroups": ["build.openshift.io"], "apiVersions": ["v1"], "resources": ["builds"], "operations": ["CREATE"] }],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }],
    }));
    let codes = |command: &str| {
        let report = world.oc_quay(&[command, "-n", "shop", "-o", "json"]).run().json();
        let findings = report["findings"].as_array().unwrap().clone();
        findings.into_iter().filter(|finding| finding["code"] == "OQ128").collect::<Vec<_>>()
    };
    for command in ["status", "builds"] {
        assert_eq!(codes(command), Vec::<Value>::new(), "no Deployment of the operator's is known");
    }
    world.create(&sandbox::manifests::operator_deployment("openshift-operators", 0));
    for command in ["status", "builds"] {
        let [down] = codes(command).try_into().unwrap();
        assert_eq!(down["object"]["name"], "quay-bridge-operator", "{down}");
        assert!(down["message"].as_str().unwrap().contains("is scaled to 0"), "{down}");
        assert!(
            down["hint"]
                .as_str()
                .unwrap()
                .starts_with("oc describe deployment quay-bridge-operator"),
            "{down}"
        );
    }
}

#[test]
fn says_nothing_of_shipwright_where_it_is_not() {
    let Some(world) = World::stand_in("the user lacks rights") else { return };
    let user = world.oc_quay(&["builds", "-n", "shop"]).args(&["--as", "dev"]);
    world.grant("dev", "shop");
    let run = user.run();
    assert!(!run.stderr.to_lowercase().contains("shipwright"), "{}", run.stderr);
}

#[test]
fn passes_over_platform_namespaces() {
    let world = World::new();
    let all = world.oc_quay(&["builds", "-A"]).run();
    assert!(
        !all.stdout.contains("kube-system") && !all.stdout.contains("--force"),
        "{}",
        all.stdout
    );
    let one = world.oc_quay(&["status", "-n", "default"]).run();
    assert!(
        one.stdout.contains("default is not linked: its name is one of the platform's own"),
        "{}",
        one.stdout
    );
    assert!(!one.stdout.contains("--force"), "{}", one.stdout);
}
