//! A test environment: a cluster, a Quay, and methods to arrange both.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ::envtest::Proxy;
use reqwest::Method;
use sandbox::tls::Authority;
use sandbox::traffic::Traffic;
use sandbox::{Options, Sandbox, manifests};
use serde_json::{Value, json};

use super::envtest::{self, Turn};
use super::run::Command;

const SYSTEM_CA_FILE: &str = "system-ca.crt";

pub(crate) struct TestEnv {
    /// The Quay and the fake cluster, which a real one can replace.
    pub(crate) sandbox: Sandbox,
    real: Option<Real>,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    /// Every secret of this env, which must never be printed.
    secrets: Mutex<BTreeSet<String>>,
}

struct Real {
    // Dropped before the server behind it.
    proxy: Proxy,
    server: Turn,
}

impl TestEnv {
    pub(crate) fn bare() -> Self {
        Self::start(Options::default(), true)
    }

    /// A cluster with a QuayIntegration, and namespace `shop` with image streams `app`, `base` and `web`.
    pub(crate) fn new() -> Self {
        let env = Self::bare();
        env.create_default_objects();
        env
    }

    /// An environment for the fake cluster only; `None` skips the test on a real API server.
    pub(crate) fn stand_in(why: &str) -> Option<Self> {
        Self::stand_in_with(Options::default(), why)
    }

    /// A fake cluster of another kind, without any integration.
    pub(crate) fn stand_in_bare(options: Options, why: &str) -> Option<Self> {
        if envtest::is_real() {
            println!("skipped on the real API server: {why}");
            return None;
        }
        Some(Self::start(options, false))
    }

    fn stand_in_with(options: Options, why: &str) -> Option<Self> {
        let env = Self::stand_in_bare(options, why)?;
        env.create_default_objects();
        Some(env)
    }

    fn start(options: Options, may_be_real: bool) -> Self {
        let sandbox = Sandbox::start(options).unwrap();
        std::fs::write(sandbox.dir().join(SYSTEM_CA_FILE), Authority::new().unwrap().pem())
            .unwrap();
        let real = may_be_real.then(Turn::take).flatten().map(|server| {
            let dir = sandbox.dir().join("real");
            std::fs::create_dir_all(&dir).unwrap();
            Real { proxy: server.proxy(&dir, Some(&sandbox.quay)).unwrap(), server }
        });
        let http =
            reqwest::Client::builder().tls_danger_accept_invalid_certs(true).build().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self { sandbox, real, http, runtime, secrets: Mutex::default() }
    }

    fn create_default_objects(&self) {
        self.integration();
        self.namespace("shop");
        for stream in ["app", "base", "web"] {
            self.image_stream("shop", stream);
        }
    }

    /// Creates the QuayIntegration `quay` and the Secret with the token of Quay's superuser.
    pub(crate) fn integration(&self) {
        self.create(&manifests::credentials(&self.sandbox.quay.admin_token()));
        self.create(&manifests::quay_integration(&self.sandbox.quay.url()));
    }

    /// Creates a namespace and waits for its default service accounts and their secrets.
    pub(crate) fn namespace(&self, name: &str) {
        self.create(&manifests::namespace(name));
        // A running controller might be faster than OpenShift, whose own secret is then the second
        // one.
        let has_openshifts_own = |account: &&str| {
            let has_it = |list| {
                self.references(name, account, list)
                    .iter()
                    .any(|secret| secret.contains("dockercfg"))
            };
            ["secrets", "imagePullSecrets"].into_iter().all(has_it)
        };
        self.wait_for(&format!("the service accounts of {name}"), || {
            ["default", "builder", "deployer"].iter().all(has_openshifts_own)
        });
    }

    pub(crate) fn image_stream(&self, namespace: &str, name: &str) {
        self.create(&manifests::image_stream(namespace, name));
    }

    pub(crate) fn grant(&self, user: &str, namespace: &str) {
        match &self.real {
            Some(real) => real.server.grant(user, namespace).unwrap(),
            None => self.sandbox.openshift.grant(user, namespace),
        }
    }

    pub(crate) fn is_real(&self) -> bool {
        self.real.is_some()
    }

    /// Kills and restarts the real API server; false for the fake, which is not changed.
    pub(crate) fn restart_api_server(&self) -> bool {
        self.real.as_ref().map(|real| real.server.restart_api_server().unwrap()).is_some()
    }

    /// Waits for a condition for at most half a minute.
    pub(crate) fn wait_for(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !is_so() {
            assert!(Instant::now() < deadline, "timed out waiting for {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The program as cluster administrator.
    pub(crate) fn oc_quay(&self, arguments: &[&str]) -> Command<'_> {
        Command::new(self, arguments)
    }

    pub(crate) fn cluster_traffic(&self) -> &Traffic {
        self.real
            .as_ref()
            .map_or_else(|| self.sandbox.openshift.traffic(), |real| &real.proxy.traffic)
    }

    pub(crate) fn quay_traffic(&self) -> &Traffic {
        self.sandbox.quay_traffic()
    }

    pub(crate) fn forget_traffic(&self) {
        self.cluster_traffic().clear();
        self.quay_traffic().clear();
    }

    pub(crate) fn clear_faults(&self) {
        self.cluster_traffic().clear_faults();
        self.quay_traffic().clear_faults();
    }

    /// Asserts that neither side was written to since [`TestEnv::forget_traffic`].
    #[track_caller]
    pub(crate) fn assert_nothing_written(&self) {
        let writes: Vec<_> = [self.cluster_traffic(), self.quay_traffic()]
            .iter()
            .flat_map(|traffic| traffic.writes())
            .collect();
        assert!(writes.is_empty(), "{writes:#?}");
    }

    /// The kubeconfig with the contexts `admin`, `dev` and `guest`.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.real
            .as_ref()
            .map_or_else(|| self.sandbox.kubeconfig(), |real| real.proxy.kubeconfig.clone())
    }

    /// Replaces the machine's certificate authorities, which take a third of a run's CPU time to
    /// read, by one that has signed nothing here.
    pub(crate) fn system_ca_file(&self) -> PathBuf {
        self.sandbox.dir().join(SYSTEM_CA_FILE)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.sandbox.dir()
    }

    /// An object of the cluster. The namespace of cluster-scoped objects is empty.
    pub(crate) fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        if !self.is_real() {
            // Not over TLS: tests read thousands of objects.
            return self.sandbox.openshift.get(kind, namespace, name);
        }
        let (status, body) =
            self.api(Method::GET, &format!("{}/{name}", collection(kind, namespace)), None);
        match status {
            404 => None,
            200 => Some(body),
            _ => panic!("get {kind} {namespace}/{name}: {status} {body}"),
        }
    }

    /// The objects of a kind in a namespace; empty for all namespaces.
    pub(crate) fn list(&self, kind: &str, namespace: &str) -> Vec<Value> {
        if !self.is_real() {
            return self.sandbox.openshift.list(kind, namespace);
        }
        let (status, mut body) = self.api(Method::GET, &collection(kind, namespace), None);
        assert_eq!(status, 200, "list {kind} {namespace}: {body}");
        serde_json::from_value(body["items"].take()).unwrap()
    }

    pub(crate) fn create(&self, object: &Value) -> Value {
        let path = collection(
            object["kind"].as_str().unwrap(),
            object["metadata"]["namespace"].as_str().unwrap_or_default(),
        );
        let (status, body) = self.api(Method::POST, &path, Some(object));
        assert!(status < 300, "create {object}: {status} {body}");
        body
    }

    pub(crate) fn merge(&self, kind: &str, namespace: &str, name: &str, patch: &Value) -> Value {
        let (status, body) = self.api(
            Method::PATCH,
            &format!("{}/{name}", collection(kind, namespace)),
            Some(patch),
        );
        assert!(status < 300, "patch {kind} {namespace}/{name}: {status} {body}");
        body
    }

    /// Deletes an object, if it exists.
    pub(crate) fn delete(&self, kind: &str, namespace: &str, name: &str) {
        let (status, body) =
            self.api(Method::DELETE, &format!("{}/{name}", collection(kind, namespace)), None);
        assert!(status < 300 || status == 404, "delete {kind} {namespace}/{name}: {status} {body}");
    }

    /// A request as administrator, which is not counted, delayed or faulted.
    pub(crate) fn api(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.api_as("admin", method, path, body)
    }

    pub(super) fn api_as(
        &self,
        user: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let (url, token) = match &self.real {
            Some(real) => (real.proxy.url.clone(), real.server.token(user)),
            None => (self.sandbox.openshift.url(), self.sandbox.openshift.token(user)),
        };
        let patch = method == Method::PATCH;
        let mut request = self
            .http
            .request(method, format!("{url}{path}"))
            .bearer_auth(token)
            .header("x-sandbox", "arrange");
        if let Some(body) = body {
            let kind = if patch { "application/merge-patch+json" } else { "application/json" };
            request = request.header("content-type", kind).body(body.to_string());
        }
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            (status, response.json().await.unwrap_or(Value::Null))
        })
    }

    /// The names in `secrets` or `imagePullSecrets` of a service account.
    pub(crate) fn references(&self, namespace: &str, account: &str, list: &str) -> Vec<String> {
        let account = self.get("ServiceAccount", namespace, account).unwrap_or_default();
        account[list]
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| entry["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Every past and current secret: those of Quay, its tokens as encoded in pull secrets, and the
    /// users' tokens.
    pub(crate) fn secrets(&self) -> BTreeSet<String> {
        use base64::Engine as _;
        let quay = &self.sandbox.quay;
        let mut secrets = self.secrets.lock().unwrap();
        secrets.insert(quay.admin_token());
        for secret in quay.secrets() {
            secrets.insert(base64::engine::general_purpose::STANDARD.encode(&secret));
            secrets.insert(secret);
        }
        for organization in quay.organizations() {
            for robot in quay.robots(&organization) {
                let credentials = format!("{organization}+{}:{}", robot.short, robot.token);
                secrets.insert(base64::engine::general_purpose::STANDARD.encode(credentials));
                secrets.insert(robot.token);
            }
        }
        for user in ["admin", "dev", "guest"] {
            secrets.insert(match &self.real {
                Some(real) => real.server.token(user),
                None => self.sandbox.openshift.token(user),
            });
        }
        secrets.clone()
    }

    /// Adds a secret to the search for leaks.
    pub(crate) fn note_secret(&self, secret: &str) {
        self.secrets.lock().unwrap().insert(secret.to_owned());
    }

    /// True when [`TestEnv::assert_linked`] can succeed.
    pub(crate) fn is_linked(&self, namespace: &str, repositories: &[&str]) -> bool {
        let mut found = self.sandbox.quay.repositories(&format!("openshift_{namespace}"));
        found.sort();
        let refers = |account| {
            self.references(namespace, account, "imagePullSecrets")
                .iter()
                .any(|name| name.contains("-quay-"))
        };
        found == repositories && ["builder", "default", "deployer"].into_iter().all(refers)
    }

    /// Asserts that a namespace is linked completely: each object exists once, and every secret has
    /// the current token.
    #[track_caller]
    pub(crate) fn assert_linked(&self, namespace: &str, repositories: &[&str]) {
        let quay = &self.sandbox.quay;
        let organization = format!("openshift_{namespace}");
        let mut robots: Vec<_> =
            quay.robots(&organization).into_iter().map(|robot| robot.short).collect();
        robots.sort();
        assert_eq!(robots, ["builder", "default", "deployer"]);
        assert_eq!(quay.prototypes(&organization).len(), 3, "default permissions");
        let mut found = quay.repositories(&organization);
        found.sort();
        assert_eq!(found, repositories);
        for repository in repositories {
            let permissions = quay.permissions(&organization, repository);
            for robot in &robots {
                assert!(
                    permissions.contains_key(&format!("{organization}+{robot}")),
                    "{robot} on {repository}: {permissions:?}"
                );
            }
        }
        for robot in &robots {
            let secret = format!("{robot}-quay-openshift");
            assert_eq!(
                self.credentials(namespace, &secret),
                (
                    format!("{organization}+{robot}"),
                    quay.robot_token(&organization, robot).unwrap()
                )
            );
            for list in ["secrets", "imagePullSecrets"] {
                let references = self.references(namespace, robot, list);
                assert_eq!(
                    references.iter().filter(|name| **name == secret).count(),
                    1,
                    "{robot} {list}: {references:?}"
                );
                assert!(
                    references.iter().any(|name| name.contains("dockercfg")),
                    "OpenShift's own is gone: {references:?}"
                );
            }
        }
    }

    /// The user name and password in a secret for this environment's Quay.
    pub(crate) fn credentials(&self, namespace: &str, secret: &str) -> (String, String) {
        use base64::Engine as _;
        let decode = |text: &Value| {
            String::from_utf8(
                base64::engine::general_purpose::STANDARD.decode(text.as_str().unwrap()).unwrap(),
            )
            .unwrap()
        };
        let secret =
            self.get("Secret", namespace, secret).unwrap_or_else(|| panic!("no secret {secret}"));
        let config: Value =
            serde_json::from_str(&decode(&secret["data"][".dockerconfigjson"])).unwrap();
        let credentials = decode(&config["auths"][self.sandbox.quay.host()]["auth"]);
        let (user, password) = credentials.split_once(':').unwrap();
        (user.to_owned(), password.to_owned())
    }

    /// Replaces the credentials in a secret for this environment's Quay.
    pub(crate) fn set_credentials(&self, namespace: &str, secret: &str, credentials: &str) {
        use base64::Engine as _;
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let config =
            json!({ "auths": { self.sandbox.quay.host(): { "auth": encode(credentials) } } })
                .to_string();
        self.merge(
            "Secret",
            namespace,
            secret,
            &json!({ "data": { ".dockerconfigjson": encode(&config) } }),
        );
    }
}

pub(super) fn collection(kind: &str, namespace: &str) -> String {
    let (group, plural) = match kind {
        "Namespace" => ("api/v1", "namespaces"),
        "ServiceAccount" => ("api/v1", "serviceaccounts"),
        "Secret" => ("api/v1", "secrets"),
        "ConfigMap" => ("api/v1", "configmaps"),
        "ImageStream" => ("apis/image.openshift.io/v1", "imagestreams"),
        "Build" => ("apis/build.openshift.io/v1", "builds"),
        "BuildConfig" => ("apis/build.openshift.io/v1", "buildconfigs"),
        "QuayIntegration" => ("apis/quay.redhat.com/v1", "quayintegrations"),
        "ClusterVersion" => ("apis/config.openshift.io/v1", "clusterversions"),
        "Image" => ("apis/config.openshift.io/v1", "images"),
        "Infrastructure" => ("apis/config.openshift.io/v1", "infrastructures"),
        "CustomResourceDefinition" => ("apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
        "Deployment" => ("apis/apps/v1", "deployments"),
        "Project" => ("apis/project.openshift.io/v1", "projects"),
        "MutatingWebhookConfiguration" => {
            ("apis/admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations")
        }
        "ClusterRole" => ("apis/rbac.authorization.k8s.io/v1", "clusterroles"),
        "ClusterRoleBinding" => ("apis/rbac.authorization.k8s.io/v1", "clusterrolebindings"),
        "Role" => ("apis/rbac.authorization.k8s.io/v1", "roles"),
        "RoleBinding" => ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
        "Service" => ("api/v1", "services"),
        "Event" => ("api/v1", "events"),
        "Pod" => ("api/v1", "pods"),
        "Lease" => ("apis/coordination.k8s.io/v1", "leases"),
        "NetworkPolicy" => ("apis/networking.k8s.io/v1", "networkpolicies"),
        "PodDisruptionBudget" => ("apis/policy/v1", "poddisruptionbudgets"),
        "CatalogSource" => ("apis/operators.coreos.com/v1alpha1", "catalogsources"),
        "OperatorGroup" => ("apis/operators.coreos.com/v1", "operatorgroups"),
        "Subscription" => ("apis/operators.coreos.com/v1alpha1", "subscriptions"),
        "InstallPlan" => ("apis/operators.coreos.com/v1alpha1", "installplans"),
        "ClusterServiceVersion" => ("apis/operators.coreos.com/v1alpha1", "clusterserviceversions"),
        "PackageManifest" => ("apis/packages.operators.coreos.com/v1", "packagemanifests"),
        "ClusterCatalog" => ("apis/olm.operatorframework.io/v1", "clustercatalogs"),
        "ClusterExtension" => ("apis/olm.operatorframework.io/v1", "clusterextensions"),
        other => panic!("no path for {other}"),
    };
    if namespace.is_empty() {
        format!("/{group}/{plural}")
    } else {
        format!("/{group}/namespaces/{namespace}/{plural}")
    }
}
