//! Answers that follow from Quay's sources and that no sample shows, and what the stand-in offers to tests.

use axum::http::{Method, StatusCode};
use sandbox::quay::{RepoRole, classify};
use serde_json::{Value, json};

use super::env::TestEnv;

#[test]
fn robot_list_matches_underscore_with_any_character() {
    let env = TestEnv::new();
    for organization in ["a_b", "a-b", "a.b", "axb", "a-bc"] {
        env.quay.add_organization(organization, "admin");
        env.quay.add_robot(organization, "robot", "").unwrap();
    }
    let names = |organization: &str| -> Vec<String> {
        let path = format!("/api/v1/organization/{organization}/robots");
        let body = env.ask(&env.token_of("admin"), "GET", &path, &json!(null)).json();
        let robots = body["robots"].as_array().unwrap().iter();
        let mut names: Vec<String> =
            robots.map(|robot| robot["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names("a_b"), ["a-b+robot", "a.b+robot", "a_b+robot", "axb+robot"]);
    assert_eq!(names("a-b"), ["a-b+robot"]);
}

#[test]
fn repository_name_starts_with_a_letter_or_digit() {
    let env = TestEnv::new();
    env.quay.add_organization("acme", "admin");
    let create = |name: &str| {
        let body = json!({"namespace": "acme", "repository": name, "visibility": "private", "description": ""});
        env.ask(&env.token_of("admin"), "POST", "/api/v1/repository", &body).status
    };
    assert_eq!(create("_app"), StatusCode::BAD_REQUEST);
    assert_eq!(create("team/_app"), StatusCode::BAD_REQUEST);
    assert_eq!(create("0app"), StatusCode::CREATED);
}

#[test]
fn head_is_get_without_the_body() {
    let env = TestEnv::new();
    let token = env.token_of("admin");
    let get = env.ask(&token, "GET", "/api/v1/user/", &json!(null));
    let head = env.ask(&token, "HEAD", "/api/v1/user/", &json!(null));
    assert_eq!(
        (head.status, head.headers["content-type"].as_str()),
        (get.status, get.headers["content-type"].as_str())
    );
    assert!(head.body.is_empty() && !get.body.is_empty());
}

#[test]
fn rejects_registry_tokens_of_others() {
    let env = TestEnv::new();
    env.quay.add_organization("acme", "admin");
    env.quay.add_repository("acme", "app", "admin");
    env.quay.add_robot("acme", "robot", "").unwrap();
    env.quay.set_permission("acme", "app", "acme+robot", Some(RepoRole::Read));
    let token = env.registry_token("acme+robot", "acme/app");
    let ping = |token: &str| env.ask(token, "GET", "/v2/", &json!(null)).status;
    assert_eq!(ping(&token), StatusCode::OK);
    let (signed, _) = token.rsplit_once('.').unwrap();
    assert_eq!(ping(&format!("{signed}.AAAA")), StatusCode::UNAUTHORIZED);
    assert_eq!(ping("no-token"), StatusCode::UNAUTHORIZED);
}

#[test]
fn catalog_is_read_page_by_page() {
    let env = TestEnv::new();
    env.quay.add_organization("acme", "admin");
    let expected: Vec<String> = (0..5).map(|number| format!("acme/r{number}")).collect();
    for number in 0..5 {
        env.quay.add_repository("acme", &format!("r{number}"), "admin");
    }
    let token = env.registry_token("$oauthtoken", "acme/r0");
    let mut found: Vec<String> = Vec::new();
    let mut next = Some("/v2/_catalog?n=2".to_owned());
    while let Some(path) = next {
        let answer = env.ask(&token, "GET", &path, &json!(null));
        let names: Vec<String> =
            serde_json::from_value(answer.json()["repositories"].clone()).unwrap();
        assert!(names.len() <= 2);
        found.extend(names);
        next = answer.headers.get("link").map(|link| link[1..link.find('>').unwrap()].to_owned());
    }
    assert_eq!(found, expected);
}

#[test]
fn manifest_is_found_by_tag_and_by_digest() {
    let env = TestEnv::new();
    env.quay.add_organization("acme", "admin");
    env.quay.add_repository("acme", "app", "admin");
    let digest = env.quay.push_tag("acme", "app", "v1").unwrap();
    let token = env.registry_token("$oauthtoken", "acme/app");
    for reference in ["v1", &digest] {
        let answer =
            env.ask(&token, "GET", &format!("/v2/acme/app/manifests/{reference}"), &json!(null));
        assert_eq!(
            (answer.status, &answer.headers["docker-content-digest"]),
            (StatusCode::OK, &digest)
        );
    }
    assert_eq!(env.quay.push_tag("acme", "missing", "v1"), None);
}

#[test]
fn kinds_of_requests_have_stable_names() {
    let kinds = [
        ("GET", "/api/v1/user/", "GET user"),
        ("POST", "/api/v1/organization/", "POST organization"),
        ("GET", "/api/v1/organization/acme", "GET organization"),
        ("GET", "/api/v1/organization/acme/robots?token=true&permissions=true", "GET robots"),
        ("PUT", "/api/v1/organization/acme/robots/builder", "PUT robot"),
        ("POST", "/api/v1/organization/acme/robots/builder/regenerate", "POST robot regenerate"),
        ("GET", "/api/v1/organization/acme/prototypes", "GET prototypes"),
        ("POST", "/api/v1/organization/acme/prototypes", "POST prototype"),
        ("DELETE", "/api/v1/organization/acme/prototypes/1", "DELETE prototype"),
        ("GET", "/api/v1/repository?namespace=acme", "GET repositories"),
        ("POST", "/api/v1/repository", "POST repository"),
        ("GET", "/api/v1/repository/acme/team/app", "GET repository"),
        (
            "PUT",
            "/api/v1/repository/acme/team/app/permissions/user/acme%2Bbuilder",
            "PUT permission",
        ),
        ("GET", "/api/v1/repository/acme/app/permissions/user/", "GET permissions"),
        ("GET", "/api/v1/repository/acme/app/tag/", "GET tags"),
        ("GET", "/api/v1/superuser/organizations/?limit=100", "GET superuser organizations"),
        ("GET", "/v2/", "GET registry"),
        ("GET", "/v2/auth?service=x", "GET auth"),
        ("GET", "/v2/acme/app/manifests/latest", "GET manifest"),
        ("GET", "/csrf_token", "GET csrf"),
        ("POST", "/api/v1/signin", "POST signin"),
        ("POST", "/api/v1/signout", "POST signout"),
        ("POST", "/api/v1/user/initialize", "POST initialize"),
        ("GET", "/api/v1/organization/acme/applications", "GET applications"),
        ("POST", "/api/v1/organization/acme/applications", "POST application"),
        ("DELETE", "/api/v1/organization/acme/applications/ID", "DELETE application"),
        ("GET", "/api/v1/organization/acme/applications/ID/tokens", "GET application tokens"),
        ("POST", "/api/v1/organization/acme/applications/ID/tokens", "POST application token"),
        (
            "DELETE",
            "/api/v1/organization/acme/applications/ID/tokens/1",
            "DELETE application token",
        ),
        ("GET", "/oauth/authorize?client_id=ID", "GET authorize"),
        ("POST", "/oauth/authorizeapp", "POST authorizeapp"),
        ("POST", "/oauth/denyapp", "POST denyapp"),
        ("GET", "/somewhere", "GET other"),
        ("GET", "/api/v1/organization/acme/", "GET other"),
    ];
    for (method, uri, kind) in kinds {
        let method: Method = method.parse().unwrap();
        assert_eq!(classify(&method, &uri.parse().unwrap()), kind);
    }
}

/// Every request of a plain user to a foreign organization is rejected.
#[test]
fn rejected_requests_change_nothing() {
    let env = TestEnv::new();
    env.quay.add_organization("acme", "admin");
    env.quay.add_robot("acme", "robot", "").unwrap();
    env.quay.add_repository("acme", "app", "admin");
    let id = env.quay.add_prototype("acme", "acme+robot", RepoRole::Read);
    let picture = |env: &TestEnv| {
        let quay = &env.quay;
        let organization = (
            quay.organizations(),
            quay.robots("acme"),
            quay.prototypes("acme"),
            quay.teams("acme"),
        );
        (organization, quay.repositories("acme"), quay.permissions("acme", "app"))
    };
    let before = picture(&env);
    let role: Value = json!({"role": "admin"});
    let attempts = [
        ("PUT", "/api/v1/organization/acme/robots/more".to_owned(), json!({})),
        ("DELETE", "/api/v1/organization/acme/robots/robot".to_owned(), json!(null)),
        ("POST", "/api/v1/organization/acme/robots/robot/regenerate".to_owned(), json!({})),
        ("PUT", format!("/api/v1/organization/acme/prototypes/{id}"), role.clone()),
        ("DELETE", format!("/api/v1/organization/acme/prototypes/{id}"), json!(null)),
        ("PUT", "/api/v1/organization/acme/team/owners".to_owned(), json!({"role": "member"})),
        ("DELETE", "/api/v1/organization/acme/team/owners".to_owned(), json!(null)),
        ("PUT", "/api/v1/organization/acme/team/owners/members/alice".to_owned(), json!({})),
        ("PUT", "/api/v1/repository/acme/app/permissions/user/alice".to_owned(), role),
        ("DELETE", "/api/v1/repository/acme/app/permissions/user/admin".to_owned(), json!(null)),
        ("DELETE", "/api/v1/repository/acme/app".to_owned(), json!(null)),
        ("DELETE", "/api/v1/organization/acme".to_owned(), json!(null)),
        ("DELETE", "/api/v1/superuser/organizations/acme".to_owned(), json!(null)),
        ("POST", "/api/v1/superuser/takeownership/acme".to_owned(), json!({})),
    ];
    for (method, path, body) in attempts {
        let answer = env.ask(&env.token_of("alice"), method, &path, &body);
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}");
        assert_eq!(picture(&env), before, "{method} {path}");
    }
}

#[test]
fn web_server_accepts_request_lines_of_4094_bytes() {
    let env = TestEnv::new();
    let answer = |length: usize| {
        let before = "/api/v1/discovery?x=";
        let path = format!("{before}{}", "x".repeat(length - before.len() - "GET  HTTP/1.0".len()));
        env.ask("", "GET", &path, &json!(null))
    };
    assert_eq!(answer(4094).status, StatusCode::OK);
    let rejected = answer(4095);
    assert_eq!(rejected.status, StatusCode::BAD_REQUEST);
    assert!(rejected.body.contains("Request Line is too large (4095 &gt; 4094)"));
}
