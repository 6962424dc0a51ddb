//! The client of Quay's API and of its registry; it returns values of [`crate::domain`].
//!
//! Every request with a token costs Quay 0.2 s of CPU, so the number of requests is kept low.

mod api;
mod auth;
mod http;
mod registry;
#[cfg(any(test, fuzzing))]
pub mod untrusted;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::header::HeaderValue;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::OnceCell;

use crate::domain::integration::QuayProblem;
use crate::domain::names::QuayUrl;
use crate::proxy::ProxyRules;
use crate::request_metrics::{Observer, ObserverSlot};
use crate::tls::{self, Trust};
use api::api_types;
use api::diagnose::Diagnosis;
use http::circuit_breaker::CircuitBreaker;
use http::throttle::Throttle;
use http::transport_error;
use registry::Challenge;

pub use api::discovery::{Features, Inspection, ServerInfo};
pub use api::read::ReadStrategy;
pub use api::token_check::TokenInfo;
pub use auth::issue_token::{IssuedToken, TokenRequest};
pub use auth::oauth_scope::Scope;
pub use auth::sign_in::Session;
pub use http::certificates::{CaBundle, Certificate, describe_pem, presented_chain};
pub use http::error::{ErrorKind, OptionsError, QuayError};
pub use http::throttle::WaitNotice;

/// Quay rejects API calls with the user agent of a browser (`wire/090`).
const USER_AGENT: &str = concat!("oc-quay/", env!("CARGO_PKG_VERSION"));

/// Shorter where the timeout of a call is shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of a [`Quay`] client.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address of the API and of the registry.
    pub url: QuayUrl,
    /// The OAuth token; without one, only public endpoints can be called.
    pub token: Option<SecretString>,
    /// Certificates (PEM) to trust in addition to the system's.
    pub ca: Option<Vec<u8>>,
    /// Accept any certificate, and plain http.
    pub insecure: bool,
    /// Maximum number of requests in flight.
    pub concurrency: usize,
    /// Time limit of one call, retries included. It excludes the time in the queue, and pauses that Quay asks for.
    pub timeout: Duration,
}

/// A client of one Quay. Clones share connections and state; the first call connects.
#[derive(Clone, Debug)]
pub struct Quay(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    proxies: ProxyRules,
    url: QuayUrl,
    token: Option<SecretString>,
    insecure: bool,
    throttle: Arc<Throttle>,
    timeout: Duration,
    api: CircuitBreaker,
    /// Of the registry and its token service, which can be on another host.
    registry: CircuitBreaker,
    /// Problems that do not open a circuit breaker.
    problems: Mutex<Vec<QuayProblem>>,
    /// Robot accounts that existed when this client was to create them: another run is linking the same namespace.
    raced_robots: Mutex<BTreeSet<String>>,
    /// Organizations that this client created and that have no robot account yet.
    created_organizations: Mutex<BTreeSet<String>>,
    config: Arc<OnceCell<api_types::Config>>,
    diagnosis: OnceCell<Diagnosis>,
    challenge: OnceCell<Challenge>,
    observer: ObserverSlot,
}

impl Quay {
    /// Checks the options and builds the HTTP client.
    ///
    /// # Errors
    /// Invalid options: see [`OptionsError`].
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        if options.url.is_plain_http() && !options.insecure {
            return Err(OptionsError::PlainHttp);
        }
        if let Some(token) = &options.token {
            bearer_header(token).ok_or(OptionsError::Token)?;
        }
        let authorities =
            options.ca.as_deref().map(parse_certificates).transpose()?.unwrap_or_default();
        let trust = if options.insecure { Trust::Every } else { Trust::SystemAnd(authorities) };
        let mut tls = tls::client_config(trust, None).map_err(OptionsError::Client)?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let proxies = ProxyRules::from_env(|name| std::env::var(name).ok());
        let http = transport_error::use_proxies(reqwest::Client::builder(), &proxies)
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(options.timeout * 2 / 3))
            .tls_backend_preconfigured(tls)
            .build()
            .map_err(|error| OptionsError::Client(transport_error::root_cause(&error)))?;
        Ok(Self(Arc::new(Shared {
            http,
            proxies,
            url: options.url,
            token: options.token,
            insecure: options.insecure,
            throttle: Arc::new(Throttle::new(options.concurrency)),
            timeout: options.timeout,
            api: CircuitBreaker::default(),
            registry: CircuitBreaker::default(),
            problems: Mutex::default(),
            raced_robots: Mutex::default(),
            created_organizations: Mutex::default(),
            config: Arc::default(),
            diagnosis: OnceCell::new(),
            challenge: OnceCell::new(),
            observer: ObserverSlot::default(),
        })))
    }

    /// A client of the same Quay with another token, or without one. It shares connections, the configuration of Quay and
    /// the problems that do not depend on the token.
    ///
    /// # Errors
    /// Invalid characters in the token.
    pub fn with_token(&self, token: Option<SecretString>) -> Result<Self, OptionsError> {
        if let Some(token) = &token {
            bearer_header(token).ok_or(OptionsError::Token)?;
        }
        Ok(self.with_state(token, self.0.server_problems(), Arc::clone(&self.0.config)))
    }

    /// A client of the same Quay with the same token, with closed circuit breakers and without any known problem.
    pub fn with_reset_breaker(&self) -> Self {
        self.with_state(self.0.token.clone(), vec![], Arc::default())
    }

    fn with_state(
        &self,
        token: Option<SecretString>,
        problems: Vec<QuayProblem>,
        config: Arc<OnceCell<api_types::Config>>,
    ) -> Self {
        Self(Arc::new(Shared {
            http: self.0.http.clone(),
            proxies: self.0.proxies.clone(),
            url: self.0.url.clone(),
            token,
            insecure: self.0.insecure,
            throttle: Arc::clone(&self.0.throttle),
            timeout: self.0.timeout,
            api: CircuitBreaker::default(),
            registry: CircuitBreaker::default(),
            problems: Mutex::new(problems),
            raced_robots: Mutex::default(),
            created_organizations: Mutex::default(),
            config,
            diagnosis: OnceCell::new(),
            challenge: self.0.challenge.clone(),
            observer: self.0.observer.clone(),
        }))
    }

    /// Registers a callback for pauses that Quay asks for. The first one is kept.
    pub fn set_wait_notice(&self, notice: WaitNotice) {
        self.0.throttle.set_wait_notice(notice);
    }

    /// Reports every request to an observer. The first one is kept.
    pub fn observe(&self, observer: Observer) {
        self.0.observer.set(observer);
    }

    /// The problems that make all calls fail, or all calls of a kind, as known from the responses so far; without duplicates.
    pub fn problems(&self) -> Vec<QuayProblem> {
        let problems = self.0.problems.lock();
        self.0.api.problem().into_iter().chain(problems.iter()).cloned().collect()
    }

    /// The problem that currently prevents all changes: Quay is unavailable, rejects the token, or is read-only.
    pub fn outage(&self) -> Option<QuayProblem> {
        let is_outage = |problem: &QuayProblem| {
            self.0.api.problem() == Some(problem) || *problem == QuayProblem::ReadOnly
        };
        self.problems().into_iter().find(is_outage)
    }

    fn record_problem(&self, problem: QuayProblem) {
        let mut problems = self.0.problems.lock();
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
}

impl Shared {
    /// The known problems that do not depend on the token.
    fn server_problems(&self) -> Vec<QuayProblem> {
        let problems = self.problems.lock();
        problems
            .iter()
            .filter(|problem| {
                matches!(problem, QuayProblem::ReadOnly | QuayProblem::RobotsDisallowed)
            })
            .cloned()
            .collect()
    }
}

/// The `Authorization` header; `None` if the token is empty or has characters that a header cannot have.
fn bearer_header(token: &SecretString) -> Option<HeaderValue> {
    let token = token.expose_secret();
    let is_valid = !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic());
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).ok().filter(|_| is_valid)?;
    header.set_sensitive(true);
    Some(header)
}

fn parse_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, OptionsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(OptionsError::invalid_certificate)?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(OptionsError::invalid_certificate)?;
    }
    if certificates.is_empty() { Err(OptionsError::no_certificate()) } else { Ok(certificates) }
}
