//! The server: TLS, certificates that change, and what is not a review.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::StreamExt as _;
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
use super::{Known, build, sent, stream_tag};

/// A webhook that is served, and what it told.
struct Served {
    runtime: Runtime,
    folder: tempfile::TempDir,
    address: SocketAddr,
    told: Arc<Mutex<Vec<WebhookEvent>>>,
}

/// A new certificate of a new authority, written where the webhook finds it; the authority's own is returned.
fn certify(folder: &Path) -> Certificate {
    let authority = Authority::new().unwrap();
    authority.write_server_files(&["127.0.0.1"], folder).unwrap();
    Certificate::from_pem(authority.pem().as_bytes()).unwrap()
}

impl Served {
    fn start() -> (Self, Certificate) {
        let folder = tempfile::tempdir().unwrap();
        let certificate = certify(folder.path());
        let told = Arc::new(Mutex::new(Vec::new()));
        let observer: Observer = {
            let told = Arc::clone(&told);
            Arc::new(move |event: &WebhookEvent| told.lock().unwrap().push(event.clone()))
        };
        let webhook = Webhook::new(folder.path(), Arc::new(Known::default()), observer).unwrap();
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(webhook.serve(listener));
        (Self { runtime, folder, address, told }, certificate)
    }

    /// Posts a body over a new connection that trusts one certificate.
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
fn a_review_is_answered_over_tls_and_told() {
    let (served, certificate) = Served::start();
    let mut object = build(stream_tag("app:1"));
    let (status, answer) =
        served.post(&certificate, PATH, sent("CREATE", "shop", &object).to_string()).unwrap();
    assert_eq!((status, &answer["response"]["patchType"]), (StatusCode::OK, &json!("JSONPatch")));

    object["spec"]["serviceAccount"] = json!("deployer");
    served.post(&certificate, PATH, sent("CREATE", "shop", &object).to_string()).unwrap();

    for (path, body, status) in [
        (PATH, String::new(), StatusCode::BAD_REQUEST),
        (PATH, "x".repeat(MAX_REVIEW_BYTES + 1), StatusCode::PAYLOAD_TOO_LARGE),
        ("/", String::new(), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(served.post(&certificate, path, body).unwrap().0, status);
    }
    let told = served.told.lock().unwrap();
    let outcomes = told.iter().filter_map(|told| match told {
        WebhookEvent::Reviewed { namespace, outcome, .. } => Some((namespace.as_str(), *outcome)),
        WebhookEvent::CertificateUnusable { .. } => None,
    });
    let expected =
        [ReviewOutcome::Rewritten, ReviewOutcome::NotLinked].map(|outcome| ("shop", outcome));
    assert_eq!(outcomes.collect::<Vec<_>>(), expected);
}

#[test]
fn a_certificate_that_changed_is_served_with_at_once() {
    let (served, old) = Served::start();
    let body = || sent("CREATE", "shop", &build(stream_tag("app:1"))).to_string();
    let new = certify(served.folder.path());
    assert!(served.post(&old, PATH, body()).is_err());
    assert!(served.post(&new, PATH, body()).is_ok());

    // One of the two files is there before the other; or none.
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    fs::copy(folder.path().join("tls.crt"), served.folder.path().join("tls.crt")).unwrap();
    assert!(served.post(&new, PATH, body()).is_ok());
    fs::remove_file(served.folder.path().join("tls.key")).unwrap();
    assert!(served.post(&new, PATH, body()).is_ok());
    let told = served.told.lock().unwrap();
    let reasons: Vec<_> = told
        .iter()
        .filter_map(|told| match told {
            WebhookEvent::CertificateUnusable { reason } => Some(reason.as_str()),
            WebhookEvent::Reviewed { .. } => None,
        })
        .collect();
    assert!(reasons[0].contains("cannot be used together"), "{reasons:?}");
    assert!(reasons[1].starts_with("could not read "), "{reasons:?}");
}

#[test]
fn a_client_that_says_nothing_holds_up_no_other() {
    let (served, certificate) = Served::start();
    let silent: Vec<_> = (0..50)
        .map(|_| served.runtime.block_on(TcpStream::connect(served.address)).unwrap())
        .collect();
    let mut plain = served.runtime.block_on(TcpStream::connect(served.address)).unwrap();
    served.runtime.block_on(async {
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        // A TLS alert and then the end: not a word in the clear.
        let mut answer = Vec::new();
        let _ = plain.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"));
    });
    assert!(
        served
            .post(
                &certificate,
                PATH,
                sent("CREATE", "shop", &build(stream_tag("app:1"))).to_string()
            )
            .is_ok()
    );
    drop(silent);
}

#[test]
fn a_review_that_does_not_arrive_is_not_waited_for_and_delays_no_other() {
    let runtime = Runtime::new().unwrap();
    let router = router(Arc::new(Known::default()), Arc::new(|_: &WebhookEvent| ()));
    let post = |body: Body| {
        let request = axum::http::Request::post(PATH).body(body).unwrap();
        runtime.spawn(router.clone().call(request))
    };
    let answered = |answer: JoinHandle<Result<Response, Infallible>>| {
        runtime.block_on(answer).unwrap().unwrap().status()
    };
    let silent = || Body::from_stream(futures::stream::pending::<std::io::Result<Bytes>>());
    let review = || Body::from(sent("CREATE", "shop", &build(stream_tag("app:1"))).to_string());
    let slow: Vec<_> = (0..MAX_CONCURRENT_REVIEWS).map(|_| post(silent())).collect();
    std::thread::sleep(READ_TIMEOUT / 2);
    let waiting = post(review());
    slow.into_iter().for_each(|slow| assert_eq!(answered(slow), StatusCode::REQUEST_TIMEOUT));
    assert_eq!(answered(waiting), StatusCode::OK);
}

#[test]
fn of_large_reviews_one_is_read_at_a_time_and_delays_no_small_one() {
    let runtime = Runtime::new().unwrap();
    let router = router(Arc::new(Known::default()), Arc::new(|_: &WebhookEvent| ()));
    let post = |body: Body| {
        let request = axum::http::Request::post(PATH).body(body).unwrap();
        runtime.spawn(router.clone().call(request))
    };
    let answered = |answer: JoinHandle<Result<Response, Infallible>>| {
        runtime.block_on(answer).unwrap().unwrap().status()
    };
    // It has sent more than a small one has, and no more comes.
    let part = Bytes::from(vec![b' '; MAX_CONCURRENT_BODY_BYTES + 1]);
    let stuck =
        futures::stream::iter([Ok::<_, std::io::Error>(part)]).chain(futures::stream::pending());
    let stuck = post(Body::from_stream(stuck));
    std::thread::sleep(READ_TIMEOUT / 10);
    let mut object = build(stream_tag("app:1"));
    let small = post(Body::from(sent("CREATE", "shop", &object).to_string()));
    object["spec"]["revision"] = json!("x".repeat(MAX_CONCURRENT_BODY_BYTES));
    let large = post(Body::from(sent("CREATE", "shop", &object).to_string()));
    assert_eq!(answered(small), StatusCode::OK);
    assert!(!large.is_finished(), "its turn has not come");
    assert_eq!(answered(stuck), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(answered(large), StatusCode::OK);
}

#[test]
fn a_webhook_does_not_start_without_a_certificate_and_quotes_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        Webhook::new(folder.path(), Arc::new(Known::default()), Arc::new(|_: &WebhookEvent| ()))
            .err()
            .unwrap()
    };
    assert!(start().starts_with("could not read "));
    certify(folder.path());
    fs::write(
        folder.path().join("tls.key"),
        "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    let reason = start();
    assert!(!reason.contains("SECRET"), "{reason}");
}
