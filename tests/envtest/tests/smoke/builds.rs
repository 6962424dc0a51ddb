//! Builds and imports.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sandbox::quay::{Quay, RepoRole};
use serde_json::json;

use super::{Caller, JSON, STRATEGIC_MERGE_PATCH};

const BUILDS: &str = "/apis/build.openshift.io/v1/namespaces/fresh/builds";
const CONFIGS: &str = "/apis/build.openshift.io/v1/namespaces/fresh/buildconfigs";
const STREAMS: &str = "/apis/image.openshift.io/v1/namespaces/fresh/imagestreams";
const IMPORTS: &str = "/apis/image.openshift.io/v1/namespaces/fresh/imagestreamimports";
const ORGANIZATION: &str = "openshift_fresh";

pub(crate) fn pushes_and_imports_build(quay: &Quay, caller: &Caller) {
    link(quay, caller);
    let image = format!("{}/{ORGANIZATION}/app:latest", quay.host());
    let config = json!({"apiVersion": "build.openshift.io/v1", "kind": "BuildConfig", "metadata": {"name": "app"}, "spec": {
        "source": {"dockerfile": "FROM scratch"}, "strategy": {"dockerStrategy": {}},
        "output": {"to": {"kind": "DockerImage", "name": image}},
    }});
    assert_eq!(caller.send("admin", "POST", CONFIGS, JSON, &config).0, 201);
    let request = json!({"kind": "BuildRequest", "apiVersion": "build.openshift.io/v1", "metadata": {"name": "app"}});
    let start = |user: &str| {
        caller.send(user, "POST", &format!("{CONFIGS}/app/instantiate"), JSON, &request)
    };
    assert_eq!(start("guest").0, 403);
    let (status, build) = start("admin");
    assert_eq!((status, &build["metadata"]["name"]), (201, &json!("app-1")));
    let build = caller.wait_for("the build to be complete", || {
        caller
            .get(&format!("{BUILDS}/app-1"))
            .filter(|build| build["status"]["phase"] == "Complete")
    });

    let mut moved = build.clone();
    moved["spec"]["output"]["to"]["name"] = json!("quay.example.com/elsewhere/app:latest");
    let (status, rejected) = caller.send("admin", "PUT", &format!("{BUILDS}/app-1"), JSON, &moved);
    assert_eq!(status, 422);
    assert!(rejected["message"].as_str().unwrap().contains("spec is immutable"), "{rejected}");

    let import = json!({"apiVersion": "image.openshift.io/v1", "kind": "ImageStreamImport", "metadata": {"name": "app"}, "spec": {
        "import": true,
        "images": [{
            "from": {"kind": "DockerImage", "name": image}, "to": {"name": "latest"}, "importPolicy": {"insecure": true},
        }],
    }});
    assert_eq!(caller.send("guest", "POST", IMPORTS, JSON, &import).0, 403);
    let (status, imported) = caller.send("admin", "POST", IMPORTS, JSON, &import);
    assert_eq!(
        (status, &imported["status"]["images"][0]["status"]["status"]),
        (201, &json!("Success"))
    );
    let stream = caller.get(&format!("{STREAMS}/app")).unwrap();
    assert_eq!(
        stream["status"]["tags"][0]["items"][0]["image"],
        build["status"]["output"]["to"]["imageDigest"]
    );
    assert_eq!(stream["spec"]["tags"][0]["from"]["name"], image);
    assert_eq!(
        caller.send("admin", "GET", IMPORTS, JSON, &serde_json::Value::Null).0,
        405,
        "an import is never stored"
    );
}

/// Creates the organization and links the namespace's `builder`.
fn link(quay: &Quay, caller: &Caller) {
    quay.add_organization(ORGANIZATION, "quayadmin");
    let token = quay.add_robot(ORGANIZATION, "builder", "").unwrap();
    quay.add_repository(ORGANIZATION, "app", "quayadmin");
    quay.set_permission(
        ORGANIZATION,
        "app",
        &format!("{ORGANIZATION}+builder"),
        Some(RepoRole::Write),
    );
    let auth = STANDARD.encode(format!("{ORGANIZATION}+builder:{token}"));
    let secret = json!({
        "metadata": {"name": "builder-quay-openshift"}, "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json!({"auths": {quay.host(): {"auth": auth}}}).to_string()},
    });
    assert_eq!(
        caller.send("admin", "POST", "/api/v1/namespaces/fresh/secrets", JSON, &secret).0,
        201
    );
    let link = json!({"secrets": [{"name": "builder-quay-openshift"}]});
    let builder = "/api/v1/namespaces/fresh/serviceaccounts/builder";
    assert_eq!(caller.send("admin", "PATCH", builder, STRATEGIC_MERGE_PATCH, &link).0, 200);
}
