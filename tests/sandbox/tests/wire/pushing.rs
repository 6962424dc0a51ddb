//! Pushing an image: its blobs, then the manifest that names them.

use axum::http::StatusCode;
use sandbox::quay::RepoRole;
use serde_json::{Value, json};

use super::env::{Answer, World};

const UPLOADS: &str = "/v2/reg/app/blobs/uploads/";
const LATEST: &str = "/v2/reg/app/manifests/latest";

/// A repository `reg/app` and a token that may push to it.
fn world() -> (World, String) {
    let world = World::new();
    world.quay.add_organization("reg", "admin");
    world.quay.add_robot("reg", "writer", "").unwrap();
    world.quay.add_repository("reg", "app", "admin");
    world.quay.set_permission("reg", "app", "reg+writer", Some(RepoRole::Write));
    let token = world.registry_token("reg+writer", "reg/app");
    (world, token)
}

/// The path of a new upload.
fn upload(world: &World, token: &str) -> String {
    let location = world.ask(token, "POST", UPLOADS, &json!(null)).headers["location"].clone();
    format!("/v2/{}", location.split_once("/v2/").unwrap().1)
}

/// Pushes a blob at once.
fn push_blob(world: &World, token: &str, blob: &Value, digest: &str) -> Answer {
    world.ask(token, "PUT", &format!("{}?digest={digest}", upload(world, token)), blob)
}

/// The digest of the text `1`, and of the text `12`.
const ONE: &str = "sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b";
const TWELVE: &str = "sha256:6b51d431df5d7f141cbececcf79edf3dd861c3b4069f0b11661a3eefacbba918";

fn manifest(layer: &str) -> Value {
    json!({"schemaVersion": 2, "config": {"digest": ONE, "size": 1}, "layers": [{"digest": layer, "size": 2}]})
}

#[test]
fn a_blob_comes_in_one_piece_or_in_several() {
    let (world, token) = world();
    let pushed = push_blob(&world, &token, &json!(1), ONE);
    assert_eq!(
        (pushed.status, &*pushed.headers["docker-content-digest"]),
        (StatusCode::CREATED, ONE)
    );

    let path = upload(&world, &token);
    let started = world.ask(&token, "PATCH", &path, &json!(1));
    assert_eq!((started.status, &*started.headers["range"]), (StatusCode::ACCEPTED, "bytes=0-0"));
    assert_eq!(
        world.ask(&token, "PUT", &format!("{path}?digest={TWELVE}"), &json!(2)).status,
        StatusCode::CREATED
    );
    let blob = world.ask(&token, "GET", &format!("/v2/reg/app/blobs/{TWELVE}"), &json!(null));
    assert_eq!((blob.status, blob.body.as_str()), (StatusCode::OK, "12"));
}

#[test]
fn a_blob_has_to_be_what_its_digest_says() {
    let (world, token) = world();
    let refused = push_blob(&world, &token, &json!(2), ONE);
    assert_eq!(
        (refused.status, &refused.json()["errors"][0]["code"]),
        (StatusCode::BAD_REQUEST, &json!("BLOB_UPLOAD_INVALID"))
    );
    let unknown = world.ask(&token, "PUT", &format!("{UPLOADS}f554422e?digest={ONE}"), &json!(1));
    assert_eq!(
        (unknown.status, &unknown.json()["errors"][0]["code"]),
        (StatusCode::NOT_FOUND, &json!("BLOB_UPLOAD_UNKNOWN"))
    );
    let blob = world.ask(&token, "HEAD", &format!("/v2/reg/app/blobs/{ONE}"), &json!(null));
    assert_eq!(blob.status, StatusCode::NOT_FOUND);
}

#[test]
fn a_tag_is_there_once_its_manifest_is_and_moves_with_the_next_one() {
    let (world, token) = world();
    push_blob(&world, &token, &json!(1), ONE);
    assert_eq!(
        world.ask(&token, "PUT", LATEST, &manifest(TWELVE)).status,
        StatusCode::BAD_REQUEST,
        "a layer is missing"
    );
    push_blob(&world, &token, &json!(12), TWELVE);
    let mut digests = Vec::new();
    for layer in [TWELVE, ONE] {
        let pushed = world.ask(&token, "PUT", LATEST, &manifest(layer));
        assert_eq!((pushed.status, pushed.body.as_str()), (StatusCode::CREATED, "OK"));
        let digest = pushed.headers["docker-content-digest"].clone();
        assert_eq!(pushed.headers["location"], format!("/v2/reg/app/manifests/{digest}"));
        assert_eq!(world.ask(&token, "GET", LATEST, &json!(null)).json(), manifest(layer));
        let tags = world
            .ask(&world.token_of("admin"), "GET", "/api/v1/repository/reg/app/tag/", &json!(null))
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
fn nobody_pushes_without_the_right_or_into_a_registry_that_is_read_only() {
    let (world, token) = world();
    world.quay.set_permission("reg", "app", "reg+writer", Some(RepoRole::Read));
    let reader = world.registry_token("reg+writer", "reg/app");
    assert_eq!(world.ask(&reader, "POST", UPLOADS, &json!(null)).status, StatusCode::UNAUTHORIZED);
    // A token keeps for its whole life what it was given (499).
    assert_eq!(world.ask(&token, "POST", UPLOADS, &json!(null)).status, StatusCode::ACCEPTED);
    world.quay.set_flags(|flags| flags.readonly = true);
    assert_eq!(
        world.ask(&token, "POST", UPLOADS, &json!(null)).status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}
