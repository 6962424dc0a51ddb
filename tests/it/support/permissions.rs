//! Compares the controller's roles with its requests.

use std::collections::BTreeSet;

use oc_quay::setup::controller_manifests::ControllerManifests;
use sandbox::traffic::Entry;
use serde_json::Value;

use super::TestEnv;

/// The rules of the manifests: API group, resource, verb, and the name if restricted to one.
fn allowed() -> BTreeSet<(String, String, String, Option<String>)> {
    let mut allowed = BTreeSet::new();
    for object in ControllerManifests::new(Some("default"), None).manifests() {
        let words = |list: &Value| -> Vec<String> {
            list.as_array()
                .into_iter()
                .flatten()
                .map(|word| word.as_str().unwrap().to_owned())
                .collect()
        };
        for rule in object["rules"].as_array().into_iter().flatten() {
            let mut names: Vec<_> = words(&rule["resourceNames"]).into_iter().map(Some).collect();
            if names.is_empty() {
                names.push(None);
            }
            for (group, resource) in words(&rule["apiGroups"]).iter().flat_map(|group| {
                words(&rule["resources"]).into_iter().map(move |resource| (group.clone(), resource))
            }) {
                for verb in words(&rule["verbs"]) {
                    allowed.extend(
                        names.iter().map(|name| {
                            (group.clone(), resource.clone(), verb.clone(), name.clone())
                        }),
                    );
                }
            }
        }
    }
    allowed
}

/// The permissions that requests needed, in the form of [`allowed`].
fn asked(entries: &[Entry]) -> BTreeSet<(String, String, String, Option<String>)> {
    let mut asked = BTreeSet::new();
    for entry in entries {
        let (path, query) = entry.path.split_once('?').unwrap_or((&entry.path, ""));
        let mut segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let group = match segments.first() {
            Some(&"api") => segments.drain(..2).next().map(|_| ""),
            Some(&"apis") if segments.len() > 3 => segments.drain(..3).nth(1),
            // Allowed to all users, such as the version.
            _ => None,
        };
        let Some(group) = group else { continue };
        if segments.len() > 2 && segments[0] == "namespaces" {
            segments.drain(..2);
        }
        let subresource = segments.get(2).map(|name| format!("/{name}")).unwrap_or_default();
        let by_field =
            query.split('&').find_map(|pair| pair.strip_prefix("fieldSelector=metadata.name%3D"));
        let name = segments.get(1).copied().or(by_field).map(str::to_owned);
        let verb = match (entry.method.as_str(), segments.len()) {
            ("GET", 1) if query.contains("watch=") => "watch",
            ("GET", 1) => "list",
            ("GET", _) => "get",
            ("POST", _) => "create",
            ("PATCH", _) => "patch",
            ("DELETE", _) => "delete",
            other => panic!("{other:?}"),
        };
        asked.insert((
            group.to_owned(),
            format!("{}{subresource}", segments[0]),
            verb.to_owned(),
            name,
        ));
    }
    asked
}

/// The permissions for the strategies of changed builds, which OpenShift checks at every change.
fn strategies(env: &TestEnv, entries: &[Entry]) -> BTreeSet<String> {
    let changed = entries.iter().filter(|entry| entry.method == "PATCH").filter_map(|entry| {
        let path = entry.path.strip_prefix("/apis/build.openshift.io/v1/namespaces/")?;
        let (namespace, build) = path.split('?').next()?.split_once("/builds/")?;
        env.get("Build", namespace, build)
    });
    let strategy = |build: Value| {
        let fields = build["spec"]["strategy"].as_object().unwrap().clone();
        fields
            .keys()
            .find_map(|field| field.strip_suffix("Strategy").map(str::to_lowercase))
            .unwrap()
    };
    changed.map(|build| format!("builds/{}", strategy(build))).collect()
}

impl TestEnv {
    /// Asserts that the controller's roles allow each request since [`TestEnv::forget_traffic`].
    #[track_caller]
    pub(crate) fn assert_uses_only_granted_permissions(&self) {
        let (allowed, asked) = (allowed(), asked(&self.cluster_traffic().entries()));
        assert!(!asked.is_empty());
        for (group, resource, verb, name) in &asked {
            let may =
                |name| allowed.contains(&(group.clone(), resource.clone(), verb.clone(), name));
            assert!(
                may(None) || may(name.clone()),
                "no rule allows to {verb} {resource}.{group} {name:?}"
            );
        }
        for right in strategies(self, &self.cluster_traffic().entries()) {
            let needed =
                ("build.openshift.io".to_owned(), right.clone(), "create".to_owned(), None);
            assert!(allowed.contains(&needed), "no rule allows to create {right}");
        }
    }
}
