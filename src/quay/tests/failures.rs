use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use sandbox::tls::Authority;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::domain::integration::{ConnectionStage, QuayProblem};
use crate::domain::snapshot::ReadErrorKind;
use crate::quay::{ErrorKind, OptionsError, QuayError};

fn server_info(scene: &Scene, options: Options) -> (QuayError, Vec<QuayProblem>) {
    let client = Quay::new(options).unwrap();
    let error = scene.run(client.server_info()).unwrap_err();
    (error, client.problems())
}

fn options_for(url: &str, scene: &Scene) -> Options {
    Options {
        url: QuayUrl::parse(url).unwrap().0,
        timeout: Duration::from_secs(3),
        ..scene.options()
    }
}

fn assert_unreachable(
    (error, problems): (QuayError, Vec<QuayProblem>),
    step: ConnectionStage,
) -> String {
    assert_eq!(error.kind, ErrorKind::Unreachable(step), "{error}");
    assert_eq!(problems, [QuayProblem::Unreachable { step, reason: error.reason.clone() }]);
    error.reason
}

#[test]
fn reports_a_failed_dns_lookup() {
    let scene = Scene::new();
    let reason = assert_unreachable(
        server_info(&scene, options_for("https://quay.invalid", &scene)),
        ConnectionStage::Name,
    );
    assert!(reason.contains("lookup"), "{reason}");
}

#[test]
fn reports_refused_connection() {
    let scene = Scene::new();
    let port = scene.run(TcpListener::bind("127.0.0.1:0")).unwrap().local_addr().unwrap().port();
    let reason = assert_unreachable(
        server_info(&scene, options_for(&format!("https://127.0.0.1:{port}"), &scene)),
        ConnectionStage::Connect,
    );
    assert_eq!(reason, "Connection refused");
}

#[test]
fn limits_the_size_of_a_response() {
    let scene = Scene::new();
    let listener = scene.run(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    scene.runtime.spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = socket.read(&mut [0; 1024]).await;
                let _ = socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                while socket.write_all(&[b' '; 1 << 16]).await.is_ok() {}
            });
        }
    });
    let options =
        Options { insecure: true, timeout: Duration::from_secs(30), ..options_for(&url, &scene) };
    let (error, _) = server_info(&scene, options);
    assert!(error.reason.contains("larger than 32 MiB"), "{error}");
}

#[test]
fn reports_a_server_without_tls() {
    let scene = Scene::new();
    let listener = scene.run(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    // No response.
    let reason =
        assert_unreachable(server_info(&scene, options_for(&url, &scene)), ConnectionStage::Tls);
    assert_eq!(reason, "connection timed out");
    // A response in plain HTTP.
    scene.runtime.spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 1024]).await;
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let reason =
        assert_unreachable(server_info(&scene, options_for(&url, &scene)), ConnectionStage::Tls);
    assert_eq!(reason, "the server does not speak TLS");
}

#[test]
fn trusts_a_certificate_only_by_its_authority() {
    let scene = Scene::new();
    let other = Authority::new().unwrap().pem().as_bytes().to_vec();
    for ca in [None, Some(other)] {
        let (error, problems) = server_info(&scene, Options { ca, ..scene.options() });
        assert_eq!(error.kind, ErrorKind::Untrusted);
        assert_eq!(
            error.reason,
            "the certificate of 127.0.0.1 is signed by an authority that is not trusted here"
        );
        assert_eq!(problems, [QuayProblem::Untrusted { reason: error.reason }]);
    }
    assert_eq!(scene.requests(), 0);
    let client = Quay::new(Options { ca: None, insecure: true, ..scene.options() }).unwrap();
    scene.run(client.server_info()).unwrap();
}

#[test]
fn rejects_invalid_options() {
    let scene = Scene::new();
    let reject = |options: Options| Quay::new(options).unwrap_err();
    for token in ["", "abc\n", "abc def", "abc\r\nX-Evil: 1", "tökén"] {
        let error = reject(Options { token: Some(SecretString::from(token)), ..scene.options() });
        assert!(matches!(error, OptionsError::Token), "{token:?}");
        assert!(token.is_empty() || !error.to_string().contains(token));
    }
    let broken =
        "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
    for ca in [
        "",
        "not a certificate",
        "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
        broken,
    ] {
        let error = reject(Options { ca: Some(ca.into()), ..scene.options() });
        assert!(matches!(error, OptionsError::Ca(_)), "{ca}: {error}");
    }
    let http = || options_for("http://127.0.0.1:1", &scene);
    assert!(matches!(reject(http()), OptionsError::PlainHttp));
    Quay::new(Options { insecure: true, ..http() }).unwrap();
}

#[test]
fn skips_calls_after_a_timeout() {
    let scene = Scene::linked();
    scene.traffic().set_latency(Duration::from_secs(30));
    let client =
        Quay::new(Options { timeout: Duration::from_millis(400), ..scene.options() }).unwrap();
    let unread = scene.read(&client, ReadStrategy::Full).unwrap_err();
    assert_eq!(unread.kind, ReadErrorKind::Skipped);
    assert_eq!(
        client.problems(),
        [QuayProblem::Unreachable {
            step: ConnectionStage::Http,
            reason: "no response within 400ms".into()
        }]
    );
    scene.requests();
    for _ in 0..100 {
        scene.read(&client, ReadStrategy::Full).unwrap_err();
    }
    assert_eq!(scene.requests(), 0);
}

#[test]
fn retries_transient_failures_twice() {
    let faults: [AddFault; 4] = [
        |fault| fault.html(502),
        |fault| fault.html(503),
        |fault| fault.html(504),
        Fault::drop_before,
    ];
    in_parallel(faults, |fault| {
        let scene = Scene::linked();
        for (times, succeeds) in [(2, true), (3, false)] {
            scene.traffic().clear_faults();
            scene.traffic().fault(fault(Fault::on("GET", "/robots").times(times)));
            let client = scene.client();
            scene.run(client.server_info()).unwrap();
            scene.traffic().clear();
            let organization = scene.read(&client, ReadStrategy::Minimal).unwrap().unwrap();
            assert_eq!(organization.robots.is_ok(), succeeds);
            assert_eq!(scene.traffic().count("GET robots"), 3);
            assert!(organization.administered && organization.default_permissions.is_ok());
            assert_eq!(client.problems(), [], "one failed call is not a general problem");
        }
    });
}

#[test]
fn does_not_retry_permanent_failures() {
    let scene = Scene::linked();
    for (status, kind) in [
        (500, ReadErrorKind::Failed),
        (400, ReadErrorKind::Failed),
        (404, ReadErrorKind::Failed),
        (200, ReadErrorKind::Failed),
    ] {
        scene.traffic().clear_faults();
        scene.traffic().fault(Fault::on("GET", "/robots").html(status));
        let client = scene.client();
        let organization = scene.read(&client, ReadStrategy::Full).unwrap().unwrap();
        assert_eq!(organization.robots.unwrap_err().kind, kind, "{status}");
        assert_eq!(scene.traffic().count("GET robots"), 1, "{status}");
        scene.traffic().clear();
    }
}

#[test]
fn waits_as_long_as_retry_after_requests() {
    let scene = Scene::linked();
    scene
        .traffic()
        .fault(Fault::on("GET", "/config").times(1).status(429).header("Retry-After", "1"));
    let started = Instant::now();
    scene.run(scene.client().server_info()).unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn rate_limit_pauses_exclude_the_call_timeout() {
    for header in [Some("1".to_owned()), Some(http_date()), None] {
        let scene = Scene::linked();
        let fault = Fault::on("GET", "/config").times(4).html(429);
        scene
            .traffic()
            .fault(header.iter().fold(fault, |fault, value| fault.header("Retry-After", value)));
        let client =
            Quay::new(Options { timeout: Duration::from_millis(900), ..scene.options() }).unwrap();
        scene.run(client.server_info()).unwrap();
        assert_eq!(scene.requests(), 5, "{header:?}");
        assert_eq!(client.problems(), []);
    }
}

/// An HTTP date, two seconds from now.
fn http_date() -> String {
    let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap()
}

#[test]
fn one_timeout_fails_only_its_call() {
    let scene = Scene::linked();
    let client =
        Quay::new(Options { timeout: Duration::from_millis(500), ..scene.options() }).unwrap();
    scene.run(client.server_info()).unwrap();
    scene.traffic().fault(Fault::on("GET", "/robots").delay(Duration::from_secs(5)));
    let organization = scene.read(&client, ReadStrategy::Full).unwrap().unwrap();
    assert_eq!(organization.robots.unwrap_err().kind, ReadErrorKind::Failed);
    assert!(organization.default_permissions.is_ok() && client.outage().is_none());
    for _ in 0..3 {
        scene.run(client.robot_token(ORGANIZATION, ROBOTS[0])).unwrap_err();
    }
    assert!(client.outage().is_some(), "several consecutive timeouts are an outage");
}

#[test]
fn does_not_wait_an_hour_for_a_rate_limit() {
    let scene = Scene::linked();
    scene.traffic().fault(Fault::on("GET", "/config").status(429).header("Retry-After", "3600"));
    let client = Quay::new(Options { timeout: Duration::from_secs(1), ..scene.options() }).unwrap();
    assert_eq!(scene.run(client.server_info()).unwrap_err().kind, ErrorKind::RateLimited);
    assert_eq!(scene.requests(), 1);
}

/// A proxy of the simulated Quay, and the number of its connections.
async fn counting_port(target: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            let mut to = TcpStream::connect(&target).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    (url, count)
}

#[test]
fn one_http2_connection_serves_all_calls() {
    let scene = Scene::linked();
    let (url, connections) = scene.run(counting_port(scene.sandbox.quay.host()));
    let client = Quay::new(options_for(&url, &scene)).unwrap();
    scene.read(&client, ReadStrategy::Full).unwrap();
    let at_first = connections.load(Ordering::Relaxed);
    for _ in 0..5 {
        scene.read(&client, ReadStrategy::Full).unwrap();
        scene.run(futures::future::join_all(
            (0..20).map(|_| client.robot_token(ORGANIZATION, ROBOTS[0])),
        ));
    }
    assert_eq!(connections.load(Ordering::Relaxed), at_first);
}
