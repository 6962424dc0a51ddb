//! `status`: the findings of a namespace.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::support::TestEnv;

#[test]
fn namespace_linked_by_the_operator_is_healthy() {
    let env = TestEnv::bare();
    env.integration();
    env.namespace("golden");
    env.image_stream("golden", "app");
    env.link_by_hand("golden", "app");
    env.assert_linked("golden", &["app"]);
    env.forget_traffic();

    let status = env.oc_quay(&["status", "-n", "golden", "-o", "json"]).succeeds();
    // The only finding: deleting the namespace deletes the images.
    assert_eq!(status.codes(), ["OQ124"]);
    assert_eq!(status.json()["ok"], true);
    let probed = env.oc_quay(&["status", "-n", "golden", "--probe", "-o", "json"]).succeeds();
    assert_eq!(probed.codes(), ["OQ124"]);

    for command in ["repair", "link"] {
        let run = env.oc_quay(&[command, "-n", "golden", "--yes"]).succeeds();
        assert_eq!(run.stdout, "Nothing to do\n", "{command}");
    }
    env.assert_nothing_written();
}

#[test]
fn shows_the_source_of_each_setting() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let sources = |integration: &Value| {
        ["quay", "clusterId", "token"].map(|setting| integration[setting]["source"].to_string())
    };
    let report = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds().json();
    let [quay, cluster_id, token] = sources(&report["integration"]);
    assert!(
        quay.contains("QuayIntegration") && cluster_id.contains("QuayIntegration"),
        "{quay} {cluster_id}"
    );
    assert!(token.contains("openshift-operators/quay-integration"), "{token}");

    let url = env.sandbox.quay.url();
    let command = env.oc_quay(&["status", "-n", "shop", "-o", "json", "--quay-url", &url]);
    let command = command
        .env("OC_QUAY_CLUSTER_ID", "openshift")
        .env("OC_QUAY_TOKEN", env.sandbox.quay.admin_token());
    // A flag takes precedence over its variable.
    let report = command.env("OC_QUAY_URL", "https://quay.invalid").succeeds().json();
    let sources = sources(&report["integration"]);
    for (source, expected) in
        sources.iter().zip(["--quay-url", "OC_QUAY_CLUSTER_ID", "OC_QUAY_TOKEN"])
    {
        assert!(source.contains(expected), "{sources:?}");
    }
}

#[test]
fn reads_token_from_stdin() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.delete("Secret", "openshift-operators", "quay-integration");
    let token = format!("{}\n", env.sandbox.quay.admin_token());
    env.oc_quay(&["status", "-n", "shop", "--quay-token-file", "-"]).stdin(&token).succeeds();
}

#[test]
fn project_administrator_chooses_the_quay() {
    let env = TestEnv::new();
    env.grant("dev", "shop");
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let report = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).guest("dev").succeeds();
    // The unread QuayIntegration is reported and is no error.
    assert_eq!(report.codes(), ["OQ901"]);
    assert_eq!(report.json()["findings"][0]["object"], json!({ "kind": "QuayIntegration" }));
    let report = env.oc_quay(&["status", "-A", "-o", "json"]).guest("dev").succeeds().json();
    let names: Vec<_> = report["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|namespace| namespace["name"].clone())
        .collect();
    assert!(names.contains(&json!("shop")), "{names:?}");
}

/// Quay's web server rejects request lines of more than 4094 bytes, and encodes every character
/// except letters with three.
#[test]
fn splits_long_repository_queries_for_quay() {
    let env = TestEnv::new();
    for number in 0..20 {
        env.image_stream("shop", &format!("{number}-{}", "a-long.name".repeat(18)));
    }
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.oc_quay(&["status", "-n", "shop", "--probe", "--fail-on", "warning"]).succeeds();
}

#[test]
fn reports_image_policy_that_blocks_quay() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let host = env.sandbox.quay.host();
    let sources = |sources: Value| json!({ "spec": { "registrySources": sources, "allowedRegistriesForImport": null } });
    let none = json!({ "allowedRegistries": null, "blockedRegistries": null });
    let table = [
        (sources(json!({ "allowedRegistries": ["registry.redhat.io"] })), Some("OQ118")),
        (sources(json!({ "allowedRegistries": ["registry.redhat.io", host] })), None),
        (sources(json!({ "allowedRegistries": null, "blockedRegistries": [host] })), Some("OQ118")),
        (
            json!({ "spec": { "registrySources": none, "allowedRegistriesForImport": [{ "domainName": "registry.redhat.io" }] } }),
            Some("OQ119"),
        ),
        (
            json!({ "spec": { "allowedRegistriesForImport": [{ "domainName": "registry.redhat.io" }, { "domainName": host }] } }),
            None,
        ),
    ];
    for (policy, code) in table {
        env.merge("Image", "", "cluster", &policy);
        let status = env
            .oc_quay(&["status", "-n", "shop", "-o", "json"])
            .ends_with(i32::from(code.is_some()));
        assert_eq!(status.codes(), code.into_iter().collect::<Vec<_>>(), "{policy}");
        let claims = status.json()["summaryLine"].as_str().unwrap().contains("can pull");
        assert_eq!(claims, code.is_none(), "{policy}");
    }
}

#[test]
fn reports_no_pull_of_a_tag_missing_in_quay() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.sandbox.quay.push_tag("openshift_shop", "app", "latest").unwrap();
    let path = format!("{}/openshift_shop/app", env.sandbox.quay.host());
    let from = json!({ "kind": "DockerImage", "name": format!("{path}:1") });
    env.merge(
        "ImageStream",
        "shop",
        "app",
        &json!({ "spec": { "tags": [{ "name": "1", "from": from }] } }),
    );
    let digest = format!("sha256:{}", "0".repeat(64));
    let imported = |created: &str| {
        let item = json!({ "created": created, "image": digest, "dockerImageReference": format!("{path}@{digest}"), "generation": 1 });
        env.merge(
            "ImageStream",
            "shop",
            "app/status",
            &json!({ "status": { "tags": [{ "tag": "1", "items": [item] }] } }),
        );
    };
    let summary_line = |arguments: &[&str]| {
        let status = env.oc_quay(&["status", "-o", "json"]).args(arguments).succeeds();
        (status.codes(), status.json()["summaryLine"].as_str().unwrap().to_owned())
    };
    let host = env.sandbox.quay.host();
    // No push to the repository since the tag was imported.
    imported("2099-01-01T00:00:00Z");
    let open = format!(
        "Pods in shop can log in to {host}; 1 tag that follows it was not compared. Run: oc quay status -n shop --probe"
    );
    assert_eq!(summary_line(&["-n", "shop"]), (vec![], open));
    let gone = format!(
        "Pods in shop can log in to {host}, which does not have 1 tag that image streams follow. Run: "
    );
    let (codes, probed) = summary_line(&["-n", "shop", "--probe"]);
    assert!(codes == ["OQ523"] && probed.starts_with(&gone), "{codes:?} {probed}");
    imported("2020-01-01T00:00:00Z");
    let (codes, found) = summary_line(&["-n", "shop"]);
    assert!(codes == ["OQ523"] && found.starts_with(&gone), "{codes:?} {found}");
    let (_, all) = summary_line(&["-A"]);
    assert!(all.starts_with(&gone.replace("in shop", "in 1 namespace")), "{all}");
}

#[test]
fn reports_pod_older_than_the_link_and_its_restart() {
    let env = TestEnv::new();
    let image = format!("{}/openshift_shop/app:1", env.sandbox.quay.host());
    let owner = json!({ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "app-5d4f", "uid": "1", "controller": true });
    let labels = json!({ "pod-template-hash": "5d4f" });
    env.create(&json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "app-5d4f-x", "namespace": "shop", "labels": labels, "ownerReferences": [owner] },
        "spec": { "serviceAccountName": "default", "containers": [{ "name": "app", "image": image }] },
    }));
    let waiting =
        json!({ "waiting": { "reason": "ImagePullBackOff", "message": "Back-off pulling image" } });
    let container = json!({
        "name": "app", "image": image, "imageID": "", "ready": false, "restartCount": 0, "state": waiting,
    });
    let status = json!({ "status": { "phase": "Pending", "containerStatuses": [container] } });
    env.merge("Pod", "shop", "app-5d4f-x/status", &status);
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let status = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1);
    assert_eq!(status.codes(), ["OQ317"]);
    assert_eq!(status.json()["next"], "oc rollout restart deployment/app -n shop");
    assert!(
        !status.json()["summaryLine"].as_str().unwrap().contains("can pull"),
        "{}",
        status.stdout
    );
    let all = env.oc_quay(&["status", "-A", "-o", "json"]).ends_with(1);
    assert!(all.codes().contains(&"OQ317".to_owned()), "{}", all.stdout);
}

#[test]
fn reports_quota_before_and_when_exhausted() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let organization = "/api/v1/organization/openshift_shop";
    for (used, reject, expected) in [
        (2_500_000, true, Some("OQ216")),
        (4_002_116, true, Some("OQ217")),
        (2_500_000, false, None),
        (1_000, true, None),
    ] {
        // wire/744c and 744d.
        let report = json!({ "quota_bytes": used, "configured_quota": 3_000_000 });
        let repositories = ["app", "base", "web"].map(|name| {
            let report = if name == "app" { report.clone() } else { json!({ "quota_bytes": 0, "configured_quota": 3_000_000 }) };
            json!({ "namespace": "openshift_shop", "name": name, "last_modified": null, "quota_report": report })
        });
        let limits = if reject {
            json!([{ "id": 1, "type": "Reject", "limit_percent": 100 }])
        } else {
            json!([])
        };
        let view = json!({
            "name": "openshift_shop", "is_admin": true, "is_member": true, "teams": {}, "quota_report": report,
            "quotas": [{ "id": 1, "limit_bytes": 3_000_000, "limits": limits }],
        });
        let quay = env.quay_traffic();
        quay.fault(
            Fault::on("GET", "/api/v1/repository?")
                .status(200)
                .body(&json!({ "repositories": repositories }).to_string()),
        );
        quay.fault(Fault::on("GET", organization).whole_path().status(200).body(&view.to_string()));
        env.forget_traffic();
        let status = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).run();
        assert_eq!(status.codes(), expected.into_iter().collect::<Vec<_>>(), "{used} {reject}");
        let views =
            env.quay_traffic().entries().iter().filter(|entry| entry.path == organization).count();
        assert_eq!(views, usize::from(used > 1_000), "only a quota that is near costs a request");
        env.quay_traffic().clear_faults();
    }
}

#[test]
fn skips_platform_namespaces() {
    let env = TestEnv::new();
    let status = env.oc_quay(&["status", "-n", "default", "-o", "json"]).succeeds();
    assert_eq!(status.codes(), ["OQ126"]);
    assert_eq!(status.json()["next"], Value::Null);
}

#[test]
fn exits_with_2_when_nothing_could_be_read() {
    let env = TestEnv::new();
    let url = env.sandbox.quay.url();
    let arguments = [
        "status",
        "-n",
        "shop",
        "--cluster-id",
        "openshift",
        "--quay-url",
        &url,
        "--fail-on",
        "never",
    ];
    let run = env.oc_quay(&arguments).user("guest").ends_with(2);
    assert!(run.stdout.contains("Nothing could be checked in shop"), "{}", run.stdout);
    assert!(!run.stdout.contains('√'), "{}", run.stdout);
}

#[test]
fn sends_stored_token_to_no_other_quay() {
    let (env, other) = (TestEnv::new(), TestEnv::new());
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    other.forget_traffic();
    let url = other.sandbox.quay.url();
    let run = env
        .oc_quay(&["status", "-n", "shop", "-o", "json", "--quay-url", &url])
        .args(&["--insecure"])
        .run();
    assert!(run.codes().contains(&"OQ117".to_owned()), "{}", run.stdout);
    let asked: Vec<_> =
        other.quay_traffic().entries().into_iter().map(|entry| entry.path).collect();
    assert!(
        !asked.iter().any(
            |path| path.starts_with("/api/v1/organization") || path.starts_with("/api/v1/user")
        ),
        "{asked:?}"
    );
    let run = env
        .oc_quay(&["repair", "-n", "shop", "--yes", "--quay-url", &url, "--insecure"])
        .ends_with(2);
    assert!(run.stderr.contains("whose token is not sent there"), "{}", run.stderr);
}

#[test]
fn trusts_stored_authority_with_any_token() {
    let env = TestEnv::new();
    let ca = STANDARD.encode(std::fs::read(env.sandbox.ca_file()).unwrap());
    env.merge(
        "Secret",
        "openshift-operators",
        "quay-integration",
        &json!({ "data": { "ca.crt": ca } }),
    );
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let status = env.oc_quay(&["status", "-n", "shop"]).without_env("OC_QUAY_CA_FILE");
    status.env("OC_QUAY_TOKEN", env.sandbox.quay.admin_token()).succeeds();
}

#[test]
fn names_unavailable_proxy() {
    let env = TestEnv::new();
    let command = env.oc_quay(&[
        "status",
        "-n",
        "shop",
        "--quay-url",
        "https://quay.example.com",
        "-o",
        "json",
    ]);
    let run = command
        .env("OC_QUAY_TOKEN", "a-token")
        .env("HTTPS_PROXY", "http://ann:hush@127.0.0.1:1")
        .run();
    assert!(
        run.stdout.contains("via proxy http://127.0.0.1:1") && !run.stdout.contains("hush"),
        "{}",
        run.stdout
    );
}
