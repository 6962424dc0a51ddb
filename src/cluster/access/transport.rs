//! HTTP stack for the API server, with proxy and TLS.
//!
//! Not kube's own (kube-client 5.0 `client/builder.rs`): it does not allow a custom certificate
//! verifier or SOCKS credentials.

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

use crate::backoff;
use crate::cluster::access::authorization::Authorizer;
use crate::tls::{self, Identity, Trust};

/// Includes TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// As in kube.
const WRITE_TIMEOUT: Duration = Duration::from_secs(295);

/// First and maximum delay before a retry after 429, 503 or 504, as in `RetryPolicy::default`.
const RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(5)];
const MAX_RETRIES: u32 = 3;

/// # Errors
/// If a certificate or the proxy is invalid.
pub(in crate::cluster) fn client(
    config: &Config,
    identity: Option<&Identity>,
    authorizer: Authorizer,
    concurrency: usize,
) -> Result<Client, String> {
    // Required by kube; fails if it is set already.
    let _ = default_provider().install_default();
    let tls = Tls::new(config, identity)?;
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    let Some(proxy) = &config.proxy_url else {
        return build_client(config, &tls, tcp, authorizer, concurrency);
    };
    let (address, userinfo) = split_userinfo(proxy)?;
    match address.scheme_str() {
        Some("socks5" | "socks5h") => {
            let mut proxied = SocksV5::new(address, tcp);
            if let Some((user, password)) = userinfo {
                proxied = proxied.with_auth(user, password);
            }
            build_client(config, &tls, proxied, authorizer, concurrency)
        }
        Some("http") => {
            build_client(config, &tls, tunnel(address, userinfo, tcp), authorizer, concurrency)
        }
        Some("https") => build_client(
            config,
            &tls,
            tunnel(address, userinfo, tls.connector(tcp)),
            authorizer,
            concurrency,
        ),
        _ => Err("invalid scheme of its proxy: expected http, https or socks5".into()),
    }
}

struct Tls {
    config: ClientConfig,
    server_name: Option<ServerName<'static>>,
}

impl Tls {
    fn new(config: &Config, identity: Option<&Identity>) -> Result<Self, String> {
        let name = config.tls_server_name.clone().map(ServerName::try_from).transpose();
        let server_name = name.map_err(|_| "invalid tls-server-name")?;
        // In a pod, kube reloads the CA file.
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

fn tunnel<C>(address: Uri, userinfo: Option<(String, String)>, connector: C) -> Tunnel<C> {
    let tunnel = Tunnel::new(address, connector);
    let header = userinfo.and_then(|(user, password)| {
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

/// Splits the credentials off a proxy URL.
fn split_userinfo(proxy: &Uri) -> Result<(Uri, Option<(String, String)>), String> {
    let invalid = || "its proxy is not a valid URL".to_owned();
    let Some((userinfo, host)) =
        proxy.authority().and_then(|authority| authority.as_str().rsplit_once('@'))
    else {
        return Ok((proxy.clone(), None));
    };
    let address = format!("{}://{host}", proxy.scheme_str().unwrap_or("http"))
        .parse()
        .map_err(|_| invalid())?;
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    Ok((address, Some((percent_decode(user), percent_decode(password)))))
}

fn percent_decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn build_client<C>(
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
        .option_layer(
            config.auth_layer().map_err(|_| crate::cluster::access::error::UNUSABLE_CREDENTIALS)?,
        )
        .layer(
            config
                .extra_headers_layer()
                .map_err(|_| "the impersonated user or group contains an invalid character")?,
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
