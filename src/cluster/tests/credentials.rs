use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sandbox::manifests;
use sandbox::traffic::Fault;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::Stage;
use crate::bridge::integration::{SecretKey, StoredToken};
use crate::cluster::Credentials;

const CA: &[u8] = b"-----BEGIN CERTIFICATE-----\n";

fn key() -> SecretKey {
    SecretKey { namespace: "openshift-operators".into(), name: "quay-integration".into(), key: "token".into() }
}

fn stored(stage: &Stage) -> Value {
    stage.openshift().get("Secret", "openshift-operators", "quay-integration").unwrap()
}

fn read(stage: &Stage, key: &SecretKey) -> Credentials {
    stage.run(stage.cluster("admin").credentials(key)).unwrap()
}

fn write(stage: &Stage, token: &str, ca: Option<&[u8]>, version: Option<&str>) -> Result<(), String> {
    let written = stage.run(stage.cluster("admin").write_credentials(&key(), &SecretString::from(token), ca, version));
    written.map_err(|error| error.to_string())
}

#[test]
fn the_token_is_read_from_the_key_that_is_named() {
    let stage = Stage::new();
    assert_eq!((read(&stage, &key()).stored, read(&stage, &key()).exists()), (StoredToken::SecretMissing, false));
    stage.openshift().create(manifests::credentials("T0KEN\n"));
    let found = read(&stage, &key());
    assert_eq!((found.stored, found.token.unwrap().expose_secret()), (StoredToken::Present, "T0KEN"));
    assert_eq!(found.resource_version.as_deref(), stored(&stage)["metadata"]["resourceVersion"].as_str());
    assert_eq!((found.ours, found.ca), (false, None));
    assert_eq!(read(&stage, &SecretKey { key: "other".into(), ..key() }).stored, StoredToken::KeyMissing);
}

#[test]
fn the_secret_says_how_old_it_is() {
    let stage = Stage::new();
    let mut secret = manifests::credentials("T0KEN");
    secret["metadata"]["creationTimestamp"] = json!("2026-01-02T03:04:05Z");
    let field = |time: &str| json!({ "manager": "x", "operation": "Update", "fieldsV1": { "f:data": {} }, "time": time });
    secret["metadata"]["managedFields"] = json!([field("2026-05-01T00:00:00Z"), field("2026-06-01T00:00:00Z"), {}]);
    stage.openshift().put(secret);
    let found = read(&stage, &key());
    assert_eq!(found.created.as_deref(), Some("2026-01-02T03:04:05Z"));
    assert_eq!(found.changed.as_deref(), Some("2026-06-01T00:00:00Z"));
}

#[test]
fn a_secret_is_created_with_our_label_and_kept_out_of_others() {
    let stage = Stage::new();
    write(&stage, "T0KEN", Some(CA), None).unwrap();
    assert_eq!(stage.requests(), ["create secrets"]);
    let secret = stored(&stage);
    assert_eq!((&secret["type"], &secret["data"]["ca.crt"]), (&json!("Opaque"), &json!(STANDARD.encode(CA))));
    let found = read(&stage, &key());
    assert!(found.ours && found.exists());
    assert_eq!((found.ca.as_deref(), found.token.unwrap().expose_secret()), (Some(CA), "T0KEN"));

    let error = write(&stage, "AN0THER", None, None).unwrap_err();
    assert!(error.contains("changed meanwhile") && !error.contains("AN0THER"), "{error}");
    assert_eq!(stored(&stage), secret);
}

#[test]
fn a_new_token_leaves_the_other_keys_alone() {
    let stage = Stage::new();
    let mut secret = manifests::credentials("OLD");
    secret["stringData"]["kept"] = json!("x");
    stage.openshift().create(secret);
    let version = read(&stage, &key()).resource_version;
    write(&stage, "NEW", None, version.as_deref()).unwrap();
    assert_eq!(stage.requests(), ["patch secrets"]);
    let now = stored(&stage);
    assert_eq!(now["data"], json!({ "token": STANDARD.encode("NEW"), "kept": STANDARD.encode("x") }));
    assert_eq!(now["metadata"]["labels"], Value::Null, "it is not ours");

    let error = write(&stage, "NEWER", None, version.as_deref()).unwrap_err();
    assert!(error.ends_with("changed meanwhile; run the command again to go on from what is there now"), "{error}");
    assert_eq!(stored(&stage), now);
}

#[test]
fn an_answer_that_is_lost_does_no_harm() {
    let stage = Stage::new();
    let traffic = stage.openshift().traffic();
    traffic.fault(Fault::on("POST", "/secrets").nth(1).drop_after());
    write(&stage, "T0KEN", Some(CA), None).unwrap();
    let version = read(&stage, &key()).resource_version;
    traffic.fault(Fault::on("PATCH", "/secrets").nth(1).drop_after());
    write(&stage, "NEW", None, version.as_deref()).unwrap();
    assert_eq!(read(&stage, &key()).token.unwrap().expose_secret(), "NEW");
}
