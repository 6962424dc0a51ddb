use sandbox::quay::TeamRole;

use super::*;
use crate::domain::Role;
use crate::quay::ErrorKind;

/// Roles of a robot account's default permissions.
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

/// A client whose circuit breaker does not open at the first failure.
fn connected_client(scene: &Scene) -> Quay {
    let client = scene.client();
    scene.run(client.server_info()).unwrap();
    scene.traffic().clear();
    client
}

#[test]
fn explains_a_name_in_use() {
    let scene = Scene::linked();
    let client = scene.client();
    let error = scene.run(client.create_organization("alice", &claim_of(ours()))).unwrap_err();
    assert_eq!(error.reason, "the name is used by a user");
    scene.run(client.delete_organization(ORGANIZATION)).unwrap();
    let error = scene.run(client.create_organization(ORGANIZATION, &claim_of(ours()))).unwrap_err();
    assert!(error.reason.contains("was just deleted"), "{error}");
}

#[test]
fn uses_a_concurrent_organization_only_without_owner() {
    let create_concurrently = |prepare: &dyn Fn(&Scene)| {
        let scene = Scene::new();
        scene.sandbox.quay.add_organization(ORGANIZATION, ADMIN);
        prepare(&scene);
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
    assert_eq!(
        create_concurrently(&|_| ()),
        Ok(()),
        "created by another run, or the response was lost"
    );
    assert_eq!(create_concurrently(&robot(ours())), Ok(()), "another run is linking it");
    type Preparation<'a> = &'a dyn Fn(&Scene);
    let errors: [(Preparation, &str); 6] = [
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
    for (prepare, code) in errors {
        let error = create_concurrently(prepare).unwrap_err();
        assert!(error.contains(&format!("oc quay explain {code}")), "{error}");
    }
}

#[test]
fn rereads_an_organization_that_another_run_links() {
    let scene = Scene::new();
    let quay = scene.sandbox.quay.clone();
    quay.add_organization(ORGANIZATION, ADMIN);
    let link = move || {
        quay.add_robot(ORGANIZATION, "builder", &ours().to_string()).unwrap();
        quay.add_repository(ORGANIZATION, "api", ADMIN);
    };
    scene.traffic().fault(Fault::on("GET", "/robots").nth(1).after(link));
    scene.run(scene.client().create_organization(ORGANIZATION, &claim_of(ours()))).unwrap();
}

#[test]
fn deletes_new_organization_if_robots_are_disallowed() {
    let scene = Scene::new();
    let quay = &scene.sandbox.quay;
    quay.set_flags(|flags| flags.robots_disallow = true);
    let client = scene.client();
    scene.run(client.create_organization(ORGANIZATION, &claim_of(ours()))).unwrap();
    let error = scene.run(client.create_robot(ORGANIZATION, "builder", "")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::RobotsDisallowed);
    assert!(error.reason.contains("was deleted"), "{error}");
    assert_eq!(quay.organizations(), Vec::<String>::new());

    // An image that was pushed in between is kept.
    scene.run(client.create_organization("second", &claim_of(ours()))).unwrap();
    quay.add_repository("second", "api", ADMIN);
    let error = scene.run(client.create_robot("second", "builder", "")).unwrap_err();
    assert!(error.reason.contains("second is kept: it has repositories"), "{error}");

    // An existing organization is kept.
    quay.add_organization(ORGANIZATION, ADMIN);
    let client = scene.client();
    scene.run(client.create_robot(ORGANIZATION, "builder", "")).unwrap_err();
    assert_eq!(quay.organizations(), [ORGANIZATION, "second"]);
}

#[test]
fn takes_ownership_of_organizations_only() {
    let scene = Scene::new();
    let quay = &scene.sandbox.quay;
    quay.add_organization(ORGANIZATION, "alice");
    let client = scene.client();
    for _ in 0..2 {
        scene.run(client.take_ownership(ORGANIZATION)).unwrap();
    }
    assert!(scene.read(&client, ReadStrategy::Full).unwrap().unwrap().administered);
    // Quay would convert the user to an organization.
    assert_eq!(scene.run(client.take_ownership("alice")).unwrap_err().kind, ErrorKind::NotFound);
    assert!(!quay.organizations().contains(&"alice".to_owned()));
}

/// Faults that lose the first response, or the first request.
fn lost() -> [(&'static str, AddFault); 2] {
    [("response", Fault::drop_after), ("request", Fault::drop_before)]
}

#[test]
fn lost_response_creates_no_second_default_permission() {
    for (what, lose) in lost() {
        let scene = Scene::linked();
        scene.sandbox.quay.add_robot(ORGANIZATION, "pipeline", "");
        let client = connected_client(&scene);
        scene.traffic().fault(lose(Fault::on("POST", "/prototypes").nth(1)));
        scene.run(client.create_default_permission(ORGANIZATION, "pipeline", Role::Write)).unwrap();
        assert_eq!(roles(&scene, "pipeline"), [RepoRole::Write], "{what}");
    }
}

#[test]
fn creates_default_permissions_despite_a_lost_connection() {
    let scene = Scene::linked();
    for name in ["one", "two", "three", "four"] {
        scene.sandbox.quay.add_robot(ORGANIZATION, name, "");
    }
    let client = connected_client(&scene);
    scene.traffic().set_latency(Duration::from_millis(100));
    // All four are in flight on one HTTP/2 connection.
    scene.traffic().fault(Fault::on("POST", "/prototypes").nth(4).drop_after());
    let create = |name| client.create_default_permission(ORGANIZATION, name, Role::Read);
    scene.run(futures::future::try_join_all(["one", "two", "three", "four"].map(create))).unwrap();
    for name in ["one", "two", "three", "four"] {
        assert_eq!(roles(&scene, name), [RepoRole::Read], "{name}");
    }
    assert_eq!(client.problems(), []);
}

#[test]
fn writes_succeed_despite_lost_responses() {
    let [response, request] = lost();
    in_parallel(
        [(true, response), (false, response), (true, request), (false, request)],
        |(http2, (what, lose))| {
            let scene = Scene::start(sandbox::Options { http2, ..Default::default() });
            let client = connected_client(&scene);
            scene.traffic().fault(lose(Fault::on("POST", "/organization/").nth(1)));
            scene.traffic().fault(lose(Fault::on("PUT", "/robots/").nth(1)));
            scene.traffic().fault(lose(Fault::on("POST", "/repository").nth(1)));
            scene.traffic().fault(lose(Fault::on("PUT", "/permissions/").nth(1)));
            scene.run(async {
                client.create_organization(ORGANIZATION, &claim_of(ours())).await.unwrap();
                let token = client.create_robot(ORGANIZATION, "builder", "").await.unwrap();
                assert_eq!(token.expose_secret(), scene.current_token("builder"), "{what}");
                client.create_repository(ORGANIZATION, "api").await.unwrap();
                client
                    .set_repository_permission(ORGANIZATION, "api", "builder", Role::Write)
                    .await
                    .unwrap();
            });
            assert_eq!(
                scene.sandbox.quay.permissions(ORGANIZATION, "api")["prod_app+builder"],
                RepoRole::Write
            );

            scene.traffic().fault(lose(Fault::on("POST", "/regenerate").nth(1)));
            let previous = scene.current_token("builder");
            let new = scene.run(client.rotate_robot(ORGANIZATION, "builder")).unwrap();
            assert_eq!(new.expose_secret(), scene.current_token("builder"), "{what}");
            assert_ne!(new.expose_secret(), previous, "{what}");

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
fn lost_renewal_responses_return_the_valid_token() {
    let scene = Scene::linked();
    let client = connected_client(&scene);
    scene.traffic().fault(Fault::on("POST", "/regenerate").drop_after());
    let token = scene.run(client.rotate_robot(ORGANIZATION, "builder")).unwrap();
    assert_eq!(token.expose_secret(), scene.current_token("builder"));
}

#[test]
fn retries_the_first_permission_after_a_race() {
    let scene = Scene::linked();
    let client = scene.client();
    scene.traffic().fault(Fault::on("PUT", "/permissions/").nth(1).html(500));
    scene
        .run(client.set_repository_permission(ORGANIZATION, "api", "default", Role::Write))
        .unwrap();
    assert_eq!(
        scene.sandbox.quay.permissions(ORGANIZATION, "api")["prod_app+default"],
        RepoRole::Write
    );

    let error = scene
        .run(client.set_repository_permission(ORGANIZATION, "nosuch", "default", Role::Write))
        .unwrap_err();
    assert_eq!((error.kind, error.status), (ErrorKind::Server, Some(500)));
    assert_eq!(error.reason, "Quay answered 500 Internal Server Error");
}
