//! The connections to the API server: straight or by a proxy, over TLS or not.
//!
//! kube makes the same stack (kube-client 5.0 `client/builder.rs`), but has no say in how certificates are verified, and does
//! not log in to a SOCKS proxy.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use hyper::rt::{Read, Write};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::{Client, Config};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use tower::buffer::BufferLayer;
use tower::filter::AsyncFilterLayer;
use tower::retry::RetryLayer;
use tower::{BoxError, Service, ServiceBuilder};

use super::authorization::Authorizer;
use crate::backoff;
use crate::tls::{self, Identity, Trust};

/// How long a connection may take to come about, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the server may take in nothing of a request. As in kube's own.
const WRITE_TIMEOUT: Duration = Duration::from_secs(295);

/// The pauses before a call is made again that was answered with 429, 503 or 504: the first one, which doubles, and the
/// longest. As in `RetryPolicy::default`.
const RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(5)];
const MAX_RETRIES: u32 = 3;

/// A client, with `concurrency` calls under way at once.
///
/// # Errors
/// What is wrong with the certificates or the proxy.
pub(super) fn client(
    config: &Config,
    identity: Option<&Identity>,
    authorizer: Authorizer,
    concurrency: usize,
) -> Result<Client, String> {
    // kube asks for the process's own where it makes connections by itself; it may have been set before.
    let _ = default_provider().install_default();
    let tls = Tls::of(config, identity)?;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    let Some(proxy) = &config.proxy_url else {
        return over(config, &tls, tcp, authorizer, concurrency);
    };
    let (address, login) = split_login(proxy)?;
    match address.scheme_str() {
        Some("socks5" | "socks5h") => {
            let mut proxied = SocksV5::new(address, tcp);
            if let Some((user, password)) = login {
                proxied = proxied.with_auth(user, password);
            }
            over(config, &tls, proxied, authorizer, concurrency)
        }
        Some("http") => over(config, &tls, tunnel(address, login, tcp), authorizer, concurrency),
        Some("https") => {
            over(config, &tls, tunnel(address, login, tls.connector(tcp)), authorizer, concurrency)
        }
        _ => Err("its proxy is none of http, https and socks5".into()),
    }
}

struct Tls {
    config: ClientConfig,
    server_name: Option<ServerName<'static>>,
}

impl Tls {
    fn of(config: &Config, identity: Option<&Identity>) -> Result<Self, String> {
        let name = config.tls_server_name.clone().map(ServerName::try_from).transpose();
        let server_name = name.map_err(|_| "its tls-server-name is no name of a server")?;
        // In a pod the authorities are in a file that kube reads again.
        if config.root_cert_file.is_some() {
            let config = config.rustls_client_config().map_err(|error| error.to_string())?;
            return Ok(Self { config, server_name });
        }
        let trust = match &config.root_cert {
            _ if config.accept_invalid_certs => Trust::Every,
            Some(authorities) => {
                Trust::Only(authorities.iter().cloned().map(CertificateDer::from).collect())
            }
            None => Trust::SystemAnd(vec![]),
        };
        Ok(Self { config: tls::client_config(trust, identity)?, server_name })
    }

    fn connector<C>(&self, connector: C) -> HttpsConnector<C> {
        let builder =
            HttpsConnectorBuilder::new().with_tls_config(self.config.clone()).https_or_http();
        match &self.server_name {
            Some(name) => builder
                .with_server_name_resolver(FixedServerNameResolver::new(name.clone()))
                .enable_http1()
                .wrap_connector(connector),
            None => builder.enable_http1().wrap_connector(connector),
        }
    }
}

fn tunnel<C>(address: Uri, login: Option<(String, String)>, connector: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(address, connector);
    let header = login.and_then(|(user, password)| {
        let mut header = HeaderValue::from_str(&format!(
            "Basic {}",
            STANDARD.encode(format!("{user}:{password}"))
        ))
        .ok()?;
        header.set_sensitive(true);
        Some(header)
    });
    match header {
        Some(header) => tunnel.with_auth(header),
        None => tunnel,
    }
}

/// The address of a proxy, and the name and the password in it.
fn split_login(proxy: &Uri) -> Result<(Uri, Option<(String, String)>), String> {
    let invalid = || "its proxy is no address".to_owned();
    let Some((login, host)) =
        proxy.authority().and_then(|authority| authority.as_str().rsplit_once('@'))
    else {
        return Ok((proxy.clone(), None));
    };
    let address = format!("{}://{host}", proxy.scheme_str().unwrap_or("http"))
        .parse()
        .map_err(|_| invalid())?;
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    Ok((address, Some((decoded(user), decoded(password)))))
}

/// A part of an address without its percent signs.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn over<C>(
    config: &Config,
    tls: &Tls,
    connector: C,
    authorizer: Authorizer,
    concurrency: usize,
) -> Result<Client, String>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    let mut connector = TimeoutConnector::new(tls.connector(connector));
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_write_timeout(Some(WRITE_TIMEOUT));
    let http: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(|_| super::error::UNUSABLE_CREDENTIALS)?)
        .layer(
            config
                .extra_headers_layer()
                .map_err(|_| "whom to act as holds a character that cannot be sent")?,
        )
        .map_err(BoxError::from)
        .service(http);
    Ok(ClientBuilder::new(service, config.default_namespace.clone())
        .with_layer(&AsyncFilterLayer::new(authorizer))
        .with_layer(&BufferLayer::new(concurrency.max(1)))
        .with_layer(&RetryLayer::new(retry_policy()))
        .build())
}

fn retry_policy() -> RetryPolicy {
    let [first, longest] = RETRY_DELAYS.map(backoff::shortened);
    RetryPolicy::new(first, longest, MAX_RETRIES, false).unwrap_or_default()
}
