//! A look at every request to both sides, for whoever counts them. Nothing of a request is told but its kind.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Is told of every request that was answered, or that got no answer.
pub type Observer = Arc<dyn Fn(&ObservedRequest) + Send + Sync>;

/// A request, as it is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedRequest {
    /// Who was asked.
    pub side: Side,
    /// What was asked, without names: `list secrets`, `PUT organization/*/robots/*`.
    pub kind: String,
    /// The status of the answer; none if there was none.
    pub status: Option<u16>,
    /// How long it took.
    pub took: Duration,
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The API server.
    Cluster,
    /// Quay, its registry included.
    Quay,
}

impl Side {
    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Side::Cluster => "cluster",
            Side::Quay => "quay",
        }
    }
}

/// A place for one observer, at a door to the outside.
#[derive(Clone, Default)]
pub(crate) struct ObserverSlot(Arc<OnceLock<Observer>>);

impl ObserverSlot {
    /// Opens it. The first observer stays.
    pub(crate) fn open(&self, observer: Observer) {
        let _ = self.0.set(observer);
    }

    /// Tells the observer, if there is one.
    pub(crate) fn tell(&self, request: impl FnOnce() -> ObservedRequest) {
        if let Some(observer) = self.0.get() {
            observer(&request());
        }
    }
}

impl std::fmt::Debug for ObserverSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Eye")
    }
}

/// What a request to the API server asks, in the words of its rules for access: verb and resource.
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

/// The words in the paths of Quay's API and of its registry; everything else is a name.
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

/// What a request to Quay asks: method and path, with `*` for every name.
pub(crate) fn quay_kind(method: &str, path: &str) -> String {
    let path = path.strip_prefix("/api/v1/").unwrap_or(path);
    let words = path.split('/').filter(|segment| !segment.is_empty()).map(|segment| {
        match KNOWN_PATH_SEGMENTS.contains(&segment) {
            true => segment,
            false => "*",
        }
    });
    format!("{method} {}", words.collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_to_the_cluster_is_counted_by_verb_and_resource() {
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
    fn a_request_to_quay_is_counted_without_names() {
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
