//! A token by way of the browser: Quay sends it to an address of this machine, where we wait for it.
//!
//! The token comes in the fragment of the address, which a browser keeps to itself. So the page that it gets from us posts
//! the fragment back. Everything but that page and that post is refused, since any program and any web page that is
//! open here can reach the port.

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

/// The port on this machine. It never changes, because Quay compares the redirect address with the application's as
/// strings (samples 070-075).
pub const PORT: u16 = 17895;

/// The most connections at a time; a browser opens a few at once.
const MAX_CONNECTIONS: usize = 16;

/// The longest that one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// What Quay's applications need as redirect address for this way, `http://localhost:<PORT>/`.
pub fn redirect_uri() -> String {
    redirect_to(PORT)
}

/// Waits on this machine for the browser to come with a token.
#[derive(Debug)]
pub struct RedirectListener {
    /// The address to open. It holds no secret.
    pub address: Url,
    listeners: Vec<TcpListener>,
    gate: RedirectValidator,
}

impl RedirectListener {
    /// Begins to listen. The application has to have [`redirect_uri`] as its redirect address.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn listen(quay: &QuayUrl, client_id: &str, scopes: &[Scope]) -> anyhow::Result<Self> {
        Self::listen_on(PORT, quay, client_id, scopes).await
    }

    async fn listen_on(
        port: u16,
        quay: &QuayUrl,
        client_id: &str,
        scopes: &[Scope],
    ) -> anyhow::Result<Self> {
        let taken = || {
            format!(
                "could not listen on port {port} of localhost, where the browser is to bring the token"
            )
        };
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(taken)?;
        let port = first.local_addr().with_context(taken)?.port();
        let mut listeners = vec![first];
        match TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
            Ok(second) => listeners.push(second),
            // A browser may try this one first, and would bring the token to somebody else.
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                return Err(error).with_context(taken);
            }
            // There is no IPv6 here.
            Err(_) => {}
        }
        let gate = RedirectValidator { port, state: random()? };
        Ok(Self { address: address(quay, client_id, scopes, &gate)?, listeners, gate })
    }

    /// Waits until the browser has brought the token.
    ///
    /// # Errors
    /// When it was refused in the browser, or did not come in time.
    pub async fn token(self, patience: Duration) -> anyhow::Result<SecretString> {
        match timeout(patience, self.serve()).await {
            Ok(outcome) => outcome,
            Err(_) => bail!("the browser did not bring a token within {} s", patience.as_secs()),
        }
    }

    /// The token in the address that a browser ended on which runs on another machine: there nobody listens, so it shows
    /// an error, but the address bar has it all.
    ///
    /// # Errors
    /// When it is not the address that this waiting leads to.
    pub fn pasted(&self, address: &SecretString) -> anyhow::Result<SecretString> {
        let address = Url::parse(address.expose_secret().trim())
            .map_err(|_| anyhow!("what was pasted is no address"))?;
        let (query, fragment) =
            (address.query().unwrap_or_default(), address.fragment().unwrap_or_default());
        if let Some(error) = field(query, "error") {
            return Err(refused(&error));
        }
        if !self.gate.knows(query) && !self.gate.knows(fragment) {
            bail!("what was pasted is not the address that this sign-in leads to");
        }
        match field(fragment, "access_token").filter(|token| !token.is_empty()) {
            Some(token) => Ok(token.into()),
            None => bail!("the address holds no token; copy all of it, from http to its end"),
        }
    }

    async fn serve(&self) -> anyhow::Result<SecretString> {
        let mut connections: JoinSet<Option<anyhow::Result<SecretString>>> = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok(stream) => {
                        let gate = self.gate.clone();
                        connections.spawn(async move { timeout(REQUEST_TIMEOUT, gate.answer(stream)).await.ok()? });
                    }
                    // It was gone again before we took it, or there are too many files open; both pass.
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

/// Opens an address in the person's browser. Returns whether there is something to open it with; whether a window came
/// up is for the person to see.
pub fn open(address: &Url) -> bool {
    let (program, arguments): (_, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(windows) {
        ("rundll32", &["url.dll,FileProtocolHandler"])
    } else if has_screen() {
        ("xdg-open", &[])
    } else {
        return false;
    };
    let mut command = Command::new(program);
    command.args(arguments).arg(address.as_str());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().is_ok()
}

/// Without one `xdg-open` may start a browser in the terminal, where we are.
fn has_screen() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// A request to the port, from a browser or another client: see [`crate::untrusted`].
#[cfg(any(test, fuzzing))]
pub fn browser_request(bytes: &[u8]) {
    use futures::FutureExt as _;
    let gate = RedirectValidator { port: 1, state: "y".into() };
    // All of it is there, so nothing is waited for.
    if let Some(request) = Request::read(&mut &bytes[..]).now_or_never().flatten() {
        let _ = gate.judge(&request);
    }
}

fn redirect_to(port: u16) -> String {
    format!("http://localhost:{port}/")
}

fn address(
    quay: &QuayUrl,
    client_id: &str,
    scopes: &[Scope],
    gate: &RedirectValidator,
) -> anyhow::Result<Url> {
    let mut address =
        quay.as_url().join("oauth/authorize").context("could not make the address to open")?;
    let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
    address
        .query_pairs_mut()
        .append_pair("response_type", "token")
        .append_pair("client_id", client_id)
        .append_pair("redirect_uri", &redirect_to(gate.port))
        .append_pair("scope", &scopes.join(" "))
        .append_pair("state", &gate.state);
    Ok(address)
}

/// 128 bits that nobody can guess, in hexadecimal digits.
fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| anyhow!("this system gives no random numbers"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Tells the answer that we wait for from whatever else comes to the port.
#[derive(Clone, Debug)]
struct RedirectValidator {
    port: u16,
    /// Only who was sent by us to Quay, and by Quay to us, knows it (RFC 6749, 10.12).
    state: String,
}

impl RedirectValidator {
    /// Answers one request; the outcome if it ends the waiting.
    async fn answer(&self, mut stream: TcpStream) -> Option<anyhow::Result<SecretString>> {
        let request = Request::read(&mut stream).await?;
        let (reply, outcome) = self.judge(&request);
        // The browser may be gone; the outcome counts all the same.
        let _ = stream.write_all(reply.text().as_bytes()).await;
        let _ = stream.shutdown().await;
        outcome
    }

    fn judge(&self, request: &Request) -> (Reply, Option<anyhow::Result<SecretString>>) {
        // A web page can have its own name point to this machine, but not choose the name in this header.
        if request.host != format!("localhost:{}", self.port) {
            return (Reply::NotFound, None);
        }
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        match (request.method.as_str(), path) {
            ("GET", "/") => match field(query, "error") {
                // Quay leaves the state out of a refusal (sample 055). Any page can send one without, so it has to be what the
                // person sees in the browser, and nothing that another page loads in silence.
                Some(error)
                    if self.knows(query)
                        || (field(query, "state").is_none() && request.is_visible) =>
                {
                    (Reply::Refused, Some(Err(refused(&error))))
                }
                Some(_) => (Reply::Forbidden, None),
                None => (Reply::Page, None),
            },
            ("POST", "/token") => {
                let is_our_page =
                    request.origin.as_deref() == Some(redirect_to(self.port).trim_end_matches('/'));
                match field(&request.body, "access_token").filter(|token| !token.is_empty()) {
                    Some(token) if is_our_page && self.knows(&request.body) => {
                        (Reply::Thanks, Some(Ok(SecretString::from(token))))
                    }
                    _ => (Reply::Forbidden, None),
                }
            }
            _ => (Reply::NotFound, None),
        }
    }

    fn knows(&self, fields: &str) -> bool {
        field(fields, "state").is_some_and(|state| state == self.state)
    }
}

fn refused(error: &str) -> anyhow::Error {
    match error {
        // Quay's word (sample 055) and the standard's.
        "authorization_denied" | "access_denied" => {
            anyhow!("the application was not authorized in the browser")
        }
        // Anybody can send this one: nothing of it goes to the terminal but what an error code consists of.
        other => {
            let code: String =
                other.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
            anyhow!("Quay sent the browser back with the error `{code}`")
        }
    }
}
