use super::*;
use crate::domain::snapshot::{Grant, ProbeOutcome, ReadErrorKind, RegistryCredentials};

const ALL: Grant = Grant { pull: true, push: true };
const PULL: Grant = Grant { pull: true, push: false };
const NOTHING: Grant = Grant { pull: false, push: false };

fn credentials(robot: &str, password: &str) -> RegistryCredentials {
    RegistryCredentials {
        username: format!("{ORGANIZATION}+{robot}"),
        password: SecretString::from(password),
    }
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
fn probes_permissions_of_credentials() {
    let scene = Scene::linked();
    // The registry does not need an OAuth token.
    let client = Quay::new(Options { token: None, ..scene.options() }).unwrap();
    let probe = |robot: &str| {
        let credentials = credentials(robot, &scene.current_token(robot));
        scene.run(
            client
                .probe(&credentials, &wanted(&[("api", true), ("web", false), ("nosuch", false)])),
        )
    };
    assert_eq!(probe("builder"), granted(&[("api", ALL), ("web", PULL), ("nosuch", NOTHING)]));
    assert_eq!(scene.requests(), 2);
    assert_eq!(probe("default"), granted(&[("api", PULL), ("web", PULL), ("nosuch", NOTHING)]));
    assert_eq!(scene.requests(), 1, "the token service is looked up once");
    assert_eq!(scene.sandbox.quay.repositories(ORGANIZATION), REPOSITORIES);
}

#[test]
fn failed_probes_are_unknown() {
    let scene = Scene::linked();
    let client = scene.client();
    let probe = || {
        scene.run(client.probe(
            &credentials("builder", &scene.current_token("builder")),
            &wanted(&[("api", true)]),
        ))
    };
    for (fault, reason) in [
        (Fault::on("GET", "/v2/").times(1).html(200), "the response is not from a registry"),
        (Fault::on("GET", "/v2/").times(1).html(401), "the response is not from a registry"),
        (
            Fault::on("GET", "/v2/").times(1).html(404),
            "the response is not from Quay's API (404 Not Found)",
        ),
        (Fault::on("GET", "/v2/auth").html(200), "the response is not from a registry"),
    ] {
        scene.traffic().clear_faults();
        scene.traffic().fault(fault);
        match probe() {
            ProbeOutcome::Unknown(unread) => {
                assert_eq!((unread.reason.as_str(), unread.kind), (reason, ReadErrorKind::Failed));
            }
            outcome => panic!("{outcome:?}"),
        }
    }
    scene.traffic().clear_faults();
    assert_eq!(probe(), granted(&[("api", ALL)]), "failures are not cached");
}
