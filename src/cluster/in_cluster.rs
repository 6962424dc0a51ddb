//! Connecting from a pod of the cluster, as the pod's service account.

use std::path::Path;

use anyhow::{Context as _, bail};
use kube::Config;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::authorization::Authorization;
use super::client::Options;
use super::kubeconfig::{ResolvedContext, impersonate};

/// Where a pod finds its service account (kubernetes.io, "Accessing the Kubernetes API from a Pod").
pub(super) const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What stands for the context's name.
const CONTEXT: &str = "in-cluster";

/// A pod with a service account.
pub(super) struct InClusterConfig<'a> {
    host: String,
    port: String,
    mount: &'a Path,
}

impl<'a> InClusterConfig<'a> {
    /// The pod that this runs in, if it does. Every pod is told where the API server is; not every one has a token.
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>, mount: &'a Path) -> Option<Self> {
        let (host, port) =
            (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
        mount.join("token").exists().then_some(Self { host, port, mount })
    }

    /// The cluster of the pod. The token, which is renewed within the hour, is read again, and so is the authority by kube.
    pub(super) fn choice(&self, options: &Options) -> anyhow::Result<ResolvedContext> {
        // An address of IPv6 stands in brackets.
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let url = format!("https://{host}:{}", self.port);
        let mut config = Config::new(
            url.parse().with_context(|| format!("{url} is no address of an API server"))?,
        );
        let authority = self.mount.join("ca.crt");
        config.root_cert = Some(certificates(&authority)?);
        config.root_cert_file = Some(authority);
        config.default_namespace = Some(self.read("namespace")?)
            .filter(|name| !name.is_empty())
            .unwrap_or("default".into());
        let authorization =
            Authorization::of_token(None, &self.mount.join("token").display().to_string());
        let authorization = authorization
            .map_err(|problem| anyhow::anyhow!("{}: {problem}", self.mount.display()))?;
        let config = impersonate(config, options)?;
        Ok(ResolvedContext {
            context: CONTEXT.into(),
            config,
            authorization,
            identity: None,
            is_in_pod: true,
        })
    }

    fn read(&self, name: &str) -> anyhow::Result<String> {
        let path = self.mount.join(name);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(text.trim().to_owned())
    }
}

fn certificates(file: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_file_iter(file)
        .with_context(|| format!("{} cannot be read", file.display()))?
    {
        match certificate {
            Ok(certificate) => certificates.push(certificate.to_vec()),
            Err(_) => bail!("{} holds a certificate that makes no sense", file.display()),
        }
    }
    if certificates.is_empty() {
        bail!("{} holds no certificate", file.display());
    }
    Ok(certificates)
}
