//! Where the token comes from.

use super::scripted_user::MORE;
use super::{ISSUE, PASSWORD, Person, Question, STORE, USER, WAY, assert_healthy, person, shop};
use crate::support::{Key, World};

const TOKEN: Question = MORE[5];
const EMAIL: Question = MORE[6];
const NEW_PASSWORD: Question = MORE[7];
const AGAIN: Question = MORE[8];
const TRY_AGAIN: Question = MORE[9];
const REPLACE: Question = MORE[10];

#[test]
fn a_wrong_password_is_said_and_asked_for_again() {
    let world = shop();
    let mut person = person(&world);
    world.note_secret("a-wr0ng-password");
    person.types(PASSWORD, "a-wr0ng-password").types(ISSUE, "").goes_to(USER);
    let screen = person.terminal.screen();
    assert!(screen.contains("Quay does not accept the user name or the password"), "{screen}");
    assert!(screen.trim_end().ends_with("? User name in Quay: (quayadmin)"), "{screen}");
    // Else Quay makes one wait.
    world.sandbox.quay.throttle("quayadmin", std::time::Duration::ZERO);
    let (_, asked) = person.will_type(USER, "").finishes(0);
    assert_eq!(
        asked[1..8],
        [WAY, USER, PASSWORD, ISSUE, USER, PASSWORD, STORE],
        "only what was wrong is asked again"
    );
    assert_healthy(&world);
    assert_eq!(world.sandbox.quay.wrong_passwords("quayadmin"), Some(0));
}

/// Even those that cannot be one.
#[test]
fn a_token_that_quay_refuses_is_asked_for_again() {
    let world = shop();
    for refused in ["n0-such-token", "two w0rds"] {
        world.note_secret(refused);
        let mut person = person(&world);
        person.chooses(WAY, "Paste").types(TOKEN, refused).goes_to(TRY_AGAIN);
        let screen = person.terminal.screen();
        assert!(screen.contains("the token that was given cannot be used"), "{screen}");
        person.terminal.press(Key::Esc);
        person.terminal.ends_with(130);
    }
}

#[test]
fn a_token_is_pasted_with_a_newline_at_its_end_but_not_inside() {
    let world = shop();
    let token = world.sandbox.quay.admin_token();
    let mut person = person(&world);
    person.chooses(WAY, "Paste").goes_to(TOKEN);
    person
        .terminal
        .pastes(&format!("{token}\nrest"))
        .press(Key::Enter)
        .sees("# One line of plain text, please.");
    person.terminal.pastes(&format!("{token}\n")).press(Key::Enter);
    person.asked.push(TOKEN);
    let (left, asked) = person.finishes(0);
    assert!(!asked.contains(&ISSUE), "{asked:?}");
    assert!(left.screen.contains("the token belongs to quayadmin, a superuser"), "{}", left.screen);
    assert_eq!(world.stored_token(), Some(token));
    assert_healthy(&world);
}

#[test]
fn an_empty_quay_gets_its_first_user() {
    let world = shop();
    world.sandbox.quay.empty();
    world.sandbox.quay.set_flags(|flags| flags.user_initialize = true);
    world.note_secret("a-g00d-password");
    let mut person = person(&world).will_type(USER, "").will_type(EMAIL, "root@example.com");
    person.types(NEW_PASSWORD, "a-g00d-password").types(AGAIN, "an0ther-password");
    person.goes_to(NEW_PASSWORD);
    assert!(
        person.terminal.screen().contains("two different passwords"),
        "{}",
        person.terminal.screen()
    );
    let (left, asked) = person
        .will_type(NEW_PASSWORD, "a-g00d-password")
        .will_type(AGAIN, "a-g00d-password")
        .finishes(0);
    assert_eq!(asked[1..8], [WAY, USER, EMAIL, NEW_PASSWORD, AGAIN, NEW_PASSWORD, AGAIN]);
    assert!(left.screen.contains("Create the first user"), "{}", left.screen);
    assert!(left.screen.contains("--first-user-email root@example.com"), "{}", left.screen);
    assert_eq!(world.sandbox.quay.password("quayadmin").as_deref(), Some("a-g00d-password"));
    assert_healthy(&world);
}

/// Somebody has put a token there.
fn holding(token: &str) -> World {
    let world = shop();
    world.create(&sandbox::manifests::credentials(token));
    world
}

#[test]
fn another_token_is_replaced_only_by_who_says_so() {
    for (answer, is_replaced) in [("y", true), ("n", false)] {
        let world = shop();
        let theirs = world.sandbox.quay.add_full_token("alice");
        world.create(&sandbox::manifests::credentials(&theirs));
        let ours = world.sandbox.quay.admin_token();
        let command = world.oc_quay(&["setup"]).env("OC_QUAY_TOKEN", &ours);
        let mut person = Person::begins(&world, command, 100);
        person.goes_to(REPLACE);
        let screen = person.terminal.screen();
        assert!(
            screen.contains("holds a token of alice, written ")
                && screen.contains("the new one is of quayadmin"),
            "{screen}"
        );
        person.types(REPLACE, answer).finishes_somehow();
        assert_eq!(world.stored_token() == Some(ours), is_replaced);
        assert_eq!(world.stored_token() == Some(theirs), !is_replaced);
    }
}

#[test]
fn a_stored_token_that_is_good_is_used_without_a_question() {
    let world = shop();
    let token = world.sandbox.quay.admin_token();
    world.create(&sandbox::manifests::credentials(&token));
    let (_, asked) = person(&world).finishes(0);
    assert!(asked.iter().all(|(step, _)| *step != "Token"), "{asked:?}");
    assert_eq!(world.stored_token(), Some(token));
    assert_healthy(&world);
}

#[test]
fn a_stored_token_that_has_ended_is_replaced_without_a_question() {
    let world = holding("l0ng-ended");
    let (left, asked) = person(&world).finishes(0);
    assert!(asked.contains(&STORE) && !asked.contains(&REPLACE), "{asked:?}");
    assert!(left.screen.contains("is of no use"), "{}", left.screen);
    assert_healthy(&world);
}

#[test]
fn a_password_is_not_asked_for_where_quay_takes_none() {
    let world = shop();
    world.sandbox.quay.set_flags(|flags| flags.direct_login = false);
    let mut person = person(&world);
    person.goes_to(WAY);
    person.terminal.sees("Sign in with the browser");
    let screen = person.terminal.screen();
    assert!(screen.contains("Paste a token") && !screen.contains("Sign in: "), "{screen}");
    person.terminal.press(Key::Esc);
    person.terminal.ends_with(130);
}
