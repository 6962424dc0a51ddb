//! The way to a server: straight, or by a proxy that the environment names. The rules are those of Go
//! (`golang.org/x/net/http/httpproxy`), by which `oc` decides, and they are the same for the cluster and for Quay.
//!
//! What HTTP libraries for Rust know are curl's rules, as hyper-util's `client::proxy::matcher`: `ALL_PROXY` counts there, a
//! port in `NO_PROXY` is not understood, `.example.com` covers `example.com`, this computer's own addresses go by the proxy,
//! and a proxy that is no address is passed over.

use std::fmt;
use std::net::IpAddr;

use http::Uri;
use url::Host;

/// What the environment says about proxies.
#[derive(Clone)]
pub(crate) struct ProxyRules {
    http: String,
    https: String,
    exempt: Vec<NoProxyRule>,
}

/// An entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NoProxyRule {
    All,
    Network(IpAddr, u32),
    Address(IpAddr, Option<String>),
    /// The names that end in a suffix, which begins with a dot; with the flag, also the name behind that dot.
    Names(String, Option<String>, bool),
}

impl fmt::Debug for ProxyRules {
    /// Without the addresses of the proxies: a password may be in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("exempt", &self.exempt).finish_non_exhaustive()
    }
}

impl ProxyRules {
    /// Reads them; `variable` looks up environment variables.
    pub(crate) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
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

    /// The proxy for a server; none if it is to be reached straight.
    ///
    /// # Errors
    /// If what is named is no address of a proxy. Go takes such a thing for the name of one, and fails to look it up.
    pub(crate) fn proxy(&self, server: &Uri) -> Result<Option<Uri>, String> {
        let (name, proxy) = match server.scheme_str() {
            Some("http") => ("HTTP_PROXY", &self.http),
            _ => ("HTTPS_PROXY", &self.https),
        };
        if proxy.is_empty() || self.is_exempt(server) {
            return Ok(None);
        }
        // Its value is not quoted: a password may be in it.
        address(proxy).map(Some).ok_or_else(|| format!("{name} is no address of a proxy"))
    }

    /// Whether a server is one of this computer's own, or is on the list.
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
            || self.exempt.iter().any(|entry| entry.covers(&host, ip, &port))
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

    fn covers(&self, host: &str, ip: Option<IpAddr>, port: &str) -> bool {
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

/// `host:port` or `[IPv6]:port`, as Go's `net.SplitHostPort` takes it.
fn split_port(entry: &str) -> Option<(&str, &str)> {
    let (host, port) = entry.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']').map(|host| (host, port)),
        None => (!host.contains(':')).then_some((host, port)),
    }
}

/// A network, such as `10.0.0.0/8`.
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

/// An address of a proxy; `http://` may be left out.
pub(crate) fn address(text: &str) -> Option<Uri> {
    let text = text.trim();
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let uri =
        text.parse::<Uri>().ok().filter(|uri| uri.host().is_some_and(|host| !host.is_empty()))?;
    if !matches!(uri.scheme_str(), Some("socks5" | "socks5h")) || uri.port().is_some() {
        return Some(uri);
    }
    // What connects knows the usual ports of HTTP alone.
    format!("{}://{}:1080", uri.scheme_str()?, uri.authority()?).parse().ok()
}

/// An address without the name and the password that may be in it.
pub(crate) fn shown(proxy: &Uri) -> String {
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
        ProxyRules::of(variable)
            .proxy(&server.parse().unwrap())
            .map(|proxy| proxy.as_ref().map(shown))
    }

    #[test]
    fn the_scheme_of_the_server_names_the_variable() {
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
    fn no_proxy_has_the_entries_of_go() {
        let straight = |server: &str, list: &str| {
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
            assert!(straight(server, list), "{list}");
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
            assert!(!straight(server, list), "{list}");
        }
        for list in ["10.1.2.3", "10.0.0.0/8", "10.1.2.3/32", "0.0.0.0/0", "10.1.2.3:6443"] {
            assert!(straight("https://10.1.2.3:6443", list), "{list}");
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
            assert!(!straight("https://10.1.2.3:6443", list), "{list}");
        }
        assert!(
            straight("https://[fd00::1]:6443", "fd00::/8")
                && straight("https://[fd00::1]:6443", "[fd00::1]:6443")
        );
        assert!(
            straight("https://[fd00::1]:6443", "fd00::1")
                && !straight("https://[fd00::1]:6443", "fd01::/16")
        );
        assert!(straight("https://xn--bcher-kva.example", "bücher.example"));
        assert!(
            straight("https://api.one", "api.one:443")
                && !straight("https://api.one", "api.one:80")
        );
    }

    #[test]
    fn this_computer_needs_no_proxy() {
        for server in ["https://localhost:6443", "https://127.0.0.1:6443", "https://[::1]:6443"] {
            assert_eq!(proxy(server, &[("HTTPS_PROXY", "http://p:1")]), Ok(None), "{server}");
        }
    }

    #[test]
    fn a_password_in_it_is_never_shown() {
        let with_password = "http://ann:hunter2@proxy.example.com:3128";
        let shown = proxy("https://api.one", &[("HTTPS_PROXY", with_password)]);
        assert_eq!(shown, Ok(Some("http://proxy.example.com:3128".into())));
        let error =
            proxy("https://api.one", &[("HTTPS_PROXY", "http://ann:hun ter2@p")]).unwrap_err();
        assert_eq!(error, "HTTPS_PROXY is no address of a proxy");
        let rules =
            ProxyRules::of(|name| (name == "HTTPS_PROXY").then(|| with_password.to_owned()));
        assert!(!format!("{rules:?}").contains("hunter2"));
    }
}
