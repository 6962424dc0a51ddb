use sandbox::quay::{ApplicationView, Release};

use super::*;
use crate::quay::{ErrorKind, IssuedToken, QuayError, Scope, TokenRequest};

const HOME: &str = "openshift-integration";
const APPLICATION: &str = "openshift";
const RELEASES: [Release; 4] = [Release::V3_12, Release::V3_17, Release::V3_18, Release::Master];

fn wanted() -> TokenRequest {
    TokenRequest {
        organization: HOME.into(),
        application: APPLICATION.into(),
        client_id: None,
        scopes: Scope::ALL.to_vec(),
        expiry: None,
    }
}

fn issue(scene: &Scene, user: &str, wanted: &TokenRequest) -> Result<IssuedToken, QuayError> {
    let mut session = scene.session(user);
    scene.requests();
    let issued = scene.run(session.issue(wanted));
    if let Err(error) = &issued {
        scene.assert_no_secret_in(&format!("{error} {error:?}"));
    }
    issued
}

fn at(release: Release) -> Scene {
    let scene = Scene::new();
    scene.sandbox.quay.set_flags(|flags| flags.release = release);
    scene
}

fn has_json_api(release: Release) -> bool {
    release >= Release::V3_18
}

fn only_application(scene: &Scene) -> ApplicationView {
    let mut found = scene.sandbox.quay.applications(HOME);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn uses_the_first_of_several_applications() {
    let scene = Scene::new();
    let quay = &scene.sandbox.quay;
    quay.add_organization(HOME, ADMIN);
    let ids = [APPLICATION, APPLICATION].map(|name| quay.add_application(HOME, name, ""));
    assert_eq!(issue(&scene, ADMIN, &wanted()).unwrap().client_id, ids[0]);
    let given = TokenRequest { client_id: Some(ids[1].clone()), ..wanted() };
    assert_eq!(issue(&scene, ADMIN, &given).unwrap().client_id, ids[1]);
    assert_eq!(scene.requests(), 1, "no application is listed");
}

#[test]
fn names_a_missing_application() {
    for release in RELEASES {
        let scene = at(release);
        scene.sandbox.quay.add_organization(HOME, ADMIN);
        let given = TokenRequest { client_id: Some("NOSUCHCLIENT".into()), ..wanted() };
        let error = issue(&scene, ADMIN, &given).unwrap_err();
        let kind = if has_json_api(release) { ErrorKind::NotFound } else { ErrorKind::Forbidden };
        assert_eq!(error.kind, kind, "{release:?} {error}");
        assert!(error.reason.contains("no application NOSUCHCLIENT"), "{error}");
    }
}

#[test]
fn omits_super_user_for_other_users() {
    for release in RELEASES {
        let scene = at(release);
        let issued = issue(&scene, "alice", &wanted()).unwrap();
        assert_eq!(
            issued.scopes.contains(&Scope::SuperUser),
            !has_json_api(release),
            "{release:?}"
        );
        let token = only_application(&scene).tokens.remove(0);
        assert_eq!((token.scope, token.user.as_str()), (Scope::join(&issued.scopes), "alice"));
    }
}

#[test]
fn explains_an_organization_name_in_use() {
    for release in RELEASES {
        let scene = at(release);
        scene.sandbox.quay.add_organization(HOME, ADMIN);
        let error = issue(&scene, "alice", &wanted()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Exists, "{release:?}");
        assert!(error.reason.contains("that alice is not allowed to administer"), "{error}");
        for user in [ADMIN, "alice"] {
            let error =
                issue(&scene, ADMIN, &TokenRequest { organization: user.into(), ..wanted() })
                    .unwrap_err();
            assert_eq!(error.kind, ErrorKind::Exists, "{release:?} {error}");
        }
        assert_eq!(scene.sandbox.quay.applications(HOME), []);
    }
}

#[test]
fn quotes_quays_error_for_an_invalid_name() {
    let scene = Scene::new();
    let error = issue(&scene, ADMIN, &TokenRequest { organization: "Bad Name".into(), ..wanted() })
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("failed to create organization Bad Name: Quay answered 400: "),
        "{error}"
    );
}

#[test]
fn quotes_quays_token_limit() {
    let scene = Scene::new();
    scene.sandbox.quay.set_flags(|flags| flags.max_application_tokens = Some(0));
    let error = issue(&scene, ADMIN, &wanted()).unwrap_err();
    assert!(error.reason.contains("Token limit reached"), "{error}");
}

#[test]
fn issues_if_quay_has_another_hostname() {
    for release in RELEASES {
        let scene = at(release);
        let url = scene.sandbox.quay.url().replace("127.0.0.1", "localhost");
        let options =
            Options { url: QuayUrl::parse(&url).unwrap().0, token: None, ..scene.options() };
        let client = Quay::new(options).unwrap();
        let mut session = scene.run(client.sign_in(ADMIN, &scene.password(ADMIN))).unwrap();
        scene.run(session.issue(&wanted())).unwrap();
    }
    // Without the configuration the client uses its own address.
    let scene = at(Release::V3_17);
    scene.traffic().fault(Fault::on("GET", "/config").html(404));
    let url = scene.sandbox.quay.url().replace("127.0.0.1", "localhost");
    let options = Options { url: QuayUrl::parse(&url).unwrap().0, token: None, ..scene.options() };
    let mut session =
        scene.run(Quay::new(options).unwrap().sign_in(ADMIN, &scene.password(ADMIN))).unwrap();
    let error = scene.run(session.issue(&wanted())).unwrap_err();
    assert!(
        error.reason.contains("/oauth/localapp") && error.reason.contains("SERVER_HOSTNAME"),
        "{error}"
    );
    scene.assert_no_secret_in(&format!("{error} {error:?}"));
}

#[test]
fn lost_responses_create_no_duplicates() {
    // The request, and its fault.
    let table: [(&str, AddFault); 6] = [
        ("/api/v1/organization/", Fault::drop_after),
        ("/api/v1/organization/", Fault::drop_before),
        ("/applications", Fault::drop_after),
        ("/applications", Fault::drop_before),
        ("/applications", |fault| fault.html(502)),
        ("/applications", |fault| fault.html(429)),
    ];
    in_parallel(
        RELEASES.into_iter().flat_map(|release| table.map(|(path, fault)| (release, path, fault))),
        |(release, path, fault)| {
            let scene = at(release);
            let mut session = scene.session(ADMIN);
            let is_organization = !path.ends_with("applications");
            let path = if is_organization {
                path.to_owned()
            } else {
                format!("/api/v1/organization/{HOME}{path}")
            };
            scene.traffic().fault(fault(Fault::on("POST", &path).whole_path().times(1)));
            let issued = scene.run(session.issue(&wanted())).unwrap();
            assert!(
                issued.organization_created && issued.application_created,
                "{release:?} {path}"
            );
            assert_eq!(only_application(&scene).tokens.len(), 1, "{release:?} {path}");
        },
    );
}

#[test]
fn does_not_retry_a_token_request() {
    for (release, path) in [(Release::Master, "/tokens"), (Release::V3_17, "/oauth/authorizeapp")] {
        let scene = at(release);
        scene.traffic().fault(Fault::on("POST", path).drop_after());
        let error = issue(&scene, ADMIN, &wanted()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Server, "{error}");
        assert!(
            error.reason.ends_with("check the tokens of the application in the Quay UI"),
            "{error}"
        );
        assert_eq!(only_application(&scene).tokens.len(), 1);
    }
}

#[test]
fn issues_with_a_password_without_direct_login() {
    for release in RELEASES {
        for direct_login in [true, false] {
            let scene = at(release);
            let quay = &scene.sandbox.quay;
            quay.set_flags(|flags| flags.direct_login = direct_login);
            quay.add_organization(HOME, "alice");
            let client_id = quay.add_application(HOME, APPLICATION, "");
            let password = scene.password("alice");
            let scopes = [Scope::OrgAdmin, Scope::UserAdmin];
            let token = scene
                .run(scene.anonymous().issue_with_password("alice", &password, &client_id, &scopes))
                .unwrap();
            assert_eq!(scene.requests(), 3, "CSRF token, configuration and form");
            let tokens = only_application(&scene).tokens;
            assert_eq!(
                (tokens[0].token.as_str(), tokens[0].scope.as_str()),
                (token.expose_secret(), "org:admin user:admin")
            );
            assert_eq!(quay.open_sessions("alice"), 0);
        }
    }
}
