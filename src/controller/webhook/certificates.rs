//! The serving certificate, reloaded when its files change: OpenShift renews it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret as _, SecretSlice};

/// As in a Secret of type `kubernetes.io/tls`.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

pub(super) struct Certificates {
    folder: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    files: Files,
    config: Arc<ServerConfig>,
}

struct Files {
    certificate: Vec<u8>,
    key: SecretSlice<u8>,
}

impl Certificates {
    /// # Errors
    /// When the files are invalid; their content is never quoted.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let files = Files::read(folder)?;
        let config = files.config()?;
        Ok(Self { folder: folder.to_owned(), current: Mutex::new(Current { files, config }) })
    }

    /// The TLS configuration of the current files. If they are invalid, as between two writes, the
    /// previous one and the error.
    ///
    /// The files are small and read for new connections only, of which an API server makes few.
    pub(super) fn current(&self) -> (Arc<ServerConfig>, Result<(), String>) {
        let mut current = self.current.lock();
        let outcome = Files::read(&self.folder).and_then(|files| current.replace(files));
        (Arc::clone(&current.config), outcome)
    }
}

impl Current {
    fn replace(&mut self, files: Files) -> Result<(), String> {
        if files != self.files {
            self.config = files.config()?;
            self.files = files;
        }
        Ok(())
    }
}

impl Files {
    fn read(folder: &Path) -> Result<Self, String> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(|error| format!("failed to read {}: {error}", path.display()))
        };
        Ok(Self { certificate: read(CERTIFICATE)?, key: read(KEY)?.into() })
    }

    fn config(&self) -> Result<Arc<ServerConfig>, String> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| format!("invalid {CERTIFICATE}: not a PEM certificate: {error}"))?;
        let key = PrivateKeyDer::from_pem_slice(self.key.expose_secret())
            .map_err(|_| format!("invalid {KEY}: not a PEM private key"))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| format!("invalid key pair {CERTIFICATE}, {KEY}: {error}"))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl PartialEq for Files {
    fn eq(&self, other: &Self) -> bool {
        self.certificate == other.certificate
            && self.key.expose_secret() == other.key.expose_secret()
    }
}
