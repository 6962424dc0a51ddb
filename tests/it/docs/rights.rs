//! The roles in `docs/setup.md` hold the rights that a set-up uses: none less, none more.

use std::collections::BTreeSet;
use std::fs;

use sandbox::Options;
use sandbox::tls::Authority;
use sandbox::traffic::Entry;
use serde_json::Value;

use super::markdown::{Piece, pieces};
use super::read;
use crate::support::World;

/// The rights of the roles on the page, as `VERB RESOURCE.GROUP in NAMESPACE`.
fn listed() -> BTreeSet<String> {
    let page = read("docs/setup.md");
    let blocks = pieces(&page).into_iter().filter_map(|(_, piece)| match piece {
        Piece::Block { language: "yaml", lines } => Some(lines.join("\n")),
        _ => None,
    });
    let roles = blocks.filter(|block| block.contains("kind: ClusterRole\n"));
    roles
        .flat_map(|roles| {
            roles.split("---\n").flat_map(|role| rights(&serde_saphyr::from_str(role).unwrap())).collect::<Vec<_>>()
        })
        .collect()
}

fn rights(role: &Value) -> Vec<String> {
    let namespace = role["metadata"]["namespace"].as_str().unwrap_or_default();
    let texts = |list: &Value| list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let mut rights = Vec::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                rights.extend(texts(&rule["verbs"]).iter().map(|verb| right(verb, &resource, &group, namespace)));
            }
        }
    }
    rights
}

fn right(verb: &str, resource: &str, group: &str, namespace: &str) -> String {
    format!("{verb} {resource}.{group} in {namespace}")
}

/// The right that a request needs; none for what everybody may ask.
fn used(entry: &Entry) -> Option<String> {
    let path = entry.path.split('?').next()?;
    let (group, rest) = match path.split('/').skip(1).collect::<Vec<_>>().as_slice() {
        ["api", _, rest @ ..] => (String::new(), rest.join("/")),
        ["apis", group, _, rest @ ..] if !rest.is_empty() => ((*group).to_owned(), rest.join("/")),
        _ => return None,
    };
    if ["authorization.k8s.io", "authentication.k8s.io"].contains(&group.as_str()) {
        return None;
    }
    let (namespace, resource, is_one) = match rest.split('/').collect::<Vec<_>>().as_slice() {
        ["namespaces", namespace, resource, name @ ..] => ((*namespace).to_owned(), (*resource).to_owned(), !name.is_empty()),
        [resource, name @ ..] => (String::new(), (*resource).to_owned(), !name.is_empty()),
        [] => return None,
    };
    let verb = match (entry.method.as_str(), is_one) {
        ("GET", true) => "get",
        ("GET", false) => "list",
        ("POST", _) => "create",
        ("PATCH", _) => "patch",
        (other, _) => panic!("a set-up does not {other} {path}"),
    };
    Some(right(verb, &resource, &group, &namespace))
}

#[test]
fn the_roles_hold_the_rights_that_a_set_up_uses() {
    let Some(world) = World::stand_in_bare(Options::default(), "only it has an OLM of each kind") else { return };
    let authority = fs::read_to_string(world.sandbox.ca_file()).unwrap();
    let other = world.dir().join("other.crt");
    fs::write(&other, format!("{authority}{}", Authority::new().unwrap().pem())).unwrap();
    let token = world.sandbox.quay.admin_token();
    let fresh = ["setup", "--yes", "--node-trust", "apply", "--operator-approval", "manual"];
    world.oc_quay(&fresh).env("OC_QUAY_URL", world.sandbox.quay.url()).env("OC_QUAY_TOKEN", token).succeeds();
    // Now everything is there and has to be changed.
    let again = ["setup", "--yes", "--node-trust", "apply", "--allow", "shop", "--quay-ca-file"];
    world.oc_quay(&again).args(&[other.to_str().unwrap()]).succeeds();
    let used: BTreeSet<_> = world.cluster_traffic().entries().iter().filter_map(used).collect();
    assert_eq!(listed(), used);
}
