//! The build webhook, called by an API server.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use oc_quay::controller::webhook::{PATH, ReviewOutcome, Webhook, WebhookEvent, WebhookView};
use oc_quay::domain::builds::{DESTINATION_ANNOTATION, MANAGED_ANNOTATION};
use oc_quay::domain::integration::{Integration, Source, Sourced};
use oc_quay::domain::names::{ClusterId, QuayUrl};
use oc_quay::domain::scope::Scope;
use sandbox::tls::Authority;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::TestEnv;

/// Every service account except `robot` has a push secret.
struct FakeView {
    integration: Arc<Integration>,
}

impl WebhookView for FakeView {
    fn integration(&self) -> Option<Arc<Integration>> {
        Some(Arc::clone(&self.integration))
    }

    fn scope(&self, namespace: &str) -> Option<Scope> {
        Some(Scope::of(namespace, false, None))
    }

    fn has_push_secret(&self, _namespace: &str, service_account: &str) -> bool {
        service_account != "robot"
    }
}

impl FakeView {
    fn new(env: &TestEnv) -> Self {
        let source = Source::Resource("quay".into());
        let integration = Integration {
            url: Sourced {
                value: QuayUrl::parse(&env.sandbox.quay.url()).unwrap().0,
                source: source.clone(),
            },
            cluster_id: Sourced { value: ClusterId::new("openshift"), source },
            resource: None,
            lists_unread: false,
            insecure: false,
            cluster: "api.example.com:6443".into(),
        };
        Self { integration: Arc::new(integration) }
    }
}

fn build(name: &str, output: &Value) -> Value {
    json!({
        "apiVersion": "build.openshift.io/v1", "kind": "Build", "metadata": { "name": name, "namespace": "shop" },
        "spec": { "source": { "dockerfile": "FROM scratch" }, "strategy": { "dockerStrategy": {} }, "output": output },
    })
}

#[test]
fn api_server_calls_webhook_for_new_builds() {
    let env = TestEnv::new();
    let authority = Authority::new().unwrap();
    authority.write_server_files(&["127.0.0.1"], env.dir()).unwrap();
    let (view, outcomes) = (Arc::new(FakeView::new(&env)), Arc::new(Mutex::new(Vec::new())));
    let recorded = Arc::clone(&outcomes);
    let observer = Arc::new(move |event: &WebhookEvent| {
        if let WebhookEvent::Reviewed { outcome, .. } = event {
            recorded.lock().unwrap().push(*outcome);
        }
    });
    let webhook = Webhook::new(env.dir(), view.clone(), observer).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("https://{}{PATH}", listener.local_addr().unwrap());
    runtime.spawn(webhook.serve(listener));
    env.webhook(&url, &authority);

    // A real API server needs time to load the webhook.
    let image = |name: &str| format!("{}/openshift_shop/{name}", env.sandbox.quay.host());
    env.build_config(
        "shop",
        "app",
        &json!({ "to": { "kind": "ImageStreamTag", "name": "app:1.0" } }),
    );
    let name = Cell::new(String::new());
    env.wait_for("the webhook to be called", || {
        name.set(env.start_build("shop", "app"));
        !outcomes.lock().unwrap().is_empty()
    });
    let started = env.get("Build", "shop", &name.take()).unwrap();
    assert_eq!(
        started["spec"]["output"],
        json!({ "to": { "kind": "DockerImage", "name": image("app:1.0") } })
    );
    let annotations = &started["metadata"]["annotations"];
    assert_eq!(
        (&annotations[MANAGED_ANNOTATION], &annotations[DESTINATION_ANNOTATION]),
        (&json!("true"), &json!("shop/app:1.0"))
    );
    assert_eq!(annotations["openshift.io/build-config.name"], "app");

    // No tag, no annotations, and a push secret of another registry.
    let output = json!({ "to": { "kind": "ImageStreamTag", "name": "web" }, "pushSecret": { "name": "builder-dockercfg-x" } });
    let created = env.create(&build("by-hand", &output));
    let pushed = json!({ "to": { "kind": "DockerImage", "name": image("web:latest") }, "pushSecret": { "name": "builder-quay-openshift" } });
    assert_eq!(created["spec"]["output"], pushed);
    assert_eq!(
        created["metadata"]["annotations"],
        json!({ MANAGED_ANNOTATION: "true", DESTINATION_ANNOTATION: "shop/web:latest" })
    );
    env.merge(
        "Build",
        "shop",
        "by-hand",
        &json!({ "metadata": { "labels": { "touched": "true" } } }),
    );

    let mut unlinked =
        build("unlinked", &json!({ "to": { "kind": "ImageStreamTag", "name": "app:1" } }));
    unlinked["spec"]["serviceAccount"] = json!("robot");
    assert_eq!(env.create(&unlinked)["spec"]["output"], unlinked["spec"]["output"]);
    assert!(outcomes.lock().unwrap().contains(&ReviewOutcome::NotLinked));
}
