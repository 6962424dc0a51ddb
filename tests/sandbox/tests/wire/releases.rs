//! Differences between releases, from the notes beside the recordings (`VERSIONS.md`): the same
//! scripts were run against 3.12.21, 3.17.4, 3.18.0 and the development branch.

use axum::http::StatusCode;
use sandbox::quay::{Flags, Release};
use serde_json::{Value, json};

use super::env::{Answer, TestEnv};

const RELEASES: [Release; 4] = [Release::Master, Release::V3_18, Release::V3_17, Release::V3_12];

/// A stand-in of each release, with more settings, and the answers to one request of `admin`'s.
fn answers(
    settings: fn(&mut Flags),
    arrange: fn(&TestEnv),
    (method, path, body): (&str, &str, &Value),
) -> [Answer; 4] {
    RELEASES.map(|release| {
        let env = TestEnv::new();
        env.quay.set_flags(|flags| {
            settings(flags);
            flags.release = release;
        });
        arrange(&env);
        env.ask(&env.token_of("admin"), method, path, body)
    })
}

fn statuses(answers: &[Answer; 4]) -> [u16; 4] {
    [0, 1, 2, 3].map(|index| answers[index].status.as_u16())
}

fn new_organization(body: &Value, settings: fn(&mut Flags), arrange: fn(&TestEnv)) -> [u16; 4] {
    statuses(&answers(settings, arrange, ("POST", "/api/v1/organization/", body)))
}

#[test]
fn name_of_a_deleted_organization() {
    let gone = |env: &TestEnv| {
        env.quay.add_organization("gone", "admin");
        env.admin("DELETE", "/api/v1/organization/gone", &json!(null));
    };
    assert_eq!(new_organization(&json!({"name": "gone"}), |_| {}, gone), [400, 201, 201, 201]);
}

#[test]
fn email_address_of_another_organization() {
    let other = |env: &TestEnv| {
        env.admin(
            "POST",
            "/api/v1/organization/",
            &json!({"name": "other", "email": "x@example.com"}),
        );
    };
    let body = json!({"name": "new", "email": "x@example.com"});
    assert_eq!(new_organization(&body, |_| {}, other), [201, 201, 400, 400]);
}

#[test]
fn invalid_email_address() {
    let body = json!({"name": "new", "email": "none"});
    assert_eq!(new_organization(&body, |_| {}, |_| {}), [400, 400, 201, 201]);
}

#[test]
fn missing_email_address_where_quay_sends_mail() {
    let body = json!({"name": "new"});
    assert_eq!(new_organization(&body, |flags| flags.mailing = true, |_| {}), [201, 201, 400, 400]);
}

#[test]
fn a_write_to_an_unknown_path() {
    let found = answers(|_| {}, |_| {}, ("POST", "/api/v1/nosuchendpoint", &json!({})));
    assert_eq!(statuses(&found), [405, 405, 405, 500]);
}

#[test]
fn a_superuser_deletes_a_missing_organization() {
    let path = "/api/v1/superuser/organizations/missing";
    let found = answers(|_| {}, |_| {}, ("DELETE", path, &json!(null)));
    assert_eq!(statuses(&found), [404, 400, 400, 400]);
    assert_eq!(found[1].json(), json!({"message": "Organization does not exist: missing"}));
}

#[test]
fn reported_version() {
    let found = answers(|_| {}, |_| {}, ("GET", "/config", &json!(null)));
    let versions = found.map(|answer| answer.json()["version_number"].clone());
    assert_eq!(
        versions,
        [json!("Quay v3.11.0"), json!("Quay v3.18.0"), json!("Quay v3.17.4"), json!(null)]
    );
}

/// With full access 3.12 shows a superuser less of a foreign organization: no teams, and no tokens in the list.
#[test]
fn foreign_organization_with_full_access() {
    let foreign = |env: &TestEnv| {
        env.quay.add_organization("foreign", "alice");
        env.quay.add_robot("foreign", "robot", "").unwrap();
    };
    let ask = |path: &str| {
        answers(|flags| flags.full_access = true, foreign, ("GET", path, &json!(null)))
    };
    let has = |answers: [Answer; 4], field: &str| {
        answers.map(|answer| {
            assert_eq!(answer.status, StatusCode::OK);
            answer.body.contains(field)
        })
    };
    assert_eq!(has(ask("/api/v1/organization/foreign"), "\"teams\""), [true, true, true, false]);
    assert_eq!(
        has(ask("/api/v1/organization/foreign/robots?token=true"), "\"token\""),
        [true, true, true, false]
    );
    assert_eq!(has(ask("/api/v1/organization/foreign/robots/robot"), "\"token\""), [true; 4]);
}
