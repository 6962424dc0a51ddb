//! Reports requests to the API server and to Quay, for metrics. It exposes only the kind of a request, without names.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Receives every request after its response or failure.
pub type Observer = Arc<dyn Fn(&ObservedRequest) + Send + Sync>;

/// A request for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedRequest {
    /// The server.
    pub side: Side,
    /// The operation without names: `list secrets`, `PUT organization/*/robots/*`.
    pub kind: String,
    /// The status of the response; `None` without a response.
    pub status: Option<u16>,
    /// The time until the response or the failure.
    pub duration: Duration,
}

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The API server.
    Cluster,
    /// Quay, its registry included.
    Quay,
}

impl Side {
    /// The value of the label in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Side::Cluster => "cluster",
            Side::Quay => "quay",
        }
    }
}

/// Holds one observer of a client and its clones.
#[derive(Clone, Default)]
pub(crate) struct ObserverSlot(Arc<OnceLock<Observer>>);

impl ObserverSlot {
    /// The first observer is kept.
    pub(crate) fn set(&self, observer: Observer) {
        let _ = self.0.set(observer);
    }

    pub(crate) fn notify(&self, request: impl FnOnce() -> ObservedRequest) {
        if let Some(observer) = self.0.get() {
            observer(&request());
        }
    }
}

impl std::fmt::Debug for ObserverSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ObserverSlot")
    }
}

/// Verb and resource of a request to the API server, as in RBAC rules.
pub(crate) fn cluster_kind(method: &str, path: &str) -> String {
    let mut rest: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let root = match rest.first() {
        Some(&"api") => 2,
        Some(&"apis") => 3,
        _ => 0,
    };
    rest.drain(..root.min(rest.len()));
    if rest.len() > 2 && rest[0] == "namespaces" {
        rest.drain(..2);
    }
    let verb = match (method, rest.len()) {
        ("GET", 0 | 1) => "list",
        ("GET", _) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", _) => "delete",
        _ => "other",
    };
    let subresource = rest.get(2).map(|name| format!("/{name}")).unwrap_or_default();
    format!("{verb} {}{subresource}", rest.first().unwrap_or(&"paths"))
}

/// Fixed segments in the paths of Quay's API and of its registry; all others are names.
const KNOWN_PATH_SEGMENTS: [&str; 19] = [
    "auth",
    "config",
    "health",
    "instance",
    "manifests",
    "members",
    "organization",
    "organizations",
    "permissions",
    "prototypes",
    "regenerate",
    "repository",
    "robots",
    "superuser",
    "tag",
    "takeownership",
    "team",
    "user",
    "v2",
];

/// Method and path of a request to Quay, with `*` for each name.
pub(crate) fn quay_kind(method: &str, path: &str) -> String {
    let path = path.strip_prefix("/api/v1/").unwrap_or(path);
    let segments = path.split('/').filter(|segment| !segment.is_empty()).map(|segment| {
        match KNOWN_PATH_SEGMENTS.contains(&segment) {
            true => segment,
            false => "*",
        }
    });
    format!("{method} {}", segments.collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cluster_requests_by_verb_and_resource() {
        let table = [
            ("GET", "/api/v1/namespaces", "list namespaces"),
            ("GET", "/api/v1/namespaces/shop", "get namespaces"),
            ("PATCH", "/api/v1/namespaces/shop/serviceaccounts/builder", "patch serviceaccounts"),
            ("GET", "/api/v1/namespaces/shop/secrets", "list secrets"),
            (
                "POST",
                "/apis/image.openshift.io/v1/namespaces/shop/imagestreamimports",
                "create imagestreamimports",
            ),
            (
                "PATCH",
                "/apis/quay.redhat.com/v1/quayintegrations/quay/status",
                "patch quayintegrations/status",
            ),
            (
                "PUT",
                "/apis/coordination.k8s.io/v1/namespaces/oc-quay/leases/oc-quay",
                "update leases",
            ),
            ("DELETE", "/api/v1/namespaces/shop/secrets/a", "delete secrets"),
            ("GET", "/version", "list version"),
            ("GET", "/apis", "list paths"),
        ];
        for (method, path, kind) in table {
            assert_eq!(cluster_kind(method, path), kind, "{method} {path}");
        }
    }

    #[test]
    fn names_quay_requests_without_object_names() {
        let table = [
            (
                "PUT",
                "/api/v1/organization/openshift_shop/robots/builder",
                "PUT organization/*/robots/*",
            ),
            ("GET", "/api/v1/organization/openshift_shop", "GET organization/*"),
            (
                "PUT",
                "/api/v1/repository/openshift_shop/app/permissions/user/openshift_shop+builder",
                "PUT repository/*/*/permissions/user/*",
            ),
            ("GET", "/v2/auth", "GET v2/auth"),
            ("GET", "/v2/openshift_shop/app/manifests/latest", "GET v2/*/*/manifests/*"),
        ];
        for (method, path, kind) in table {
            assert_eq!(quay_kind(method, path), kind, "{method} {path}");
        }
    }
}
