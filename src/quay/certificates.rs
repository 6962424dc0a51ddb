//! The certificates that a server presents, and those in a file, described so that a person can compare them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme,
};
use tokio::time::Instant;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::time::Time;

use super::connection::{self, TransportFailure, failure};
use super::error::{ErrorKind, OptionsError, QuayError};
use crate::domain::integration::ConnectionStage;
use crate::domain::names::QuayUrl;
use crate::proxy::ProxyRules;

/// The characters of a line of PEM (RFC 7468).
const PEM_WIDTH: usize = 64;

/// A certificate as a person compares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is: `CN=quay.example.com,O=Example`.
    pub subject: String,
    /// Who signed it; the subject itself, if nobody else did.
    pub issuer: String,
    /// It is valid from here on.
    pub not_before: Timestamp,
    /// It is valid until here.
    pub not_after: Timestamp,
    /// Its SHA-256 fingerprint, `AB:CD:…`, as `openssl x509 -fingerprint -sha256` shows it.
    pub sha256: String,
    /// It in PEM.
    pub pem: String,
    /// It may sign others.
    pub is_ca: bool,
}

impl Certificate {
    fn describe(der: &[u8]) -> Result<Self, x509_cert::der::Error> {
        let parsed = x509_cert::Certificate::from_der(der)?;
        let content = &parsed.tbs_certificate;
        Ok(Self {
            subject: printable(&content.subject.to_string()),
            issuer: printable(&content.issuer.to_string()),
            not_before: timestamp(content.validity.not_before),
            not_after: timestamp(content.validity.not_after),
            sha256: fingerprint(der),
            pem: pem(der),
            is_ca: content
                .get::<BasicConstraints>()?
                .is_some_and(|(_, constraints)| constraints.ca),
        })
    }
}

/// The certificates that a server presents, its own first, whether or not they are trusted. The connection ends with
/// the handshake: nothing is sent.
///
/// # Errors
/// When there is no connection, or nobody there speaks TLS.
pub async fn presented_chain(
    url: &QuayUrl,
    timeout: Duration,
) -> Result<Vec<Certificate>, QuayError> {
    let call = format!("read the certificates of {}", url.host());
    let refused = |kind, reason: String| QuayError::new(&call, kind, reason);
    if url.is_plain_http() {
        return Err(refused(ErrorKind::PlainHttp, "the address is http://, which has none".into()));
    }
    let witness = Arc::new(CapturingVerifier::new());
    let proxies = ProxyRules::of(|name| std::env::var(name).ok());
    let http = client(Arc::clone(&witness), &proxies, timeout)
        .map_err(|reason| refused(ErrorKind::Unexpected, reason))?;
    let deadline = Instant::now() + timeout;
    let outcome = http.get(url.as_url().clone()).timeout(timeout).send().await;
    let seen = std::mem::take(&mut *witness.seen.lock().unwrap_or_else(PoisonError::into_inner));
    if !seen.is_empty() {
        let described = seen.iter().map(|der| Certificate::describe(der)).collect::<Result<_, _>>();
        return described.map_err(|error| {
            refused(ErrorKind::Unexpected, format!("a certificate there is broken ({error})"))
        });
    }
    let Err(error) = outcome else {
        return Err(refused(ErrorKind::Unexpected, "the connection showed none".into()));
    };
    Err(match failure(&error, url.as_url(), &proxies, deadline).await {
        TransportFailure::Unreachable(step, reason) => {
            refused(ErrorKind::Unreachable(step), reason)
        }
        TransportFailure::Untrusted(reason)
        | TransportFailure::Broken(reason)
        | TransportFailure::Overdue(reason) => {
            refused(ErrorKind::Unreachable(ConnectionStage::Tls), reason)
        }
    })
}

/// The certificates in a PEM file, described.
///
/// # Errors
/// When it holds none, or a broken one.
pub fn describe_pem(pem: &[u8]) -> Result<Vec<Certificate>, OptionsError> {
    let broken = |error: &dyn std::fmt::Display| {
        OptionsError::Ca(format!("a certificate in it is broken ({error})"))
    };
    let described = CertificateDer::pem_slice_iter(pem).map(|der| {
        let der = der.map_err(|error| broken(&error))?;
        Certificate::describe(&der).map_err(|error| broken(&error))
    });
    match described.collect::<Result<Vec<_>, _>>() {
        Ok(found) if found.is_empty() => {
            Err(OptionsError::Ca("it holds no certificate in PEM form".into()))
        }
        found => found,
    }
}

/// The certificates of a PEM file, in PEM again, and the labels of the blocks that are left out, such as `PRIVATE KEY`. None
/// if it holds no certificate, or a broken one.
pub fn certificates_only(content: &[u8]) -> Option<(Vec<u8>, Vec<String>)> {
    let certificates =
        CertificateDer::pem_slice_iter(content).collect::<Result<Vec<_>, _>>().ok()?;
    if certificates.is_empty() {
        return None;
    }
    // Written from the parsed certificates, so that nothing between the certificates gets through.
    let certificates: String = certificates.iter().map(|der| pem(der)).collect();
    let text = String::from_utf8_lossy(content);
    let labels = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"));
    let left_out: BTreeSet<_> =
        labels.filter(|label| *label != "CERTIFICATE").map(str::to_owned).collect();
    Some((certificates.into_bytes(), left_out.into_iter().collect()))
}

/// Says that only the certificates of a file are used; none if there is nothing else in it.
pub fn left_out_warning(file: &str, labels: &[String]) -> Option<String> {
    let labels = Some(labels.join(", ")).filter(|labels| !labels.is_empty())?;
    Some(format!("{file} holds more than certificates, which is left out: {labels}"))
}

/// Takes down the certificates and trusts none, which ends the handshake.
#[derive(Debug)]
struct CapturingVerifier {
    provider: Arc<CryptoProvider>,
    seen: Mutex<Vec<Vec<u8>>>,
}

impl CapturingVerifier {
    fn new() -> Self {
        Self { provider: Arc::new(default_provider()), seen: Mutex::default() }
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
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = chain;
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

/// The HTTP client is asked, and no bare connection, since it knows the way through a proxy.
fn client(
    witness: Arc<CapturingVerifier>,
    proxies: &ProxyRules,
    timeout: Duration,
) -> Result<reqwest::Client, String> {
    let config = ClientConfig::builder_with_provider(Arc::clone(&witness.provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(witness)
        .with_no_client_auth();
    let builder = connection::by_proxies(reqwest::Client::builder(), proxies);
    let builder = builder.tls_backend_preconfigured(config).connect_timeout(timeout * 2 / 3);
    builder.build().map_err(|error| connection::root_cause(&error))
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

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(PEM_WIDTH) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}

/// A name without what a terminal would act on.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
