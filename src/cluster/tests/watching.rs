use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use sandbox::manifests;
use serde_json::json;

use super::Stage;

/// Waits long enough for a busy machine.
async fn yields(changes: &mut (impl Stream<Item = ()> + Unpin)) -> bool {
    tokio::time::timeout(Duration::from_secs(30), changes.next()).await.is_ok()
}

async fn is_silent(changes: &mut (impl Stream<Item = ()> + Unpin)) -> bool {
    tokio::time::timeout(Duration::from_millis(1500), changes.next()).await.is_err()
}

#[test]
fn reports_relevant_changes_only() {
    let stage = Stage::new();
    let cluster = stage.cluster("dev");
    let openshift = stage.openshift();
    let secret = |name: &str, kind: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": { "name": name, "namespace": "myproj" },
            "stringData": { ".dockerconfigjson": r#"{"auths":{}}"# },
        })
    };
    stage.run(async {
        let mut changes = pin!(cluster.watch("myproj"));
        for kind in ["service accounts", "image streams", "secrets"] {
            assert!(yields(&mut changes).await, "the watch of one of the kinds starts: {kind}");
        }
        openshift.create(manifests::image_stream("myproj", "app"));
        assert!(yields(&mut changes).await, "an image stream");
        openshift.create(secret("registry", "kubernetes.io/dockerconfigjson"));
        assert!(yields(&mut changes).await, "a registry secret");
        openshift.delete("Secret", "myproj", "registry");
        assert!(yields(&mut changes).await, "a deleted secret");
        Stage::modify(openshift, "ServiceAccount", "myproj", "builder", |account| {
            account["metadata"]["annotations"]["oc-quay/role"] = json!("write");
        });
        assert!(yields(&mut changes).await, "a service account");
        openshift.create(secret("other", "Opaque"));
        openshift.create(manifests::namespace("elsewhere"));
        assert!(is_silent(&mut changes).await, "another type, another namespace");
    });
    assert!(
        stage
            .openshift()
            .traffic()
            .entries()
            .iter()
            .all(|entry| entry.path.contains("/namespaces/myproj/"))
    );
}
