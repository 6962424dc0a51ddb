//! A real etcd and kube-apiserver for the integration suite, with the kinds of OpenShift and OLM,
//! users with roles, and simulated controllers.
//!
//! `tests/envtest/build` builds the servers; `KUBEBUILDER_ASSETS` is their folder.

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

/// The folder of the servers, as in controller-runtime's envtest.
const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// The users and their groups. `dev` has the permissions of grants; `guest` has none.
const USERS: [(&str, &str); 3] =
    [("admin", "system:masters"), ("dev", "developers"), ("guest", "developers")];

/// The initial grant, as in the sandbox.
const FIRST_GRANT: (&str, &str) = ("dev", "myproj");

const BUILT_IN: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// Generous, as the machine may be busy with other tests.
const WAIT_TIMEOUT: Duration = Duration::from_secs(120);

/// An API server with its etcd, which are killed on drop and when the process ends. Its methods
/// block: not for async code.
pub struct Envtest {
    // Dropped in this order: clients before servers.
    runtime: Runtime,
    api: Api,
    shared: Shared,
    url: String,
    ca_pem: String,
    etcd_url: String,
    is_openshift: bool,
    api_server: Mutex<Server>,
    _etcd: Server,
    _dir: TempDir,
}

impl Envtest {
    /// Starts the servers in `KUBEBUILDER_ASSETS`; `None` if unset or empty.
    ///
    /// # Errors
    /// As [`Envtest::start`].
    pub fn from_env() -> Result<Option<Envtest>> {
        assets().map(|assets| Envtest::start(&assets)).transpose()
    }

    /// Like [`Envtest::from_env`], but plain Kubernetes: without OpenShift's kinds and controllers.
    ///
    /// # Errors
    /// As [`Envtest::start`].
    pub fn plain_from_env() -> Result<Option<Envtest>> {
        assets().map(|assets| Envtest::launch(&assets)).transpose()
    }

    /// Also installs the initial state of the cluster.
    ///
    /// # Errors
    /// If a server is missing, ends or does not become ready; quotes its log.
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

    /// Not the proxy's address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Plain HTTP.
    #[must_use]
    pub fn etcd_url(&self) -> &str {
        &self.etcd_url
    }

    /// The bearer token of `admin` (everything), `dev` (project administrator where granted) or `guest` (nothing).
    /// Any other user's is rejected by the server.
    #[must_use]
    pub fn token(&self, user: &str) -> String {
        token(user)
    }

    /// Starts a proxy that logs, counts, delays and fails requests, and writes its kubeconfig to
    /// `dir`. It implements OpenShift's own API functions; imports read from `quay`.
    ///
    /// # Errors
    /// If no port is free or `dir` is not writable.
    pub fn proxy(&self, dir: &Path, quay: Option<&Quay>) -> Result<Proxy> {
        self.runtime.block_on(Proxy::start(&self.url, &self.ca_pem, &self.api, quay, dir))
    }

    /// Restarts the API server on the stored data. It forgets earlier events: existing watches
    /// receive 410.
    ///
    /// # Errors
    /// If it does not become ready.
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

    /// Makes `user` project administrator of `namespace` until the next reset, even if the
    /// namespace is created later.
    ///
    /// # Errors
    /// If the permission does not become effective.
    pub fn grant(&self, user: &str, namespace: &str) -> Result<()> {
        self.shared.grants().insert((user.to_owned(), namespace.to_owned()));
        let review = json!({
            "spec": { "user": user, "resourceAttributes": { "verb": "list", "resource": "secrets", "namespace": namespace } },
        });
        self.runtime.block_on(async {
            if self.api.get(&format!("/api/v1/namespaces/{namespace}")).await?.is_none() {
                return Ok(());
            }
            // RoleBindings become effective with a delay.
            eventually(&format!("{user}'s permission in {namespace}"), &self.shared, || async {
                let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
                Ok(self.api.create(path, &review).await?["status"]["allowed"] == true)
            })
            .await
        })
    }

    /// Restores the initial state: removes QuayIntegrations, the operator, webhooks, namespaces,
    /// other grants, and objects in `default` and `openshift*`. Removes finalizers of namespaces.
    ///
    /// # Errors
    /// If a namespace is not deleted, for example because of a finalizer on its content.
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

    /// Restores the QuayIntegration's definition if it was replaced.
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

fn assets() -> Option<PathBuf> {
    env::var_os(ASSETS).filter(|assets| !assets.is_empty()).map(PathBuf::from)
}

fn etcd_arguments(dir: &Path, client_url: &str, peer_url: &str) -> Vec<String> {
    vec![
        format!("--data-dir={}", dir.join("etcd").display()),
        format!("--listen-client-urls={client_url}"),
        format!("--advertise-client-urls={client_url}"),
        format!("--listen-peer-urls={peer_url}"),
        // Data is temporary, so durability is not required.
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
        // The server generates its certificate there.
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
        // The endpoint is unused, and rejects a loopback address.
        "--endpoint-reconciler-type=none".to_owned(),
    ])
}

/// Fixed, so that tests can search output for them.
fn token(user: &str) -> String {
    format!("envtest-token-of-{user}")
}

/// Returns a client and the server's certificates.
async fn ready(
    url: &str,
    dir: &Path,
    etcd: &mut Server,
    api_server: &mut Server,
) -> Result<(Api, String)> {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    loop {
        etcd.check()?;
        api_server.check()?;
        // Missing or incomplete at first.
        let ca_pem = fs::read_to_string(dir.join("apiserver.crt")).unwrap_or_default();
        if let Ok(api) = Api::new(url, &ca_pem, &token("admin"))
            && api.is_ready().await
        {
            return Ok((api, ca_pem));
        }
        if Instant::now() > deadline {
            bail!(
                "kube-apiserver is not ready after {WAIT_TIMEOUT:?}:\n{}",
                api_server.end_of_log()
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Creates the definitions and waits until they are served.
async fn install_kinds(api: &Api, shared: &Shared) -> Result<()> {
    let created: Vec<Value> = kinds::KINDS.iter().map(kinds::Kind::definition).collect();
    try_join_all(created.iter().map(|definition| api.create(DEFINITIONS, definition))).await?;
    served(api, shared).await
}

async fn served(api: &Api, shared: &Shared) -> Result<()> {
    for kind in &kinds::KINDS {
        // 404 until it is served, then 429 while its storage is initialized.
        eventually(&kind.path(), shared, || async { Ok(api.list(&kind.path()).await.is_ok()) })
            .await?;
    }
    Ok(())
}

/// Waits for the default objects of all namespaces and for the catalog's package.
async fn settled(api: &Api, shared: &Shared) -> Result<()> {
    let packages =
        "/apis/packages.operators.coreos.com/v1/namespaces/openshift-marketplace/packagemanifests";
    eventually("the catalog's package", shared, || async {
        Ok(api.get(&format!("{packages}/{}", olm::PACKAGE)).await?.is_some())
    })
    .await?;
    eventually("the default objects of the namespaces", shared, || async {
        let namespaces = api.list("/api/v1/namespaces").await?;
        let accounts = api.list("/api/v1/serviceaccounts").await?;
        Ok(namespaces
            .iter()
            .all(|namespace| controllers::has_default_objects(namespace, &accounts)))
    })
    .await
}

/// Polls `holds`.
async fn eventually<F: Future<Output = Result<bool>>>(
    what: &str,
    shared: &Shared,
    holds: impl Fn() -> F,
) -> Result<()> {
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while !holds().await.with_context(|| format!("waiting for {what}"))? {
        if Instant::now() > deadline {
            let last_error = shared.last_error().unwrap_or_else(|| "no error known".to_owned());
            bail!("waited {WAIT_TIMEOUT:?} for {what}: {last_error}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
