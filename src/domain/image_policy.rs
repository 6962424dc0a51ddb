//! Which registries the cluster lets its nodes and its imports use.

use super::finding::Code;

/// What the Image `cluster` of `config.openshift.io` says about registries (openshift/api `config/v1/types_image.go`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImagePolicy {
    /// `spec.registrySources.allowedRegistries`: with any, nodes and builds use no other.
    pub allowed: Vec<String>,
    /// `spec.registrySources.blockedRegistries`: nodes and builds use none of these.
    pub blocked: Vec<String>,
    /// `spec.allowedRegistriesForImport`: with any, images are imported from no other.
    pub allowed_for_import: Vec<ImportRegistry>,
}

/// A registry that images may be imported from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportRegistry {
    /// `domainName`: a host, with its port if there is one; `*` stands for any characters.
    pub domain: String,
    /// `insecure`: plain http is allowed too.
    pub insecure: bool,
}

impl ImagePolicy {
    /// What the cluster does not do with a registry at a host (`host[:port]`): a code and one sentence for each.
    pub fn refusals(&self, host: &str) -> Vec<(Code, String)> {
        let pulls = self.refuses_pulls(host).map(|why| {
            (
                Code::PullsNotAllowed,
                format!("the nodes do not pull from {host}, and builds do not push there: {why}"),
            )
        });
        let imports = self.refuses_imports(host).then(|| {
            let message = format!(
                "images cannot be imported from {host}: allowedRegistriesForImport does not name it"
            );
            (Code::ImportsNotAllowed, message)
        });
        pulls.into_iter().chain(imports).collect()
    }

    /// Why nodes do not pull from a host (`host[:port]`), if they do not. An entry with a path concerns a part of the registry
    /// alone, and is not held against it.
    fn refuses_pulls(&self, host: &str) -> Option<String> {
        if let Some(entry) = self.blocked.iter().find(|entry| is_blocked(entry, host)) {
            return Some(format!("blockedRegistries names {entry}"));
        }
        let is_allowed =
            self.allowed.is_empty() || self.allowed.iter().any(|entry| is_allowed(entry, host));
        (!is_allowed).then(|| "allowedRegistries does not name it".to_owned())
    }

    /// Whether images cannot be imported from a host.
    fn refuses_imports(&self, host: &str) -> bool {
        !self.allowed_for_import.is_empty()
            && !self.allowed_for_import.iter().any(|registry| registry.holds(host))
    }
}

impl ImportRegistry {
    /// As the API server compares (openshift-apiserver `pkg/image/apiserver/registryhostname`): hosts by pattern, and ports,
    /// of which one that is not named is 443, or 80 where the registry is insecure.
    fn holds(&self, host: &str) -> bool {
        let usual = if self.insecure { "80" } else { "443" };
        let ((pattern, wanted), (host, port)) = (split(&self.domain), split(host));
        matches(pattern, host) && matches(wanted.unwrap_or(usual), port.unwrap_or(usual))
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

/// `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    text.strip_prefix(before).is_some_and(|rest| {
        (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|end| matches(after, end)))
    })
}

/// `refMatchingPrefix` of containers/image `pkg/sysregistriesv2`: a host without a port stands for all its ports.
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
    fn refuses_pulls_as_nodes_do() {
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
        for (allowed, blocked, host, refused) in table {
            let policy = ImagePolicy {
                allowed: names(allowed),
                blocked: names(blocked),
                ..ImagePolicy::default()
            };
            assert_eq!(
                policy.refuses_pulls(host).is_some(),
                refused,
                "{allowed:?} {blocked:?} {host}"
            );
        }
    }

    #[test]
    fn refuses_imports_as_the_api_server_does() {
        let table = [
            ("quay.example.com", false, "quay.example.com", false),
            ("quay.example.com:443", false, "quay.example.com", false),
            ("quay.example.com", false, "quay.example.com:8443", true),
            ("quay.example.com:8443", false, "quay.example.com:8443", false),
            ("*.example.com", false, "quay.example.com", false),
            ("*.example.com:*", false, "quay.example.com:8443", false),
            ("registry.redhat.io", false, "quay.example.com", true),
        ];
        for (domain, insecure, host, refused) in table {
            let allowed_for_import = vec![ImportRegistry { domain: domain.into(), insecure }];
            let policy = ImagePolicy { allowed_for_import, ..ImagePolicy::default() };
            assert_eq!(policy.refuses_imports(host), refused, "{domain} {host}");
        }
        assert!(!ImagePolicy::default().refuses_imports("quay.example.com"));
    }
}
