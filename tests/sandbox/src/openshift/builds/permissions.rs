//! Permissions for build strategies (openshift-apiserver
//! `pkg/build/apiserver/admission/strategyrestrictions/admission.go`).

use serde_json::Value;

use super::super::access::{Access, User, Users};
use super::super::api_errors::Rejection;
use super::super::kinds::{BUILD, BUILD_CONFIG, Kind};
use super::super::meta;

/// Checks a write to a Build or a BuildConfig: it needs the permission for its build strategy, whatever it is
/// that changes.
///
/// # Errors
/// 403 in the words of the admission plugin.
pub(crate) fn check_strategy(
    users: &Users,
    user: &User,
    kind: &Kind,
    object: &Value,
    old: Option<&Value>,
) -> Result<(), Rejection> {
    let is_build = *kind == *BUILD || *kind == *BUILD_CONFIG;
    if !is_build || old.is_some_and(|old| without_gc_fields(old) == without_gc_fields(object)) {
        return Ok(());
    }
    let Some((resource, strategy)) = strategy(&object["spec"]["strategy"]) else { return Ok(()) };
    let (namespace, name) = (meta::namespace(object), meta::name(object));
    if users
        .is_allowed(user, &Access { verb: "create", group: BUILD.group, resource, namespace, name })
    {
        return Ok(());
    }
    Err(Rejection::forbidden(
        kind.plural,
        kind.group,
        name,
        &format!("build strategy {strategy} is not allowed"),
    ))
}

/// The right that a strategy needs, and its name; none for what validation rejects.
fn strategy(strategy: &Value) -> Option<(&'static str, &'static str)> {
    let has = |field: &str| !strategy[field].is_null();
    let optimization = &strategy["dockerStrategy"]["imageOptimizationPolicy"];
    Some(match () {
        () if has("dockerStrategy") && !optimization.is_null() && optimization != "None" => {
            ("builds/optimizeddocker", "Docker")
        }
        () if has("dockerStrategy") => ("builds/docker", "Docker"),
        () if has("customStrategy") => ("builds/custom", "Custom"),
        () if has("sourceStrategy") => ("builds/source", "Source"),
        () if has("jenkinsPipelineStrategy") => ("builds/jenkinspipeline", "JenkinsPipeline"),
        () => return None,
    })
}

/// Garbage collection may always do its work (kubernetes `pkg/registry/rbac/helpers.go`, `IsOnlyMutatingGCFields`).
fn without_gc_fields(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        ["ownerReferences", "finalizers"]
            .into_iter()
            .for_each(|field| drop(metadata.remove(field)));
    }
    object
}
