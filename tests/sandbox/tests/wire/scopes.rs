//! Permissions of a token with a single scope: the recorded table `wire/SCOPES.md`, cell by cell.

use std::fs;
use std::path::Path;

use axum::http::StatusCode;
use sandbox::quay::RepoRole;
use serde_json::{Value, json};

use super::env::TestEnv;

/// A row of the table: its name and request. `{n}` is the column's number, so that every cell
/// creates its own object.
const OPERATIONS: [(&str, &str, &str, &str); 15] = [
    ("create organization", "POST", "/api/v1/organization/", r#"{"name": "org{n}"}"#),
    ("GET robots", "GET", "/api/v1/organization/acme/robots", ""),
    ("PUT robot", "PUT", "/api/v1/organization/acme/robots/robot{n}", "{}"),
    ("GET robot permissions", "GET", "/api/v1/organization/acme/robots/puller/permissions", ""),
    (
        "POST prototype",
        "POST",
        "/api/v1/organization/acme/prototypes",
        r#"{"role": "read", "delegate": {"name": "acme+puller", "kind": "user"}}"#,
    ),
    (
        "create repository",
        "POST",
        "/api/v1/repository",
        r#"{"namespace": "acme", "repository": "repo{n}", "visibility": "private", "description": ""}"#,
    ),
    ("GET private repository", "GET", "/api/v1/repository/acme/app", ""),
    ("list repositories", "GET", "/api/v1/repository?namespace=acme", ""),
    ("PUT repository description", "PUT", "/api/v1/repository/acme/app", r#"{"description": "x"}"#),
    (
        "changevisibility",
        "POST",
        "/api/v1/repository/acme/app/changevisibility",
        r#"{"visibility": "private"}"#,
    ),
    (
        "PUT repo permission",
        "PUT",
        "/api/v1/repository/acme/app/permissions/user/acme+puller",
        r#"{"role": "read"}"#,
    ),
    ("GET tags", "GET", "/api/v1/repository/acme/app/tag/", ""),
    ("DELETE own org repo (missing)", "DELETE", "/api/v1/repository/acme/missing", ""),
    ("superuser/users/", "GET", "/api/v1/superuser/users/", ""),
    ("GET /user/", "GET", "/api/v1/user/", ""),
];

#[test]
fn scopes_limit_a_token() {
    let env = TestEnv::new();
    env.quay.add_organization("acme", "admin");
    env.quay.add_robot("acme", "puller", "").unwrap();
    env.quay.add_repository("acme", "app", "admin");
    env.quay.set_permission("acme", "app", "acme+puller", Some(RepoRole::Read));

    let table = table();
    let mut differences = Vec::new();
    for (row, (operation, method, path, body)) in OPERATIONS.iter().enumerate() {
        assert_eq!(table[row + 1][0], *operation, "the rows of the table");
        for (column, scopes) in table[0].iter().enumerate().skip(1) {
            let token = env.quay.add_token("admin", &scopes.split(' ').collect::<Vec<_>>());
            let number = column.to_string();
            let path = path.replace("{n}", &number);
            let body = serde_json::from_str(&body.replace("{n}", &number)).unwrap_or(Value::Null);
            let status = env.ask(&token, method, &path, &body).status;
            // A list is recorded as its status and length.
            let recorded = table[row + 1][column].split('/').next().unwrap();
            if status.as_str() != recorded {
                differences
                    .push(format!("{operation} with {scopes}: {status} instead of {recorded}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// The cells of the table, the head first, without the line under it.
fn table() -> Vec<Vec<String>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("wire/SCOPES.md");
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let rows = lines
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect());
    rows.collect()
}

#[test]
fn only_the_name_is_visible_without_user_admin() {
    let env = TestEnv::new();
    let token = env.quay.add_token("admin", &["user:read"]);
    let answer = env.ask(&token, "GET", "/api/v1/user/", &json!(null));
    assert_eq!(answer.status, StatusCode::OK);
    let body = answer.json();
    let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["anonymous", "avatar", "organizations", "username"]);
}
