//! Any bytes are reviewed without a panic; a patch that is answered fits, and after it there is nothing left to patch.
#![no_main]

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use oc_quay::domain::integration::{Integration, Setting, Source};
use oc_quay::domain::names::{ClusterId, QuayUrl};
use oc_quay::domain::scope::Scope;
use oc_quay::controller::webhook::{View, review};
use serde_json::Value;

/// Namespaces of more than six letters are unknown, and so is nothing else.
struct Known;

static INTEGRATION: LazyLock<Arc<Integration>> = LazyLock::new(|| {
    let source = Source::Resource("quay".into());
    Arc::new(Integration {
        url: Setting { value: QuayUrl::parse("https://quay.example.com").unwrap().0, source: source.clone() },
        cluster_id: Setting { value: ClusterId::new("openshift"), source },
        resource: None,
        lists_unread: false,
        insecure: false,
        cluster: "api.example.com:6443".into(),
    })
});

impl View for Known {
    fn integration(&self) -> Option<Arc<Integration>> {
        Some(Arc::clone(&INTEGRATION))
    }

    fn scope(&self, namespace: &str) -> Option<Scope> {
        (namespace.len() <= 6).then(|| Scope::of(namespace, false, None))
    }

    fn can_push(&self, _namespace: &str, service_account: &str) -> bool {
        service_account == "builder"
    }
}

/// The patch in an answer.
fn patch(body: &[u8]) -> Option<json_patch::Patch> {
    let answer: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(answer["response"]["allowed"], true);
    let patch = STANDARD.decode(answer["response"]["patch"].as_str()?).unwrap();
    Some(serde_json::from_slice(&patch).unwrap())
}

fuzz_target!(|body: &[u8]| {
    let Ok(answer) = review(body, &Known) else { return };
    let Some(operations) = patch(&answer.body) else { return };
    // What a review has besides is passed over, and may be no text.
    let Ok(mut request) = serde_json::from_slice::<Value>(body) else { return };
    json_patch::patch(&mut request["request"]["object"], &operations).unwrap();
    let again = review(request.to_string().as_bytes(), &Known).unwrap();
    assert_eq!(patch(&again.body), None);
});
