//! The way to the API server: straight, or by a proxy that the environment names, as `oc` decides it (Go,
//! `golang.org/x/net/http/httpproxy`). kube compares `NO_PROXY` with the proxy's own address (kube-client 5.0
//! `config/file_loader.rs`), so that what is listed there would go by the proxy all the same.

use std::net::IpAddr;

use http::Uri;

/// The proxy for a server; none if it is to be reached straight. `variable` looks up environment variables.
///
/// # Errors
/// If what is named is no address of a proxy.
pub(super) fn of(server: &Uri, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Uri>, String> {
    let either = |name: &str| {
        [name.to_owned(), name.to_lowercase()].iter().find_map(|name| variable(name).filter(|value| !value.is_empty()))
    };
    let name = if server.scheme_str() == Some("http") { "HTTP_PROXY" } else { "HTTPS_PROXY" };
    let Some(proxy) = either(name) else { return Ok(None) };
    if is_exempt(server, &either("NO_PROXY").unwrap_or_default()) {
        return Ok(None);
    }
    // Its value is not quoted: a password may be in it.
    address(&proxy).map(Some).ok_or_else(|| format!("{name} is no address of a proxy"))
}

/// An address of a proxy; `http://` may be left out.
pub(super) fn address(text: &str) -> Option<Uri> {
    let text = text.trim();
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    text.parse::<Uri>().ok().filter(|uri| uri.host().is_some())
}

/// An address without the name and the password that may be in it.
pub(super) fn shown(proxy: &Uri) -> String {
    let port = proxy.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", proxy.scheme_str().unwrap_or("http"), proxy.host().unwrap_or_default())
}

/// Whether a server is one of this computer's own, or is on the list.
fn is_exempt(server: &Uri, list: &str) -> bool {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']).to_lowercase();
    let port = server.port_u16().unwrap_or(if server.scheme_str() == Some("http") { 80 } else { 443 });
    let ip = host.parse::<IpAddr>().ok();
    host == "localhost"
        || ip.is_some_and(|ip| ip.is_loopback())
        || list.split(',').map(|entry| entry.trim().to_lowercase()).any(|entry| covers(&entry, &host, ip, port))
}

/// Whether an entry of the list is about a host: `*`, an address, a network, a name with the names below it, a `.suffix`
/// of names; each, but networks, with a port or without.
fn covers(entry: &str, host: &str, ip: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some(covered) = ip.and_then(|ip| in_network(entry, ip)) {
        return covered;
    }
    let (name, its_port) = match entry.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse::<u16>().ok()?))) {
        // More colons are those of an IPv6 address.
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, Some(port)),
        _ => (entry, None),
    };
    if name.is_empty() || its_port.is_some_and(|its_port| its_port != port) {
        return false;
    }
    let name = name.trim_matches(['[', ']']);
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    match name.strip_prefix('.') {
        Some(_) => host.ends_with(name),
        None => host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')),
    }
}

/// Whether an address lies in a network, such as `10.0.0.0/8`; none if that is no network.
fn in_network(network: &str, ip: IpAddr) -> Option<bool> {
    let (start, length) = network.split_once('/')?;
    let (start, length) = (start.parse::<IpAddr>().ok()?, length.parse::<u32>().ok()?);
    let (start, ip, bits) = match (start, ip) {
        (IpAddr::V4(start), IpAddr::V4(ip)) => (u128::from(start.to_bits()), u128::from(ip.to_bits()), u32::BITS),
        (IpAddr::V6(start), IpAddr::V6(ip)) => (start.to_bits(), ip.to_bits(), u128::BITS),
        _ => return Some(false),
    };
    let host_bits = bits.checked_sub(length)?;
    let net = |address: u128| address.checked_shr(host_bits).unwrap_or_default();
    Some(net(start) == net(ip))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn proxy(server: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        of(&server.parse().unwrap(), variable).map(|proxy| proxy.as_ref().map(shown))
    }

    #[test]
    fn the_scheme_of_the_server_names_the_variable() {
        let variables = [("HTTPS_PROXY", "http://secure:3128"), ("HTTP_PROXY", "plain:3128"), ("https_proxy", "http://lower")];
        assert_eq!(proxy("https://api.one:6443", &variables), Ok(Some("http://secure:3128".into())));
        assert_eq!(proxy("http://api.one:6443", &variables), Ok(Some("http://plain:3128".into())));
        assert_eq!(proxy("https://api.one:6443", &variables[2..]), Ok(Some("http://lower".into())));
        assert_eq!(proxy("https://api.one:6443", &[("HTTPS_PROXY", "")]), Ok(None));
    }

    #[test]
    fn what_no_proxy_lists_is_reached_straight() {
        let straight = |server: &str, list: &str| proxy(server, &[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", list)]) == Ok(None);
        let server = "https://api.dev.example.com:6443";
        for list in ["*", "example.com", ".example.com", "*.example.com", "a, API.dev.example.com ,b", "api.dev.example.com:6443"]
        {
            assert!(straight(server, list), "{list}");
        }
        for list in ["", ",", "ample.com", "example.org", "api.dev.example.com:443", "www.api.dev.example.com", ":6443", "p"] {
            assert!(!straight(server, list), "{list}");
        }
        for list in ["10.1.2.3", "10.0.0.0/8", "10.1.2.3/32", "0.0.0.0/0", "10.1.2.3:6443"] {
            assert!(straight("https://10.1.2.3:6443", list), "{list}");
        }
        for list in ["10.1.2.4", "192.168.0.0/16", "10.1.2.4/32", "10.0.0.0/99", "fd00::/8"] {
            assert!(!straight("https://10.1.2.3:6443", list), "{list}");
        }
        assert!(straight("https://[fd00::1]:6443", "fd00::/8") && straight("https://[fd00::1]:6443", "[fd00::1]:6443"));
        assert!(straight("https://[fd00::1]:6443", "fd00::1") && !straight("https://[fd00::1]:6443", "fd01::/16"));
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
        let error = proxy("https://api.one", &[("HTTPS_PROXY", "http://ann:hun ter2@p")]).unwrap_err();
        assert_eq!(error, "HTTPS_PROXY is no address of a proxy");
    }
}
