//! The server: TLS, certificate renewal and request limits.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::StreamExt as _;
use parking_lot::Mutex;
use reqwest::{Certificate, Client, StatusCode};
use sandbox::tls::Authority;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tower::Service as _;

use super::super::{
    MAX_CONCURRENT_BODY_BYTES, MAX_CONCURRENT_REVIEWS, MAX_REVIEW_BYTES, Observer, PATH,
    READ_TIMEOUT, ReviewOutcome, Webhook, WebhookEvent, router,
};
use super::{FakeView, admission_review, build, stream_tag};

/// A running webhook, and its events.
struct TestWebhook {
    runtime: Runtime,
    folder: tempfile::TempDir,
    address: SocketAddr,
    events: Arc<Mutex<Vec<WebhookEvent>>>,
}

/// Writes a new certificate; returns the CA of its new authority.
fn write_certificate(folder: &Path) -> Certificate {
    let authority = Authority::new().unwrap();
    authority.write_server_files(&["127.0.0.1"], folder).unwrap();
    Certificate::from_pem(authority.pem().as_bytes()).unwrap()
}

impl TestWebhook {
    fn start() -> (Self, Certificate) {
        let folder = tempfile::tempdir().unwrap();
        let certificate = write_certificate(folder.path());
        let events = Arc::new(Mutex::new(Vec::new()));
        let observer: Observer = {
            let events = Arc::clone(&events);
            Arc::new(move |event: &WebhookEvent| events.lock().push(event.clone()))
        };
        let webhook = Webhook::new(folder.path(), Arc::new(FakeView::default()), observer).unwrap();
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(webhook.serve(listener));
        (Self { runtime, folder, address, events }, certificate)
    }

    /// Posts a body over a new connection that trusts one CA.
    fn post(
        &self,
        trusted: &Certificate,
        path: &str,
        body: String,
    ) -> reqwest::Result<(StatusCode, Value)> {
        self.runtime.block_on(async {
            let client = Client::builder().tls_certs_only([trusted.clone()]).no_proxy().build()?;
            let response =
                client.post(format!("https://{}{path}", self.address)).body(body).send().await?;
            let status = response.status();
            Ok((status, serde_json::from_str(&response.text().await?).unwrap_or_default()))
        })
    }
}

#[test]
fn answers_over_tls_and_emits_events() {
    let (webhook, certificate) = TestWebhook::start();
    let mut object = build(stream_tag("app:1"));
    let (status, answer) = webhook
        .post(&certificate, PATH, admission_review("CREATE", "shop", &object).to_string())
        .unwrap();
    assert_eq!((status, &answer["response"]["patchType"]), (StatusCode::OK, &json!("JSONPatch")));

    object["spec"]["serviceAccount"] = json!("deployer");
    webhook
        .post(&certificate, PATH, admission_review("CREATE", "shop", &object).to_string())
        .unwrap();

    for (path, body, status) in [
        (PATH, String::new(), StatusCode::BAD_REQUEST),
        (PATH, "x".repeat(MAX_REVIEW_BYTES + 1), StatusCode::PAYLOAD_TOO_LARGE),
        ("/", String::new(), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(webhook.post(&certificate, path, body).unwrap().0, status);
    }
    let events = webhook.events.lock();
    let outcomes = events.iter().filter_map(|event| match event {
        WebhookEvent::Reviewed { namespace, outcome, .. } => Some((namespace.as_str(), *outcome)),
        WebhookEvent::CertificateUnusable { .. } => None,
    });
    let expected =
        [ReviewOutcome::Rewritten, ReviewOutcome::NotLinked].map(|outcome| ("shop", outcome));
    assert_eq!(outcomes.collect::<Vec<_>>(), expected);
}

#[test]
fn serves_renewed_certificate_at_once() {
    let (webhook, old) = TestWebhook::start();
    let body = || admission_review("CREATE", "shop", &build(stream_tag("app:1"))).to_string();
    let new = write_certificate(webhook.folder.path());
    assert!(webhook.post(&old, PATH, body()).is_err());
    assert!(webhook.post(&new, PATH, body()).is_ok());

    // Only one of the two files is updated, or one is missing.
    let folder = tempfile::tempdir().unwrap();
    write_certificate(folder.path());
    fs::copy(folder.path().join("tls.crt"), webhook.folder.path().join("tls.crt")).unwrap();
    assert!(webhook.post(&new, PATH, body()).is_ok());
    fs::remove_file(webhook.folder.path().join("tls.key")).unwrap();
    assert!(webhook.post(&new, PATH, body()).is_ok());
    let events = webhook.events.lock();
    let reasons: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            WebhookEvent::CertificateUnusable { reason } => Some(reason.as_str()),
            WebhookEvent::Reviewed { .. } => None,
        })
        .collect();
    assert!(reasons[0].contains("invalid key pair"), "{reasons:?}");
    assert!(reasons[1].starts_with("failed to read "), "{reasons:?}");
}

#[test]
fn silent_client_does_not_block_others() {
    let (webhook, certificate) = TestWebhook::start();
    let silent: Vec<_> = (0..50)
        .map(|_| webhook.runtime.block_on(TcpStream::connect(webhook.address)).unwrap())
        .collect();
    let mut plain = webhook.runtime.block_on(TcpStream::connect(webhook.address)).unwrap();
    webhook.runtime.block_on(async {
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        // A TLS alert, and nothing in plain text.
        let mut answer = Vec::new();
        let _ = plain.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"));
    });
    assert!(
        webhook
            .post(
                &certificate,
                PATH,
                admission_review("CREATE", "shop", &build(stream_tag("app:1"))).to_string()
            )
            .is_ok()
    );
    drop(silent);
}

#[test]
fn slow_review_times_out_without_blocking_others() {
    let runtime = Runtime::new().unwrap();
    let router = router(Arc::new(FakeView::default()), Arc::new(|_: &WebhookEvent| ()));
    let post = |body: Body| {
        let request = axum::http::Request::post(PATH).body(body).unwrap();
        runtime.spawn(router.clone().call(request))
    };
    let status_of = |answer: JoinHandle<Result<Response, Infallible>>| {
        runtime.block_on(answer).unwrap().unwrap().status()
    };
    let silent = || Body::from_stream(futures::stream::pending::<std::io::Result<Bytes>>());
    let review =
        || Body::from(admission_review("CREATE", "shop", &build(stream_tag("app:1"))).to_string());
    let slow: Vec<_> = (0..MAX_CONCURRENT_REVIEWS).map(|_| post(silent())).collect();
    std::thread::sleep(READ_TIMEOUT / 2);
    let waiting = post(review());
    slow.into_iter().for_each(|slow| assert_eq!(status_of(slow), StatusCode::REQUEST_TIMEOUT));
    assert_eq!(status_of(waiting), StatusCode::OK);
}

#[test]
fn reads_large_reviews_one_at_a_time() {
    let runtime = Runtime::new().unwrap();
    let router = router(Arc::new(FakeView::default()), Arc::new(|_: &WebhookEvent| ()));
    let post = |body: Body| {
        let request = axum::http::Request::post(PATH).body(body).unwrap();
        runtime.spawn(router.clone().call(request))
    };
    let status_of = |answer: JoinHandle<Result<Response, Infallible>>| {
        runtime.block_on(answer).unwrap().unwrap().status()
    };
    // More than the limit of a small review, without an end.
    let part = Bytes::from(vec![b' '; MAX_CONCURRENT_BODY_BYTES + 1]);
    let stuck =
        futures::stream::iter([Ok::<_, std::io::Error>(part)]).chain(futures::stream::pending());
    let stuck = post(Body::from_stream(stuck));
    std::thread::sleep(READ_TIMEOUT / 10);
    let mut object = build(stream_tag("app:1"));
    let small = post(Body::from(admission_review("CREATE", "shop", &object).to_string()));
    object["spec"]["revision"] = json!("x".repeat(MAX_CONCURRENT_BODY_BYTES));
    let large = post(Body::from(admission_review("CREATE", "shop", &object).to_string()));
    assert_eq!(status_of(small), StatusCode::OK);
    assert!(!large.is_finished(), "large reviews wait for their turn");
    assert_eq!(status_of(stuck), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(status_of(large), StatusCode::OK);
}

#[test]
fn rejects_invalid_certificate_without_quoting_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        Webhook::new(folder.path(), Arc::new(FakeView::default()), Arc::new(|_: &WebhookEvent| ()))
            .err()
            .unwrap()
    };
    assert!(start().starts_with("failed to read "));
    write_certificate(folder.path());
    fs::write(
        folder.path().join("tls.key"),
        "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    let reason = start();
    assert!(!reason.contains("SECRET"), "{reason}");
}
