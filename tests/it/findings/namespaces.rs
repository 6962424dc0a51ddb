//! What can be wrong in a namespace.

use std::time::Duration;

use sandbox::Options;
use sandbox::openshift::Cluster;
use sandbox::quay::RepoRole;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use super::{expected, found, has_error, hints};
use crate::support::{ACCOUNTS, World};

/// One thing that is wrong.
pub(super) struct Case {
    /// The namespace, named after what is wrong in it.
    namespace: &'static str,
    /// Whether it is linked before.
    linked: bool,
    /// Makes it wrong.
    arrange: fn(&World, &str),
    /// Flags of `status` and `repair`.
    flags: &'static [&'static str],
    /// Every finding there is then.
    pub(super) found: &'static [&'static str],
    /// Every finding there is after a repair.
    left: &'static [&'static str],
}

/// Linked, then damaged, and repair mends it.
const fn mended(
    namespace: &'static str,
    found: &'static [&'static str],
    arrange: fn(&World, &str),
) -> Case {
    Case { namespace, linked: true, arrange, flags: &[], found, left: &[] }
}

/// The same, and repair leaves it.
const fn left(
    namespace: &'static str,
    found: &'static [&'static str],
    arrange: fn(&World, &str),
) -> Case {
    Case { namespace, linked: true, arrange, flags: &[], found, left: found }
}

/// Seen only by asking the registry.
const fn probed(case: Case) -> Case {
    Case { flags: &["--probe"], ..case }
}

/// Not linked before.
const fn fresh(case: Case) -> Case {
    Case { linked: false, ..case }
}

const SECRETS: [&str; 3] =
    ["OQ301 Secret/*-quay-openshift", "OQ312 ServiceAccount/*", "OQ313 ServiceAccount/*"];

pub(super) static CASES: &[Case] = &[
    mended("stale", &["OQ306 Secret/builder-quay-openshift"], |world, ns| {
        regenerate(world, ns, "builder")
    }),
    probed(mended(
        "refused",
        &["OQ306 Secret/builder-quay-openshift", "OQ321 Secret/builder-quay-openshift"],
        |world, ns| regenerate(world, ns, "builder"),
    )),
    mended("secret-gone", &["OQ301 Secret/default-quay-openshift"], |world, ns| {
        world.delete("Secret", ns, "default-quay-openshift");
    }),
    mended("opaque-ours", &["OQ302 Secret/default-quay-openshift"], |world, ns| {
        opaque(world, ns, json!({ "app.kubernetes.io/managed-by": "oc-quay" }));
    }),
    left("opaque-theirs", &["OQ302 Secret/default-quay-openshift"], |world, ns| {
        opaque(world, ns, json!({}))
    }),
    mended("broken", &["OQ303 Secret/builder-quay-openshift"], |world, ns| {
        world.set_content(ns, "builder-quay-openshift", &json!({ "logins": {} }));
    }),
    left("undecodable", &["OQ315 Secret/builder-quay-openshift"], |world, ns| {
        let mut content = world.content(ns, "builder-quay-openshift");
        content["auths"]["quay.example.com"] = json!({ "auth": "!" });
        world.set_content(ns, "builder-quay-openshift", &content);
    }),
    mended("other-host", &["OQ304 Secret/builder-quay-openshift"], |world, ns| {
        world.set_content(
            ns,
            "builder-quay-openshift",
            &json!({ "auths": { "quay.example.com": { "auth": "YTpi" } } }),
        );
    }),
    mended("other-robot", &["OQ305 Secret/builder-quay-openshift"], |world, ns| {
        world.set_login(ns, "builder-quay-openshift", "somebody+else:password");
    }),
    left("rival", &["OQ308 Secret/a-rival"], |world, ns| {
        world.create_login(ns, "a-rival", "somebody:password")
    }),
    mended("not-mountable", &["OQ312 ServiceAccount/builder"], |world, ns| {
        world.remove_from_list(ns, "builder", "secrets", "builder-quay-openshift");
    }),
    mended("not-pull", &["OQ313 ServiceAccount/default"], |world, ns| {
        world.remove_from_list(ns, "default", "imagePullSecrets", "default-quay-openshift");
    }),
    mended(
        "kept-elsewhere",
        &["OQ312 ServiceAccount/default", "OQ319 ServiceAccount/default"],
        |world, ns| {
            let annotations =
                json!({ "argocd.argoproj.io/tracking-id": "shop:/ServiceAccount:shop/default" });
            world.merge(
                "ServiceAccount",
                ns,
                "default",
                &json!({ "metadata": { "annotations": annotations } }),
            );
            world.remove_from_list(ns, "default", "secrets", "default-quay-openshift");
        },
    ),
    left("bad-role", &["OQ314 ServiceAccount/default"], |world, ns| {
        ask_role(world, ns, "default", "owner")
    }),
    left("odd-account", &["OQ213 ServiceAccount/a--b"], |world, ns| {
        let metadata =
            json!({ "name": "a--b", "namespace": ns, "annotations": { "oc-quay/role": "read" } });
        world
            .create(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }));
    }),
    mended("new-stream", &["OQ401 Repository/openshift_{ns}/late"], |world, ns| {
        world.image_stream(ns, "late")
    }),
    mended("new-build", &["OQ401 Repository/openshift_{ns}/new"], |world, ns| {
        let image = format!("{}/openshift_{ns}/new:1", world.sandbox.quay.host());
        world.build_config(ns, "new", &json!({ "to": { "kind": "DockerImage", "name": image } }));
    }),
    mended("no-right", &["OQ403 Repository/openshift_{ns}/app"], |world, ns| {
        set_right(world, ns, "deployer", None)
    }),
    probed(mended("little-right", &["OQ404 Repository/openshift_{ns}/app"], |world, ns| {
        set_right(world, ns, "builder", Some(RepoRole::Read));
    })),
    left("extra-repository", &["OQ405 Repository/openshift_{ns}/extra"], |world, ns| {
        world.sandbox.quay.add_repository(&format!("openshift_{ns}"), "extra", "quayadmin");
    }),
    left("failed-import", &["OQ406 ImageStream/app"], fail_import),
    left("not-imported", &["OQ521 ImageStreamTag/app:latest"], |world, ns| {
        let image = format!("{}/openshift_{ns}/app:latest", world.sandbox.quay.host());
        let output = json!({ "to": { "kind": "DockerImage", "name": image }, "pushSecret": { "name": "builder-quay-openshift" } });
        world.build_config(ns, "app", &output);
        let build = world.start_build(ns, "app");
        world.wait_for_build(ns, &build, "Complete");
    }),
    left("behind-quay", &["OQ522 ImageStreamTag/app:latest"], |world, ns| {
        world.sandbox.quay.push_tag(&format!("openshift_{ns}"), "app", "latest").unwrap();
        follow(world, ns, "latest");
    }),
    left("gone-in-quay", &["OQ523 ImageStreamTag/app:gone"], |world, ns| follow(world, ns, "gone")),
    left("pushed-over", &["OQ525 ImageStreamTag/app:latest"], |world, ns| {
        world.sandbox.quay.push_tag(&format!("openshift_{ns}"), "app", "latest").unwrap();
        follow(world, ns, "latest");
        world.push_inside(ns, "app", "latest");
    }),
    mended("duplicate", &["OQ223 DefaultPermission/openshift_{ns}+builder"], |world, ns| {
        let organization = format!("openshift_{ns}");
        world.sandbox.quay.add_prototype(
            &organization,
            &format!("{organization}+builder"),
            RepoRole::Write,
        );
    }),
    left("finalizer", &["OQ124 Namespace/{ns}"], |world, ns| {
        let finalizers =
            json!({ "metadata": { "finalizers": ["quay.redhat.com/quayintegrations"] } });
        world.merge("Namespace", "", ns, &finalizers);
    }),
    left("denied", &["OQ120 Namespace/{ns}"], |world, ns| {
        world.merge(
            "QuayIntegration",
            "",
            "quay",
            &json!({ "spec": { "denylistNamespaces": [ns] } }),
        );
    }),
    fresh(mended("never-linked", &["OQ201 Organization/openshift_{ns}"], |_, _| ())),
    fresh(mended(
        "no-robots",
        &[
            "OQ211 RobotAccount/openshift_{ns}+*",
            "OQ401 Repository/openshift_{ns}/app",
            SECRETS[0],
            SECRETS[1],
            SECRETS[2],
        ],
        |world, ns| world.sandbox.quay.add_organization(&format!("openshift_{ns}"), "quayadmin"),
    )),
    fresh(mended(
        "no-default-permissions",
        &[
            "OQ221 DefaultPermission/openshift_{ns}+*",
            "OQ401 Repository/openshift_{ns}/app",
            SECRETS[0],
            SECRETS[1],
            SECRETS[2],
        ],
        |world, ns| world.marked_robots_by_hand(ns),
    )),
    fresh(mended(
        "wrong-roles",
        &[
            "OQ222 DefaultPermission/openshift_{ns}+*",
            "OQ401 Repository/openshift_{ns}/app",
            SECRETS[0],
            SECRETS[1],
            SECRETS[2],
        ],
        |world, ns| {
            world.marked_robots_by_hand(ns);
            let organization = format!("openshift_{ns}");
            for account in ACCOUNTS {
                world.sandbox.quay.add_prototype(
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
        |world, ns| {
            world.sandbox.quay.add_organization(&format!("openshift_{ns}"), "alice");
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
        |world, ns| {
            let organization = format!("openshift_{ns}");
            world.sandbox.quay.add_organization(&organization, "quayadmin");
            let mark = format!("oc-quay cluster=api.other:6443 namespace={ns} uid=another");
            world.sandbox.quay.add_robot(&organization, "builder", &mark).unwrap();
        },
    )),
    left(
        "earlier",
        &["OQ205 Organization/openshift_{ns}", SECRETS[0], SECRETS[1], SECRETS[2]],
        |world, ns| {
            world.delete("Namespace", "", ns);
            world.wait_for("the namespace to go", || world.get("Namespace", "", ns).is_none());
            world.namespace(ns);
            world.image_stream(ns, "app");
        },
    ),
    fresh(left(
        "odd--name",
        &["OQ202 Organization/openshift_{ns}", SECRETS[0], SECRETS[1], SECRETS[2]],
        |_, _| (),
    )),
    mended("healthy", &[], |_, _| ()),
];

#[test]
fn what_is_wrong_in_a_namespace_is_found_and_what_is_ours_to_repair_is_repaired() {
    let world = World::bare();
    world.integration();
    world.trust_quay();
    for case in CASES {
        world.namespace(case.namespace);
        world.image_stream(case.namespace, "app");
    }
    let linked = CASES.iter().filter(|case| case.linked).map(|case| case.namespace);
    let link: Vec<_> = ["link", "--yes"].into_iter().chain(linked).collect();
    world.oc_quay(&link).succeeds();
    let wrong: Vec<_> = CASES.iter().filter_map(|case| try_case(&world, case).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Takes a row through status, repair, status and a second repair; what is not as it says, in words.
fn try_case(world: &World, case: &Case) -> Result<(), String> {
    let namespace = case.namespace;
    let run = |command: &[&str]| {
        let line: Vec<_> = command
            .iter()
            .copied()
            .chain(["-n", namespace, "-o", "json"])
            .chain(case.flags.iter().copied())
            .collect();
        world.oc_quay(&line).run()
    };
    let insist = |what: &str, is: &dyn std::fmt::Debug, should: &dyn std::fmt::Debug| {
        let (is, should) = (format!("{is:#?}"), format!("{should:#?}"));
        if is == should {
            Ok(())
        } else {
            Err(format!("{namespace}: {what} is {is} and should be {should}"))
        }
    };
    (case.arrange)(world, namespace);
    let (before, after) = (expected(case.found, namespace), expected(case.left, namespace));

    let status = run(&["status"]);
    insist("what status finds", &found(&status), &before)?;
    insist("the exit code of status", &status.code, &Some(i32::from(has_error(&before))))?;

    let repair = run(&["repair", "--yes"]);
    insist("the exit code of repair", &repair.code, &Some(i32::from(has_error(&after))))?;
    let status = run(&["status"]);
    insist("what status finds after the repair", &found(&status), &after)?;
    insist(
        "the exit code of status after the repair",
        &status.code,
        &Some(i32::from(has_error(&after))),
    )?;

    world.forget_traffic();
    let again = run(&["repair", "--yes"]);
    insist("what a second repair changes", &again.json()["changes"], &Value::Array(vec![]))?;
    world.assert_nothing_written();
    hints::run_all(world, namespace)
}

#[test]
fn a_namespace_that_is_not_there_is_a_finding_and_cannot_be_linked() {
    let world = World::new();
    let status = world.oc_quay(&["status", "-n", "nowhere", "-o", "json"]).ends_with(1);
    assert_eq!(found(&status), ["OQ121 Namespace/nowhere"]);
    world.oc_quay(&["link", "-n", "nowhere", "--yes"]).ends_with(2);
    world.assert_nothing_written();
}

#[test]
fn a_project_that_openshift_still_prepares_is_waited_for() {
    let cluster = Cluster { settle: Duration::from_secs(3600), ..Cluster::default() };
    let options = Options { cluster, ..Options::default() };
    let Some(world) = World::stand_in_bare(options, "its controllers do not take their time")
    else {
        return;
    };
    world.integration();
    let annotations = json!({ "openshift.io/display-name": "", "openshift.io/description": "" });
    world.create(&json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop", "annotations": annotations },
    }));
    let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).run();
    assert!(found(&status).contains(&"OQ122 Namespace/shop".to_owned()), "{:?}", found(&status));
}

#[test]
fn an_image_stream_whose_name_no_repository_can_have_is_told() {
    let Some(world) = World::stand_in("its API server stores no such name") else { return };
    world.sandbox.openshift.put(json!({
        "apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": { "name": "_App", "namespace": "shop" },
    }));
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds();
    assert_eq!(found(&status), ["OQ402 ImageStream/_App"]);
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
}

#[test]
fn a_token_that_quay_does_not_show_is_unknown_and_the_secret_is_left_alone() {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let before = world.login("shop", "builder-quay-openshift");
    let robots = ["builder", "default", "deployer"].map(
        |robot| json!({ "name": format!("openshift_shop+{robot}"), "description": "", "repositories": ["app", "base", "web"] }),
    );
    let list = json!({ "robots": robots }).to_string();
    let quay = world.quay_traffic();
    quay.fault(Fault::on("GET", "openshift_shop/robots?").status(200).body(&list));
    quay.fault(
        Fault::on("GET", "openshift_shop/robots/")
            .status(403)
            .body(r#"{"message":"Unauthorized"}"#),
    );
    let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds();
    assert_eq!(found(&status), expected(&["OQ307 Secret/*-quay-openshift"], "shop"));
    world.forget_traffic();
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    world.assert_nothing_written();

    // What the registry says shows it.
    let status = world.oc_quay(&["status", "-n", "shop", "--probe", "-o", "json"]).succeeds();
    assert!(
        status.json()["namespaces"][0]["checks"].to_string().contains("3 of 3 logins accepted"),
        "{}",
        status.stdout
    );

    // A wrong secret cannot be repaired without the token; it is not made any worse.
    world.set_login("shop", "builder-quay-openshift", "somebody+else:password");
    let repair = world.oc_quay(&["repair", "-n", "shop", "--yes", "-o", "json"]).ends_with(1);
    assert!(repair.stdout.contains("--rotate makes a new one"), "{}", repair.stdout);
    assert_eq!(world.login("shop", "builder-quay-openshift").0, "somebody+else");
    world.set_login("shop", "builder-quay-openshift", &format!("{}:{}", before.0, before.1));
}

fn regenerate(world: &World, namespace: &str, account: &str) {
    // The old token must not be printed either.
    world.secrets();
    world.sandbox.quay.regenerate(&format!("openshift_{namespace}"), account).unwrap();
}

fn opaque(world: &World, namespace: &str, labels: Value) {
    world.delete("Secret", namespace, "default-quay-openshift");
    let metadata =
        json!({ "name": "default-quay-openshift", "namespace": namespace, "labels": labels });
    world.create(
        &json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque" }),
    );
}

fn ask_role(world: &World, namespace: &str, account: &str, role: &str) {
    world.merge(
        "ServiceAccount",
        namespace,
        account,
        &json!({ "metadata": { "annotations": { "oc-quay/role": role } } }),
    );
}

fn set_right(world: &World, namespace: &str, account: &str, role: Option<RepoRole>) {
    let organization = format!("openshift_{namespace}");
    world.sandbox.quay.set_permission(
        &organization,
        "app",
        &format!("{organization}+{account}"),
        role,
    );
}

/// A tag of the image stream `app` follows Quay and has an image from long ago.
fn follow(world: &World, namespace: &str, tag: &str) {
    let path = format!("{}/openshift_{namespace}/app", world.sandbox.quay.host());
    let from = json!({ "kind": "DockerImage", "name": format!("{path}:{tag}") });
    world.merge(
        "ImageStream",
        namespace,
        "app",
        &json!({ "spec": { "tags": [{ "name": tag, "from": from }] } }),
    );
    let digest = format!("sha256:{}", "0".repeat(64));
    let item = json!({
        "created": "2020-01-01T00:00:00Z", "image": digest, "dockerImageReference": format!("{path}@{digest}"), "generation": 1,
    });
    world.merge(
        "ImageStream",
        namespace,
        "app/status",
        &json!({ "status": { "tags": [{ "tag": tag, "items": [item] }] } }),
    );
}

fn fail_import(world: &World, namespace: &str) {
    let condition = json!({
        "type": "ImportSuccess", "status": "False", "reason": "Unauthorized", "generation": 1,
        "message": "you may not have access to the container image \"quay.example.com/a/b:latest\"",
    });
    let status = json!({ "status": { "tags": [{ "tag": "latest", "items": null, "conditions": [condition] }] } });
    world.merge("ImageStream", namespace, "app/status", &status);
}
