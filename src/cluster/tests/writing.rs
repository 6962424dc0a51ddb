use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sandbox::manifests;
use sandbox::openshift::OpenShift;
use sandbox::traffic::Fault;
use serde_json::{Value, json};

use super::Stage;
use crate::cluster::{Cluster, ClusterError};
use crate::domain::change::ScopeEdit;
use crate::domain::dockerconfig::{AuthEntry, RegistryScope};
use crate::domain::snapshot::{RegistryCredentials, Secret};

const OLD: &str = r#"{"auths":{"q":{"auth":"YTpvbGQ="}}}"#;
const NEW: &str = r#"{"auths":{"q":{"auth":"YTpuZXc="}}}"#;

async fn create(cluster: &Cluster) -> Result<Secret, ClusterError> {
    cluster.create_secret("myproj", "s", &entry(&credentials("new"))).await
}

fn credentials(password: &str) -> RegistryCredentials {
    RegistryCredentials { username: "a".into(), password: password.into() }
}

fn entry(credentials: &RegistryCredentials) -> AuthEntry<'_> {
    AuthEntry { place: RegistryScope { host: "q", organization: "o" }, credentials }
}

fn secret(kind: &str, text: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": { "name": "s", "namespace": "myproj" },
        "stringData": { ".dockerconfigjson": text, "kept": "x" },
    })
}

fn stored(stage: &Stage) -> Value {
    stage.openshift().get("Secret", "myproj", "s").unwrap()
}

fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap()
}

#[test]
fn creates_a_secret_with_our_label_where_there_is_none() {
    let stage = Stage::new();
    let cluster = stage.cluster("dev");
    stage.run(create(&cluster)).unwrap();
    let first = stored(&stage);
    assert_eq!(first["type"], "kubernetes.io/dockerconfigjson");
    assert_eq!(first["metadata"]["labels"], json!({ "app.kubernetes.io/managed-by": "oc-quay" }));
    assert_eq!(first["data"], json!({ ".dockerconfigjson": STANDARD.encode(NEW) }));
    let error =
        stage.run(cluster.create_secret("myproj", "s", &entry(&credentials("older")))).unwrap_err();
    assert!(error.is_conflict(), "{error}");
    assert_eq!(stored(&stage), first, "the stored secret may be newer");
    assert_eq!(stage.requests(), ["create secrets", "create secrets"]);
}

#[test]
fn update_does_not_overwrite_concurrent_changes() {
    let stage = Stage::new();
    stage.openshift().create(secret("kubernetes.io/dockerconfigjson", OLD));
    let cluster = stage.cluster("dev");
    let stale = version(&stored(&stage)).to_owned();
    stage.run(cluster.update_secret("myproj", "s", &entry(&credentials("new")), &stale)).unwrap();
    let data = json!({ ".dockerconfigjson": STANDARD.encode(NEW), "kept": STANDARD.encode("x") });
    assert_eq!(stored(&stage)["data"], data);
    assert_eq!(stage.requests(), ["get secrets", "patch secrets"]);

    let done = stored(&stage);
    stage.run(cluster.update_secret("myproj", "s", &entry(&credentials("new")), &stale)).unwrap();
    assert_eq!(stored(&stage), done, "is not written again");

    let error = stage
        .run(cluster.update_secret("myproj", "s", &entry(&credentials("old")), &stale))
        .unwrap_err();
    assert_eq!(error.status(), Some(409));
    assert_eq!(stored(&stage), done, "newer content of others");

    stage.openshift().delete("Secret", "myproj", "s");
    let error = stage
        .run(cluster.update_secret("myproj", "s", &entry(&credentials("new")), &stale))
        .unwrap_err();
    assert_eq!(error.status(), Some(404));
}

#[test]
fn replaces_a_secret_of_the_wrong_type_only_if_unchanged() {
    let stage = Stage::new();
    stage.openshift().create(secret("Opaque", OLD));
    let cluster = stage.cluster("dev");
    let error = stage
        .run(cluster.replace_secret("myproj", "s", &entry(&credentials("new")), "1"))
        .unwrap_err();
    assert!(error.is_conflict(), "{error}");
    assert_eq!(stored(&stage)["type"], "Opaque");
    assert_eq!(stage.openshift().get("Secret", "myproj", "s-spare"), None);

    let seen = version(&stored(&stage)).to_owned();
    stage.run(cluster.replace_secret("myproj", "s", &entry(&credentials("new")), &seen)).unwrap();
    let replaced = stored(&stage);
    assert_eq!(replaced["type"], "kubernetes.io/dockerconfigjson");
    stage.run(cluster.replace_secret("myproj", "s", &entry(&credentials("new")), &seen)).unwrap();
    assert_eq!(stored(&stage), replaced, "is not replaced again");
}

#[test]
fn replacement_keeps_foreign_secret() {
    let stage = Stage::new();
    stage.openshift().create(secret("Opaque", OLD));
    let mut theirs = secret("Opaque", OLD);
    theirs["metadata"]["name"] = json!("s-spare");
    stage.openshift().create(theirs);
    let cluster = stage.cluster("dev");
    let before = stored(&stage);
    let error = stage
        .run(cluster.replace_secret("myproj", "s", &entry(&credentials("new")), version(&before)))
        .unwrap_err();
    assert!(error.to_string().contains("s-spare"), "{error}");
    assert_eq!(stored(&stage), before);
    assert!(stage.openshift().get("Secret", "myproj", "s-spare").is_some());
}

#[test]
fn deletes_a_secret_only_as_it_was_read() {
    let stage = Stage::new();
    stage.openshift().create(secret("kubernetes.io/dockerconfigjson", OLD));
    let cluster = stage.cluster("dev");
    let delete = |seen: &Value| {
        let uid = seen["metadata"]["uid"].as_str().unwrap();
        stage.run(cluster.delete_secret("myproj", "s", uid, version(seen)))
    };
    let seen = stored(&stage);
    Stage::modify(stage.openshift(), "Secret", "myproj", "s", |secret| {
        secret["data"]["theirs"] = json!("eA==")
    });
    let error = delete(&seen).unwrap_err();
    assert!(
        error.is_conflict() && error.to_string().contains("the object was modified"),
        "{error}"
    );
    let mut another = stored(&stage);
    another["metadata"]["uid"] = json!("another");
    assert!(delete(&another).unwrap_err().is_conflict());
    let seen = stored(&stage);
    delete(&seen).unwrap();
    assert_eq!(stage.openshift().get("Secret", "myproj", "s"), None);
    delete(&seen).unwrap();
}

#[test]
fn replacement_loses_nothing_to_another_writer() {
    const BEFORE: &str = r#"{"auths":{"first.example.com":{"auth":"YTpi"}}}"#;
    const LATER: &str = r#"{"auths":{"later.example.com":{"auth":"YTpi"}}}"#;
    let writers: [fn(&OpenShift); 3] = [
        |openshift| match openshift.get("Secret", "myproj", "s") {
            Some(_) => Stage::modify(openshift, "Secret", "myproj", "s", |secret| {
                secret["data"]["later.example.com"] = json!("eA==");
            }),
            None => drop(openshift.create(secret("kubernetes.io/dockerconfigjson", LATER))),
        },
        |openshift| recreate(openshift, "Opaque", LATER),
        |openshift| recreate(openshift, "kubernetes.io/dockerconfigjson", LATER),
    ];
    for (method, nth) in [("POST", 1), ("DELETE", 1), ("POST", 2), ("DELETE", 2)] {
        for (number, writer) in writers.into_iter().enumerate() {
            let stage = Stage::new();
            stage.openshift().create(secret("Opaque", BEFORE));
            let cluster = stage.cluster("dev");
            let seen = version(&stored(&stage)).to_owned();
            let openshift = stage.openshift().clone();
            stage
                .openshift()
                .traffic()
                .fault(Fault::on(method, "/secrets").nth(nth).before(move || writer(&openshift)));
            let _ = stage.run(cluster.replace_secret(
                "myproj",
                "s",
                &entry(&credentials("new")),
                &seen,
            ));
            let content_of: String = ["s", "s-spare"]
                .iter()
                .filter_map(|name| content_of(stage.openshift(), name))
                .collect();
            assert!(
                content_of.contains("later.example.com"),
                "{method} {nth}, writer {number}: {content_of}"
            );
            // Deleting the replaced secret deletes its content.
            let is_deleted_by_others = (method, nth) == ("DELETE", 2) && number > 0;
            assert!(
                content_of.contains("first.example.com") || is_deleted_by_others,
                "{method} {nth}, writer {number}: {content_of}"
            );
        }
    }
}

/// Deletes and recreates the secret.
fn recreate(openshift: &OpenShift, kind: &str, text: &str) {
    if openshift.get("Secret", "myproj", "s").is_some() {
        openshift.delete("Secret", "myproj", "s");
    }
    openshift.create(secret(kind, text));
}

/// Keys and docker configuration of a secret.
fn content_of(openshift: &OpenShift, name: &str) -> Option<String> {
    let secret = openshift.get("Secret", "myproj", name)?;
    let content = STANDARD.decode(secret["data"][".dockerconfigjson"].as_str().unwrap()).unwrap();
    Some(format!(
        "{:?} {}",
        secret["data"].as_object().unwrap().keys(),
        String::from_utf8(content).unwrap()
    ))
}

#[test]
fn reuses_the_copy_of_an_interrupted_replacement() {
    let stage = Stage::new();
    stage.openshift().create(secret("Opaque", OLD));
    let cluster = stage.cluster("dev");
    let seen = version(&stored(&stage)).to_owned();
    // The response to the deletion is lost.
    stage.openshift().traffic().fault(Fault::on("DELETE", "/secrets").drop_before());
    stage
        .run(cluster.replace_secret("myproj", "s", &entry(&credentials("new")), &seen))
        .unwrap_err();
    stage.openshift().traffic().clear_faults();
    let copy = stage.openshift().get("Secret", "myproj", "s-spare").unwrap();
    stage.openshift().traffic().fault(Fault::on("POST", "/secrets").drop_before());
    stage
        .run(cluster.replace_secret("myproj", "s", &entry(&credentials("newer")), &seen))
        .unwrap_err();
    assert_eq!(stage.openshift().get("Secret", "myproj", "s-spare"), Some(copy));
    stage.openshift().traffic().clear_faults();
    stage.run(cluster.replace_secret("myproj", "s", &entry(&credentials("newer")), &seen)).unwrap();
    assert_eq!(stage.openshift().get("Secret", "myproj", "s-spare"), None);
    let content = content_of(stage.openshift(), "s").unwrap();
    assert!(content.contains(&STANDARD.encode("a:newer")), "{content}");
}

#[test]
fn keeps_all_of_a_replaced_secret_wherever_it_is_interrupted() {
    const OTHERS: &str =
        r#"{"auths":{"quay.io":{},"q":{"auth":"YTpvbGQ="},"r":{"auth":"YTpi","email":"e"}}}"#;
    for (method, nth) in [("POST", 1), ("DELETE", 1), ("POST", 2), ("DELETE", 2)] {
        let stage = Stage::new();
        let mut old = secret("Opaque", OTHERS);
        old["metadata"]["annotations"] = json!({ "team": "web" });
        stage.openshift().create(old);
        let cluster = stage.cluster("dev");
        let seen = version(&stored(&stage)).to_owned();
        let rejection = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":422,"message":"Not today"}"#;
        stage
            .openshift()
            .traffic()
            .fault(Fault::on(method, "/secrets").nth(nth).status(422).body(rejection));
        stage
            .run(cluster.replace_secret("myproj", "s", &entry(&credentials("new")), &seen))
            .unwrap_err();
        stage.openshift().traffic().clear_faults();
        stage
            .run(cluster.replace_secret("myproj", "s", &entry(&credentials("new")), &seen))
            .unwrap();
        let replaced = stored(&stage);
        assert_eq!(replaced["type"], "kubernetes.io/dockerconfigjson");
        assert_eq!(replaced["metadata"]["annotations"], json!({ "team": "web" }), "{method} {nth}");
        let kept =
            r#"{"auths":{"quay.io":{},"q":{"auth":"YTpuZXc="},"r":{"auth":"YTpi","email":"e"}}}"#;
        assert_eq!(
            replaced["data"],
            json!({ ".dockerconfigjson": STANDARD.encode(kept), "kept": STANDARD.encode("x") })
        );
        // After the last step, the next run removes the copy.
        let is_left = stage.openshift().get("Secret", "myproj", "s-spare").is_some();
        assert_eq!(is_left, (method, nth) == ("DELETE", 2), "{method} {nth}");
    }
}

#[test]
fn notes_no_import_on_a_build_made_again() {
    let stage = Stage::new();
    stage.openshift().create(json!({
        "apiVersion": "build.openshift.io/v1", "kind": "Build", "metadata": { "name": "app-1", "namespace": "myproj" },
        "spec": { "source": { "dockerfile": "FROM app" }, "strategy": { "type": "Docker", "dockerStrategy": {} }, "output": {} },
    }));
    let cluster = stage.cluster("admin");
    stage.eventually(|openshift| {
        openshift.get("Build", "myproj", "app-1").unwrap()["status"]["phase"] == "Complete"
    });
    let build = || stage.openshift().get("Build", "myproj", "app-1").unwrap();
    let before = build();
    stage.run(cluster.annotate_imported("myproj", "app-1", "an-earlier-one")).unwrap_err();
    assert_eq!(build(), before);
    let uid = before["metadata"]["uid"].as_str().unwrap();
    assert!(
        stage.run(cluster.annotate_imported("myproj", "app-1", uid)).unwrap().unwrap().imported
    );
}

#[test]
fn edits_namespace_lists_concurrently() {
    let stage = Stage::new();
    let mut resource = manifests::quay_integration("https://q");
    resource["spec"]["denylistNamespaces"] = json!(["myproj", "kept"]);
    resource["spec"]["allowlistNamespaces"] = json!(["other"]);
    resource["spec"]["organizationPrefix"] = json!("unused");
    stage.openshift().create(resource);
    let cluster = stage.cluster("admin");
    let openshift = stage.openshift().clone();
    stage.openshift().traffic().fault(Fault::on("PATCH", "quayintegrations").nth(1).before(
        move || {
            Stage::modify(&openshift, "QuayIntegration", "", "quay", |resource| {
                resource["spec"]["denylistNamespaces"] = json!(["myproj", "kept", "theirs"]);
            });
        },
    ));
    let edit = ScopeEdit {
        remove_deny: vec!["myproj".into()],
        allow: vec!["myproj".into()],
        ..ScopeEdit::default()
    };
    assert_eq!(stage.run(cluster.edit_scope(&edit)).unwrap(), edit);
    let spec = stage.openshift().get("QuayIntegration", "", "quay").unwrap()["spec"].clone();
    assert_eq!(spec["denylistNamespaces"], json!(["kept", "theirs"]));
    assert_eq!(spec["allowlistNamespaces"], json!(["other", "myproj"]));
    assert_eq!(
        (&spec["clusterID"], &spec["organizationPrefix"]),
        (&json!("openshift"), &json!("unused"))
    );

    stage.openshift().traffic().clear();
    stage.run(cluster.edit_scope(&edit)).unwrap();
    assert_eq!(stage.requests(), ["list quayintegrations"]);
}

#[test]
fn denies_after_concurrent_allowlist_change() {
    let stage = Stage::new();
    let mut resource = manifests::quay_integration("https://q");
    resource["spec"]["allowlistNamespaces"] = json!(["shop", "billing"]);
    stage.openshift().create(resource);
    let cluster = stage.cluster("admin");
    let openshift = stage.openshift().clone();
    stage.openshift().traffic().fault(Fault::on("PATCH", "quayintegrations").nth(1).before(
        move || {
            Stage::modify(&openshift, "QuayIntegration", "", "quay", |resource| {
                resource["spec"]["allowlistNamespaces"] = json!(["shop"]);
            });
        },
    ));
    let edit = ScopeEdit { disallow: vec!["shop".into()], ..ScopeEdit::default() };
    let made = stage.run(cluster.edit_scope(&edit)).unwrap();
    assert_eq!(made, ScopeEdit { deny: vec!["shop".into()], ..ScopeEdit::default() });
    let spec = stage.openshift().get("QuayIntegration", "", "quay").unwrap()["spec"].clone();
    assert_eq!(
        (&spec["allowlistNamespaces"], &spec["denylistNamespaces"]),
        (&json!(["shop"]), &json!(["shop"]))
    );
}

#[test]
fn removes_only_operator_finalizer() {
    let stage = Stage::new();
    let finalizers = |list: Value| {
        Stage::modify(stage.openshift(), "Namespace", "", "myproj", |namespace| {
            namespace["metadata"]["finalizers"] = list
        });
    };
    finalizers(json!(["quay.redhat.com/quayintegrations"]));
    let cluster = stage.cluster("admin");
    let openshift = stage.openshift().clone();
    stage.openshift().traffic().fault(Fault::on("PATCH", "/namespaces/myproj").nth(1).before(
        move || {
            Stage::modify(&openshift, "Namespace", "", "myproj", |namespace| {
                namespace["metadata"]["finalizers"] =
                    json!(["a/first", "quay.redhat.com/quayintegrations", "z/last"]);
            });
        },
    ));
    stage.run(cluster.remove_operator_finalizer("myproj")).unwrap();
    let left =
        stage.openshift().get("Namespace", "", "myproj").unwrap()["metadata"]["finalizers"].clone();
    assert_eq!(left, json!(["a/first", "z/last"]));

    stage.openshift().traffic().clear();
    stage.run(cluster.remove_operator_finalizer("myproj")).unwrap();
    assert_eq!(stage.requests(), ["get namespaces"]);
    stage.run(cluster.remove_operator_finalizer("nowhere")).unwrap();
}
