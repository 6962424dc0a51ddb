//! Certificates of servers and of PEM files, in a form that people can compare.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error as TlsError, SignatureScheme};
use tokio::time::Instant;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::time::Time;

use crate::domain::integration::ConnectionStage;
use crate::domain::names::QuayUrl;
use crate::proxy::ProxyRules;
use crate::quay::http::error::{ErrorKind, OptionsError, QuayError};
use crate::quay::http::transport_error::{self, TransportError, classify};
use crate::tls;

/// RFC 7468.
const PEM_LINE_LENGTH: usize = 64;

/// A certificate in a form that people can compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// `CN=quay.example.com,O=Example`.
    pub subject: String,
    /// Equal to the subject if self-signed.
    pub issuer: String,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// SHA-256 fingerprint `AB:CD:…`, as `openssl x509 -fingerprint -sha256` prints it.
    pub sha256: String,
    /// PEM form.
    pub pem: String,
    /// A certificate authority.
    pub is_ca: bool,
}

impl Certificate {
    fn from_der(der: &[u8]) -> Result<Self, x509_cert::der::Error> {
        let parsed = x509_cert::Certificate::from_der(der)?;
        let content = &parsed.tbs_certificate;
        Ok(Self {
            subject: without_control_characters(&content.subject.to_string()),
            issuer: without_control_characters(&content.issuer.to_string()),
            not_before: timestamp(content.validity.not_before),
            not_after: timestamp(content.validity.not_after),
            sha256: fingerprint(der),
            pem: encode_pem(der),
            is_ca: content
                .get::<BasicConstraints>()?
                .is_some_and(|(_, constraints)| constraints.ca),
        })
    }
}

/// The certificates that a server presents, trusted or not, its own first. The connection is closed during the handshake:
/// no request is sent.
///
/// # Errors
/// No connection, or no TLS.
pub async fn presented_chain(
    url: &QuayUrl,
    timeout: Duration,
) -> Result<Vec<Certificate>, QuayError> {
    let call = format!("read the certificates of {}", url.host());
    let failed = |kind, reason: String| QuayError::new(&call, kind, reason);
    if url.is_plain_http() {
        return Err(failed(ErrorKind::PlainHttp, "http:// has no certificates".into()));
    }
    let verifier = Arc::new(CapturingVerifier::new());
    let proxies = ProxyRules::from_env(|name| std::env::var(name).ok());
    let http = capturing_client(Arc::clone(&verifier), &proxies, timeout)
        .map_err(|reason| failed(ErrorKind::Unexpected, reason))?;
    let deadline = Instant::now() + timeout;
    let outcome = http.get(url.as_url().clone()).timeout(timeout).send().await;
    let chain = std::mem::take(&mut *verifier.chain.lock());
    if !chain.is_empty() {
        let parsed = chain.iter().map(|der| Certificate::from_der(der)).collect::<Result<_, _>>();
        return parsed.map_err(|error| {
            failed(ErrorKind::Unexpected, format!("invalid certificate ({error})"))
        });
    }
    let Err(error) = outcome else {
        return Err(failed(ErrorKind::Unexpected, "the server presented no certificate".into()));
    };
    Err(match classify(&error, url.as_url(), &proxies, deadline).await {
        TransportError::Unreachable(step, reason) => failed(ErrorKind::Unreachable(step), reason),
        TransportError::Untrusted(reason)
        | TransportError::Interrupted(reason)
        | TransportError::Timeout(reason) => {
            failed(ErrorKind::Unreachable(ConnectionStage::Tls), reason)
        }
    })
}

/// The certificates of a PEM file.
///
/// # Errors
/// No certificate, or an invalid one.
pub fn describe_pem(pem: &[u8]) -> Result<Vec<Certificate>, OptionsError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .map(|der| {
            let der = der.map_err(OptionsError::invalid_certificate)?;
            Certificate::from_der(&der).map_err(OptionsError::invalid_certificate)
        })
        .collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() { Err(OptionsError::no_certificate()) } else { Ok(certificates) }
}

/// The certificates of a PEM file without its other content, such as a private key.
#[derive(Debug, PartialEq, Eq)]
pub struct CaBundle {
    /// The certificates in PEM form.
    pub pem: Vec<u8>,
    /// Labels of the other PEM blocks: `PRIVATE KEY`.
    pub ignored_blocks: Vec<String>,
}

impl CaBundle {
    /// `None` if the file has no certificate, or an invalid one.
    pub fn parse(content: &[u8]) -> Option<Self> {
        let certificates =
            CertificateDer::pem_slice_iter(content).collect::<Result<Vec<_>, _>>().ok()?;
        if certificates.is_empty() {
            return None;
        }
        // Encoded again, so that text between the certificates is dropped too.
        let certificates: String = certificates.iter().map(|der| encode_pem(der)).collect();
        let text = String::from_utf8_lossy(content);
        let labels = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
        let ignored: BTreeSet<_> =
            labels.filter(|label| *label != "CERTIFICATE").map(str::to_owned).collect();
        Some(Self { pem: certificates.into_bytes(), ignored_blocks: ignored.into_iter().collect() })
    }

    /// A warning about the other blocks of `file`.
    pub fn warning(&self, file: &str) -> Option<String> {
        let labels = self.ignored_blocks.join(", ");
        (!labels.is_empty())
            .then(|| format!("{file}: only certificates are used; ignored: {labels}"))
    }
}

/// Records the certificates and rejects them, which ends the handshake.
#[derive(Debug)]
struct CapturingVerifier {
    provider: Arc<CryptoProvider>,
    chain: Mutex<Vec<Vec<u8>>>,
}

impl CapturingVerifier {
    fn new() -> Self {
        Self { provider: Arc::new(default_provider()), chain: Mutex::default() }
    }
}

impl ServerCertVerifier for CapturingVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let chain =
            std::iter::once(end_entity).chain(intermediates).map(|der| der.to_vec()).collect();
        *self.chain.lock() = chain;
        Err(TlsError::InvalidCertificate(CertificateError::UnknownIssuer))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::InvalidCertificate(CertificateError::UnknownIssuer))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::InvalidCertificate(CertificateError::UnknownIssuer))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// An HTTP client instead of a TLS connection, for it supports proxies.
fn capturing_client(
    verifier: Arc<CapturingVerifier>,
    proxies: &ProxyRules,
    timeout: Duration,
) -> Result<reqwest::Client, String> {
    let provider = Arc::clone(&verifier.provider);
    let config = tls::config_builder(provider, verifier)?.with_no_client_auth();
    let builder = transport_error::use_proxies(reqwest::Client::builder(), proxies);
    let builder = builder.tls_backend_preconfigured(config).connect_timeout(timeout * 2 / 3);
    builder.build().map_err(|error| transport_error::root_cause(&error))
}

fn timestamp(time: Time) -> Timestamp {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

fn fingerprint(der: &[u8]) -> String {
    let pairs: Vec<String> =
        digest(&SHA256, der).as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

fn encode_pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(PEM_LINE_LENGTH) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}

fn without_control_characters(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
