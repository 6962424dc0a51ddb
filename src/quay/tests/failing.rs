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

fn about(scene: &Scene, options: Options) -> (QuayError, Vec<QuayProblem>) {
    let client = Quay::new(options).unwrap();
    let error = scene.run(client.about()).unwrap_err();
    (error, client.troubles())
}

fn at(url: &str, scene: &Scene) -> Options {
    Options {
        url: QuayUrl::parse(url).unwrap().0,
        timeout: Duration::from_secs(3),
        ..scene.options()
    }
}

fn assert_unreachable(
    (error, troubles): (QuayError, Vec<QuayProblem>),
    step: ConnectionStage,
) -> String {
    assert_eq!(error.kind, ErrorKind::Unreachable(step), "{error}");
    assert_eq!(troubles, [QuayProblem::Unreachable { step, reason: error.reason.clone() }]);
    error.reason
}

#[test]
fn a_name_that_does_not_resolve_stops_at_the_name() {
    let scene = Scene::new();
    let reason = assert_unreachable(
        about(&scene, at("https://quay.invalid", &scene)),
        ConnectionStage::Name,
    );
    assert!(reason.contains("lookup"), "{reason}");
}

#[test]
fn a_closed_port_stops_at_the_connection() {
    let scene = Scene::new();
    let port = scene.run(TcpListener::bind("127.0.0.1:0")).unwrap().local_addr().unwrap().port();
    let reason = assert_unreachable(
        about(&scene, at(&format!("https://127.0.0.1:{port}"), &scene)),
        ConnectionStage::Connect,
    );
    assert_eq!(reason, "Connection refused");
}

#[test]
fn reads_no_answer_without_an_end() {
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
    let options = Options { insecure: true, timeout: Duration::from_secs(30), ..at(&url, &scene) };
    let (error, _) = about(&scene, options);
    assert!(error.reason.contains("larger than 32 MiB"), "{error}");
}

#[test]
fn who_does_not_speak_tls_stops_there() {
    let scene = Scene::new();
    let listener = scene.run(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    // Nobody answers at all.
    let reason = assert_unreachable(about(&scene, at(&url, &scene)), ConnectionStage::Tls);
    assert_eq!(reason, "no connection in time");
    // Somebody answers in plain HTTP.
    scene.runtime.spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 1024]).await;
            let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let reason = assert_unreachable(about(&scene, at(&url, &scene)), ConnectionStage::Tls);
    assert_eq!(reason, "what answers there does not speak TLS");
}

#[test]
fn a_certificate_is_trusted_only_by_its_authority() {
    let scene = Scene::new();
    let other = Authority::new().unwrap().pem().as_bytes().to_vec();
    for ca in [None, Some(other)] {
        let (error, troubles) = about(&scene, Options { ca, ..scene.options() });
        assert_eq!(error.kind, ErrorKind::Untrusted);
        assert_eq!(
            error.reason,
            "the certificate of 127.0.0.1 is signed by an authority that is not trusted here"
        );
        assert_eq!(troubles, [QuayProblem::Untrusted { reason: error.reason }]);
    }
    assert_eq!(scene.requests(), 0);
    let client = Quay::new(Options { ca: None, insecure: true, ..scene.options() }).unwrap();
    scene.run(client.about()).unwrap();
}

#[test]
fn options_that_can_only_fail_are_refused_at_once() {
    let scene = Scene::new();
    let refuse = |options: Options| Quay::new(options).unwrap_err();
    for token in ["", "abc\n", "abc def", "abc\r\nX-Evil: 1", "tökén"] {
        let error = refuse(Options { token: Some(SecretString::from(token)), ..scene.options() });
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
        let error = refuse(Options { ca: Some(ca.into()), ..scene.options() });
        assert!(matches!(error, OptionsError::Ca(_)), "{ca}: {error}");
    }
    let http = || at("http://127.0.0.1:1", &scene);
    assert!(matches!(refuse(http()), OptionsError::PlainHttp));
    Quay::new(Options { insecure: true, ..http() }).unwrap();
}

#[test]
fn a_quay_that_does_not_answer_in_time_is_not_asked_again() {
    let scene = Scene::linked();
    scene.traffic().set_latency(Duration::from_secs(30));
    let client =
        Quay::new(Options { timeout: Duration::from_millis(400), ..scene.options() }).unwrap();
    let unread = scene.read(&client, ReadStrategy::Full).unwrap_err();
    assert_eq!(unread.kind, ReadErrorKind::Skipped);
    assert_eq!(
        client.troubles(),
        [QuayProblem::Unreachable {
            step: ConnectionStage::Http,
            reason: "no answer within 400ms".into()
        }]
    );
    scene.requests();
    for _ in 0..100 {
        scene.read(&client, ReadStrategy::Full).unwrap_err();
    }
    assert_eq!(scene.requests(), 0);
}

#[test]
fn what_may_pass_is_tried_three_times() {
    let faults: [Harm; 4] = [
        |fault| fault.html(502),
        |fault| fault.html(503),
        |fault| fault.html(504),
        Fault::drop_before,
    ];
    at_once(faults, |fault| {
        let scene = Scene::linked();
        for (times, works) in [(2, true), (3, false)] {
            scene.traffic().clear_faults();
            scene.traffic().fault(fault(Fault::on("GET", "/robots").times(times)));
            let client = scene.client();
            scene.run(client.about()).unwrap();
            scene.traffic().clear();
            let organization = scene.read(&client, ReadStrategy::Minimal).unwrap().unwrap();
            assert_eq!(organization.robots.is_ok(), works);
            assert_eq!(scene.traffic().count("GET robots"), 3);
            assert!(organization.administered && organization.default_permissions.is_ok());
            assert_eq!(client.troubles(), [], "one bad call is not a trouble of all");
        }
    });
}

#[test]
fn what_will_not_pass_is_tried_once() {
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
fn a_pause_that_the_server_asks_for_is_kept() {
    let scene = Scene::linked();
    scene
        .traffic()
        .fault(Fault::on("GET", "/config").times(1).status(429).header("Retry-After", "1"));
    let started = Instant::now();
    scene.run(scene.client().about()).unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn waits_out_a_limit_for_longer_than_the_time_of_a_call() {
    for header in [Some("1".to_owned()), Some(in_a_moment()), None] {
        let scene = Scene::linked();
        let fault = Fault::on("GET", "/config").times(4).html(429);
        scene
            .traffic()
            .fault(header.iter().fold(fault, |fault, value| fault.header("Retry-After", value)));
        let client =
            Quay::new(Options { timeout: Duration::from_millis(900), ..scene.options() }).unwrap();
        scene.run(client.about()).unwrap();
        assert_eq!(scene.requests(), 5, "{header:?}");
        assert_eq!(client.troubles(), []);
    }
}

/// A date as HTTP has it, two seconds from now.
fn in_a_moment() -> String {
    let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap()
}

#[test]
fn a_slow_answer_fails_its_call_and_no_other() {
    let scene = Scene::linked();
    let client =
        Quay::new(Options { timeout: Duration::from_millis(500), ..scene.options() }).unwrap();
    scene.run(client.about()).unwrap();
    scene.traffic().fault(Fault::on("GET", "/robots").delay(Duration::from_secs(5)));
    let organization = scene.read(&client, ReadStrategy::Full).unwrap().unwrap();
    assert_eq!(organization.robots.unwrap_err().kind, ReadErrorKind::Failed);
    assert!(organization.default_permissions.is_ok() && client.outage().is_none());
    for _ in 0..3 {
        scene.run(client.robot_token(ORGANIZATION, ROBOTS[0])).unwrap_err();
    }
    assert!(client.outage().is_some(), "several in a row mean that it is down");
}

#[test]
fn waits_for_no_limit_that_lasts_for_an_hour() {
    let scene = Scene::linked();
    scene.traffic().fault(Fault::on("GET", "/config").status(429).header("Retry-After", "3600"));
    let client = Quay::new(Options { timeout: Duration::from_secs(1), ..scene.options() }).unwrap();
    assert_eq!(scene.run(client.about()).unwrap_err().kind, ErrorKind::RateLimited);
    assert_eq!(scene.requests(), 1);
}

/// A port that leads to the stand-in, and how many connections came through it.
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
    let client = Quay::new(at(&url, &scene)).unwrap();
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
