//! The sandbox's own certificate authority, which clients do not trust by default.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Certificates start to be valid this long ago and end this far ahead; the sum is less than the 825 days that some
/// platforms allow a server certificate.
const VALIDITY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A certificate authority with an ECDSA P-256 key that lives as long as the process.
///
/// A second authority is a ready-made untrusted one.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

impl Authority {
    /// Creates a key and its self-signed certificate.  # Errors When the operating system gives no
    /// randomness.
    pub fn new() -> anyhow::Result<Self> {
        let key = KeyPair::generate().context("no key for the sandbox's CA")?;
        let mut params = valid_now(CertificateParams::default(), "oc-quay sandbox CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Ok(Self { issuer: Issuer::new(params, key), pem, der })
    }

    /// The authority's certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The configuration of a server on loopback: a new certificate for `localhost`, `127.0.0.1`
    /// and the service `hook` in namespace `tools`, optionally with HTTP/2, and with the authority
    /// in the chain.  # Errors When no certificate can be created.
    pub fn server_config(
        &self,
        http2: bool,
        whole_chain: bool,
    ) -> anyhow::Result<Arc<ServerConfig>> {
        let (certificate, key) = self.certify(&["localhost", "127.0.0.1", "hook.tools.svc"])?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));

        let mut chain = vec![certificate.der().clone()];
        if whole_chain {
            chain.push(self.der.clone());
        }
        // Named, not the process default: a workspace with two providers compiled in has none.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = match http2 {
            true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            false => vec![b"http/1.1".to_vec()],
        };
        Ok(Arc::new(config))
    }

    /// Writes a fresh certificate for a server of those names, `tls.crt`, and its key, `tls.key`, as in a secret of type
    /// `kubernetes.io/tls`.
    ///
    /// # Errors
    /// When no certificate can be made or the folder cannot be written.
    pub fn write_server_files(&self, names: &[&str], folder: &Path) -> anyhow::Result<()> {
        let (certificate, key) = self.certify(names)?;
        fs::write(folder.join("tls.key"), key.serialize_pem())?;
        Ok(fs::write(folder.join("tls.crt"), certificate.pem())?)
    }

    fn certify(&self, names: &[&str]) -> anyhow::Result<(Certificate, KeyPair)> {
        let key = KeyPair::generate().context("no key for the sandbox's server")?;
        let common_name = names.first().copied().unwrap_or_default();
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let certificate =
            valid_now(CertificateParams::new(names)?, common_name).signed_by(&key, &self.issuer)?;
        Ok((certificate, key))
    }
}

fn valid_now(mut params: CertificateParams, name: &str) -> CertificateParams {
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (SystemTime::now() - VALIDITY).into();
    params.not_after = (SystemTime::now() + VALIDITY).into();
    params
}
