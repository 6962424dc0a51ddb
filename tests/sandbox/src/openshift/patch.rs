//! The four kinds of patch.

use json_patch::jsonptr::Pointer;
use json_patch::{AddOperation, Patch, PatchOperation};
use serde_json::{Map, Value};

use super::api_errors::Rejection;
use super::kinds::Kind;

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchType {
    /// Reads the `Content-Type`.
    ///
    /// # Errors
    /// 415 for types the kind does not take; custom resources take no strategic merge patch.
    pub(crate) fn parse(content_type: &str, kind: &Kind) -> Result<Self, Rejection> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            JSON => Ok(Self::Json),
            MERGE => Ok(Self::Merge),
            STRATEGIC if !kind.custom => Ok(Self::Strategic),
            APPLY => Ok(Self::Apply),
            _ if kind.custom => Err(Rejection::unsupported_media_type(&[JSON, MERGE, APPLY])),
            _ => Err(Rejection::unsupported_media_type(&[JSON, MERGE, STRATEGIC, APPLY])),
        }
    }

    /// The object with the patch applied.
    ///
    /// # Errors
    /// 400 for a malformed patch, 422 for a JSON patch that does not fit the object.
    pub(crate) fn apply(self, current: &Value, body: &[u8]) -> Result<Value, Rejection> {
        let mut object = current.clone();
        match self {
            Self::Json => json_patch(&mut object, body)?,
            Self::Merge => json_patch::merge(&mut object, &parse(body)?),
            Self::Strategic => strategic(&mut object, parse(body)?),
            Self::Apply => strategic(&mut object, parse_applied(body)?),
        }
        Ok(object)
    }
}

fn parse(body: &[u8]) -> Result<Value, Rejection> {
    let patch: Value = serde_json::from_slice(body)
        .map_err(|error| Rejection::bad_request(format!("error decoding patch: {error}")))?;
    match patch.is_object() {
        true => Ok(patch),
        false => {
            Err(Rejection::bad_request("error decoding patch: cannot unmarshal into an object"))
        }
    }
}

/// An applied configuration says what it is, even where the URL says so too.
fn parse_applied(body: &[u8]) -> Result<Value, Rejection> {
    let object = parse(body)?;
    match ["kind", "apiVersion"].into_iter().find(|field| !object[field].is_string()) {
        None => Ok(object),
        Some(field) => {
            Err(Rejection::bad_request(format!("error decoding YAML: Object '{field}' is missing")))
        }
    }
}

fn json_patch(object: &mut Value, body: &[u8]) -> Result<(), Rejection> {
    let operations: Vec<Value> = serde_json::from_slice(body)
        .map_err(|error| Rejection::bad_request(format!("error decoding patch: {error}")))?;
    let patch: Patch = serde_json::from_value(Value::Array(operations))
        .map_err(|_| Rejection::patch_does_not_apply())?;
    for operation in &patch.0 {
        let operation = match operation {
            PatchOperation::Test(test) if test.value.is_null() && is_absent(object, &test.path) => {
                continue;
            }
            PatchOperation::Replace(replace) if is_absent(object, &replace.path) => {
                &PatchOperation::Add(AddOperation {
                    path: replace.path.clone(),
                    value: replace.value.clone(),
                })
            }
            operation => operation,
        };
        json_patch::patch(object, std::slice::from_ref(operation))
            .map_err(|_| Rejection::patch_does_not_apply())?;
    }
    Ok(())
}

/// True if an object has no member of that name. There, the API server's library
/// (gopkg.in/evanphx/json-patch.v4) is laxer than RFC 6902: a `test` for null holds, and a
/// `replace` adds. Measured on kube-apiserver 1.34.
fn is_absent(object: &Value, path: &Pointer) -> bool {
    let parent = path.parent().and_then(|parent| object.pointer(parent.as_str()));
    parent.is_some_and(Value::is_object) && object.pointer(path.as_str()).is_none()
}

/// Merges maps; replaces lists, except those that Kubernetes' types give a merge key or make a set. (What is new in
/// them comes last here, first on a real server; their order does not matter.)
///
/// `ServiceAccount.imagePullSecrets` has neither (measured on a real one) and is replaced. Apply merges in the same way here;
/// what it does beyond that rests on field ownership, which the stand-in does not keep.
fn strategic(object: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *object = patch;
        return;
    };
    if !object.is_object() || patch.get("$patch").is_some_and(|directive| directive == "replace") {
        *object = Value::Object(Map::new());
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            remove_all(object.get_mut(list), &value);
        } else if key.starts_with('$') {
            // `$patch`, read above; `$setElementOrder` and `$retainKeys`, which only matter to order and unions.
        } else if value.is_null() {
            object.as_object_mut().map(|map| map.remove(&key));
        } else {
            match (key.as_str(), value) {
                ("secrets", Value::Array(items)) => merge_by("name", &mut object[&key], items),
                ("ownerReferences", Value::Array(items)) => {
                    merge_by("uid", &mut object[&key], items)
                }
                ("finalizers", Value::Array(items)) => union(&mut object[&key], items),
                (_, value) => strategic(&mut object[&key], value),
            }
        }
    }
}

fn merge_by(merge_key: &str, list: &mut Value, items: Vec<Value>) {
    let mut merged = list.as_array().cloned().unwrap_or_default();
    for item in items {
        let found = merged.iter().position(|old| old[merge_key] == item[merge_key]);
        match (item.get("$patch").and_then(Value::as_str), found) {
            (Some("delete"), Some(index)) => drop(merged.remove(index)),
            (Some("delete"), None) => {}
            (_, Some(index)) => strategic(&mut merged[index], item),
            (_, None) => merged.push(item),
        }
    }
    *list = Value::Array(merged);
}

fn union(list: &mut Value, items: Vec<Value>) {
    let mut merged = list.as_array().cloned().unwrap_or_default();
    for item in items {
        if !merged.contains(&item) {
            merged.push(item);
        }
    }
    *list = Value::Array(merged);
}

fn remove_all(list: Option<&mut Value>, items: &Value) {
    if let (Some(list), Some(items)) = (list.and_then(Value::as_array_mut), items.as_array()) {
        list.retain(|item| !items.contains(item));
    }
}
