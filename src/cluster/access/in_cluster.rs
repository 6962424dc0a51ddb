//! Configuration from the pod's service account, as client-go's `rest.InClusterConfig`.

use std::path::Path;

use anyhow::{Context as _, bail};
use kube::Config;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::cluster::access::authorization::Authorization;
use crate::cluster::access::client::Options;
use crate::cluster::access::kubeconfig::{ResolvedContext, impersonate};

/// kubernetes.io, "Accessing the Kubernetes API from a Pod".
pub(in crate::cluster) const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Used as the context's name.
const CONTEXT: &str = "in-cluster";

pub(in crate::cluster) struct InClusterConfig<'a> {
    host: String,
    port: String,
    mount: &'a Path,
}

impl<'a> InClusterConfig<'a> {
    /// None outside of a pod, or in a pod without a token.
    pub(in crate::cluster) fn detect(
        variable: impl Fn(&str) -> Option<String>,
        mount: &'a Path,
    ) -> Option<Self> {
        let (host, port) =
            (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
        mount.join("token").exists().then_some(Self { host, port, mount })
    }

    /// The token, which is renewed hourly, is read again periodically; so is the CA, by kube.
    pub(in crate::cluster) fn resolve(&self, options: &Options) -> anyhow::Result<ResolvedContext> {
        // IPv6 needs brackets.
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let url = format!("https://{host}:{}", self.port);
        let mut config = Config::new(
            url.parse().with_context(|| format!("{url} is not a valid API server URL"))?,
        );
        let authority = self.mount.join("ca.crt");
        config.root_cert = Some(certificates(&authority)?);
        config.root_cert_file = Some(authority);
        config.default_namespace = Some(self.read("namespace")?)
            .filter(|name| !name.is_empty())
            .unwrap_or("default".into());
        let authorization =
            Authorization::from_token(None, &self.mount.join("token").display().to_string());
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
            .with_context(|| format!("failed to read {}", path.display()))?;
        Ok(text.trim().to_owned())
    }
}

fn certificates(file: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_file_iter(file)
        .with_context(|| format!("failed to read {}", file.display()))?
    {
        match certificate {
            Ok(certificate) => certificates.push(certificate.to_vec()),
            Err(_) => bail!("invalid PEM certificate in {}", file.display()),
        }
    }
    if certificates.is_empty() {
        bail!("no certificate in {}", file.display());
    }
    Ok(certificates)
}
