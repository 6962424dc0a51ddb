//! Admission webhooks: asked over TLS about what their rules name, and what comes of their answers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::openshift::classify;
use sandbox::tls::Authority;
use sandbox::traffic::{Server, Traffic, serve};
use serde_json::{Value, json};

use super::{Answer, Api};

const BUILDS: &str = "/apis/build.openshift.io/v1/namespaces/myproj/builds";
const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// A cluster with a webhook for new builds, which answers every review with what it was told last.
struct Stage {
    api: Api,
    authority: Authority,
    reviews: Arc<Mutex<Vec<Value>>>,
    response: Arc<Mutex<Value>>,
    traffic: Traffic,
    server: Server,
    builds: usize,
}

impl Stage {
    fn new() -> Self {
        let api = Api::asleep();
        let authority = Authority::new().unwrap();
        let (reviews, response) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Value::Null)));
        let router = {
            let (reviews, response) = (Arc::clone(&reviews), Arc::clone(&response));
            Router::new().route(
                "/review",
                post(move |Json(review): Json<Value>| async move {
                    let mut answer = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"});
                    answer["response"] = response.lock().unwrap().clone();
                    answer["response"]["uid"] = review["request"]["uid"].clone();
                    reviews.lock().unwrap().push(review["request"].clone());
                    Json(answer)
                }),
            )
        };
        let (tls, traffic) = (authority.server_config(false, false).unwrap(), Traffic::default());
        let server = api.runtime.block_on(serve(router, classify, tls, traffic.clone())).unwrap();
        Self { api, authority, reviews, response, traffic, server, builds: 0 }
    }

    /// Registers the webhook for new builds, with some fields set to something else.
    fn register(&self, fields: &Value) -> Answer {
        let mut webhook = json!({
            "name": "builds.example.com",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": format!("{}/review", self.server.url), "caBundle": STANDARD.encode(self.authority.pem())},
            "rules": [{"operations": ["CREATE"], "apiGroups": ["build.openshift.io"], "apiVersions": ["v1"], "resources": ["builds"]}],
            "sideEffects": "None",
        });
        for (field, value) in fields.as_object().unwrap() {
            webhook[field] = value.clone();
        }
        self.api.call("admin", "DELETE", &format!("{CONFIGURATIONS}/hook"));
        self.api.send_json("POST", CONFIGURATIONS, &json!({"metadata": {"name": "hook"}, "webhooks": [webhook]}))
    }

    /// Creates a build; the answer to it, and whether the webhook was asked.
    fn build(&mut self, response: &Value) -> (Answer, bool) {
        *self.response.lock().unwrap() = response.clone();
        self.reviews.lock().unwrap().clear();
        self.builds += 1;
        let build = json!({
            "metadata": {"name": format!("app-{}", self.builds)},
            "spec": {
                "source": {"type": "Dockerfile", "dockerfile": "FROM scratch"},
                "strategy": {"type": "Docker", "dockerStrategy": {}},
                "output": {},
            },
        });
        let answer = self.api.send_json("POST", BUILDS, &build);
        let asked = !self.reviews.lock().unwrap().is_empty();
        (answer, asked)
    }
}

fn patch(operations: &Value) -> Value {
    json!({"allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(operations.to_string()), "warnings": ["look out"]})
}

#[test]
fn what_a_webhook_says_is_applied_before_an_object_is_stored() {
    let mut stage = Stage::new();
    stage.register(&json!({})).expect(
        201,
        &json!({"webhooks": [{
            "name": "builds.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"url": format!("{}/review", stage.server.url), "caBundle": STANDARD.encode(stage.authority.pem())},
            "rules": [{
                "operations": ["CREATE"], "apiGroups": ["build.openshift.io"], "apiVersions": ["v1"], "resources": ["builds"],
                "scope": "*",
            }],
            "failurePolicy": "Fail", "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
            "reinvocationPolicy": "Never", "timeoutSeconds": 10,
        }]}),
    );
    let operations = json!([{"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}]);
    let (answer, _) = stage.build(&patch(&operations));
    assert_eq!(answer.headers["warning"], "299 - \"look out\"");
    answer.expect(201, &json!({"metadata": {"annotations": {"a": "b"}}}));
    let review = stage.reviews.lock().unwrap()[0].clone();
    assert_eq!(review["userInfo"]["username"], "admin");
    assert_eq!(
        (&review["operation"], &review["namespace"], &review["dryRun"]),
        (&json!("CREATE"), &json!("myproj"), &json!(false))
    );
    assert_eq!(review["resource"], json!({"group": "build.openshift.io", "version": "v1", "resource": "builds"}));
    assert_eq!(review["object"]["metadata"]["namespace"], "myproj");

    // The same through a service, whichever port it listens on.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, stage.server.port));
    stage.api.sandbox.openshift.serve_service("tools", "hook", address);
    let service = json!({"namespace": "tools", "name": "hook", "path": "/review"});
    stage.register(&json!({"clientConfig": {"service": service, "caBundle": STANDARD.encode(stage.authority.pem())}}));
    let (answer, _) = stage.build(&patch(&operations));
    answer.expect(201, &json!({"metadata": {"annotations": {"a": "b"}}}));

    // An update is not among its rules until it is.
    let (path, change) = (format!("{BUILDS}/app-1"), json!({"metadata": {"labels": {"c": "d"}}}));
    stage.reviews.lock().unwrap().clear();
    stage.api.patch("merge", &path, &change).expect(200, &json!({"metadata": {"annotations": {"a": "b"}}}));
    assert!(stage.reviews.lock().unwrap().is_empty());
    stage.register(&json!({"rules": [
        {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "scope": "Namespaced"},
    ]}));
    let operations =
        json!([{"op": "replace", "path": "/spec/output", "value": {"to": {"kind": "DockerImage", "name": "q/a/b"}}}]);
    *stage.response.lock().unwrap() = patch(&operations);
    let immutable = stage.api.patch("merge", &path, &json!({"metadata": {"labels": {"c": "e"}}}));
    assert_eq!(immutable.status, 422, "{}", immutable.body);
    let review = stage.reviews.lock().unwrap()[0].clone();
    assert_eq!((&review["operation"], &review["oldObject"]["metadata"]["labels"]["c"]), (&json!("UPDATE"), &json!("d")));
}

#[test]
fn a_webhook_is_asked_about_the_namespaces_and_objects_that_it_selects() {
    let mut stage = Stage::new();
    let allowed = json!({"allowed": true});
    let by_name = |operator: &str| {
        let expression = json!({"key": "kubernetes.io/metadata.name", "operator": operator, "values": ["myproj"]});
        json!({"matchExpressions": [expression]})
    };
    for (selectors, is_asked) in [
        (json!({"namespaceSelector": by_name("In")}), true),
        (json!({"namespaceSelector": by_name("NotIn")}), false),
        (json!({"namespaceSelector": {"matchLabels": {"team": "web"}}}), false),
        (json!({"objectSelector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}}), true),
        (json!({"objectSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}), false),
        (json!({"rules": []}), false),
    ] {
        stage.register(&selectors).expect(201, &json!({}));
        let (answer, asked) = stage.build(&allowed);
        answer.expect(201, &json!({}));
        assert_eq!(asked, is_asked, "{selectors}");
    }
}

#[test]
fn a_webhook_that_denies_or_fails_is_told_in_kubernetes_words() {
    let mut stage = Stage::new();
    stage.register(&json!({}));
    let denied = "admission webhook \"builds.example.com\" denied the request: not today";
    let (answer, _) = stage.build(&json!({"allowed": false, "status": {"message": "not today", "code": 403}}));
    answer.expect(403, &json!({"message": denied}));

    let service = |name: &str| json!({"clientConfig": {"service": {"namespace": "tools", "name": name, "path": "/review"}}});
    let untrusted = json!({"clientConfig": {
        "url": format!("{}/review", stage.server.url), "caBundle": STANDARD.encode(Authority::new().unwrap().pem()),
    }});
    let url = format!("Post \"{}/review?timeout=10s\"", stage.server.url);
    let x509 = "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    for (fields, why) in [
        (service("nobody"), "Post \"https://nobody.tools.svc:443/review?timeout=10s\": service \"nobody\" not found".to_owned()),
        (untrusted, format!("{url}: {x509}")),
    ] {
        stage.register(&fields);
        let (answer, _) = stage.build(&json!({"allowed": true}));
        let message =
            format!("Internal error occurred: failed calling webhook \"builds.example.com\": failed to call webhook: {why}");
        answer.refused(500, "InternalError", &message);

        let mut lenient = fields;
        lenient["failurePolicy"] = json!("Ignore");
        stage.register(&lenient);
        let (answer, asked) = stage.build(&json!({"allowed": true}));
        answer.expect(201, &json!({}));
        assert!(!asked);
    }
}

#[test]
fn a_webhook_that_takes_too_long_is_not_waited_for() {
    let mut stage = Stage::new();
    stage.register(&json!({"timeoutSeconds": 1}));
    stage.traffic.set_latency(Duration::from_secs(60));
    let (answer, asked) = stage.build(&json!({"allowed": true}));
    assert!(asked);
    let why = format!("Post \"{}/review?timeout=1s\": context deadline exceeded", stage.server.url);
    let message =
        format!("Internal error occurred: failed calling webhook \"builds.example.com\": failed to call webhook: {why}");
    answer.refused(500, "InternalError", &message);
}

#[test]
fn a_configuration_that_could_never_work_is_refused() {
    let stage = Stage::new();
    for (fields, words) in [
        (json!({"name": "builds"}), "should be a domain with at least three segments"),
        (json!({"admissionReviewVersions": []}), "must specify one of v1, v1beta1"),
        (json!({"sideEffects": null}), "must specify one of None, NoneOnDryRun"),
        (json!({"sideEffects": "Some"}), "supported values: \"None\", \"NoneOnDryRun\""),
        (json!({"timeoutSeconds": 31}), "the timeout value must be between 1 and 30 seconds"),
        (json!({"clientConfig": {}}), "exactly one of url or service is required"),
        (json!({"clientConfig": {"url": "http://127.0.0.1"}}), "'https' is the only allowed URL scheme"),
    ] {
        let answer = stage.register(&fields);
        let message = answer.body["message"].as_str().unwrap();
        assert!(answer.status == 422 && message.contains(words), "{fields}: {message}");
    }
}
