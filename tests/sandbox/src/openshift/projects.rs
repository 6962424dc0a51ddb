//! Projects: namespaces for users who are not allowed to list namespaces.

use serde_json::{Value, json};

use super::access::{Access, User, Users};
use super::api_errors::Rejection;
use super::kinds::{self, Kind, NAMESPACE};
use super::lists::{ListQuery, Shape};
use super::meta;
use super::selectors::Selectors;
use super::store::Store;

/// The project of a namespace.
///
/// # Errors
/// 404 where there is no such namespace.
pub(crate) fn get(store: &Store, kind: &Kind, name: &str) -> Result<Value, Rejection> {
    store
        .get(NAMESPACE, "", name)
        .map(|namespace| project(namespace))
        .ok_or_else(|| Rejection::not_found(kind, name))
}

/// The projects that the user may see, all on one page: openshift-apiserver lists them from a cache of its own.
///
/// # Errors
/// 400 for selectors that cannot be understood.
pub(crate) fn list(
    store: &Store,
    users: &Users,
    user: &User,
    kind: &'static Kind,
    query: &ListQuery,
    shape: Shape,
) -> Result<Value, Rejection> {
    let selectors = Selectors::parse(kind, &query.label_selector, &query.field_selector)?;
    let is_visible = |namespace: &Value| {
        let name = meta::name(namespace);
        let access =
            Access { verb: "get", group: kind.group, resource: kind.plural, namespace: name, name };
        users.is_allowed(user, &access)
    };
    let projects: Vec<Value> = store
        .list(kinds::NAMESPACE, None)
        .filter(|namespace| is_visible(namespace) && selectors.select(namespace))
        .map(|namespace| project(namespace))
        .collect();
    let metadata = json!({"resourceVersion": store.version().to_string()});
    Ok(shape.list(kind, metadata, projects.iter()))
}

fn project(namespace: &Value) -> Value {
    json!({
        "kind": "Project",
        "apiVersion": "project.openshift.io/v1",
        "metadata": namespace["metadata"],
        "spec": namespace["spec"],
        "status": namespace["status"],
    })
}
