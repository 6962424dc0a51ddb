//! The Quay side: its API and its registry, turned into values of [`crate::domain`].
//!
//! [`Quay`] is the client. A call goes through `call` (deadline, retries) and `throttle` (how many at once) and comes back as an answer or as a
//! [`QuayError`] (`error`); `connection` puts the failures of the layers below into words and remembers when asking
//! has become pointless. `read`, `tags`, `write`, `diagnose` and `registry` hold the operations, `wire` the bodies.
//!
//! What comes before there is a token to work with: `inspect` and `certificates` look at a Quay from the outside,
//! `sign_in` and `issue` get a token from user name and password (`visit` is the cookie and the CSRF token in between,
//! `scope` what to ask for), `trial` finds out what a token is good for.
//!
//! Every request with a token costs Quay a fifth of a second of CPU, so what is counted here is requests.

mod api_types;
mod certificates;
mod connection;
mod diagnose;
mod discovery;
mod error;
mod issue_token;
mod oauth_scope;
mod read;
mod registry;
mod request;
mod sign_in;
mod tags;
mod throttle;
mod token_check;
#[cfg(any(test, fuzzing))]
pub mod untrusted;
mod web_session;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
use connection::CircuitBreaker;
use diagnose::Diagnosis;
use registry::Challenge;
use throttle::Throttle;

pub use certificates::{
    Certificate, certificates_only, describe_pem, left_out_warning, presented_chain,
};
pub use discovery::{Features, Inspection, ServerInfo};
pub use error::{ErrorKind, OptionsError, QuayError};
pub use issue_token::{IssuedToken, TokenRequest};
pub use oauth_scope::Scope;
pub use read::ReadStrategy;
pub use sign_in::Session;
pub use throttle::WaitNotice;
pub use token_check::TokenInfo;

/// How we name ourselves. Quay refuses API calls from what looks like a browser (sample 090).
const USER_AGENT: &str = concat!("oc-quay/", env!("CARGO_PKG_VERSION"));

/// The longest wait for a connection. It is less where a call has less time in all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What a [`Quay`] is made from.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its address.
    pub url: QuayUrl,
    /// The OAuth token; without one, only what Quay tells everybody can be asked.
    pub token: Option<SecretString>,
    /// Certificates (PEM) to trust beside the system's.
    pub ca: Option<Vec<u8>>,
    /// Accept any certificate, and plain http.
    pub insecure: bool,
    /// The most requests in flight.
    pub concurrency: usize,
    /// The most time one call may take, retries included; waiting for its turn, and pauses that Quay asks for, do not count.
    pub timeout: Duration,
}

/// A client of one Quay. Clones share its connection and what was learnt; nothing connects before the first call.
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
    /// Whether calls to the API still make sense.
    api: CircuitBreaker,
    /// The same for the registry and its token service, which may be another host.
    registry: CircuitBreaker,
    /// What was learnt beside what the lines know.
    troubles: Mutex<Vec<QuayProblem>>,
    /// Robot accounts that were there when we came to create them: somebody else is at the same work.
    retry_after_race: Mutex<BTreeSet<String>>,
    /// Organizations that this client created and that have no robot account yet.
    created: Mutex<BTreeSet<String>>,
    config: Arc<OnceCell<api_types::Config>>,
    diagnosis: OnceCell<Diagnosis>,
    challenge: OnceCell<Challenge>,
    eye: ObserverSlot,
}

impl Quay {
    /// Checks the options and builds the HTTP client.
    ///
    /// # Errors
    /// When the options can only fail: see [`OptionsError`].
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        if options.url.is_plain_http() && !options.insecure {
            return Err(OptionsError::PlainHttp);
        }
        if let Some(token) = &options.token {
            bearer(token).ok_or(OptionsError::Token)?;
        }
        let authorities = options.ca.as_deref().map(certificates).transpose()?.unwrap_or_default();
        let trust = if options.insecure { Trust::Every } else { Trust::SystemAnd(authorities) };
        let mut tls = tls::client_config(trust, None).map_err(OptionsError::Client)?;
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let proxies = ProxyRules::of(|name| std::env::var(name).ok());
        let http = connection::by_proxies(reqwest::Client::builder(), &proxies)
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(options.timeout * 2 / 3))
            .tls_backend_preconfigured(tls)
            .build()
            .map_err(|error| OptionsError::Client(connection::root_cause(&error)))?;
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
            troubles: Mutex::default(),
            retry_after_race: Mutex::default(),
            created: Mutex::default(),
            config: Arc::default(),
            diagnosis: OnceCell::new(),
            challenge: OnceCell::new(),
            eye: ObserverSlot::default(),
        })))
    }

    /// The same Quay, asked with another token, or with none. Connections are shared and what Quay tells everybody is
    /// remembered; what was learnt about the old token is not.
    ///
    /// # Errors
    /// When the token cannot stand in a request.
    pub fn with_token(&self, token: Option<SecretString>) -> Result<Self, OptionsError> {
        if let Some(token) = &token {
            bearer(token).ok_or(OptionsError::Token)?;
        }
        Ok(self.anew(token, self.0.server_problems(), Arc::clone(&self.0.config)))
    }

    /// The same Quay, asked with the same token; what was learnt is forgotten.
    pub fn with_reset_breaker(&self) -> Self {
        self.anew(self.0.token.clone(), vec![], Arc::default())
    }

    fn anew(
        &self,
        token: Option<SecretString>,
        troubles: Vec<QuayProblem>,
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
            troubles: Mutex::new(troubles),
            retry_after_race: Mutex::default(),
            created: Mutex::default(),
            config,
            diagnosis: OnceCell::new(),
            challenge: self.0.challenge.clone(),
            eye: self.0.eye.clone(),
        }))
    }

    /// Has it told why nothing happens while Quay wants a pause.
    pub fn tell(&self, teller: WaitNotice) {
        self.0.throttle.tell(teller);
    }

    /// Has every request told to an observer.
    pub fn observe(&self, observer: Observer) {
        self.0.eye.open(observer);
    }

    /// What stands in the way of every call, or of every call of a kind, as far as the answers so far tell. None twice.
    pub fn troubles(&self) -> Vec<QuayProblem> {
        let learnt = self.0.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.api.down().into_iter().chain(learnt.iter()).cloned().collect()
    }

    /// What keeps changes from being made for a while: Quay cannot be worked with at all, or takes no writes.
    pub fn outage(&self) -> Option<QuayProblem> {
        let is_outage = |trouble: &QuayProblem| {
            self.0.api.down() == Some(trouble) || *trouble == QuayProblem::ReadOnly
        };
        self.troubles().into_iter().find(is_outage)
    }

    fn learn(&self, trouble: QuayProblem) {
        let mut learnt = self.0.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if !learnt.contains(&trouble) {
            learnt.push(trouble);
        }
    }
}

impl Shared {
    /// What was learnt that holds whoever asks.
    fn server_problems(&self) -> Vec<QuayProblem> {
        let learnt = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        learnt
            .iter()
            .filter(|trouble| {
                matches!(trouble, QuayProblem::ReadOnly | QuayProblem::RobotsDisallowed)
            })
            .cloned()
            .collect()
    }
}

/// The token as it goes into the `Authorization` header; none if it is empty or cannot stand there.
fn bearer(token: &SecretString) -> Option<HeaderValue> {
    let token = token.expose_secret();
    let is_one_word = !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic());
    let mut header =
        HeaderValue::from_str(&format!("Bearer {token}")).ok().filter(|_| is_one_word)?;
    header.set_sensitive(true);
    Some(header)
}

/// The certificates in a PEM file.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, OptionsError> {
    let broken = |error: &dyn std::fmt::Display| {
        OptionsError::Ca(format!("a certificate in it is broken ({error})"))
    };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| broken(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|error| broken(&error))?;
    }
    if certificates.is_empty() {
        Err(OptionsError::Ca("it holds no certificate in PEM form".into()))
    } else {
        Ok(certificates)
    }
}
