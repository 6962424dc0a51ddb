use sandbox::quay::RepoRole;
use serde_json::json;

use super::*;
use crate::bridge::imports::{StreamImport, TagImport};
use crate::bridge::snapshot::ImportPolicy;

/// A stage with tags in `openshift_myproj/app`, which the one pull secret may read.
fn stage(tags: &[&str]) -> (Stage, Vec<String>) {
    let stage = Stage::new();
    let quay = &stage.sandbox.quay;
    quay.add_organization("openshift_myproj", "quayadmin");
    quay.add_repository("openshift_myproj", "app", "quayadmin");
    let token = quay.add_robot("openshift_myproj", "default", "").unwrap();
    quay.set_permission("openshift_myproj", "app", "openshift_myproj+default", Some(RepoRole::Read));
    let config = json!({ "auths": { quay.host(): { "username": "openshift_myproj+default", "password": token } } });
    stage.openshift().create(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "pull", "namespace": "myproj" },
        "type": "kubernetes.io/dockerconfigjson", "stringData": { ".dockerconfigjson": config.to_string() },
    }));
    let digests = tags.iter().map(|tag| quay.push_tag("openshift_myproj", "app", tag).unwrap()).collect();
    (stage, digests)
}

fn import(stage: &Stage, tags: &[&str]) -> StreamImport {
    let from = |tag: &str| format!("{}/openshift_myproj/app:{tag}", stage.sandbox.quay.host());
    let policy = ImportPolicy { scheduled: true, keeps_lists: true };
    StreamImport {
        namespace: "myproj".into(),
        stream: "app".into(),
        tags: tags.iter().map(|tag| TagImport { tag: (*tag).into(), from: from(tag), policy }).collect(),
        insecure: true,
    }
}

#[test]
fn all_tags_of_a_stream_are_one_request_and_each_has_its_result() {
    let (stage, digests) = stage(&["1", "2"]);
    let cluster = stage.cluster("dev");
    let imported = stage.run(cluster.import_stream(&import(&stage, &["1", "absent", "2"]))).unwrap();
    assert_eq!(stage.requests(), ["create imagestreamimports"]);
    let [first, absent, second] = imported.as_slice() else { panic!("{imported:?}") };
    assert_eq!(first, &Ok(digests[0].clone()));
    assert_eq!(second, &Ok(digests[1].clone()));
    let failure = absent.as_ref().unwrap_err();
    assert_eq!(failure.code, 404);
    assert!(failure.to_string().ends_with("not found (Quay has no such image)"), "{failure}");

    let stream = stage.openshift().get("ImageStream", "myproj", "app").unwrap();
    let tag = &stream["spec"]["tags"][0];
    assert_eq!(tag["importPolicy"], json!({ "importMode": "PreserveOriginal", "insecure": true, "scheduled": true }));
    assert_eq!(tag["referencePolicy"], json!({ "type": "Source" }));
}

#[test]
fn a_request_that_fails_as_a_whole_imports_nothing_and_says_so() {
    let (stage, _) = stage(&["1"]);
    stage.openshift().deny("dev", "create", "image.openshift.io", "imagestreamimports");
    let cluster = stage.cluster("dev");
    let error = stage.run(cluster.import_stream(&import(&stage, &["1"]))).unwrap_err();
    assert_eq!(error.status(), Some(403));
    assert!(error.to_string().starts_with("could not import into image stream app in namespace myproj: "), "{error}");
    assert_eq!(stage.openshift().list("ImageStream", "myproj").len(), 0);
}
