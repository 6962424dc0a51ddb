//! `setup`: where the token comes from, and what it may do.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::quay::{ApplicationView, Flags, Release};
use sandbox::traffic::Fault;

use crate::support::{Command, STREAMS, TestEnv};

const ORGANIZATION: &str = "openshift-integration";
const ALL: &str =
    "org:admin repo:admin repo:create repo:read repo:write super:user user:admin user:read";

/// `setup` for a user who signs in with the password.
fn sign_in<'a>(env: &'a TestEnv, user: &str, arguments: &[&str]) -> Command<'a> {
    let password = env.sandbox.quay.password(user).unwrap_or_else(|| "first-password".into());
    let command =
        env.setup(&["--controller=none", "-o", "json", "--quay-username", user]).args(arguments);
    command.without_env("OC_QUAY_TOKEN").env("OC_QUAY_PASSWORD", password)
}

/// The token in the Secret.
fn stored(env: &TestEnv) -> String {
    let secret = env.get("Secret", "openshift-operators", "quay-integration").unwrap();
    String::from_utf8(STANDARD.decode(secret["data"]["token"].as_str().unwrap()).unwrap()).unwrap()
}

/// The one application, whose last token is the stored one.
#[track_caller]
fn application(env: &TestEnv) -> ApplicationView {
    let [application] = env.sandbox.quay.applications(ORGANIZATION).try_into().unwrap();
    assert_eq!(application.name, "openshift");
    assert_eq!(application.tokens.last().unwrap().token, stored(env));
    application
}

/// Nothing was stored, and no session of the user was ended.
#[track_caller]
fn assert_nothing_left(env: &TestEnv) {
    assert_eq!(env.cluster_traffic().writes().len(), 0, "{:#?}", env.cluster_traffic().writes());
    assert_keeps_sessions(env);
}

/// Quay's sign-out ends all sessions of the user, those in browsers too (sample 846c).
#[track_caller]
fn assert_keeps_sessions(env: &TestEnv) {
    assert_eq!(
        env.quay_traffic().count("POST signout"),
        0,
        "other sessions of the user were ended"
    );
}

#[test]
fn reads_token_from_file_stdin_or_environment() {
    for way in ["file", "stdin", "environment"] {
        let env = TestEnv::bare();
        let token = env.sandbox.quay.admin_token();
        let file = env.dir().join("token");
        std::fs::write(&file, format!("{token}\n")).unwrap();
        let setup = env.setup(&["--controller=none", "-o", "json"]);
        let setup = match way {
            "file" => setup
                .without_env("OC_QUAY_TOKEN")
                .args(&["--quay-token-file", file.to_str().unwrap()]),
            "stdin" => setup
                .without_env("OC_QUAY_TOKEN")
                .args(&["--quay-token-file", "-"])
                .stdin(&format!("{token}\r\n")),
            _ => setup,
        };
        let run = setup.succeeds();
        assert_eq!(run.state("token"), "alreadyDone", "{way}");
        assert_eq!(stored(&env), token, "{way}");
        assert!(
            env.quay_traffic().writes().is_empty(),
            "{way}: nothing is made in Quay for a token that is there"
        );
    }
}

#[test]
fn every_quay_release_issues_one_token() {
    for (release, has_json) in [
        (Release::V3_12, false),
        (Release::V3_17, false),
        (Release::V3_18, true),
        (Release::Master, true),
    ] {
        let env = TestEnv::bare();
        let quay = &env.sandbox.quay;
        quay.set_flags(|flags| flags.release = release);
        let run = sign_in(&env, "quayadmin", &[]).succeeds();
        assert_eq!(run.state("token"), "done", "{release:?}");
        let [token] = application(&env).tokens.try_into().unwrap();
        assert_eq!((token.user.as_str(), token.scope.as_str()), ("quayadmin", ALL), "{release:?}");
        assert_eq!(token.name.is_some(), has_json, "{release:?}");
        assert_keeps_sessions(&env);

        env.forget_traffic();
        let run = sign_in(&env, "quayadmin", &[]).succeeds();
        assert_eq!(run.state("token"), "alreadyDone", "{release:?}");
        env.assert_nothing_written();
        assert_eq!(application(&env).tokens.len(), 1, "{release:?}");
    }
}

#[test]
fn reads_password_from_file_or_stdin() {
    for source in ["file", "-"] {
        let env = TestEnv::bare();
        let password = env.sandbox.quay.password("quayadmin").unwrap();
        let file = env.dir().join("password");
        std::fs::write(&file, format!("{password}\n")).unwrap();
        let path = if source == "file" { file.to_str().unwrap() } else { source };
        let setup = sign_in(&env, "quayadmin", &["--quay-password-file", path])
            .without_env("OC_QUAY_PASSWORD");
        setup.stdin(&format!("{password}\r\n")).succeeds();
        application(&env);
    }
    let env = TestEnv::bare();
    let run = sign_in(&env, "quayadmin", &["--quay-password-file", "-", "--quay-token-file", "-"])
        .ends_with(2);
    assert!(run.stderr.contains("cannot both be read from stdin"), "{}", run.stderr);
}

/// A change of Quay's settings, with the scopes that are the least there.
type Settings = (&'static str, fn(&mut Flags), &'static str);

const PLAIN: &str = "user:admin org:admin repo:admin";
const SUPER: &str = "user:admin org:admin repo:admin super:user";

/// Settings that change what a token has to be good for, or how it is issued.
const SETTINGS: [Settings; 7] = [
    ("Quay's defaults", |_| {}, PLAIN),
    ("only superusers create organizations", |flags| flags.org_creation_only = true, SUPER),
    ("plain users create nothing", |flags| flags.restricted_users = true, SUPER),
    ("superusers may do everything", |flags| flags.full_access = true, SUPER),
    (
        "all of these",
        |flags| {
            (flags.org_creation_only, flags.restricted_users, flags.full_access) =
                (true, true, true)
        },
        SUPER,
    ),
    ("calls of browsers need not be marked", |flags| flags.xhr_only = false, PLAIN),
    ("no anonymous access", |flags| flags.anonymous_access = false, PLAIN),
];

#[test]
fn minimal_scopes_link_with_any_quay_settings() {
    for (name, change, scopes) in SETTINGS {
        for release in [Release::V3_12, Release::Master] {
            let env = TestEnv::bare();
            env.shared_namespace("shop");
            env.sandbox.quay.set_flags(|flags| {
                flags.release = release;
                change(flags);
                // 3.12 restricts superusers too.
                flags.restricted_users &= release > Release::V3_12;
            });
            let scopes = if name == "plain users create nothing" && release == Release::V3_12 {
                PLAIN
            } else {
                scopes
            };
            let plan = sign_in(&env, "quayadmin", &["--token-scopes", "minimal"]);
            let plan = plan.args(&["--allow", "shop", "--link", "shop"]);
            println!("{name} {release:?}");
            plan.succeeds();
            assert_eq!(application(&env).tokens[0].scope, scopes, "{name} {release:?}");
            env.assert_linked("shop", &STREAMS);
        }
    }
}

#[test]
fn plan_explains_each_minimal_scope() {
    let env = TestEnv::bare();
    env.sandbox.quay.set_flags(|flags| flags.full_access = true);
    let quay = &env.sandbox.quay;
    let arguments = [
        "setup",
        "--dry-run",
        "--controller=none",
        "--quay-username",
        "quayadmin",
        "--token-scopes",
        "minimal",
    ];
    let setup = env.oc_quay(&arguments).env("OC_QUAY_URL", quay.url());
    let run = setup
        .env("OC_QUAY_PASSWORD", quay.password("quayadmin").unwrap())
        .args(&["-o", "json"])
        .succeeds();
    let token = run.step("token");
    let facts: Vec<_> = token["facts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fact| fact["text"].as_str().unwrap())
        .collect();
    for scope in SUPER.split(' ') {
        let reason = facts.iter().find_map(|fact| fact.strip_prefix(&format!("{scope}: ")));
        assert!(reason.is_some_and(|reason| reason.len() > 20), "{scope}: {facts:?}");
    }
    assert!(
        token["changes"][0]["summary"].as_str().unwrap().ends_with(&format!("({SUPER})")),
        "{token}"
    );
    env.assert_nothing_written();
}

#[test]
fn signs_in_with_client_id_without_direct_login() {
    let env = TestEnv::bare();
    let quay = &env.sandbox.quay;
    quay.set_flags(|flags| flags.direct_login = false);
    let run = sign_in(&env, "quayadmin", &[]).ends_with(1);
    assert!(
        run.stdout.contains("FEATURE_DIRECT_LOGIN is off") && run.stdout.contains("--client-id"),
        "{}",
        run.stdout
    );
    assert_nothing_left(&env);

    quay.add_organization(ORGANIZATION, "quayadmin");
    let client_id = quay.add_application(ORGANIZATION, "openshift", "");
    let unknown = sign_in(&env, "quayadmin", &["--client-id", "NOSUCHAPPLICATION123"]).ends_with(1);
    assert!(unknown.stdout.contains("no application NOSUCHAPPLICATION123"), "{}", unknown.stdout);
    let wrong = sign_in(&env, "quayadmin", &["--client-id", &client_id])
        .env("OC_QUAY_PASSWORD", "wrong-password")
        .ends_with(1);
    assert!(wrong.stdout.contains("wrong user name or password"), "{}", wrong.stdout);
    quay.throttle("quayadmin", Duration::from_secs(60));
    assert_nothing_left(&env);
    let early = sign_in(&env, "quayadmin", &["--client-id", &client_id]).ends_with(1);
    assert!(early.stdout.contains("too many wrong passwords; try again in "), "{}", early.stdout);
    quay.throttle("quayadmin", Duration::ZERO);

    sign_in(&env, "quayadmin", &["--client-id", &client_id]).succeeds();
    assert_eq!(application(&env).tokens.len(), 1);
    assert_keeps_sessions(&env);
}

#[test]
fn creates_first_user_of_empty_quay() {
    let env = TestEnv::bare();
    let quay = &env.sandbox.quay;
    quay.empty();
    // Quay rejects unknown users.
    let first = ["--first-user-email", "quayadmin@example.com"];
    let off = sign_in(&env, "quayadmin", &first).ends_with(1);
    assert!(off.stdout.contains("create the first user quayadmin"), "{}", off.stdout);
    assert_nothing_left(&env);

    quay.set_flags(|flags| flags.user_initialize = true);
    let short = sign_in(&env, "quayadmin", &first).env("OC_QUAY_PASSWORD", "short").ends_with(1);
    assert!(short.stdout.contains("at least 8 characters"), "{}", short.stdout);
    assert_nothing_left(&env);

    let run = sign_in(&env, "quayadmin", &first).succeeds();
    assert_eq!(run.state("token"), "done");
    assert_eq!(application(&env).tokens[0].user, "quayadmin");
    assert_eq!(quay.password("quayadmin").as_deref(), Some("first-password"));
    assert_keeps_sessions(&env);

    env.forget_traffic();
    sign_in(&env, "quayadmin", &first).succeeds();
    env.assert_nothing_written();
}

#[test]
fn sends_wrong_password_once_and_reports_delay() {
    let env = TestEnv::bare();
    let quay = &env.sandbox.quay;
    let run =
        sign_in(&env, "quayadmin", &[]).env("OC_QUAY_PASSWORD", "wrong-password").ends_with(1);
    assert!(run.stdout.contains("wrong user name or password"), "{}", run.stdout);
    assert_eq!(quay.wrong_passwords("quayadmin"), Some(1));
    assert_nothing_left(&env);

    quay.throttle("quayadmin", Duration::from_secs(3000));
    let run = sign_in(&env, "quayadmin", &[]).ends_with(1);
    let reason = run.step("token")["reason"].as_str().unwrap().to_owned();
    let seconds =
        reason.split("try again in ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert!((2000..=3000).contains(&seconds.parse::<u32>().unwrap()), "{reason}");
    assert_eq!(env.quay_traffic().count("POST signin"), 2);
    assert_nothing_left(&env);
}

#[test]
fn signs_in_as_ordinary_user() {
    let env = TestEnv::bare();
    env.shared_namespace("shop");
    let run = sign_in(&env, "alice", &["--link", "shop"]).succeeds();
    let token = run.step("token").to_string();
    assert!(
        token.contains("alice, not a superuser")
            && token.contains("organizations will belong to alice"),
        "{token}"
    );
    env.assert_linked("shop", &STREAMS);
    drop(env);

    let closed: [fn(&mut Flags); 2] =
        [|flags| flags.org_creation_only = true, |flags| flags.restricted_users = true];
    for change in closed {
        let env = TestEnv::bare();
        env.sandbox.quay.set_flags(change);
        let run = sign_in(&env, "alice", &[]).ends_with(1);
        assert!(
            run.stdout.contains("alice is not allowed to create organizations in this Quay"),
            "{}",
            run.stdout
        );
        assert_nothing_left(&env);
    }
}

#[test]
fn reuses_organization_and_application() {
    for with_application in [false, true] {
        let env = TestEnv::bare();
        let quay = &env.sandbox.quay;
        quay.add_organization(ORGANIZATION, "quayadmin");
        let before = with_application.then(|| quay.add_application(ORGANIZATION, "openshift", ""));
        sign_in(&env, "quayadmin", &[]).succeeds();
        let application = application(&env);
        assert!(before.is_none_or(|before| before == application.client_id));
        assert_eq!(quay.organizations(), [ORGANIZATION]);
    }
    let env = TestEnv::bare();
    sign_in(
        &env,
        "quayadmin",
        &["--token-organization", "tokens", "--token-application", "controller"],
    )
    .succeeds();
    let names: Vec<_> = env
        .sandbox
        .quay
        .applications("tokens")
        .into_iter()
        .map(|application| application.name)
        .collect();
    assert_eq!(names, ["controller"]);
}

#[test]
fn rejects_organization_of_another_user() {
    let env = TestEnv::bare();
    env.sandbox.quay.add_organization(ORGANIZATION, "alice");
    let run = sign_in(&env, "quayadmin", &[]).ends_with(1);
    assert!(run.stdout.contains("quayadmin is not allowed to administer"), "{}", run.stdout);
    assert_nothing_left(&env);
    assert!(env.sandbox.quay.applications(ORGANIZATION).is_empty());
}

#[test]
fn reports_read_only_quay() {
    let env = TestEnv::bare();
    env.sandbox.quay.set_flags(|flags| flags.readonly = true);
    let run = sign_in(&env, "quayadmin", &[]).ends_with(2);
    assert!(run.step("token").to_string().contains("issues no tokens"), "{}", run.stdout);
    env.assert_nothing_written();
    // An existing token can still be stored.
    let run = env.setup(&["--controller=none", "-o", "json"]).succeeds();
    assert!(run.step("quay").to_string().contains("it is in read-only mode"), "{}", run.stdout);
}

#[test]
fn keeps_no_session_after_failed_issue() {
    for (path, status) in
        [("/applications", 403), ("/applications", 500), ("/tokens", 400), ("/organization/", 400)]
    {
        let env = TestEnv::bare();
        env.quay_traffic()
            .fault(Fault::on("POST", path).status(status).body(r#"{"message": "no"}"#));
        sign_in(&env, "quayadmin", &[]).ends_with(1);
        assert_eq!(env.quay_traffic().count("POST signin"), 1, "{path}");
        assert_nothing_left(&env);
        env.clear_faults();
        sign_in(&env, "quayadmin", &[]).succeeds();
        assert_eq!(application(&env).tokens.len(), 1, "{path} {status}");
    }
}

#[test]
fn sets_token_expiry_where_supported() {
    for release in [Release::V3_18, Release::Master] {
        let env = TestEnv::bare();
        env.sandbox.quay.set_flags(|flags| flags.release = release);
        sign_in(&env, "quayadmin", &["--token-expiry", "8760h"]).succeeds();
        let left = application(&env).tokens[0].expires.duration_since(jiff::Timestamp::now());
        assert!((364 * 24..=365 * 24).contains(&left.as_hours()), "{left:?}");
    }
    for release in [Release::V3_12, Release::V3_17] {
        let env = TestEnv::bare();
        env.sandbox.quay.set_flags(|flags| flags.release = release);
        let run = sign_in(&env, "quayadmin", &["--token-expiry", "8760h"]).ends_with(1);
        assert!(run.stdout.contains("another expiry requires Quay 3.18"), "{}", run.stdout);
        assert_nothing_left(&env);
        assert!(
            env.sandbox.quay.organizations().is_empty(),
            "{release:?}: something was made before it was rejected"
        );
    }
    let env = TestEnv::bare();
    env.sandbox.quay.set_flags(|flags| flags.direct_login = false);
    let run =
        sign_in(&env, "quayadmin", &["--token-expiry", "8760h", "--client-id", "ID"]).ends_with(2);
    assert!(run.stdout.contains("--token-expiry is not supported"), "{}", run.stdout);
    assert!(env.quay_traffic().writes().is_empty());
}

#[test]
fn reports_limitations_of_token() {
    let without = |scope: &str| {
        ALL.split(' ').filter(|one| *one != scope).map(str::to_owned).collect::<Vec<_>>()
    };
    let table = [
        (
            vec!["org:admin".to_owned(), "repo:admin".to_owned()],
            "lacks the scope user:admin: it cannot create organizations",
        ),
        (without("org:admin"), "lacks the scope org:admin: it cannot create robot accounts"),
    ];
    for (scopes, said) in table {
        let env = TestEnv::bare();
        env.sandbox.quay.add_organization("existing", "quayadmin");
        let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
        let run = env
            .setup(&["--controller=none", "-o", "json"])
            .token_of("quayadmin", &scopes)
            .succeeds();
        assert!(run.step("token").to_string().contains(said), "{said}: {}", run.step("token"));
    }
    let env = TestEnv::bare();
    let run = env
        .setup(&["--controller=none", "-o", "json"])
        .env("OC_QUAY_TOKEN", "no-such-token-0123456789")
        .ends_with(2);
    assert!(run.stdout.contains("the given token is unusable"), "{}", run.stdout);
    env.assert_nothing_written();
}
