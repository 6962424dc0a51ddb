//! `repair`: what it does beyond the safe changes, and what it does when it cannot.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::quay::Flags;
use sandbox::traffic::Fault;
use serde_json::json;

use crate::support::{ACCOUNTS, World};

fn linked() -> World {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world
}

fn tokens(world: &World) -> BTreeMap<String, String> {
    tokens_in(world, "openshift_shop")
}

fn tokens_in(world: &World, organization: &str) -> BTreeMap<String, String> {
    // What is renewed must not be printed either.
    world.secrets();
    world
        .sandbox
        .quay
        .robots(organization)
        .into_iter()
        .map(|robot| (robot.short, robot.token))
        .collect()
}

#[test]
fn tokens_are_renewed_and_the_secrets_with_them() {
    let world = linked();
    let before = tokens(&world);
    world.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes"]).succeeds();
    let after = tokens(&world);
    assert!(ACCOUNTS.iter().all(|account| before[*account] != after[*account]));
    world.assert_linked("shop", &["app", "base", "web"]);
    world.oc_quay(&["status", "-n", "shop", "--probe"]).succeeds();
}

#[test]
fn stops_rotation_at_the_first_token_not_renewed() {
    let world = linked();
    world.namespace("other");
    world.oc_quay(&["link", "-n", "other", "--yes"]).succeeds();
    let before = [tokens(&world), tokens_in(&world, "openshift_other")];
    let fault = Fault::on("POST", "openshift_shop/robots/default/regenerate")
        .status(400)
        .body(r#"{"message":"Not today"}"#);
    world.quay_traffic().fault(fault);
    let run = world.oc_quay(&["repair", "shop", "other", "--rotate", "--yes"]).ends_with(1);
    assert!(
        run.stdout.contains("openshift_shop+default") && run.stdout.contains("Not today"),
        "{}",
        run.stdout
    );
    let after = [tokens(&world), tokens_in(&world, "openshift_other")];
    let is_renewed = |account: &&str| before[0][*account] != after[0][*account];
    assert_eq!(ACCOUNTS.into_iter().filter(is_renewed).collect::<Vec<_>>(), ["builder"]);
    assert_eq!(before[1], after[1], "the next namespace is left alone");
    world.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn renews_no_token_whose_secret_cannot_be_written() {
    let world = linked();
    let before = tokens(&world);
    let refusal = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"No"}"#;
    world
        .cluster_traffic()
        .fault(Fault::on("GET", "namespaces/shop/secrets").status(403).body(refusal));
    world.forget_traffic();
    let run =
        world.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes", "-o", "json"]).ends_with(1);
    assert_eq!(run.codes(), ["OQ901", "OQ309"]);
    world.assert_nothing_written();
    world.clear_faults();

    world.delete("Secret", "shop", "default-quay-openshift");
    let metadata = json!({ "name": "default-quay-openshift", "namespace": "shop" });
    world.create(
        &json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque" }),
    );
    let run =
        world.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes", "-o", "json"]).ends_with(1);
    assert_eq!(run.codes(), ["OQ302"]);
    let after = tokens(&world);
    let renewed: Vec<_> =
        ACCOUNTS.into_iter().filter(|account| before[*account] != after[*account]).collect();
    assert_eq!(renewed.len(), 2, "{renewed:?}");
    assert!(!renewed.contains(&"default"), "its secret is of others");
}

#[test]
fn strands_one_token_at_most_in_many_namespaces() {
    let world = linked();
    let others = ["n1", "n2", "n3"];
    others.iter().for_each(|name| world.namespace(name));
    let namespaces = ["shop", "n1", "n2", "n3"];
    world.oc_quay(&["link"]).args(&others).args(&["--yes"]).succeeds();
    let all_tokens = || namespaces.map(|name| tokens_in(&world, &format!("openshift_{name}")));
    let before = all_tokens();
    let refusal = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"No"}"#;
    world.cluster_traffic().fault(Fault::on("PATCH", "secrets/").status(403).body(refusal));
    world.oc_quay(&["repair"]).args(&namespaces).args(&["--rotate", "--yes"]).ends_with(1);
    let after = all_tokens();
    let renewed = |(before, after): (&BTreeMap<_, _>, &BTreeMap<_, _>)| {
        after.iter().filter(|(robot, token)| before.get(*robot) != Some(*token)).count()
    };
    assert_eq!(before.iter().zip(&after).map(renewed).collect::<Vec<_>>(), [1, 0, 0, 0]);
    world.clear_faults();
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    world.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn asks_for_the_permission_before_the_first_rotation() {
    let world = linked();
    let denied = json!({ "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "spec": {}, "status": { "allowed": false } });
    world
        .cluster_traffic()
        .fault(Fault::on("POST", "selfsubjectaccessreviews").status(201).body(&denied.to_string()));
    for flag in ["--dry-run", "--yes"] {
        world.forget_traffic();
        let run =
            world.oc_quay(&["repair", "-n", "shop", "--rotate", "-o", "json", flag]).ends_with(1);
        assert_eq!(run.codes(), ["OQ309"]);
        assert!(
            run.stdout.contains("you are not allowed to patch secrets in namespace shop"),
            "{}",
            run.stdout
        );
        world.assert_nothing_written();
        assert_eq!(world.cluster_traffic().count("create selfsubjectaccessreviews"), 1);
    }
    world.clear_faults();
    world.forget_traffic();
    world.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes"]).succeeds();
    assert_eq!(world.cluster_traffic().count("create selfsubjectaccessreviews"), 1);
}

#[test]
fn a_secret_that_cannot_be_rewritten_is_named_and_the_next_run_mends_it() {
    let world = linked();
    let refusal = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422,"message":"Not today"}"#;
    world
        .cluster_traffic()
        .fault(Fault::on("PATCH", "secrets/builder-quay-openshift").status(422).body(refusal));
    let run = world.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes"]).ends_with(1);
    assert!(
        run.stdout.contains("builder-quay-openshift") && run.stdout.contains("Not today"),
        "{}",
        run.stdout
    );
    world.cluster_traffic().clear_faults();
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    world.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn one_robot_account_at_a_time_is_without_a_good_secret() {
    let Some(world) = World::stand_in("it is looked into while it answers") else { return };
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let stale_before_each = Arc::new(Mutex::new(Vec::new()));
    let (openshift, quay, noted) = (
        world.sandbox.openshift.clone(),
        world.sandbox.quay.clone(),
        Arc::clone(&stale_before_each),
    );
    world.quay_traffic().fault(Fault::on("POST", "/regenerate").before(move || {
        let is_stale = |account: &&str| {
            let login = format!(
                "openshift_shop+{account}:{}",
                quay.robot_token("openshift_shop", account).unwrap()
            );
            let secret =
                openshift.get("Secret", "shop", &format!("{account}-quay-openshift")).unwrap();
            let content =
                STANDARD.decode(secret["data"][".dockerconfigjson"].as_str().unwrap()).unwrap();
            !String::from_utf8(content).unwrap().contains(&STANDARD.encode(login))
        };
        noted
            .lock()
            .unwrap()
            .push(ACCOUNTS.iter().copied().filter(|account| is_stale(account)).collect::<Vec<_>>());
    }));
    world.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes"]).succeeds();
    assert_eq!(*stale_before_each.lock().unwrap(), [Vec::<&str>::new(), vec![], vec![]]);
}

#[test]
fn what_others_marked_is_taken_over_when_asked_for_and_stays_so() {
    let world = World::new();
    world.sandbox.quay.add_organization("openshift_shop", "quayadmin");
    world
        .sandbox
        .quay
        .add_robot("openshift_shop", "builder", "oc-quay cluster=other namespace=shop uid=other")
        .unwrap();
    world.forget_traffic();
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).ends_with(1);
    world.assert_nothing_written();
    world.oc_quay(&["repair", "-n", "shop", "--adopt", "--yes"]).succeeds();
    world.assert_linked("shop", &["app", "base", "web"]);
    world.oc_quay(&["status", "-n", "shop"]).succeeds();
    world.forget_traffic();
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    world.assert_nothing_written();
}

#[test]
fn what_others_own_is_taken_over_when_asked_for() {
    let world = World::new();
    world.sandbox.quay.add_organization("openshift_shop", "alice");
    world.sandbox.quay.add_repository("openshift_shop", "alices", "alice");
    world.oc_quay(&["repair", "-n", "shop", "--adopt", "--yes"]).succeeds();
    let status = world.oc_quay(&["status", "-n", "shop", "--probe", "-o", "json"]).succeeds();
    assert_eq!(status.codes(), ["OQ405"], "alice's repository stays");
    assert!(status.stdout.contains("3 of 3 logins accepted"), "{}", status.stdout);
}

#[test]
fn a_secret_of_others_with_the_wrong_type_is_replaced_when_asked_for() {
    let world = linked();
    world.delete("Secret", "shop", "default-quay-openshift");
    let metadata = json!({ "name": "default-quay-openshift", "namespace": "shop" });
    world.create(
        &json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque" }),
    );
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).ends_with(1);
    world.oc_quay(&["repair", "-n", "shop", "--adopt", "--yes"]).succeeds();
    world.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn a_namespace_that_hangs_on_the_finalizer_is_released_and_the_organization_kept() {
    let world = linked();
    let finalizers = json!({ "metadata": { "finalizers": ["quay.redhat.com/quayintegrations"] } });
    world.merge("Namespace", "", "shop", &finalizers);
    world.delete("Namespace", "", "shop");
    let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1);
    assert_eq!(status.codes(), ["OQ123"]);
    world.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
    let run = world.oc_quay(&["repair", "-n", "shop", "--dry-run", "-o", "json"]).succeeds();
    assert!(run.stdout.contains("so that organization openshift_shop stays"), "{}", run.stdout);
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    world.wait_for("the namespace to go", || world.get("Namespace", "", "shop").is_none());
    assert_eq!(world.sandbox.quay.repositories("openshift_shop").len(), 3);
}

#[test]
fn when_something_fails_the_rest_is_repaired() {
    let world = World::new();
    world
        .quay_traffic()
        .fault(Fault::on("PUT", "robots/default").status(400).body(r#"{"message":"Not today"}"#));
    let run = world.oc_quay(&["repair", "-n", "shop", "--yes"]).ends_with(1);
    assert!(
        run.stdout.contains("Not today") && run.stdout.contains("openshift_shop+default"),
        "{}",
        run.stdout
    );
    for account in ["builder", "deployer"] {
        let secret = format!("{account}-quay-openshift");
        assert_eq!(
            world.login("shop", &secret).1,
            world.sandbox.quay.robot_token("openshift_shop", account).unwrap()
        );
        assert!(world.references("shop", account, "imagePullSecrets").contains(&secret));
    }
    assert_eq!(world.sandbox.quay.repositories("openshift_shop").len(), 3);

    world.quay_traffic().clear_faults();
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    world.assert_linked("shop", &["app", "base", "web"]);
    world.oc_quay(&["status", "-n", "shop", "--probe"]).succeeds();
}

#[test]
fn keeps_all_that_others_put_into_our_secret() {
    let world = linked();
    let (host, auth) = (world.sandbox.quay.host(), "b3BlbnNoaWZ0X3Nob3ArYnVpbGRlcjpvbGQ=");
    let others = json!({
        "a.example.com": {},
        "b.example.com": { "auth": "bWU6cGFzc3dvcmQ", "email": "me@example.com" },
        "c.example.com": { "identitytoken": "t", "more": [1.50] },
    });
    let mut before = json!({ "auths": others, "credsStore": "x" });
    world.set_content("shop", "builder-quay-openshift", &before);
    let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1);
    assert_eq!(status.codes(), ["OQ304"]);
    before["auths"][host.as_str()] = json!({ "auth": auth });
    world.set_content("shop", "builder-quay-openshift", &before);
    let status = world.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1);
    assert_eq!(status.codes(), ["OQ306"]);
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    world.assert_linked("shop", &["app", "base", "web"]);
    let mut after = world.content("shop", "builder-quay-openshift");
    after["auths"].as_object_mut().unwrap().remove(&host);
    assert_eq!(after, json!({ "auths": others, "credsStore": "x" }));
    world.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).succeeds();
}

#[test]
fn writes_no_older_token_over_a_newer_one() {
    let world = linked();
    world.secrets();
    world.delete("Secret", "shop", "builder-quay-openshift");
    let (quay, openshift) = (world.sandbox.quay.clone(), world.sandbox.openshift.clone());
    let newer = Arc::new(Mutex::new(String::new()));
    let noted = Arc::clone(&newer);
    // Others renew the token and write it after this run has read both sides.
    world.cluster_traffic().fault(Fault::on("POST", "/secrets").nth(1).before(move || {
        let token = quay.regenerate("openshift_shop", "builder").unwrap();
        let config = json!({ "auths": { quay.host(): { "auth": STANDARD.encode(format!("openshift_shop+builder:{token}")) } } });
        openshift.create(json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
            "metadata": { "name": "builder-quay-openshift", "namespace": "shop" },
            "stringData": { ".dockerconfigjson": config.to_string() },
        }));
        *noted.lock().unwrap() = token;
    }));
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(world.login("shop", "builder-quay-openshift").1, *newer.lock().unwrap());
    world.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn finishes_a_replacement_that_was_interrupted() {
    let world = linked();
    let secret = "default-quay-openshift";
    let others = json!({ "auths": { "quay.io": {} } });
    world.delete("Secret", "shop", secret);
    world.create(&json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": { "name": secret, "namespace": "shop" },
        "stringData": { ".dockerconfigjson": others.to_string() },
    }));
    let refusal = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422,"message":"Not today"}"#;
    world.cluster_traffic().fault(Fault::on("POST", "/secrets").nth(2).status(422).body(refusal));
    world.oc_quay(&["repair", "-n", "shop", "--adopt", "--yes"]).ends_with(1);
    assert!(world.get("Secret", "shop", secret).is_none());
    world.clear_faults();
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(world.content("shop", secret)["auths"]["quay.io"], json!({}));
    assert!(world.get("Secret", "shop", &format!("{secret}-spare")).is_none());
    world.assert_linked("shop", &["app", "base", "web"]);
    world.forget_traffic();
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    world.assert_nothing_written();
}

#[test]
fn keeps_logins_of_a_secret_made_again_by_others() {
    let world = linked();
    let (secret, spare) = ("default-quay-openshift", "default-quay-openshift-spare");
    let login = |registry: &str| {
        json!({ "auths": { registry: { "auth": STANDARD.encode("me:password") } } }).to_string()
    };
    let of_others = move |kind: &str, registry: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": { "name": secret, "namespace": "shop" },
            "stringData": { ".dockerconfigjson": login(registry) },
        })
    };
    world.delete("Secret", "shop", secret);
    world.create(&of_others("Opaque", "first.example.com"));
    // The secret is deleted, and its successor does not have its name yet.
    let openshift = world.sandbox.openshift.clone();
    let later = of_others("kubernetes.io/dockerconfigjson", "later.example.com");
    world.cluster_traffic().fault(
        Fault::on("POST", "/secrets").nth(2).before(move || drop(openshift.create(later.clone()))),
    );
    world.oc_quay(&["repair", "-n", "shop", "--adopt", "--yes"]).ends_with(1);
    world.clear_faults();
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(
        world.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds().codes(),
        ["OQ318"]
    );
    let mut content = world.content("shop", secret);
    assert!(content["auths"]["later.example.com"].is_object(), "{content}");
    let kept = world.content("shop", spare)["auths"]["first.example.com"].clone();
    assert!(kept.is_object());
    world.forget_traffic();
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    world.assert_nothing_written();

    content["auths"]["first.example.com"] = kept;
    world.set_content("shop", secret, &content);
    world.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(world.get("Secret", "shop", spare), None);
    assert_eq!(world.content("shop", secret), content);
}

#[test]
fn reports_what_was_done_when_nothing_can_be_read_again() {
    let world = linked();
    world.damage("shop");
    let refusal = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422,"message":"Not today"}"#;
    world
        .cluster_traffic()
        .fault(Fault::on("GET", "/api/v1/namespaces?").nth(2).status(422).body(refusal));
    let run = world.oc_quay(&["repair", "-A", "--yes", "-o", "json"]).ends_with(1);
    assert_eq!(run.codes(), ["OQ901"]);
    assert!(
        run.stdout.contains("could not be read again") && run.stdout.contains("Not today"),
        "{}",
        run.stdout
    );
    assert!(
        run.json()["changes"].as_array().unwrap().iter().any(|change| change["state"] == "done"),
        "{}",
        run.stdout
    );
    world.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn every_namespace_with_something_to_repair_is_repaired_and_no_other_is_written_to() {
    let world = World::new();
    world.namespace("well");
    world.image_stream("well", "app");
    world.oc_quay(&["link", "shop", "well", "--yes"]).succeeds();
    world.damage("shop");
    world.forget_traffic();
    // There are namespaces in scope besides that were never linked; they are linked too, as the operator would do it.
    let run = world.oc_quay(&["repair", "-A", "--yes"]).succeeds();
    assert!(run.stdout.contains("shop") && !run.stdout.contains("well"), "{}", run.stdout);
    world.assert_linked("shop", &["app", "base", "web"]);
    world.forget_traffic();
    world.oc_quay(&["repair", "-A", "--yes"]).succeeds();
    world.assert_nothing_written();
}

#[test]
fn creates_no_organization_that_cannot_be_finished() {
    let world = World::new();
    // An organization that the user owns shows what the token is good for.
    world.sandbox.quay.add_organization("theirs", "quayadmin");
    let all = ["org:admin", "repo:admin", "repo:create", "user:admin", "user:read"];
    let without = |scope: &str| all.into_iter().filter(|known| *known != scope).collect::<Vec<_>>();
    type Case = (&'static str, Vec<&'static str>, fn(&mut Flags), &'static str);
    let table: [Case; 4] = [
        ("quayadmin", without("org:admin"), |_| (), "org:admin"),
        ("quayadmin", without("user:admin"), |_| (), "user:admin"),
        (
            "alice",
            all.to_vec(),
            |flags| flags.org_creation_only = true,
            "may not create organizations",
        ),
        ("quayadmin", all.to_vec(), |flags| flags.readonly = true, "read-only mode"),
    ];
    for (user, scopes, arrange, why) in table {
        world.sandbox.quay.set_flags(arrange);
        world.forget_traffic();
        for way in ["--yes", "--dry-run"] {
            let run =
                world.oc_quay(&["repair", "-n", "shop", way]).token_of(user, &scopes).ends_with(1);
            assert!(
                run.stdout.contains("Not done") && run.stdout.contains(why),
                "{why}: {}",
                run.stdout
            );
            assert_eq!(
                run.stdout.matches(why).count(),
                2,
                "a finding and the summary line: {}",
                run.stdout
            );
        }
        world.assert_nothing_written();
        world.sandbox.quay.set_flags(|flags| *flags = Flags::default());
    }
}

#[test]
fn repairs_what_needs_no_quay_while_it_is_read_only() {
    let world = linked();
    world.namespace("fresh");
    world.delete("Secret", "shop", "builder-quay-openshift");
    world.sandbox.quay.set_flags(|flags| flags.readonly = true);
    world.oc_quay(&["repair", "shop", "fresh", "--yes"]).ends_with(1);
    world.assert_linked("shop", &["app", "base", "web"]);
    assert!(!world.sandbox.quay.organizations().contains(&"openshift_fresh".to_owned()));
}
