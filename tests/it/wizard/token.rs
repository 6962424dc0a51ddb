//! Where the token comes from.

use super::scripted_user::MORE;
use super::{ISSUE, PASSWORD, Person, Question, STORE, USER, WAY, assert_healthy, person, shop};
use crate::support::{Key, TestEnv};

const TOKEN: Question = MORE[5];
const EMAIL: Question = MORE[6];
const NEW_PASSWORD: Question = MORE[7];
const AGAIN: Question = MORE[8];
const TRY_AGAIN: Question = MORE[9];
const REPLACE: Question = MORE[10];

#[test]
fn reports_wrong_password_and_asks_again() {
    let env = shop();
    let mut person = person(&env);
    env.note_secret("a-wr0ng-password");
    person.types(PASSWORD, "a-wr0ng-password").types(ISSUE, "").goes_to(USER);
    let screen = person.terminal.screen();
    assert!(screen.contains("wrong user name or password"), "{screen}");
    assert!(screen.trim_end().ends_with("? User name in Quay: (quayadmin)"), "{screen}");
    // Else Quay makes one wait.
    env.sandbox.quay.throttle("quayadmin", std::time::Duration::ZERO);
    let (_, asked) = person.will_type(USER, "").finishes(0);
    assert_eq!(
        asked[1..8],
        [WAY, USER, PASSWORD, ISSUE, USER, PASSWORD, STORE],
        "only what was wrong is asked again"
    );
    assert_healthy(&env);
    assert_eq!(env.sandbox.quay.wrong_passwords("quayadmin"), Some(0));
}

/// Even those that cannot be one.
#[test]
fn asks_again_for_rejected_token() {
    let env = shop();
    for rejected in ["n0-such-token", "two w0rds"] {
        env.note_secret(rejected);
        let mut person = person(&env);
        person.chooses(WAY, "Paste").types(TOKEN, rejected).goes_to(TRY_AGAIN);
        let screen = person.terminal.screen();
        assert!(screen.contains("the given token is unusable"), "{screen}");
        person.terminal.press(Key::Esc);
        person.terminal.ends_with(130);
    }
}

#[test]
fn accepts_pasted_token_with_final_newline() {
    let env = shop();
    let token = env.sandbox.quay.admin_token();
    let mut person = person(&env);
    person.chooses(WAY, "Paste").goes_to(TOKEN);
    person
        .terminal
        .pastes(&format!("{token}\nrest"))
        .press(Key::Enter)
        .sees("# Enter a single line of text.");
    person.terminal.pastes(&format!("{token}\n")).press(Key::Enter);
    person.asked.push(TOKEN);
    let (left, asked) = person.finishes(0);
    assert!(!asked.contains(&ISSUE), "{asked:?}");
    assert!(left.screen.contains("the token belongs to quayadmin, a superuser"), "{}", left.screen);
    assert_eq!(env.stored_token(), Some(token));
    assert_healthy(&env);
}

#[test]
fn creates_first_user_of_empty_quay() {
    let env = shop();
    env.sandbox.quay.empty();
    env.sandbox.quay.set_flags(|flags| flags.user_initialize = true);
    env.note_secret("a-g00d-password");
    let mut person = person(&env).will_type(USER, "").will_type(EMAIL, "root@example.com");
    person.types(NEW_PASSWORD, "a-g00d-password").types(AGAIN, "an0ther-password");
    person.goes_to(NEW_PASSWORD);
    assert!(
        person.terminal.screen().contains("the passwords do not match"),
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
    assert_eq!(env.sandbox.quay.password("quayadmin").as_deref(), Some("a-g00d-password"));
    assert_healthy(&env);
}

/// Stores a token of another user.
fn holding(token: &str) -> TestEnv {
    let env = shop();
    env.create(&sandbox::manifests::credentials(token));
    env
}

#[test]
fn replaces_token_only_after_confirmation() {
    for (answer, is_replaced) in [("y", true), ("n", false)] {
        let env = shop();
        let theirs = env.sandbox.quay.add_full_token("alice");
        env.create(&sandbox::manifests::credentials(&theirs));
        let ours = env.sandbox.quay.admin_token();
        let command = env.oc_quay(&["setup"]).env("OC_QUAY_TOKEN", &ours);
        let mut person = Person::begins(&env, command, 100);
        person.goes_to(REPLACE);
        let screen = person.terminal.screen();
        assert!(
            screen.contains("holds a token of alice, written ")
                && screen.contains("the new one belongs to quayadmin"),
            "{screen}"
        );
        person.types(REPLACE, answer).finishes_somehow();
        assert_eq!(env.stored_token() == Some(ours), is_replaced);
        assert_eq!(env.stored_token() == Some(theirs), !is_replaced);
    }
}

#[test]
fn uses_valid_stored_token_without_question() {
    let env = shop();
    let token = env.sandbox.quay.admin_token();
    env.create(&sandbox::manifests::credentials(&token));
    let (_, asked) = person(&env).finishes(0);
    assert!(asked.iter().all(|(step, _)| *step != "Token"), "{asked:?}");
    assert_eq!(env.stored_token(), Some(token));
    assert_healthy(&env);
}

#[test]
fn replaces_expired_stored_token_without_question() {
    let env = holding("l0ng-ended");
    let (left, asked) = person(&env).finishes(0);
    assert!(asked.contains(&STORE) && !asked.contains(&REPLACE), "{asked:?}");
    assert!(left.screen.contains("is unusable"), "{}", left.screen);
    assert_healthy(&env);
}

#[test]
fn does_not_ask_password_without_direct_login() {
    let env = shop();
    env.sandbox.quay.set_flags(|flags| flags.direct_login = false);
    let mut person = person(&env);
    person.goes_to(WAY);
    person.terminal.sees("Sign in with the browser");
    let screen = person.terminal.screen();
    assert!(screen.contains("Paste a token") && !screen.contains("Sign in: "), "{screen}");
    person.terminal.press(Key::Esc);
    person.terminal.ends_with(130);
}
