//! The sandbox and the real server.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use envtest::Envtest;
use reqwest::{Certificate, Client};
use sandbox::openshift::{Cluster, definitions};
use sandbox::{Options, Sandbox};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Propagation delay of the real server, for example of a new webhook.
const PROPAGATION: Duration = Duration::from_millis(1500);

#[derive(Clone)]
pub(crate) enum Server {
    StandIn(Arc<Sandbox>),
    Real(Arc<Envtest>),
}

impl Server {
    /// A sandbox without controllers, unless it `settles`.
    pub(crate) fn stand_in(settles: bool) -> Self {
        let settle = if settles { Duration::from_millis(20) } else { Duration::from_secs(3600) };
        let cluster = Cluster { settle, ..Cluster::default() };
        Self::StandIn(Arc::new(Sandbox::start(Options { cluster, ..Options::default() }).unwrap()))
    }

    /// The real server with the QuayIntegration's definition, which the sandbox always has.
    pub(crate) fn real() -> Option<Self> {
        let server = Self::Real(Arc::new(Envtest::plain_from_env().unwrap()?));
        let definition = definitions::quay_integrations();
        server.admin(
            "POST",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            &definition,
        );
        while server.admin("GET", "/apis/quay.redhat.com/v1/quayintegrations", &Value::Null) != 200
        {
            sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::StandIn(sandbox) => sandbox.openshift.url(),
            Self::Real(envtest) => envtest.url().to_owned(),
        }
    }

    pub(crate) fn token(&self, user: &str) -> String {
        match self {
            Self::StandIn(sandbox) => sandbox.openshift.token(user),
            Self::Real(envtest) => envtest.token(user),
        }
    }

    pub(crate) fn client(&self) -> Client {
        let pem = match self {
            Self::StandIn(sandbox) => std::fs::read_to_string(sandbox.ca_file()).unwrap(),
            Self::Real(envtest) => envtest.ca_pem().to_owned(),
        };
        let roots = Certificate::from_pem_bundle(pem.as_bytes()).unwrap();
        Client::builder()
            .tls_certs_only(roots)
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap()
    }

    pub(crate) fn grant(&self, namespace: &str) {
        match self {
            Self::StandIn(sandbox) => sandbox.openshift.grant("dev", namespace),
            Self::Real(_) => {
                let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}");
                let rules = [
                    json!({"apiGroups": [""], "resources": ["secrets", "configmaps", "serviceaccounts"], "verbs": ["*"]}),
                    json!({"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}),
                ];
                self.admin(
                    "POST",
                    &format!("{path}/roles"),
                    &json!({"metadata": {"name": "admin"}, "rules": rules}),
                );
                let group = "rbac.authorization.k8s.io";
                let binding = json!({
                    "metadata": {"name": "admin"}, "roleRef": {"apiGroup": group, "kind": "Role", "name": "admin"},
                    "subjects": [{"apiGroup": group, "kind": "User", "name": "dev"}],
                });
                self.admin("POST", &format!("{path}/rolebindings"), &binding);
                self.propagate();
            }
        }
    }

    /// Waits for the propagation delay.
    pub(crate) fn propagate(&self) {
        if let Self::Real(_) = self {
            sleep(PROPAGATION);
        }
    }

    /// Expires all earlier resourceVersions.
    pub(crate) fn expire_history(&self) {
        match self {
            Self::StandIn(sandbox) => sandbox.openshift.expire_history(),
            Self::Real(envtest) => {
                Runtime::new().unwrap().block_on(compact(envtest.etcd_url()));
                // Its watch cache keeps a separate history.
                envtest.restart_api_server().unwrap();
            }
        }
    }
    /// A request outside of the script.
    fn admin(&self, method: &str, path: &str, body: &Value) -> u16 {
        let request =
            self.client().request(method.parse().unwrap(), format!("{}{path}", self.url()));
        let request =
            request.bearer_auth(self.token("admin")).header("Content-Type", "application/json");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        Runtime::new()
            .unwrap()
            .block_on(async { request.body(body).send().await.unwrap().status().as_u16() })
    }
}

/// Compacts etcd, whose revisions are the resourceVersions.
async fn compact(etcd: &str) {
    let http = Client::builder().no_proxy().build().unwrap();
    let call = async |path: &str, body: Value| {
        let answer =
            http.post(format!("{etcd}/v3/{path}")).body(body.to_string()).send().await.unwrap();
        serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap()
    };
    let present =
        call("kv/range", json!({"key": "AA==", "limit": "1"})).await["header"]["revision"].clone();
    let compacted = call("kv/compaction", json!({"revision": present, "physical": true})).await;
    assert!(compacted["header"].is_object(), "{compacted}");
}
