use super::*;
use crate::domain::integration::QuayProblem;
use crate::domain::snapshot::ReadErrorKind;
use crate::quay::ErrorKind;

const STRATEGIES: [ReadStrategy; 3] =
    [ReadStrategy::Full, ReadStrategy::Minimal, ReadStrategy::AssumeNew];

fn missing_scope(scope: &str) -> QuayProblem {
    QuayProblem::TokenLacksScope { scope: scope.into() }
}

fn assert_forbidden(scene: &Scene, client: &Quay, strategy: ReadStrategy) {
    let organization = scene.read(client, strategy).unwrap().unwrap();
    assert!(!organization.administered, "{strategy:?}");
    assert_eq!(organization.robots.unwrap_err().kind, ReadErrorKind::Forbidden, "{strategy:?}");
    assert_eq!(
        organization.default_permissions.unwrap_err().kind,
        ReadErrorKind::Forbidden,
        "{strategy:?}"
    );
    assert_eq!(
        organization.repositories.unwrap_err().kind,
        ReadErrorKind::Forbidden,
        "{strategy:?}"
    );
}

#[test]
fn team_members_are_not_administrators() {
    let scene = Scene::linked();
    let quay = &scene.sandbox.quay;
    quay.add_team(ORGANIZATION, "devs", sandbox::quay::TeamRole::Creator, &["alice"]);
    let token = quay.add_full_token("alice");
    for strategy in STRATEGIES {
        let client = scene.client_with(&token);
        assert_forbidden(&scene, &client, strategy);
        assert_eq!(client.problems(), []);
    }
}

#[test]
fn owner_without_org_admin_lacks_the_scope() {
    let scene = Scene::linked();
    // With repo:create Quay reports the owner as a member, without it as no member.
    for scopes in [
        &["repo:create", "user:admin"][..],
        &["repo:read", "user:admin"],
        &["super:user", "user:admin"],
    ] {
        let token = scene.sandbox.quay.add_token(ADMIN, scopes);
        for strategy in STRATEGIES {
            let client = scene.client_with(&token);
            assert_forbidden(&scene, &client, strategy);
            assert_eq!(client.problems(), [missing_scope("org:admin")], "{scopes:?} {strategy:?}");
        }
    }
}

#[test]
fn diagnoses_once() {
    let scene = Scene::linked();
    let client = scene.client_with(&scene.sandbox.quay.add_full_token("alice"));
    assert_forbidden(&scene, &client, ReadStrategy::AssumeNew);
    assert_eq!(scene.requests(), 2 + 2);
    assert_forbidden(&scene, &client, ReadStrategy::AssumeNew);
    scene.run(client.diagnose());
    assert_eq!(scene.requests(), 2);
}

#[test]
fn skips_all_calls_after_a_rejected_token() {
    let scene = Scene::linked();
    for anonymous_access in [true, false] {
        scene.sandbox.quay.set_flags(|flags| flags.anonymous_access = anonymous_access);
        for strategy in STRATEGIES {
            let client = scene.client_with("0123456789012345678901234567890123456789");
            let unread = scene.read(&client, strategy).unwrap_err();
            assert_eq!(unread.kind, ReadErrorKind::Skipped, "{strategy:?}");
            assert_eq!(
                client.problems(),
                [QuayProblem::TokenRejected { reason: "Quay rejected the token (401)".into() }]
            );
            scene.requests();
            assert_eq!(scene.read(&client, strategy).unwrap_err().kind, ReadErrorKind::Skipped);
            scene.run(client.create_repository(ORGANIZATION, "new")).unwrap_err();
            assert_eq!(scene.requests(), 0, "no more requests");
        }
    }
}

#[test]
fn diagnoses_why_organizations_cannot_be_created() {
    let scene = Scene::new();
    let quay = &scene.sandbox.quay;
    let full = quay.add_full_token("alice");
    let diagnose = |token: &str| {
        let client = scene.client_with(token);
        scene.run(client.diagnose());
        client.problems()
    };
    assert_eq!(diagnose(&full), []);
    assert_eq!(
        diagnose(&quay.add_token("alice", &["user:read", "org:admin"])),
        [missing_scope("user:admin")]
    );

    let permission = QuayProblem::UserLacksPermission {
        user: "alice".into(),
        permission: "create organizations".into(),
    };
    quay.set_flags(|flags| flags.org_creation_only = true);
    assert_eq!(diagnose(&full).as_slice(), std::slice::from_ref(&permission));
    assert_eq!(diagnose(&quay.admin_token()), []);
    quay.set_flags(|flags| {
        flags.org_creation_only = false;
        flags.restricted_users = true;
    });
    assert_eq!(diagnose(&full).as_slice(), std::slice::from_ref(&permission));
    assert_eq!(diagnose(&quay.admin_token()), []);

    let client = scene.client_with(&full);
    assert_eq!(
        scene.run(client.create_organization("new", &claim_of(ours()))).unwrap_err().kind,
        ErrorKind::Forbidden
    );
    assert_eq!(client.problems(), [permission], "the rejection is explained");

    quay.set_flags(|flags| flags.release = sandbox::quay::Release::V3_12);
    let client = scene.client_with(&quay.admin_token());
    scene.run(client.diagnose());
    assert_eq!(client.problems(), [], "the superuser might be whitelisted");
    assert_eq!(
        scene.run(client.create_organization("new", &claim_of(ours()))).unwrap_err().kind,
        ErrorKind::Forbidden
    );
    let permission = QuayProblem::UserLacksPermission {
        user: "quayadmin".into(),
        permission: "create organizations".into(),
    };
    assert_eq!(client.problems(), [permission], "3.12 rejects superusers too");
}

#[test]
fn detects_read_only_mode() {
    let scene = Scene::linked();
    scene.sandbox.quay.set_flags(|flags| flags.readonly = true);
    let client = scene.client();
    scene.run(client.check_read_only());
    assert_eq!(client.problems(), [QuayProblem::ReadOnly]);
    assert!(scene.run(client.server_info()).unwrap().read_only);

    let client = scene.client();
    scene.requests();
    let error = scene.run(client.create_robot(ORGANIZATION, "new", "")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::ReadOnly);
    assert_eq!(client.problems(), [QuayProblem::ReadOnly]);
    assert_eq!(scene.requests(), 1, "no retries");
    assert!(
        scene.read(&client, ReadStrategy::Full).unwrap().unwrap().administered,
        "reading still works"
    );
}
