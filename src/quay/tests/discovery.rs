use super::*;
use crate::domain::integration::QuayProblem;
use crate::quay::{ErrorKind, Features, OptionsError, Scope, TokenInfo};
use sandbox::quay::{Flags, Release, TeamRole};

type SetFlags = fn(&mut Flags);

fn missing_scope(scope: &str) -> QuayProblem {
    QuayProblem::TokenLacksScope { scope: scope.into() }
}

fn check_token(scene: &Scene, token: &str, known: Option<&[Scope]>) -> TokenInfo {
    scene.run(scene.client_with(token).check_token(known)).unwrap()
}

#[test]
fn reads_the_version_of_each_release() {
    let table = [
        (Release::V3_12, None),
        (Release::V3_17, Some("Quay v3.17.4")),
        (Release::V3_18, Some("Quay v3.18.0")),
        (Release::Master, Some("Quay v3.11.0")),
    ];
    for (release, version) in table {
        let scene = Scene::new();
        scene.sandbox.quay.set_flags(|flags| flags.release = release);
        assert_eq!(scene.run(scene.client().server_info()).unwrap().version.as_deref(), version);
    }
}

#[test]
fn reads_each_feature() {
    let usual = Features { user_initialize: Some(false), ..Features::default() };
    let table: [(SetFlags, Features); 7] = [
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
        assert_eq!(scene.run(scene.client().server_info()).unwrap().features, features);
    }
}

#[test]
fn absent_features_have_quays_defaults() {
    let scene = Scene::new();
    scene.traffic().fault(Fault::on("GET", "/config").status(200).body(r#"{"features": {}}"#));
    assert_eq!(scene.run(scene.client().server_info()).unwrap().features, Features::default());
}

#[test]
fn another_token_starts_without_token_problems() {
    let scene = Scene::new();
    scene.sandbox.quay.set_flags(|flags| flags.readonly = true);
    let client = scene.client_with("0123456789012345678901234567890123456789");
    assert_eq!(scene.run(client.check_token(None)).unwrap_err().kind, ErrorKind::Unauthorized);
    assert_eq!(client.problems().len(), 2, "{:?}", client.problems());
    let other =
        client.with_token(Some(SecretString::from(scene.sandbox.quay.admin_token()))).unwrap();
    assert_eq!(other.problems(), [QuayProblem::ReadOnly], "which is Quay's, not the token's");
    assert_eq!(scene.run(other.check_token(None)).unwrap().user.as_deref(), Some(ADMIN));
    assert!(matches!(client.with_token(Some(SecretString::from("a b"))), Err(OptionsError::Token)));
}

#[test]
fn superuser_token_sees_all_organizations() {
    let scene = Scene::linked();
    scene.sandbox.quay.add_organization("theirs", "alice");
    let info = check_token(&scene, &scene.sandbox.quay.admin_token(), None);
    let expected = TokenInfo {
        user: Some(ADMIN.into()),
        superuser: Some(true),
        problems: vec![],
        organizations: Some(names(&[ORGANIZATION, "theirs"])),
        has_all_organizations: true,
    };
    assert_eq!(info, expected);
    assert_eq!(scene.requests(), 2 + 1, "the third is the configuration");
}

#[test]
fn finds_missing_scopes() {
    let scene = Scene::linked();
    let quay = &scene.sandbox.quay;
    quay.add_team(ORGANIZATION, "devs", TeamRole::Creator, &["alice"]);
    let table: [(&str, &[&str], Vec<QuayProblem>, usize); 7] = [
        (ADMIN, &["user:admin", "org:admin", "repo:admin"], vec![], 2),
        (ADMIN, &["user:admin"], vec![missing_scope("org:admin")], 3),
        (ADMIN, &["user:read", "org:admin"], vec![missing_scope("user:admin")], 3),
        (ADMIN, &["user:read"], vec![missing_scope("user:admin"), missing_scope("org:admin")], 3),
        (ADMIN, &["org:admin"], vec![missing_scope("user:admin")], 2),
        (ADMIN, &["super:user"], vec![missing_scope("user:admin")], 2),
        // A member who is not an administrator: no scope is missing.
        ("alice", &["user:admin", "org:admin"], vec![], 3),
    ];
    for (user, scopes, expected, calls) in table {
        let client = scene.client_with(&quay.add_token(user, scopes));
        scene.run(client.server_info()).unwrap();
        scene.requests();
        let info = scene.run(client.check_token(None)).unwrap();
        assert_eq!(info.problems, expected, "{user} {scopes:?}");
        assert_eq!(client.problems(), expected);
        assert_eq!(scene.requests(), calls, "{user} {scopes:?}");
    }
}

#[test]
fn known_scopes_are_not_checked() {
    let scene = Scene::linked();
    let token = scene.sandbox.quay.add_token(ADMIN, &["user:admin"]);
    let client = scene.client_with(&token);
    scene.run(client.server_info()).unwrap();
    scene.requests();
    let info = scene.run(client.check_token(Some(&[Scope::UserAdmin]))).unwrap();
    assert_eq!(info.problems, [missing_scope("org:admin"), missing_scope("repo:admin")]);
    assert_eq!((info.superuser, info.has_all_organizations), (None, false));
    assert_eq!(scene.requests(), 1);

    let alice = scene.sandbox.quay.add_full_token("alice");
    assert_eq!(check_token(&scene, &alice, Some(&Scope::ALL)).superuser, Some(false));
}

#[test]
fn readonly_superuser_is_not_a_superuser() {
    let scene = Scene::linked();
    scene.sandbox.quay.add_user("auditor", true);
    scene.sandbox.quay.set_flags(|flags| flags.readonly_superusers = names(&["auditor"]));
    assert_eq!(
        check_token(&scene, &scene.sandbox.quay.add_full_token("auditor"), None).superuser,
        Some(false)
    );
}
