//! Latency of the build webhook.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use oc_quay::controller::webhook::{PATH, Webhook, WebhookEvent, WebhookView};
use oc_quay::domain::integration::{Integration, Source, Sourced};
use oc_quay::domain::names::{ClusterId, QuayUrl};
use oc_quay::domain::scope::Scope;
use parking_lot::Mutex;
use reqwest::{Certificate, Client};
use sandbox::tls::Authority;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

/// Time between two reviews: 1,000 per second.
const INTERVAL: Duration = Duration::from_millis(1);

const REVIEWS: u32 = 3_000;

/// About as many connections as an API server keeps.
const CONNECTIONS: usize = 16;

/// Every service account has a push secret.
struct FakeView(Arc<Integration>);

impl WebhookView for FakeView {
    fn integration(&self) -> Option<Arc<Integration>> {
        Some(Arc::clone(&self.0))
    }

    fn scope(&self, namespace: &str) -> Option<Scope> {
        Some(Scope::of(namespace, false, None))
    }

    fn has_push_secret(&self, _namespace: &str, _service_account: &str) -> bool {
        true
    }
}

pub(super) fn latency() -> Result<()> {
    println!("\nThe webhook at 1,000 reviews per second (goal: p99 well under 1 ms inside)\n");
    let folder = tempfile::tempdir()?;
    let authority = Authority::new()?;
    authority.write_server_files(&["127.0.0.1"], folder.path())?;
    let inside = Arc::new(Mutex::new(Vec::new()));
    let times = Arc::clone(&inside);
    let observer = Arc::new(move |event: &WebhookEvent| {
        if let WebhookEvent::Reviewed { took, .. } = event {
            times.lock().push(*took);
        }
    });
    let webhook =
        Webhook::new(folder.path(), Arc::new(FakeView(Arc::new(integration()?))), observer)
            .map_err(anyhow::Error::msg)?;
    let ca = Certificate::from_pem(authority.pem().as_bytes())?;
    let client = Client::builder().tls_certs_only([ca]).no_proxy().build()?;
    let mut outside = tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://{}{PATH}", listener.local_addr()?);
        tokio::spawn(webhook.serve(listener));
        load(&client, &url).await
    })?;
    let mut inside = inside.lock();
    print("inside the webhook", &mut inside);
    print("over TLS, from scheduled time", &mut outside);
    Ok(())
}

fn integration() -> Result<Integration> {
    let source = Source::Resource("quay".into());
    let url = QuayUrl::parse("https://quay.example.com").map_err(anyhow::Error::msg)?.0;
    Ok(Integration {
        url: Sourced { value: url, source: source.clone() },
        cluster_id: Sourced { value: ClusterId::new("openshift"), source },
        resource: None,
        lists_unread: false,
        insecure: false,
        cluster: "api.example.com:6443".into(),
    })
}

/// Sends reviews on schedule, whether or not earlier ones were answered. Waiting for a connection
/// counts.
async fn load(client: &Client, url: &str) -> Result<Vec<Duration>> {
    let body = review().to_string();
    let (sender, receiver) = mpsc::unbounded_channel::<Instant>();
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (client, url, body, receiver) =
            (client.clone(), url.to_owned(), body.clone(), Arc::clone(&receiver));
        connections.spawn(async move {
            let mut times = Vec::new();
            loop {
                let Some(due) = receiver.lock().await.recv().await else { return Ok(times) };
                let answer = client.post(&url).body(body.clone()).send().await?.text().await?;
                ensure!(answer.contains("JSONPatch"), "{answer}");
                times.push(Instant::now().saturating_duration_since(due));
            }
        });
    }
    let start = Instant::now() + Duration::from_millis(100);
    for number in 0..REVIEWS {
        let due = start + INTERVAL * number;
        sleep_until(due.into()).await;
        sender.send(due)?;
    }
    drop(sender);
    let times = connections
        .join_all()
        .await
        .into_iter()
        .collect::<Result<Vec<_>>>()
        .context("a review failed")?;
    Ok(times.concat())
}

fn review() -> serde_json::Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "namespace": "shop", "name": "app-1",
            "resource": { "group": "build.openshift.io", "version": "v1", "resource": "builds" },
            "object": {
                "apiVersion": "build.openshift.io/v1", "kind": "Build",
                "metadata": { "name": "app-1", "namespace": "shop", "annotations": { "openshift.io/build.number": "1" } },
                "spec": {
                    "serviceAccount": "builder",
                    "source": { "type": "Git", "git": { "uri": "https://git.example.com/shop/app.git", "ref": "main" } },
                    "strategy": { "type": "Source", "sourceStrategy": { "from": { "kind": "DockerImage", "name": "a/b" } } },
                    "output": { "to": { "kind": "ImageStreamTag", "name": "app:latest" } },
                },
            },
        },
    })
}

fn print(label: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: f64| {
        times
            .get((times.len() as f64 * share) as usize)
            .map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    println!(
        "{label:34}p50 {:6.3} ms   p99 {:6.3} ms   p99.9 {:6.3} ms",
        at(0.5),
        at(0.99),
        at(0.999)
    );
}
