use super::*;
use crate::quay::{ErrorKind, QuayError, Session};

impl Scene {
    /// A client without a token.
    pub(super) fn nobody(&self) -> Quay {
        Quay::new(Options { token: None, ..self.options() }).unwrap()
    }

    pub(super) fn password(&self, user: &str) -> SecretString {
        SecretString::from(self.sandbox.quay.password(user).unwrap())
    }

    pub(super) fn session(&self, user: &str) -> Session {
        self.run(self.nobody().sign_in(user, &self.password(user))).unwrap()
    }

    /// None of Quay's secrets stands in the text.
    pub(super) fn assert_no_secret_in(&self, text: &str) {
        for secret in self.sandbox.quay.secrets() {
            assert!(!text.contains(&secret), "a secret stands in {text}");
        }
    }
}

fn refused(scene: &Scene, user: &str, password: &str) -> QuayError {
    scene.run(scene.nobody().sign_in(user, &SecretString::from(password))).unwrap_err()
}

#[test]
fn nothing_is_sent_over_plain_http() {
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
fn a_sign_in_without_an_answer_is_not_repeated() {
    let harms: [Harm; 5] = [
        Fault::drop_before,
        Fault::drop_after,
        |it| it.html(502),
        |it| it.html(503),
        |it| it.html(429),
    ];
    at_once(harms, |harm| {
        let scene = Scene::new();
        scene.traffic().fault(harm(Fault::on("POST", "/signin")));
        let error = refused(&scene, "alice", &scene.sandbox.quay.password("alice").unwrap());
        assert!(matches!(error.kind, ErrorKind::Server | ErrorKind::RateLimited), "{error:?}");
        assert_eq!(scene.traffic().count("POST signin"), 1);
        scene.assert_no_secret_in(&format!("{error} {error:?}"));
    });
}

#[test]
fn whether_a_quay_is_empty_is_asked_without_creating_anything() {
    let table =
        [(true, true, true), (true, false, false), (false, true, false), (false, false, false)];
    for (feature, empty, expected) in table {
        let scene = Scene::new();
        scene.sandbox.quay.set_flags(|flags| flags.user_initialize = feature);
        if empty {
            scene.sandbox.quay.empty();
        }
        scene.requests();
        assert_eq!(scene.run(scene.nobody().is_empty()).unwrap(), expected, "{feature} {empty}");
        assert_eq!(scene.requests(), 1);
        assert_eq!(scene.sandbox.quay.password("oc-quay"), None);
    }
    let scene = Scene::new();
    scene.traffic().fault(Fault::on("POST", "/initialize").html(500));
    assert_eq!(scene.run(scene.nobody().is_empty()).unwrap_err().kind, ErrorKind::Server);
}

/// An empty Quay that lets its first user be made.
fn empty() -> Scene {
    let scene = Scene::new();
    scene.sandbox.quay.set_flags(|flags| flags.user_initialize = true);
    scene.sandbox.quay.empty();
    scene
}

#[test]
fn a_first_user_whose_answer_was_lost_signs_in() {
    let scene = empty();
    let password = SecretString::from("correct-horse");
    scene.traffic().fault(Fault::on("POST", "/initialize").drop_after());
    let session =
        scene.run(scene.nobody().initialize("admin", &password, "admin@example.com")).unwrap();
    assert_eq!(session.user(), "admin");
    assert_eq!(scene.traffic().count("POST initialize"), 1);

    let scene = empty();
    scene.traffic().fault(Fault::on("POST", "/initialize").drop_before());
    let error =
        scene.run(scene.nobody().initialize("admin", &password, "admin@example.com")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Server);
}
