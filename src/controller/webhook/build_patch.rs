//! JSON patches of the responses.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation};
use serde_json::{Map, Value, json};

use super::admission::Annotations;

use crate::domain::builds::{
    DESTINATION_ANNOTATION, IMPORTED_ANNOTATION, MANAGED, MANAGED_ANNOTATION, Rewritten,
};

/// `annotations` are the build's; `None` if it has none.
pub(super) fn rewrite_output(annotations: Option<Annotations>, rewritten: &Rewritten) -> Patch {
    let to = json!({ "kind": "DockerImage", "name": rewritten.image });
    let mut operations = vec![replace(&["spec", "output", "to"], to)];
    if let Some(secret) = &rewritten.push_secret {
        operations.push(add(&["spec", "output", "pushSecret"], json!({ "name": secret })));
    }
    operations.extend(annotate(annotations, &rewritten.destination.to_string()));
    Patch(operations)
}

/// Removes the record of the import.
pub(super) fn remove_imported() -> Patch {
    Patch(vec![remove(&annotation(IMPORTED_ANNOTATION))])
}

fn annotate(annotations: Option<Annotations>, destination: &str) -> Vec<PatchOperation> {
    let wanted = [(MANAGED_ANNOTATION, MANAGED), (DESTINATION_ANNOTATION, destination)];
    // A patch cannot add to a missing map. The operator's webhook tries to, and such a build is
    // rejected.
    let Some(annotations) = annotations else {
        let map: Map<String, Value> =
            wanted.iter().map(|&(key, value)| (key.to_owned(), json!(value))).collect();
        return vec![add(&["metadata", "annotations"], Value::Object(map))];
    };
    let mut operations: Vec<_> =
        wanted.iter().map(|(key, value)| add(&annotation(key), json!(value))).collect();
    if annotations.is_imported {
        operations.push(remove(&annotation(IMPORTED_ANNOTATION)));
    }
    operations
}

fn annotation(key: &str) -> [&str; 3] {
    ["metadata", "annotations", key]
}

fn add(path: &[&str], value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: PointerBuf::from_tokens(path.iter().copied()), value })
}

fn replace(path: &[&str], value: Value) -> PatchOperation {
    PatchOperation::Replace(ReplaceOperation {
        path: PointerBuf::from_tokens(path.iter().copied()),
        value,
    })
}

fn remove(path: &[&str]) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation { path: PointerBuf::from_tokens(path.iter().copied()) })
}
