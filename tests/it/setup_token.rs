//! `setup`: where the token comes from, and what it may do.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::quay::{ApplicationView, Flags, Release};
use sandbox::traffic::Fault;

use crate::support::{Command, STREAMS, World};

const ORGANIZATION: &str = "openshift-integration";
const ALL: &str =
    "org:admin repo:admin repo:create repo:read repo:write super:user user:admin user:read";

/// `setup` for a user who signs in with the password.
fn sign_in<'a>(world: &'a World, user: &str, arguments: &[&str]) -> Command<'a> {
    let password = world.sandbox.quay.password(user).unwrap_or_else(|| "first-password".into());
    let command =
        world.setup(&["--controller=none", "-o", "json", "--quay-username", user]).args(arguments);
    command.without_env("OC_QUAY_TOKEN").env("OC_QUAY_PASSWORD", password)
}

/// The token in the Secret.
fn stored(world: &World) -> String {
    let secret = world.get("Secret", "openshift-operators", "quay-integration").unwrap();
    String::from_utf8(STANDARD.decode(secret["data"]["token"].as_str().unwrap()).unwrap()).unwrap()
}

/// The one application, whose last token is the stored one.
#[track_caller]
fn application(world: &World) -> ApplicationView {
    let [application] = world.sandbox.quay.applications(ORGANIZATION).try_into().unwrap();
    assert_eq!(application.name, "openshift");
    assert_eq!(application.tokens.last().unwrap().token, stored(world));
    application
}

/// Nothing was stored, and no session of the user was ended.
#[track_caller]
fn assert_nothing_left(world: &World) {
    assert_eq!(
        world.cluster_traffic().writes().len(),
        0,
        "{:#?}",
        world.cluster_traffic().writes()
    );
    assert_keeps_sessions(world);
}

/// Quay's sign-out ends all sessions of the user, those in browsers too (sample 846c).
#[track_caller]
fn assert_keeps_sessions(world: &World) {
    assert_eq!(
        world.quay_traffic().count("POST signout"),
        0,
        "other sessions of the user were ended"
    );
}

#[test]
fn a_token_is_taken_from_a_file_from_stdin_or_from_the_environment() {
    for way in ["file", "stdin", "environment"] {
        let world = World::bare();
        let token = world.sandbox.quay.admin_token();
        let file = world.dir().join("token");
        std::fs::write(&file, format!("{token}\n")).unwrap();
        let setup = world.setup(&["--controller=none", "-o", "json"]);
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
        assert_eq!(stored(&world), token, "{way}");
        assert!(
            world.quay_traffic().writes().is_empty(),
            "{way}: nothing is made in Quay for a token that is there"
        );
    }
}

#[test]
fn every_release_of_quay_issues_a_token_to_who_signs_in_and_only_once() {
    for (release, has_json) in [
        (Release::V3_12, false),
        (Release::V3_17, false),
        (Release::V3_18, true),
        (Release::Master, true),
    ] {
        let world = World::bare();
        let quay = &world.sandbox.quay;
        quay.set_flags(|flags| flags.release = release);
        let run = sign_in(&world, "quayadmin", &[]).succeeds();
        assert_eq!(run.state("token"), "done", "{release:?}");
        let [token] = application(&world).tokens.try_into().unwrap();
        assert_eq!((token.user.as_str(), token.scope.as_str()), ("quayadmin", ALL), "{release:?}");
        assert_eq!(token.name.is_some(), has_json, "{release:?}");
        assert_keeps_sessions(&world);

        world.forget_traffic();
        let run = sign_in(&world, "quayadmin", &[]).succeeds();
        assert_eq!(run.state("token"), "alreadyDone", "{release:?}");
        world.assert_nothing_written();
        assert_eq!(application(&world).tokens.len(), 1, "{release:?}");
    }
}

#[test]
fn a_password_is_read_from_a_file_or_from_stdin() {
    for source in ["file", "-"] {
        let world = World::bare();
        let password = world.sandbox.quay.password("quayadmin").unwrap();
        let file = world.dir().join("password");
        std::fs::write(&file, format!("{password}\n")).unwrap();
        let path = if source == "file" { file.to_str().unwrap() } else { source };
        let setup = sign_in(&world, "quayadmin", &["--quay-password-file", path])
            .without_env("OC_QUAY_PASSWORD");
        setup.stdin(&format!("{password}\r\n")).succeeds();
        application(&world);
    }
    let world = World::bare();
    let run =
        sign_in(&world, "quayadmin", &["--quay-password-file", "-", "--quay-token-file", "-"])
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
    ("nobody reads without signing in", |flags| flags.anonymous_access = false, PLAIN),
];

#[test]
fn the_least_scopes_link_a_namespace_whatever_quays_settings_are() {
    for (name, change, scopes) in SETTINGS {
        for release in [Release::V3_12, Release::Master] {
            let world = World::bare();
            world.shared_namespace("shop");
            world.sandbox.quay.set_flags(|flags| {
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
            let plan = sign_in(&world, "quayadmin", &["--token-scopes", "minimal"]);
            let plan = plan.args(&["--allow", "shop", "--link", "shop"]);
            println!("{name} {release:?}");
            plan.succeeds();
            assert_eq!(application(&world).tokens[0].scope, scopes, "{name} {release:?}");
            world.assert_linked("shop", &STREAMS);
        }
    }
}

#[test]
fn the_reason_for_each_of_the_least_scopes_is_said_beforehand() {
    let world = World::bare();
    world.sandbox.quay.set_flags(|flags| flags.full_access = true);
    let quay = &world.sandbox.quay;
    let arguments = [
        "setup",
        "--dry-run",
        "--controller=none",
        "--quay-username",
        "quayadmin",
        "--token-scopes",
        "minimal",
    ];
    let setup = world.oc_quay(&arguments).env("OC_QUAY_URL", quay.url());
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
    world.assert_nothing_written();
}

#[test]
fn where_direct_login_is_off_the_client_id_of_an_application_is_needed_and_is_enough() {
    let world = World::bare();
    let quay = &world.sandbox.quay;
    quay.set_flags(|flags| flags.direct_login = false);
    let run = sign_in(&world, "quayadmin", &[]).ends_with(1);
    assert!(
        run.stdout.contains("FEATURE_DIRECT_LOGIN is off") && run.stdout.contains("--client-id"),
        "{}",
        run.stdout
    );
    assert_nothing_left(&world);

    quay.add_organization(ORGANIZATION, "quayadmin");
    let client_id = quay.add_application(ORGANIZATION, "openshift", "");
    let unknown =
        sign_in(&world, "quayadmin", &["--client-id", "NOSUCHAPPLICATION123"]).ends_with(1);
    assert!(unknown.stdout.contains("no application NOSUCHAPPLICATION123"), "{}", unknown.stdout);
    let wrong = sign_in(&world, "quayadmin", &["--client-id", &client_id])
        .env("OC_QUAY_PASSWORD", "wrong-password")
        .ends_with(1);
    assert!(
        wrong.stdout.contains("does not accept the user name or the password"),
        "{}",
        wrong.stdout
    );
    quay.throttle("quayadmin", Duration::from_secs(60));
    assert_nothing_left(&world);
    let early = sign_in(&world, "quayadmin", &["--client-id", &client_id]).ends_with(1);
    assert!(early.stdout.contains("Quay takes the next try in "), "{}", early.stdout);
    quay.throttle("quayadmin", Duration::ZERO);

    sign_in(&world, "quayadmin", &["--client-id", &client_id]).succeeds();
    assert_eq!(application(&world).tokens.len(), 1);
    assert_keeps_sessions(&world);
}

#[test]
fn the_first_user_of_an_empty_quay_is_made() {
    let world = World::bare();
    let quay = &world.sandbox.quay;
    quay.empty();
    // Quay signs nobody in whom it does not know.
    let first = ["--first-user-email", "quayadmin@example.com"];
    let off = sign_in(&world, "quayadmin", &first).ends_with(1);
    assert!(off.stdout.contains("create the first user quayadmin"), "{}", off.stdout);
    assert_nothing_left(&world);

    quay.set_flags(|flags| flags.user_initialize = true);
    let short = sign_in(&world, "quayadmin", &first).env("OC_QUAY_PASSWORD", "short").ends_with(1);
    assert!(short.stdout.contains("at least 8 characters"), "{}", short.stdout);
    assert_nothing_left(&world);

    let run = sign_in(&world, "quayadmin", &first).succeeds();
    assert_eq!(run.state("token"), "done");
    assert_eq!(application(&world).tokens[0].user, "quayadmin");
    assert_eq!(quay.password("quayadmin").as_deref(), Some("first-password"));
    assert_keeps_sessions(&world);

    world.forget_traffic();
    sign_in(&world, "quayadmin", &first).succeeds();
    world.assert_nothing_written();
}

#[test]
fn a_wrong_password_is_sent_once_and_how_long_quay_makes_one_wait_is_told() {
    let world = World::bare();
    let quay = &world.sandbox.quay;
    let run =
        sign_in(&world, "quayadmin", &[]).env("OC_QUAY_PASSWORD", "wrong-password").ends_with(1);
    assert!(run.stdout.contains("does not accept the user name or the password"), "{}", run.stdout);
    assert_eq!(quay.wrong_passwords("quayadmin"), Some(1));
    assert_nothing_left(&world);

    quay.throttle("quayadmin", Duration::from_secs(3000));
    let run = sign_in(&world, "quayadmin", &[]).ends_with(1);
    let reason = run.step("token")["reason"].as_str().unwrap().to_owned();
    let seconds =
        reason.split("next try in ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert!((2000..=3000).contains(&seconds.parse::<u32>().unwrap()), "{reason}");
    assert_eq!(world.quay_traffic().count("POST signin"), 2);
    assert_nothing_left(&world);
}

#[test]
fn a_user_who_is_no_superuser_gets_as_far_as_quay_lets_them() {
    let world = World::bare();
    world.shared_namespace("shop");
    let run = sign_in(&world, "alice", &["--link", "shop"]).succeeds();
    let token = run.step("token").to_string();
    assert!(
        token.contains("alice, who is no superuser")
            && token.contains("organizations will belong to alice"),
        "{token}"
    );
    world.assert_linked("shop", &STREAMS);
    drop(world);

    let closed: [fn(&mut Flags); 2] =
        [|flags| flags.org_creation_only = true, |flags| flags.restricted_users = true];
    for change in closed {
        let world = World::bare();
        world.sandbox.quay.set_flags(change);
        let run = sign_in(&world, "alice", &[]).ends_with(1);
        assert!(
            run.stdout.contains("alice may not create organizations in this Quay"),
            "{}",
            run.stdout
        );
        assert_nothing_left(&world);
    }
}

#[test]
fn organization_and_application_that_are_there_are_used_again() {
    for with_application in [false, true] {
        let world = World::bare();
        let quay = &world.sandbox.quay;
        quay.add_organization(ORGANIZATION, "quayadmin");
        let before = with_application.then(|| quay.add_application(ORGANIZATION, "openshift", ""));
        sign_in(&world, "quayadmin", &[]).succeeds();
        let application = application(&world);
        assert!(before.is_none_or(|before| before == application.client_id));
        assert_eq!(quay.organizations(), [ORGANIZATION]);
    }
    let world = World::bare();
    sign_in(
        &world,
        "quayadmin",
        &["--token-organization", "tokens", "--token-application", "bridge"],
    )
    .succeeds();
    let names: Vec<_> = world
        .sandbox
        .quay
        .applications("tokens")
        .into_iter()
        .map(|application| application.name)
        .collect();
    assert_eq!(names, ["bridge"]);
}

#[test]
fn an_organization_of_somebody_else_is_not_taken_for_ours() {
    let world = World::bare();
    world.sandbox.quay.add_organization(ORGANIZATION, "alice");
    let run = sign_in(&world, "quayadmin", &[]).ends_with(1);
    assert!(run.stdout.contains("quayadmin may not administer"), "{}", run.stdout);
    assert_nothing_left(&world);
    assert!(world.sandbox.quay.applications(ORGANIZATION).is_empty());
}

#[test]
fn a_read_only_quay_is_said_to_be_one() {
    let world = World::bare();
    world.sandbox.quay.set_flags(|flags| flags.readonly = true);
    let run = sign_in(&world, "quayadmin", &[]).ends_with(2);
    assert!(run.step("token").to_string().contains("it issues no tokens"), "{}", run.stdout);
    world.assert_nothing_written();
    // One that is there can be stored all the same.
    let run = world.setup(&["--controller=none", "-o", "json"]).succeeds();
    assert!(run.step("quay").to_string().contains("it is in read-only mode"), "{}", run.stdout);
}

#[test]
fn who_has_signed_in_is_signed_out_when_no_token_is_issued() {
    for (path, status) in
        [("/applications", 403), ("/applications", 500), ("/tokens", 400), ("/organization/", 400)]
    {
        let world = World::bare();
        world
            .quay_traffic()
            .fault(Fault::on("POST", path).status(status).body(r#"{"message": "no"}"#));
        sign_in(&world, "quayadmin", &[]).ends_with(1);
        assert_eq!(world.quay_traffic().count("POST signin"), 1, "{path}");
        assert_nothing_left(&world);
        world.clear_faults();
        sign_in(&world, "quayadmin", &[]).succeeds();
        assert_eq!(application(&world).tokens.len(), 1, "{path} {status}");
    }
}

#[test]
fn a_token_lives_as_long_as_was_said_where_quay_can_do_that() {
    for release in [Release::V3_18, Release::Master] {
        let world = World::bare();
        world.sandbox.quay.set_flags(|flags| flags.release = release);
        sign_in(&world, "quayadmin", &["--token-expiry", "8760h"]).succeeds();
        let left = application(&world).tokens[0].expires.duration_since(jiff::Timestamp::now());
        assert!((364 * 24..=365 * 24).contains(&left.as_hours()), "{left:?}");
    }
    for release in [Release::V3_12, Release::V3_17] {
        let world = World::bare();
        world.sandbox.quay.set_flags(|flags| flags.release = release);
        let run = sign_in(&world, "quayadmin", &["--token-expiry", "8760h"]).ends_with(1);
        assert!(run.stdout.contains("leave the expiry out"), "{}", run.stdout);
        assert_nothing_left(&world);
        assert!(
            world.sandbox.quay.organizations().is_empty(),
            "{release:?}: something was made before it was refused"
        );
    }
    let world = World::bare();
    world.sandbox.quay.set_flags(|flags| flags.direct_login = false);
    let run = sign_in(&world, "quayadmin", &["--token-expiry", "8760h", "--client-id", "ID"])
        .ends_with(2);
    assert!(run.stdout.contains("leave the expiry out"), "{}", run.stdout);
    assert!(world.quay_traffic().writes().is_empty());
}

#[test]
fn what_will_not_work_with_a_token_is_said() {
    let without = |scope: &str| {
        ALL.split(' ').filter(|one| *one != scope).map(str::to_owned).collect::<Vec<_>>()
    };
    let table = [
        (
            vec!["org:admin".to_owned(), "repo:admin".to_owned()],
            "lacks the scope user:admin: no organization can be created",
        ),
        (without("org:admin"), "lacks the scope org:admin: no robot account can be made"),
    ];
    for (scopes, said) in table {
        let world = World::bare();
        world.sandbox.quay.add_organization("existing", "quayadmin");
        let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
        let run = world
            .setup(&["--controller=none", "-o", "json"])
            .token_of("quayadmin", &scopes)
            .succeeds();
        assert!(run.step("token").to_string().contains(said), "{said}: {}", run.step("token"));
    }
    let world = World::bare();
    let run = world
        .setup(&["--controller=none", "-o", "json"])
        .env("OC_QUAY_TOKEN", "no-such-token-0123456789")
        .ends_with(2);
    assert!(run.stdout.contains("the token that was given cannot be used"), "{}", run.stdout);
    world.assert_nothing_written();
}
