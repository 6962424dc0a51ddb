//! A real etcd and kube-apiserver for the integration suite, dressed up as OpenShift as far as the suite looks:
//! the kinds of OpenShift and OLM, users with their roles, and somebody who plays the controllers.
//!
//! `tests/envtest/build` makes the servers; `KUBEBUILDER_ASSETS` names the folder they are in.

mod aggregated;
mod api;
mod controllers;
mod fixtures;
mod kinds;
mod process;
mod proxy;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use rcgen::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use api::Api;
use controllers::{Content, Shared};
use process::Server;
pub use proxy::Proxy;
use sandbox::openshift::{definitions, olm};
use sandbox::quay::Quay;

/// Names the folder with the servers, as for every program that tests against a real API server.
const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// The users and their groups. What `dev` may do is a matter of grants; `nobody` may do nothing.
const USERS: [(&str, &str); 3] =
    [("admin", "system:masters"), ("dev", "developers"), ("nobody", "developers")];

/// The user and namespace of the one grant that holds from the start, as in the sandbox.
const FIRST_GRANT: (&str, &str) = ("dev", "myproj");

/// Namespaces that the API server makes itself.
const BUILT_IN: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Where the CustomResourceDefinitions are.
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// How long to wait for anything. Far more than it takes, as the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running API server with its etcd. Both are killed when this is dropped, and when the process ends in any other
/// way. Not for use inside an async runtime: its methods block.
pub struct Envtest {
    // Fields are dropped in this order: who talks to a server goes before the server.
    runtime: Runtime,
    api: Api,
    shared: Shared,
    url: String,
    ca_pem: String,
    etcd_url: String,
    /// Whether the kinds of OpenShift and OLM are there.
    is_openshift: bool,
    api_server: Mutex<Server>,
    _etcd: Server,
    _dir: TempDir,
}

impl Envtest {
    /// Starts the servers in the folder that `KUBEBUILDER_ASSETS` names; `None` when it is unset or empty.
    ///
    /// # Errors
    /// As [`Envtest::start`].
    pub fn from_env() -> Result<Option<Envtest>> {
        assets().map(|assets| Envtest::start(&assets)).transpose()
    }

    /// Starts the servers in the folder that `KUBEBUILDER_ASSETS` names without OpenShift's kinds and controllers: what
    /// answers is Kubernetes alone. `None` when the variable is unset or empty.
    ///
    /// # Errors
    /// As [`Envtest::start`].
    pub fn plain_from_env() -> Result<Option<Envtest>> {
        assets().map(|assets| Envtest::launch(&assets)).transpose()
    }

    /// Starts the servers in `assets` and brings the cluster into its initial state.
    ///
    /// # Errors
    /// When a server is missing, ends or does not become ready; the message quotes its log.
    pub fn start(assets: &Path) -> Result<Envtest> {
        let envtest = Envtest { is_openshift: true, ..Envtest::launch(assets)? };
        let (api, shared) = (&envtest.api, &envtest.shared);
        shared.grants().insert((FIRST_GRANT.0.to_owned(), FIRST_GRANT.1.to_owned()));
        envtest.runtime.block_on(async {
            install_kinds(api, shared).await?;
            fixtures::install_roles(api).await?;
            fixtures::install(api).await?;
            tokio::spawn(controllers::run(api.clone(), shared.clone()));
            tokio::spawn(controllers::build(api.clone()));
            settled(api, shared).await
        })?;
        Ok(envtest)
    }

    /// Starts the servers and waits until they are ready.
    fn launch(assets: &Path) -> Result<Envtest> {
        let dir = tempfile::Builder::new().prefix("envtest-").tempdir()?;
        let [port, etcd_port, peer_port] = process::free_ports()?;
        let (client_url, peer_url) =
            (format!("http://127.0.0.1:{etcd_port}"), format!("http://127.0.0.1:{peer_port}"));

        let etcd_arguments = etcd_arguments(dir.path(), &client_url, &peer_url);
        let mut etcd = Server::start(&assets.join("etcd"), &etcd_arguments, dir.path())?;
        let api_server_arguments = api_server_arguments(dir.path(), &client_url, port)?;
        let mut api_server =
            Server::start(&assets.join("kube-apiserver"), &api_server_arguments, dir.path())?;

        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let url = format!("https://127.0.0.1:{port}");
        let (api, ca_pem) =
            runtime.block_on(ready(&url, dir.path(), &mut etcd, &mut api_server))?;
        let shared = Shared::default();
        Ok(Envtest {
            runtime,
            api,
            shared,
            url,
            ca_pem,
            etcd_url: client_url,
            is_openshift: false,
            api_server: Mutex::new(api_server),
            _etcd: etcd,
            _dir: dir,
        })
    }

    /// The API server's own address, past any proxy.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The certificates to trust at [`Envtest::url`], PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Where etcd is served, over plain HTTP.
    #[must_use]
    pub fn etcd_url(&self) -> &str {
        &self.etcd_url
    }

    /// The bearer token of `admin` (everything), `dev` (project administrator where granted) or `nobody` (nothing).
    /// Any other user's is refused by the server.
    #[must_use]
    pub fn token(&self, user: &str) -> String {
        token(user)
    }

    /// Starts a proxy in front of the API server that logs, counts, delays and faults requests, and writes a
    /// kubeconfig for it to `dir`. What OpenShift's own API server would do it does itself: imports find their images in
    /// `quay`.
    ///
    /// # Errors
    /// When no port can be had or `dir` cannot be written.
    pub fn proxy(&self, dir: &Path, quay: Option<&Quay>) -> Result<Proxy> {
        self.runtime.block_on(Proxy::start(&self.url, &self.ca_pem, &self.api, quay, dir))
    }

    /// Kills the API server and starts it again on what it had stored. It knows nothing of what happened before: whoever
    /// watches from back then is told that it is gone.
    ///
    /// # Errors
    /// When it does not become ready again.
    pub fn restart_api_server(&self) -> Result<()> {
        self.api_server.lock().unwrap_or_else(PoisonError::into_inner).restart()?;
        let is_ready = || async { Ok(self.api.is_ready().await) };
        self.runtime.block_on(async {
            eventually("the API server to be back", &self.shared, is_ready).await?;
            match self.is_openshift {
                true => served(&self.api, &self.shared).await,
                false => Ok(()),
            }
        })
    }

    /// Makes `user` project administrator of `namespace` until the next reset: now, when it exists, and whenever it
    /// is created.
    ///
    /// # Errors
    /// When the right does not come into force.
    pub fn grant(&self, user: &str, namespace: &str) -> Result<()> {
        self.shared.grants().insert((user.to_owned(), namespace.to_owned()));
        let review = json!({
            "spec": { "user": user, "resourceAttributes": { "verb": "list", "resource": "secrets", "namespace": namespace } },
        });
        self.runtime.block_on(async {
            if self.api.get(&format!("/api/v1/namespaces/{namespace}")).await?.is_none() {
                return Ok(());
            }
            // The authorizer learns of a RoleBinding a moment after it is stored.
            eventually(&format!("{user}'s right in {namespace}"), &self.shared, || async {
                let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
                Ok(self.api.create(path, &review).await?["status"]["allowed"] == true)
            })
            .await
        })
    }

    /// Back to the initial state: no QuayIntegration, no operator, no webhook, no namespace that a test made, no grant but the
    /// first, nothing left behind in `default` and `openshift*`. Finalizers of namespaces are cut off.
    ///
    /// # Errors
    /// When a namespace does not go, e.g. because something in it has a finalizer.
    pub fn reset(&self) -> Result<()> {
        self.shared
            .grants()
            .retain(|(user, namespace)| (user.as_str(), namespace.as_str()) == FIRST_GRANT);
        self.runtime.block_on(async {
            self.api.delete("/apis/olm.operatorframework.io/v1/clusterextensions").await?;
            self.api.delete("/apis/quay.redhat.com/v1/quayintegrations").await?;
            self.api
                .delete("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations")
                .await?;
            for name in self.foreign_namespaces().await? {
                let path = format!("/api/v1/namespaces/{name}");
                self.api.merge(&path, &json!({ "metadata": { "finalizers": null } })).await?;
                self.api.delete(&path).await?;
            }
            let bare =
                json!({ "metadata": { "annotations": null, "finalizers": null, "labels": null } });
            self.api.merge("/api/v1/namespaces/default", &bare).await?;
            controllers::empty(&self.api, &Content::read(&self.api).await?, "default").await?;
            eventually("the namespaces to be gone", &self.shared, || async {
                Ok(self.foreign_namespaces().await?.is_empty())
            })
            .await?;
            fixtures::remove_foreign_roles(&self.api).await?;
            self.restore_definition().await?;
            fixtures::install(&self.api).await?;
            settled(&self.api, &self.shared).await
        })
    }

    /// Brings back the QuayIntegration's definition where it is not the one from the start.
    async fn restore_definition(&self) -> Result<()> {
        let path = format!("{DEFINITIONS}/{}", definitions::QUAY_INTEGRATIONS);
        let is_ours = |definition: Value| {
            !definition["metadata"]["labels"][kinds::OURS].is_null()
                && definition["metadata"]["deletionTimestamp"].is_null()
        };
        if self.api.get(&path).await?.is_some_and(is_ours) {
            return Ok(());
        }
        self.api.delete(&path).await?;
        eventually("a definition to be gone", &self.shared, || async {
            Ok(self.api.get(&path).await?.is_none())
        })
        .await?;
        install_kinds(&self.api, &self.shared).await
    }

    async fn foreign_namespaces(&self) -> Result<Vec<String>> {
        let namespaces = self.api.list("/api/v1/namespaces").await?;
        let names =
            namespaces.iter().filter_map(|namespace| namespace["metadata"]["name"].as_str());
        Ok(names.filter(|name| !BUILT_IN.contains(name)).map(str::to_owned).collect())
    }
}

/// The folder with the servers, if one is named.
fn assets() -> Option<PathBuf> {
    env::var_os(ASSETS).filter(|assets| !assets.is_empty()).map(PathBuf::from)
}

fn etcd_arguments(dir: &Path, client_url: &str, peer_url: &str) -> Vec<String> {
    vec![
        format!("--data-dir={}", dir.join("etcd").display()),
        format!("--metrics-bind-address-client-urls={client_url}"),
        format!("--advertise-client-urls={client_url}"),
        format!("--metrics-bind-address-peer-urls={peer_url}"),
        // Nothing is kept, so nothing need survive a power cut.
        "--unsafe-no-fsync".to_owned(),
    ]
}

fn api_server_arguments(dir: &Path, etcd_url: &str, port: u16) -> Result<Vec<String>> {
    let users: String = USERS
        .iter()
        .map(|(user, group)| format!("{},{user},{user},{group}\n", token(user)))
        .collect();
    fs::write(dir.join("users.csv"), users)?;
    let key = KeyPair::generate()?;
    fs::write(dir.join("service-accounts.key"), key.serialize_pem())?;
    fs::write(dir.join("service-accounts.pub"), key.public_key_pem())?;
    Ok(vec![
        format!("--etcd-servers={etcd_url}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        // The server makes its own certificate there.
        format!("--cert-dir={}", dir.display()),
        format!("--token-auth-file={}", dir.join("users.csv").display()),
        "--authorization-mode=RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", dir.join("service-accounts.pub").display()),
        format!(
            "--service-account-signing-key-file={}",
            dir.join("service-accounts.key").display()
        ),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        // Nothing looks for the API server inside the cluster, and a loopback address is refused there.
        "--endpoint-reconciler-type=none".to_owned(),
    ])
}

/// Tokens only guard a server on loopback that ends with the test; being fixed, they are easy to look for in output.
fn token(user: &str) -> String {
    format!("envtest-token-of-{user}")
}

/// Waits until the API server is ready; returns a client of it and the certificates it made.
async fn ready(
    url: &str,
    dir: &Path,
    etcd: &mut Server,
    api_server: &mut Server,
) -> Result<(Api, String)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        etcd.check()?;
        api_server.check()?;
        // Absent at first, and half written for a moment.
        let ca_pem = fs::read_to_string(dir.join("apiserver.crt")).unwrap_or_default();
        if let Ok(api) = Api::new(url, &ca_pem, &token("admin"))
            && api.is_ready().await
        {
            return Ok((api, ca_pem));
        }
        if Instant::now() > deadline {
            bail!("kube-apiserver is not ready after {PATIENCE:?}:\n{}", api_server.end_of_log());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Makes the server know the kinds of OpenShift and OLM, and waits until it serves them.
async fn install_kinds(api: &Api, shared: &Shared) -> Result<()> {
    let created: Vec<Value> = kinds::KINDS.iter().map(kinds::Kind::definition).collect();
    try_join_all(created.iter().map(|definition| api.create(DEFINITIONS, definition))).await?;
    served(api, shared).await
}

/// Waits until all kinds of OpenShift and OLM are served.
async fn served(api: &Api, shared: &Shared) -> Result<()> {
    for kind in &kinds::KINDS {
        // 404 until it is served, then 429 while its storage is made.
        eventually(&kind.path(), shared, || async { Ok(api.list(&kind.path()).await.is_ok()) })
            .await?;
    }
    Ok(())
}

/// Waits until every namespace has what the controllers give it, and the catalog's package is to be had.
async fn settled(api: &Api, shared: &Shared) -> Result<()> {
    let packages =
        "/apis/packages.operators.coreos.com/v1/namespaces/openshift-marketplace/packagemanifests";
    eventually("the catalog's package", shared, || async {
        Ok(api.get(&format!("{packages}/{}", olm::PACKAGE)).await?.is_some())
    })
    .await?;
    eventually("the namespaces to be furnished", shared, || async {
        let namespaces = api.list("/api/v1/namespaces").await?;
        let accounts = api.list("/api/v1/serviceaccounts").await?;
        Ok(namespaces.iter().all(|namespace| controllers::is_furnished(namespace, &accounts)))
    })
    .await
}

/// Asks `holds` until it says yes.
async fn eventually<F: Future<Output = Result<bool>>>(
    what: &str,
    shared: &Shared,
    holds: impl Fn() -> F,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await.with_context(|| format!("waiting for {what}"))? {
        if Instant::now() > deadline {
            let trouble = shared.trouble().unwrap_or_else(|| "no trouble known".to_owned());
            bail!("waited {PATIENCE:?} for {what}: {trouble}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
