//! Findings about a namespace.

use std::time::Duration;

use sandbox::Options;
use sandbox::openshift::Cluster;
use sandbox::quay::RepoRole;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use super::{expected, found, has_error, hints};
use crate::support::{ACCOUNTS, TestEnv};

/// One problem.
pub(super) struct Case {
    /// Named after the problem.
    namespace: &'static str,
    /// Whether it is linked first.
    linked: bool,
    /// Creates the problem.
    arrange: fn(&TestEnv, &str),
    /// Flags of `status` and `repair`.
    flags: &'static [&'static str],
    /// All findings before a repair.
    pub(super) found: &'static [&'static str],
    /// All findings after a repair.
    left: &'static [&'static str],
}

/// Linked, then damaged; repair fixes it.
const fn repaired(
    namespace: &'static str,
    found: &'static [&'static str],
    arrange: fn(&TestEnv, &str),
) -> Case {
    Case { namespace, linked: true, arrange, flags: &[], found, left: &[] }
}

/// Linked, then damaged; repair does not fix it.
const fn left(
    namespace: &'static str,
    found: &'static [&'static str],
    arrange: fn(&TestEnv, &str),
) -> Case {
    Case { namespace, linked: true, arrange, flags: &[], found, left: found }
}

/// Found only with `--probe`.
const fn probed(case: Case) -> Case {
    Case { flags: &["--probe"], ..case }
}

/// Not linked first.
const fn fresh(case: Case) -> Case {
    Case { linked: false, ..case }
}

const SECRETS: [&str; 3] =
    ["OQ301 Secret/*-quay-openshift", "OQ312 ServiceAccount/*", "OQ313 ServiceAccount/*"];

pub(super) static CASES: &[Case] = &[
    repaired("stale", &["OQ306 Secret/builder-quay-openshift"], |env, ns| {
        regenerate(env, ns, "builder")
    }),
    probed(repaired(
        "rejected",
        &["OQ306 Secret/builder-quay-openshift", "OQ321 Secret/builder-quay-openshift"],
        |env, ns| regenerate(env, ns, "builder"),
    )),
    repaired("secret-gone", &["OQ301 Secret/default-quay-openshift"], |env, ns| {
        env.delete("Secret", ns, "default-quay-openshift");
    }),
    repaired("opaque-ours", &["OQ302 Secret/default-quay-openshift"], |env, ns| {
        opaque(env, ns, json!({ "app.kubernetes.io/managed-by": "oc-quay" }));
    }),
    left("opaque-theirs", &["OQ302 Secret/default-quay-openshift"], |env, ns| {
        opaque(env, ns, json!({}))
    }),
    repaired("broken", &["OQ303 Secret/builder-quay-openshift"], |env, ns| {
        env.set_content(ns, "builder-quay-openshift", &json!({ "other": {} }));
    }),
    left("undecodable", &["OQ315 Secret/builder-quay-openshift"], |env, ns| {
        let mut content = env.content(ns, "builder-quay-openshift");
        content["auths"]["quay.example.com"] = json!({ "auth": "!" });
        env.set_content(ns, "builder-quay-openshift", &content);
    }),
    repaired("other-host", &["OQ304 Secret/builder-quay-openshift"], |env, ns| {
        env.set_content(
            ns,
            "builder-quay-openshift",
            &json!({ "auths": { "quay.example.com": { "auth": "YTpi" } } }),
        );
    }),
    repaired("other-robot", &["OQ305 Secret/builder-quay-openshift"], |env, ns| {
        env.set_credentials(ns, "builder-quay-openshift", "someone+else:password");
    }),
    left("rival", &["OQ308 Secret/a-rival"], |env, ns| {
        env.create_credentials(ns, "a-rival", "someone:password")
    }),
    repaired("not-mountable", &["OQ312 ServiceAccount/builder"], |env, ns| {
        env.remove_from_list(ns, "builder", "secrets", "builder-quay-openshift");
    }),
    repaired("not-pull", &["OQ313 ServiceAccount/default"], |env, ns| {
        env.remove_from_list(ns, "default", "imagePullSecrets", "default-quay-openshift");
    }),
    repaired(
        "kept-elsewhere",
        &["OQ312 ServiceAccount/default", "OQ319 ServiceAccount/default"],
        |env, ns| {
            let annotations =
                json!({ "argocd.argoproj.io/tracking-id": "shop:/ServiceAccount:shop/default" });
            env.merge(
                "ServiceAccount",
                ns,
                "default",
                &json!({ "metadata": { "annotations": annotations } }),
            );
            env.remove_from_list(ns, "default", "secrets", "default-quay-openshift");
        },
    ),
    left("bad-role", &["OQ314 ServiceAccount/default"], |env, ns| {
        ask_role(env, ns, "default", "owner")
    }),
    left("odd-account", &["OQ213 ServiceAccount/a--b"], |env, ns| {
        let metadata =
            json!({ "name": "a--b", "namespace": ns, "annotations": { "oc-quay/role": "read" } });
        env.create(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }));
    }),
    repaired("new-stream", &["OQ401 Repository/openshift_{ns}/late"], |env, ns| {
        env.image_stream(ns, "late")
    }),
    repaired("new-build", &["OQ401 Repository/openshift_{ns}/new"], |env, ns| {
        let image = format!("{}/openshift_{ns}/new:1", env.sandbox.quay.host());
        env.build_config(ns, "new", &json!({ "to": { "kind": "DockerImage", "name": image } }));
    }),
    repaired("no-right", &["OQ403 Repository/openshift_{ns}/app"], |env, ns| {
        set_permission(env, ns, "deployer", None)
    }),
    probed(repaired("little-right", &["OQ404 Repository/openshift_{ns}/app"], |env, ns| {
        set_permission(env, ns, "builder", Some(RepoRole::Read));
    })),
    left("extra-repository", &["OQ405 Repository/openshift_{ns}/extra"], |env, ns| {
        env.sandbox.quay.add_repository(&format!("openshift_{ns}"), "extra", "quayadmin");
    }),
    left("failed-import", &["OQ406 ImageStream/app"], fail_import),
    left("not-imported", &["OQ521 ImageStreamTag/app:latest"], |env, ns| {
        let image = format!("{}/openshift_{ns}/app:latest", env.sandbox.quay.host());
        let output = json!({ "to": { "kind": "DockerImage", "name": image }, "pushSecret": { "name": "builder-quay-openshift" } });
        env.build_config(ns, "app", &output);
        let build = env.start_build(ns, "app");
        env.wait_for_build(ns, &build, "Complete");
    }),
    left("behind-quay", &["OQ522 ImageStreamTag/app:latest"], |env, ns| {
        env.sandbox.quay.push_tag(&format!("openshift_{ns}"), "app", "latest").unwrap();
        follow(env, ns, "latest");
    }),
    left("gone-in-quay", &["OQ523 ImageStreamTag/app:gone"], |env, ns| follow(env, ns, "gone")),
    left("pushed-over", &["OQ525 ImageStreamTag/app:latest"], |env, ns| {
        env.sandbox.quay.push_tag(&format!("openshift_{ns}"), "app", "latest").unwrap();
        follow(env, ns, "latest");
        env.push_inside(ns, "app", "latest");
    }),
    repaired("duplicate", &["OQ223 DefaultPermission/openshift_{ns}+builder"], |env, ns| {
        let organization = format!("openshift_{ns}");
        env.sandbox.quay.add_prototype(
            &organization,
            &format!("{organization}+builder"),
            RepoRole::Write,
        );
    }),
    left("finalizer", &["OQ124 Namespace/{ns}"], |env, ns| {
        let finalizers =
            json!({ "metadata": { "finalizers": ["quay.redhat.com/quayintegrations"] } });
        env.merge("Namespace", "", ns, &finalizers);
    }),
    left("denied", &["OQ120 Namespace/{ns}"], |env, ns| {
        env.merge(
            "QuayIntegration",
            "",
            "quay",
            &json!({ "spec": { "denylistNamespaces": [ns] } }),
        );
    }),
    fresh(repaired("never-linked", &["OQ201 Organization/openshift_{ns}"], |_, _| ())),
    fresh(repaired(
        "no-robots",
        &[
            "OQ211 RobotAccount/openshift_{ns}+*",
            "OQ401 Repository/openshift_{ns}/app",
            SECRETS[0],
            SECRETS[1],
            SECRETS[2],
        ],
        |env, ns| env.sandbox.quay.add_organization(&format!("openshift_{ns}"), "quayadmin"),
    )),
    fresh(repaired(
        "no-default-permissions",
        &[
            "OQ221 DefaultPermission/openshift_{ns}+*",
            "OQ401 Repository/openshift_{ns}/app",
            SECRETS[0],
            SECRETS[1],
            SECRETS[2],
        ],
        |env, ns| env.marked_robots_by_hand(ns),
    )),
    fresh(repaired(
        "wrong-roles",
        &[
            "OQ222 DefaultPermission/openshift_{ns}+*",
            "OQ401 Repository/openshift_{ns}/app",
            SECRETS[0],
            SECRETS[1],
            SECRETS[2],
        ],
        |env, ns| {
            env.marked_robots_by_hand(ns);
            let organization = format!("openshift_{ns}");
            for account in ACCOUNTS {
                env.sandbox.quay.add_prototype(
                    &organization,
                    &format!("{organization}+{account}"),
                    RepoRole::Admin,
                );
            }
        },
    )),
    fresh(left(
        "their-own",
        &["OQ203 Organization/openshift_{ns}", SECRETS[0], SECRETS[1], SECRETS[2]],
        |env, ns| {
            env.sandbox.quay.add_organization(&format!("openshift_{ns}"), "alice");
        },
    )),
    fresh(left(
        "another-clusters",
        &[
            "OQ204 Organization/openshift_{ns}",
            "OQ211 RobotAccount/openshift_{ns}+default",
            "OQ211 RobotAccount/openshift_{ns}+deployer",
            "OQ221 DefaultPermission/openshift_{ns}+builder",
            "OQ401 Repository/openshift_{ns}/app",
            SECRETS[0],
            SECRETS[1],
            SECRETS[2],
        ],
        |env, ns| {
            let organization = format!("openshift_{ns}");
            env.sandbox.quay.add_organization(&organization, "quayadmin");
            let mark = format!("oc-quay cluster=api.other:6443 namespace={ns} uid=another");
            env.sandbox.quay.add_robot(&organization, "builder", &mark).unwrap();
        },
    )),
    left(
        "earlier",
        &["OQ205 Organization/openshift_{ns}", SECRETS[0], SECRETS[1], SECRETS[2]],
        |env, ns| {
            env.delete("Namespace", "", ns);
            env.wait_for("the namespace to go", || env.get("Namespace", "", ns).is_none());
            env.namespace(ns);
            env.image_stream(ns, "app");
        },
    ),
    fresh(left(
        "odd--name",
        &["OQ202 Organization/openshift_{ns}", SECRETS[0], SECRETS[1], SECRETS[2]],
        |_, _| (),
    )),
    repaired("healthy", &[], |_, _| ()),
];

#[test]
fn finds_and_repairs_problems_of_a_namespace() {
    let env = TestEnv::bare();
    env.integration();
    env.trust_quay();
    for case in CASES {
        env.namespace(case.namespace);
        env.image_stream(case.namespace, "app");
    }
    let linked = CASES.iter().filter(|case| case.linked).map(|case| case.namespace);
    let link: Vec<_> = ["link", "--yes"].into_iter().chain(linked).collect();
    env.oc_quay(&link).succeeds();
    let wrong: Vec<_> = CASES.iter().filter_map(|case| try_case(&env, case).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Runs status, repair, status and a second repair; the error is the first difference.
fn try_case(env: &TestEnv, case: &Case) -> Result<(), String> {
    let namespace = case.namespace;
    let run = |command: &[&str]| {
        let line: Vec<_> = command
            .iter()
            .copied()
            .chain(["-n", namespace, "-o", "json"])
            .chain(case.flags.iter().copied())
            .collect();
        env.oc_quay(&line).run()
    };
    let expect = |what: &str, is: &dyn std::fmt::Debug, should: &dyn std::fmt::Debug| {
        let (is, should) = (format!("{is:#?}"), format!("{should:#?}"));
        if is == should {
            Ok(())
        } else {
            Err(format!("{namespace}: {what} is {is} and should be {should}"))
        }
    };
    (case.arrange)(env, namespace);
    let (before, after) = (expected(case.found, namespace), expected(case.left, namespace));

    let status = run(&["status"]);
    expect("findings of status", &found(&status), &before)?;
    expect("the exit code of status", &status.code, &Some(i32::from(has_error(&before))))?;

    let repair = run(&["repair", "--yes"]);
    expect("the exit code of repair", &repair.code, &Some(i32::from(has_error(&after))))?;
    let status = run(&["status"]);
    expect("findings of status after the repair", &found(&status), &after)?;
    expect(
        "the exit code of status after the repair",
        &status.code,
        &Some(i32::from(has_error(&after))),
    )?;

    env.forget_traffic();
    let again = run(&["repair", "--yes"]);
    expect("changes of a second repair", &again.json()["changes"], &Value::Array(vec![]))?;
    env.assert_nothing_written();
    hints::run_all(env, namespace)
}

#[test]
fn missing_namespace_is_a_finding_and_not_linked() {
    let env = TestEnv::new();
    let status = env.oc_quay(&["status", "-n", "nowhere", "-o", "json"]).ends_with(1);
    assert_eq!(found(&status), ["OQ121 Namespace/nowhere"]);
    env.oc_quay(&["link", "-n", "nowhere", "--yes"]).ends_with(2);
    env.assert_nothing_written();
}

#[test]
fn reports_project_without_scc_annotations() {
    let cluster = Cluster { settle: Duration::from_secs(3600), ..Cluster::default() };
    let options = Options { cluster, ..Options::default() };
    let Some(env) = TestEnv::stand_in_bare(options, "its controllers do not take their time")
    else {
        return;
    };
    env.integration();
    let annotations = json!({ "openshift.io/display-name": "", "openshift.io/description": "" });
    env.create(&json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop", "annotations": annotations },
    }));
    let status = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).run();
    assert!(found(&status).contains(&"OQ122 Namespace/shop".to_owned()), "{:?}", found(&status));
}

#[test]
fn reports_image_stream_with_invalid_repository_name() {
    let Some(env) = TestEnv::stand_in("its API server stores no such name") else { return };
    env.sandbox.openshift.put(json!({
        "apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": { "name": "_App", "namespace": "shop" },
    }));
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let status = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds();
    assert_eq!(found(&status), ["OQ402 ImageStream/_App"]);
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
}

#[test]
fn keeps_secret_if_robot_token_is_not_readable() {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let before = env.credentials("shop", "builder-quay-openshift");
    let robots = ["builder", "default", "deployer"].map(
        |robot| json!({ "name": format!("openshift_shop+{robot}"), "description": "", "repositories": ["app", "base", "web"] }),
    );
    let list = json!({ "robots": robots }).to_string();
    let quay = env.quay_traffic();
    quay.fault(Fault::on("GET", "openshift_shop/robots?").status(200).body(&list));
    quay.fault(
        Fault::on("GET", "openshift_shop/robots/")
            .status(403)
            .body(r#"{"message":"Unauthorized"}"#),
    );
    let status = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds();
    assert_eq!(found(&status), expected(&["OQ307 Secret/*-quay-openshift"], "shop"));
    env.forget_traffic();
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    env.assert_nothing_written();

    // The registry's answer shows it.
    let status = env.oc_quay(&["status", "-n", "shop", "--probe", "-o", "json"]).succeeds();
    assert!(
        status.json()["namespaces"][0]["checks"]
            .to_string()
            .contains("3 of 3 credentials accepted"),
        "{}",
        status.stdout
    );

    // A wrong secret cannot be repaired without the token, and is not changed.
    env.set_credentials("shop", "builder-quay-openshift", "someone+else:password");
    let repair = env.oc_quay(&["repair", "-n", "shop", "--yes", "-o", "json"]).ends_with(1);
    assert!(repair.stdout.contains("use --rotate to create a new one"), "{}", repair.stdout);
    assert_eq!(env.credentials("shop", "builder-quay-openshift").0, "someone+else");
    env.set_credentials("shop", "builder-quay-openshift", &format!("{}:{}", before.0, before.1));
}

fn regenerate(env: &TestEnv, namespace: &str, account: &str) {
    // The stale token must not be printed either.
    env.secrets();
    env.sandbox.quay.regenerate(&format!("openshift_{namespace}"), account).unwrap();
}

fn opaque(env: &TestEnv, namespace: &str, labels: Value) {
    env.delete("Secret", namespace, "default-quay-openshift");
    let metadata =
        json!({ "name": "default-quay-openshift", "namespace": namespace, "labels": labels });
    env.create(
        &json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque" }),
    );
}

fn ask_role(env: &TestEnv, namespace: &str, account: &str, role: &str) {
    env.merge(
        "ServiceAccount",
        namespace,
        account,
        &json!({ "metadata": { "annotations": { "oc-quay/role": role } } }),
    );
}

fn set_permission(env: &TestEnv, namespace: &str, account: &str, role: Option<RepoRole>) {
    let organization = format!("openshift_{namespace}");
    env.sandbox.quay.set_permission(
        &organization,
        "app",
        &format!("{organization}+{account}"),
        role,
    );
}

/// Makes a tag of the image stream `app` track Quay, with an outdated image.
fn follow(env: &TestEnv, namespace: &str, tag: &str) {
    let path = format!("{}/openshift_{namespace}/app", env.sandbox.quay.host());
    let from = json!({ "kind": "DockerImage", "name": format!("{path}:{tag}") });
    env.merge(
        "ImageStream",
        namespace,
        "app",
        &json!({ "spec": { "tags": [{ "name": tag, "from": from }] } }),
    );
    let digest = format!("sha256:{}", "0".repeat(64));
    let item = json!({
        "created": "2020-01-01T00:00:00Z", "image": digest, "dockerImageReference": format!("{path}@{digest}"), "generation": 1,
    });
    env.merge(
        "ImageStream",
        namespace,
        "app/status",
        &json!({ "status": { "tags": [{ "tag": tag, "items": [item] }] } }),
    );
}

fn fail_import(env: &TestEnv, namespace: &str) {
    let condition = json!({
        "type": "ImportSuccess", "status": "False", "reason": "Unauthorized", "generation": 1,
        "message": "you may not have access to the container image \"quay.example.com/a/b:latest\"",
    });
    let status = json!({ "status": { "tags": [{ "tag": "latest", "items": null, "conditions": [condition] }] } });
    env.merge("ImageStream", namespace, "app/status", &status);
}
