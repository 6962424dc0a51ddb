//! The subresource of `oc start-build` (openshift-apiserver `pkg/build/apiserver/buildgenerator/generator.go`).

use serde_json::{Map, Value, json};

use super::super::meta;
use super::{CONFIG, NUMBER, RUN_POLICY};

/// Fields that are copied from the BuildConfig's spec.
const COMMON: [&str; 9] = [
    "source",
    "strategy",
    "output",
    "resources",
    "postCommit",
    "completionDeadlineSeconds",
    "nodeSelector",
    "mountTrustedCA",
    "serviceAccount",
];

/// The account that builds run under unless they name one.
pub(crate) const BUILDER: &str = "builder";

/// The BuildConfig with the number of its next build, and that build. The BuildConfig is to be stored first, whatever
/// happens to the build: a number is used up by a build that is then rejected, too.
///
/// # Errors
/// With the API's message, for a BuildConfig that is paused or whose last build has another number than the request says.
pub fn instantiate(config: &Value, request: &Value) -> Result<(Value, Value), String> {
    let (namespace, name) = (meta::namespace(config), meta::name(config));
    if config["metadata"]["annotations"]["openshift.io/build-config.paused"] == "true" {
        return Err(format!(
            "can't instantiate from BuildConfig {namespace}/{name}: BuildConfig is paused"
        ));
    }
    let last = config["status"]["lastVersion"].as_u64().unwrap_or_default();
    if let Some(expected) = request["lastVersion"].as_u64().filter(|expected| *expected != last) {
        return Err(format!(
            "the LastVersion({last}) on build config {namespace}/{name} does not match the build request LastVersion({expected})"
        ));
    }
    let mut counted = config.clone();
    counted["status"]["lastVersion"] = json!(last + 1);
    Ok((counted, build(config, request, last + 1)))
}

fn build(config: &Value, request: &Value, number: u64) -> Value {
    let (namespace, name) = (meta::namespace(config), meta::name(config));
    let field = |field: &&str| Some(((*field).to_owned(), config["spec"].get(*field)?.clone()));
    let mut spec: Map<String, Value> = COMMON.iter().filter_map(field).collect();
    spec.entry("serviceAccount").or_insert(json!(BUILDER));
    for field in ["revision", "triggeredBy"] {
        spec.extend(request.get(field).map(|value| (field.to_owned(), value.clone())));
    }
    spec.entry("triggeredBy").or_insert(json!([{ "message": "Manually triggered" }]));

    let run_policy = config["spec"]["runPolicy"].as_str().unwrap_or("Serial");
    let own = json!({ CONFIG: name, "buildconfig": name, RUN_POLICY: run_policy });
    let labels = merged(&[&request["metadata"]["labels"], &config["metadata"]["labels"], &own]);
    let own = json!({ CONFIG: name, NUMBER: number.to_string() });
    let annotations = merged(&[&request["metadata"]["annotations"], &own]);
    json!({
        "apiVersion": "build.openshift.io/v1",
        "kind": "Build",
        "metadata": {
            "name": format!("{name}-{number}"),
            "namespace": namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [{
                "apiVersion": "build.openshift.io/v1",
                "kind": "BuildConfig",
                "name": name,
                "uid": config["metadata"]["uid"],
                "controller": true,
            }],
        },
        "spec": spec,
        "status": { "phase": "New", "config": { "kind": "BuildConfig", "namespace": namespace, "name": name } },
    })
}

/// The subresource of `oc start-build --from-build`: the BuildConfig with its next number, and the
/// same build with that number and all annotations.
pub fn repeat(config: &Value, build: &Value) -> (Value, Value) {
    let number = config["status"]["lastVersion"].as_u64().unwrap_or_default() + 1;
    let mut counted = config.clone();
    counted["status"]["lastVersion"] = json!(number);
    let own =
        json!({ NUMBER: number.to_string(), "openshift.io/build.clone-of": meta::name(build) });
    let repeated = json!({
        "apiVersion": "build.openshift.io/v1",
        "kind": "Build",
        "metadata": {
            "name": format!("{}-{number}", meta::name(config)),
            "namespace": meta::namespace(build),
            "labels": build["metadata"]["labels"],
            "annotations": merged(&[&build["metadata"]["annotations"], &own]),
            "ownerReferences": build["metadata"]["ownerReferences"],
        },
        "spec": build["spec"],
        "status": { "phase": "New", "config": build["status"]["config"] },
    });
    (counted, repeated)
}

/// Merges maps; later ones win.
fn merged(maps: &[&Value]) -> Value {
    let entries = maps.iter().filter_map(|map| map.as_object()).flatten();
    Value::Object(entries.map(|(key, value)| (key.clone(), value.clone())).collect())
}
