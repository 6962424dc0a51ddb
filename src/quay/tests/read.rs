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
fn reads_a_linked_organization_in_two_or_three_requests() {
    let scene = Scene::linked();
    for (strategy, requests) in
        [(ReadStrategy::Full, 3), (ReadStrategy::Minimal, 2), (ReadStrategy::AssumeNew, 3)]
    {
        let organization = scene.read(&scene.client(), strategy).unwrap().unwrap();
        assert_linked(&scene, &organization);
        assert_eq!(scene.requests(), requests, "{strategy:?}");
    }
}

#[test]
fn assume_new_reads_a_missing_one_in_one_request() {
    let scene = Scene::new();
    for (strategy, requests) in
        [(ReadStrategy::Full, 4), (ReadStrategy::Minimal, 3), (ReadStrategy::AssumeNew, 1)]
    {
        let client = scene.client();
        assert!(scene.read(&client, strategy).unwrap().is_none(), "{strategy:?}");
        assert_eq!(scene.requests(), requests, "{strategy:?}");
        assert_eq!(client.problems(), []);
    }
}

#[test]
fn full_access_superuser_sees_missing_organization() {
    let scene = Scene::new();
    scene.sandbox.quay.set_flags(|flags| flags.full_access = true);
    for (strategy, requests) in
        [(ReadStrategy::Full, 3), (ReadStrategy::Minimal, 2), (ReadStrategy::AssumeNew, 1)]
    {
        assert!(scene.read(&scene.client(), strategy).unwrap().is_none(), "{strategy:?}");
        assert_eq!(scene.requests(), requests, "{strategy:?}");
    }
}

#[test]
fn lists_repositories_that_robot_accounts_do_not_show() {
    let scene = Scene::linked();
    for (strategy, requests) in [(ReadStrategy::Minimal, 3), (ReadStrategy::AssumeNew, 4)] {
        let organization = scene
            .read_for(&scene.client(), strategy, &claim_of(ours()), &["api", "new"])
            .unwrap()
            .unwrap();
        assert_eq!(organization.repositories, Ok(names(&REPOSITORIES)), "{strategy:?}");
        assert_eq!(scene.requests(), requests, "{strategy:?}");
    }
}

#[test]
fn reads_all_pages_of_repositories() {
    let scene = Scene::linked();
    for n in 0..250 {
        scene.sandbox.quay.add_repository(ORGANIZATION, &format!("r{n}"), ADMIN);
    }
    let organization = scene.read(&scene.client(), ReadStrategy::Full).unwrap().unwrap();
    assert_eq!(organization.repositories.unwrap().len(), 253);
    assert_eq!(scene.requests(), 5);
}

#[test]
fn ignores_robot_accounts_of_similar_organizations() {
    let scene = Scene::linked();
    // Quay filters its list with SQL's LIKE.
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
    for strategy in [ReadStrategy::Full, ReadStrategy::Minimal] {
        let organization = scene.read(&scene.client(), strategy).unwrap().unwrap();
        assert_linked(&scene, &organization);
    }
}

#[test]
fn ignores_default_permissions_of_users() {
    let scene = Scene::linked();
    scene.sandbox.quay.add_prototype(ORGANIZATION, "alice", RepoRole::Admin);
    let organization = scene.read(&scene.client(), ReadStrategy::Full).unwrap().unwrap();
    assert_linked(&scene, &organization);
}

#[test]
fn shows_an_adoption_to_every_cluster() {
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
        assert_eq!(
            scene.run(client.ownership_marks(ORGANIZATION)).unwrap(),
            std::slice::from_ref(adopter)
        );
        scene.requests();
    }
}

#[test]
fn adoption_keeps_existing_teams() {
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
    assert!(error.to_string().contains("were not created by oc-quay"), "{error}");
}

#[test]
fn reads_version_0_adoptions_if_ownership_is_unclear() {
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
        "a mark of another owner requires the request"
    );

    quay.add_team(ORGANIZATION, "oc-quay", TeamRole::Member, &[]);
    quay.describe_team(
        ORGANIZATION,
        "oc-quay",
        "oc-quay cluster=api.other:6443 namespace=app uid=uid-2",
    );
    for strategy in
        [ReadStrategy::Full, ReadStrategy::Minimal, ReadStrategy::AssumeNew, ReadStrategy::Owner]
    {
        let organization = scene
            .read_for(&client, strategy, &claim_of(stranger.clone()), &REPOSITORIES)
            .unwrap()
            .unwrap();
        assert_eq!(organization.adopted_by, Some(stranger.clone()), "{strategy:?}");
    }
    scene.requests();
    let organization = scene.read(&client, ReadStrategy::Minimal).unwrap().unwrap();
    assert_eq!(
        (organization.adopted_by, scene.requests()),
        (None, 2),
        "no more requests for a linked namespace"
    );
    // Deletions read the owner.
    let organization = scene.read(&client, ReadStrategy::Owner).unwrap().unwrap();
    assert_eq!((organization.adopted_by, scene.requests()), (Some(stranger), 2));
}

#[test]
fn blank_organizations_are_empty_and_have_one_owner() {
    let blank = |arrange: &dyn Fn(&sandbox::quay::Quay)| {
        let scene = Scene::new();
        scene.sandbox.quay.set_flags(|flags| flags.full_access = true);
        arrange(&scene.sandbox.quay);
        let results =
            [ReadStrategy::Full, ReadStrategy::Minimal, ReadStrategy::AssumeNew].map(|strategy| {
                let organization = scene
                    .read_for(&scene.client(), strategy, &claim_of(ours()), &[])
                    .unwrap()
                    .unwrap();
                assert!(organization.administered, "{strategy:?}");
                organization.is_blank
            });
        assert!(results.iter().all(|result| *result == results[0]), "{results:?}");
        results[0]
    };
    assert!(blank(&|quay| quay.add_organization(ORGANIZATION, ADMIN)));
    assert!(
        !blank(&|quay| quay.add_organization(ORGANIZATION, "alice")),
        "a superuser with full access is not an owner"
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
fn reads_fields_missing_in_3_12_one_by_one() {
    let scene = Scene::linked();
    let quay = &scene.sandbox.quay;
    quay.add_user("boss", true);
    let client = scene.client_with(&quay.add_full_token("boss"));
    quay.set_flags(|flags| {
        flags.full_access = true;
        flags.release = sandbox::quay::Release::V3_12;
    });
    for (strategy, requests) in
        [(ReadStrategy::Full, 3 + 3 * 2), (ReadStrategy::AssumeNew, 4 + 3 * 2)]
    {
        let organization = scene.read(&client, strategy).unwrap().unwrap();
        assert_linked(&scene, &organization);
        assert_eq!(scene.requests(), requests, "{strategy:?}");
    }
}

#[test]
fn counts_tags_by_repository() {
    let scene = Scene::linked();
    let quay = &scene.sandbox.quay;
    for n in 0..120 {
        quay.push_tag(ORGANIZATION, "web", &format!("v{n}")).unwrap();
    }
    quay.push_tag(ORGANIZATION, "api", "latest").unwrap();
    quay.add_repository(ORGANIZATION, "team/nested", ADMIN);
    quay.push_tag(ORGANIZATION, "team/nested", "latest").unwrap();
    let counts = scene.run(scene.client().tag_counts(ORGANIZATION)).unwrap();
    let expected = [("api", 1), ("team/nested", 1), ("web", 120), ("worker", 0)];
    assert_eq!(counts, expected.map(|(name, tags)| (name.to_owned(), tags)));
}

#[test]
fn stops_at_a_pagination_loop() {
    let scene = Scene::linked();
    let page = r#"{"repositories":[{"name":"api"}],"next_page":"again"}"#;
    scene.traffic().fault(Fault::on("GET", "/repository?").status(200).body(page));
    let organization = scene.read(&scene.client(), ReadStrategy::Full).unwrap().unwrap();
    assert_eq!(
        organization.repositories.unwrap_err().reason,
        "pagination loop: Quay returned the same page twice"
    );
}
