//! Subscriptions: what they resolve to, and what their status says.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::meta;
use super::bundle::{DEFAULT_CHANNEL, PACKAGE, csv_name};
use super::catalogs::{has_package, is_healthy};
use super::view::{View, condition, find_condition, is_owned_by, owned_by, write_status};
use super::{Trouble, Write};

/// The Subscription that installs the operator as the documentation says.
pub fn subscription() -> Value {
    json!({
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "Subscription",
        "metadata": { "name": PACKAGE, "namespace": "openshift-operators" },
        "spec": {
            "name": PACKAGE,
            "channel": DEFAULT_CHANNEL,
            "source": "redhat-operators",
            "sourceNamespace": "openshift-marketplace",
            "installPlanApproval": "Automatic",
        },
    })
}

/// Why a namespace's subscriptions cannot be met: the reason of the condition, and its message.
type Failure = (&'static str, String);

/// A candidate of the resolution: what it is called there, and the ClusterServiceVersion it stands for.
struct Candidate {
    id: String,
    csv: String,
}

/// Resolves the subscriptions, a namespace at a time, makes InstallPlans and brings every status up to date.
pub(super) fn step(view: &View<'_>, writes: &mut Vec<Write>) {
    let namespaces: BTreeSet<&str> = view.list("Subscription").map(meta::namespace).collect();
    for namespace in namespaces {
        let subscriptions: Vec<&Value> = view
            .inside("Subscription", namespace)
            .filter(|subscription| !meta::is_deleting(subscription))
            .collect();
        let resolution = resolve(view, namespace, &subscriptions);
        if let Ok(csvs) = &resolution {
            plan(view, namespace, &subscriptions, csvs, writes);
        }
        let failure = resolution.err();
        for subscription in subscriptions {
            let status = status(view, subscription, failure.as_ref());
            write_status(subscription, "lastUpdated", status, writes);
        }
    }
}

/// The ClusterServiceVersion that each subscription leads to (`pkg/controller/registry/resolver/resolver.go`): at most one
/// per package in a namespace, and one that no subscription brought has to stay.
fn resolve(
    view: &View<'_>,
    namespace: &str,
    subscriptions: &[&Value],
) -> Result<Vec<String>, Failure> {
    for subscription in subscriptions {
        if let Some(catalog) = catalog(view, subscription).filter(|catalog| !is_healthy(catalog)) {
            let (name, namespace) = (meta::name(catalog), meta::namespace(catalog));
            let message = format!(
                "failed to populate resolver cache from source {name}/{namespace}: failed to list bundles: rpc error: code = \
                 Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp 172.30.12.34:50051: \
                 connect: connection refused\""
            );
            return Err(("ErrorPreventedResolution", message));
        }
    }
    let unsatisfiable = |constraints: &[String]| {
        Err((
            "ConstraintsNotSatisfiable",
            format!("constraints not satisfiable: {}", constraints.join(", ")),
        ))
    };
    let mut candidates = Vec::new();
    for subscription in subscriptions {
        let name = meta::name(subscription);
        match candidate(view, subscription) {
            Ok(candidate) => candidates.push(candidate),
            Err(why) => return unsatisfiable(&[why, format!("subscription {name} exists")]),
        }
    }
    let mut constraints = Vec::new();
    for (subscription, candidate) in subscriptions.iter().zip(&candidates) {
        let name = meta::name(subscription);
        constraints.push(format!("subscription {name} requires {}", candidate.id));
        constraints.push(format!("subscription {name} exists"));
    }
    let mut ids: BTreeSet<String> =
        candidates.iter().map(|candidate| candidate.id.clone()).collect();
    for csv in view.inside("ClusterServiceVersion", namespace).map(meta::name) {
        if csv.starts_with(PACKAGE)
            && !subscriptions.iter().any(|subscription| current(view, subscription) == Some(csv))
        {
            ids.insert(existing(namespace, csv));
            constraints.push(format!(
                "clusterserviceversion {csv} exists and is not referenced by a subscription"
            ));
        }
    }
    if ids.len() > 1 && !subscriptions.is_empty() {
        let ids: Vec<String> = ids.into_iter().collect();
        let (last, others) =
            ids.split_last().map_or(("", &[][..]), |(last, others)| (last.as_str(), others));
        constraints.insert(
            0,
            format!("{} and {last} originate from package {PACKAGE}", others.join(", ")),
        );
        return unsatisfiable(&constraints);
    }
    Ok(candidates.into_iter().map(|candidate| candidate.csv).collect())
}

/// The required version of a subscription: the installed one, or the newest in its channel.
fn candidate(view: &View<'_>, subscription: &Value) -> Result<Candidate, String> {
    let (name, spec) = (meta::name(subscription), &subscription["spec"]);
    let text = |field: &str| spec[field].as_str().unwrap_or_default();
    let (source, source_namespace, package) =
        (text("source"), text("sourceNamespace"), text("name"));
    let Some(catalog) = catalog(view, subscription) else {
        return Err(format!(
            "no operators found from catalog {source} in namespace {source_namespace} referenced by subscription {name}"
        ));
    };
    if package != PACKAGE || !has_package(catalog) {
        return Err(format!(
            "no operators found in package {package} in the catalog referenced by subscription {name}"
        ));
    }
    if let Some(Trouble::ResolutionFails(why)) = Trouble::read(catalog) {
        return Err(why);
    }
    if let Some(csv) = current(view, subscription) {
        return Ok(Candidate {
            id: existing(meta::namespace(subscription), csv),
            csv: csv.to_owned(),
        });
    }
    let channel =
        spec["channel"].as_str().filter(|channel| !channel.is_empty()).unwrap_or(DEFAULT_CHANNEL);
    let Some(csv) = csv_name(channel) else {
        return Err(format!(
            "no operators found in channel {channel} of package {package} in the catalog referenced by subscription {name}"
        ));
    };
    let starting = text("startingCSV");
    if !starting.is_empty() && starting != csv {
        return Err(format!(
            "no operators found with name {starting} in channel {channel} of package {package} in the catalog referenced by \
             subscription {name}"
        ));
    }
    Ok(Candidate { id: format!("{source}/{source_namespace}/{channel}/{csv}"), csv })
}

fn existing(namespace: &str, csv: &str) -> String {
    format!("@existing/{namespace}//{csv}")
}

fn catalog<'a>(view: &View<'a>, subscription: &Value) -> Option<&'a Value> {
    let text = |field: &str| subscription["spec"][field].as_str().unwrap_or_default();
    view.get("CatalogSource", text("sourceNamespace"), text("source"))
}

/// The ClusterServiceVersion that is there on account of a subscription.
fn current<'a>(view: &View<'a>, subscription: &Value) -> Option<&'a str> {
    let named = &subscription["status"]["currentCSV"];
    let planned =
        plan_of(view, subscription).map(|plan| &plan["spec"]["clusterServiceVersionNames"][0]);
    let of_namespace =
        view.inside("ClusterServiceVersion", meta::namespace(subscription)).map(meta::name);
    of_namespace
        .into_iter()
        .find(|csv| named == csv || planned.is_some_and(|planned| planned == csv))
}

fn plan_of<'a>(view: &View<'a>, subscription: &Value) -> Option<&'a Value> {
    view.inside("InstallPlan", meta::namespace(subscription))
        .find(|plan| is_owned_by(plan, subscription))
}

/// Creates one InstallPlan for all subscriptions without one that lack their ClusterServiceVersion.
/// A single one with manual approval makes the plan manual.
fn plan(
    view: &View<'_>,
    namespace: &str,
    subscriptions: &[&Value],
    csvs: &[String],
    writes: &mut Vec<Write>,
) {
    let lacking: Vec<(&Value, &String)> = subscriptions
        .iter()
        .zip(csvs)
        .map(|(subscription, csv)| (*subscription, csv))
        .filter(|(subscription, csv)| {
            plan_of(view, subscription).is_none() && view.get("ClusterServiceVersion", namespace, csv).is_none()
                // A subscription with a deleted plan waits for its user (condition
                // InstallPlanMissing).
                && subscription["status"]["installPlanRef"].is_null()
        })
        .collect();
    let Some((_, csv)) = lacking.first() else {
        return;
    };
    let is_manual = subscriptions
        .iter()
        .any(|subscription| subscription["spec"]["installPlanApproval"] == "Manual");
    let generations = view
        .inside("InstallPlan", namespace)
        .filter_map(|plan| plan["spec"]["generation"].as_u64());
    writes.push(Write::Create(json!({
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "InstallPlan",
        "metadata": {
            "name": format!("install-{}", meta::suffix(5)),
            "namespace": namespace,
            "labels": { format!("operators.coreos.com/{PACKAGE}.{namespace}"): "" },
            "ownerReferences": lacking.iter().map(|(subscription, _)| owned_by(subscription)).collect::<Vec<_>>(),
        },
        "spec": {
            "approval": if is_manual { "Manual" } else { "Automatic" },
            "approved": !is_manual,
            "clusterServiceVersionNames": [csv],
            "generation": generations.max().unwrap_or_default() + 1,
        },
    })));
}

/// The status of a subscription.
fn status(view: &View<'_>, subscription: &Value, failure: Option<&Failure>) -> Value {
    let mut status =
        subscription["status"].as_object().cloned().map_or_else(|| json!({}), Value::Object);
    let plan = plan_of(view, subscription);
    let mut conditions = vec![catalog_condition(view, subscription)];
    if let Some((reason, message)) = failure {
        conditions.push(condition(subscription, "ResolutionFailed", "True", reason, message));
    }
    conditions.extend(plan_condition(subscription, plan));
    status["conditions"] = Value::Array(conditions);
    status["catalogHealth"] = view
        .list("CatalogSource")
        .map(|catalog| {
            let reference = reference(catalog);
            let healths = subscription["status"]["catalogHealth"].as_array();
            let old = healths
                .into_iter()
                .flatten()
                .find(|old| old["catalogSourceRef"]["uid"] == reference["uid"]);
            let since = old
                .filter(|old| old["healthy"] == is_healthy(catalog))
                .map(|old| old["lastUpdated"].clone());
            json!({
                "catalogSourceRef": reference,
                "healthy": is_healthy(catalog),
                "lastUpdated": since.unwrap_or_else(|| json!(meta::now())),
            })
        })
        .collect();
    if let Some(plan) =
        plan.filter(|plan| status["installPlanRef"]["uid"] != plan["metadata"]["uid"])
    {
        let mut reference = reference(plan);
        reference["resourceVersion"] = plan["metadata"]["resourceVersion"].clone();
        status["installPlanRef"] = reference;
        status["installplan"] = json!({
            "apiVersion": plan["apiVersion"], "kind": plan["kind"], "name": plan["metadata"]["name"], "uuid": plan["metadata"]["uid"],
        });
        status["installPlanGeneration"] = plan["spec"]["generation"].clone();
        status["currentCSV"] = plan["spec"]["clusterServiceVersionNames"][0].clone();
    }
    let csv = status["currentCSV"].as_str().unwrap_or_default();
    if view.get("ClusterServiceVersion", meta::namespace(subscription), csv).is_some() {
        status["installedCSV"] = json!(csv);
        status["state"] = json!("AtLatestKnown");
    } else if !csv.is_empty() {
        status["state"] = json!("UpgradePending");
    }
    status
}

/// `pkg/controller/operators/catalog/subscription/state.go`, as the next two.
fn catalog_condition(view: &View<'_>, subscription: &Value) -> Value {
    let kind = "CatalogSourcesUnhealthy";
    let text = |field: &str| subscription["spec"][field].as_str().unwrap_or_default();
    let (name, namespace) = (text("source"), text("sourceNamespace"));
    match catalog(view, subscription) {
        Some(catalog) if is_healthy(catalog) => condition(
            subscription,
            kind,
            "False",
            "AllCatalogSourcesHealthy",
            "all available catalogsources are healthy",
        ),
        Some(_) => {
            let message = format!("targeted catalogsource {namespace}/{name} unhealthy");
            condition(subscription, kind, "True", "UnhealthyCatalogSourceFound", &message)
        }
        None if view.list("CatalogSource").next().is_none() => {
            let message = "dependency resolution requires at least one catalogsource";
            condition(subscription, kind, "True", "NoCatalogSourcesFound", message)
        }
        None => {
            let message = format!("targeted catalogsource {namespace}/{name} missing");
            condition(subscription, kind, "True", "UnhealthyCatalogSourceFound", &message)
        }
    }
}

fn plan_condition(subscription: &Value, plan: Option<&Value>) -> Option<Value> {
    let Some(plan) = plan else {
        let was_there = !subscription["status"]["installPlanRef"].is_null();
        return was_there.then(|| {
            condition(
                subscription,
                "InstallPlanMissing",
                "True",
                "ReferencedInstallPlanNotFound",
                "",
            )
        });
    };
    let installed = find_condition(plan, "Installed");
    let message = installed.and_then(|installed| installed["message"].as_str()).unwrap_or_default();
    match plan["status"]["phase"].as_str().unwrap_or_default() {
        "" => Some(condition(
            subscription,
            "InstallPlanPending",
            "True",
            "InstallPlanNotYetReconciled",
            message,
        )),
        phase @ ("Planning" | "RequiresApproval" | "Installing") => {
            Some(condition(subscription, "InstallPlanPending", "True", phase, message))
        }
        "Failed" => {
            let reason = installed
                .and_then(|installed| installed["reason"].as_str())
                .unwrap_or("InstallPlanFailed");
            Some(condition(subscription, "InstallPlanFailed", "True", reason, message))
        }
        _ => None,
    }
}

fn reference(object: &Value) -> Value {
    json!({
        "apiVersion": object["apiVersion"],
        "kind": object["kind"],
        "name": object["metadata"]["name"],
        "namespace": object["metadata"]["namespace"],
        "uid": object["metadata"]["uid"],
    })
}
