use super::*;

fn ui(no_input: bool) -> Ui {
    Ui::new(UiOptions { color: ColorChoice::Never, no_input })
}

#[test]
fn uses_first_locale_variable_that_is_set() {
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
fn width_is_configured_or_measured() {
    let size = Some((Width(132), Height(50)));
    assert_eq!(width(Some("60".into()), true, size), Some(60));
    assert_eq!(width(Some("60".into()), false, None), Some(60));
    assert_eq!(width(Some("many".into()), true, size), Some(132));
    assert_eq!(width(Some("0".into()), true, size), Some(132));
    assert_eq!(width(None, true, None), Some(80));
    assert_eq!(width(None, false, None), None);
}

#[test]
fn does_not_prompt_with_no_input() {
    assert!(!ui(true).can_prompt());
}

#[test]
fn color_flag_applies_to_both_streams() {
    let never = ui(true);
    assert_eq!((never.out, never.err), (ColorChoice::Never, ColorChoice::Never));
    let always = Ui::new(UiOptions { color: ColorChoice::Always, no_input: true });
    assert_eq!((always.out, always.err), (ColorChoice::Always, ColorChoice::Always));
}

fn scripted_ui(answers: Vec<ScriptedAnswer>) -> Ui {
    Ui::with_answers(UiOptions { color: ColorChoice::Never, no_input: false }, answers)
}

#[test]
fn enter_selects_default() {
    let ui = scripted_ui(vec![ScriptedAnswer::Enter; 4]);
    assert!(ui.confirm("Continue?", true).unwrap());
    assert!(!ui.confirm("Delete it?", false).unwrap());
    assert_eq!(ui.text("Name:", Some("prod"), &|_| Ok(())).unwrap(), "prod");
    assert_eq!(ui.select("How?", &[("paste", ""), ("sign in", "")], 1).unwrap(), 1);
    assert_eq!(ui.questions(), ["Continue?", "Delete it?", "Name:", "How?"]);
}

#[test]
fn asks_for_text_until_it_is_valid() {
    let answers = ["a b\n", "two\nlines", "prod\n"].map(ScriptedAnswer::Type).into();
    let ui = scripted_ui(answers);
    let check =
        |name: &str| if name.contains(' ') { Err(format!("`{name}` has a space")) } else { Ok(()) };
    assert_eq!(ui.text("Name:", None, &check).unwrap(), "prod");
    assert_eq!(
        ui.stderr(),
        "? Name:\n# `a b` has a space\n? Name:\n# Enter a single line of text.\n? Name:\n"
    );
}

#[test]
fn plays_scripted_answers() {
    use secrecy::ExposeSecret as _;
    let ui = scripted_ui(vec![
        ScriptedAnswer::Yes,
        ScriptedAnswer::No,
        ScriptedAnswer::Choose("browser"),
        ScriptedAnswer::Type("s3cret"),
        ScriptedAnswer::Esc,
    ]);
    assert!(ui.can_prompt());
    assert!(ui.confirm("Continue?", false).unwrap());
    assert!(!ui.confirm("Continue?", true).unwrap());
    assert_eq!(ui.select("How?", &[("paste", ""), ("browser", "")], 0).unwrap(), 1);
    assert_eq!(ui.password("Password:").unwrap().expose_secret(), "s3cret");
    assert_eq!(ui.confirm("Continue?", true).unwrap_err().exit_status(), ExitStatus::Interrupted);
    ui.out("report").unwrap();
    ui.redraw("report 2").unwrap();
    ui.warn("careful");
    assert_eq!(ui.stdout(), "report\n---\nreport 2\n");
    assert!(
        ui.stderr().ends_with("? Continue?\nwarning: careful\n") && !ui.stderr().contains("s3cret"),
        "{}",
        ui.stderr()
    );
}

#[test]
#[should_panic(expected = "unexpected question")]
fn unexpected_question_fails_test() {
    let _ = scripted_ui(vec![]).confirm("Continue?", true);
}

#[test]
#[should_panic(expected = "unused answers [Yes]")]
fn unused_answer_fails_test() {
    drop(scripted_ui(vec![ScriptedAnswer::Yes]));
}
