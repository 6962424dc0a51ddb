//! Token by OAuth redirect: Quay sends the browser to a port of this machine.
//!
//! The token is in the URL's fragment, which browsers do not send, so our page posts it back.
//! Everything but that page and that request is rejected, since any local program or open web page
//! can reach the port.

mod http;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use aws_lc_rs::rand;
use futures::future::select_all;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use url::Url;

use self::http::{Reply, Request, field};
use crate::domain::names::QuayUrl;
use crate::quay::Scope;

/// Fixed, because Quay compares redirect URIs as strings (`wire/070` to `wire/075`).
pub const PORT: u16 = 17895;

/// Browsers open several connections at once.
const MAX_CONNECTIONS: usize = 16;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The redirect URI that the OAuth application must have, `http://localhost:<PORT>/`.
pub fn redirect_uri() -> String {
    redirect_uri_for(PORT)
}

/// Receives the redirect of the browser.
#[derive(Debug)]
pub struct RedirectListener {
    /// Contains no secret.
    pub authorize_url: Url,
    listeners: Vec<TcpListener>,
    validator: RedirectValidator,
}

impl RedirectListener {
    /// Binds the port. The application must have [`redirect_uri`].
    ///
    /// # Errors
    /// When the port is in use.
    pub async fn listen(quay: &QuayUrl, client_id: &str, scopes: &[Scope]) -> anyhow::Result<Self> {
        Self::listen_on(PORT, quay, client_id, scopes).await
    }

    async fn listen_on(
        port: u16,
        quay: &QuayUrl,
        client_id: &str,
        scopes: &[Scope],
    ) -> anyhow::Result<Self> {
        let port_error = || {
            format!("failed to listen on port {port} of localhost for the token from the browser")
        };
        let first =
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(port_error)?;
        let port = first.local_addr().with_context(port_error)?.port();
        let mut listeners = vec![first];
        match TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
            Ok(second) => listeners.push(second),
            // A browser might try IPv6 first and send the token to the other program.
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                return Err(error).with_context(port_error);
            }
            // No IPv6 on this machine.
            Err(_) => {}
        }
        let validator = RedirectValidator { port, state: random_state()? };
        Ok(Self {
            authorize_url: authorize_url(quay, client_id, scopes, &validator)?,
            listeners,
            validator,
        })
    }

    /// Waits for the token.
    ///
    /// # Errors
    /// When authorization was denied, or on timeout.
    pub async fn token(self, max_wait: Duration) -> anyhow::Result<SecretString> {
        match timeout(max_wait, self.serve()).await {
            Ok(outcome) => outcome,
            Err(_) => bail!("no token received from the browser within {} s", max_wait.as_secs()),
        }
    }

    /// Reads the token from the final URL of a browser on another machine.
    ///
    /// # Errors
    /// When the URL does not belong to this authorization.
    pub fn token_from_url(&self, address: &SecretString) -> anyhow::Result<SecretString> {
        let address = Url::parse(address.expose_secret().trim())
            .map_err(|_| anyhow!("the pasted text is not a valid URL"))?;
        let (query, fragment) =
            (address.query().unwrap_or_default(), address.fragment().unwrap_or_default());
        if let Some(error) = field(query, "error") {
            return Err(authorization_error(&error));
        }
        if !self.validator.has_state(query) && !self.validator.has_state(fragment) {
            bail!("the pasted address does not belong to this sign-in");
        }
        match field(fragment, "access_token").filter(|token| !token.is_empty()) {
            Some(token) => Ok(token.into()),
            None => bail!("the pasted address contains no token; copy the complete address"),
        }
    }

    async fn serve(&self) -> anyhow::Result<SecretString> {
        let mut connections: JoinSet<Option<anyhow::Result<SecretString>>> = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok(stream) => {
                        let validator = self.validator.clone();
                        connections.spawn(async move { timeout(REQUEST_TIMEOUT, validator.respond(stream)).await.ok()? });
                    }
                    // The connection was closed, or too many files are open; both are transient.
                    Err(_) => sleep(Duration::from_millis(100)).await,
                },
                Some(done) = connections.join_next() => if let Ok(Some(outcome)) = done {
                    return outcome;
                },
            }
        }
    }

    async fn accept(&self) -> io::Result<TcpStream> {
        let (accepted, ..) =
            select_all(self.listeners.iter().map(|listener| Box::pin(listener.accept()))).await;
        accepted.map(|(stream, _)| stream)
    }
}

/// Opens a URL in the browser. Returns whether a program for that exists, not whether a window
/// appeared.
pub fn open_browser(address: &Url) -> bool {
    let (program, arguments): (_, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(windows) {
        ("rundll32", &["url.dll,FileProtocolHandler"])
    } else if has_display() {
        ("xdg-open", &[])
    } else {
        return false;
    };
    let mut command = Command::new(program);
    command.args(arguments).arg(address.as_str());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().is_ok()
}

/// Without a display, `xdg-open` might start a browser in this terminal.
fn has_display() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

#[cfg(any(test, fuzzing))]
pub fn browser_request(bytes: &[u8]) {
    use futures::FutureExt as _;
    let validator = RedirectValidator { port: 1, state: "y".into() };
    if let Some(request) = Request::read(&mut &bytes[..]).now_or_never().flatten() {
        let _ = validator.evaluate(&request);
    }
}

fn redirect_uri_for(port: u16) -> String {
    format!("http://localhost:{port}/")
}

fn authorize_url(
    quay: &QuayUrl,
    client_id: &str,
    scopes: &[Scope],
    validator: &RedirectValidator,
) -> anyhow::Result<Url> {
    let mut address =
        quay.as_url().join("oauth/authorize").context("failed to create the authorization URL")?;
    let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
    address
        .query_pairs_mut()
        .append_pair("response_type", "token")
        .append_pair("client_id", client_id)
        .append_pair("redirect_uri", &redirect_uri_for(validator.port))
        .append_pair("scope", &scopes.join(" "))
        .append_pair("state", &validator.state);
    Ok(address)
}

/// 128 random bits in hexadecimal digits.
fn random_state() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| anyhow!("failed to generate random numbers"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Distinguishes the expected redirect from all other requests.
#[derive(Clone, Debug)]
struct RedirectValidator {
    port: u16,
    /// Known only to us and to Quay (RFC 6749, 10.12).
    state: String,
}

impl RedirectValidator {
    /// Answers one request; returns the outcome that ends the wait.
    async fn respond(&self, mut stream: TcpStream) -> Option<anyhow::Result<SecretString>> {
        let request = Request::read(&mut stream).await?;
        let (reply, outcome) = self.evaluate(&request);
        // The outcome counts even if the browser has closed the connection.
        let _ = stream.write_all(reply.text().as_bytes()).await;
        let _ = stream.shutdown().await;
        outcome
    }

    fn evaluate(&self, request: &Request) -> (Reply, Option<anyhow::Result<SecretString>>) {
        // Protects against DNS rebinding: a web page cannot choose this header.
        if request.host != format!("localhost:{}", self.port) {
            return (Reply::NotFound, None);
        }
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        match (request.method.as_str(), path) {
            ("GET", "/") => match field(query, "error") {
                // Quay sends no state when authorization is denied (`wire/055`). Any page can send
                // that, so only a visible navigation counts, not a resource that another page
                // loads.
                Some(error)
                    if self.has_state(query)
                        || (field(query, "state").is_none() && request.is_visible) =>
                {
                    (Reply::Rejected, Some(Err(authorization_error(&error))))
                }
                Some(_) => (Reply::Forbidden, None),
                None => (Reply::Page, None),
            },
            ("POST", "/token") => {
                let is_our_page = request.origin.as_deref()
                    == Some(redirect_uri_for(self.port).trim_end_matches('/'));
                match field(&request.body, "access_token").filter(|token| !token.is_empty()) {
                    Some(token) if is_our_page && self.has_state(&request.body) => {
                        (Reply::Thanks, Some(Ok(SecretString::from(token))))
                    }
                    _ => (Reply::Forbidden, None),
                }
            }
            _ => (Reply::NotFound, None),
        }
    }

    fn has_state(&self, fields: &str) -> bool {
        field(fields, "state").is_some_and(|state| state == self.state)
    }
}

fn authorization_error(error: &str) -> anyhow::Error {
    match error {
        // Quay's code (`wire/055`) and the standard's.
        "authorization_denied" | "access_denied" => {
            anyhow!("the application was not authorized in the browser")
        }
        // Untrusted: only characters of an error code reach the terminal.
        other => {
            let code: String =
                other.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
            anyhow!("Quay returned an error to the browser: `{code}`")
        }
    }
}
