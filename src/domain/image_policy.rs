//! The registries that nodes and imports of the cluster are allowed to use.

use super::finding::Code;

/// The registry lists of the Image `cluster` of `config.openshift.io` (openshift/api `config/v1/types_image.go`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImagePolicy {
    /// `spec.registrySources.allowedRegistries`: if set, nodes and builds use no other.
    pub allowed: Vec<String>,
    /// `spec.registrySources.blockedRegistries`: nodes and builds use none of these.
    pub blocked: Vec<String>,
    /// `spec.allowedRegistriesForImport`: if set, images are imported from no other.
    pub allowed_for_import: Vec<ImportRegistry>,
}

/// An entry of `spec.allowedRegistriesForImport`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportRegistry {
    /// `domainName`: `host` or `host:port`, where `*` matches any characters.
    pub domain: String,
    /// `insecure`: plain http is allowed too.
    pub insecure: bool,
}

impl ImagePolicy {
    /// The code and message of each operation that the policy denies for a registry (`host[:port]`).
    pub fn violations(&self, host: &str) -> Vec<(Code, String)> {
        let pulls = self.denies_pulls(host).map(|why| {
            (
                Code::PullsNotAllowed,
                format!("nodes cannot pull from {host}, and builds cannot push to it: {why}"),
            )
        });
        let imports = self.denies_imports(host).then(|| {
            let message = format!(
                "images cannot be imported from {host}: allowedRegistriesForImport does not name it"
            );
            (Code::ImportsNotAllowed, message)
        });
        pulls.into_iter().chain(imports).collect()
    }

    /// Why nodes do not pull from a registry (`host[:port]`), if they do not. A blocked entry with a path applies to a part of
    /// the registry only, so it does not count.
    fn denies_pulls(&self, host: &str) -> Option<String> {
        if let Some(entry) = self.blocked.iter().find(|entry| is_blocked(entry, host)) {
            return Some(format!("blockedRegistries names {entry}"));
        }
        let is_allowed =
            self.allowed.is_empty() || self.allowed.iter().any(|entry| is_allowed(entry, host));
        (!is_allowed).then(|| "allowedRegistries does not name it".to_owned())
    }

    fn denies_imports(&self, host: &str) -> bool {
        !self.allowed_for_import.is_empty()
            && !self.allowed_for_import.iter().any(|registry| registry.matches(host))
    }
}

impl ImportRegistry {
    /// Compares host and port by pattern, as the API server does (openshift-apiserver
    /// `pkg/image/apiserver/registryhostname`). The default port is 443, or 80 for an insecure registry.
    fn matches(&self, host: &str) -> bool {
        let default_port = if self.insecure { "80" } else { "443" };
        let ((pattern, wanted), (host, port)) = (split(&self.domain), split(host));
        matches(pattern, host)
            && matches(wanted.unwrap_or(default_port), port.unwrap_or(default_port))
    }
}

fn split(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((host, port)) if port.chars().all(|c| c.is_ascii_digit() || c == '*') => {
            (host, Some(port))
        }
        _ => (host, None),
    }
}

/// `*` matches any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    text.strip_prefix(before).is_some_and(|rest| {
        (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|end| matches(after, end)))
    })
}

/// `refMatchingPrefix` of containers/image `pkg/sysregistriesv2`: a host without a port matches all its ports.
fn is_blocked(entry: &str, host: &str) -> bool {
    match entry.strip_prefix('*') {
        Some(domain) => split(host).0.ends_with(domain),
        None => host == entry || host.strip_prefix(entry).is_some_and(|rest| rest.starts_with(':')),
    }
}

/// `DockerReferenceNamespaces` of containers/image `docker/policyconfiguration`: the host with its port, or a domain.
fn is_allowed(entry: &str, host: &str) -> bool {
    match entry.strip_prefix('*') {
        Some(domain) => split(host).0.ends_with(domain),
        None => entry.split('/').next() == Some(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn denies_pulls_as_nodes_do() {
        let table: [(&[&str], &[&str], &str, bool); 12] = [
            (&[], &[], "quay.example.com", false),
            (&["quay.example.com"], &[], "quay.example.com", false),
            (&["registry.redhat.io"], &[], "quay.example.com", true),
            (&["quay.example.com"], &[], "quay.example.com:8443", true),
            (&["quay.example.com:8443"], &[], "quay.example.com:8443", false),
            (&["*.example.com"], &[], "quay.example.com:8443", false),
            (&["*.example.org"], &[], "quay.example.com", true),
            (&["quay.example.com/openshift_shop"], &[], "quay.example.com", false),
            (&[], &["quay.example.com"], "quay.example.com:8443", true),
            (&[], &["*.example.com"], "quay.example.com", true),
            (&[], &["quay.example.com/other"], "quay.example.com", false),
            (&[], &["quay.example"], "quay.example.com", false),
        ];
        for (allowed, blocked, host, denied) in table {
            let policy = ImagePolicy {
                allowed: names(allowed),
                blocked: names(blocked),
                ..ImagePolicy::default()
            };
            assert_eq!(
                policy.denies_pulls(host).is_some(),
                denied,
                "{allowed:?} {blocked:?} {host}"
            );
        }
    }

    #[test]
    fn denies_imports_as_the_api_server_does() {
        let table = [
            ("quay.example.com", false, "quay.example.com", false),
            ("quay.example.com:443", false, "quay.example.com", false),
            ("quay.example.com", false, "quay.example.com:8443", true),
            ("quay.example.com:8443", false, "quay.example.com:8443", false),
            ("*.example.com", false, "quay.example.com", false),
            ("*.example.com:*", false, "quay.example.com:8443", false),
            ("registry.redhat.io", false, "quay.example.com", true),
        ];
        for (domain, insecure, host, denied) in table {
            let allowed_for_import = vec![ImportRegistry { domain: domain.into(), insecure }];
            let policy = ImagePolicy { allowed_for_import, ..ImagePolicy::default() };
            assert_eq!(policy.denies_imports(host), denied, "{domain} {host}");
        }
        assert!(!ImagePolicy::default().denies_imports("quay.example.com"));
    }
}
