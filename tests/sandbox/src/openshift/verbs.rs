//! Create, update, patch and delete on the store.

use std::sync::Arc;

use serde_json::{Value, json};

use super::api_errors::{Cause, Rejection};
use super::kinds::{DEFINITION, IMAGE_STREAM, Kind, NAMESPACE};
use super::patch::PatchType;
use super::store::Store;
use super::strategy::{prepare_create, prepare_update};
use super::validate::{check_types, validate};
use super::{Cluster, definitions, meta, namespaces};

/// Namespaces that admission keeps from being deleted (kubernetes `plugin/pkg/admission/namespace/lifecycle`).
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// Where a write goes, and whether it is only tried (`dryRun=All`).
pub(crate) struct Target<'a> {
    pub(crate) kind: &'static Kind,
    /// Empty for cluster-scoped objects.
    pub(crate) namespace: &'a str,
    /// Empty for a create.
    pub(crate) name: &'a str,
    /// The `status` subresource instead of the object.
    pub(crate) is_status: bool,
    pub(crate) dry_run: bool,
}

/// Stores a new object.
///
/// # Errors
/// As the API server rejects it: 400 for a body of another kind, 403 and 404 about the namespace, 409 for a name that
/// is taken, 422 for an invalid object.
pub(crate) fn create(
    store: &mut Store,
    cluster: &Cluster,
    target: &Target<'_>,
    mut object: Value,
) -> Result<Arc<Value>, Rejection> {
    let kind = target.kind;
    check_body(target, &object)?;
    if meta::name(&object).is_empty()
        && let Some(base) =
            object["metadata"]["generateName"].as_str().filter(|base| !base.is_empty())
    {
        let base: String = base.chars().take(58).collect();
        object["metadata"]["name"] = json!(format!("{base}{}", meta::suffix(5)));
    }
    let name = meta::name(&object).to_owned();
    if kind.namespaced {
        check_namespace(store, kind, target.namespace, &name)?;
        object["metadata"]["namespace"] = json!(target.namespace);
    }
    if !meta::resource_version(&object).is_empty() {
        return Err(Rejection::internal(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    prepare_create(cluster, kind, &mut object);
    validate(kind, None, &object)?;
    if let Some(existing) = store.get(kind, target.namespace, &name) {
        return Err(Rejection::already_exists(kind, &name, meta::is_deleting(existing)));
    }
    if target.dry_run {
        return Ok(Arc::new(object));
    }
    let stored = store.write(kind, object);
    if *kind == *NAMESPACE {
        namespaces::add_service_account(store, &name, "default");
    }
    Ok(stored)
}

/// Replaces an object, or its status.
///
/// # Errors
/// 404 when it does not exist, 409 when it has changed since the version in the body, 422 when the new one is invalid.
pub(crate) fn update(
    store: &mut Store,
    target: &Target<'_>,
    object: Value,
) -> Result<Arc<Value>, Rejection> {
    let Target { kind, namespace, name, .. } = *target;
    check_body(target, &object)?;
    let old = Arc::clone(
        store.get(kind, namespace, name).ok_or_else(|| Rejection::not_found(kind, name))?,
    );
    check_uid(kind, &object, &old)?;
    replace(store, target, &old, object)
}

fn replace(
    store: &mut Store,
    target: &Target<'_>,
    old: &Arc<Value>,
    mut object: Value,
) -> Result<Arc<Value>, Rejection> {
    let Target { kind, namespace, name, .. } = *target;

    let version = meta::resource_version(&object);
    // Which kinds may be updated blindly: `AllowUnconditionalUpdate` of the registries.
    if version.is_empty() && (kind.custom || *kind == *IMAGE_STREAM) {
        let cause = Cause::invalid(
            "metadata.resourceVersion",
            &json!(0),
            "must be specified for an update",
        );
        return Err(Rejection::invalid(kind, name, &[cause]));
    }
    if !version.is_empty() && version != meta::resource_version(old) {
        return Err(Rejection::modified(kind, name));
    }
    prepare_update(kind, old, &mut object, target.is_status);
    object["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
    validate(kind, Some(old), &object)?;

    if object == **old {
        return Ok(Arc::clone(old)); // The API server does not write what does not change.
    }
    if target.dry_run {
        return Ok(Arc::new(object));
    }
    if meta::is_deleting(&object) && meta::is_finalized(&object) {
        store.remove(kind, namespace, name);
        return Ok(Arc::new(object));
    }
    Ok(store.write(kind, object))
}

/// A patch that was applied to an object and is not stored yet.
pub(crate) struct Patched {
    /// `None` for an apply that makes a new object.
    pub(crate) current: Option<Arc<Value>>,
    pub(crate) object: Value,
    /// The patch names the version it is for.
    is_guarded: bool,
}

/// Applies a patch to an object; an apply makes one that does not exist.
///
/// # Errors
/// 404, and 400 or 422 for a patch that does not fit.
pub(crate) fn patched(
    store: &Store,
    target: &Target<'_>,
    patch_type: PatchType,
    body: &[u8],
) -> Result<Patched, Rejection> {
    let Target { kind, namespace, name, .. } = *target;
    let Some(current) = store.get(kind, namespace, name).cloned() else {
        if patch_type != PatchType::Apply {
            return Err(Rejection::not_found(kind, name));
        }
        let mut object = patch_type.apply(&json!({}), body)?;
        check_types(kind, &object)?;
        object["metadata"]["name"] = json!(name);
        return Ok(Patched { current: None, object, is_guarded: false });
    };
    let mut object = patch_type.apply(&current, body)?;
    if let Err(rejection) = check_types(kind, &object) {
        let cause = Cause::invalid("patch", &json!(object.to_string()), &rejection.message);
        return Err(Rejection::invalid(kind, "", &[cause]));
    }
    check_body(target, &object)?;
    let unnamed = meta::resource_version(&object).is_empty();
    if unnamed {
        object["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"].clone();
    }
    let is_guarded =
        object["metadata"]["resourceVersion"] != current["metadata"]["resourceVersion"];
    Ok(Patched { current: Some(current), object, is_guarded })
}

impl Patched {
    /// Stores it; `None` where the object has changed in between and the patch is to be made again, on the newest one.
    ///
    /// # Errors
    /// As for [`create`] and [`update`].
    pub(crate) fn store(
        self,
        store: &mut Store,
        cluster: &Cluster,
        target: &Target<'_>,
    ) -> Result<Option<Arc<Value>>, Rejection> {
        let Some(current) = self.current else {
            return create(store, cluster, target, self.object).map(Some);
        };
        let latest = store.get(target.kind, target.namespace, target.name).cloned();
        let latest = latest.ok_or_else(|| Rejection::not_found(target.kind, target.name))?;
        match latest == current || self.is_guarded {
            true => replace(store, target, &latest, self.object).map(Some),
            false => Ok(None),
        }
    }
}

/// An object that was deleted, or marked for deletion because of its finalizers.
pub(crate) enum Deleted {
    Removed(Arc<Value>),
    Marked(Arc<Value>),
}

/// Deletes an object, or marks it where finalizers (or the namespace's content) keep it.
///
/// # Errors
/// 404 when it does not exist, 409 when it is not the one in `preconditions` (of the DeleteOptions).
pub(crate) fn delete(
    store: &mut Store,
    target: &Target<'_>,
    preconditions: &Value,
) -> Result<Deleted, Rejection> {
    let Target { kind, namespace, name, dry_run, .. } = *target;
    let object = Arc::clone(
        store.get(kind, namespace, name).ok_or_else(|| Rejection::not_found(kind, name))?,
    );
    check_preconditions(kind, &object, preconditions)?;
    if *kind == *DEFINITION && !meta::is_deleting(&object) {
        let mut marked = Value::clone(&object);
        marked["metadata"]["deletionTimestamp"] = json!(meta::now());
        definitions::mark_for_deletion(&mut marked);
        return Ok(Deleted::Marked(match dry_run {
            true => Arc::new(marked),
            false => store.write(kind, marked),
        }));
    }
    if meta::is_finalized(&object) {
        return Ok(Deleted::Removed(match dry_run {
            true => object,
            false => store.remove(kind, namespace, name).unwrap_or(object),
        }));
    }
    if meta::is_deleting(&object) {
        return Ok(Deleted::Marked(object));
    }
    if *kind == *NAMESPACE && IMMORTAL.contains(&name) {
        return Err(Rejection::forbidden(
            kind.plural,
            kind.group,
            name,
            "this namespace may not be deleted",
        ));
    }
    let mut marked = Value::clone(&object);
    marked["metadata"]["deletionTimestamp"] = json!(meta::now());
    match *kind == *NAMESPACE {
        true => marked["status"]["phase"] = json!("Terminating"),
        false => marked["metadata"]["deletionGracePeriodSeconds"] = json!(0),
    }
    Ok(Deleted::Marked(match dry_run {
        true => Arc::new(marked),
        false => store.write(kind, marked),
    }))
}

/// The body has to be an object of the kind, the name and the namespace that the URL says.
///
/// # Errors
/// 400 when it is not.
pub(crate) fn check_body(target: &Target<'_>, object: &Value) -> Result<(), Rejection> {
    let kind = target.kind;
    check_types(kind, object)?;
    for (field, expected) in [("kind", kind.kind), ("apiVersion", &kind.api_version())] {
        match object[field].as_str() {
            Some(found) if found == expected => {}
            // The types that are compiled into the server have a default.
            None if !kind.custom => {}
            None => return Err(Rejection::bad_request(format!("Object '{field}' is missing"))),
            Some(found) if kind.custom => {
                let cause = Cause::invalid(field, &json!(found), &format!("must be {expected}"));
                return Err(Rejection::invalid(kind, meta::name(object), &[cause]));
            }
            Some(found) => {
                let why = format!("{field} is {found} and not {expected}");
                return Err(Rejection::bad_request(format!(
                    "the body cannot be handled as a {}: {why}",
                    kind.kind
                )));
            }
        }
    }
    let (name, namespace) = (meta::name(object), meta::namespace(object));
    if !target.name.is_empty() && name != target.name {
        let message = format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        );
        return Err(Rejection::bad_request(message));
    }
    if kind.namespaced && !namespace.is_empty() && namespace != target.namespace {
        let message =
            "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Rejection::bad_request(message));
    }
    Ok(())
}

/// A namespaced object needs a namespace that is not being deleted.
///
/// # Errors
/// 404 or 403.
pub(crate) fn check_namespace(
    store: &Store,
    kind: &Kind,
    namespace: &str,
    name: &str,
) -> Result<(), Rejection> {
    match store.get(NAMESPACE, "", namespace) {
        None => Err(Rejection::not_found(NAMESPACE, namespace)),
        Some(found) if meta::is_deleting(found) => {
            Err(Rejection::namespace_terminating(kind, name, namespace))
        }
        Some(_) => Ok(()),
    }
}

fn check_uid(kind: &Kind, object: &Value, old: &Value) -> Result<(), Rejection> {
    let (given, real) = (&object["metadata"]["uid"], &old["metadata"]["uid"]);
    match given.as_str() {
        Some(uid) if given != real => {
            let real = real.as_str().unwrap_or_default();
            let why = format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {real}"
            );
            Err(Rejection::conflict(kind, meta::name(old), &why))
        }
        _ => Ok(()),
    }
}

fn check_preconditions(
    kind: &Kind,
    object: &Value,
    preconditions: &Value,
) -> Result<(), Rejection> {
    let reasons = [
        ("uid", "UID", "The object might have been deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "The object might have been modified"),
    ];
    for (field, label, explanation) in reasons {
        let (wanted, real) = (&preconditions[field], &object["metadata"][field]);
        if !wanted.is_null() && wanted != real {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let why = format!(
                "the {label} in the precondition ({}) does not match the {label} in record ({}). {explanation}",
                text(wanted),
                text(real)
            );
            return Err(Rejection::conflict(kind, meta::name(object), &why));
        }
    }
    Ok(())
}
