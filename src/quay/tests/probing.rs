use super::*;
use crate::domain::snapshot::{Grant, Login, ProbeOutcome, ReadErrorKind};

const ALL: Grant = Grant { pull: true, push: true };
const PULL: Grant = Grant { pull: true, push: false };
const NOTHING: Grant = Grant { pull: false, push: false };

fn login(robot: &str, password: &str) -> Login {
    Login { username: format!("{ORGANIZATION}+{robot}"), password: SecretString::from(password) }
}

fn wanted(repositories: &[(&str, bool)]) -> Vec<(String, bool)> {
    repositories.iter().map(|(name, push)| (format!("{ORGANIZATION}/{name}"), *push)).collect()
}

fn granted(grants: &[(&str, Grant)]) -> ProbeOutcome {
    ProbeOutcome::Granted(
        grants.iter().map(|(name, grant)| (format!("{ORGANIZATION}/{name}"), *grant)).collect(),
    )
}

#[test]
fn a_login_shows_what_it_may_do() {
    let scene = Scene::linked();
    // The registry needs no token of ours.
    let client = Quay::new(Options { token: None, ..scene.options() }).unwrap();
    let probe = |robot: &str| {
        let login = login(robot, &scene.current_token(robot));
        scene
            .run(client.probe(&login, &wanted(&[("api", true), ("web", false), ("nosuch", false)])))
    };
    assert_eq!(probe("builder"), granted(&[("api", ALL), ("web", PULL), ("nosuch", NOTHING)]));
    assert_eq!(scene.requests(), 2);
    assert_eq!(probe("default"), granted(&[("api", PULL), ("web", PULL), ("nosuch", NOTHING)]));
    assert_eq!(scene.requests(), 1, "where to log in is asked once");
    assert_eq!(scene.sandbox.quay.repositories(ORGANIZATION), REPOSITORIES);
}

#[test]
fn a_registry_that_cannot_be_asked_is_unknown() {
    let scene = Scene::linked();
    let client = scene.client();
    let ask =
        || {
            scene.run(client.probe(
                &login("builder", &scene.current_token("builder")),
                &wanted(&[("api", true)]),
            ))
        };
    for (fault, reason) in [
        (
            Fault::on("GET", "/v2/").times(1).html(200),
            "the address answered something that is not a registry",
        ),
        (
            Fault::on("GET", "/v2/").times(1).html(401),
            "the address answered something that is not a registry",
        ),
        (
            Fault::on("GET", "/v2/").times(1).html(404),
            "the address answered something that is not Quay's API (404 Not Found)",
        ),
        (
            Fault::on("GET", "/v2/auth").html(200),
            "the address answered something that is not a registry",
        ),
    ] {
        scene.traffic().clear_faults();
        scene.traffic().fault(fault);
        match ask() {
            ProbeOutcome::Unknown(unread) => {
                assert_eq!((unread.reason.as_str(), unread.kind), (reason, ReadErrorKind::Failed));
            }
            outcome => panic!("{outcome:?}"),
        }
    }
    scene.traffic().clear_faults();
    assert_eq!(ask(), granted(&[("api", ALL)]), "a failure is not remembered");
}
