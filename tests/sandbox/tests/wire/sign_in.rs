//! Getting in: what the samples show one answer of, from one end to the other, and what they leave out.

use std::thread::sleep;
use std::time::Duration;

use axum::http::StatusCode;
use sandbox::quay::{ApplicationView, Release};
use serde_json::{Value, json};

use super::env::{Answer, World};

const ALL: &str =
    "org:admin repo:admin repo:create repo:read repo:write super:user user:admin user:read";

/// A world with an organization of alice's, its application, and alice in the browser.
fn alice_at_work() -> (World, String) {
    let mut world = World::new();
    world.quay.add_organization("integration", "alice");
    let client_id =
        world.quay.add_application("integration", "openshift", "http://localhost:7777/");
    world.sign_in("alice");
    (world, client_id)
}

fn application(world: &World) -> ApplicationView {
    world.quay.applications("integration").remove(0)
}

fn approve(world: &mut World, client_id: &str, redirect_uri: &str, scope: &str) -> Answer {
    let fields = [
        ("response_type", "token"),
        ("client_id", client_id),
        ("redirect_uri", redirect_uri),
        ("scope", scope),
    ];
    world.submit("/oauth/authorizeapp", &fields)
}

fn tokens_path(client_id: &str) -> String {
    format!("/api/v1/organization/integration/applications/{client_id}/tokens")
}

#[test]
fn from_a_password_to_a_token_that_works() {
    let (mut world, client_id) = alice_at_work();
    let answer = approve(&mut world, &client_id, "https://localhost:18443/oauth/localapp", ALL);
    let (_, fragment) = answer.headers["location"].split_once("#access_token=").unwrap();
    let (token, _) = fragment.split_once('&').unwrap();
    let user = world.ask(token, "GET", "/api/v1/user/", &json!(null)).json();
    assert_eq!(user["username"], "alice");
    let tokens = application(&world).tokens;
    assert_eq!(
        (tokens[0].token.as_str(), tokens[0].user.as_str(), &tokens[0].name),
        (token, "alice", &None)
    );
}

/// The session is good for whatever its user may do, and for nothing once they have signed out.
#[test]
fn signing_out_ends_every_session_of_the_user() {
    let (mut world, _) = alice_at_work();
    let first = world.browser.clone();
    world.sign_in("alice");
    assert_eq!(world.quay.open_sessions("alice"), 2);
    let robot = "/api/v1/organization/integration/robots/r1";
    assert_eq!(world.browse("PUT", robot, &json!({})).status, StatusCode::CREATED);
    assert_eq!(world.browse("POST", "/api/v1/signout", &json!(null)).status, StatusCode::OK);
    assert_eq!(world.quay.open_sessions("alice"), 0);
    for browser in [world.browser.clone(), first] {
        world.browser = browser;
        assert_eq!(
            world.browse("GET", "/api/v1/user/", &json!(null)).status,
            StatusCode::UNAUTHORIZED
        );
        assert_eq!(world.browse("DELETE", robot, &json!(null)).status, StatusCode::FORBIDDEN);
    }
    assert_eq!(world.quay.robots("integration").len(), 1);
}

#[test]
fn a_wrong_password_makes_wait_and_a_right_one_forgets_it() {
    let mut world = World::new();
    let right = world.quay.password("alice").unwrap();
    assert_eq!(world.try_sign_in("alice", "wrong").status, StatusCode::FORBIDDEN);
    assert_eq!(world.quay.wrong_passwords("alice"), Some(1));
    assert_eq!(world.try_sign_in("alice", &right).status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(world.quay.wrong_passwords("alice"), Some(1), "not even looked at");
    sleep(Duration::from_millis(550));
    assert_eq!(world.try_sign_in("alice@example.com", &right).status, StatusCode::OK);
    assert_eq!(world.quay.wrong_passwords("alice"), Some(0));

    world.quay.throttle("alice", Duration::from_secs(90));
    let answer = world.try_sign_in("alice", &right);
    assert_eq!(
        (answer.status, answer.headers["retry-after"].as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "89")
    );
    assert_eq!(
        world.try_sign_in("bob", &world.quay.password("bob").unwrap()).status,
        StatusCode::OK
    );
}

/// The form grants what it is asked for (602); the JSON API grants nobody more than they have.
#[test]
fn only_a_superuser_is_given_the_scope_of_one() {
    let (mut world, client_id) = alice_at_work();
    let path = tokens_path(&client_id);
    let body = json!({"name": "t", "scope": ALL});
    assert_eq!(world.browse("POST", &path, &body).status, StatusCode::FORBIDDEN);
    let answer =
        world.browse("POST", &path, &json!({"name": "t", "scope": "repo:write,org:admin"}));
    assert_eq!(
        (answer.status, &answer.json()["scope"]),
        (StatusCode::OK, &json!("repo:write org:admin"))
    );

    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let mint = |scope: &str| {
        world.ask(&token, "POST", &path, &json!({"name": "t", "scope": scope})).status
    };
    assert_eq!(mint("repo:read"), StatusCode::OK, "implied by repo:write");
    assert_eq!(mint("repo:admin"), StatusCode::FORBIDDEN);
}

#[test]
fn a_token_lives_as_long_as_asked_and_at_most_ten_years() {
    let (mut world, client_id) = alice_at_work();
    let mut mint = |expiration: Value| {
        let answer = world.browse(
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
        application(&world).tokens.iter().map(|token| token.expires.as_second() - now).collect();
    assert!(
        (3590..=3600).contains(&lives[0]) && (315_575_990..=315_576_000).contains(&lives[1]),
        "{lives:?}"
    );

    world.quay.expire_tokens();
    let token = application(&world).tokens[0].token.clone();
    assert_eq!(
        world.ask(&token, "GET", "/api/v1/user/", &json!(null)).status,
        StatusCode::UNAUTHORIZED
    );
}

#[test]
fn the_tokens_of_an_application_are_no_api_before_3_18() {
    for (release, get, post) in [
        (Release::Master, 200, 200),
        (Release::V3_18, 200, 200),
        (Release::V3_17, 308, 405),
        (Release::V3_12, 308, 500),
    ] {
        let (mut world, client_id) = alice_at_work();
        world.quay.set_flags(|flags| flags.release = release);
        let path = tokens_path(&client_id);
        assert_eq!(world.browse("GET", &path, &json!(null)).status, get, "{release:?}");
        assert_eq!(
            world.browse("POST", &path, &json!({"name": "t", "scope": "user:read"})).status,
            post,
            "{release:?}"
        );
    }
}

#[test]
fn only_3_12_redirects_out_of_what_is_registered() {
    for (release, status) in [
        (Release::Master, 400),
        (Release::V3_18, 400),
        (Release::V3_17, 400),
        (Release::V3_12, 302),
    ] {
        let (mut world, client_id) = alice_at_work();
        world.quay.set_flags(|flags| flags.release = release);
        assert_eq!(
            approve(&mut world, &client_id, "http://localhost:7777/a/../b", ALL).status,
            status,
            "{release:?}"
        );
    }
}

/// What a browser does: reads the page, sends its form, follows the redirect.
#[test]
fn the_page_has_a_form_that_works() {
    let (mut world, client_id) = alice_at_work();
    let path = format!(
        "/oauth/authorize?response_type=token&client_id={client_id}&redirect_uri=http://localhost:7777/cb&scope=user:read&state=%3C%22%26"
    );
    let page = world.browse("GET", &path, &json!(null)).body;
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
    let answer = world.submit(&attribute(form, "action"), &fields);
    let location = &answer.headers["location"];
    assert!(
        location.starts_with(
            "http://localhost:7777/cb?scope=user%3Aread&state=%3C%22%26#access_token="
        ),
        "{location}"
    );
}

#[test]
fn an_application_takes_its_tokens_along_and_an_organization_its_applications() {
    let (mut world, client_id) = alice_at_work();
    let other = world.quay.add_application("integration", "other", "");
    let token = |id: &str| world.quay.add_application_token(id, "alice", Duration::from_secs(60));
    let (first, second) = (token(&client_id), token(&other));
    let status =
        |world: &World, token: &str| world.ask(token, "GET", "/api/v1/user/", &json!(null)).status;

    let path = format!("/api/v1/organization/integration/applications/{client_id}");
    assert_eq!(world.browse("GET", &path, &json!(null)).json()["name"], "openshift");
    assert_eq!(world.browse("DELETE", &path, &json!(null)).status, StatusCode::NO_CONTENT);
    assert_eq!(world.browse("DELETE", &path, &json!(null)).status, StatusCode::NOT_FOUND);
    assert_eq!(
        (status(&world, &first), status(&world, &second)),
        (StatusCode::UNAUTHORIZED, StatusCode::OK)
    );

    assert_eq!(
        world.browse("DELETE", "/api/v1/organization/integration", &json!(null)).status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(status(&world, &second), StatusCode::UNAUTHORIZED);
}

#[test]
fn a_stranger_neither_sees_nor_makes_applications() {
    let (world, client_id) = alice_at_work();
    let bob = world.token_of("bob");
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
            world.ask(&bob, method, path, &body).status,
            StatusCode::FORBIDDEN,
            "{method} {path}"
        );
    }
    assert_eq!(
        (world.quay.applications("integration").len(), application(&world).tokens.len()),
        (1, 0)
    );
}

/// One looks for them in what the program prints.
#[test]
fn every_secret_that_was_handed_out_is_known() {
    let (mut world, client_id) = alice_at_work();
    let answer = world.try_sign_in("alice", &world.quay.password("alice").unwrap());
    let (cookie, _) =
        answer.headers["set-cookie"].strip_prefix("_csrf_token=").unwrap().split_once(';').unwrap();
    let token = world
        .browse("POST", &tokens_path(&client_id), &json!({"name": "t", "scope": "user:read"}))
        .json();
    let path = format!("/api/v1/organization/integration/applications/{client_id}");
    let application = world.browse("GET", &path, &json!(null)).json();
    let robot = world.quay.add_robot("integration", "r1", "").unwrap();
    let secrets = world.quay.secrets();
    for secret in [
        &world.quay.password("alice").unwrap(),
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
fn an_empty_quay_is_initialized_once() {
    let world = World::new();
    world.quay.empty();
    world.quay.set_flags(|flags| flags.user_initialize = true);
    let initialize = |name: &str| {
        let body = json!({"username": name, "password": "s3cret-enough", "email": "a@example.com", "access_token": true});
        world.ask("", "POST", "/api/v1/user/initialize", &body)
    };
    let answer = initialize("boss");
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(world.quay.password("boss").as_deref(), Some("s3cret-enough"));
    let expires = world.quay.applications("boss")[0].tokens[0].expires.as_second();
    assert!((8990..=9000).contains(&(expires - jiff::Timestamp::now().as_second())), "2.5 hours");
    let token = answer.json()["access_token"].as_str().unwrap().to_owned();
    let made = world.ask(&token, "POST", "/api/v1/organization/", &json!({"name": "integration"}));
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(initialize("other").status, StatusCode::BAD_REQUEST);
    assert!(
        world.quay.secrets().contains(&token)
            && world.quay.secrets().contains(&"s3cret-enough".to_owned())
    );
}

#[test]
fn a_service_that_is_down_makes_the_instance_unhealthy() {
    let world = World::new();
    world.quay.set_down(&["database"]);
    let answer = world.ask("", "GET", "/health/instance", &json!(null));
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let body = answer.json();
    assert_eq!(
        (&body["data"]["services"]["database"], &body["data"]["services"]["auth"]),
        (&json!(false), &json!(true))
    );
    world.quay.set_down(&[]);
    assert_eq!(world.ask("", "GET", "/health/instance", &json!(null)).status, StatusCode::OK);
}

#[test]
fn the_configuration_says_how_one_gets_in() {
    let world = World::new();
    let features = || world.ask("", "GET", "/config", &json!(null)).json()["features"].take();
    assert_eq!(
        (&features()["DIRECT_LOGIN"], &features()["USER_INITIALIZE"]),
        (&json!(true), &json!(false))
    );
    world.quay.set_flags(|flags| (flags.direct_login, flags.user_initialize) = (false, true));
    assert_eq!(
        (&features()["DIRECT_LOGIN"], &features()["USER_INITIALIZE"]),
        (&json!(false), &json!(true))
    );
}

/// A registry that is read-only lets people sign in and out of nothing else.
#[test]
fn one_signs_in_to_a_read_only_registry() {
    let mut world = World::new();
    world.quay.set_flags(|flags| flags.readonly = true);
    world.sign_in("alice");
    assert_eq!(
        world.browse("POST", "/api/v1/organization/", &json!({"name": "x"})).status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}
