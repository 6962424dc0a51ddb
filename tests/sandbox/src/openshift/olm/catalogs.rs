//! The catalogs, and what they say is to be had.

use serde_json::{Value, json};

use super::super::meta;
use super::bundle::{CHANNELS, DEFAULT_CHANNEL, PACKAGE, csv_name, install_modes};
use super::view::{View, condition, write_status};
use super::{Trouble, Write};

/// The objects of OLM v0 on a new OpenShift: the catalog, and the operator group for all
/// namespaces.
pub fn v0_fixtures() -> [Value; 2] {
    let catalog = json!({
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "CatalogSource",
        "metadata": { "name": "redhat-operators", "namespace": "openshift-marketplace" },
        "spec": {
            "sourceType": "grpc",
            "image": "registry.redhat.io/redhat/redhat-operator-index:v4.21",
            "displayName": "Red Hat Operators",
            "publisher": "Red Hat",
            "priority": -100,
        },
    });
    let group = json!({
        "apiVersion": "operators.coreos.com/v1",
        "kind": "OperatorGroup",
        "metadata": { "name": "global-operators", "namespace": "openshift-operators" },
        "spec": { "upgradeStrategy": "Default" },
        "status": { "lastUpdated": meta::now(), "namespaces": [""] },
    });
    [catalog, group]
}

/// The objects of OLM v1 on a new OpenShift.
pub fn v1_fixtures() -> [Value; 1] {
    [json!({
        "apiVersion": "olm.operatorframework.io/v1",
        "kind": "ClusterCatalog",
        "metadata": { "name": "openshift-redhat-operators" },
        "spec": {
            "availabilityMode": "Available",
            "priority": -100,
            "source": {
                "type": "Image",
                "image": { "ref": "registry.redhat.io/redhat/redhat-operator-index:v4.21", "pollIntervalMinutes": 10 },
            },
        },
    })]
}

/// Says how the catalogs are, and lists their packages.
pub(super) fn step(view: &View<'_>, writes: &mut Vec<Write>) {
    for catalog in view.list("CatalogSource").filter(|catalog| !meta::is_deleting(catalog)) {
        write_connection(catalog, writes);
    }
    for catalog in view.list("ClusterCatalog").filter(|catalog| !meta::is_deleting(catalog)) {
        write_serving(catalog, writes);
    }
    let holding: Vec<&Value> =
        view.list("CatalogSource").filter(|catalog| has_package(catalog)).collect();
    for manifest in view.list("PackageManifest") {
        let is_of = |catalog: &&Value| {
            manifest["status"]["catalogSource"] == catalog["metadata"]["name"]
                && manifest["metadata"]["namespace"] == catalog["metadata"]["namespace"]
        };
        if !holding.iter().any(is_of) {
            writes.push(Write::Delete(manifest.clone()));
        }
    }
    for catalog in &holding {
        let namespace = meta::namespace(catalog);
        // Two catalogs of one namespace with the same package share a name; the first has it.
        let is_first =
            holding.iter().find(|each| meta::namespace(each) == namespace) == Some(catalog);
        if is_first && view.get("PackageManifest", namespace, PACKAGE).is_none() {
            writes.push(Write::Create(package_manifest(catalog)));
        }
    }
}

/// True if a catalog answers.
pub(super) fn is_healthy(catalog: &Value) -> bool {
    Trouble::read(catalog) != Some(Trouble::CatalogUnhealthy)
}

/// True if a catalog holds the operator's package.
pub(super) fn has_package(catalog: &Value) -> bool {
    !meta::is_deleting(catalog) && Trouble::read(catalog) != Some(Trouble::PackageMissing)
}

fn write_connection(catalog: &Value, writes: &mut Vec<Write>) {
    let (name, namespace) = (meta::name(catalog), meta::namespace(catalog));
    let mut status = json!({
        "connectionState": {
            "address": format!("{name}.{namespace}.svc:50051"),
            "lastObservedState": if is_healthy(catalog) { "READY" } else { "TRANSIENT_FAILURE" },
            "lastConnect": catalog["status"]["connectionState"]["lastConnect"],
        },
        "registryService": {
            "protocol": "grpc", "port": "50051", "serviceName": name, "serviceNamespace": namespace,
        },
    });
    if status != catalog["status"] {
        status["connectionState"]["lastConnect"] = json!(meta::now());
        write_status(catalog, "", status, writes);
    }
}

fn write_serving(catalog: &Value, writes: &mut Vec<Write>) {
    let conditions = match is_healthy(catalog) {
        true => json!([
            condition(
                catalog,
                "Progressing",
                "True",
                "Succeeded",
                "Successfully unpacked and stored content from resolved source"
            ),
            condition(
                catalog,
                "Serving",
                "True",
                "Available",
                "Serving desired content from resolved source"
            ),
        ]),
        false => json!([
            condition(
                catalog,
                "Progressing",
                "True",
                "Retrying",
                "source catalog content: error creating image source: i/o timeout"
            ),
            condition(catalog, "Serving", "False", "Unavailable", ""),
        ]),
    };
    let base =
        format!("https://catalogd-service.openshift-catalogd.svc/catalogs/{}", meta::name(catalog));
    write_status(
        catalog,
        "",
        json!({ "conditions": conditions, "urls": { "base": base } }),
        writes,
    );
}

fn package_manifest(catalog: &Value) -> Value {
    let (name, namespace) = (meta::name(catalog), meta::namespace(catalog));
    let channels = CHANNELS.map(|(channel, version)| {
        let csv = csv_name(channel);
        json!({
            "name": channel,
            "currentCSV": csv,
            "currentCSVDesc": {
                "displayName": "Quay Bridge Operator",
                "version": version,
                "provider": { "name": "Red Hat" },
                "installModes": install_modes(),
            },
            "entries": [{ "name": csv, "version": version }],
        })
    });
    json!({
        "apiVersion": "packages.operators.coreos.com/v1",
        "kind": "PackageManifest",
        "metadata": {
            "name": PACKAGE,
            "namespace": namespace,
            "labels": { "catalog": name, "catalog-namespace": namespace },
        },
        "spec": {},
        "status": {
            "catalogSource": name,
            "catalogSourceDisplayName": catalog["spec"]["displayName"],
            "catalogSourceNamespace": namespace,
            "catalogSourcePublisher": catalog["spec"]["publisher"],
            "packageName": PACKAGE,
            "provider": { "name": "Red Hat" },
            "defaultChannel": DEFAULT_CHANNEL,
            "channels": channels,
        },
    })
}
