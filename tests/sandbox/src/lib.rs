//! An OpenShift API and a Quay on loopback that reject what the real ones reject.
//!
//! [`Sandbox::start`] brings up both, with TLS, users and a kubeconfig. [`traffic`] says what they were asked and
//! lets things go wrong.

pub mod manifests;
pub mod openshift;
pub mod quay;
pub mod tls;
pub mod traffic;

mod kubeconfig;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use openshift::{Cluster, OpenShift};
use quay::Quay;
use tls::Authority;
use traffic::{Server, Traffic, serve};

/// Options of [`Sandbox::start`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder for the CA and the kubeconfig; by default a temporary one, removed in the end.
    pub dir: Option<PathBuf>,
    /// HTTP/2 in Quay. Its own nginx offers it, many proxies in front of it do not.
    pub http2: bool,
    /// Quay presents its certificate authority with its certificate. Many servers do not.
    pub whole_chain: bool,
    pub cluster: Cluster,
}

impl Default for Options {
    fn default() -> Self {
        Self { dir: None, http2: true, whole_chain: false, cluster: Cluster::default() }
    }
}

/// Both servers, up until it is dropped.
pub struct Sandbox {
    /// The cluster.
    pub openshift: OpenShift,
    /// Quay.
    pub quay: Quay,
    quay_traffic: Traffic,
    dir: PathBuf,
    // Dropped in this order: first the servers, then what they run on, then their files.
    _servers: [Server; 2],
    runtime: Option<Runtime>,
    _temporary: Option<TempDir>,
}

impl Sandbox {
    /// Starts both servers on free ports of 127.0.0.1 and writes `ca.crt` and `kubeconfig`. The runtime they need is
    /// its own, so this must not be called from asynchronous code.
    ///
    /// # Errors
    /// When there is no port, no directory, or no randomness.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        let temporary = match options.dir {
            Some(_) => None,
            None => Some(tempfile::tempdir().context("no temporary directory")?),
        };
        let dir = options
            .dir
            .or_else(|| temporary.as_ref().map(|dir| dir.path().to_owned()))
            .unwrap_or_default();
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;

        let authority = Authority::new()?;
        let (openshift, quay) = (OpenShift::new(options.cluster), Quay::new());
        let quay_traffic = Traffic::default();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let servers = runtime.block_on(async {
            let (router, traffic) = (openshift.router(), openshift.traffic().clone());
            let api =
                serve(router, openshift::classify, authority.server_config(false, false)?, traffic)
                    .await?;
            let tls = authority.server_config(options.http2, options.whole_chain)?;
            let registry = serve(quay.router(), quay::classify, tls, quay_traffic.clone()).await?;
            anyhow::Ok([api, registry])
        })?;
        openshift.set_url(&servers[0].url);
        quay.set_url(&servers[1].url);
        openshift.set_quay(&quay);
        runtime.spawn(openshift.clone().run_controllers());

        fs::write(dir.join("ca.crt"), authority.pem())?;
        fs::write(dir.join("kubeconfig"), kubeconfig::render(&openshift, authority.pem()))?;
        Ok(Self {
            openshift,
            quay,
            quay_traffic,
            dir,
            _servers: servers,
            runtime: Some(runtime),
            _temporary: temporary,
        })
    }

    /// The request log and fault rules of Quay.
    pub fn quay_traffic(&self) -> &Traffic {
        &self.quay_traffic
    }

    /// The folder with the files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The certificate authority of both servers, PEM.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// Contexts `admin` (the current one), `dev` and `guest`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Not waited for: an abandoned watch would delay it, and a test may be asynchronous.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
