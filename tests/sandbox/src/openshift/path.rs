//! Parses URLs of the API (k8s.io/apiserver `pkg/endpoints/request/requestinfo.go`).

use axum::http::{Method, Uri};

/// The resource a URL names. The kind need not exist.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ResourcePath<'a> {
    pub(crate) group: &'a str,
    pub(crate) version: &'a str,
    pub(crate) plural: &'a str,
    /// Empty for cluster-scoped objects, and for lists of all namespaces.
    pub(crate) namespace: &'a str,
    /// Empty for collections.
    pub(crate) name: &'a str,
    /// Empty for the object itself.
    pub(crate) subresource: &'a str,
}

impl<'a> ResourcePath<'a> {
    /// Reads `/api/v1/...` and `/apis/GROUP/VERSION/...`; `None` for discovery and everything else.
    pub(crate) fn parse(path: &'a str) -> Option<Self> {
        let segments: Vec<&str> = path.trim_end_matches('/').split('/').skip(1).collect();
        let (group, version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            // `/namespaces/x` and its subresources are about the namespace itself.
            ["namespaces", namespace, rest @ ..]
                if !rest.is_empty() && !matches!(rest, ["status" | "finalize"]) =>
            {
                (*namespace, rest)
            }
            _ => ("", rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, subresource, ..] => (*plural, *name, *subresource),
            _ => return None,
        };
        Some(Self { group, version, plural, namespace, name, subresource })
    }

    /// The verb that RBAC knows the request by, or `None` for methods the API does not have.
    pub(crate) fn verb(&self, method: &Method, query: &str) -> Option<&'static str> {
        let is_watch =
            || query.split('&').any(|pair| matches!(pair, "watch" | "watch=true" | "watch=1"));
        Some(match (method.as_str(), self.name.is_empty()) {
            ("GET", false) => "get",
            ("GET", true) if is_watch() => "watch",
            ("GET", true) => "list",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", false) => "delete",
            ("DELETE", true) => "deletecollection",
            _ => return None,
        })
    }

    /// The namespace in which access is decided: a namespace, and a project, is in itself.
    pub(crate) fn access_namespace(&self) -> &'a str {
        match (self.group, self.plural) {
            ("", "namespaces") | ("project.openshift.io", "projects") => self.name,
            _ => self.namespace,
        }
    }

    /// `secrets`, `namespaces/status`.
    pub(crate) fn resource(&self) -> String {
        match self.subresource {
            "" => self.plural.to_owned(),
            subresource => format!("{}/{subresource}", self.plural),
        }
    }
}

/// Names a request for the log: the verb and the resource, e.g. `list secrets`, `patch namespaces/status`, `create
/// selfsubjectaccessreviews`; `discovery` for what is about no resource.
pub fn classify(method: &Method, uri: &Uri) -> String {
    let Some(path) = ResourcePath::parse(uri.path()) else {
        return "discovery".to_owned();
    };
    let verb = path.verb(method, uri.query().unwrap_or_default());
    format!("{} {}", verb.unwrap_or("unknown"), path.resource())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_requests_by_verb_and_resource() {
        for (method, uri, kind) in [
            ("GET", "/version", "discovery"),
            ("GET", "/apis/apps/v1", "discovery"),
            ("GET", "/api/v1/namespaces", "list namespaces"),
            ("GET", "/api/v1/namespaces/a", "get namespaces"),
            ("PATCH", "/api/v1/namespaces/a/status", "patch namespaces/status"),
            ("GET", "/api/v1/namespaces/a/secrets?limit=5&watch=true", "watch secrets"),
            ("GET", "/api/v1/secrets?fieldSelector=watch%3Dtrue", "list secrets"),
            ("PUT", "/apis/build.openshift.io/v1/namespaces/a/builds/b", "update builds"),
            ("DELETE", "/apis/quay.redhat.com/v1/quayintegrations/quay", "delete quayintegrations"),
            ("HEAD", "/api/v1/secrets", "unknown secrets"),
        ] {
            assert_eq!(
                classify(&method.parse().unwrap(), &uri.parse().unwrap()),
                kind,
                "{method} {uri}"
            );
        }
    }
}
