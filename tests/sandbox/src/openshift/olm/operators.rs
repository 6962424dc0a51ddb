//! ClusterServiceVersions (`pkg/controller/operators/olm/operator.go`): the operator itself, phase by phase.

use serde_json::{Value, json};

use super::super::{definitions, meta};
use super::bundle::{self, DEPLOYMENT};
use super::view::View;
use super::{Trouble, Write};

/// Keeps a ClusterServiceVersion until OLM has removed what it brought and cannot own.
const CLEANUP: &str = "operators.coreos.com/csv-cleanup";

/// A phase, its reason and its message.
type Phase = (&'static str, String, String);

pub(super) fn step(view: &View<'_>, writes: &mut Vec<Write>) {
    for csv in view.list("ClusterServiceVersion") {
        let is_kept = meta::finalizers(csv).any(|finalizer| finalizer == CLEANUP);
        if meta::is_deleting(csv) {
            clean_up(view, csv, is_kept, writes);
        } else if !is_kept {
            let finalizers: Vec<&str> = meta::finalizers(csv).chain([CLEANUP]).collect();
            writes.push(with_finalizers(csv, &finalizers));
        } else {
            advance(view, csv, writes);
        }
    }
    collect_webhooks(view, writes);
}

fn clean_up(view: &View<'_>, csv: &Value, is_kept: bool, writes: &mut Vec<Write>) {
    match bundle::webhook_of(view, csv) {
        Some(webhook) => writes.push(Write::Delete(webhook.clone())),
        None if is_kept => {
            let finalizers: Vec<&str> =
                meta::finalizers(csv).filter(|finalizer| *finalizer != CLEANUP).collect();
            writes.push(with_finalizers(csv, &finalizers));
        }
        None => {}
    }
}

fn with_finalizers(csv: &Value, finalizers: &[&str]) -> Write {
    let mut changed = csv.clone();
    changed["metadata"]["finalizers"] = json!(finalizers);
    Write::Finalizers(changed)
}

/// Removes the webhooks of ClusterServiceVersions that are gone, whatever became of their finalizers.
fn collect_webhooks(view: &View<'_>, writes: &mut Vec<Write>) {
    for webhook in view.list("MutatingWebhookConfiguration") {
        let labels = &webhook["metadata"]["labels"];
        let text = |label: &str| labels[label].as_str().unwrap_or_default();
        let is_ours = text("olm.owner.kind") == "ClusterServiceVersion";
        if is_ours
            && view
                .get("ClusterServiceVersion", text("olm.owner.namespace"), text("olm.owner"))
                .is_none()
        {
            writes.push(Write::Delete(webhook.clone()));
        }
    }
}

fn advance(view: &View<'_>, csv: &Value, writes: &mut Vec<Write>) {
    let current = &csv["status"];
    let (phase, reason, message) = next(view, csv, writes);
    if current["phase"] == phase
        && current["reason"] == reason.as_str()
        && current["message"] == message.as_str()
    {
        return;
    }
    let now = meta::now();
    let since =
        if current["phase"] == phase { current["lastTransitionTime"].clone() } else { json!(now) };
    let mut conditions = current["conditions"].as_array().cloned().unwrap_or_default();
    conditions.push(json!({
        "phase": phase, "reason": reason, "message": message, "lastUpdateTime": now, "lastTransitionTime": since,
    }));
    let mut changed = csv.clone();
    changed["status"] = json!({
        "phase": phase, "reason": reason, "message": message, "lastUpdateTime": now, "lastTransitionTime": since,
        "conditions": conditions,
    });
    writes.push(Write::Status(changed));
}

/// The phase that comes next, which may be the present one. What it takes is written.
fn next(view: &View<'_>, csv: &Value, writes: &mut Vec<Write>) -> Phase {
    let namespace = meta::namespace(csv);
    if let Some((reason, message)) = wrong_group(view, namespace) {
        return ("Failed", reason.to_owned(), message);
    }
    let phase = |phase, reason: &str, message: &str| (phase, reason.to_owned(), message.to_owned());
    let definition = view.get("CustomResourceDefinition", "", definitions::QUAY_INTEGRATIONS);
    let has_requirements = definition.is_some_and(definitions::is_established);
    let unavailable = bundle::unavailable(view, namespace);
    match csv["status"]["phase"].as_str().unwrap_or_default() {
        "Pending" if has_requirements => phase(
            "InstallReady",
            "AllRequirementsMet",
            "all requirements found, attempting install",
        ),
        "Pending" => {
            phase("Pending", "RequirementsNotMet", "one or more requirements couldn't be found")
        }
        "InstallReady" => {
            if view.get("Deployment", namespace, DEPLOYMENT).is_none() {
                writes.push(Write::Create(bundle::deployment(csv, namespace)));
            }
            if bundle::webhook_of(view, csv).is_none() {
                writes.push(Write::Create(bundle::webhook(csv, namespace)));
            }
            phase(
                "Installing",
                "InstallSucceeded",
                "waiting for install components to report healthy",
            )
        }
        "Installing" => match (view.trouble("CatalogSource"), unavailable) {
            (Some(Trouble::OperatorFails { reason, message }), _) => ("Failed", reason, message),
            (_, Some(why)) => phase("Installing", "InstallWaiting", &format!("installing: {why}")),
            (_, None) => {
                phase("Succeeded", "InstallSucceeded", "install strategy completed with no errors")
            }
        },
        "Succeeded" if !has_requirements => {
            phase("Failed", "RequirementsNotMet", "requirements no longer met")
        }
        "Succeeded" => match unavailable {
            Some(why) => phase("Failed", "ComponentUnhealthy", &format!("installing: {why}")),
            None => {
                phase("Succeeded", "InstallSucceeded", "install strategy completed with no errors")
            }
        },
        "Failed"
            if matches!(view.trouble("CatalogSource"), Some(Trouble::OperatorFails { .. })) =>
        {
            let text = |field: &str| csv["status"][field].as_str().unwrap_or_default();
            phase("Failed", text("reason"), text("message"))
        }
        "Failed" => phase("Pending", "NeedsReinstall", "reinstalling"),
        _ => phase("Pending", "RequirementsUnknown", "requirements not yet checked"),
    }
}

/// The problem of the namespace's operator group: there must be one, for all namespaces.
fn wrong_group(view: &View<'_>, namespace: &str) -> Option<(&'static str, String)> {
    let groups: Vec<&Value> = view.inside("OperatorGroup", namespace).collect();
    let [group] = groups.as_slice() else {
        return Some(match groups.is_empty() {
            true => ("NoOperatorGroup", "csv in namespace with no operatorgroups".to_owned()),
            false => (
                "TooManyOperatorGroups",
                "csv created in namespace with multiple operatorgroups, can't pick one automatically".to_owned(),
            ),
        });
    };
    let targets: Vec<&str> = group["spec"]["targetNamespaces"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let unsupported = |mode: &str, what: &str| {
        Some((
            "UnsupportedOperatorGroup",
            format!("{mode} InstallModeType not supported, cannot configure to watch {what}"),
        ))
    };
    match targets.as_slice() {
        [] => None,
        [one] if *one == namespace => unsupported("OwnNamespace", "own namespace"),
        [_] => unsupported("SingleNamespace", "one namespace"),
        many => unsupported("MultiNamespace", &format!("{} namespaces", many.len())),
    }
}
