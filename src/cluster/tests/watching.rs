use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use sandbox::manifests;
use serde_json::json;

use super::Stage;

/// Whether something comes, however long that takes on a busy machine.
async fn yields(changes: &mut (impl Stream<Item = ()> + Unpin)) -> bool {
    tokio::time::timeout(Duration::from_secs(30), changes.next()).await.is_ok()
}

/// Whether nothing comes for a while.
async fn rests(changes: &mut (impl Stream<Item = ()> + Unpin)) -> bool {
    tokio::time::timeout(Duration::from_millis(1500), changes.next()).await.is_err()
}

#[test]
fn every_change_of_what_matters_wakes_and_nothing_else_does() {
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
        openshift.create(secret("login", "kubernetes.io/dockerconfigjson"));
        assert!(yields(&mut changes).await, "a secret with logins");
        openshift.delete("Secret", "myproj", "login");
        assert!(yields(&mut changes).await, "a secret that goes");
        Stage::modify(openshift, "ServiceAccount", "myproj", "builder", |account| {
            account["metadata"]["annotations"]["oc-quay/role"] = json!("write");
        });
        assert!(yields(&mut changes).await, "a service account");
        openshift.create(secret("other", "Opaque"));
        openshift.create(manifests::namespace("elsewhere"));
        assert!(rests(&mut changes).await, "another type, another namespace");
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
