//! A webhook whose behavior depends on its path.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Path;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::openshift::classify;
use sandbox::tls::Authority;
use sandbox::traffic::{Server, Traffic, serve};
use serde_json::{Value, json};

pub(crate) struct Hook {
    authority: Authority,
    server: Server,
    reviews: Arc<Mutex<Vec<Value>>>,
}

impl Hook {
    pub(crate) async fn serve() -> Self {
        let authority = Authority::new().unwrap();
        let reviews = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&reviews);
        let answer = post(move |Path(behavior): Path<String>, Json(review): Json<Value>| {
            let mut request = review["request"].clone();
            // Groups depend on how the server was started.
            let user = request["userInfo"]["username"].take();
            request["userInfo"] = json!({"username": user});
            kept.lock().unwrap().push(request);
            answer(behavior, review)
        });
        let tls = authority.server_config(false, false).unwrap();
        let router = Router::new().route("/{behavior}", answer);
        let server = serve(router, classify, tls, Traffic::default()).await.unwrap();
        Self { authority, server, reviews }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url.clone()
    }

    pub(crate) fn ca_bundle(&self) -> String {
        STANDARD.encode(self.authority.pem())
    }

    /// The reviews since the last call.
    pub(crate) fn take(&self) -> Value {
        Value::Array(std::mem::take(&mut *self.reviews.lock().unwrap()))
    }
}

async fn answer(behavior: String, review: Value) -> Json<Value> {
    let patch = |operations: Value| {
        let patch = STANDARD.encode(operations.to_string());
        json!({"allowed": true, "patchType": "JSONPatch", "patch": patch, "warnings": ["look out"]})
    };
    let mut response = match behavior.as_str() {
        "patch" => {
            patch(json!([{"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}]))
        }
        "deny" => json!({"allowed": false, "status": {"message": "not today", "code": 403}}),
        "slow" => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            json!({"allowed": true})
        }
        _ => json!({"allowed": true}),
    };
    response["uid"] = review["request"]["uid"].clone();
    Json(
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}),
    )
}
