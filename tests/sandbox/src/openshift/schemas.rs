//! The schemas of the kinds that CustomResourceDefinitions bring, as far as anybody writes objects of those kinds, and
//! what an API server does with a schema: it rejects what does not fit and drops what is not named.

use serde_json::{Value, json};

use super::api_errors::Cause;

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const RULES: &str = "x-kubernetes-validations";

/// A transition rule in the API server's expression language, the only one that the stand-in knows.
const IMMUTABLE: &str = "self == oldSelf";

/// The OpenAPI schema of a kind of a group; one that takes everything where we have none.
pub fn openapi_schema(group: &str, kind: &str) -> Value {
    match kind {
        "Build" if group == "build.openshift.io" => resource(build(), &[]),
        "QuayIntegration" => resource(quay_integration(), &[]),
        "Subscription" => resource(subscription(), &["spec"]),
        "InstallPlan" => resource(install_plan(), &["spec"]),
        "OperatorGroup" => resource(operator_group(), &[]),
        "ClusterExtension" => resource(cluster_extension(), &["spec"]),
        _ => json!({ "type": "object", PRESERVE: true }),
    }
}

/// quay/quay-bridge-operator 78a6944a, `config/crd/bases/quay.redhat.com_quayintegrations.yaml`.
fn quay_integration() -> Value {
    let texts = array(text());
    let secret = object(
        &["name", "namespace"],
        json!({ "key": text(), "name": text(), "namespace": text() }),
    );
    object(
        &["clusterID", "credentialsSecret", "quayHostname"],
        json!({
            "allowlistNamespaces": texts,
            "clusterID": text(),
            "credentialsSecret": secret,
            "denylistNamespaces": texts,
            "insecureRegistry": flag(),
            "organizationPrefix": text(),
            "quayHostname": text(),
            "scheduledImageStreamImport": flag(),
        }),
    )
}

/// operator-framework/api, `crds/operators.coreos.com_subscriptions.yaml`.
fn subscription() -> Value {
    object(
        &["name", "source", "sourceNamespace"],
        json!({
            "channel": text(),
            "config": anything(),
            "installPlanApproval": text(),
            "name": text(),
            "source": text(),
            "sourceNamespace": text(),
            "startingCSV": text(),
        }),
    )
}

/// operator-framework/api, `crds/operators.coreos.com_installplans.yaml`.
fn install_plan() -> Value {
    object(
        &["approval", "approved", "clusterServiceVersionNames"],
        json!({
            "approval": text(),
            "approved": flag(),
            "clusterServiceVersionNames": array(text()),
            "generation": json!({ "type": "integer" }),
            "source": text(),
            "sourceNamespace": text(),
        }),
    )
}

/// operator-framework/api, `crds/operators.coreos.com_operatorgroups.yaml`.
fn operator_group() -> Value {
    object(
        &[],
        json!({
            "selector": anything(),
            "serviceAccountName": text(),
            "staticProvidedAPIs": flag(),
            "targetNamespaces": array(text()),
            "upgradeStrategy": json!({ "type": "string", "enum": ["Default", "TechPreviewUnsafeFailForward"] }),
        }),
    )
}

/// operator-framework/operator-controller, `api/v1/clusterextension_types.go`, as of the releases that ask for a service
/// account (it is ignored since its commit 1bbe7886).
fn cluster_extension() -> Value {
    let immutable = |message: &str| json!({ "type": "string", RULES: [{ "rule": IMMUTABLE, "message": message }] });
    let catalog = object(
        &["packageName"],
        json!({
            "channels": array(text()),
            "packageName": immutable("packageName is immutable"),
            "selector": anything(),
            "upgradeConstraintPolicy": json!({ "type": "string", "enum": ["CatalogProvided", "SelfCertified"] }),
            "version": text(),
        }),
    );
    let source = json!({ "catalog": catalog, "sourceType": json!({ "type": "string", "enum": ["Catalog"] }) });
    object(
        &["namespace", "serviceAccount", "source"],
        json!({
            "install": anything(),
            "namespace": immutable("namespace is immutable"),
            "serviceAccount": object(&["name"], json!({ "name": immutable("name is immutable") })),
            "source": object(&["sourceType"], source),
        }),
    )
}

/// The relevant part of openshift/api `build/v1/types.go`, for servers that serve Builds by a
/// definition. The output is immutable except for the push secret (`ValidateBuildUpdate` of
/// openshift-apiserver).
fn build() -> Value {
    let to = json!({ "type": "object", PRESERVE: true, RULES: [{ "rule": IMMUTABLE, "message": "spec is immutable" }] });
    let output = json!({ "type": "object", PRESERVE: true, "properties": { "to": to } });
    json!({ "type": "object", PRESERVE: true, "properties": { "output": output } })
}

fn resource(spec: Value, required: &[&str]) -> Value {
    object(required, json!({ "spec": spec, "status": anything() }))
}

fn object(required: &[&str], properties: Value) -> Value {
    match required.is_empty() {
        true => json!({ "type": "object", "properties": properties }),
        false => json!({ "type": "object", "required": required, "properties": properties }),
    }
}

fn array(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn anything() -> Value {
    json!({ "type": "object", PRESERVE: true })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

/// Drops the fields that a schema does not name, silently, as the API server does.
pub(crate) fn prune(schema: &Value, value: &mut Value) {
    if let Some(items) = value.as_array_mut() {
        items.iter_mut().for_each(|item| prune(&schema["items"], item));
    }
    if schema[PRESERVE] == true {
        return;
    }
    if let (Some(fields), Some(properties)) =
        (value.as_object_mut(), schema["properties"].as_object())
    {
        fields.retain(|name, _| properties.contains_key(name));
        fields.iter_mut().for_each(|(name, field)| prune(&properties[name], field));
    }
}

/// Compares a value with a schema, and with the value it takes the place of; `path` is empty for the whole object.
pub(crate) fn check(
    schema: &Value,
    path: &str,
    old: Option<&Value>,
    value: &Value,
    causes: &mut Vec<Cause>,
) {
    if let Some(expected) = schema["type"].as_str().filter(|expected| *expected != type_of(value)) {
        causes.push(Cause::wrong_type(path, type_of(value), expected));
        return;
    }
    if let Some(supported) =
        schema["enum"].as_array().filter(|supported| !supported.contains(value))
    {
        causes.push(Cause::not_supported(path, value, supported));
    }
    for rule in schema[RULES].as_array().into_iter().flatten() {
        if rule["rule"] == IMMUTABLE && old.is_some_and(|old| old != value) {
            causes.push(Cause::invalid(path, value, rule["message"].as_str().unwrap_or_default()));
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], &format!("{path}[{index}]"), None, item, causes);
    }
    let inside =
        |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    for field in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(field).is_none() {
            causes.push(Cause::required(&inside(field), ""));
        }
    }
    for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(field) {
            check(schema, &inside(field), old.and_then(|old| old.get(field)), value, causes);
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
