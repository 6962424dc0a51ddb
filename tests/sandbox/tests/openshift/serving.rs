//! The layer in front of both servers: the log, faults, latency, and TLS.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Certificate, Client, Version};
use sandbox::traffic::Fault;
use sandbox::{Options, Sandbox};
use serde_json::json;

use super::{Api, SECRETS, secret};

fn exists(api: &Api, name: &str) -> bool {
    api.sandbox.openshift.get("Secret", "myproj", name).is_some()
}

#[test]
fn requests_are_logged_by_kind() {
    let api = Api::asleep();
    let traffic = api.sandbox.openshift.traffic();
    api.send(
        api.request("admin", "POST", SECRETS).header("User-Agent", "test/1").json(&secret("a")),
    )
    .expect(201, &json!({}));
    api.call("admin", "GET", &format!("{SECRETS}?limit=5"));
    api.call("dev", "GET", "/api/v1/namespaces");
    let review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    api.send_json(
        "POST",
        review,
        &json!({"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}),
    );
    let arranged = api.request("admin", "POST", SECRETS).header("x-sandbox", "arrange");
    api.send(arranged.json(&secret("b"))).expect(201, &json!({}));

    let entries = traffic.entries();
    let kinds: Vec<&str> = entries.iter().map(|entry| entry.kind.as_str()).collect();
    let review = "create selfsubjectaccessreviews";
    assert_eq!(kinds, ["create secrets", "list secrets", "list namespaces", review]);
    assert_eq!(entries[0].user_agent, "test/1");
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&entries[0].body).unwrap(), secret("a"));
    assert_eq!(entries[1].path, format!("{SECRETS}?limit=5"));
    let statuses: Vec<u16> = entries.iter().map(|entry| entry.status.unwrap().as_u16()).collect();
    assert_eq!(statuses, [201, 200, 403, 201]);
    assert_eq!((traffic.writes().len(), traffic.reads().len()), (1, 3), "a review is a read");
    assert_eq!((traffic.count("list"), traffic.count("list secrets")), (2, 1));
    traffic.clear();
    assert!(traffic.entries().is_empty());
}

#[test]
fn a_rule_answers_for_the_server() {
    let api = Api::asleep();
    let traffic = api.sandbox.openshift.traffic();
    traffic.fault(
        Fault::on("POST", "/secrets")
            .nth(2)
            .status(429)
            .header("Retry-After", "1")
            .body("{\"a\":1}"),
    );
    let statuses = ["a", "b", "c"].map(|name| {
        let answer = api.send_json("POST", SECRETS, &secret(name));
        if answer.status == 429 {
            assert_eq!(
                (answer.headers["retry-after"].to_str().unwrap(), &answer.body),
                ("1", &json!({"a": 1}))
            );
        }
        answer.status
    });
    assert_eq!(statuses, [201, 429, 201]);
    assert!(!exists(&api, "b"), "the request must not be applied");
    assert_eq!(traffic.entries()[1].status.unwrap(), 429);

    traffic.fault(Fault::on("*", "/secrets?").times(2).html(502));
    let statuses = [(); 3].map(|()| {
        let answer = api.call("admin", "GET", &format!("{SECRETS}?limit=1"));
        assert_eq!(
            answer.headers["content-type"],
            if answer.status == 502 { "text/html" } else { "application/json" }
        );
        answer.status
    });
    assert_eq!(statuses, [502, 502, 200]);
    traffic.fault(Fault::on("GET", "/secrets").status(500));
    assert_eq!(api.call("admin", "GET", SECRETS).status, 500);
    traffic.clear_faults();
    assert_eq!(api.call("admin", "GET", SECRETS).status, 200);
}

#[test]
fn connection_can_be_cut_before_and_after_the_change() {
    let api = Api::asleep();
    let traffic = api.sandbox.openshift.traffic();
    traffic.fault(Fault::on("POST", "/secrets").nth(1).drop_before());
    traffic.fault(Fault::on("POST", "/secrets").nth(2).drop_after());
    for name in ["before", "after"] {
        let result = api.open(api.request("admin", "POST", SECRETS).json(&secret(name)));
        assert!(result.is_err(), "{name}");
    }
    assert_eq!((exists(&api, "before"), exists(&api, "after")), (false, true));
    assert!(traffic.entries().iter().all(|entry| entry.status.is_none()));
    assert_eq!(api.send_json("POST", SECRETS, &secret("third")).status, 201, "the server goes on");
}

#[test]
fn hooks_run_before_and_after_the_change() {
    let api = Api::asleep();
    let openshift = api.sandbox.openshift.clone();
    let seen = Arc::new([AtomicUsize::new(9), AtomicUsize::new(9)]);
    let count = |index: usize| {
        let (openshift, seen) = (openshift.clone(), Arc::clone(&seen));
        move || seen[index].store(openshift.list("Secret", "myproj").len(), Ordering::SeqCst)
    };
    openshift.traffic().fault(Fault::on("POST", "/secrets").before(count(0)).after(count(1)));
    api.send_json("POST", SECRETS, &secret("a")).expect(201, &json!({}));
    assert_eq!((seen[0].load(Ordering::SeqCst), seen[1].load(Ordering::SeqCst)), (0, 1));

    let expiring = openshift.clone();
    openshift
        .traffic()
        .fault(Fault::on("GET", "/secrets").nth(2).before(move || expiring.expire_tokens()));
    let token = openshift.admin_token();
    let statuses = [(); 3].map(|()| {
        let url = format!("{}{SECRETS}", openshift.url());
        api.send(api.http.get(url).bearer_auth(&token)).status
    });
    assert_eq!(statuses, [200, 401, 401]);
}

#[test]
fn responses_can_be_delayed() {
    let api = Api::asleep();
    let traffic = api.sandbox.openshift.traffic();
    let timed = |name: &str| {
        let start = Instant::now();
        assert_eq!(api.send_json("POST", SECRETS, &secret(name)).status, 201);
        start.elapsed()
    };
    traffic.set_latency(Duration::from_millis(100));
    assert!(timed("a") >= Duration::from_millis(100));
    traffic.fault(Fault::on("POST", "/secrets").nth(1).delay(Duration::from_millis(200)));
    assert!(timed("b") >= Duration::from_millis(300));

    // A client that does not wait cannot know that the request was applied.
    traffic.fault(Fault::on("POST", "/secrets").nth(1).delay(Duration::from_secs(60)));
    let impatient =
        api.request("admin", "POST", SECRETS).json(&secret("c")).timeout(Duration::from_secs(1));
    assert!(api.open(impatient).unwrap_err().is_timeout());
    assert!(exists(&api, "c"));
}

#[test]
fn requests_in_flight_are_counted() {
    let api = Api::asleep();
    let traffic = api.sandbox.openshift.traffic();
    traffic.set_latency(Duration::from_secs(1));
    api.runtime.block_on(async {
        let requests = (0..5).map(|_| api.request("admin", "GET", SECRETS).send());
        futures::future::join_all(requests).await;
    });
    assert_eq!(traffic.max_in_flight(), 5);
    traffic.clear();
    traffic.set_latency(Duration::ZERO);
    api.call("admin", "GET", SECRETS);
    assert_eq!(traffic.max_in_flight(), 1);
}

#[test]
fn serves_quay_with_http2() {
    let dir = tempfile::tempdir().unwrap();
    let start = |http2| {
        Sandbox::start(Options { dir: Some(dir.path().to_owned()), http2, ..Options::default() })
            .unwrap()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (http2, version) in [(true, Version::HTTP_2), (false, Version::HTTP_11)] {
        let sandbox = start(http2);
        let ca = Certificate::from_pem(&std::fs::read(sandbox.ca_file()).unwrap()).unwrap();
        let http = Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();
        let get = |path: &str| {
            runtime
                .block_on(async { http.get(format!("{}{path}", sandbox.quay.url())).send().await })
        };
        let health = get("/health/instance").unwrap();
        assert_eq!((health.status().as_u16(), health.version()), (200, version));
        assert_eq!(sandbox.quay_traffic().entries().len(), 1);

        sandbox.quay_traffic().fault(Fault::on("GET", "/health").times(1).drop_before());
        assert!(get("/health/instance").is_err());
        assert_eq!(get("/health/instance").unwrap().status(), 200, "over a new connection");
        let stranger = Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
        let result = runtime.block_on(async { stranger.get(sandbox.quay.url()).send().await });
        assert!(result.is_err(), "a client that does not know the CA must not trust it");
    }
    assert!(dir.path().join("kubeconfig").exists(), "a given directory is kept");
}

#[test]
fn dropping_the_sandbox_stops_everything() {
    let api = Api::asleep();
    let (url, dir) = (api.sandbox.openshift.url(), api.sandbox.dir().to_owned());
    let watch = api.request("admin", "GET", &format!("{SECRETS}?watch=true"));
    let mut watch = api.open(watch).unwrap();
    drop(api.sandbox);
    assert!(!dir.exists());
    api.runtime.block_on(async {
        while let Ok(Some(_)) = watch.chunk().await {}
        assert!(api.http.get(url).send().await.unwrap_err().is_connect());
    });
}

#[test]
fn kubeconfig_has_a_context_per_user() {
    let api = Api::asleep();
    let text = std::fs::read_to_string(api.sandbox.kubeconfig()).unwrap();
    assert!(text.contains("current-context: admin\n"));
    for (user, namespace) in [("admin", "default"), ("dev", "myproj"), ("guest", "myproj")] {
        let context = format!(
            "- name: {user}\n  context:\n    cluster: sandbox\n    user: {user}\n    namespace: {namespace}\n"
        );
        assert!(text.contains(&context), "{text}");
        assert!(text.contains(&format!("token: {}\n", api.sandbox.openshift.token(user))));
    }
}
