//! InstallPlans (`pkg/controller/operators/catalog/operator.go`): from approval to the objects of the bundle.

use serde_json::{Value, json};

use super::super::{definitions, meta};
use super::bundle::cluster_service_version;
use super::view::{View, condition, write_status};
use super::{Trouble, Write};

pub(super) fn step(view: &View<'_>, writes: &mut Vec<Write>) {
    for plan in view.list("InstallPlan").filter(|plan| !meta::is_deleting(plan)) {
        match plan["status"]["phase"].as_str().unwrap_or_default() {
            "" => {
                let phase = if plan["spec"]["approved"] == true {
                    "Installing"
                } else {
                    "RequiresApproval"
                };
                write_status(plan, "", json!({ "phase": phase, "catalogSources": [] }), writes);
            }
            "RequiresApproval" if plan["spec"]["approved"] == true => {
                write_status(
                    plan,
                    "",
                    json!({ "phase": "Installing", "catalogSources": [] }),
                    writes,
                );
            }
            "Installing" => install(view, plan, writes),
            _ => {}
        }
    }
}

fn install(view: &View<'_>, plan: &Value, writes: &mut Vec<Write>) {
    let namespace = meta::namespace(plan);
    let failed = |phase: &str, reason: &str, message: &str| {
        let mut condition = condition(plan, "Installed", "False", reason, message);
        condition["lastUpdateTime"] = condition["lastTransitionTime"].clone();
        json!({ "phase": phase, "catalogSources": [], "conditions": [condition], "message": message })
    };
    match view.inside("OperatorGroup", namespace).count() {
        1 => {}
        0 => {
            let message = "no operator group found that is managing this namespace";
            return write_status(
                plan,
                "",
                failed("Installing", "InstallCheckFailed", message),
                writes,
            );
        }
        count => {
            let message = format!(
                "more than one operator group(s) are managing this namespace count={count}"
            );
            return write_status(
                plan,
                "",
                failed("Installing", "InstallCheckFailed", &message),
                writes,
            );
        }
    }
    if let Some(Trouble::InstallPlanFails(message)) = view.trouble("CatalogSource") {
        return write_status(
            plan,
            "",
            failed("Failed", "InstallComponentFailed", &message),
            writes,
        );
    }
    let names = plan["spec"]["clusterServiceVersionNames"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let mut steps = Vec::new();
    let mut is_complete = true;
    for name in names {
        steps.push(
            json!({ "resolving": name, "status": "Created", "resource": { "kind": "ClusterServiceVersion", "name": name } }),
        );
        if view.get("ClusterServiceVersion", namespace, name).is_none() {
            writes.push(Write::Create(cluster_service_version(namespace, name)));
            is_complete = false;
        }
        steps.push(json!({
            "resolving": name,
            "status": "Created",
            "resource": { "kind": "CustomResourceDefinition", "name": definitions::QUAY_INTEGRATIONS },
        }));
        if view.get("CustomResourceDefinition", "", definitions::QUAY_INTEGRATIONS).is_none() {
            writes.push(Write::Create(definitions::quay_integrations()));
            is_complete = false;
        }
    }
    if is_complete {
        let installed = json!({
            "type": "Installed", "status": "True", "lastUpdateTime": meta::now(), "lastTransitionTime": meta::now(),
        });
        let status = json!({ "phase": "Complete", "catalogSources": [], "conditions": [installed], "plan": steps });
        write_status(plan, "", status, writes);
    }
}
