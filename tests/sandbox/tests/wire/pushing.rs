//! Pushing an image: its blobs, then the manifest that names them.

use axum::http::StatusCode;
use sandbox::quay::RepoRole;
use serde_json::{Value, json};

use super::env::{Answer, TestEnv};

const UPLOADS: &str = "/v2/reg/app/blobs/uploads/";
const LATEST: &str = "/v2/reg/app/manifests/latest";

/// A repository `reg/app` and a token that may push to it.
fn env() -> (TestEnv, String) {
    let env = TestEnv::new();
    env.quay.add_organization("reg", "admin");
    env.quay.add_robot("reg", "writer", "").unwrap();
    env.quay.add_repository("reg", "app", "admin");
    env.quay.set_permission("reg", "app", "reg+writer", Some(RepoRole::Write));
    let token = env.registry_token("reg+writer", "reg/app");
    (env, token)
}

/// The path of a new upload.
fn upload(env: &TestEnv, token: &str) -> String {
    let location = env.ask(token, "POST", UPLOADS, &json!(null)).headers["location"].clone();
    format!("/v2/{}", location.split_once("/v2/").unwrap().1)
}

/// Pushes a blob at once.
fn push_blob(env: &TestEnv, token: &str, blob: &Value, digest: &str) -> Answer {
    env.ask(token, "PUT", &format!("{}?digest={digest}", upload(env, token)), blob)
}

/// The digest of the text `1`, and of the text `12`.
const ONE: &str = "sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
const TWELVE: &str = "sha256:6b51d431df5d7f141cbececcf79edf3dd861c3b4069f0b11661a3eefacbba918";

fn manifest(layer: &str) -> Value {
    json!({"schemaVersion": 2, "config": {"digest": ONE, "size": 1}, "layers": [{"digest": layer, "size": 2}]})
}

#[test]
fn blob_is_uploaded_in_one_or_several_pieces() {
    let (env, token) = env();
    let pushed = push_blob(&env, &token, &json!(1), ONE);
    assert_eq!(
        (pushed.status, &*pushed.headers["docker-content-digest"]),
        (StatusCode::CREATED, ONE)
    );

    let path = upload(&env, &token);
    let started = env.ask(&token, "PATCH", &path, &json!(1));
    assert_eq!((started.status, &*started.headers["range"]), (StatusCode::ACCEPTED, "bytes=0-0"));
    assert_eq!(
        env.ask(&token, "PUT", &format!("{path}?digest={TWELVE}"), &json!(2)).status,
        StatusCode::CREATED
    );
    let blob = env.ask(&token, "GET", &format!("/v2/reg/app/blobs/{TWELVE}"), &json!(null));
    assert_eq!((blob.status, blob.body.as_str()), (StatusCode::OK, "12"));
}

#[test]
fn blob_must_match_its_digest() {
    let (env, token) = env();
    let rejected = push_blob(&env, &token, &json!(2), ONE);
    assert_eq!(
        (rejected.status, &rejected.json()["errors"][0]["code"]),
        (StatusCode::BAD_REQUEST, &json!("BLOB_UPLOAD_INVALID"))
    );
    let unknown = env.ask(&token, "PUT", &format!("{UPLOADS}f554422e?digest={ONE}"), &json!(1));
    assert_eq!(
        (unknown.status, &unknown.json()["errors"][0]["code"]),
        (StatusCode::NOT_FOUND, &json!("BLOB_UPLOAD_UNKNOWN"))
    );
    let blob = env.ask(&token, "HEAD", &format!("/v2/reg/app/blobs/{ONE}"), &json!(null));
    assert_eq!(blob.status, StatusCode::NOT_FOUND);
}

#[test]
fn tag_exists_with_its_manifest_and_moves_to_the_next() {
    let (env, token) = env();
    push_blob(&env, &token, &json!(1), ONE);
    assert_eq!(
        env.ask(&token, "PUT", LATEST, &manifest(TWELVE)).status,
        StatusCode::BAD_REQUEST,
        "a layer is missing"
    );
    push_blob(&env, &token, &json!(12), TWELVE);
    let mut digests = Vec::new();
    for layer in [TWELVE, ONE] {
        let pushed = env.ask(&token, "PUT", LATEST, &manifest(layer));
        assert_eq!((pushed.status, pushed.body.as_str()), (StatusCode::CREATED, "OK"));
        let digest = pushed.headers["docker-content-digest"].clone();
        assert_eq!(pushed.headers["location"], format!("/v2/reg/app/manifests/{digest}"));
        assert_eq!(env.ask(&token, "GET", LATEST, &json!(null)).json(), manifest(layer));
        let tags = env
            .ask(&env.token_of("admin"), "GET", "/api/v1/repository/reg/app/tag/", &json!(null))
            .json();
        assert_eq!(
            (&tags["tags"][0]["manifest_digest"], &tags["tags"][1]),
            (&json!(digest), &Value::Null)
        );
        digests.push(digest);
    }
    assert_ne!(digests[0], digests[1]);
}

#[test]
fn push_needs_permission_and_a_writable_registry() {
    let (env, token) = env();
    env.quay.set_permission("reg", "app", "reg+writer", Some(RepoRole::Read));
    let reader = env.registry_token("reg+writer", "reg/app");
    assert_eq!(env.ask(&reader, "POST", UPLOADS, &json!(null)).status, StatusCode::UNAUTHORIZED);
    // A token keeps for its whole life what it was given (wire/499).
    assert_eq!(env.ask(&token, "POST", UPLOADS, &json!(null)).status, StatusCode::ACCEPTED);
    env.quay.set_flags(|flags| flags.readonly = true);
    assert_eq!(
        env.ask(&token, "POST", UPLOADS, &json!(null)).status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}
