use sandbox::quay::TeamRole;

use super::*;
use crate::domain::Role;
use crate::quay::ErrorKind;

/// The roles of the default permissions of a robot account.
fn roles(scene: &Scene, robot: &str) -> Vec<RepoRole> {
    let delegate = format!("{ORGANIZATION}+{robot}");
    let found = scene
        .sandbox
        .quay
        .prototypes(ORGANIZATION)
        .into_iter()
        .filter(|found| found.delegate == delegate);
    found.map(|found| found.role).collect()
}

/// A client that has been answered before, so that the stand-in gets its faults before our patience ends.
fn acquainted(scene: &Scene) -> Quay {
    let client = scene.client();
    scene.run(client.about()).unwrap();
    scene.traffic().clear();
    client
}

#[test]
fn a_name_that_is_not_free_is_explained() {
    let scene = Scene::linked();
    let client = scene.client();
    let error = scene.run(client.create_organization("alice", &claim_of(ours()))).unwrap_err();
    assert_eq!(error.reason, "the name is taken by a user");
    scene.run(client.delete_organization(ORGANIZATION)).unwrap();
    let error = scene.run(client.create_organization(ORGANIZATION, &claim_of(ours()))).unwrap_err();
    assert!(error.reason.contains("was just deleted"), "{error}");
}

#[test]
fn takes_an_organization_that_appeared_only_where_nothing_is_of_others() {
    let is_taken = |furnish: &dyn Fn(&Scene)| {
        let scene = Scene::new();
        scene.sandbox.quay.add_organization(ORGANIZATION, ADMIN);
        furnish(&scene);
        let outcome =
            scene.run(scene.client().create_organization(ORGANIZATION, &claim_of(ours())));
        outcome.map_err(|error| error.reason)
    };
    let robot = |mark: OwnershipMark| {
        move |scene: &Scene| {
            scene.sandbox.quay.add_robot(ORGANIZATION, "builder", &mark.to_string()).unwrap();
            scene.sandbox.quay.add_repository(ORGANIZATION, "api", ADMIN);
        }
    };
    assert_eq!(is_taken(&|_| ()), Ok(()), "another run was faster, or the answer to ours was lost");
    assert_eq!(is_taken(&robot(ours())), Ok(()), "another run is at work in it");
    type Arrangement<'a> = &'a dyn Fn(&Scene);
    let refusals: [(Arrangement<'_>, &str); 6] = [
        (&|scene| scene.sandbox.quay.add_repository(ORGANIZATION, "theirs", ADMIN), "OQ206"),
        (&|scene| drop(scene.sandbox.quay.add_robot(ORGANIZATION, "theirs", "")), "OQ206"),
        (
            &|scene| drop(scene.sandbox.quay.add_prototype(ORGANIZATION, "alice", RepoRole::Read)),
            "OQ206",
        ),
        (
            &|scene| scene.sandbox.quay.add_team(ORGANIZATION, "theirs", TeamRole::Member, &[]),
            "OQ206",
        ),
        (&robot(mark_of("integration-1", "api.prod:6443", "uid-0")), "OQ205"),
        (&robot(mark_of("integration-2", "api.other:6443", "uid-2")), "OQ204"),
    ];
    for (furnish, code) in refusals {
        let refusal = is_taken(furnish).unwrap_err();
        assert!(refusal.contains(&format!("oc quay explain {code}")), "{refusal}");
    }
}

#[test]
fn looks_again_at_an_organization_that_another_run_furnishes() {
    let scene = Scene::new();
    let quay = scene.sandbox.quay.clone();
    quay.add_organization(ORGANIZATION, ADMIN);
    let furnish = move || {
        quay.add_robot(ORGANIZATION, "builder", &ours().to_string()).unwrap();
        quay.add_repository(ORGANIZATION, "api", ADMIN);
    };
    scene.traffic().fault(Fault::on("GET", "/robots").nth(1).after(furnish));
    scene.run(scene.client().create_organization(ORGANIZATION, &claim_of(ours()))).unwrap();
}

#[test]
fn leaves_no_organization_without_robot_accounts_behind() {
    let scene = Scene::new();
    let quay = &scene.sandbox.quay;
    quay.set_flags(|flags| flags.robots_disallow = true);
    let client = scene.client();
    scene.run(client.create_organization(ORGANIZATION, &claim_of(ours()))).unwrap();
    let error = scene.run(client.create_robot(ORGANIZATION, "builder", "")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::RobotsDisallowed);
    assert!(error.reason.contains("was deleted again"), "{error}");
    assert_eq!(quay.organizations(), Vec::<String>::new());

    // An image that was pushed in between is not lost.
    scene.run(client.create_organization("second", &claim_of(ours()))).unwrap();
    quay.add_repository("second", "api", ADMIN);
    let error = scene.run(client.create_robot("second", "builder", "")).unwrap_err();
    assert!(error.reason.contains("second is kept, since it has repositories"), "{error}");

    // An organization of an earlier run is kept.
    quay.add_organization(ORGANIZATION, ADMIN);
    let client = scene.client();
    scene.run(client.create_robot(ORGANIZATION, "builder", "")).unwrap_err();
    assert_eq!(quay.organizations(), [ORGANIZATION, "second"]);
}

#[test]
fn ownership_is_taken_of_organizations_only() {
    let scene = Scene::new();
    let quay = &scene.sandbox.quay;
    quay.add_organization(ORGANIZATION, "alice");
    let client = scene.client();
    for _ in 0..2 {
        scene.run(client.take_ownership(ORGANIZATION)).unwrap();
    }
    assert!(scene.read(&client, ReadStrategy::Full).unwrap().unwrap().administered);
    // Quay itself would turn the person into an organization.
    assert_eq!(scene.run(client.take_ownership("alice")).unwrap_err().kind, ErrorKind::NotFound);
    assert!(!quay.organizations().contains(&"alice".to_owned()));
}

/// Whether the answer to the first try is lost, or the request itself.
fn lost() -> [(&'static str, Harm); 2] {
    [("answer", Fault::drop_after), ("request", Fault::drop_before)]
}

#[test]
fn a_default_permission_is_not_doubled_when_the_answer_is_lost() {
    for (what, lose) in lost() {
        let scene = Scene::linked();
        scene.sandbox.quay.add_robot(ORGANIZATION, "pipeline", "");
        let client = acquainted(&scene);
        scene.traffic().fault(lose(Fault::on("POST", "/prototypes").nth(1)));
        scene.run(client.create_default_permission(ORGANIZATION, "pipeline", Role::Write)).unwrap();
        assert_eq!(roles(&scene, "pipeline"), [RepoRole::Write], "{what}");
    }
}

#[test]
fn default_permissions_survive_that_their_connection_breaks() {
    let scene = Scene::linked();
    for name in ["one", "two", "three", "four"] {
        scene.sandbox.quay.add_robot(ORGANIZATION, name, "");
    }
    let client = acquainted(&scene);
    scene.traffic().set_latency(Duration::from_millis(100));
    // All four are under way on one HTTP/2 connection.
    scene.traffic().fault(Fault::on("POST", "/prototypes").nth(4).drop_after());
    let create = |name| client.create_default_permission(ORGANIZATION, name, Role::Read);
    scene.run(futures::future::try_join_all(["one", "two", "three", "four"].map(create))).unwrap();
    for name in ["one", "two", "three", "four"] {
        assert_eq!(roles(&scene, name), [RepoRole::Read], "{name}");
    }
    assert_eq!(client.troubles(), []);
}

#[test]
fn a_lost_answer_harms_nothing() {
    let [answer, request] = lost();
    at_once(
        [(true, answer), (false, answer), (true, request), (false, request)],
        |(http2, (what, lose))| {
            let scene = Scene::start(sandbox::Options { http2, ..Default::default() });
            let client = acquainted(&scene);
            scene.traffic().fault(lose(Fault::on("POST", "/organization/").nth(1)));
            scene.traffic().fault(lose(Fault::on("PUT", "/robots/").nth(1)));
            scene.traffic().fault(lose(Fault::on("POST", "/repository").nth(1)));
            scene.traffic().fault(lose(Fault::on("PUT", "/permissions/").nth(1)));
            scene.run(async {
                client.create_organization(ORGANIZATION, &claim_of(ours())).await.unwrap();
                let token = client.create_robot(ORGANIZATION, "builder", "").await.unwrap();
                assert_eq!(token.expose_secret(), scene.current_token("builder"), "{what}");
                client.create_repository(ORGANIZATION, "api").await.unwrap();
                client.grant(ORGANIZATION, "api", "builder", Role::Write).await.unwrap();
            });
            assert_eq!(
                scene.sandbox.quay.permissions(ORGANIZATION, "api")["prod_app+builder"],
                RepoRole::Write
            );

            scene.traffic().fault(lose(Fault::on("POST", "/regenerate").nth(1)));
            let old = scene.current_token("builder");
            let new = scene.run(client.rotate_robot(ORGANIZATION, "builder")).unwrap();
            assert_eq!(new.expose_secret(), scene.current_token("builder"), "{what}");
            assert_ne!(new.expose_secret(), old, "{what}");

            scene.traffic().fault(lose(Fault::on("DELETE", "/robots/").nth(1)));
            scene.run(client.delete_robot(ORGANIZATION, "builder")).unwrap();
            scene.traffic().clear_faults();
            scene.traffic().fault(lose(Fault::on("DELETE", "/organization/").nth(1)));
            scene.run(client.delete_organization(ORGANIZATION)).unwrap();
            assert!(scene.sandbox.quay.organizations().is_empty(), "{what}");
        },
    );
}

#[test]
fn a_renewal_whose_answers_are_all_lost_gives_the_token_that_is_valid() {
    let scene = Scene::linked();
    let client = acquainted(&scene);
    scene.traffic().fault(Fault::on("POST", "/regenerate").drop_after());
    let token = scene.run(client.rotate_robot(ORGANIZATION, "builder")).unwrap();
    assert_eq!(token.expose_secret(), scene.current_token("builder"));
}

#[test]
fn the_loser_of_a_race_for_the_first_right_tries_again() {
    let scene = Scene::linked();
    let client = scene.client();
    scene.traffic().fault(Fault::on("PUT", "/permissions/").nth(1).html(500));
    scene.run(client.grant(ORGANIZATION, "api", "default", Role::Write)).unwrap();
    assert_eq!(
        scene.sandbox.quay.permissions(ORGANIZATION, "api")["prod_app+default"],
        RepoRole::Write
    );

    let error =
        scene.run(client.grant(ORGANIZATION, "nosuch", "default", Role::Write)).unwrap_err();
    assert_eq!((error.kind, error.status), (ErrorKind::Server, Some(500)));
    assert_eq!(error.reason, "Quay answered 500 Internal Server Error");
}
