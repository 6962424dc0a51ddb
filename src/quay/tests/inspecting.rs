use super::*;
use crate::domain::integration::QuayProblem;
use crate::quay::{ErrorKind, Features, OptionsError, Scope, TokenInfo};
use sandbox::quay::{Flags, Release, TeamRole};

/// What an administrator sets.
type Change = fn(&mut Flags);

fn lacks(scope: &str) -> QuayProblem {
    QuayProblem::TokenLacksScope { scope: scope.into() }
}

fn try_token(scene: &Scene, token: &str, known: Option<&[Scope]>) -> TokenInfo {
    scene.run(scene.client_with(token).try_token(known)).unwrap()
}

#[test]
fn every_release_says_what_it_can() {
    let table = [
        (Release::V3_12, None),
        (Release::V3_17, Some("Quay v3.17.4")),
        (Release::V3_18, Some("Quay v3.18.0")),
        (Release::Master, Some("Quay v3.11.0")),
    ];
    for (release, version) in table {
        let scene = Scene::new();
        scene.sandbox.quay.set_flags(|flags| flags.release = release);
        assert_eq!(scene.run(scene.client().about()).unwrap().version.as_deref(), version);
    }
}

#[test]
fn every_feature_is_read() {
    let usual = Features { user_initialize: Some(false), ..Features::default() };
    let table: [(Change, Features); 7] = [
        (|flags| flags.direct_login = false, Features { direct_login: false, ..usual.clone() }),
        (
            |flags| flags.org_creation_only = true,
            Features { superusers_org_creation_only: true, ..usual.clone() },
        ),
        (
            |flags| flags.full_access = true,
            Features { superusers_full_access: true, ..usual.clone() },
        ),
        (
            |flags| flags.restricted_users = true,
            Features { restricted_users: true, ..usual.clone() },
        ),
        (
            |flags| flags.user_initialize = true,
            Features { user_initialize: Some(true), ..usual.clone() },
        ),
        (
            |flags| flags.anonymous_access = false,
            Features { anonymous_access: false, ..usual.clone() },
        ),
        (
            |flags| flags.extended_names = false,
            Features { extended_repository_names: false, ..usual.clone() },
        ),
    ];
    for (change, features) in table {
        let scene = Scene::new();
        scene.sandbox.quay.set_flags(change);
        assert_eq!(scene.run(scene.client().about()).unwrap().features, features);
    }
}

#[test]
fn features_that_are_not_named_have_quays_defaults() {
    let scene = Scene::new();
    scene.traffic().fault(Fault::on("GET", "/config").status(200).body(r#"{"features": {}}"#));
    assert_eq!(scene.run(scene.client().about()).unwrap().features, Features::default());
}

#[test]
fn another_token_starts_without_the_troubles_of_the_old_one() {
    let scene = Scene::new();
    scene.sandbox.quay.set_flags(|flags| flags.readonly = true);
    let client = scene.client_with("0123456789012345678901234567890123456789");
    assert_eq!(scene.run(client.try_token(None)).unwrap_err().kind, ErrorKind::Unauthorized);
    assert_eq!(client.troubles().len(), 2, "{:?}", client.troubles());
    let other =
        client.with_token(Some(SecretString::from(scene.sandbox.quay.admin_token()))).unwrap();
    assert_eq!(other.troubles(), [QuayProblem::ReadOnly], "which is Quay's, not the token's");
    assert_eq!(scene.run(other.try_token(None)).unwrap().user.as_deref(), Some(ADMIN));
    assert!(matches!(client.with_token(Some(SecretString::from("a b"))), Err(OptionsError::Token)));
}

#[test]
fn a_token_of_a_superuser_sees_everything() {
    let scene = Scene::linked();
    scene.sandbox.quay.add_organization("theirs", "alice");
    let trial = try_token(&scene, &scene.sandbox.quay.admin_token(), None);
    let expected = TokenInfo {
        user: Some(ADMIN.into()),
        superuser: Some(true),
        lacks: vec![],
        organizations: Some(names(&[ORGANIZATION, "theirs"])),
        sees_all: true,
    };
    assert_eq!(trial, expected);
    assert_eq!(scene.requests(), 2 + 1, "the third is the configuration");
}

#[test]
fn what_a_token_lacks_is_found_out() {
    let scene = Scene::linked();
    let quay = &scene.sandbox.quay;
    quay.add_team(ORGANIZATION, "devs", TeamRole::Creator, &["alice"]);
    let table: [(&str, &[&str], Vec<QuayProblem>, usize); 7] = [
        (ADMIN, &["user:admin", "org:admin", "repo:admin"], vec![], 2),
        (ADMIN, &["user:admin"], vec![lacks("org:admin")], 3),
        (ADMIN, &["user:read", "org:admin"], vec![lacks("user:admin")], 3),
        (ADMIN, &["user:read"], vec![lacks("user:admin"), lacks("org:admin")], 3),
        (ADMIN, &["org:admin"], vec![lacks("user:admin")], 2),
        (ADMIN, &["super:user"], vec![lacks("user:admin")], 2),
        // A member who owns nothing lacks nothing that a token could have.
        ("alice", &["user:admin", "org:admin"], vec![], 3),
    ];
    for (user, scopes, expected, calls) in table {
        let client = scene.client_with(&quay.add_token(user, scopes));
        scene.run(client.about()).unwrap();
        scene.requests();
        let trial = scene.run(client.try_token(None)).unwrap();
        assert_eq!(trial.lacks, expected, "{user} {scopes:?}");
        assert_eq!(client.troubles(), expected);
        assert_eq!(scene.requests(), calls, "{user} {scopes:?}");
    }
}

#[test]
fn what_is_known_of_a_token_is_not_tried() {
    let scene = Scene::linked();
    let token = scene.sandbox.quay.add_token(ADMIN, &["user:admin"]);
    let client = scene.client_with(&token);
    scene.run(client.about()).unwrap();
    scene.requests();
    let trial = scene.run(client.try_token(Some(&[Scope::UserAdmin]))).unwrap();
    assert_eq!(trial.lacks, [lacks("org:admin"), lacks("repo:admin")]);
    assert_eq!((trial.superuser, trial.sees_all), (None, false));
    assert_eq!(scene.requests(), 1);

    let alice = scene.sandbox.quay.add_full_token("alice");
    assert_eq!(try_token(&scene, &alice, Some(&Scope::ALL)).superuser, Some(false));
}

#[test]
fn a_superuser_who_may_change_nothing_is_none() {
    let scene = Scene::linked();
    scene.sandbox.quay.add_user("auditor", true);
    scene.sandbox.quay.set_flags(|flags| flags.readonly_superusers = names(&["auditor"]));
    assert_eq!(
        try_token(&scene, &scene.sandbox.quay.add_full_token("auditor"), None).superuser,
        Some(false)
    );
}
