use sandbox::quay::TeamRole;

use super::*;
use crate::domain::Role;

fn assert_linked(scene: &Scene, organization: &Organization) {
    assert!(organization.administered);
    assert_eq!(organization.adopted_by, None);
    let robots = organization.robots.as_ref().unwrap();
    assert_eq!(robots.len(), 3);
    for name in ROBOTS {
        let robot = organization.robot(name).unwrap();
        assert_eq!(token(robot), Some(scene.current_token(name).as_str()));
        assert_eq!(robot.mark, Some(ours()));
        assert_eq!(robot.repositories, names(&REPOSITORIES));
    }
    let mut roles: Vec<_> = organization
        .default_permissions
        .as_ref()
        .unwrap()
        .iter()
        .map(|found| (found.robot.as_str(), found.role))
        .collect();
    roles.sort_unstable();
    assert_eq!(
        roles,
        [("builder", Role::Write), ("default", Role::Read), ("deployer", Role::Read)]
    );
    assert_eq!(organization.repositories, Ok(names(&REPOSITORIES)));
}

#[test]
fn a_healthy_organization_costs_three_requests_or_two() {
    let scene = Scene::linked();
    for (depth, requests) in
        [(ReadStrategy::Full, 3), (ReadStrategy::Minimal, 2), (ReadStrategy::AssumeNew, 3)]
    {
        let organization = scene.read(&scene.client(), depth).unwrap().unwrap();
        assert_linked(&scene, &organization);
        assert_eq!(scene.requests(), requests, "{depth:?}");
    }
}

#[test]
fn a_missing_organization_costs_one_request_to_who_expects_it() {
    let scene = Scene::new();
    for (depth, requests) in
        [(ReadStrategy::Full, 4), (ReadStrategy::Minimal, 3), (ReadStrategy::AssumeNew, 1)]
    {
        let client = scene.client();
        assert!(scene.read(&client, depth).unwrap().is_none(), "{depth:?}");
        assert_eq!(scene.requests(), requests, "{depth:?}");
        assert_eq!(client.troubles(), []);
    }
}

#[test]
fn a_missing_organization_is_missing_to_a_superuser_with_full_access() {
    let scene = Scene::new();
    scene.sandbox.quay.set_flags(|flags| flags.full_access = true);
    for (depth, requests) in
        [(ReadStrategy::Full, 3), (ReadStrategy::Minimal, 2), (ReadStrategy::AssumeNew, 1)]
    {
        assert!(scene.read(&scene.client(), depth).unwrap().is_none(), "{depth:?}");
        assert_eq!(scene.requests(), requests, "{depth:?}");
    }
}

#[test]
fn repositories_that_no_robot_account_shows_are_looked_for() {
    let scene = Scene::linked();
    for (depth, requests) in [(ReadStrategy::Minimal, 3), (ReadStrategy::AssumeNew, 4)] {
        let organization = scene
            .read_for(&scene.client(), depth, &claim_of(ours()), &["api", "new"])
            .unwrap()
            .unwrap();
        assert_eq!(organization.repositories, Ok(names(&REPOSITORIES)), "{depth:?}");
        assert_eq!(scene.requests(), requests, "{depth:?}");
    }
}

#[test]
fn repositories_come_in_pages() {
    let scene = Scene::linked();
    for n in 0..250 {
        scene.sandbox.quay.add_repository(ORGANIZATION, &format!("r{n}"), ADMIN);
    }
    let organization = scene.read(&scene.client(), ReadStrategy::Full).unwrap().unwrap();
    assert_eq!(organization.repositories.unwrap().len(), 253);
    assert_eq!(scene.requests(), 5);
}

#[test]
fn a_robot_account_of_a_similar_organization_is_not_ours() {
    let scene = Scene::linked();
    // Quay's list matches `_` like SQL does.
    scene.sandbox.quay.add_organization("prodxapp", ADMIN);
    scene.sandbox.quay.add_robot("prodxapp", "stranger", "");
    scene.sandbox.quay.add_prototype(ORGANIZATION, "prodxapp+stranger", RepoRole::Read);
    scene.sandbox.quay.add_repository("prodxapp", "theirs", ADMIN);
    scene.sandbox.quay.set_permission(
        "prodxapp",
        "theirs",
        "prodxapp+stranger",
        Some(RepoRole::Read),
    );
    for depth in [ReadStrategy::Full, ReadStrategy::Minimal] {
        let organization = scene.read(&scene.client(), depth).unwrap().unwrap();
        assert_linked(&scene, &organization);
    }
}

#[test]
fn default_permissions_of_people_are_not_ours() {
    let scene = Scene::linked();
    scene.sandbox.quay.add_prototype(ORGANIZATION, "alice", RepoRole::Admin);
    let organization = scene.read(&scene.client(), ReadStrategy::Full).unwrap().unwrap();
    assert_linked(&scene, &organization);
}

#[test]
fn shows_an_adoption_to_everybody_who_reads_the_robot_accounts() {
    let scene = Scene::linked();
    let stranger = mark_of("integration-2", "api.prod:6443", "uid-2");
    let next = mark_of("integration-3", "api.prod:6443", "uid-3");
    let client = scene.client();
    for adopter in [&stranger, &stranger, &next] {
        scene
            .run(client.adopt(ORGANIZATION, &adopter.to_string(), &["builder".to_owned()]))
            .unwrap();
        scene.requests();
        for mark in [&stranger, &ours()] {
            let organization = scene
                .read_for(&client, ReadStrategy::Minimal, &claim_of(mark.clone()), &REPOSITORIES)
                .unwrap()
                .unwrap();
            assert_eq!((organization.adopted_by.as_ref(), scene.requests()), (Some(adopter), 3));
        }
        assert_eq!(scene.run(client.marks(ORGANIZATION)).unwrap(), std::slice::from_ref(adopter));
        scene.requests();
    }
}

#[test]
fn an_adoption_keeps_teams_of_others() {
    let scene = Scene::linked();
    let (client, quay) = (scene.client(), &scene.sandbox.quay);
    let stranger = mark_of("integration-2", "api.prod:6443", "uid-2");
    quay.add_team(
        ORGANIZATION,
        "oc-quay",
        TeamRole::Admin,
        &["alice", &format!("{ORGANIZATION}+default")],
    );
    scene.run(client.adopt(ORGANIZATION, &stranger.to_string(), &["builder".to_owned()])).unwrap();
    let organization = scene.read(&client, ReadStrategy::Minimal).unwrap().unwrap();
    assert_eq!(organization.adopted_by, Some(stranger));
    let adopted: Vec<_> =
        organization.robots.unwrap().into_iter().filter(|robot| robot.is_adopted).collect();
    assert_eq!(adopted.iter().map(|robot| robot.name.as_str()).collect::<Vec<_>>(), ["builder"]);
    assert!(quay.teams(ORGANIZATION).contains(&("oc-quay".to_owned(), TeamRole::Admin)));

    quay.describe_team(ORGANIZATION, "oc-quay-owner", "of people, too");
    let error = scene.run(client.adopt(ORGANIZATION, &ours().to_string(), &[])).unwrap_err();
    assert!(error.to_string().contains("oc-quay did not create"), "{error}");
}

#[test]
fn reads_an_adoption_of_version_0_where_it_can_matter() {
    let scene = Scene::linked();
    let (client, quay) = (scene.client(), &scene.sandbox.quay);
    let stranger = mark_of("", "api.other:6443", "uid-2");
    let organization = scene
        .read_for(&client, ReadStrategy::Full, &claim_of(stranger.clone()), &REPOSITORIES)
        .unwrap()
        .unwrap();
    assert_eq!(
        (organization.adopted_by, scene.requests()),
        (None, 4),
        "a foreign mark makes us ask"
    );

    quay.add_team(ORGANIZATION, "oc-quay", TeamRole::Member, &[]);
    quay.describe_team(
        ORGANIZATION,
        "oc-quay",
        "oc-quay cluster=api.other:6443 namespace=app uid=uid-2",
    );
    for depth in
        [ReadStrategy::Full, ReadStrategy::Minimal, ReadStrategy::AssumeNew, ReadStrategy::Owner]
    {
        let organization = scene
            .read_for(&client, depth, &claim_of(stranger.clone()), &REPOSITORIES)
            .unwrap()
            .unwrap();
        assert_eq!(organization.adopted_by, Some(stranger.clone()), "{depth:?}");
    }
    scene.requests();
    let organization = scene.read(&client, ReadStrategy::Minimal).unwrap().unwrap();
    assert_eq!(
        (organization.adopted_by, scene.requests()),
        (None, 2),
        "a healthy namespace costs no more"
    );
    // Whoever deletes it is told.
    let organization = scene.read(&client, ReadStrategy::Owner).unwrap().unwrap();
    assert_eq!((organization.adopted_by, scene.requests()), (Some(stranger), 2));
}

#[test]
fn an_unmarked_organization_is_blank_only_where_it_is_empty_and_nobody_elses() {
    let blank = |arrange: &dyn Fn(&sandbox::quay::Quay)| {
        let scene = Scene::new();
        scene.sandbox.quay.set_flags(|flags| flags.full_access = true);
        arrange(&scene.sandbox.quay);
        let answers =
            [ReadStrategy::Full, ReadStrategy::Minimal, ReadStrategy::AssumeNew].map(|depth| {
                let organization = scene
                    .read_for(&scene.client(), depth, &claim_of(ours()), &[])
                    .unwrap()
                    .unwrap();
                assert!(organization.administered, "{depth:?}");
                organization.is_blank
            });
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        answers[0]
    };
    assert!(blank(&|quay| quay.add_organization(ORGANIZATION, ADMIN)));
    assert!(
        !blank(&|quay| quay.add_organization(ORGANIZATION, "alice")),
        "a superuser with full access is no owner"
    );
    assert!(!blank(&|quay| {
        quay.add_organization(ORGANIZATION, ADMIN);
        quay.add_repository(ORGANIZATION, "images", ADMIN);
    }));
    assert!(!blank(&|quay| {
        quay.add_organization(ORGANIZATION, ADMIN);
        quay.add_team(ORGANIZATION, "people", TeamRole::Member, &["alice"]);
    }));
}

#[test]
fn what_the_list_of_3_12_holds_back_is_asked_one_by_one() {
    let scene = Scene::linked();
    let quay = &scene.sandbox.quay;
    quay.add_user("boss", true);
    let client = scene.client_with(&quay.add_full_token("boss"));
    quay.set_flags(|flags| {
        flags.full_access = true;
        flags.release = sandbox::quay::Release::V3_12;
    });
    for (depth, requests) in [(ReadStrategy::Full, 3 + 3 * 2), (ReadStrategy::AssumeNew, 4 + 3 * 2)]
    {
        let organization = scene.read(&client, depth).unwrap().unwrap();
        assert_linked(&scene, &organization);
        assert_eq!(scene.requests(), requests, "{depth:?}");
    }
}

#[test]
fn the_contents_of_an_organization_are_counted() {
    let scene = Scene::linked();
    let quay = &scene.sandbox.quay;
    for n in 0..120 {
        quay.push_tag(ORGANIZATION, "web", &format!("v{n}")).unwrap();
    }
    quay.push_tag(ORGANIZATION, "api", "latest").unwrap();
    quay.add_repository(ORGANIZATION, "team/nested", ADMIN);
    quay.push_tag(ORGANIZATION, "team/nested", "latest").unwrap();
    let contents = scene.run(scene.client().contents(ORGANIZATION)).unwrap();
    let expected = [("api", 1), ("team/nested", 1), ("web", 120), ("worker", 0)];
    assert_eq!(contents, expected.map(|(name, tags)| (name.to_owned(), tags)));
}

#[test]
fn a_list_that_never_ends_is_given_up() {
    let scene = Scene::linked();
    let page = r#"{"repositories":[{"name":"api"}],"next_page":"again"}"#;
    scene.traffic().fault(Fault::on("GET", "/repository?").status(200).body(page));
    let organization = scene.read(&scene.client(), ReadStrategy::Full).unwrap().unwrap();
    assert_eq!(
        organization.repositories.unwrap_err().reason,
        "Quay gives the same page again and again"
    );
}
