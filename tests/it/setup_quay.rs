//! `setup`: which Quay, whether it can be reached, and whether it is one.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use sandbox::traffic::Fault;
use serde_json::{Value, json};

use crate::support::{Command, World};

/// `setup` for another address.
fn setup_for<'a>(world: &'a World, url: &str) -> Command<'a> {
    world.setup(&["--controller=none", "--request-timeout", "5s", "--quay-url", url])
}

/// Runs it, which fails, writes nothing, and says why.
#[track_caller]
fn refused(world: &World, url: &str, said: &str) -> String {
    world.forget_traffic();
    let run = setup_for(world, url).args(&["-o", "json"]).ends_with(2);
    world.assert_nothing_written();
    assert_eq!(run.state("quay"), "failed", "{url}");
    let step = run.step("quay").to_string();
    assert!(step.contains(said), "{url}: `{said}` is not in {step}");
    assert!(!run.step("quay")["hints"].as_array().unwrap().is_empty(), "{url}: {step}");
    step
}

#[test]
fn an_address_where_nobody_answers_is_refused_with_the_reason() {
    let world = World::bare();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, said) in [
        ("https://quay.nowhere.invalid".to_owned(), "lookup address"),
        (format!("https://{closed}"), "refused"),
    ] {
        let step = refused(&world, &url, said);
        assert!(step.contains("check the address, the network and the proxy"), "{step}");
    }
}

#[test]
fn a_server_without_tls_is_refused() {
    let world = World::bare();
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
    refused(&world, &format!("https://{address}"), "TLS");
}

#[test]
fn plain_http_is_refused_before_anything_is_sent() {
    let world = World::bare();
    let url = world.sandbox.quay.url().replace("https://", "http://");
    let run = setup_for(&world, &url).ends_with(2);
    assert!(
        run.stderr.contains("would travel unprotected") && run.stderr.contains("--insecure"),
        "{}",
        run.stderr
    );
    assert!(
        world.cluster_traffic().entries().is_empty() && world.quay_traffic().entries().is_empty()
    );
}

#[test]
fn a_certificate_that_is_not_trusted_is_shown_for_comparison() {
    let world = World::bare();
    let run = world
        .setup(&["--controller=none", "-o", "json"])
        .without_env("OC_QUAY_CA_FILE")
        .ends_with(2);
    world.assert_nothing_written();
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
fn who_goes_on_without_verifying_is_warned_and_it_stands_in_the_quay_integration() {
    let world = World::bare();
    let run = world
        .setup(&["--controller=none", "--insecure", "-o", "json"])
        .without_env("OC_QUAY_CA_FILE")
        .succeeds();
    let warning = run.step("quay")["facts"].as_array().unwrap().iter().any(|fact| {
        fact["severity"] == "warning" && fact["text"].as_str().unwrap().contains("is not verified")
    });
    assert!(warning, "{}", run.stdout);
    assert_eq!(world.get("QuayIntegration", "", "quay").unwrap()["spec"]["insecureRegistry"], true);
    // The next run finds it there.
    world.forget_traffic();
    world
        .oc_quay(&["setup", "--yes", "--controller=none"])
        .without_env("OC_QUAY_CA_FILE")
        .succeeds();
    world.assert_nothing_written();
}

#[test]
fn what_is_no_quay_is_not_taken_for_one() {
    let world = World::bare();
    let url = world.sandbox.quay.url();
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
        ("nothing at all", Fault::on("*", "/").drop_before(), "the connection broke"),
    ];
    for (what, fault, said) in table {
        world.quay_traffic().fault(fault);
        println!("{what}: {}", refused(&world, &url, said));
        world.clear_faults();
    }
}

#[test]
fn a_quay_that_is_not_healthy_is_said_to_be_so_and_used() {
    let world = World::bare();
    world.sandbox.quay.set_down(&["database"]);
    let run = world.setup(&["--controller=none", "-o", "json"]).succeeds();
    assert!(
        run.step("quay").to_string().contains("it reports as not healthy: database"),
        "{}",
        run.stdout
    );

    world.quay_traffic().fault(Fault::on("GET", "/health/instance").html(502));
    let run = world.setup(&["--controller=none", "-o", "json"]).succeeds();
    let facts = run.step("quay")["facts"].clone();
    assert!(facts.as_array().unwrap().iter().any(|fact| fact["severity"] == "unknown"), "{facts}");
}

#[test]
fn an_address_is_understood_as_a_person_writes_it() {
    let world = World::bare();
    let host = world.sandbox.quay.host();
    world.setup(&["--controller=none"]).succeeds();
    assert_eq!(
        world.get("QuayIntegration", "", "quay").unwrap()["spec"]["quayHostname"],
        format!("https://{host}")
    );
    for written in [
        host.clone(),
        format!("https://{host}/"),
        format!("{host}/"),
        format!("https://{host}/organization/shop?tab=x"),
    ] {
        world.forget_traffic();
        setup_for(&world, &written).succeeds();
        world.assert_nothing_written();
    }
    for nonsense in [
        "",
        " ",
        "https://",
        "ftp://quay.example.com",
        "https://quay example com",
        "https://user:pass@quay.example.com",
    ] {
        world.forget_traffic();
        let run = setup_for(&world, nonsense).ends_with(2);
        assert!(run.stderr.contains("--quay-url"), "{nonsense}: {}", run.stderr);
        assert!(world.cluster_traffic().entries().is_empty(), "{nonsense}");
    }
}

#[test]
fn settings_of_quay_that_matter_are_named() {
    let world = World::bare();
    world.sandbox.quay.set_flags(|flags| {
        flags.direct_login = false;
        flags.org_creation_only = true;
        flags.restricted_users = true;
        flags.readonly = true;
    });
    let run = world.oc_quay(&["setup", "--check", "--controller=none", "-o", "json"]);
    let run = run.env("OC_QUAY_URL", world.sandbox.quay.url()).ends_with(1);
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
fn waits_when_quay_takes_no_more_requests_and_says_why() {
    let world = World::bare();
    // Pauses are a tenth as long in tests.
    world
        .quay_traffic()
        .fault(Fault::on("GET", "/api/v1/user/").status(429).header("Retry-After", "10").times(1));
    let run = world.setup(&["--controller=none"]).succeeds();
    let said = "Quay accepts no more requests for now (429 Too Many Requests): waiting 10 s";
    assert_eq!(run.stderr.lines().filter(|line| *line == said).count(), 1, "{}", run.stderr);
}

#[test]
fn refuses_a_quay_that_the_image_policy_does_not_allow() {
    let world = World::bare();
    let host = world.sandbox.quay.host();
    let policy = |spec: Value| world.merge("Image", "", "cluster", &json!({ "spec": spec }));
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
            world.forget_traffic();
            let url = world.sandbox.quay.url();
            let check = world
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
            let run = world.setup(&["--controller=none"]).ends_with(2);
            assert!(run.said().contains(said), "{run:#?}");
            world.assert_nothing_written();
        }
        policy(none.clone());
        policy(json!({ "registrySources": { "allowedRegistries": [host] } }));
        world.setup(&["--controller=none"]).succeeds();
    }
}
