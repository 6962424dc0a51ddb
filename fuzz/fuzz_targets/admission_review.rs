//! A review of any bytes does not panic, its patch applies, and a second review has no patch.
#![no_main]

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use oc_quay::domain::integration::{Integration, Source, Sourced};
use oc_quay::domain::names::{ClusterId, QuayUrl};
use oc_quay::domain::scope::Scope;
use oc_quay::controller::webhook::{WebhookView, review};
use serde_json::Value;

/// Namespaces with more than six characters are unknown.
struct FakeView;

static INTEGRATION: LazyLock<Arc<Integration>> = LazyLock::new(|| {
    let source = Source::Resource("quay".into());
    Arc::new(Integration {
        url: Sourced { value: QuayUrl::parse("https://quay.example.com").unwrap().0, source: source.clone() },
        cluster_id: Sourced { value: ClusterId::new("openshift"), source },
        resource: None,
        lists_unread: false,
        insecure: false,
        cluster: "api.example.com:6443".into(),
    })
});

impl WebhookView for FakeView {
    fn integration(&self) -> Option<Arc<Integration>> {
        Some(Arc::clone(&INTEGRATION))
    }

    fn scope(&self, namespace: &str) -> Option<Scope> {
        (namespace.len() <= 6).then(|| Scope::of(namespace, false, None))
    }

    fn has_push_secret(&self, _namespace: &str, service_account: &str) -> bool {
        service_account == "builder"
    }
}

/// The patch of a response.
fn patch(body: &[u8]) -> Option<json_patch::Patch> {
    let answer: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(answer["response"]["allowed"], true);
    let patch = STANDARD.decode(answer["response"]["patch"].as_str()?).unwrap();
    Some(serde_json::from_slice(&patch).unwrap())
}

fuzz_target!(|body: &[u8]| {
    let Ok(answer) = review(body, &FakeView) else { return };
    let Some(operations) = patch(&answer.body) else { return };
    // Unused fields of a review might not be text.
    let Ok(mut request) = serde_json::from_slice::<Value>(body) else { return };
    json_patch::patch(&mut request["request"]["object"], &operations).unwrap();
    let again = review(request.to_string().as_bytes(), &FakeView).unwrap();
    assert_eq!(patch(&again.body), None);
});
