//! ClusterExtensions of the successor (operator-controller `internal/operator-controller/controllers`).

use serde_json::{Value, json};

use super::super::{definitions, meta};
use super::bundle::{self, CHANNELS, DEFAULT_CHANNEL, PACKAGE, csv_name};
use super::catalogs::{has_package, is_healthy};
use super::view::{View, condition, is_owned_by, owned_by, write_status};
use super::{Trouble, Write};

/// The ClusterExtension that installs the operator, and the service account with the permissions for it.
pub fn extension() -> Vec<Value> {
    let (account, namespace) = ("quay-bridge-operator-installer", "openshift-operators");
    vec![
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": account, "namespace": namespace } }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": { "name": account },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
            "subjects": [{ "kind": "ServiceAccount", "name": account, "namespace": namespace }],
        }),
        json!({
            "apiVersion": "olm.operatorframework.io/v1",
            "kind": "ClusterExtension",
            "metadata": { "name": PACKAGE, "generation": 1 },
            "spec": {
                "namespace": namespace,
                "serviceAccount": { "name": account },
                "source": { "sourceType": "Catalog", "catalog": { "packageName": PACKAGE, "channels": [DEFAULT_CHANNEL] } },
            },
        }),
    ]
}

enum Progress {
    /// The bundle is installed.
    Done(&'static str),
    RollingOut,
    Retrying(String),
    /// Retried, with an unknown installed version.
    Invalid(String),
    /// Not retried before a change.
    Blocked(String),
}

pub(super) fn step(view: &View<'_>, writes: &mut Vec<Write>) {
    for extension in view.list("ClusterExtension").filter(|extension| !meta::is_deleting(extension))
    {
        let progress = install(view, extension, writes).unwrap_or_else(|problem| problem);
        write_status(extension, "", status(extension, &progress), writes);
    }
}

fn install(
    view: &View<'_>,
    extension: &Value,
    writes: &mut Vec<Write>,
) -> Result<Progress, Progress> {
    let namespace = extension["spec"]["namespace"].as_str().unwrap_or_default();
    check_account(view, extension, namespace)?;
    let version = resolve(view, extension)?;
    match view.trouble("ClusterCatalog") {
        Some(Trouble::InstallPlanFails(message) | Trouble::ResolutionFails(message)) => {
            return Err(Progress::Retrying(message));
        }
        Some(Trouble::OperatorFails { message, .. }) => return Err(Progress::Blocked(message)),
        _ => {}
    }
    let mut definition = definitions::quay_integrations();
    definition["metadata"]["ownerReferences"] = json!([owned_by(extension)]);
    let mut is_complete = true;
    for object in [definition, bundle::deployment(extension, namespace)] {
        let (kind, name) = (object["kind"].as_str().unwrap_or_default(), meta::name(&object));
        match view.get(kind, meta::namespace(&object), name) {
            Some(found) if !is_owned_by(found, extension) => {
                let message = format!(
                    "{kind} '{name}' already exists in namespace '{}' and cannot be managed by operator-controller",
                    meta::namespace(&object)
                );
                return Err(Progress::Retrying(message));
            }
            Some(_) => {}
            None => {
                writes.push(Write::Create(object));
                is_complete = false;
            }
        }
    }
    if bundle::webhook_of(view, extension).is_none() {
        writes.push(Write::Create(bundle::webhook(extension, namespace)));
        is_complete = false;
    }
    Ok(match is_complete && bundle::unavailable(view, namespace).is_none() {
        true => Progress::Done(version),
        false => Progress::RollingOut,
    })
}

/// The service account must exist and have permissions; the fake does not check which.
fn check_account(view: &View<'_>, extension: &Value, namespace: &str) -> Result<(), Progress> {
    let name = extension["spec"]["serviceAccount"]["name"].as_str().unwrap_or_default();
    if view.get("ServiceAccount", namespace, name).is_none() {
        let why = format!("service account {name:?} not found in namespace {namespace:?}");
        return Err(Progress::Invalid(format!(
            "operation cannot proceed due to the following validation error(s): {why}"
        )));
    }
    let is_bound = view.list("ClusterRoleBinding").any(|binding| {
        let mut subjects = binding["subjects"].as_array().into_iter().flatten();
        subjects.any(|subject| {
            subject["kind"] == "ServiceAccount"
                && subject["name"] == name
                && subject["namespace"] == namespace
        })
    });
    match is_bound {
        true => Ok(()),
        false => Err(Progress::Retrying(format!(
            "pre-authorization failed: service account requires the following permissions to manage cluster extension:\n  \
             Namespace:\"\" APIGroups:[apiextensions.k8s.io] Resources:[customresourcedefinitions] Verbs:[create,list,watch]\n  \
             Namespace:\"{namespace}\" APIGroups:[apps] Resources:[deployments] Verbs:[create]"
        ))),
    }
}

/// The version that an extension asks for.
fn resolve(view: &View<'_>, extension: &Value) -> Result<&'static str, Progress> {
    let wanted = &extension["spec"]["source"]["catalog"];
    let package = wanted["packageName"].as_str().unwrap_or_default();
    let channels: Vec<&str> =
        wanted["channels"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let version = wanted["version"].as_str().unwrap_or_default();
    let is_offered = package == PACKAGE
        && view.list("ClusterCatalog").any(|catalog| is_healthy(catalog) && has_package(catalog));
    let in_channels = |channel: &str| channels.is_empty() || channels.contains(&channel);
    let mut offers = CHANNELS.into_iter().rev().filter(|(channel, offered)| {
        is_offered && in_channels(channel) && (version.is_empty() || *offered == version)
    });
    offers.next().map(|(_, version)| version).ok_or_else(|| {
        let mut message = format!("no bundles found for package {package:?}");
        if !version.is_empty() {
            message += &format!(" matching version {version:?}");
        }
        if !channels.is_empty() {
            message += &format!(" in channels [{}]", channels.join(" "));
        }
        Progress::Retrying(message)
    })
}

fn status(extension: &Value, progress: &Progress) -> Value {
    let mut status = json!({});
    let none = "No bundle installed";
    let (progressing, installed) = match progress {
        Progress::Done(version) => {
            let name = CHANNELS
                .iter()
                .find(|(_, offered)| offered == version)
                .and_then(|(channel, _)| csv_name(channel));
            status["install"] = json!({ "bundle": { "name": name, "version": version } });
            let image = "registry.redhat.io/quay/quay-bridge-operator-bundle";
            (
                ("True", "Succeeded", "Desired state reached"),
                ("True", "Succeeded", format!("Installed bundle {image} successfully")),
            )
        }
        Progress::RollingOut => (
            ("True", "RollingOut", "Revision 1.0.0 is rolling out."),
            ("False", "Absent", none.to_owned()),
        ),
        Progress::Retrying(why) => {
            (("True", "Retrying", why.as_str()), ("False", "Failed", none.to_owned()))
        }
        Progress::Invalid(why) => {
            (("True", "Retrying", why.as_str()), ("Unknown", "Failed", why.clone()))
        }
        Progress::Blocked(why) => {
            (("False", "Blocked", why.as_str()), ("False", "Failed", none.to_owned()))
        }
    };
    let observe = |mut condition: Value| {
        condition["observedGeneration"] = extension["metadata"]["generation"].clone();
        condition
    };
    status["conditions"] = json!([
        observe(condition(extension, "Installed", installed.0, installed.1, &installed.2)),
        observe(condition(extension, "Progressing", progressing.0, progressing.1, progressing.2)),
    ]);
    status
}
