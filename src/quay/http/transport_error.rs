//! Failures of the layers below HTTP, and the proxies on the way.

use std::error::Error;
use std::io;

use reqwest::{ClientBuilder, Proxy};
use rustls::{CertificateError, Error as TlsError};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::domain::integration::ConnectionStage;
use crate::proxy::{self, ProxyRules};

/// Replaces an invalid proxy address: connections to TCP port 0 always fail.
const INVALID_PROXY: &str = "http://127.0.0.1:0";

/// The reason why a request got no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::quay) enum TransportError {
    /// No connection. Permanent: the next call would fail in the same way.
    Unreachable(ConnectionStage, String),
    /// The certificate is not trusted. Permanent: the next call would fail in the same way.
    Untrusted(String),
    /// The connection was lost before the response was complete. The request might have been applied.
    Interrupted(String),
    /// Connected, but no response in time. The request might have been applied.
    Timeout(String),
}

/// Makes a client use the proxies of the environment, as `oc` does.
pub(in crate::quay) fn use_proxies(builder: ClientBuilder, proxies: &ProxyRules) -> ClientBuilder {
    let proxies = proxies.clone();
    builder.no_proxy().proxy(Proxy::custom(move |url| {
        let proxy = proxies.proxy(&url.as_str().parse().ok()?);
        // A request must not bypass a proxy whose address is invalid.
        let address = proxy.map_or_else(
            |_| Some(INVALID_PROXY.to_owned()),
            |proxy| proxy.map(|proxy| proxy.to_string()),
        )?;
        // As in Go, the proxy resolves the host name.
        Some(
            address
                .strip_prefix("socks5:")
                .map_or(address.clone(), |rest| format!("socks5h:{rest}")),
        )
    }))
}

/// The end of an error message that names the proxy; empty without a proxy.
pub(in crate::quay) fn proxy_note(url: &Url, proxies: &ProxyRules) -> String {
    match url.as_str().parse().map(|url| proxies.proxy(&url)) {
        Ok(Ok(Some(proxy))) => format!(" via proxy {}", proxy::redacted(&proxy)),
        Ok(Err(problem)) => format!(": {problem}"),
        _ => String::new(),
    }
}

/// Finds the cause of an error of the HTTP client.
pub(in crate::quay) async fn classify(
    error: &reqwest::Error,
    url: &Url,
    proxies: &ProxyRules,
    deadline: Instant,
) -> TransportError {
    match classify_cause(error, url, proxies, deadline).await {
        TransportError::Unreachable(step, reason) => {
            TransportError::Unreachable(step, format!("{reason}{}", proxy_note(url, proxies)))
        }
        other => other,
    }
}

async fn classify_cause(
    error: &reqwest::Error,
    url: &Url,
    proxies: &ProxyRules,
    deadline: Instant,
) -> TransportError {
    if !error.is_connect() {
        return TransportError::Interrupted(format!(
            "connection lost before Quay answered ({})",
            root_cause(error)
        ));
    }
    match error_chain(error).find_map(|cause| cause.downcast_ref()) {
        Some(TlsError::InvalidCertificate(error)) => {
            return TransportError::Untrusted(certificate_error(
                error,
                url.host_str().unwrap_or_default(),
            ));
        }
        Some(TlsError::InvalidMessage(_)) => {
            return TransportError::Unreachable(
                ConnectionStage::Tls,
                "the server does not speak TLS".into(),
            );
        }
        Some(other) => {
            return TransportError::Unreachable(ConnectionStage::Tls, other.to_string());
        }
        None => {}
    }
    if error.is_timeout() {
        let is_direct = proxy_note(url, proxies).is_empty();
        let step =
            if is_direct { find_stage(url, deadline).await } else { ConnectionStage::Connect };
        return TransportError::Unreachable(step, "connection timed out".into());
    }
    // The connector's error type is private; only its messages differ between stages.
    let has_cause =
        |prefix: &str| error_chain(error).any(|cause| cause.to_string().starts_with(prefix));
    let step = if has_cause("dns error") {
        ConnectionStage::Name
    } else if has_cause("tls handshake") {
        ConnectionStage::Tls
    } else {
        ConnectionStage::Connect
    };
    TransportError::Unreachable(step, root_cause(error))
}

/// The stage at which a connection timed out: TLS if a second TCP connection succeeds.
async fn find_stage(url: &Url, deadline: Instant) -> ConnectionStage {
    let address =
        (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
    match timeout_at(deadline, TcpStream::connect(address)).await {
        Ok(Ok(_)) => ConnectionStage::Tls,
        _ => ConnectionStage::Connect,
    }
}

/// The message of the innermost cause; the others only name layers.
pub(in crate::quay) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let text = error_chain(error).last().map(ToString::to_string).unwrap_or_default();
    // `Connection refused (os error 111)`: without the number.
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// An error and its causes, including those that an [`io::Error`] wraps without returning them as its source.
fn error_chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

fn certificate_error(error: &CertificateError, host: &str) -> String {
    use CertificateError as E;
    match error {
        // BadSignature: the authority has the name of a trusted one, but another key.
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
        other => format!("the certificate of {host} is invalid ({other})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_certificate_and_the_reason() {
        let message = |error: CertificateError| certificate_error(&error, "quay.example.com");
        assert_eq!(
            message(CertificateError::Expired),
            "the certificate of quay.example.com has expired"
        );
        assert_eq!(
            message(CertificateError::NotValidForName),
            "the certificate of quay.example.com is for other names"
        );
        assert!(
            message(CertificateError::BadEncoding)
                .starts_with("the certificate of quay.example.com is invalid (")
        );
    }
}
