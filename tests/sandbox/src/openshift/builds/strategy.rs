//! Defaults and immutable fields of Builds and BuildConfigs (openshift-apiserver
//! `pkg/build/apiserver/registry`).

use serde_json::{Value, json};

use super::super::meta;

/// Fills in a new Build.
pub(crate) fn prepare_build(build: &mut Value) {
    build["metadata"]["generation"] = json!(1);
    if build["status"]["phase"].is_null() {
        build["status"]["phase"] = json!("New");
    }
    note_phase(build);
}

/// Completes an update of a Build: keeps the failure that the pod reported.
pub(crate) fn prepare_build_update(old: &Value, build: &mut Value) {
    if old["status"]["phase"] == "Failed" && build["status"]["reason"] != "OutOfMemoryKilled" {
        for field in ["reason", "message"] {
            build["status"][field] = old["status"][field].clone();
        }
    }
    note_phase(build);
}

/// Keeps a condition for each phase the Build has been in; that of the present one is true.
fn note_phase(build: &mut Value) {
    let status = &build["status"];
    let phase = status["phase"].clone();
    let mut conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let now = meta::now();
    let mut current = json!({
        "type": phase, "status": "True", "lastUpdateTime": now, "lastTransitionTime": now,
        "reason": status["reason"], "message": status["message"],
    });
    for condition in conditions
        .iter_mut()
        .filter(|condition| condition["type"] != phase && condition["status"] != "False")
    {
        *condition = json!({ "type": condition["type"], "status": "False", "lastUpdateTime": now, "lastTransitionTime": now });
    }
    match conditions.iter_mut().find(|condition| condition["type"] == phase) {
        Some(old)
            if ["status", "reason", "message"]
                .iter()
                .all(|field| old[*field] == current[*field]) => {}
        Some(old) => {
            if old["status"] == "True" {
                current["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = current;
        }
        None => conditions.push(current),
    }
    build["status"]["conditions"] = json!(conditions);
}

/// Fills in a new BuildConfig.
pub(crate) fn prepare_config(config: &mut Value) {
    config["metadata"]["generation"] = json!(1);
    if config["spec"]["runPolicy"].is_null() {
        config["spec"]["runPolicy"] = json!("Serial");
    }
    if config["status"]["lastVersion"].is_null() {
        config["status"]["lastVersion"] = json!(0);
    }
}

/// Completes an update of a BuildConfig: the number of its last build never goes down.
pub(crate) fn prepare_config_update(old: &Value, config: &mut Value) {
    let number = |config: &Value| config["status"]["lastVersion"].as_u64().unwrap_or_default();
    if number(config) < number(old) {
        config["status"]["lastVersion"] = old["status"]["lastVersion"].clone();
    }
    if config["spec"] != old["spec"] {
        config["metadata"]["generation"] =
            json!(old["metadata"]["generation"].as_u64().unwrap_or_default() + 1);
    }
}
