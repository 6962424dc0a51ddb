//! Discovery: versions, groups and resources, and the part of OpenAPI v3 that kubectl needs.
//!
//! Groups and resources have the fields of both forms, aggregated (`APIGroupDiscovery`) and one by one (`APIGroup` and
//! `APIResource`). Clients read those that they know.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{HeaderMap, header};
use serde_json::{Map, Value, json};

use super::kinds::Kind;

/// The kinds that are served.
type Kinds<'a> = &'a [&'static Kind];

/// The content type that aggregated discovery is asked for and answered with.
pub(crate) const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The resources of `oc get all`.
const IN_ALL: [&str; 5] = ["buildconfigs", "builds", "deployments", "imagestreams", "services"];

/// The document at a path, and whether it is an aggregated one; `None` where there is nothing.
pub(crate) fn document(kinds: Kinds<'_>, path: &str, headers: &HeaderMap) -> Option<(Value, bool)> {
    let accept =
        headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // kubectl before 1.30 understands v2beta1 alone, and is answered with the other documents.
    let aggregated = accept.contains(AGGREGATED);
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let groups = || {
        let names: BTreeSet<_> =
            kinds.iter().map(|kind| kind.group).filter(|name| !name.is_empty()).collect();
        names.into_iter().map(|name| group(kinds, name)).collect::<Vec<_>>()
    };
    let document = match segments.as_slice() {
        ["version"] => version(),
        ["api"] if aggregated => group_list(&[group(kinds, "")]),
        ["apis"] if aggregated => group_list(&groups()),
        ["api"] => {
            json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
        }
        ["apis"] => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups()}),
        ["apis", name] if kinds.iter().any(|kind| kind.group == *name) => {
            let mut group = group(kinds, name);
            json_patch::merge(&mut group, &json!({"kind": "APIGroup", "apiVersion": "v1"}));
            group
        }
        ["api", version] => resources(&group(kinds, ""), version)?,
        ["apis", name, version] => resources(&group(kinds, name), version)?,
        ["openapi", "v3"] => schemas(kinds),
        ["openapi", "v3", "all"] => operations(kinds),
        _ => return None,
    };
    Some((document, aggregated && matches!(segments[..], ["api" | "apis"])))
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "34",
        "gitVersion": "v1.34.2",
        "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "go1.24.6",
        "compiler": "gc",
        "platform": "linux/amd64",
    })
}

fn group_list(groups: &[Value]) -> Value {
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": groups})
}

fn group(kinds: Kinds<'_>, name: &str) -> Value {
    let mut versions: BTreeMap<_, Vec<Value>> = BTreeMap::new();
    for kind in kinds.iter().filter(|kind| kind.group == name) {
        versions.entry((kind.version, kind.api_version())).or_default().push(resource(kind));
    }
    let preferred = versions
        .keys()
        .next()
        .map(|(version, full)| json!({"version": version, "groupVersion": full}));
    let versions: Vec<Value> = versions
        .into_iter()
        .map(|((version, full), resources)| json!({"version": version, "groupVersion": full, "resources": resources}))
        .collect();
    json!({"metadata": {"name": name}, "name": name, "versions": versions, "preferredVersion": preferred})
}

fn resource(kind: &Kind) -> Value {
    let response_kind = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let status = json!({"subresource": "status", "responseKind": response_kind, "verbs": ["get", "patch", "update"]});
    let singular = kind.kind.to_lowercase();
    json!({
        "resource": kind.plural,
        "name": kind.plural,
        "responseKind": response_kind,
        "kind": kind.kind,
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "namespaced": kind.namespaced,
        "singularResource": singular,
        "singularName": singular,
        "shortNames": short_names(kind.plural),
        "categories": if !kind.custom && IN_ALL.contains(&kind.plural) { vec!["all"] } else { vec![] },
        "verbs": kind.verbs,
        "subresources": if kind.status { vec![status] } else { vec![] },
    })
}

/// The `APIResourceList` of a version.
fn resources(group: &Value, version: &str) -> Option<Value> {
    let found = group["versions"].as_array()?.iter().find(|each| each["version"] == version)?;
    let (version, resources) = (&found["groupVersion"], &found["resources"]);
    Some(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}),
    )
}

fn short_names(plural: &str) -> &'static [&'static str] {
    match plural {
        "buildconfigs" => &["bc"],
        "catalogsources" => &["catsrc"],
        "clusterserviceversions" => &["csv", "csvs"],
        "configmaps" => &["cm"],
        "customresourcedefinitions" => &["crd", "crds"],
        "deployments" => &["deploy"],
        "events" => &["ev"],
        "imagestreams" => &["is"],
        "installplans" => &["ip"],
        "namespaces" => &["ns"],
        "networkpolicies" => &["netpol"],
        "operatorgroups" => &["og"],
        "poddisruptionbudgets" => &["pdb"],
        "serviceaccounts" => &["sa"],
        "services" => &["svc"],
        "subscriptions" => &["sub", "subs"],
        _ => &[],
    }
}

/// The OpenAPI v3 documents: the same one for every group.
fn schemas(kinds: Kinds<'_>) -> Value {
    let path = |kind: &&Kind| if kind.group.is_empty() { "api" } else { "apis" };
    let paths = kinds.iter().map(|kind| {
        (
            format!("{}/{}", path(kind), kind.api_version()),
            json!({"serverRelativeURL": "/openapi/v3/all"}),
        )
    });
    json!({"paths": paths.collect::<Map<_, _>>()})
}

/// Every kind has a patch with the parameter `fieldValidation`, so a client leaves validation to the server
/// (k8s.io/cli-runtime `pkg/resource/query_param_verifier_v3.go`).
fn operations(kinds: Kinds<'_>) -> Value {
    let operation = |kind: &&Kind| {
        let group_version_kind =
            json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
        let parameters = json!([{"name": "fieldValidation", "in": "query"}]);
        let patch = json!({"x-kubernetes-group-version-kind": group_version_kind, "parameters": parameters});
        (format!("/{}", kind.resource()), json!({"patch": patch}))
    };
    json!({"openapi": "3.0.0", "paths": kinds.iter().map(operation).collect::<Map<_, _>>()})
}
