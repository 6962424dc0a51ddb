//! What the server has to offer: versions, groups and resources, in the old form and the aggregated one.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, header};
use serde_json::{Value, json};

use super::kinds::Kind;

/// The kinds that are served.
type Kinds<'a> = &'a [&'static Kind];

/// The content type that aggregated discovery is asked for and answered with.
pub(crate) const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The document at a path, and whether it is an aggregated one; `None` where there is nothing.
pub(crate) fn document(kinds: Kinds<'_>, path: &str, headers: &HeaderMap) -> Option<(Value, bool)> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let aggregated = accept.contains("as=APIGroupDiscoveryList");
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let document = match segments.as_slice() {
        ["version"] => version(),
        ["api"] if aggregated => return Some((aggregate(kinds, &["".to_owned()].into()), true)),
        ["apis"] if aggregated => return Some((aggregate(kinds, &groups(kinds)), true)),
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}),
        ["apis"] => {
            let groups: Vec<Value> = groups(kinds).iter().map(|name| group(kinds, name)).collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        ["api", version] => resources(kinds, "", version)?,
        ["apis", name] if groups(kinds).contains(*name) => {
            let mut group = group(kinds, name);
            group["kind"] = json!("APIGroup");
            group["apiVersion"] = json!("v1");
            group
        }
        ["apis", group, version] => resources(kinds, group, version)?,
        _ => return None,
    };
    Some((document, false))
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

fn served<'a>(kinds: Kinds<'a>, group: &'a str) -> impl Iterator<Item = &'static Kind> + 'a {
    kinds.iter().copied().filter(move |kind| kind.group == group)
}

/// The names of the groups, the core group excepted.
fn groups(kinds: Kinds<'_>) -> BTreeSet<String> {
    let named = kinds.iter().map(|kind| kind.group).filter(|group| !group.is_empty());
    named.map(str::to_owned).collect()
}

fn versions(kinds: Kinds<'_>, group: &str) -> BTreeSet<&'static str> {
    served(kinds, group).map(|kind| kind.version).collect()
}

fn group(kinds: Kinds<'_>, name: &str) -> Value {
    let versions: Vec<Value> = versions(kinds, name)
        .into_iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

fn resources(kinds: Kinds<'_>, group: &str, version: &str) -> Option<Value> {
    let of_version: Vec<&Kind> = served(kinds, group).filter(|kind| kind.version == version).collect();
    let resource = |kind: &&Kind| {
        json!({
            "name": kind.plural,
            "singularName": kind.kind.to_lowercase(),
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": kind.verbs,
        })
    };
    let status = |kind: &&Kind| {
        json!({
            "name": format!("{}/status", kind.plural),
            "singularName": "",
            "namespaced": kind.namespaced,
            "kind": kind.kind,
            "verbs": ["get", "patch", "update"],
        })
    };
    let statuses = of_version.iter().filter(|kind| kind.status).map(status);
    let resources: Vec<Value> = of_version.iter().map(resource).chain(statuses).collect();
    let group_version = of_version.first()?.api_version();
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources,
    }))
}

fn aggregate(kinds: Kinds<'_>, groups: &BTreeSet<String>) -> Value {
    let resource = |kind: &Kind| {
        let response_kind = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
        let mut resource = json!({
            "resource": kind.plural,
            "responseKind": response_kind,
            "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": kind.kind.to_lowercase(),
            "verbs": kind.verbs,
        });
        if kind.status {
            resource["subresources"] = json!([{
                "subresource": "status", "responseKind": response_kind, "verbs": ["get", "patch", "update"],
            }]);
        }
        resource
    };
    let version = |group: &str, version: &str| {
        let of_version = served(kinds, group).filter(|kind| kind.version == version);
        json!({"version": version, "resources": of_version.map(resource).collect::<Vec<_>>(), "freshness": "Current"})
    };
    let item = |group: &String| {
        let versions: Vec<Value> = versions(kinds, group).iter().map(|each| version(group, each)).collect();
        let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
        json!({"metadata": metadata, "versions": versions})
    };
    let items: Vec<Value> = groups.iter().map(item).collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    })
}
