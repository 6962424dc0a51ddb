//! Sign-in from beginning to end, and cases without samples.

use std::thread::sleep;
use std::time::Duration;

use axum::http::StatusCode;
use sandbox::quay::{ApplicationView, Release};
use serde_json::{Value, json};

use super::env::{Answer, TestEnv};

const ALL: &str =
    "org:admin repo:admin repo:create repo:read repo:write super:user user:admin user:read";

/// An environment with an organization of alice's, its application, and alice in the browser.
fn alice_at_work() -> (TestEnv, String) {
    let mut env = TestEnv::new();
    env.quay.add_organization("integration", "alice");
    let client_id = env.quay.add_application("integration", "openshift", "http://localhost:7777/");
    env.sign_in("alice");
    (env, client_id)
}

fn application(env: &TestEnv) -> ApplicationView {
    env.quay.applications("integration").remove(0)
}

fn approve(env: &mut TestEnv, client_id: &str, redirect_uri: &str, scope: &str) -> Answer {
    let fields = [
        ("response_type", "token"),
        ("client_id", client_id),
        ("redirect_uri", redirect_uri),
        ("scope", scope),
    ];
    env.submit("/oauth/authorizeapp", &fields)
}

fn tokens_path(client_id: &str) -> String {
    format!("/api/v1/organization/integration/applications/{client_id}/tokens")
}

#[test]
fn password_sign_in_gives_a_working_token() {
    let (mut env, client_id) = alice_at_work();
    let answer = approve(&mut env, &client_id, "https://localhost:18443/oauth/localapp", ALL);
    let (_, fragment) = answer.headers["location"].split_once("#access_token=").unwrap();
    let (token, _) = fragment.split_once('&').unwrap();
    let user = env.ask(token, "GET", "/api/v1/user/", &json!(null)).json();
    assert_eq!(user["username"], "alice");
    let tokens = application(&env).tokens;
    assert_eq!(
        (tokens[0].token.as_str(), tokens[0].user.as_str(), &tokens[0].name),
        (token, "alice", &None)
    );
}

/// The session is good for whatever its user may do, and for nothing once they have signed out.
#[test]
fn signing_out_ends_every_session_of_the_user() {
    let (mut env, _) = alice_at_work();
    let first = env.browser.clone();
    env.sign_in("alice");
    assert_eq!(env.quay.open_sessions("alice"), 2);
    let robot = "/api/v1/organization/integration/robots/r1";
    assert_eq!(env.browse("PUT", robot, &json!({})).status, StatusCode::CREATED);
    assert_eq!(env.browse("POST", "/api/v1/signout", &json!(null)).status, StatusCode::OK);
    assert_eq!(env.quay.open_sessions("alice"), 0);
    for browser in [env.browser.clone(), first] {
        env.browser = browser;
        assert_eq!(
            env.browse("GET", "/api/v1/user/", &json!(null)).status,
            StatusCode::UNAUTHORIZED
        );
        assert_eq!(env.browse("DELETE", robot, &json!(null)).status, StatusCode::FORBIDDEN);
    }
    assert_eq!(env.quay.robots("integration").len(), 1);
}

#[test]
fn wrong_passwords_cause_lockout_that_a_correct_one_resets() {
    let mut env = TestEnv::new();
    let right = env.quay.password("alice").unwrap();
    assert_eq!(env.try_sign_in("alice", "wrong").status, StatusCode::FORBIDDEN);
    assert_eq!(env.quay.wrong_passwords("alice"), Some(1));
    assert_eq!(env.try_sign_in("alice", &right).status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(env.quay.wrong_passwords("alice"), Some(1), "not even looked at");
    sleep(Duration::from_millis(550));
    assert_eq!(env.try_sign_in("alice@example.com", &right).status, StatusCode::OK);
    assert_eq!(env.quay.wrong_passwords("alice"), Some(0));

    env.quay.throttle("alice", Duration::from_secs(90));
    let answer = env.try_sign_in("alice", &right);
    assert_eq!(
        (answer.status, answer.headers["retry-after"].as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "89")
    );
    assert_eq!(env.try_sign_in("bob", &env.quay.password("bob").unwrap()).status, StatusCode::OK);
}

/// The form grants what it is asked for (wire/602); the JSON API grants users no more than they have.
#[test]
fn superuser_scope_is_granted_only_to_superusers() {
    let (mut env, client_id) = alice_at_work();
    let path = tokens_path(&client_id);
    let body = json!({"name": "t", "scope": ALL});
    assert_eq!(env.browse("POST", &path, &body).status, StatusCode::FORBIDDEN);
    let answer = env.browse("POST", &path, &json!({"name": "t", "scope": "repo:write,org:admin"}));
    assert_eq!(
        (answer.status, &answer.json()["scope"]),
        (StatusCode::OK, &json!("repo:write org:admin"))
    );

    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let mint =
        |scope: &str| env.ask(&token, "POST", &path, &json!({"name": "t", "scope": scope})).status;
    assert_eq!(mint("repo:read"), StatusCode::OK, "implied by repo:write");
    assert_eq!(mint("repo:admin"), StatusCode::FORBIDDEN);
}

#[test]
fn token_lifetime_is_as_requested_and_at_most_ten_years() {
    let (mut env, client_id) = alice_at_work();
    let mut mint = |expiration: Value| {
        let answer = env.browse(
            "POST",
            &tokens_path(&client_id),
            &json!({"name": "t", "scope": "user:read", "expiration": expiration}),
        );
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    };
    mint(json!(3600));
    mint(json!(1e12));
    let now = jiff::Timestamp::now().as_second();
    let lives: Vec<i64> =
        application(&env).tokens.iter().map(|token| token.expires.as_second() - now).collect();
    assert!(
        (3590..=3600).contains(&lives[0]) && (315_575_990..=315_576_000).contains(&lives[1]),
        "{lives:?}"
    );

    env.quay.expire_tokens();
    let token = application(&env).tokens[0].token.clone();
    assert_eq!(
        env.ask(&token, "GET", "/api/v1/user/", &json!(null)).status,
        StatusCode::UNAUTHORIZED
    );
}

#[test]
fn application_tokens_have_no_api_before_3_18() {
    for (release, get, post) in [
        (Release::Master, 200, 200),
        (Release::V3_18, 200, 200),
        (Release::V3_17, 308, 405),
        (Release::V3_12, 308, 500),
    ] {
        let (mut env, client_id) = alice_at_work();
        env.quay.set_flags(|flags| flags.release = release);
        let path = tokens_path(&client_id);
        assert_eq!(env.browse("GET", &path, &json!(null)).status, get, "{release:?}");
        assert_eq!(
            env.browse("POST", &path, &json!({"name": "t", "scope": "user:read"})).status,
            post,
            "{release:?}"
        );
    }
}

#[test]
fn only_3_12_redirects_to_unregistered_addresses() {
    for (release, status) in [
        (Release::Master, 400),
        (Release::V3_18, 400),
        (Release::V3_17, 400),
        (Release::V3_12, 302),
    ] {
        let (mut env, client_id) = alice_at_work();
        env.quay.set_flags(|flags| flags.release = release);
        assert_eq!(
            approve(&mut env, &client_id, "http://localhost:7777/a/../b", ALL).status,
            status,
            "{release:?}"
        );
    }
}

/// The steps of a browser: reads the page, sends its form, follows the redirect.
#[test]
fn page_has_a_working_form() {
    let (mut env, client_id) = alice_at_work();
    let path = format!(
        "/oauth/authorize?response_type=token&client_id={client_id}&redirect_uri=http://localhost:7777/cb&scope=user:read&state=%3C%22%26"
    );
    let page = env.browse("GET", &path, &json!(null)).body;
    let (form, _) = page.split_once("</form>").unwrap();
    let attribute = |text: &str, name: &str| {
        let (_, rest) = text.split_once(&format!("{name}=\"")).unwrap();
        rest.split_once('"')
            .unwrap()
            .0
            .replace("&quot;", "\"")
            .replace("&lt;", "<")
            .replace("&amp;", "&")
    };
    let inputs = form.lines().filter(|line| line.starts_with("<input"));
    let fields: Vec<(String, String)> =
        inputs.map(|line| (attribute(line, "name"), attribute(line, "value"))).collect();
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let answer = env.submit(&attribute(form, "action"), &fields);
    let location = &answer.headers["location"];
    assert!(
        location.starts_with(
            "http://localhost:7777/cb?scope=user%3Aread&state=%3C%22%26#access_token="
        ),
        "{location}"
    );
}

#[test]
fn deleting_owners_deletes_applications_and_tokens() {
    let (mut env, client_id) = alice_at_work();
    let other = env.quay.add_application("integration", "other", "");
    let token = |id: &str| env.quay.add_application_token(id, "alice", Duration::from_secs(60));
    let (first, second) = (token(&client_id), token(&other));
    let status =
        |env: &TestEnv, token: &str| env.ask(token, "GET", "/api/v1/user/", &json!(null)).status;

    let path = format!("/api/v1/organization/integration/applications/{client_id}");
    assert_eq!(env.browse("GET", &path, &json!(null)).json()["name"], "openshift");
    assert_eq!(env.browse("DELETE", &path, &json!(null)).status, StatusCode::NO_CONTENT);
    assert_eq!(env.browse("DELETE", &path, &json!(null)).status, StatusCode::NOT_FOUND);
    assert_eq!(
        (status(&env, &first), status(&env, &second)),
        (StatusCode::UNAUTHORIZED, StatusCode::OK)
    );

    assert_eq!(
        env.browse("DELETE", "/api/v1/organization/integration", &json!(null)).status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(status(&env, &second), StatusCode::UNAUTHORIZED);
}

#[test]
fn other_users_neither_see_nor_create_applications() {
    let (env, client_id) = alice_at_work();
    let bob = env.token_of("bob");
    let one = format!("/api/v1/organization/integration/applications/{client_id}");
    let tokens = tokens_path(&client_id);
    for (method, path, body) in [
        ("GET", "/api/v1/organization/integration/applications", json!(null)),
        ("GET", "/api/v1/organization/missing/applications", json!(null)),
        ("POST", "/api/v1/organization/integration/applications", json!({"name": "x"})),
        ("GET", &one, json!(null)),
        ("DELETE", &one, json!(null)),
        ("GET", &tokens, json!(null)),
        ("POST", &tokens, json!({"name": "t", "scope": "user:read"})),
    ] {
        assert_eq!(
            env.ask(&bob, method, path, &body).status,
            StatusCode::FORBIDDEN,
            "{method} {path}"
        );
    }
    assert_eq!(
        (env.quay.applications("integration").len(), application(&env).tokens.len()),
        (1, 0)
    );
}

/// For the search in the output of the program.
#[test]
fn all_issued_secrets_are_recorded() {
    let (mut env, client_id) = alice_at_work();
    let answer = env.try_sign_in("alice", &env.quay.password("alice").unwrap());
    let (cookie, _) =
        answer.headers["set-cookie"].strip_prefix("_csrf_token=").unwrap().split_once(';').unwrap();
    let token = env
        .browse("POST", &tokens_path(&client_id), &json!({"name": "t", "scope": "user:read"}))
        .json();
    let path = format!("/api/v1/organization/integration/applications/{client_id}");
    let application = env.browse("GET", &path, &json!(null)).json();
    let robot = env.quay.add_robot("integration", "r1", "").unwrap();
    let secrets = env.quay.secrets();
    for secret in [
        &env.quay.password("alice").unwrap(),
        cookie,
        &answer.headers["x-next-csrf-token"],
        token["token"].as_str().unwrap(),
        application["client_secret"].as_str().unwrap(),
        &robot,
    ] {
        assert!(secrets.iter().any(|known| known == secret), "{secret}");
    }
}

#[test]
fn empty_quay_is_initialized_once() {
    let env = TestEnv::new();
    env.quay.empty();
    env.quay.set_flags(|flags| flags.user_initialize = true);
    let initialize = |name: &str| {
        let body = json!({"username": name, "password": "s3cret-enough", "email": "a@example.com", "access_token": true});
        env.ask("", "POST", "/api/v1/user/initialize", &body)
    };
    let answer = initialize("boss");
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(env.quay.password("boss").as_deref(), Some("s3cret-enough"));
    let expires = env.quay.applications("boss")[0].tokens[0].expires.as_second();
    assert!((8990..=9000).contains(&(expires - jiff::Timestamp::now().as_second())), "2.5 hours");
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let made = env.ask(&token, "POST", "/api/v1/organization/", &json!({"name": "integration"}));
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(initialize("other").status, StatusCode::BAD_REQUEST);
    assert!(
        env.quay.secrets().contains(&token)
            && env.quay.secrets().contains(&"s3cret-enough".to_owned())
    );
}

#[test]
fn failed_service_makes_the_instance_unhealthy() {
    let env = TestEnv::new();
    env.quay.set_down(&["database"]);
    let answer = env.ask("", "GET", "/health/instance", &json!(null));
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let body = answer.json();
    assert_eq!(
        (&body["data"]["services"]["database"], &body["data"]["services"]["auth"]),
        (&json!(false), &json!(true))
    );
    env.quay.set_down(&[]);
    assert_eq!(env.ask("", "GET", "/health/instance", &json!(null)).status, StatusCode::OK);
}

#[test]
fn configuration_shows_sign_in_methods() {
    let env = TestEnv::new();
    let features = || env.ask("", "GET", "/config", &json!(null)).json()["features"].take();
    assert_eq!(
        (&features()["DIRECT_LOGIN"], &features()["USER_INITIALIZE"]),
        (&json!(true), &json!(false))
    );
    env.quay.set_flags(|flags| (flags.direct_login, flags.user_initialize) = (false, true));
    assert_eq!(
        (&features()["DIRECT_LOGIN"], &features()["USER_INITIALIZE"]),
        (&json!(false), &json!(true))
    );
}

/// A registry that is read-only lets people sign in and out of nothing else.
#[test]
fn sign_in_works_on_a_read_only_registry() {
    let mut env = TestEnv::new();
    env.quay.set_flags(|flags| flags.readonly = true);
    env.sign_in("alice");
    assert_eq!(
        env.browse("POST", "/api/v1/organization/", &json!({"name": "x"})).status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}
