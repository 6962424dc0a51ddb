//! `repair`: changes beyond the safe ones, and failures.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::quay::Flags;
use sandbox::traffic::Fault;
use serde_json::json;

use crate::support::{ACCOUNTS, TestEnv};

fn linked() -> TestEnv {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env
}

fn tokens(env: &TestEnv) -> BTreeMap<String, String> {
    tokens_in(env, "openshift_shop")
}

fn tokens_in(env: &TestEnv, organization: &str) -> BTreeMap<String, String> {
    // Renewed tokens must not be printed either.
    env.secrets();
    env.sandbox
        .quay
        .robots(organization)
        .into_iter()
        .map(|robot| (robot.short, robot.token))
        .collect()
}

#[test]
fn renews_tokens_and_their_secrets() {
    let env = linked();
    let before = tokens(&env);
    env.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes"]).succeeds();
    let after = tokens(&env);
    assert!(ACCOUNTS.iter().all(|account| before[*account] != after[*account]));
    env.assert_linked("shop", &["app", "base", "web"]);
    env.oc_quay(&["status", "-n", "shop", "--probe"]).succeeds();
}

#[test]
fn stops_rotation_at_the_first_token_not_renewed() {
    let env = linked();
    env.namespace("other");
    env.oc_quay(&["link", "-n", "other", "--yes"]).succeeds();
    let before = [tokens(&env), tokens_in(&env, "openshift_other")];
    let fault = Fault::on("POST", "openshift_shop/robots/default/regenerate")
        .status(400)
        .body(r#"{"message":"Not today"}"#);
    env.quay_traffic().fault(fault);
    let run = env.oc_quay(&["repair", "shop", "other", "--rotate", "--yes"]).ends_with(1);
    assert!(
        run.stdout.contains("openshift_shop+default") && run.stdout.contains("Not today"),
        "{}",
        run.stdout
    );
    let after = [tokens(&env), tokens_in(&env, "openshift_other")];
    let is_renewed = |account: &&str| before[0][*account] != after[0][*account];
    assert_eq!(ACCOUNTS.into_iter().filter(is_renewed).collect::<Vec<_>>(), ["builder"]);
    assert_eq!(before[1], after[1], "the next namespace is not changed");
    env.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn renews_no_token_whose_secret_cannot_be_written() {
    let env = linked();
    let before = tokens(&env);
    let rejection = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"No"}"#;
    env.cluster_traffic()
        .fault(Fault::on("GET", "namespaces/shop/secrets").status(403).body(rejection));
    env.forget_traffic();
    let run =
        env.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes", "-o", "json"]).ends_with(1);
    assert_eq!(run.codes(), ["OQ901", "OQ309"]);
    env.assert_nothing_written();
    env.clear_faults();

    env.delete("Secret", "shop", "default-quay-openshift");
    let metadata = json!({ "name": "default-quay-openshift", "namespace": "shop" });
    env.create(
        &json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque" }),
    );
    let run =
        env.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes", "-o", "json"]).ends_with(1);
    assert_eq!(run.codes(), ["OQ302"]);
    let after = tokens(&env);
    let renewed: Vec<_> =
        ACCOUNTS.into_iter().filter(|account| before[*account] != after[*account]).collect();
    assert_eq!(renewed.len(), 2, "{renewed:?}");
    assert!(!renewed.contains(&"default"), "its secret is of others");
}

#[test]
fn leaves_at_most_one_stale_token_in_many_namespaces() {
    let env = linked();
    let others = ["n1", "n2", "n3"];
    others.iter().for_each(|name| env.namespace(name));
    let namespaces = ["shop", "n1", "n2", "n3"];
    env.oc_quay(&["link"]).args(&others).args(&["--yes"]).succeeds();
    let all_tokens = || namespaces.map(|name| tokens_in(&env, &format!("openshift_{name}")));
    let before = all_tokens();
    let rejection = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"No"}"#;
    env.cluster_traffic().fault(Fault::on("PATCH", "secrets/").status(403).body(rejection));
    env.oc_quay(&["repair"]).args(&namespaces).args(&["--rotate", "--yes"]).ends_with(1);
    let after = all_tokens();
    let renewed = |(before, after): (&BTreeMap<_, _>, &BTreeMap<_, _>)| {
        after.iter().filter(|(robot, token)| before.get(*robot) != Some(*token)).count()
    };
    assert_eq!(before.iter().zip(&after).map(renewed).collect::<Vec<_>>(), [1, 0, 0, 0]);
    env.clear_faults();
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    env.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn checks_permission_before_the_first_rotation() {
    let env = linked();
    let denied = json!({ "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
        "spec": {}, "status": { "allowed": false } });
    env.cluster_traffic()
        .fault(Fault::on("POST", "selfsubjectaccessreviews").status(201).body(&denied.to_string()));
    for flag in ["--dry-run", "--yes"] {
        env.forget_traffic();
        let run =
            env.oc_quay(&["repair", "-n", "shop", "--rotate", "-o", "json", flag]).ends_with(1);
        assert_eq!(run.codes(), ["OQ309"]);
        assert!(
            run.stdout.contains("you are not allowed to patch secrets in namespace shop"),
            "{}",
            run.stdout
        );
        env.assert_nothing_written();
        assert_eq!(env.cluster_traffic().count("create selfsubjectaccessreviews"), 1);
    }
    env.clear_faults();
    env.forget_traffic();
    env.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes"]).succeeds();
    assert_eq!(env.cluster_traffic().count("create selfsubjectaccessreviews"), 1);
}

#[test]
fn names_unwritable_secret_and_next_run_repairs_it() {
    let env = linked();
    let rejection = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422,"message":"Not today"}"#;
    env.cluster_traffic()
        .fault(Fault::on("PATCH", "secrets/builder-quay-openshift").status(422).body(rejection));
    let run = env.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes"]).ends_with(1);
    assert!(
        run.stdout.contains("builder-quay-openshift") && run.stdout.contains("Not today"),
        "{}",
        run.stdout
    );
    env.cluster_traffic().clear_faults();
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    env.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn at_most_one_robot_account_has_a_stale_secret_at_a_time() {
    let Some(env) = TestEnv::stand_in("it is looked into while it answers") else { return };
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let stale_before_each = Arc::new(Mutex::new(Vec::new()));
    let (openshift, quay, noted) =
        (env.sandbox.openshift.clone(), env.sandbox.quay.clone(), Arc::clone(&stale_before_each));
    env.quay_traffic().fault(Fault::on("POST", "/regenerate").before(move || {
        let is_stale = |account: &&str| {
            let credentials = format!(
                "openshift_shop+{account}:{}",
                quay.robot_token("openshift_shop", account).unwrap()
            );
            let secret =
                openshift.get("Secret", "shop", &format!("{account}-quay-openshift")).unwrap();
            let content =
                STANDARD.decode(secret["data"][".dockerconfigjson"].as_str().unwrap()).unwrap();
            !String::from_utf8(content).unwrap().contains(&STANDARD.encode(credentials))
        };
        noted
            .lock()
            .unwrap()
            .push(ACCOUNTS.iter().copied().filter(|account| is_stale(account)).collect::<Vec<_>>());
    }));
    env.oc_quay(&["repair", "-n", "shop", "--rotate", "--yes"]).succeeds();
    assert_eq!(*stale_before_each.lock().unwrap(), [Vec::<&str>::new(), vec![], vec![]]);
}

#[test]
fn adopts_marked_organization_for_good_when_requested() {
    let env = TestEnv::new();
    env.sandbox.quay.add_organization("openshift_shop", "quayadmin");
    env.sandbox
        .quay
        .add_robot("openshift_shop", "builder", "oc-quay cluster=other namespace=shop uid=other")
        .unwrap();
    env.forget_traffic();
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).ends_with(1);
    env.assert_nothing_written();
    env.oc_quay(&["repair", "-n", "shop", "--adopt", "--yes"]).succeeds();
    env.assert_linked("shop", &["app", "base", "web"]);
    env.oc_quay(&["status", "-n", "shop"]).succeeds();
    env.forget_traffic();
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    env.assert_nothing_written();
}

#[test]
fn adopts_foreign_objects_when_requested() {
    let env = TestEnv::new();
    env.sandbox.quay.add_organization("openshift_shop", "alice");
    env.sandbox.quay.add_repository("openshift_shop", "alices", "alice");
    env.oc_quay(&["repair", "-n", "shop", "--adopt", "--yes"]).succeeds();
    let status = env.oc_quay(&["status", "-n", "shop", "--probe", "-o", "json"]).succeeds();
    assert_eq!(status.codes(), ["OQ405"], "alice's repository is kept");
    assert!(status.stdout.contains("3 of 3 credentials accepted"), "{}", status.stdout);
}

#[test]
fn replaces_foreign_secret_of_wrong_type_when_requested() {
    let env = linked();
    env.delete("Secret", "shop", "default-quay-openshift");
    let metadata = json!({ "name": "default-quay-openshift", "namespace": "shop" });
    env.create(
        &json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque" }),
    );
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).ends_with(1);
    env.oc_quay(&["repair", "-n", "shop", "--adopt", "--yes"]).succeeds();
    env.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn releases_namespace_stuck_in_terminating_keeps_organization() {
    let env = linked();
    let finalizers = json!({ "metadata": { "finalizers": ["quay.redhat.com/quayintegrations"] } });
    env.merge("Namespace", "", "shop", &finalizers);
    env.delete("Namespace", "", "shop");
    let status = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1);
    assert_eq!(status.codes(), ["OQ123"]);
    env.oc_quay(&["link", "-n", "shop", "--yes"]).ends_with(2);
    let run = env.oc_quay(&["repair", "-n", "shop", "--dry-run", "-o", "json"]).succeeds();
    assert!(run.stdout.contains("(organization openshift_shop is kept)"), "{}", run.stdout);
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    env.wait_for("the namespace to go", || env.get("Namespace", "", "shop").is_none());
    assert_eq!(env.sandbox.quay.repositories("openshift_shop").len(), 3);
}

#[test]
fn repairs_the_rest_when_something_fails() {
    let env = TestEnv::new();
    env.quay_traffic()
        .fault(Fault::on("PUT", "robots/default").status(400).body(r#"{"message":"Not today"}"#));
    let run = env.oc_quay(&["repair", "-n", "shop", "--yes"]).ends_with(1);
    assert!(
        run.stdout.contains("Not today") && run.stdout.contains("openshift_shop+default"),
        "{}",
        run.stdout
    );
    for account in ["builder", "deployer"] {
        let secret = format!("{account}-quay-openshift");
        assert_eq!(
            env.credentials("shop", &secret).1,
            env.sandbox.quay.robot_token("openshift_shop", account).unwrap()
        );
        assert!(env.references("shop", account, "imagePullSecrets").contains(&secret));
    }
    assert_eq!(env.sandbox.quay.repositories("openshift_shop").len(), 3);

    env.quay_traffic().clear_faults();
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    env.assert_linked("shop", &["app", "base", "web"]);
    env.oc_quay(&["status", "-n", "shop", "--probe"]).succeeds();
}

#[test]
fn keeps_entries_of_others_in_our_secret() {
    let env = linked();
    let (host, auth) = (env.sandbox.quay.host(), "b3BlbnNoaWZ0X3Nob3ArYnVpbGRlcjpvbGQ=");
    let others = json!({
        "a.example.com": {},
        "b.example.com": { "auth": "bWU6cGFzc3dvcmQ", "email": "me@example.com" },
        "c.example.com": { "identitytoken": "t", "more": [1.50] },
    });
    let mut before = json!({ "auths": others, "credsStore": "x" });
    env.set_content("shop", "builder-quay-openshift", &before);
    let status = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1);
    assert_eq!(status.codes(), ["OQ304"]);
    before["auths"][host.as_str()] = json!({ "auth": auth });
    env.set_content("shop", "builder-quay-openshift", &before);
    let status = env.oc_quay(&["status", "-n", "shop", "-o", "json"]).ends_with(1);
    assert_eq!(status.codes(), ["OQ306"]);
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    env.assert_linked("shop", &["app", "base", "web"]);
    let mut after = env.content("shop", "builder-quay-openshift");
    after["auths"].as_object_mut().unwrap().remove(&host);
    assert_eq!(after, json!({ "auths": others, "credsStore": "x" }));
    env.oc_quay(&["status", "-n", "shop", "--fail-on", "warning"]).succeeds();
}

#[test]
fn does_not_overwrite_newer_token() {
    let env = linked();
    env.secrets();
    env.delete("Secret", "shop", "builder-quay-openshift");
    let (quay, openshift) = (env.sandbox.quay.clone(), env.sandbox.openshift.clone());
    let newer = Arc::new(Mutex::new(String::new()));
    let noted = Arc::clone(&newer);
    // Others renew and write the token after this run has read both sides.
    env.cluster_traffic().fault(Fault::on("POST", "/secrets").nth(1).before(move || {
        let token = quay.regenerate("openshift_shop", "builder").unwrap();
        let config = json!({ "auths": { quay.host(): { "auth": STANDARD.encode(format!("openshift_shop+builder:{token}")) } } });
        openshift.create(json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
            "metadata": { "name": "builder-quay-openshift", "namespace": "shop" },
            "stringData": { ".dockerconfigjson": config.to_string() },
        }));
        *noted.lock().unwrap() = token;
    }));
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(env.credentials("shop", "builder-quay-openshift").1, *newer.lock().unwrap());
    env.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn finishes_a_replacement_that_was_interrupted() {
    let env = linked();
    let secret = "default-quay-openshift";
    let others = json!({ "auths": { "quay.io": {} } });
    env.delete("Secret", "shop", secret);
    env.create(&json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": { "name": secret, "namespace": "shop" },
        "stringData": { ".dockerconfigjson": others.to_string() },
    }));
    let rejection = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422,"message":"Not today"}"#;
    env.cluster_traffic().fault(Fault::on("POST", "/secrets").nth(2).status(422).body(rejection));
    env.oc_quay(&["repair", "-n", "shop", "--adopt", "--yes"]).ends_with(1);
    assert!(env.get("Secret", "shop", secret).is_none());
    env.clear_faults();
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(env.content("shop", secret)["auths"]["quay.io"], json!({}));
    assert!(env.get("Secret", "shop", &format!("{secret}-spare")).is_none());
    env.assert_linked("shop", &["app", "base", "web"]);
    env.forget_traffic();
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    env.assert_nothing_written();
}

#[test]
fn keeps_credentials_of_a_secret_recreated_by_others() {
    let env = linked();
    let (secret, spare) = ("default-quay-openshift", "default-quay-openshift-spare");
    let credentials = |registry: &str| {
        json!({ "auths": { registry: { "auth": STANDARD.encode("me:password") } } }).to_string()
    };
    let of_others = move |kind: &str, registry: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": { "name": secret, "namespace": "shop" },
            "stringData": { ".dockerconfigjson": credentials(registry) },
        })
    };
    env.delete("Secret", "shop", secret);
    env.create(&of_others("Opaque", "first.example.com"));
    // The secret is deleted, and its successor does not exist yet.
    let openshift = env.sandbox.openshift.clone();
    let later = of_others("kubernetes.io/dockerconfigjson", "later.example.com");
    env.cluster_traffic().fault(
        Fault::on("POST", "/secrets").nth(2).before(move || drop(openshift.create(later.clone()))),
    );
    env.oc_quay(&["repair", "-n", "shop", "--adopt", "--yes"]).ends_with(1);
    env.clear_faults();
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(env.oc_quay(&["status", "-n", "shop", "-o", "json"]).succeeds().codes(), ["OQ318"]);
    let mut content = env.content("shop", secret);
    assert!(content["auths"]["later.example.com"].is_object(), "{content}");
    let kept = env.content("shop", spare)["auths"]["first.example.com"].clone();
    assert!(kept.is_object());
    env.forget_traffic();
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    env.assert_nothing_written();

    content["auths"]["first.example.com"] = kept;
    env.set_content("shop", secret, &content);
    env.oc_quay(&["repair", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(env.get("Secret", "shop", spare), None);
    assert_eq!(env.content("shop", secret), content);
}

#[test]
fn reports_changes_when_the_final_read_fails() {
    let env = linked();
    env.damage("shop");
    let rejection = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422,"message":"Not today"}"#;
    env.cluster_traffic()
        .fault(Fault::on("GET", "/api/v1/namespaces?").nth(2).status(422).body(rejection));
    let run = env.oc_quay(&["repair", "-A", "--yes", "-o", "json"]).ends_with(1);
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
    env.assert_linked("shop", &["app", "base", "web"]);
}

#[test]
fn writes_only_to_namespaces_that_need_repair() {
    let env = TestEnv::new();
    env.namespace("well");
    env.image_stream("well", "app");
    env.oc_quay(&["link", "shop", "well", "--yes"]).succeeds();
    env.damage("shop");
    env.forget_traffic();
    // Other namespaces in scope that were never linked are linked, too, as the operator does.
    let run = env.oc_quay(&["repair", "-A", "--yes"]).succeeds();
    assert!(run.stdout.contains("shop") && !run.stdout.contains("well"), "{}", run.stdout);
    env.assert_linked("shop", &["app", "base", "web"]);
    env.forget_traffic();
    env.oc_quay(&["repair", "-A", "--yes"]).succeeds();
    env.assert_nothing_written();
}

#[test]
fn creates_no_organization_that_cannot_be_finished() {
    let env = TestEnv::new();
    // An organization of the user proves that the token is valid.
    env.sandbox.quay.add_organization("theirs", "quayadmin");
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
            "is not allowed to create organizations",
        ),
        ("quayadmin", all.to_vec(), |flags| flags.readonly = true, "read-only mode"),
    ];
    for (user, scopes, arrange, why) in table {
        env.sandbox.quay.set_flags(arrange);
        env.forget_traffic();
        for way in ["--yes", "--dry-run"] {
            let run =
                env.oc_quay(&["repair", "-n", "shop", way]).token_of(user, &scopes).ends_with(1);
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
        env.assert_nothing_written();
        env.sandbox.quay.set_flags(|flags| *flags = Flags::default());
    }
}

#[test]
fn repairs_cluster_objects_while_quay_is_read_only() {
    let env = linked();
    env.namespace("fresh");
    env.delete("Secret", "shop", "builder-quay-openshift");
    env.sandbox.quay.set_flags(|flags| flags.readonly = true);
    env.oc_quay(&["repair", "shop", "fresh", "--yes"]).ends_with(1);
    env.assert_linked("shop", &["app", "base", "web"]);
    assert!(!env.sandbox.quay.organizations().contains(&"openshift_fresh".to_owned()));
}
