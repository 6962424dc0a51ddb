//! Smoke test of the real API server: start, default objects, rejections and reset.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod builds;
mod operators;

use std::path::Path;
use std::time::{Duration, Instant};

use envtest::{Envtest, Proxy};
use reqwest::{Certificate, Client, Method};
use sandbox::traffic::Fault;
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_MERGE_PATCH: &str = "application/strategic-merge-patch+json";

/// One server for all checks, as it starts in seconds.
#[test]
fn real_api_server_behaves_like_openshift() {
    let started = Instant::now();
    let Some(envtest) = Envtest::from_env().unwrap() else {
        eprintln!(
            "skipped: KUBEBUILDER_ASSETS names no folder with etcd and kube-apiserver (see tests/envtest/build)"
        );
        return;
    };
    eprintln!("started in {:?}", started.elapsed());
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(Options::default()).unwrap();
    let proxy = envtest.proxy(dir.path(), Some(&sandbox.quay)).unwrap();
    let caller = Caller::new(&proxy);

    creates_default_objects(&caller);
    restores_registry_reference(&caller);
    enforces_grants(&envtest, &caller);
    strategic_merge_replaces_pull_secrets(&caller);
    reports_conflict(&caller);
    validates_by_operator_definition(&caller);
    finalizer_keeps_namespace_without_content(&caller);
    the_proxy_logs_and_faults(&proxy, &caller);
    streams_watch(&caller);
    builds::pushes_and_imports_build(&sandbox.quay, &caller);
    operators::installs_operator_with_olm(&caller);
    operators::reports_olm_problems(&caller);
    operators::restores_definition(&caller);
    operators::installs_cluster_extension(&envtest, &caller);
    reset_restores_initial_state(&envtest, &caller);
    drop_stops_servers(envtest);
}

fn creates_default_objects(caller: &Caller) {
    caller.create_namespace("fresh");
    for account in ["default", "builder", "deployer"] {
        let secret = caller.wait_for(&format!("a registry secret of {account}"), || {
            let account =
                caller.get(&format!("/api/v1/namespaces/fresh/serviceaccounts/{account}"))?;
            account["metadata"]["annotations"]["openshift.io/internal-registry-pull-secret-ref"]
                .as_str()
                .map(str::to_owned)
        });
        assert!(secret.starts_with(&format!("{account}-dockercfg-")), "{secret}");
        let account =
            caller.get(&format!("/api/v1/namespaces/fresh/serviceaccounts/{account}")).unwrap();
        assert_eq!(account["secrets"], json!([{ "name": secret }]));
        assert_eq!(account["imagePullSecrets"], json!([{ "name": secret }]));
        let secret = caller.get(&format!("/api/v1/namespaces/fresh/secrets/{secret}")).unwrap();
        assert_eq!(secret["type"], "kubernetes.io/dockercfg");
    }
    let namespace = caller.get("/api/v1/namespaces/fresh").unwrap();
    assert!(namespace["metadata"]["annotations"]["openshift.io/sa.scc.mcs"].is_string());
}

fn restores_registry_reference(caller: &Caller) {
    let path = "/api/v1/namespaces/fresh/serviceaccounts/builder";
    let before = caller.get(path).unwrap()["imagePullSecrets"].clone();
    let (status, _) =
        caller.send("admin", "PATCH", path, MERGE_PATCH, &json!({ "imagePullSecrets": null }));
    assert_eq!(status, 200);
    let after = caller.wait_for("the reference to be back", || {
        Some(caller.get(path)?["imagePullSecrets"].clone()).filter(Value::is_array)
    });
    assert_eq!(after, before);
}

fn enforces_grants(envtest: &Envtest, caller: &Caller) {
    caller.create_namespace("myproj");
    caller.wait_for("dev's first grant", || {
        let (status, _) =
            caller.send("dev", "GET", "/api/v1/namespaces/myproj/secrets", JSON, &Value::Null);
        (status == 200).then_some(())
    });
    let (status, body) =
        caller.send("dev", "GET", "/api/v1/namespaces/fresh/secrets", JSON, &Value::Null);
    assert_eq!(status, 403);
    assert_eq!(
        body["message"],
        r#"secrets is forbidden: User "dev" cannot list resource "secrets" in API group "" in the namespace "fresh""#
    );
    assert_eq!(caller.projects("dev"), ["myproj"]);
    envtest.grant("dev", "fresh").unwrap();
    assert_eq!(
        caller.send("dev", "GET", "/api/v1/namespaces/fresh/secrets", JSON, &Value::Null).0,
        200
    );
    assert_eq!(caller.projects("dev"), ["fresh", "myproj"]);
    assert!(caller.projects("admin").contains(&"openshift-operators".to_owned()));

    assert!(caller.projects("guest").is_empty());
    for path in [
        "/api/v1/namespaces/myproj",
        "/api/v1/namespaces",
        "/apis/project.openshift.io/v1/projects/myproj",
    ] {
        assert_eq!(caller.send("guest", "GET", path, JSON, &Value::Null).0, 403, "{path}");
    }
    assert_eq!(caller.send("stranger", "GET", "/api/v1/namespaces", JSON, &Value::Null).0, 401);
}

fn strategic_merge_replaces_pull_secrets(caller: &Caller) {
    let path = "/api/v1/namespaces/myproj/serviceaccounts";
    let account = json!({ "metadata": { "name": "own" }, "secrets": [{ "name": "a" }], "imagePullSecrets": [{ "name": "a" }] });
    assert_eq!(caller.send("admin", "POST", path, JSON, &account).0, 201);
    let change = json!({ "secrets": [{ "name": "b" }], "imagePullSecrets": [{ "name": "b" }] });
    let (status, account) =
        caller.send("admin", "PATCH", &format!("{path}/own"), STRATEGIC_MERGE_PATCH, &change);
    assert_eq!(status, 200);
    assert_eq!(account["imagePullSecrets"], json!([{ "name": "b" }]), "an atomic list is replaced");
    let secrets = account["secrets"].as_array().unwrap();
    assert!(
        secrets.contains(&json!({ "name": "a" })) && secrets.contains(&json!({ "name": "b" })),
        "a map list is merged"
    );
}

fn reports_conflict(caller: &Caller) {
    let path = "/api/v1/namespaces/myproj/configmaps";
    let (_, mut map) = caller.send(
        "admin",
        "POST",
        path,
        JSON,
        &json!({ "metadata": { "name": "race" }, "data": { "a": "1" } }),
    );
    let path = format!("{path}/race");
    let patch = json!([
        { "op": "test", "path": "/metadata/resourceVersion", "value": "1" },
        { "op": "replace", "path": "/data/a", "value": "2" },
    ]);
    let (status, body) = caller.send("admin", "PATCH", &path, JSON_PATCH, &patch);
    assert_eq!(status, 422);
    assert_eq!(body["reason"], "Invalid");
    assert_eq!(body["message"], "the server rejected our request due to an error in our request");
    map["metadata"]["resourceVersion"] = json!("1");
    assert_eq!(caller.send("admin", "PUT", &path, JSON, &map).0, 409);
    assert_eq!(caller.get(&path).unwrap()["data"]["a"], "1");
}

fn validates_by_operator_definition(caller: &Caller) {
    let path = "/apis/quay.redhat.com/v1/quayintegrations";
    let mut integration = json!({
        "apiVersion": "quay.redhat.com/v1",
        "kind": "QuayIntegration",
        "metadata": { "name": "quay" },
        "spec": { "quayHostname": "https://quay.test", "credentialsSecret": { "name": "quay-integration", "namespace": "openshift-operators" } },
    });
    let (status, body) = caller.send("admin", "POST", path, JSON, &integration);
    assert_eq!(
        (status, body["details"]["causes"][0]["field"].as_str()),
        (422, Some("spec.clusterID"))
    );
    integration["spec"]["clusterID"] = json!("openshift");
    assert_eq!(caller.send("admin", "POST", path, JSON, &integration).0, 201);
    let change = json!({ "spec": { "clusterID": "other" } });
    assert_eq!(
        caller.send("admin", "PATCH", &format!("{path}/quay"), STRATEGIC_MERGE_PATCH, &change).0,
        415
    );
}

fn finalizer_keeps_namespace_without_content(caller: &Caller) {
    let namespace = json!({ "metadata": { "name": "held", "finalizers": ["quay.redhat.com/quayintegrations"] } });
    assert_eq!(caller.send("admin", "POST", "/api/v1/namespaces", JSON, &namespace).0, 201);
    let stream = json!({ "apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": { "name": "app" } });
    let streams = "/apis/image.openshift.io/v1/namespaces/held/imagestreams";
    assert_eq!(caller.send("admin", "POST", streams, JSON, &stream).0, 201);

    let path = "/api/v1/namespaces/held";
    assert_eq!(caller.send("admin", "DELETE", path, JSON, &Value::Null).0, 200);
    let held = caller.wait_for("the content to be gone", || {
        caller.get(path).filter(|held| held["spec"]["finalizers"].is_null())
    });
    assert_eq!(held["status"]["phase"], "Terminating");
    assert_eq!(held["metadata"]["finalizers"], json!(["quay.redhat.com/quayintegrations"]));
    let conditions = held["status"]["conditions"].as_array().unwrap();
    assert!(
        conditions.iter().all(|condition| condition["status"] == "False"),
        "they speak of the content only: {conditions:?}"
    );
    assert!(caller.get(&format!("{streams}/app")).is_none());
    let (status, body) = caller.send("admin", "POST", streams, JSON, &stream);
    assert_eq!(
        (status, body["details"]["causes"][0]["reason"].as_str()),
        (403, Some("NamespaceTerminating"))
    );

    let (status, _) = caller.send(
        "admin",
        "PATCH",
        path,
        MERGE_PATCH,
        &json!({ "metadata": { "finalizers": null } }),
    );
    assert_eq!(status, 200);
    caller.wait_for("the namespace to be gone", || caller.get(path).is_none().then_some(()));
}

fn the_proxy_logs_and_faults(proxy: &Proxy, caller: &Caller) {
    proxy.traffic.clear();
    proxy.traffic.fault(Fault::on("GET", "/version").status(502));
    assert_eq!(caller.send("admin", "GET", "/version", JSON, &Value::Null).0, 502);
    proxy.traffic.clear_faults();
    let (status, version) = caller.send("admin", "GET", "/version", JSON, &Value::Null);
    assert_eq!((status, version["major"].as_str()), (200, Some("1")));
    eprintln!("kube-apiserver {}", version["gitVersion"]);

    let map = json!({ "metadata": { "name": "logged" } });
    assert_eq!(
        caller.send("admin", "POST", "/api/v1/namespaces/myproj/configmaps", JSON, &map).0,
        201
    );
    let paths: Vec<String> = proxy.traffic.entries().into_iter().map(|entry| entry.path).collect();
    assert_eq!(paths, ["/version", "/version", "/api/v1/namespaces/myproj/configmaps"]);
    let writes = proxy.traffic.writes();
    assert_eq!(writes.len(), 1);
    assert_eq!(serde_json::from_slice::<Value>(&writes[0].body).unwrap(), map);
    assert_eq!(writes[0].status.map(|status| status.as_u16()), Some(201));
}

fn streams_watch(caller: &Caller) {
    let (_, list) =
        caller.send("admin", "GET", "/api/v1/namespaces/myproj/configmaps", JSON, &Value::Null);
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let path = format!(
        "/api/v1/namespaces/myproj/configmaps?watch=true&timeoutSeconds=60&resourceVersion={version}"
    );
    let map = json!({ "metadata": { "name": "watched" } });
    let event = caller.runtime.block_on(async {
        let mut watch = caller.request("admin", Method::GET, &path, JSON).send().await.unwrap();
        let created = caller
            .request("admin", Method::POST, "/api/v1/namespaces/myproj/configmaps", JSON)
            .body(map.to_string())
            .send()
            .await;
        assert_eq!(created.unwrap().status(), 201);
        let chunk = tokio::time::timeout(Duration::from_secs(30), watch.chunk()).await;
        chunk.expect("the event comes long before the watch ends").unwrap().unwrap()
    });
    let event: Value = serde_json::from_slice(&event).unwrap();
    assert_eq!(
        (event["type"].as_str(), event["object"]["metadata"]["name"].as_str()),
        (Some("ADDED"), Some("watched"))
    );
}

fn reset_restores_initial_state(envtest: &Envtest, caller: &Caller) {
    let secret =
        json!({ "metadata": { "name": "quay-integration" }, "stringData": { "token": "x" } });
    for namespace in ["default", "openshift-operators"] {
        assert_eq!(
            caller
                .send(
                    "admin",
                    "POST",
                    &format!("/api/v1/namespaces/{namespace}/secrets"),
                    JSON,
                    &secret
                )
                .0,
            201
        );
    }
    let held = json!({ "metadata": { "name": "held", "finalizers": ["quay.redhat.com/quayintegrations"] } });
    assert_eq!(caller.send("admin", "POST", "/api/v1/namespaces", JSON, &held).0, 201);
    let trust = json!({ "spec": { "additionalTrustedCA": { "name": "x" } } });
    let images = "/apis/config.openshift.io/v1/images/cluster";
    assert_eq!(caller.send("admin", "PATCH", images, MERGE_PATCH, &trust).0, 200);

    let started = Instant::now();
    envtest.reset().unwrap();
    eprintln!("reset in {:?}", started.elapsed());

    let mut namespaces = caller.names("/api/v1/namespaces");
    namespaces.retain(|name| !name.starts_with("kube-"));
    assert_eq!(
        namespaces,
        [
            "default",
            "openshift",
            "openshift-config",
            "openshift-marketplace",
            "openshift-operators"
        ]
    );
    assert!(caller.names("/apis/quay.redhat.com/v1/quayintegrations").is_empty());
    for namespace in ["default", "openshift-operators"] {
        assert!(
            caller
                .get(&format!("/api/v1/namespaces/{namespace}/secrets/quay-integration"))
                .is_none()
        );
        assert_eq!(
            caller.names(&format!("/api/v1/namespaces/{namespace}/serviceaccounts")),
            ["builder", "default", "deployer"]
        );
    }
    assert!(
        caller.names(operators::SUBSCRIPTIONS).is_empty()
            && caller.names("/apis/olm.operatorframework.io/v1/clusterextensions").is_empty()
    );
    assert!(caller.get("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/quay-bridge-operator-installer").is_none());
    assert!(
        caller.get(operators::DEFINITION).unwrap()["metadata"]["labels"].is_object(),
        "the definition is the one from the start"
    );
    assert_eq!(caller.get(images).unwrap()["spec"], json!({}));
    let version = caller.get("/apis/config.openshift.io/v1/clusterversions/version").unwrap();
    assert!(version["status"]["desired"]["version"].is_string());
    caller.create_namespace("fresh");
    assert_eq!(
        caller.send("dev", "GET", "/api/v1/namespaces/fresh/secrets", JSON, &Value::Null).0,
        403,
        "the grant is gone"
    );
}

fn drop_stops_servers(envtest: Envtest) {
    let address = envtest.url().trim_start_matches("https://").to_owned();
    assert!(std::net::TcpStream::connect(&address).is_ok());
    drop(envtest);
    assert!(std::net::TcpStream::connect(&address).is_err());
}

/// A client of the proxy with the users of its kubeconfig.
struct Caller {
    runtime: Runtime,
    http: Client,
    url: String,
    kubeconfig: Value,
}

impl Caller {
    fn new(proxy: &Proxy) -> Caller {
        let kubeconfig = read_json(&proxy.kubeconfig);
        let cluster = &kubeconfig["clusters"][0]["cluster"];
        let ca = base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            cluster["certificate-authority-data"].as_str().unwrap(),
        );
        let http = Client::builder()
            .tls_certs_only([Certificate::from_pem(&ca.unwrap()).unwrap()])
            .no_proxy()
            .build()
            .unwrap();
        let url = cluster["server"].as_str().unwrap().to_owned();
        assert_eq!(url, proxy.url);
        Caller { runtime: Runtime::new().unwrap(), http, url, kubeconfig }
    }

    fn request(
        &self,
        user: &str,
        method: Method,
        path: &str,
        content_type: &str,
    ) -> reqwest::RequestBuilder {
        let users = self.kubeconfig["users"].as_array().unwrap();
        let entry = users.iter().find(|entry| entry["name"] == user);
        let token = entry.map_or("unknown", |entry| entry["user"]["token"].as_str().unwrap());
        self.http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(token)
            .header("Content-Type", content_type)
    }

    fn send(
        &self,
        user: &str,
        method: &str,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> (u16, Value) {
        let mut request = self.request(user, method.parse().unwrap(), path, content_type);
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            (
                response.status().as_u16(),
                serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default(),
            )
        })
    }

    fn get(&self, path: &str) -> Option<Value> {
        let (status, object) = self.send("admin", "GET", path, JSON, &Value::Null);
        match status {
            200 => Some(object),
            404 => None,
            _ => panic!("GET {path}: {status} {object}"),
        }
    }

    fn names(&self, path: &str) -> Vec<String> {
        names(&self.get(path).unwrap())
    }

    fn projects(&self, user: &str) -> Vec<String> {
        let (status, list) =
            self.send(user, "GET", "/apis/project.openshift.io/v1/projects", JSON, &Value::Null);
        assert_eq!((status, list["kind"].as_str()), (200, Some("ProjectList")));
        names(&list)
    }

    fn create_namespace(&self, name: &str) {
        let namespace = json!({ "metadata": { "name": name } });
        assert_eq!(self.send("admin", "POST", "/api/v1/namespaces", JSON, &namespace).0, 201);
    }

    fn wait_for<T>(&self, what: &str, ask: impl Fn() -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            assert!(Instant::now() < deadline, "timed out waiting for {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn names(list: &Value) -> Vec<String> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
