//! A person who leaves, at whichever question, and comes back.

use super::{LINK, QUESTIONS, STORE, assert_healthy, person, shop};
use crate::support::Key;
use crate::support::World;

/// Leaves at every question, each time one further, and finishes in the end.
fn leaves_at_every_question(key: Key) -> World {
    let world = shop();
    let mut done: Vec<&str> = vec![];
    for (place, question) in QUESTIONS.iter().enumerate() {
        let (left, asked) = person(&world).leaves_at(*question, key);
        assert!(!left.written.contains("error:"), "{}", left.written);
        assert_eq!(
            asked.iter().filter(|(step, _)| done.contains(step)).count(),
            0,
            "{question:?} {done:?} {asked:?}"
        );
        // What was carried out on the way here is not asked about again; the token is there once it is stored.
        done = match QUESTIONS[..=place]
            .iter()
            .rposition(|asked| asked.1 == "Do this" && asked != question)
        {
            Some(last) if QUESTIONS[..=last].contains(&STORE) => {
                QUESTIONS[1..=last].iter().map(|(step, _)| *step).collect()
            }
            _ => vec![],
        };
    }
    let (_, asked) = person(&world).finishes(0);
    assert_eq!(asked, [LINK]);
    assert_healthy(&world);
    world
}

#[test]
fn who_leaves_with_esc_at_any_question_goes_on_from_there() {
    let world = leaves_at_every_question(Key::Esc);
    let applications = world.sandbox.quay.applications("openshift-integration");
    assert_eq!(applications.len(), 1, "{applications:?}");
}

#[test]
fn who_leaves_with_ctrl_c_at_any_question_goes_on_from_there() {
    leaves_at_every_question(Key::CtrlC);
}

#[test]
fn who_declines_a_step_leaves_without_it() {
    let world = shop();
    let mut person = person(&world);
    person.types(STORE, "n");
    person.terminal.ends_with(130);
    assert_eq!(world.get("Secret", "openshift-operators", "quay-integration"), None);
}
