//! Proxy settings from the environment, with the rules of Go (`golang.org/x/net/http/httpproxy`)
//! and `oc`, for the cluster and Quay.
//!
//! Not hyper-util's `client::proxy::matcher`, which follows curl. It proxies loopback addresses and
//! skips invalid proxies. In `NO_PROXY`, it matches `example.com` with `.example.com`, but nothing
//! with a port, with `*.example.com` or with an international name, and no IP address with `*`.

use std::fmt;
use std::net::IpAddr;

use http::Uri;
use url::Host;

#[derive(Clone)]
pub(crate) struct ProxyRules {
    http: String,
    https: String,
    exempt: Vec<NoProxyRule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum NoProxyRule {
    All,
    Network(IpAddr, u32),
    Address(IpAddr, Option<String>),
    /// A suffix that begins with a dot; with the flag, it also matches the name without the dot.
    Names(String, Option<String>, bool),
}

impl fmt::Debug for ProxyRules {
    /// Without the proxy URLs, which might contain passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyRules").field("exempt", &self.exempt).finish_non_exhaustive()
    }
}

impl ProxyRules {
    /// `variable` looks up environment variables.
    pub(crate) fn from_env(variable: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            let names = [name.to_owned(), name.to_lowercase()];
            names
                .iter()
                .find_map(|name| variable(name).filter(|value| !value.is_empty()))
                .unwrap_or_default()
        };
        let exempt = either("NO_PROXY").split(',').filter_map(NoProxyRule::parse).collect();
        Self { http: either("HTTP_PROXY"), https: either("HTTPS_PROXY"), exempt }
    }

    /// None for a direct connection.
    ///
    /// # Errors
    /// If the variable is not a valid URL. Go fails to look it up instead.
    pub(crate) fn proxy(&self, server: &Uri) -> Result<Option<Uri>, String> {
        let (name, proxy) = match server.scheme_str() {
            Some("http") => ("HTTP_PROXY", &self.http),
            _ => ("HTTPS_PROXY", &self.https),
        };
        if proxy.is_empty() || self.is_exempt(server) {
            return Ok(None);
        }
        // The value is not quoted: it might contain a password.
        parse_url(proxy).map(Some).ok_or_else(|| format!("{name} is not a valid proxy URL"))
    }

    /// Loopback addresses and matches of `NO_PROXY`.
    fn is_exempt(&self, server: &Uri) -> bool {
        let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = server
            .port_u16()
            .unwrap_or(if server.scheme_str() == Some("http") { 80 } else { 443 })
            .to_string();
        let ip = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        let host = host.to_lowercase();
        host == "localhost"
            || ip.is_some_and(|ip| ip.is_loopback())
            || self.exempt.iter().any(|entry| entry.is_match(&host, ip, &port))
    }
}

impl NoProxyRule {
    fn parse(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_lowercase();
        if entry == "*" {
            return Some(Self::All);
        }
        if let Some(network) = network(&entry) {
            return Some(network);
        }
        let (name, port) = split_port(&entry).unwrap_or((&entry, ""));
        let port = Some(port.to_owned()).filter(|port| !port.is_empty());
        if let Ok(ip) = name.parse::<IpAddr>() {
            return Some(Self::Address(ip.to_canonical(), port));
        }
        let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
        let (name, with_itself) = name.strip_prefix('.').map_or((name, true), |name| (name, false));
        let ascii = |name: &str| {
            Host::parse(name).map_or_else(|_| name.to_owned(), |host| host.to_string())
        };
        let name = if name.is_ascii() { name.to_owned() } else { ascii(name) };
        (!name.is_empty()).then(|| Self::Names(format!(".{name}"), port, with_itself))
    }

    fn is_match(&self, host: &str, ip: Option<IpAddr>, port: &str) -> bool {
        let is_port =
            |wanted: &Option<String>| wanted.as_deref().is_none_or(|wanted| wanted == port);
        match self {
            Self::All => true,
            Self::Network(start, length) => ip.is_some_and(|ip| is_in_network(*start, *length, ip)),
            Self::Address(address, wanted) => ip == Some(*address) && is_port(wanted),
            Self::Names(suffix, wanted, with_itself) => {
                ip.is_none()
                    && is_port(wanted)
                    && (host.ends_with(suffix) || *with_itself && host == &suffix[1..])
            }
        }
    }
}

/// As Go's `net.SplitHostPort`.
fn split_port(entry: &str) -> Option<(&str, &str)> {
    let (host, port) = entry.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']').map(|host| (host, port)),
        None => (!host.contains(':')).then_some((host, port)),
    }
}

/// In CIDR notation.
fn network(entry: &str) -> Option<NoProxyRule> {
    let (start, length) = entry.split_once('/')?;
    let (start, length) = (start.parse::<IpAddr>().ok()?, length.parse::<u32>().ok()?);
    let bits = if start.is_ipv4() { u32::BITS } else { u128::BITS };
    (length <= bits).then_some(NoProxyRule::Network(start, length))
}

fn is_in_network(start: IpAddr, length: u32, ip: IpAddr) -> bool {
    let (start, ip, bits) = match (start, ip) {
        (IpAddr::V4(start), IpAddr::V4(ip)) => {
            (u128::from(start.to_bits()), u128::from(ip.to_bits()), u32::BITS)
        }
        (IpAddr::V6(start), IpAddr::V6(ip)) => (start.to_bits(), ip.to_bits(), u128::BITS),
        _ => return false,
    };
    let net = |address: u128| address.checked_shr(bits.saturating_sub(length)).unwrap_or_default();
    net(start) == net(ip)
}

/// The scheme defaults to `http://`.
pub(crate) fn parse_url(text: &str) -> Option<Uri> {
    let text = text.trim();
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let uri =
        text.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()))?;
    if !matches!(uri.scheme_str(), Some("socks5" | "socks5h")) || uri.port().is_some() {
        return Some(uri);
    }
    // The connector knows default ports of HTTP only.
    format!("{}://{}:1080", uri.scheme_str()?, uri.authority()?).parse().ok()
}

/// The URL without credentials.
pub(crate) fn redacted(proxy: &Uri) -> String {
    let port = proxy.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", proxy.scheme_str().unwrap_or("http"), proxy.host().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn proxy(server: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        ProxyRules::from_env(variable)
            .proxy(&server.parse().unwrap())
            .map(|proxy| proxy.as_ref().map(redacted))
    }

    #[test]
    fn selects_variable_by_server_scheme() {
        let variables = [
            ("HTTPS_PROXY", "http://secure:3128"),
            ("HTTP_PROXY", "plain:3128"),
            ("https_proxy", "http://lower"),
        ];
        assert_eq!(
            proxy("https://api.one:6443", &variables),
            Ok(Some("http://secure:3128".into()))
        );
        assert_eq!(proxy("http://api.one:6443", &variables), Ok(Some("http://plain:3128".into())));
        assert_eq!(proxy("https://api.one:6443", &variables[2..]), Ok(Some("http://lower".into())));
        assert_eq!(proxy("https://api.one:6443", &[("HTTPS_PROXY", "")]), Ok(None));
        assert_eq!(proxy("https://api.one:6443", &[("ALL_PROXY", "http://all:1")]), Ok(None));
        assert_eq!(
            proxy("https://api.one", &[("HTTPS_PROXY", "socks5://s")]),
            Ok(Some("socks5://s:1080".into()))
        );
    }

    #[test]
    fn no_proxy_matches_like_go() {
        let direct = |server: &str, list: &str| {
            proxy(server, &[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", list)]) == Ok(None)
        };
        let server = "https://api.dev.example.com:6443";
        for list in [
            "*",
            "example.com",
            ".example.com",
            "*.example.com",
            "a, API.dev.example.com ,b",
            "api.dev.example.com:6443",
        ] {
            assert!(direct(server, list), "{list}");
        }
        for list in [
            "",
            ",",
            "ample.com",
            "example.org",
            "api.dev.example.com:443",
            "www.api.dev.example.com",
            ":6443",
            "p",
            ".api.dev.example.com",
            "*.api.dev.example.com",
            "*example.com",
        ] {
            assert!(!direct(server, list), "{list}");
        }
        for list in ["10.1.2.3", "10.0.0.0/8", "10.1.2.3/32", "0.0.0.0/0", "10.1.2.3:6443"] {
            assert!(direct("https://10.1.2.3:6443", list), "{list}");
        }
        for list in [
            "10.1.2.4",
            "192.168.0.0/16",
            "10.1.2.4/32",
            "10.0.0.0/99",
            "fd00::/8",
            "2.3",
            "10.1.2.3:443",
        ] {
            assert!(!direct("https://10.1.2.3:6443", list), "{list}");
        }
        assert!(
            direct("https://[fd00::1]:6443", "fd00::/8")
                && direct("https://[fd00::1]:6443", "[fd00::1]:6443")
        );
        assert!(
            direct("https://[fd00::1]:6443", "fd00::1")
                && !direct("https://[fd00::1]:6443", "fd01::/16")
        );
        assert!(direct("https://xn--bcher-kva.example", "bücher.example"));
        assert!(
            direct("https://api.one", "api.one:443") && !direct("https://api.one", "api.one:80")
        );
    }

    #[test]
    fn loopback_needs_no_proxy() {
        for server in ["https://localhost:6443", "https://127.0.0.1:6443", "https://[::1]:6443"] {
            assert_eq!(proxy(server, &[("HTTPS_PROXY", "http://p:1")]), Ok(None), "{server}");
        }
    }

    #[test]
    fn never_shows_proxy_password() {
        let with_password = "http://ann:hunter2@proxy.example.com:3128";
        let shown = proxy("https://api.one", &[("HTTPS_PROXY", with_password)]);
        assert_eq!(shown, Ok(Some("http://proxy.example.com:3128".into())));
        let error =
            proxy("https://api.one", &[("HTTPS_PROXY", "http://ann:hun ter2@p")]).unwrap_err();
        assert_eq!(error, "HTTPS_PROXY is not a valid proxy URL");
        let rules =
            ProxyRules::from_env(|name| (name == "HTTPS_PROXY").then(|| with_password.to_owned()));
        assert!(!format!("{rules:?}").contains("hunter2"));
    }
}
