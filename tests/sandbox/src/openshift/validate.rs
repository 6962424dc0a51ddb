//! Validation before an object is stored.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::api_errors::{Cause, Rejection};
use super::builds::validate as builds;
use super::kinds::{BUILD, Kind};
use super::meta;
use super::{schemas, webhooks};

// The words of k8s.io/apimachinery `pkg/util/validation`.
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
    and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
    and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
    validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
    'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
// openshift-apiserver `pkg/image/apis/image/validation/validation.go`.
const REPOSITORY_NAME: &str = "must match \"[a-z0-9]+(?:(?:(?:[._]|__|[-]*)[a-z0-9]+)+)?\"";

/// Finalizers that need no domain.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// Checks an object that is about to be stored in place of `old`.
///
/// # Errors
/// 422 that names every field which is wrong.
pub(crate) fn validate(
    kind: &'static Kind,
    old: Option<&Value>,
    object: &Value,
) -> Result<(), Rejection> {
    let mut causes = Vec::new();
    check_metadata(kind, old, object, &mut causes);
    match kind.kind {
        "Secret" => check_secret(old, object, &mut causes),
        "ConfigMap" => check_keys("data", &object["data"], &mut causes),
        "CustomResourceDefinition" => check_definition(object, &mut causes),
        "MutatingWebhookConfiguration" => webhooks::check(object, &mut causes),
        "BuildConfig" => builds::check_spec(&object["spec"], &mut causes),
        "Build" if *kind == *BUILD => match old {
            Some(old) => builds::check_update(old, object, &mut causes),
            None => builds::check_spec(&object["spec"], &mut causes),
        },
        _ if kind.custom => schemas::check(
            &schemas::openapi_schema(kind.group, kind.kind),
            "",
            old,
            object,
            &mut causes,
        ),
        _ => {}
    }
    match causes.is_empty() {
        true => Ok(()),
        false => Err(Rejection::invalid(kind, meta::name(object), &causes)),
    }
}

/// Checks that a body has the JSON types of its kind, as far as the stand-in looks into it.
///
/// # Errors
/// 400, as where the API server cannot decode a body into its Go type.
pub(crate) fn check_types(kind: &Kind, object: &Value) -> Result<(), Rejection> {
    let reject = |why: &str| {
        let (name, version) = (kind.kind, kind.version);
        let message =
            format!("{name} in version \"{version}\" cannot be handled as a {name}: {why}");
        Err(Rejection::bad_request(message))
    };
    let is_map = |value: &Value| value.is_null() || value.is_object();
    let is_map_of_text =
        |value: &Value| is_map(value) && entries(value).all(|(_, value)| value.is_string());
    let is_list_of = |value: &Value, is_item: fn(&Value) -> bool| {
        value.is_null() || value.as_array().is_some_and(|items| items.iter().all(is_item))
    };

    let metadata = &object["metadata"];
    let fits = object.is_object()
        && [metadata, &object["spec"], &object["status"]].into_iter().all(is_map)
        && [&metadata["labels"], &metadata["annotations"]].into_iter().all(is_map_of_text)
        && is_list_of(&metadata["finalizers"], Value::is_string)
        && is_list_of(&metadata["ownerReferences"], Value::is_object)
        && ["name", "namespace", "generateName", "uid", "resourceVersion"]
            .into_iter()
            .all(|field| metadata[field].is_null() || metadata[field].is_string());
    let fits = fits
        && match kind.kind {
            "ServiceAccount" => [&object["secrets"], &object["imagePullSecrets"]]
                .into_iter()
                .all(|list| is_list_of(list, Value::is_object)),
            "ConfigMap" => is_map_of_text(&object["data"]),
            "Secret" => [&object["data"], &object["stringData"]].into_iter().all(is_map_of_text),
            "ImageStream" => is_map(&object["spec"]["lookupPolicy"]),
            _ => true,
        };
    if !fits {
        return reject("json: cannot unmarshal");
    }
    if kind.kind == "Secret" && entries(&object["data"]).any(|(_, value)| decode(value).is_none()) {
        return reject("illegal base64 data at input byte 0");
    }
    Ok(())
}

/// True if this is a name with an optional DNS prefix, as label and annotation keys have to be.
pub(crate) fn is_qualified_name(key: &str) -> bool {
    let (prefix, name) =
        key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_value(name)
}

fn check_metadata(kind: &Kind, old: Option<&Value>, object: &Value, causes: &mut Vec<Cause>) {
    let metadata = &object["metadata"];
    let name = meta::name(object);
    if let Some(old) = old {
        for field in ["name", "namespace", "uid"] {
            if metadata[field] != old["metadata"][field] {
                let path = format!("metadata.{field}");
                causes.push(Cause::invalid(&path, &metadata[field], "field is immutable"));
            }
        }
    } else if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if let Some(why) = wrong_name(kind, name) {
        causes.push(Cause::invalid("metadata.name", &metadata["name"], &why));
    }

    for (key, value) in entries(&metadata["labels"]) {
        if !is_qualified_name(key) {
            causes.push(Cause::invalid("metadata.labels", &json!(key), QUALIFIED));
        }
        if !value.as_str().is_some_and(is_label_value) {
            causes.push(Cause::invalid("metadata.labels", value, LABEL_VALUE));
        }
    }
    for (key, value) in entries(&metadata["annotations"]) {
        if !is_qualified_name(&key.to_lowercase()) || !value.is_string() {
            causes.push(Cause::invalid("metadata.annotations", &json!(key), QUALIFIED));
        }
    }
    check_finalizers(kind, old, object, causes);
}

fn check_finalizers(kind: &Kind, old: Option<&Value>, object: &Value, causes: &mut Vec<Cause>) {
    for (index, finalizer) in meta::finalizers(object).enumerate() {
        if !is_qualified_name(finalizer) {
            causes.push(Cause::invalid("metadata.finalizers", &json!(finalizer), QUALIFIED));
        } else if !kind.custom
            && !finalizer.contains('/')
            && !STANDARD_FINALIZERS.contains(&finalizer)
        {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid(
                &format!("metadata.finalizers[{index}]"),
                &json!(finalizer),
                why,
            ));
        }
    }
    let Some(old) = old.filter(|old| meta::is_deleting(old)) else {
        return;
    };
    let new: Vec<&str> = meta::finalizers(object)
        .filter(|each| meta::finalizers(old).all(|known| known != *each))
        .collect();
    if !new.is_empty() {
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{\"{}\"}}",
            new.join("\", \"")
        );
        causes.push(Cause::forbidden("metadata.finalizers", &why));
    }
}

fn wrong_name(kind: &Kind, name: &str) -> Option<String> {
    let (longest, is_valid, why) = match kind.kind {
        "Namespace" => (63, is_label(name), LABEL),
        "ImageStream" | "ImageStreamImport" => (255, is_repository_name(name), REPOSITORY_NAME),
        // The names of RBAC only have to fit into a path.
        "ClusterRole" | "ClusterRoleBinding" => {
            (usize::MAX, !name.contains(['/', '%']), "may not contain '/' or '%'")
        }
        _ => (253, is_subdomain(name), SUBDOMAIN),
    };
    match (name.len() > longest, is_valid) {
        (true, _) => Some(format!("must be no more than {longest} characters")),
        (false, false) => Some(why.to_owned()),
        (false, true) => None,
    }
}

fn check_secret(old: Option<&Value>, secret: &Value, causes: &mut Vec<Cause>) {
    check_keys("data", &secret["data"], causes);
    if let Some(old) = old {
        if old["type"] != secret["type"] {
            causes.push(Cause::invalid("type", &secret["type"], "field is immutable"));
        }
        if old["immutable"] == true
            && (secret["immutable"] != true || old["data"] != secret["data"])
        {
            causes.push(Cause::forbidden("data", "field is immutable when `immutable` is set"));
        }
    }
    let key = match secret["type"].as_str() {
        Some("kubernetes.io/dockerconfigjson") => ".dockerconfigjson",
        Some("kubernetes.io/dockercfg") => ".dockercfg",
        _ => return,
    };
    let field = format!("data[{key}]");
    match secret["data"].get(key) {
        None => causes.push(Cause::required(&field, "")),
        Some(value) => {
            let content =
                decode(value).and_then(|text| serde_json::from_slice::<Value>(&text).ok());
            if !content.is_some_and(|content| content.is_object()) {
                let why = "invalid character looking for beginning of value";
                causes.push(Cause::invalid(&field, &json!("<secret contents redacted>"), why));
            }
        }
    }
}

fn check_keys(field: &str, data: &Value, causes: &mut Vec<Cause>) {
    for (key, _) in entries(data) {
        let valid = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if key.is_empty() || key.len() > 253 || !key.chars().all(valid) {
            causes.push(Cause::invalid(&format!("{field}[{key}]"), &json!(key), CONFIG_KEY));
        }
    }
}

fn check_definition(definition: &Value, causes: &mut Vec<Cause>) {
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for (field, value) in [
        ("spec.group", &spec["group"]),
        ("spec.scope", &spec["scope"]),
        ("spec.names.kind", &spec["names"]["kind"]),
        ("spec.names.plural", &spec["names"]["plural"]),
        ("spec.versions", &spec["versions"]),
    ] {
        if value.is_null() {
            causes.push(Cause::required(field, ""));
        }
    }
    if meta::name(definition)
        != format!("{}.{}", text(&spec["names"]["plural"]), text(&spec["group"]))
    {
        causes.push(Cause::invalid(
            "metadata.name",
            &definition["metadata"]["name"],
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    for (index, version) in spec["versions"].as_array().into_iter().flatten().enumerate() {
        if !version["schema"]["openAPIV3Schema"].is_object() {
            let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
            causes.push(Cause::required(&field, "schemas are required"));
        }
    }
}

fn entries(map: &Value) -> impl Iterator<Item = (&String, &Value)> {
    map.as_object().into_iter().flat_map(Map::iter)
}

fn decode(value: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(value.as_str()?).ok()
}

fn is_lower_alphanumeric(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

/// RFC 1123 label.
fn is_label(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(is_lower_alphanumeric)
        && name.ends_with(is_lower_alphanumeric)
        && name.chars().all(|c| is_lower_alphanumeric(c) || c == '-')
}

/// RFC 1123 subdomain. Its parts may be longer than labels are.
fn is_subdomain(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(is_lower_alphanumeric)
            && part.ends_with(is_lower_alphanumeric)
            && part.chars().all(|c| is_lower_alphanumeric(c) || c == '-')
    };
    name.len() <= 253 && name.split('.').all(is_part)
}

/// True if a label may have this value.
pub(crate) fn is_label_value(value: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    value.is_empty()
        || value.len() <= 63
            && value.starts_with(alphanumeric)
            && value.ends_with(alphanumeric)
            && value.chars().all(|c| alphanumeric(c) || "-_.".contains(c))
}

/// A repository's last path component (distribution `reference.NameRegexp`), which image stream names have to be:
/// runs of lower-case letters and digits, joined by `.`, `_`, `__` or any number of `-`.
pub(crate) fn is_repository_name(name: &str) -> bool {
    let separators = name.split(is_lower_alphanumeric).filter(|separator| !separator.is_empty());
    let is_separator = |separator: &str| {
        matches!(separator, "." | "_" | "__") || separator.chars().all(|c| c == '-')
    };
    name.starts_with(is_lower_alphanumeric)
        && name.ends_with(is_lower_alphanumeric)
        && separators.into_iter().all(is_separator)
}
