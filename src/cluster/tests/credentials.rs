use sandbox::manifests;
use sandbox::traffic::Fault;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::Stage;
use crate::cluster::Credentials;
use crate::domain::integration::SecretKey;

const CA: &[u8] = b"-----BEGIN CERTIFICATE-----\n";

fn key() -> SecretKey {
    SecretKey {
        namespace: "openshift-operators".into(),
        name: "quay-integration".into(),
        key: "token".into(),
    }
}

fn read(stage: &Stage, key: &SecretKey) -> Credentials {
    stage.run(stage.cluster("admin").credentials(key)).unwrap()
}

fn write(
    stage: &Stage,
    token: &str,
    ca: Option<&[u8]>,
    version: Option<&str>,
) -> Result<(), String> {
    let written = stage.run(stage.cluster("admin").write_credentials(
        &key(),
        &SecretString::from(token),
        ca,
        version,
    ));
    written.map_err(|error| error.to_string())
}

#[test]
fn reads_age_from_managed_fields() {
    let stage = Stage::new();
    let mut secret = manifests::credentials("T0KEN");
    secret["metadata"]["creationTimestamp"] = json!("2026-01-02T03:04:05Z");
    let field = |time: &str| json!({ "manager": "x", "operation": "Update", "fieldsV1": { "f:data": {} }, "time": time });
    secret["metadata"]["managedFields"] =
        json!([field("2026-05-01T00:00:00Z"), field("2026-06-01T00:00:00Z"), {}]);
    stage.openshift().put(secret);
    let found = read(&stage, &key());
    assert_eq!(found.created.as_deref(), Some("2026-01-02T03:04:05Z"));
    assert_eq!(found.changed.as_deref(), Some("2026-06-01T00:00:00Z"));
}

#[test]
fn write_survives_lost_response() {
    let stage = Stage::new();
    let traffic = stage.openshift().traffic();
    traffic.fault(Fault::on("POST", "/secrets").nth(1).drop_after());
    write(&stage, "T0KEN", Some(CA), None).unwrap();
    let version = read(&stage, &key()).resource_version;
    traffic.fault(Fault::on("PATCH", "/secrets").nth(1).drop_after());
    write(&stage, "NEW", None, version.as_deref()).unwrap();
    assert_eq!(read(&stage, &key()).token.unwrap().expose_secret(), "NEW");
}
