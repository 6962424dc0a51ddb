//! Why there is no answer: the failures of the layers below HTTP, as a step and a sentence; and the memory of them.

use std::error::Error;
use std::io;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use reqwest::{ClientBuilder, Proxy};
use rustls::{CertificateError, Error as TlsError};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::domain::integration::{ConnectionStage, QuayProblem};
use crate::proxy::{self, ProxyRules};

/// So many calls in a row without an answer mean that nobody is there.
const FAILURE_THRESHOLD: usize = 3;

/// Stands for a proxy whose address is none: TCP's port 0, to which nothing connects.
const NOT_A_PROXY: &str = "http://127.0.0.1:0";

/// Why a request got no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TransportFailure {
    /// No connection; how far it came, and why no further. The next call fares no better.
    Unreachable(ConnectionStage, String),
    /// The certificate is not trusted: whose, and why. The next call fares no better.
    Untrusted(String),
    /// A connection that broke before the whole answer was there. The request may have been applied.
    Broken(String),
    /// No answer before the time of the call was over, although there was a connection. The request may have been applied.
    Overdue(String),
}

/// Has a client go by the proxies that the environment names, as `oc` does.
pub(super) fn by_proxies(builder: ClientBuilder, proxies: &ProxyRules) -> ClientBuilder {
    let proxies = proxies.clone();
    builder.no_proxy().proxy(Proxy::custom(move |url| {
        let proxy = proxies.proxy(&url.as_str().parse().ok()?);
        // One that is no address must not be passed over, as if none were named: nothing listens there.
        let address = proxy.map_or_else(
            |_| Some(NOT_A_PROXY.to_owned()),
            |proxy| proxy.map(|proxy| proxy.to_string()),
        )?;
        // Go leaves it to the proxy to look up the name.
        Some(
            address
                .strip_prefix("socks5:")
                .map_or(address.clone(), |rest| format!("socks5h:{rest}")),
        )
    }))
}

/// The proxy on the way to an address, for a sentence about a failure; empty if there is none.
pub(super) fn by_proxy(url: &Url, proxies: &ProxyRules) -> String {
    match url.as_str().parse().map(|url| proxies.proxy(&url)) {
        Ok(Ok(Some(proxy))) => format!(" by way of proxy {}", proxy::shown(&proxy)),
        Ok(Err(problem)) => format!(": {problem}"),
        _ => String::new(),
    }
}

/// Reads the chain of causes of an error of the HTTP client.
pub(super) async fn failure(
    error: &reqwest::Error,
    url: &Url,
    proxies: &ProxyRules,
    deadline: Instant,
) -> TransportFailure {
    match failure_of_connection(error, url, proxies, deadline).await {
        TransportFailure::Unreachable(step, reason) => {
            TransportFailure::Unreachable(step, format!("{reason}{}", by_proxy(url, proxies)))
        }
        failure => failure,
    }
}

async fn failure_of_connection(
    error: &reqwest::Error,
    url: &Url,
    proxies: &ProxyRules,
    deadline: Instant,
) -> TransportFailure {
    if !error.is_connect() {
        return TransportFailure::Broken(format!(
            "the connection broke before Quay answered ({})",
            root_cause(error)
        ));
    }
    match causes(error).find_map(|cause| cause.downcast_ref()) {
        Some(TlsError::InvalidCertificate(why)) => {
            return TransportFailure::Untrusted(distrust(why, url.host_str().unwrap_or_default()));
        }
        Some(TlsError::InvalidMessage(_)) => {
            return TransportFailure::Unreachable(
                ConnectionStage::Tls,
                "what answers there does not speak TLS".into(),
            );
        }
        Some(other) => {
            return TransportFailure::Unreachable(ConnectionStage::Tls, other.to_string());
        }
        None => {}
    }
    if error.is_timeout() {
        let is_straight = by_proxy(url, proxies).is_empty();
        let step = if is_straight { locate(url, deadline).await } else { ConnectionStage::Connect };
        return TransportFailure::Unreachable(step, "no connection in time".into());
    }
    // The connector's error type is private; its texts are these.
    let says = |words: &str| causes(error).any(|cause| cause.to_string().starts_with(words));
    let step = if says("dns error") {
        ConnectionStage::Name
    } else if says("tls handshake") {
        ConnectionStage::Tls
    } else {
        ConnectionStage::Connect
    };
    TransportFailure::Unreachable(step, root_cause(error))
}

/// Where a connection hangs that was not there in time: at TLS if another one opens, else before.
async fn locate(url: &Url, deadline: Instant) -> ConnectionStage {
    let address =
        (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
    match timeout_at(deadline, TcpStream::connect(address)).await {
        Ok(Ok(_)) => ConnectionStage::Tls,
        _ => ConnectionStage::Connect,
    }
}

/// The text of the deepest cause, which names the reason; the others name layers.
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let text = causes(error).last().map(ToString::to_string).unwrap_or_default();
    // `Connection refused (os error 111)`: the number helps nobody.
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// An error and its causes, also those that an [`io::Error`] wraps without naming them as its source.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

/// Whose certificate is not trusted, and why.
fn distrust(why: &CertificateError, host: &str) -> String {
    use CertificateError as E;
    match why {
        // BadSignature: the authority has the name of one that is trusted, but another key.
        E::UnknownIssuer | E::BadSignature => {
            format!("the certificate of {host} is signed by an authority that is not trusted here")
        }
        E::Expired | E::ExpiredContext { .. } => format!("the certificate of {host} has expired"),
        E::NotValidYet | E::NotValidYetContext { .. } => {
            format!("the certificate of {host} is not valid yet")
        }
        E::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            format!("the certificate of {host} is for other names: {}", presented.join(", "))
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            format!("the certificate of {host} is for other names")
        }
        other => format!("the certificate of {host} is not accepted ({other})"),
    }
}

/// What is known about a server that may have stopped answering, so that thousands of calls do not each find out.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    silence: Mutex<UnansweredFailure>,
    down: OnceLock<QuayProblem>,
}

#[derive(Debug)]
struct UnansweredFailure {
    has_answered: bool,
    /// Calls in a row that got no answer. Those under way together count once.
    calls: usize,
    /// When the last one was counted.
    counted: Option<Instant>,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        // Who has never answered gets no patience.
        let silence =
            UnansweredFailure { has_answered: false, calls: FAILURE_THRESHOLD - 1, counted: None };
        Self { silence: Mutex::new(silence), down: OnceLock::new() }
    }
}

impl CircuitBreaker {
    /// Why no call makes sense any more, if so.
    pub(super) fn down(&self) -> Option<&QuayProblem> {
        self.down.get()
    }

    /// No call makes sense any more. The first reason stays.
    pub(super) fn cut(&self, trouble: QuayProblem) {
        self.down.get_or_init(|| trouble);
    }

    /// There was an answer.
    pub(super) fn answered(&self) {
        *self.silence() = UnansweredFailure { has_answered: true, calls: 0, counted: None };
    }

    /// Whether there ever was an answer.
    pub(super) fn has_answered(&self) -> bool {
        self.silence().has_answered
    }

    fn silence(&self) -> MutexGuard<'_, UnansweredFailure> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call whose last try began then got no answer, although there was a connection. Returns whether that makes one too
    /// many.
    pub(super) fn failure_unanswered(&self, reason: &str, began: Instant) -> bool {
        let is_one_too_many = {
            let mut silence = self.silence();
            if silence.counted.is_none_or(|counted| began >= counted) {
                (silence.calls, silence.counted) = (silence.calls + 1, Some(Instant::now()));
            }
            silence.calls >= FAILURE_THRESHOLD
        };
        if is_one_too_many {
            self.cut(QuayProblem::Unreachable {
                step: ConnectionStage::Http,
                reason: reason.into(),
            });
        }
        is_one_too_many
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distrusted_certificate_is_named_with_the_reason() {
        let say = |why: CertificateError| distrust(&why, "quay.example.com");
        assert_eq!(
            say(CertificateError::Expired),
            "the certificate of quay.example.com has expired"
        );
        assert_eq!(
            say(CertificateError::NotValidForName),
            "the certificate of quay.example.com is for other names"
        );
        assert!(
            say(CertificateError::BadEncoding)
                .starts_with("the certificate of quay.example.com is not accepted (")
        );
    }

    #[test]
    fn silence_is_borne_only_from_those_who_have_answered_before() {
        let stranger = CircuitBreaker::default();
        assert!(stranger.failure_unanswered("closed", Instant::now()));
        assert_eq!(
            stranger.down(),
            Some(&QuayProblem::Unreachable {
                step: ConnectionStage::Http,
                reason: "closed".into()
            })
        );

        let known = CircuitBreaker::default();
        known.answered();
        assert!(known.has_answered() && !stranger.has_answered());
        assert_eq!(
            [(); 3].map(|()| known.failure_unanswered("closed", Instant::now())),
            [false, false, true]
        );
        let known = CircuitBreaker::default();
        for _ in 0..10 {
            known.answered();
            assert!(!known.failure_unanswered("closed", Instant::now()));
        }
        assert_eq!(known.down(), None);
        known.answered();
        let began = Instant::now();
        for _ in 0..20 {
            assert!(
                !known.failure_unanswered("closed", began),
                "those under way together count once"
            );
        }
        assert_eq!(
            [(); 2].map(|()| known.failure_unanswered("closed", Instant::now())),
            [false, true]
        );
    }
}
