use super::*;
use crate::domain::integration::QuayProblem;
use crate::domain::snapshot::ReadErrorKind;
use crate::quay::ErrorKind;

const DEPTHS: [ReadStrategy; 3] =
    [ReadStrategy::Full, ReadStrategy::Minimal, ReadStrategy::AssumeNew];

fn lacks(scope: &str) -> QuayProblem {
    QuayProblem::TokenLacksScope { scope: scope.into() }
}

fn assert_refused(scene: &Scene, client: &Quay, depth: ReadStrategy) {
    let organization = scene.read(client, depth).unwrap().unwrap();
    assert!(!organization.administered, "{depth:?}");
    assert_eq!(organization.robots.unwrap_err().kind, ReadErrorKind::Forbidden, "{depth:?}");
    assert_eq!(
        organization.default_permissions.unwrap_err().kind,
        ReadErrorKind::Forbidden,
        "{depth:?}"
    );
    assert_eq!(organization.repositories.unwrap_err().kind, ReadErrorKind::Forbidden, "{depth:?}");
}

#[test]
fn members_of_a_team_see_robot_accounts_but_administer_nothing() {
    let scene = Scene::linked();
    let quay = &scene.sandbox.quay;
    quay.add_team(ORGANIZATION, "devs", sandbox::quay::TeamRole::Creator, &["alice"]);
    let token = quay.add_full_token("alice");
    for depth in DEPTHS {
        let client = scene.client_with(&token);
        assert_refused(&scene, &client, depth);
        assert_eq!(client.troubles(), []);
    }
}

#[test]
fn an_owner_whose_token_may_not_administer_lacks_a_scope() {
    let scene = Scene::linked();
    // With repo:create the owner still passes for a member, without it for a stranger.
    for scopes in [
        &["repo:create", "user:admin"][..],
        &["repo:read", "user:admin"],
        &["super:user", "user:admin"],
    ] {
        let token = scene.sandbox.quay.add_token(ADMIN, scopes);
        for depth in DEPTHS {
            let client = scene.client_with(&token);
            assert_refused(&scene, &client, depth);
            assert_eq!(client.troubles(), [lacks("org:admin")], "{scopes:?} {depth:?}");
        }
    }
}

#[test]
fn the_diagnosis_is_made_once() {
    let scene = Scene::linked();
    let client = scene.client_with(&scene.sandbox.quay.add_full_token("alice"));
    assert_refused(&scene, &client, ReadStrategy::AssumeNew);
    assert_eq!(scene.requests(), 2 + 2);
    assert_refused(&scene, &client, ReadStrategy::AssumeNew);
    scene.run(client.diagnose());
    assert_eq!(scene.requests(), 2);
}

#[test]
fn a_token_that_is_not_accepted_ends_it_all() {
    let scene = Scene::linked();
    for anonymous_access in [true, false] {
        scene.sandbox.quay.set_flags(|flags| flags.anonymous_access = anonymous_access);
        for depth in DEPTHS {
            let client = scene.client_with("0123456789012345678901234567890123456789");
            let unread = scene.read(&client, depth).unwrap_err();
            assert_eq!(unread.kind, ReadErrorKind::Skipped, "{depth:?}");
            assert_eq!(
                client.troubles(),
                [QuayProblem::TokenRefused {
                    reason: "Quay does not accept the token (401)".into()
                }]
            );
            scene.requests();
            assert_eq!(scene.read(&client, depth).unwrap_err().kind, ReadErrorKind::Skipped);
            scene.run(client.create_repository(ORGANIZATION, "new")).unwrap_err();
            assert_eq!(scene.requests(), 0, "nothing is asked twice");
        }
    }
}

#[test]
fn the_diagnosis_tells_what_keeps_organizations_from_being_created() {
    let scene = Scene::new();
    let quay = &scene.sandbox.quay;
    let full = quay.add_full_token("alice");
    let diagnose = |token: &str| {
        let client = scene.client_with(token);
        scene.run(client.diagnose());
        client.troubles()
    };
    assert_eq!(diagnose(&full), []);
    assert_eq!(
        diagnose(&quay.add_token("alice", &["user:read", "org:admin"])),
        [lacks("user:admin")]
    );

    let right =
        QuayProblem::UserLacksRight { user: "alice".into(), right: "create organizations".into() };
    quay.set_flags(|flags| flags.org_creation_only = true);
    assert_eq!(diagnose(&full).as_slice(), std::slice::from_ref(&right));
    assert_eq!(diagnose(&quay.admin_token()), []);
    quay.set_flags(|flags| {
        flags.org_creation_only = false;
        flags.restricted_users = true;
    });
    assert_eq!(diagnose(&full).as_slice(), std::slice::from_ref(&right));
    assert_eq!(diagnose(&quay.admin_token()), []);

    let client = scene.client_with(&full);
    assert_eq!(
        scene.run(client.create_organization("new", &claim_of(ours()))).unwrap_err().kind,
        ErrorKind::Forbidden
    );
    assert_eq!(client.troubles(), [right], "a refusal is explained");

    quay.set_flags(|flags| flags.release = sandbox::quay::Release::V3_12);
    let client = scene.client_with(&quay.admin_token());
    scene.run(client.diagnose());
    assert_eq!(client.troubles(), [], "the whitelist may name the superuser");
    assert_eq!(
        scene.run(client.create_organization("new", &claim_of(ours()))).unwrap_err().kind,
        ErrorKind::Forbidden
    );
    let right = QuayProblem::UserLacksRight {
        user: "quayadmin".into(),
        right: "create organizations".into(),
    };
    assert_eq!(client.troubles(), [right], "3.12 refuses superusers too");
}

#[test]
fn read_only_mode_is_noticed_in_the_configuration_and_in_a_refusal() {
    let scene = Scene::linked();
    scene.sandbox.quay.set_flags(|flags| flags.readonly = true);
    let client = scene.client();
    scene.run(client.check_state());
    assert_eq!(client.troubles(), [QuayProblem::ReadOnly]);
    assert!(scene.run(client.about()).unwrap().read_only);

    let client = scene.client();
    scene.requests();
    let error = scene.run(client.create_robot(ORGANIZATION, "new", "")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::ReadOnly);
    assert_eq!(client.troubles(), [QuayProblem::ReadOnly]);
    assert_eq!(scene.requests(), 1, "waiting does not help");
    assert!(
        scene.read(&client, ReadStrategy::Full).unwrap().unwrap().administered,
        "reading still works"
    );
}
