//! The roles on the pages have exactly the permissions that are used.

use std::collections::BTreeSet;
use std::fs;

use sandbox::Options;
use sandbox::tls::Authority;
use sandbox::traffic::{Entry, Fault};
use serde_json::{Value, json};

use super::markdown::{Piece, pieces};
use super::read;
use crate::support::TestEnv;

/// The permissions of roles on a page by the beginning of their names, as `VERB RESOURCE.GROUP in
/// NAMESPACE`, with `named NAME` for a restricted rule.
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
        .flat_map(|role| permissions(&role))
        .collect()
}

fn permissions(role: &Value) -> Vec<String> {
    let namespace = role["metadata"]["namespace"].as_str().unwrap_or_default();
    let texts = |list: &Value| {
        list.as_array()
            .unwrap()
            .iter()
            .map(|text| text.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut permissions = Vec::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    let permission = permission(&verb, &resource, &group, namespace);
                    match rule.get("resourceNames").map(texts) {
                        Some(names) => {
                            permissions.extend(names.iter().map(|name| named(&permission, name)))
                        }
                        None => permissions.push(permission),
                    }
                }
            }
        }
    }
    permissions
}

fn permission(verb: &str, resource: &str, group: &str, namespace: &str) -> String {
    format!("{verb} {resource}.{group} in {namespace}")
}

fn named(permission: &str, name: &str) -> String {
    format!("{permission} named {name}")
}

/// The permission that a request needs, with the object's name if that one is listed; `None` if it
/// needs none.
fn used_with_name(listed: &BTreeSet<String>, entry: &Entry) -> Option<String> {
    let permission = used(entry)?;
    let name = entry.path.split('?').next()?.rsplit('/').next()?;
    let named = named(&permission, name);
    Some(if listed.contains(&named) { named } else { permission })
}

/// The permission that a request needs, if any.
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
    Some(permission(verb, &resource, &group, &namespace))
}

#[test]
fn roles_have_the_permissions_that_setup_uses() {
    let Some(env) = TestEnv::stand_in_bare(Options::default(), "only it has an OLM of each kind")
    else {
        return;
    };
    let authority = fs::read_to_string(env.sandbox.ca_file()).unwrap();
    let other = env.dir().join("other.crt");
    fs::write(&other, format!("{authority}{}", Authority::new().unwrap().pem())).unwrap();
    let token = env.sandbox.quay.admin_token();
    let fresh =
        ["setup", "--yes", "--user-role", "--node-trust", "apply", "--operator-approval", "manual"];
    env.oc_quay(&fresh)
        .env("OC_QUAY_URL", env.sandbox.quay.url())
        .env("OC_QUAY_TOKEN", token)
        .succeeds();
    // All objects exist now and must be changed.
    let again = ["setup", "--yes", "--node-trust", "apply", "--allow", "shop", "--quay-ca-file"];
    env.oc_quay(&again).args(&[other.to_str().unwrap()]).succeeds();
    let listed = listed("docs/setup.md", "oc-quay-setup");
    let used: BTreeSet<_> = env
        .cluster_traffic()
        .entries()
        .iter()
        .filter_map(|entry| used_with_name(&listed, entry))
        .collect();
    assert_eq!(listed, used);
}

#[test]
fn administrator_role_has_the_permissions_of_the_commands() {
    let Some(env) = TestEnv::stand_in("its roles are tried with its namespaces") else { return };
    let run = |command: &str| env.oc_quay(&command.split(' ').collect::<Vec<_>>()).succeeds();
    run("link -A --yes");
    run("status -A");
    env.merge(
        "Namespace",
        "",
        "shop",
        &json!({ "metadata": { "finalizers": ["quay.redhat.com/quayintegrations"] } }),
    );
    run("unlink -n shop --yes");
    run("link -n shop --yes");
    env.damage("shop");
    // A conflict makes the program read the service account again.
    let conflict = json!({ "kind": "Status", "status": "Failure", "message": "stale", "reason": "Conflict", "code": 409 });
    let conflict =
        Fault::on("PATCH", "serviceaccounts").status(409).body(&conflict.to_string()).times(1);
    env.cluster_traffic().fault(conflict);
    run("repair -n shop --yes");
    run("status -n shop");
    let used = env.cluster_traffic().entries();
    let used: BTreeSet<_> = used.iter().filter_map(used_anywhere).collect();
    assert_eq!(listed("docs/security.md", "oc-quay-admin"), used);
}

#[test]
fn builds_role_has_permissions_that_administrator_role_lacks() {
    let Some(env) = TestEnv::stand_in("its roles are tried with its namespaces") else { return };
    let run = |command: &str| env.oc_quay(&command.split(' ').collect::<Vec<_>>()).succeeds();
    env.trust_quay();
    run("link -n shop --yes");
    let digest = env.sandbox.quay.push_tag("openshift_shop", "web", "1").unwrap();
    let inside = format!("image-registry.openshift-image-registry.svc:5000/shop/web@{digest}");
    let item = json!({ "created": "2020-01-01T00:00:00Z", "image": digest, "dockerImageReference": inside, "generation": 1 });
    env.merge(
        "ImageStream",
        "shop",
        "web/status",
        &json!({ "status": { "tags": [{ "tag": "1", "items": [item] }] } }),
    );
    env.build_config(
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
        env.cluster_traffic().entries().iter().filter_map(used_anywhere).collect();
    let lacking: BTreeSet<_> =
        used.difference(&listed("docs/security.md", "oc-quay-admin")).cloned().collect();
    assert_eq!(listed("docs/security.md", "oc-quay-builds"), lacking);
}

/// The permission in all namespaces.
fn used_anywhere(entry: &Entry) -> Option<String> {
    let permission = used(entry)?;
    Some(
        permission
            .split_once(" in ")
            .map_or(permission.clone(), |(permission, _)| format!("{permission} in ")),
    )
}
