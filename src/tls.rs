//! TLS client configuration for the cluster and Quay.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WantsClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error as TlsError,
    RootCertStore, SignatureScheme,
};
use rustls_platform_verifier::Verifier;
use secrecy::{ExposeSecret as _, SecretSlice};
use x509_cert::der::Decode as _;

/// Trusted certificate authorities.
pub(crate) enum Trust {
    /// The system's authorities and these.
    SystemAnd(Vec<CertificateDer<'static>>),
    /// Only these.
    Only(Vec<CertificateDer<'static>>),
    /// Certificates are not verified.
    Every,
}

/// A client certificate with its key.
#[derive(Clone)]
pub(crate) struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// Other PEM content is ignored.
    ///
    /// # Errors
    /// Never quotes the key.
    pub(crate) fn from_pem(certificate: &[u8], key: &SecretSlice<u8>) -> Result<Self, String> {
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(certificate).filter_map(Result::ok).collect();
        if chain.is_empty() {
            return Err("no PEM certificate found".into());
        }
        let key = PrivateKeyDer::from_pem_slice(key.expose_secret())
            .map_err(|_| "no PEM private key found")?;
        let pair = CertifiedKey::from_der(chain, key, &default_provider());
        pair.map(|pair| Self(Arc::new(pair)))
            .map_err(|error| format!("certificate and key do not match: {error}"))
    }

    /// The client's certificate comes first.
    #[cfg(test)]
    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.cert
    }
}

/// # Errors
/// If an authority is invalid.
pub(crate) fn client_config(
    trust: Trust,
    identity: Option<&Identity>,
) -> Result<ClientConfig, String> {
    let provider = Arc::new(default_provider());
    let verifier = verifier(trust, &provider)?;
    let builder = config_builder(provider, verifier)?;
    Ok(match identity {
        Some(Identity(pair)) => builder.with_client_cert_resolver(Arc::new(
            rustls::sign::SingleCertAndKey::from(Arc::clone(pair)),
        )),
        None => builder.with_no_client_auth(),
    })
}

/// A client configuration that lacks only the client's certificate.
///
/// # Errors
/// No protocol version of the provider is supported.
pub(crate) fn config_builder(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, String> {
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier))
}

fn verifier(
    trust: Trust,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let provider = Arc::clone(provider);
    Ok(match trust {
        Trust::Every => Arc::new(NoVerifier(provider)),
        Trust::SystemAnd(extra) if extra.is_empty() => {
            Arc::new(Verifier::new(provider).map_err(|error| error.to_string())?)
        }
        Trust::SystemAnd(extra) => {
            let verifier = Verifier::new_with_extra_roots(extra.iter().cloned(), provider)
                .map_err(|error| error.to_string())?;
            Arc::new(SelfSignedVerifier { verifier: Arc::new(verifier), trusted: extra })
        }
        Trust::Only(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in &authorities {
                roots.add(authority.clone()).map_err(|error| error.to_string())?;
            }
            let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = builder.build().map_err(|error| error.to_string())?;
            Arc::new(SelfSignedVerifier { verifier, trusted: authorities })
        }
    })
}

/// Accepts a server certificate that equals a trusted one: `openssl req -x509` creates a
/// self-signed CA certificate, which webpki rejects as a server's. Go, curl and OpenShift's nodes
/// accept it.
#[derive(Debug)]
struct SelfSignedVerifier {
    verifier: Arc<dyn ServerCertVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for SelfSignedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if !self.trusted.contains(end_entity) {
            return self.verifier.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            );
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        verify_validity(end_entity, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn verify_validity(
    certificate: &CertificateDer<'_>,
    now: UnixTime,
) -> Result<(), CertificateError> {
    let parsed =
        x509_cert::Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let validity = parsed.tbs_certificate.validity;
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet);
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired);
    }
    Ok(())
}

#[derive(Debug)]
struct NoVerifier(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerifier {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    /// `openssl req -x509 -subj /CN=quay.example.com -addext subjectAltName=DNS:quay.example.com`, valid for a hundred years.
    const OWN: &[u8] = include_bytes!("tls/own-authority.pem");
    const OTHER: &[u8] = include_bytes!("cluster/tests/clientcmd/ca.pem");

    #[test]
    fn accepts_trusted_self_signed_certificate() {
        let provider = Arc::new(default_provider());
        let read = |pem: &[u8]| CertificateDer::from_pem_slice(pem).unwrap();
        let now = UnixTime::now();
        let verified = |trust: Trust, name: &'static str, now: UnixTime| {
            let name = ServerName::try_from(name).unwrap();
            let verified = verifier(trust, &provider).unwrap().verify_server_cert(
                &read(OWN),
                &[],
                &name,
                &[],
                now,
            );
            verified.map(drop)
        };
        let own = || vec![read(OTHER), read(OWN)];
        assert_eq!(verified(Trust::Only(own()), "quay.example.com", now), Ok(()));
        assert_eq!(verified(Trust::SystemAnd(own()), "quay.example.com", now), Ok(()));
        let rejected = |error| Err(TlsError::InvalidCertificate(error));
        assert!(verified(Trust::Only(own()), "other.example.com", now).is_err());
        let in_centuries = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs() * 10));
        assert_eq!(
            verified(Trust::Only(own()), "quay.example.com", in_centuries),
            rejected(CertificateError::Expired)
        );
        let too_early = UnixTime::since_unix_epoch(Duration::from_secs(1));
        assert_eq!(
            verified(Trust::Only(own()), "quay.example.com", too_early),
            rejected(CertificateError::NotValidYet)
        );
        assert!(verified(Trust::Only(vec![read(OTHER)]), "quay.example.com", now).is_err());
    }
}
