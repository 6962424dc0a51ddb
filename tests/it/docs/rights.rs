//! The roles on the pages hold the rights that are used: none less, none more.

use std::collections::BTreeSet;
use std::fs;

use sandbox::Options;
use sandbox::tls::Authority;
use sandbox::traffic::{Entry, Fault};
use serde_json::{Value, json};

use super::markdown::{Piece, pieces};
use super::read;
use crate::support::World;

/// The rights of the roles on a page whose names begin so, as `VERB RESOURCE.GROUP in NAMESPACE`, and `named NAME` where a
/// rule is held to one.
fn listed(page: &str, name: &str) -> BTreeSet<String> {
    let page = read(page);
    let blocks = pieces(&page).into_iter().filter_map(|(_, piece)| match piece {
        Piece::Block { language: "yaml", lines } => Some(lines.join("\n")),
        _ => None,
    });
    let roles = blocks.filter(|block| block.contains("kind: ClusterRole\n"));
    let roles = roles.flat_map(|roles| {
        roles
            .split("---\n")
            .map(|role| serde_saphyr::from_str::<Value>(role).unwrap())
            .collect::<Vec<_>>()
    });
    roles
        .filter(|role| role["metadata"]["name"].as_str().unwrap().starts_with(name))
        .flat_map(|role| rights(&role))
        .collect()
}

fn rights(role: &Value) -> Vec<String> {
    let namespace = role["metadata"]["namespace"].as_str().unwrap_or_default();
    let texts = |list: &Value| {
        list.as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut rights = Vec::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    let right = right(&verb, &resource, &group, namespace);
                    match rule.get("resourceNames").map(texts) {
                        Some(names) => rights.extend(names.iter().map(|name| named(&right, name))),
                        None => rights.push(right),
                    }
                }
            }
        }
    }
    rights
}

fn right(verb: &str, resource: &str, group: &str, namespace: &str) -> String {
    format!("{verb} {resource}.{group} in {namespace}")
}

fn named(right: &str, name: &str) -> String {
    format!("{right} named {name}")
}

/// The right that a request needs, held to its object's name where one of those that are listed is; none for what everybody
/// may ask.
fn used_of(listed: &BTreeSet<String>, entry: &Entry) -> Option<String> {
    let right = used(entry)?;
    let name = entry.path.split('?').next()?.rsplit('/').next()?;
    let named = named(&right, name);
    Some(if listed.contains(&named) { named } else { right })
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
        ["namespaces", namespace, resource, _, subresource] => {
            ((*namespace).to_owned(), format!("{resource}/{subresource}"), true)
        }
        ["namespaces", namespace, resource, name @ ..] => {
            ((*namespace).to_owned(), (*resource).to_owned(), !name.is_empty())
        }
        [resource, name @ ..] => (String::new(), (*resource).to_owned(), !name.is_empty()),
        [] => return None,
    };
    let verb = match (entry.method.as_str(), is_one) {
        ("GET", true) => "get",
        ("GET", false) => "list",
        ("POST", _) => "create",
        ("PATCH", _) => "patch",
        ("DELETE", _) => "delete",
        (other, _) => panic!("there is no verb for {other} {path}"),
    };
    Some(right(verb, &resource, &group, &namespace))
}

#[test]
fn the_roles_hold_the_rights_that_a_set_up_uses() {
    let Some(world) = World::stand_in_bare(Options::default(), "only it has an OLM of each kind")
    else {
        return;
    };
    let authority = fs::read_to_string(world.sandbox.ca_file()).unwrap();
    let other = world.dir().join("other.crt");
    fs::write(&other, format!("{authority}{}", Authority::new().unwrap().pem())).unwrap();
    let token = world.sandbox.quay.admin_token();
    let fresh =
        ["setup", "--yes", "--user-role", "--node-trust", "apply", "--operator-approval", "manual"];
    world
        .oc_quay(&fresh)
        .env("OC_QUAY_URL", world.sandbox.quay.url())
        .env("OC_QUAY_TOKEN", token)
        .succeeds();
    // Now everything is there and has to be changed.
    let again = ["setup", "--yes", "--node-trust", "apply", "--allow", "shop", "--quay-ca-file"];
    world.oc_quay(&again).args(&[other.to_str().unwrap()]).succeeds();
    let listed = listed("docs/setup.md", "oc-quay-setup");
    let used: BTreeSet<_> = world
        .cluster_traffic()
        .entries()
        .iter()
        .filter_map(|entry| used_of(&listed, entry))
        .collect();
    assert_eq!(listed, used);
}

#[test]
fn the_administrators_role_holds_the_rights_that_the_commands_use() {
    let Some(world) = World::stand_in("its roles are tried with its namespaces") else { return };
    let run = |command: &str| world.oc_quay(&command.split(' ').collect::<Vec<_>>()).succeeds();
    run("link -A --yes");
    run("status -A");
    world.merge(
        "Namespace",
        "",
        "shop",
        &json!({ "metadata": { "finalizers": ["quay.redhat.com/quayintegrations"] } }),
    );
    run("unlink -n shop --yes");
    run("link -n shop --yes");
    world.damage("shop");
    // Somebody else is quicker, so the service account is read again.
    let conflict = json!({ "kind": "Status", "status": "Failure", "message": "stale", "reason": "Conflict", "code": 409 });
    let conflict =
        Fault::on("PATCH", "serviceaccounts").status(409).body(&conflict.to_string()).times(1);
    world.cluster_traffic().fault(conflict);
    run("repair -n shop --yes");
    run("status -n shop");
    let used = world.cluster_traffic().entries();
    let used: BTreeSet<_> = used.iter().filter_map(used_anywhere).collect();
    assert_eq!(listed("docs/security.md", "oc-quay-admin"), used);
}

#[test]
fn the_role_for_builds_holds_what_the_administrators_lacks_for_them() {
    let Some(world) = World::stand_in("its roles are tried with its namespaces") else { return };
    let run = |command: &str| world.oc_quay(&command.split(' ').collect::<Vec<_>>()).succeeds();
    world.trust_quay();
    run("link -n shop --yes");
    let digest = world.sandbox.quay.push_tag("openshift_shop", "web", "1").unwrap();
    let inside = format!("image-registry.openshift-image-registry.svc:5000/shop/web@{digest}");
    let item = json!({ "created": "2020-01-01T00:00:00Z", "image": digest, "dockerImageReference": inside, "generation": 1 });
    world.merge(
        "ImageStream",
        "shop",
        "web/status",
        &json!({ "status": { "tags": [{ "tag": "1", "items": [item] }] } }),
    );
    world.build_config(
        "shop",
        "app",
        &json!({ "to": { "kind": "ImageStreamTag", "name": "app:latest" } }),
    );
    for command in [
        "images",
        "builds",
        "builds rewrite --yes",
        "builds restore --yes",
        "import --missing --yes",
    ] {
        run(&format!("{command} -n shop"));
    }
    let used: BTreeSet<_> =
        world.cluster_traffic().entries().iter().filter_map(used_anywhere).collect();
    let lacking: BTreeSet<_> =
        used.difference(&listed("docs/security.md", "oc-quay-admin")).cloned().collect();
    assert_eq!(listed("docs/security.md", "oc-quay-builds"), lacking);
}

/// The same right in all namespaces.
fn used_anywhere(entry: &Entry) -> Option<String> {
    let right = used(entry)?;
    Some(right.split_once(" in ").map_or(right.clone(), |(right, _)| format!("{right} in ")))
}
