//! Initial objects of the cluster.

use anyhow::Result;
use sandbox::openshift::{self, olm};
use serde_json::{Value, json};

use crate::api::Api;
use crate::controllers::PROJECT_ADMIN;

const NAMESPACES: [&str; 4] =
    ["openshift", "openshift-config", "openshift-marketplace", "openshift-operators"];

/// Creates the objects that each reset restores.
pub(crate) async fn install(api: &Api) -> Result<()> {
    for name in NAMESPACES {
        api.create("/api/v1/namespaces", &json!({ "metadata": { "name": name } })).await?;
    }
    let config = "/apis/config.openshift.io/v1";
    for (kind, name, object) in [
        ("clusterversions", "version", cluster_version()),
        ("images", "cluster", image_configuration()),
        ("infrastructures", "cluster", openshift::infrastructure()),
    ] {
        api.delete(&format!("{config}/{kind}/{name}")).await?;
        api.create(&format!("{config}/{kind}"), &object).await?;
        // A create ignores the status of a kind with a status subresource.
        api.merge(
            &format!("{config}/{kind}/{name}/status"),
            &json!({ "status": object["status"] }),
        )
        .await?;
    }
    let [catalog, group] = olm::v0_fixtures();
    for (plural, object) in [
        ("v1alpha1/namespaces/openshift-marketplace/catalogsources", catalog),
        ("v1/namespaces/openshift-operators/operatorgroups", group),
    ] {
        api.create(&format!("/apis/operators.coreos.com/{plural}"), &object).await?;
    }
    let catalogs = "/apis/olm.operatorframework.io/v1/clustercatalogs";
    for catalog in olm::v1_fixtures() {
        api.delete(&format!(
            "{catalogs}/{}",
            catalog["metadata"]["name"].as_str().unwrap_or_default()
        ))
        .await?;
        api.create(catalogs, &catalog).await?;
    }
    Ok(())
}

/// Deletes roles and bindings that a test created.
pub(crate) async fn remove_foreign_roles(api: &Api) -> Result<()> {
    for plural in ["clusterrolebindings", "clusterroles"] {
        let path = format!("/apis/rbac.authorization.k8s.io/v1/{plural}");
        for object in api.list(&path).await? {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let is_built_in = object["metadata"]["labels"]["kubernetes.io/bootstrapping"]
                .is_string()
                || name.starts_with("system:");
            if !is_built_in && ![PROJECT_ADMIN, "basic-user", "basic-users"].contains(&name) {
                api.delete(&format!("{path}/{name}")).await?;
            }
        }
    }
    Ok(())
}

/// These are never changed by tests.
pub(crate) async fn install_roles(api: &Api) -> Result<()> {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let all = ["get", "list", "watch", "create", "update", "patch", "delete"];
    let read = ["get", "list", "watch"];
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({ "apiGroups": [group], "resources": resources, "verbs": verbs });
    let project_admin = json!({
        "metadata": { "name": PROJECT_ADMIN },
        "rules": [
            rule("", &["configmaps", "secrets", "serviceaccounts"], &all),
            rule("", &["events", "namespaces"], &read),
            rule("apps", &["deployments"], &all),
            rule("build.openshift.io", &["buildconfigs", "builds"], &all),
            rule("build.openshift.io", &["buildconfigs/instantiate"], &["create"]),
            rule("image.openshift.io", &["imagestreams"], &all),
            rule("image.openshift.io", &["imagestreamimports"], &["create"]),
            rule(
                "operators.coreos.com",
                &["catalogsources", "clusterserviceversions", "installplans", "operatorgroups", "subscriptions"],
                &read,
            ),
            rule("packages.operators.coreos.com", &["packagemanifests"], &read),
        ],
    });
    api.create(&format!("{rbac}/clusterroles"), &project_admin).await?;

    // On OpenShift every user can list projects and receives the visible ones (ClusterRole
    // `basic-user`).
    let basic_user = json!({
        "metadata": { "name": "basic-user" },
        "rules": [rule("project.openshift.io", &["projects"], &["list", "watch"])],
    });
    let basic_users = json!({
        "metadata": { "name": "basic-users" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "basic-user" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated" }],
    });
    api.create(&format!("{rbac}/clusterroles"), &basic_user).await?;
    api.create(&format!("{rbac}/clusterrolebindings"), &basic_users).await?;
    Ok(())
}

fn cluster_version() -> Value {
    let capabilities = [
        "Build",
        "DeploymentConfig",
        "ImageRegistry",
        "OperatorLifecycleManager",
        "OperatorLifecycleManagerV1",
        "marketplace",
    ];
    json!({
        "apiVersion": "config.openshift.io/v1",
        "kind": "ClusterVersion",
        "metadata": { "name": "version" },
        "spec": { "channel": "stable-4.21", "clusterID": "6d6d0c46-5b1f-4b4c-9a0e-3f5f1c1b7a21" },
        "status": {
            "desired": { "version": "4.21.0" },
            "history": [{ "state": "Completed", "version": "4.21.0" }],
            "capabilities": { "enabledCapabilities": capabilities, "knownCapabilities": capabilities },
        },
    })
}

fn image_configuration() -> Value {
    json!({
        "apiVersion": "config.openshift.io/v1",
        "kind": "Image",
        "metadata": { "name": "cluster" },
        "spec": {},
        "status": { "internalRegistryHostname": "image-registry.openshift-image-registry.svc:5000" },
    })
}
