//! The whole way of a build: from `oc start-build` to a tag in the image stream that points at Quay.

use serde_json::json;

use crate::support::World;

#[test]
fn a_build_config_that_names_quay_and_the_builders_secret_needs_no_webhook() {
    let world = World::new();
    world.oc_quay(&["link", "shop", "--yes"]).succeeds();
    let image = format!("{}/openshift_shop/app:latest", world.sandbox.quay.host());
    let output = json!({ "to": { "kind": "DockerImage", "name": image }, "pushSecret": { "name": "builder-quay-openshift" } });
    world.build_config("shop", "app", &output);
    let name = world.start_build("shop", "app");
    let build = world.wait_for_build("shop", &name, "Complete");
    assert_eq!(build["status"]["output"]["to"]["imageDigest"], json!(world.quay_digest("openshift_shop", "app", "latest")));
    assert_eq!(world.newest_item("shop", "app", "latest"), None, "nobody has imported it");
}
