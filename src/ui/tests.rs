use super::*;

fn ui(no_input: bool) -> Ui {
    Ui::new(UiOptions { color: clap::ColorChoice::Never, no_input })
}

#[test]
fn the_first_locale_variable_that_is_set_decides() {
    let utf8 = |set: &[(&str, &str)]| {
        is_utf8(|name| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    };
    assert!(utf8(&[("LANG", "en_US.UTF-8")]));
    assert!(utf8(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]));
    assert!(!utf8(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]));
    assert!(!utf8(&[("LANG", "de_DE.ISO-8859-1")]));
    assert!(!utf8(&[]));
}

#[test]
fn the_width_is_what_was_asked_or_measured() {
    let size = Some((Width(132), Height(50)));
    assert_eq!(width(Some("60".into()), true, size), Some(60));
    assert_eq!(width(Some("60".into()), false, None), Some(60));
    assert_eq!(width(Some("many".into()), true, size), Some(132));
    assert_eq!(width(Some("0".into()), true, size), Some(132));
    assert_eq!(width(None, true, None), Some(80));
    assert_eq!(width(None, false, None), None);
}

#[test]
fn nobody_is_asked_against_their_will() {
    assert!(!ui(true).can_prompt());
}

#[test]
fn flags_decide_about_color_for_both_streams() {
    let never = ui(true);
    assert_eq!((never.out, never.err), (ColorChoice::Never, ColorChoice::Never));
    let always = Ui::new(UiOptions { color: clap::ColorChoice::Always, no_input: true });
    assert_eq!((always.out, always.err), (ColorChoice::Always, ColorChoice::Always));
}

#[test]
fn what_steers_a_terminal_does_not_get_through() {
    assert_eq!(printable("a\u{202e}b\u{2066}c"), "a b c");
    assert_eq!(printable_line("a\x1b[2Jb\nsecret/c\r"), "ab secret/c ");
    assert_eq!(printable("a\x1b[2Jb\x07c\td\ne \u{9b}31m√"), "abc d\ne  31m√");
}

fn rehearse(answers: Vec<ScriptedAnswer>) -> Ui {
    Ui::with_answers(UiOptions { color: clap::ColorChoice::Never, no_input: false }, answers)
}

#[test]
fn enter_takes_the_default() {
    let ui = rehearse(vec![ScriptedAnswer::Enter; 4]);
    assert!(ui.confirm("Go on?", true).unwrap());
    assert!(!ui.confirm("Delete it?", false).unwrap());
    assert_eq!(ui.text("Name:", Some("prod"), &|_| Ok(())).unwrap(), "prod");
    assert_eq!(ui.select("How?", &[("paste", ""), ("sign in", "")], 1).unwrap(), 1);
    assert_eq!(ui.questions(), ["Go on?", "Delete it?", "Name:", "How?"]);
}

#[test]
fn a_text_is_asked_for_until_it_is_good() {
    let answers = ["a b\n", "two\nlines", "prod\n"].map(ScriptedAnswer::Type).into();
    let ui = rehearse(answers);
    let check =
        |name: &str| if name.contains(' ') { Err(format!("`{name}` has a space")) } else { Ok(()) };
    assert_eq!(ui.text("Name:", None, &check).unwrap(), "prod");
    assert_eq!(
        ui.stderr(),
        "? Name:\n# `a b` has a space\n? Name:\n# One line of plain text, please.\n? Name:\n"
    );
}

#[test]
fn a_person_is_played() {
    use secrecy::ExposeSecret as _;
    let ui = rehearse(vec![
        ScriptedAnswer::Yes,
        ScriptedAnswer::No,
        ScriptedAnswer::Choose("browser"),
        ScriptedAnswer::Type("s3cret"),
        ScriptedAnswer::Esc,
    ]);
    assert!(ui.can_prompt());
    assert!(ui.confirm("Go on?", false).unwrap());
    assert!(!ui.confirm("Go on?", true).unwrap());
    assert_eq!(ui.select("How?", &[("paste", ""), ("browser", "")], 0).unwrap(), 1);
    assert_eq!(ui.password("Password:").unwrap().expose_secret(), "s3cret");
    assert_eq!(ui.confirm("Go on?", true).unwrap_err().exit_status(), ExitStatus::Interrupted);
    ui.out("report").unwrap();
    ui.redraw("report 2").unwrap();
    ui.warn("careful");
    assert_eq!(ui.stdout(), "report\n---\nreport 2\n");
    assert!(
        ui.stderr().ends_with("? Go on?\nwarning: careful\n") && !ui.stderr().contains("s3cret"),
        "{}",
        ui.stderr()
    );
}

#[test]
#[should_panic(expected = "nobody expected to be asked")]
fn a_question_too_many_fails_the_test() {
    let _ = rehearse(vec![]).confirm("Go on?", true);
}

#[test]
#[should_panic(expected = "nobody asked for [Yes]")]
fn an_answer_too_many_fails_the_test() {
    drop(rehearse(vec![ScriptedAnswer::Yes]));
}
