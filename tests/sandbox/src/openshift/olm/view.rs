//! The objects that OLM looks at.

use serde_json::{Value, json};

use super::super::meta;
use super::{Trouble, Write};

/// Objects of all kinds, and how to find one.
pub(super) struct View<'a> {
    objects: &'a [Value],
}

impl<'a> View<'a> {
    pub(super) fn new(objects: &'a [Value]) -> Self {
        Self { objects }
    }

    /// The objects of a kind.
    pub(super) fn list(&self, kind: &str) -> impl Iterator<Item = &'a Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// The objects of a kind in a namespace.
    pub(super) fn inside(&self, kind: &str, namespace: &str) -> impl Iterator<Item = &'a Value> {
        self.list(kind).filter(move |object| meta::namespace(object) == namespace)
    }

    /// An object, if it is there.
    pub(super) fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&'a Value> {
        self.inside(kind, namespace).find(|object| meta::name(object) == name)
    }

    /// The trouble with any catalog of a kind.
    pub(super) fn trouble(&self, catalogs: &str) -> Option<Trouble> {
        self.list(catalogs).find_map(Trouble::read)
    }

    /// Deletes what is owned only by objects that are gone, as Kubernetes' garbage collector does.
    pub(super) fn collect_garbage(&self, writes: &mut Vec<Write>) {
        for object in self.objects.iter().filter(|object| !meta::is_deleting(object)) {
            let owners = object["metadata"]["ownerReferences"].as_array();
            let is_orphan = owners.is_some_and(|owners| {
                !owners.is_empty()
                    && owners.iter().all(|owner| {
                        is_ours(owner) && !self.objects.iter().any(|each| is_owner(owner, each))
                    })
            });
            if is_orphan {
                writes.push(Write::Delete(object.clone()));
            }
        }
    }
}

/// True if a reference is to a kind of which all objects are in view.
fn is_ours(owner: &Value) -> bool {
    ["Subscription", "ClusterServiceVersion", "ClusterExtension"]
        .iter()
        .any(|kind| owner["kind"] == *kind)
}

fn is_owner(owner: &Value, object: &Value) -> bool {
    owner["uid"] == object["metadata"]["uid"] && owner["kind"] == object["kind"]
}

/// The reference by which `owner` owns another object.
pub(super) fn owned_by(owner: &Value) -> Value {
    json!({
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": false,
        "blockOwnerDeletion": false,
    })
}

/// True if `object` names `owner` among its owners.
pub(super) fn is_owned_by(object: &Value, owner: &Value) -> bool {
    object["metadata"]["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|each| is_owner(each, owner))
}

/// The condition of a type in an object's status.
pub(super) fn find_condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// A condition for the status of `object`; its transition is as old as its status is the same.
pub(super) fn condition(
    object: &Value,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
) -> Value {
    let since = find_condition(object, kind)
        .filter(|old| old["status"] == status)
        .map(|old| old["lastTransitionTime"].clone());
    let mut condition = json!({
        "type": kind, "status": status, "reason": reason, "lastTransitionTime": since.unwrap_or_else(|| json!(meta::now())),
    });
    if !message.is_empty() {
        condition["message"] = json!(message);
    }
    condition
}

/// Writes a status, if it is not the one that the object has. The time in `clock`, if that is a field, is the time of
/// the last change.
pub(super) fn write_status(
    object: &Value,
    clock: &str,
    mut status: Value,
    writes: &mut Vec<Write>,
) {
    let old = &object["status"];
    if !clock.is_empty() {
        status[clock] = old[clock].clone();
        if status[clock].is_null() || status != *old {
            status[clock] = json!(meta::now());
        }
    }
    if status != *old {
        let mut changed = object.clone();
        changed["status"] = status;
        writes.push(Write::Status(changed));
    }
}
