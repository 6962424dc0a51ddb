//! `builds`: the outputs of BuildConfigs; and their findings in `status`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::tls::Authority;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::builds_e2e::with_webhook;
use crate::support::TestEnv;

fn stream_tag(name: &str) -> Value {
    json!({ "to": { "kind": "ImageStreamTag", "name": name } })
}

/// The code for a BuildConfig that is not rewritten. A real API server has no internal registry.
fn not_rewritten_code(env: &TestEnv) -> &'static str {
    if env.is_real() { "OQ506" } else { "OQ505" }
}

fn output(env: &TestEnv, config: &str) -> Value {
    env.get("BuildConfig", "shop", config).unwrap()["spec"]["output"].clone()
}

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
fn links_and_restores_build_configs_without_webhook() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let odd = json!({
        "to": { "kind": "ImageStreamTag", "name": "web:1.0", "namespace": "shop" },
        "pushSecret": { "name": "builder-dockercfg" },
        "imageLabels": [{ "name": "a", "value": "b" }],
    });
    env.build_config("shop", "app", &stream_tag("app:latest"));
    env.build_config("shop", "web", &odd);
    env.build_config(
        "shop",
        "elsewhere",
        &json!({ "to": { "kind": "DockerImage", "name": "docker.io/acme/app:1" } }),
    );
    env.build_config("shop", "silent", &json!({}));
    env.build_config("shop", "kept", &stream_tag("base:1"));
    let kept = json!({ "metadata": { "annotations": { "argocd.argoproj.io/tracking-id": "shop:build.openshift.io/BuildConfig:shop/kept" } } });
    env.merge("BuildConfig", "shop", "kept", &kept);
    let before = ["app", "web"].map(|config| output(&env, config));
    env.forget_traffic();

    let dry = env
        .oc_quay(&["builds", "rewrite", "app", "web", "-n", "shop", "--dry-run", "-o", "json"])
        .succeeds();
    assert_eq!(dry.json()["changes"].as_array().unwrap().len(), 2);
    env.assert_nothing_written();

    // BuildConfigs are rewritten except the one of Argo CD, which determines the exit code.
    let run = env.oc_quay(&["builds", "rewrite", "-n", "shop", "--yes", "-o", "json"]).ends_with(2);
    assert_eq!(found(&run.json(), "OQ51"), ["OQ511 elsewhere", "OQ511 silent", "OQ512 kept"]);
    assert!(
        run.stdout.contains(
            "Argo CD would revert it; set in its source spec.output: {to: {kind: DockerImage, name: "
        ),
        "{}",
        run.stdout
    );
    let host = env.sandbox.quay.host();
    let rewritten = json!({
        "to": { "kind": "DockerImage", "name": format!("{host}/openshift_shop/web:1.0") },
        "pushSecret": { "name": "builder-quay-openshift" },
        "imageLabels": [{ "name": "a", "value": "b" }],
    });
    assert_eq!(output(&env, "web"), rewritten);
    assert_eq!(output(&env, "kept"), stream_tag("base:1"));
    env.forget_traffic();
    env.oc_quay(&["builds", "rewrite", "app", "web", "-n", "shop", "--yes"]).succeeds();
    env.assert_nothing_written();

    let name = env.start_build("shop", "app");
    env.wait_for_build("shop", &name, "Complete");
    let list = env.oc_quay(&["builds", "-n", "shop", "-o", "json"]).succeeds().json();
    let app = &list["buildConfigs"][0];
    assert_eq!(
        (&app["name"], &app["sentBy"], &app["rewritten"]),
        (&json!("app"), &json!("direct"), &json!(true))
    );
    assert_eq!(
        (&app["lastBuild"]["phase"], &app["lastBuild"]["imported"]),
        (&json!("Complete"), &json!(false))
    );
    let text = env.oc_quay(&["builds", "-n", "shop"]).succeeds().stdout;
    assert!(text.contains(&format!("{name} Complete, not imported")), "{text}");

    // Later changes of others are kept.
    env.merge(
        "BuildConfig",
        "shop",
        "web",
        &json!({ "spec": { "output": { "to": { "name": "quay.example.com/a/b:1" } } } }),
    );
    env.oc_quay(&["builds", "restore", "web", "-n", "shop", "--yes"]).ends_with(2);
    env.merge("BuildConfig", "shop", "web", &json!({ "spec": { "output": rewritten } }));
    env.merge(
        "BuildConfig",
        "shop",
        "web",
        &json!({ "spec": { "output": { "pushSecret": { "name": "my-own" } } } }),
    );
    env.oc_quay(&["builds", "restore", "web", "-n", "shop", "--yes"]).ends_with(2);
    env.oc_quay(&["builds", "rewrite", "web", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(output(&env, "web")["pushSecret"]["name"], "my-own");
    env.merge("BuildConfig", "shop", "web", &json!({ "spec": { "output": rewritten } }));

    // Applying the file of a BuildConfig keeps a secret that it never contained.
    env.merge(
        "BuildConfig",
        "shop",
        "app",
        &json!({ "spec": { "output": { "to": before[0]["to"] } } }),
    );
    env.oc_quay(&["builds", "rewrite", "app", "-n", "shop", "--yes"]).succeeds();
    env.merge(
        "BuildConfig",
        "shop",
        "app",
        &json!({ "spec": { "output": { "to": before[0]["to"] } } }),
    );
    let run = env.oc_quay(&["builds", "restore", "-n", "shop", "--yes"]).succeeds();
    let words = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("(removes push secret builder-quay-openshift)"), "{words}");
    assert_eq!(["app", "web"].map(|config| output(&env, config)), before);
    let annotations =
        env.get("BuildConfig", "shop", "web").unwrap()["metadata"]["annotations"].clone();
    assert!(!annotations.to_string().contains("former-output"), "{annotations}");

    env.oc_quay(&["builds", "rewrite", "nothing", "-n", "shop", "--yes"]).ends_with(2);
    env.delete("Secret", "shop", "builder-quay-openshift");
    let run = env
        .oc_quay(&["builds", "rewrite", "app", "-n", "shop", "--yes", "-o", "json"])
        .ends_with(2);
    assert!(
        run.stdout
            .contains("secret builder-quay-openshift with credentials for Quay does not exist"),
        "{}",
        run.stdout
    );
}

#[test]
fn repair_recreates_deleted_push_secret() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.build_config("shop", "app", &stream_tag("app:latest"));
    env.oc_quay(&["builds", "rewrite", "-n", "shop", "--yes"]).succeeds();
    env.delete("Secret", "shop", "builder-quay-openshift");
    let list = env.oc_quay(&["builds", "-n", "shop", "-o", "json"]).ends_with(1).json();
    assert_eq!(list["buildConfigs"][0]["missingSecret"], "builder-quay-openshift");
    assert_eq!(
        (found(&list, "OQ51"), &list["summaryLine"]),
        (vec!["OQ513 app".into()], &json!("The BuildConfig does not push to Quay"))
    );
    let text = env.oc_quay(&["builds", "-n", "shop"]).ends_with(1).stdout;
    assert!(text.contains("but push secret"), "{text}");
    let status = || env.oc_quay(&["status", "-n", "shop", "-o", "json"]).run().json();
    assert_eq!(found(&status(), "OQ51"), ["OQ513 app"]);
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(found(&status(), "OQ5"), [""; 0]);
}

#[test]
fn status_shows_build_outputs_and_obstacles() {
    let Some(env) = TestEnv::stand_in("its webhooks and builds are arranged") else { return };
    env.namespace("images");
    env.oc_quay(&["link", "shop", "images", "--yes"]).succeeds();
    env.build_config("shop", "app", &stream_tag("app:latest"));
    env.build_config("shop", "lost", &stream_tag("unknown:latest"));
    let elsewhere =
        json!({ "to": { "kind": "ImageStreamTag", "namespace": "images", "name": "app:1" } });
    env.build_config("shop", "cross", &elsewhere);
    env.build_config("shop", "silent", &json!({}));
    let status = || env.oc_quay(&["status", "-n", "shop", "-o", "json"]).run().json();
    assert_eq!(found(&status(), "OQ5"), ["OQ505 app", "OQ506 lost", "OQ509 cross"]);

    // Rewritten to the previous Quay.
    env.oc_quay(&["builds", "rewrite", "app", "-n", "shop", "--yes"]).succeeds();
    let moved = ["status", "-n", "shop", "-o", "json", "--cluster-id", "other"];
    assert_eq!(found(&env.oc_quay(&moved).run().json(), "OQ510"), ["OQ510 app"]);
    env.oc_quay(&["builds", "restore", "app", "-n", "shop", "--yes"]).succeeds();

    let waits = env.start_build("shop", "lost");
    env.wait_for("the build to report that it has no output registry", || {
        env.get("Build", "shop", &waits).unwrap()["status"]["reason"] == "InvalidOutputReference"
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
        "it is not changed"
    );

    let webhook = |name: &str, hook: &str, policy: &str, operations: Value| {
        env.create(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": { "name": name },
            "webhooks": [{
                "name": hook, "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": policy,
                "clientConfig": { "service": { "namespace": "openshift-operators", "name": "controller" } },
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
    // `builds` has the same findings and exit code.
    let list = env.oc_quay(&["builds", "-n", "shop", "-o", "json"]).ends_with(1).json();
    assert_eq!(found(&list, "OQ5"), found(&report, "OQ5"));
    assert_eq!(list["buildConfigs"][0]["sentBy"], "operator");
    let summary_line =
        "0 of 4 BuildConfigs push to Quay, but the API server cannot call the build webhook";
    assert!(list["summaryLine"].as_str().unwrap().starts_with(summary_line), "{list}");
    let silent = list["buildConfigs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|config| config["name"] == "silent")
        .unwrap();
    assert!(silent["rejected"].as_str().unwrap().contains("it has no output"), "{silent}");

    env.remove_from_list("shop", "builder", "secrets", "builder-quay-openshift");
    let report = status();
    assert_eq!(
        found(&report, "OQ507").len(),
        4,
        "the operator rejects every build of an unlinked builder"
    );
    assert_eq!(hint(&report, "OQ507", "app"), "oc quay repair -n shop");
    webhook("controller", "builds.controller.oc-quay", "Ignore", json!(["CREATE"]));
    assert_eq!(found(&status(), "OQ501"), ["OQ501 operator"]);
}

#[test]
fn forbidden_webhooks_affect_only_build_findings() {
    let env = TestEnv::new();
    env.grant("dev", "shop");
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let status = || env.oc_quay(&["status", "-n", "shop", "-o", "json"]).guest("dev").run();
    assert_eq!(status().codes(), ["OQ901"], "the QuayIntegration");
    env.build_config("shop", "app", &stream_tag("app:latest"));
    assert_eq!(
        status().codes(),
        ["OQ901", not_rewritten_code(&env)],
        "a build that was tried did not modify a dry-run Build"
    );
    env.cluster_traffic().fault(Fault::on("POST", "/namespaces/shop/builds").html(403).times(1));
    assert_eq!(status().codes(), ["OQ901", "OQ901"]);
    // Other actions need no webhook.
    env.oc_quay(&["builds", "rewrite", "-n", "shop", "--yes"]).guest("dev").succeeds();
    assert_eq!(status().codes(), ["OQ901"]);
}

/// A registered webhook might be unreachable; only a build shows it.
#[test]
fn detects_unreachable_webhook_by_dry_run_of_a_build() {
    let env = TestEnv::new();
    env.grant("dev", "shop");
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.build_config("shop", "app", &stream_tag("app:latest"));
    let (webhook, _) = with_webhook(&env, &[]);
    let dev = |command: &[&str]| {
        env.oc_quay(&[command, &["-n", "shop", "-o", "json"]].concat()).guest("dev").run().json()
    };
    // A real API server applies a webhook and its changes with a delay.
    let waits = |what: &str, is_so: &dyn Fn() -> bool| env.wait_for(what, is_so);
    waits("builds are rewritten", &|| found(&dev(&["status"]), "OQ").len() == 1);
    assert_eq!(dev(&["builds"])["buildConfigs"][0]["sentBy"], "webhook");
    let admin = || env.oc_quay(&["status", "-n", "shop", "-o", "json"]).run().json();
    env.forget_traffic();
    assert_eq!(found(&admin(), "OQ"), [""; 0]);
    // The controller might write its conditions now.
    let writes = env.cluster_traffic().writes();
    assert!(writes.iter().all(|entry| entry.path.contains("/quayintegrations/")), "{writes:#?}");
    assert_eq!(env.list("Build", "shop").len(), 0);

    let words =
        |report: &Value| report["findings"][0]["message"].as_str().unwrap_or_default().to_owned();
    let change = |webhook: Value| {
        let mut hook =
            env.get("MutatingWebhookConfiguration", "", "controller").unwrap()["webhooks"][0]
                .clone();
        hook.as_object_mut().unwrap().extend(webhook.as_object().unwrap().clone());
        env.merge("MutatingWebhookConfiguration", "", "controller", &json!({ "webhooks": [hook] }));
    };
    let client = env.get("MutatingWebhookConfiguration", "", "controller").unwrap()["webhooks"][0]
        ["clientConfig"]
        .clone();
    let stranger = STANDARD.encode(Authority::new().unwrap().pem());
    change(json!({ "clientConfig": { "url": client["url"], "caBundle": stranger } }));
    waits("its authority is another", &|| {
        words(&admin()).contains("certificate signed by unknown authority")
    });
    change(json!({ "clientConfig": client }));
    waits("its authority is the right one", &|| found(&admin(), "OQ").is_empty());

    drop(webhook);
    let report = admin();
    assert_eq!(found(&report, "OQ"), ["OQ502 controller"]);
    assert!(
        words(&report).contains("Every build is rejected")
            && words(&report).contains("connection refused"),
        "{report}"
    );
    assert_eq!(
        found(&dev(&["status"]), "OQ502"),
        ["OQ502 "],
        "users without permission to read webhooks get it, too"
    );
    change(json!({ "failurePolicy": "Ignore" }));
    waits("it fails open", &|| words(&admin()).contains("did not modify a dry-run Build"));
    assert_eq!(found(&dev(&["status"]), "OQ50"), [format!("{} app", not_rewritten_code(&env))]);
}

#[test]
fn lists_shipwright_builds_with_their_patch() {
    let cluster = sandbox::openshift::Cluster { shipwright: true, ..Default::default() };
    let options = sandbox::Options { cluster, ..Default::default() };
    let Some(env) = TestEnv::stand_in_bare(options, "it has no Shipwright") else { return };
    env.integration();
    env.namespace("shop");
    env.sandbox.openshift.put(json!({
        "apiVersion": "shipwright.io/v1beta1", "kind": "Build", "metadata": { "name": "app", "namespace": "shop" },
        "spec": { "output": { "image": "image-registry.openshift-image-registry.svc:5000/shop/app:1" } },
    }));
    let text = env.oc_quay(&["builds", "-n", "shop"]).succeeds().stdout;
    let host = env.sandbox.quay.host();
    let stanza = format!(
        "output:\n          image: {host}/openshift_shop/app:1\n          pushSecret: builder-quay-openshift"
    );
    assert!(text.contains(&stanza), "{text}");
}

/// A tenant writes the annotation, and an administrator might restore.
#[test]
fn escapes_terminal_control_sequences_of_namespaces() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.build_config("shop", "app", &json!({ "to": { "kind": "DockerImage", "name": "q/a/b:1" } }));
    let former = json!({ "to": { "kind": "ImageStreamTag", "name": "\u{1b}[2J\u{7}app:1" }, "image": "q/a/b:1" }).to_string();
    let annotations = json!({ "metadata": { "annotations": { "oc-quay/former-output": former } } });
    env.merge("BuildConfig", "shop", "app", &annotations);
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
        let run = env.oc_quay(&arguments).succeeds();
        assert!(run.stdout.contains("ImageStreamTag"), "{}", run.stdout);
        assert!(
            !run.stdout.contains("[2J") && !run.stdout.contains('\u{7}'),
            "{format}: {:?}",
            run.stdout
        );
    }
}

#[test]
fn forbidden_lists_are_not_reported_as_empty() {
    let Some(env) = TestEnv::stand_in("its permissions are removed") else { return };
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.build_config("shop", "app", &stream_tag("app:latest"));
    let before = env.oc_quay(&["builds", "-n", "shop", "-o", "short"]).succeeds();
    assert!(before.stdout.contains("The BuildConfig does not push to Quay"), "{}", before.stdout);
    // Global flags can precede the subcommand.
    env.oc_quay(&["builds", "-n", "shop", "-o", "json", "rewrite", "--dry-run"]).succeeds();

    env.sandbox.openshift.deny("admin", "list", "build.openshift.io", "buildconfigs");
    for format in ["text", "short", "json"] {
        let run = env.oc_quay(&["builds", "-n", "shop", "-o", format]).ends_with(2);
        let said = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains("The BuildConfigs are unknown: could not list"), "{said}");
        assert!(!said.contains("No BuildConfigs found"), "{said}");
    }
}

#[test]
fn reports_webhook_without_ready_pods() {
    let Some(env) = TestEnv::stand_in("its webhook is not called") else { return };
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.create(&json!({
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
        let report = env.oc_quay(&[command, "-n", "shop", "-o", "json"]).run().json();
        let findings = report["findings"].as_array().unwrap().clone();
        findings.into_iter().filter(|finding| finding["code"] == "OQ128").collect::<Vec<_>>()
    };
    for command in ["status", "builds"] {
        assert_eq!(codes(command), Vec::<Value>::new(), "no Deployment of the operator's is known");
    }
    env.create(&sandbox::manifests::operator_deployment("openshift-operators", 0));
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
fn omits_shipwright_when_not_installed() {
    let Some(env) = TestEnv::stand_in("the user lacks permissions") else { return };
    let user = env.oc_quay(&["builds", "-n", "shop"]).args(&["--as", "dev"]);
    env.grant("dev", "shop");
    let run = user.run();
    assert!(!run.stderr.to_lowercase().contains("shipwright"), "{}", run.stderr);
}

#[test]
fn skips_platform_namespaces() {
    let env = TestEnv::new();
    let all = env.oc_quay(&["builds", "-A"]).run();
    assert!(
        !all.stdout.contains("kube-system") && !all.stdout.contains("--force"),
        "{}",
        all.stdout
    );
    let one = env.oc_quay(&["status", "-n", "default"]).run();
    assert!(
        one.stdout.contains("default is not linked: it is a reserved platform namespace"),
        "{}",
        one.stdout
    );
    assert!(!one.stdout.contains("--force"), "{}", one.stdout);
}
