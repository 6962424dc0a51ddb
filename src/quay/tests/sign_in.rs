use super::*;
use crate::quay::{ErrorKind, QuayError, Session};

impl Scene {
    /// A client without a token.
    pub(super) fn anonymous(&self) -> Quay {
        Quay::new(Options { token: None, ..self.options() }).unwrap()
    }

    pub(super) fn password(&self, user: &str) -> SecretString {
        SecretString::from(self.sandbox.quay.password(user).unwrap())
    }

    pub(super) fn session(&self, user: &str) -> Session {
        self.run(self.anonymous().sign_in(user, &self.password(user))).unwrap()
    }

    /// Asserts that the text has none of Quay's secrets.
    pub(super) fn assert_no_secret_in(&self, text: &str) {
        for secret in self.sandbox.quay.secrets() {
            assert!(!text.contains(&secret), "a secret in {text}");
        }
    }
}

fn sign_in_error(scene: &Scene, user: &str, password: &str) -> QuayError {
    scene.run(scene.anonymous().sign_in(user, &SecretString::from(password))).unwrap_err()
}

#[test]
fn sends_no_password_over_plain_http() {
    let scene = Scene::new();
    let url = scene.sandbox.quay.url().replace("https://", "http://");
    let options = Options {
        url: QuayUrl::parse(&url).unwrap().0,
        insecure: true,
        token: None,
        ..scene.options()
    };
    let client = Quay::new(options).unwrap();
    let password = scene.password("alice");
    let errors = [
        scene.run(client.sign_in("alice", &password)).unwrap_err(),
        scene.run(client.initialize("alice", &password, "alice@example.com")).unwrap_err(),
        scene.run(client.issue_with_password("alice", &password, "CLIENT", &[])).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, ErrorKind::PlainHttp, "{error}");
    }
    assert_eq!(scene.requests(), 0);
}

#[test]
fn does_not_retry_to_sign_in() {
    let faults: [AddFault; 5] = [
        Fault::drop_before,
        Fault::drop_after,
        |fault| fault.html(502),
        |fault| fault.html(503),
        |fault| fault.html(429),
    ];
    in_parallel(faults, |fault| {
        let scene = Scene::new();
        scene.traffic().fault(fault(Fault::on("POST", "/signin")));
        let error = sign_in_error(&scene, "alice", &scene.sandbox.quay.password("alice").unwrap());
        assert!(matches!(error.kind, ErrorKind::Server | ErrorKind::RateLimited), "{error:?}");
        assert_eq!(scene.traffic().count("POST signin"), 1);
        scene.assert_no_secret_in(&format!("{error} {error:?}"));
    });
}

#[test]
fn checks_for_users_without_creating_one() {
    let table =
        [(true, true, true), (true, false, false), (false, true, false), (false, false, false)];
    for (feature, empty, expected) in table {
        let scene = Scene::new();
        scene.sandbox.quay.set_flags(|flags| flags.user_initialize = feature);
        if empty {
            scene.sandbox.quay.empty();
        }
        scene.requests();
        assert_eq!(
            scene.run(scene.anonymous().has_no_users()).unwrap(),
            expected,
            "{feature} {empty}"
        );
        assert_eq!(scene.requests(), 1);
        assert_eq!(scene.sandbox.quay.password("oc-quay"), None);
    }
    let scene = Scene::new();
    scene.traffic().fault(Fault::on("POST", "/initialize").html(500));
    assert_eq!(scene.run(scene.anonymous().has_no_users()).unwrap_err().kind, ErrorKind::Server);
}

/// An empty Quay with FEATURE_USER_INITIALIZE.
fn empty() -> Scene {
    let scene = Scene::new();
    scene.sandbox.quay.set_flags(|flags| flags.user_initialize = true);
    scene.sandbox.quay.empty();
    scene
}

#[test]
fn signs_in_after_a_lost_response_to_initialize() {
    let scene = empty();
    let password = SecretString::from("correct-horse");
    scene.traffic().fault(Fault::on("POST", "/initialize").drop_after());
    let session =
        scene.run(scene.anonymous().initialize("admin", &password, "admin@example.com")).unwrap();
    assert_eq!(session.user(), "admin");
    assert_eq!(scene.traffic().count("POST initialize"), 1);

    let scene = empty();
    scene.traffic().fault(Fault::on("POST", "/initialize").drop_before());
    let error = scene
        .run(scene.anonymous().initialize("admin", &password, "admin@example.com"))
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Server);
}
