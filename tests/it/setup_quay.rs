//! `setup`: which Quay, whether it can be reached, and whether it is one.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::support::{Command, TestEnv};

/// `setup` for another address.
fn setup_for<'a>(env: &'a TestEnv, url: &str) -> Command<'a> {
    env.setup(&["--controller=none", "--request-timeout", "5s", "--quay-url", url])
}

/// Runs it, which fails, writes nothing, and says why.
#[track_caller]
fn rejected(env: &TestEnv, url: &str, said: &str) -> String {
    env.forget_traffic();
    let run = setup_for(env, url).args(&["-o", "json"]).ends_with(2);
    env.assert_nothing_written();
    assert_eq!(run.state("quay"), "failed", "{url}");
    let step = run.step("quay").to_string();
    assert!(step.contains(said), "{url}: `{said}` is not in {step}");
    assert!(!run.step("quay")["hints"].as_array().unwrap().is_empty(), "{url}: {step}");
    step
}

#[test]
fn rejects_unavailable_address_with_reason() {
    let env = TestEnv::bare();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, said) in [
        ("https://quay.nowhere.invalid".to_owned(), "lookup address"),
        (format!("https://{closed}"), "refused"),
    ] {
        let step = rejected(&env, &url, said);
        assert!(step.contains("check the address, the network and the proxy"), "{step}");
    }
}

#[test]
fn rejects_server_without_tls() {
    let env = TestEnv::bare();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let _ = connection.read(&mut [0; 512]);
            let _ = connection.write_all(
                b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
    });
    rejected(&env, &format!("https://{address}"), "TLS");
}

#[test]
fn rejects_plain_http_before_requests() {
    let env = TestEnv::bare();
    let url = env.sandbox.quay.url().replace("https://", "http://");
    let run = setup_for(&env, &url).ends_with(2);
    assert!(
        run.stderr.contains("would travel unprotected") && run.stderr.contains("--insecure"),
        "{}",
        run.stderr
    );
    assert!(env.cluster_traffic().entries().is_empty() && env.quay_traffic().entries().is_empty());
}

#[test]
fn shows_untrusted_certificate() {
    let env = TestEnv::bare();
    let run =
        env.setup(&["--controller=none", "-o", "json"]).without_env("OC_QUAY_CA_FILE").ends_with(2);
    env.assert_nothing_written();
    let step = run.step("quay").to_string();
    for part in [
        "certificate of ",
        "issued by CN=oc-quay sandbox CA",
        "valid from 20",
        "SHA-256 ",
        "--quay-ca-file",
        "--insecure",
    ] {
        assert!(step.contains(part), "{part}: {step}");
    }
    let sha256 = step.split("SHA-256 ").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let pairs: Vec<_> = sha256.split(':').collect();
    let is_pair =
        |pair: &&str| pair.len() == 2 && pair.chars().all(|digit| digit.is_ascii_hexdigit());
    assert!(pairs.len() == 32 && pairs.iter().all(is_pair), "{sha256}");
}

#[test]
fn insecure_warns_and_sets_insecure_registry() {
    let env = TestEnv::bare();
    let run = env
        .setup(&["--controller=none", "--insecure", "-o", "json"])
        .without_env("OC_QUAY_CA_FILE")
        .succeeds();
    let warning = run.step("quay")["facts"].as_array().unwrap().iter().any(|fact| {
        fact["severity"] == "warning" && fact["text"].as_str().unwrap().contains("is not verified")
    });
    assert!(warning, "{}", run.stdout);
    assert_eq!(env.get("QuayIntegration", "", "quay").unwrap()["spec"]["insecureRegistry"], true);
    // The next run finds it there.
    env.forget_traffic();
    env.oc_quay(&["setup", "--yes", "--controller=none"]).without_env("OC_QUAY_CA_FILE").succeeds();
    env.assert_nothing_written();
}

#[test]
fn rejects_servers_other_than_quay() {
    let env = TestEnv::bare();
    let url = env.sandbox.quay.url();
    let table = [
        ("a web server", Fault::on("*", "/").html(200), "Quay"),
        ("a web server without the page", Fault::on("*", "/").html(404), "404"),
        ("something else with JSON", Fault::on("*", "/").status(200).body("[]"), "Quay"),
        ("maintenance", Fault::on("*", "/").html(503), "503"),
        (
            "a redirect",
            Fault::on("*", "/").status(302).header("Location", "https://login.example.com/"),
            "302",
        ),
        (
            "a redirect within",
            Fault::on("*", "/config").status(301).header("Location", "/elsewhere"),
            "301",
        ),
        ("nothing at all", Fault::on("*", "/").drop_before(), "connection lost"),
    ];
    for (what, fault, said) in table {
        env.quay_traffic().fault(fault);
        println!("{what}: {}", rejected(&env, &url, said));
        env.clear_faults();
    }
}

#[test]
fn reports_unhealthy_quay_and_continues() {
    let env = TestEnv::bare();
    env.sandbox.quay.set_down(&["database"]);
    let run = env.setup(&["--controller=none", "-o", "json"]).succeeds();
    assert!(
        run.step("quay").to_string().contains("it reports unhealthy services: database"),
        "{}",
        run.stdout
    );

    env.quay_traffic().fault(Fault::on("GET", "/health/instance").html(502));
    let run = env.setup(&["--controller=none", "-o", "json"]).succeeds();
    let facts = run.step("quay")["facts"].clone();
    assert!(facts.as_array().unwrap().iter().any(|fact| fact["severity"] == "unknown"), "{facts}");
}

#[test]
fn accepts_common_spellings_of_address() {
    let env = TestEnv::bare();
    let host = env.sandbox.quay.host();
    env.setup(&["--controller=none"]).succeeds();
    assert_eq!(
        env.get("QuayIntegration", "", "quay").unwrap()["spec"]["quayHostname"],
        format!("https://{host}")
    );
    for written in [
        host.clone(),
        format!("https://{host}/"),
        format!("{host}/"),
        format!("https://{host}/organization/shop?tab=x"),
    ] {
        env.forget_traffic();
        setup_for(&env, &written).succeeds();
        env.assert_nothing_written();
    }
    for nonsense in [
        "",
        " ",
        "https://",
        "ftp://quay.example.com",
        "https://quay example com",
        "https://user:pass@quay.example.com",
    ] {
        env.forget_traffic();
        let run = setup_for(&env, nonsense).ends_with(2);
        assert!(run.stderr.contains("--quay-url"), "{nonsense}: {}", run.stderr);
        assert!(env.cluster_traffic().entries().is_empty(), "{nonsense}");
    }
}

#[test]
fn reports_relevant_quay_settings() {
    let env = TestEnv::bare();
    env.sandbox.quay.set_flags(|flags| {
        flags.direct_login = false;
        flags.org_creation_only = true;
        flags.restricted_users = true;
        flags.readonly = true;
    });
    let run = env.oc_quay(&["setup", "--check", "--controller=none", "-o", "json"]);
    let run = run.env("OC_QUAY_URL", env.sandbox.quay.url()).ends_with(1);
    let step = run.step("quay").to_string();
    for name in [
        "read-only",
        "FEATURE_DIRECT_LOGIN",
        "FEATURE_SUPERUSERS_ORG_CREATION_ONLY",
        "FEATURE_RESTRICTED_USERS",
        "FEATURE_SUPERUSERS_FULL_ACCESS",
    ] {
        assert!(step.contains(name), "{name}: {step}");
    }
}

#[test]
fn waits_for_rate_limited_quay_and_reports_it() {
    let env = TestEnv::bare();
    // Pauses are a tenth as long in tests.
    env.quay_traffic()
        .fault(Fault::on("GET", "/api/v1/user/").status(429).header("Retry-After", "10").times(1));
    let run = env.setup(&["--controller=none"]).succeeds();
    let said = "Quay limits requests (429 Too Many Requests): waiting 10 s";
    assert_eq!(run.stderr.lines().filter(|line| *line == said).count(), 1, "{}", run.stderr);
}

#[test]
fn rejects_quay_blocked_by_image_policy() {
    let env = TestEnv::bare();
    let host = env.sandbox.quay.host();
    let policy = |spec: Value| env.merge("Image", "", "cluster", &json!({ "spec": spec }));
    let none = json!({ "registrySources": null, "allowedRegistriesForImport": null });
    let cases = [
        (
            json!({ "registrySources": { "allowedRegistries": ["registry.redhat.io"] } }),
            "allowedRegistries does not name it",
        ),
        (json!({ "registrySources": { "blockedRegistries": [host] } }), "blockedRegistries names"),
        (
            json!({ "allowedRegistriesForImport": [{ "domainName": "registry.redhat.io" }] }),
            "images cannot be imported",
        ),
    ];
    // Before it is set up, and after.
    for _ in 0..2 {
        for (spec, said) in &cases {
            policy(none.clone());
            policy(spec.clone());
            env.forget_traffic();
            let url = env.sandbox.quay.url();
            let check = env
                .oc_quay(&["setup", "--check", "-o", "json"])
                .env("OC_QUAY_URL", url)
                .ends_with(1);
            let step = check.step("quay");
            assert_eq!(step["state"], "failed", "{step}");
            assert!(step["reason"].as_str().unwrap().contains(said), "{step}");
            assert_eq!(
                step["hints"],
                json!(["change it: oc edit images.config.openshift.io cluster"])
            );
            let run = env.setup(&["--controller=none"]).ends_with(2);
            assert!(run.said().contains(said), "{run:#?}");
            env.assert_nothing_written();
        }
        policy(none.clone());
        policy(json!({ "registrySources": { "allowedRegistries": [host] } }));
        env.setup(&["--controller=none"]).succeeds();
    }
}
