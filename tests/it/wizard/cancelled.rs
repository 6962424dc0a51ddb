//! A user who cancels at any question and starts again.

use super::{LINK, QUESTIONS, STORE, assert_healthy, person, shop};
use crate::support::Key;
use crate::support::TestEnv;

/// Leaves at every question, each time one further, and finishes in the end.
fn leaves_at_every_question(key: Key) -> TestEnv {
    let env = shop();
    let mut done: Vec<&str> = vec![];
    for (place, question) in QUESTIONS.iter().enumerate() {
        let (left, asked) = person(&env).leaves_at(*question, key);
        assert!(!left.written.contains("error:"), "{}", left.written);
        assert_eq!(
            asked.iter().filter(|(step, _)| done.contains(step)).count(),
            0,
            "{question:?} {done:?} {asked:?}"
        );
        // What was carried out on the way here is not asked about again; the token is there once it is stored.
        done = match QUESTIONS[..=place]
            .iter()
            .rposition(|asked| asked.1 == "Apply these changes" && asked != question)
        {
            Some(last) if QUESTIONS[..=last].contains(&STORE) => {
                QUESTIONS[1..=last].iter().map(|(step, _)| *step).collect()
            }
            _ => vec![],
        };
    }
    let (_, asked) = person(&env).finishes(0);
    assert_eq!(asked, [LINK]);
    assert_healthy(&env);
    env
}

#[test]
fn setup_resumes_after_esc_at_any_question() {
    let env = leaves_at_every_question(Key::Esc);
    let applications = env.sandbox.quay.applications("openshift-integration");
    assert_eq!(applications.len(), 1, "{applications:?}");
}

#[test]
fn setup_resumes_after_ctrl_c_at_any_question() {
    leaves_at_every_question(Key::CtrlC);
}

#[test]
fn declining_a_step_cancels_setup() {
    let env = shop();
    let mut person = person(&env);
    person.types(STORE, "n");
    person.terminal.ends_with(130);
    assert_eq!(env.get("Secret", "openshift-operators", "quay-integration"), None);
}
