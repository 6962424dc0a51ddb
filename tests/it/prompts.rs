//! Questions, answered at a real terminal.

use std::fs::File;

use oc_quay::ui::{Ui, UiOptions};
use secrecy::ExposeSecret as _;

use crate::support::{Command, Key, STREAMS, Terminal, TestEnv};

const SURE: &str = "Make these changes? (y/N)";
const NAME: &str = "Name of the organization to delete:";
const ONE_LINE: &str = "# Enter a single line of text.";

fn linked() -> TestEnv {
    let env = TestEnv::new();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    env.forget_traffic();
    env
}

/// A namespace whose organization is about to be deleted, except for the confirmation of its name.
fn unlink(env: &TestEnv) -> Terminal<'_> {
    let terminal = env.oc_quay(&["unlink", "-n", "shop", "--delete-organization"]).at_terminal();
    terminal.sees(NAME);
    terminal
}

#[test]
fn yes_links() {
    for answer in ["y", "Yes"] {
        let env = TestEnv::new();
        let terminal = env.oc_quay(&["link", "-n", "shop"]).at_terminal();
        terminal.sees(SURE).types(answer).press(Key::Enter);
        let left = terminal.ends_with(0);
        assert!(
            left.screen.ends_with("Make these changes? Yes\nLinked shop: 16 changes"),
            "{}",
            left.screen
        );
        env.assert_linked("shop", &STREAMS);
    }
}

#[test]
fn any_other_answer_than_yes_changes_nothing() {
    let env = TestEnv::new();
    env.oc_quay(&["status", "-n", "shop"]).run();
    env.forget_traffic();
    for (typed, key, shown) in [
        ("", Key::Enter, " No"),
        ("n", Key::Enter, " No"),
        ("", Key::Esc, " <canceled>"),
        ("y", Key::CtrlC, " (y/N) y"),
    ] {
        let terminal = env.oc_quay(&["link", "-n", "shop"]).at_terminal();
        terminal.sees(SURE).types(typed).press(key);
        let left = terminal.ends_with(130);
        assert!(
            left.screen.ends_with(&format!("Make these changes?{shown}")),
            "{key:?}: {}",
            left.screen
        );
        assert!(!left.written.contains("error"), "{}", left.written);
    }
    env.assert_nothing_written();
}

#[test]
fn asks_again_for_anything_but_yes_or_no() {
    let env = TestEnv::new();
    let terminal = env.oc_quay(&["link", "-n", "shop"]).at_terminal();
    terminal.sees(SURE).types("x").press(Key::Enter);
    terminal.sees("Invalid answer, try typing 'y' for yes or 'n' for no").press(Key::Esc);
    terminal.ends_with(130);
    env.assert_nothing_written();
}

/// In a narrow window the terminal wraps no word.
#[test]
fn plan_fits_the_window() {
    let env = TestEnv::new();
    for columns in [60, 80, 132] {
        let terminal = env.oc_quay(&["link", "-n", "shop"]).in_window(columns, 60);
        terminal.sees(SURE);
        assert_eq!(terminal.broken_lines(), 0, "{columns} columns:\n{}", terminal.screen());
        assert!(
            terminal.screen().contains("+ create organization openshift_shop"),
            "{}",
            terminal.screen()
        );
        terminal.press(Key::Esc);
        terminal.ends_with(130);
    }
    env.assert_nothing_written();
}

#[test]
fn confirms_repair() {
    let env = linked();
    env.damage("shop");
    let terminal = env.oc_quay(&["repair", "-n", "shop"]).at_terminal();
    terminal.sees(SURE).press(Key::Esc);
    terminal.ends_with(130);
    env.assert_nothing_written();
    let terminal = env.oc_quay(&["repair", "-n", "shop"]).at_terminal();
    terminal.sees(SURE).types("y").press(Key::Enter);
    terminal.ends_with(0);
    env.assert_linked("shop", &STREAMS);
    let left = env.oc_quay(&["repair", "-n", "shop"]).at_terminal().ends_with(0);
    assert_eq!(left.screen, "Nothing to do");
}

#[test]
fn names_organization_before_its_deletion() {
    let env = linked();
    let terminal = unlink(&env);
    assert!(terminal.screen().contains("this cannot be undone"), "{}", terminal.screen());
    terminal.types("openshift_shops").press(Key::Enter);
    let left = terminal.ends_with(2);
    assert!(left.screen.contains("nothing was changed"), "{}", left.screen);
    for key in [Key::Esc, Key::CtrlC] {
        let terminal = unlink(&env);
        terminal.types("openshift_shop").press(key);
        terminal.ends_with(130);
        let terminal = unlink(&env);
        terminal.types("openshift_shop").press(Key::Enter).sees(SURE).press(key);
        terminal.ends_with(130);
    }
    env.assert_nothing_written();

    let terminal = unlink(&env);
    terminal.types("openshift_shop").press(Key::Enter).sees(SURE).types("y").press(Key::Enter);
    terminal.ends_with(0);
    assert_eq!(env.sandbox.quay.organizations(), Vec::<String>::new());
}

/// The final newline is Enter for a terminal without brackets, and ignored by others.
#[test]
fn paste_with_final_newline_answers_once() {
    let env = linked();
    let terminal = unlink(&env);
    terminal.pastes("openshift_shop\n").press(Key::Enter).sees(SURE).press(Key::Esc);
    terminal.ends_with(130);
    let terminal = unlink(&env);
    terminal.pastes_without_brackets("openshift_shop\n").sees(SURE).pastes("n\n").press(Key::Enter);
    let left = terminal.ends_with(130);
    assert!(left.screen.ends_with("Make these changes? No"), "{}", left.screen);
    env.assert_nothing_written();
}

#[test]
fn second_line_of_a_paste_answers_nothing() {
    let env = linked();
    let terminal = unlink(&env);
    terminal
        .pastes("openshift_shop\ny\n")
        .press(Key::Enter)
        .sees(&format!("{ONE_LINE}\n? {NAME}"))
        .press(Key::Esc);
    terminal.ends_with(130);
    let terminal = unlink(&env);
    terminal
        .pastes_without_brackets("openshift_shop\ny\n")
        .sees(ONE_LINE)
        .press(Key::Enter)
        .sees(SURE)
        .press(Key::Enter);
    terminal.ends_with(130);
    env.assert_nothing_written();
}

/// Typed while the program was still reading both sides.
#[test]
fn input_typed_before_the_question_is_no_answer() {
    let env = TestEnv::new();
    let terminal = env.oc_quay(&["link", "-n", "shop"]).at_terminal();
    terminal.types("y").press(Key::Enter).sees(SURE).press(Key::Enter);
    let left = terminal.ends_with(130);
    assert!(left.screen.ends_with("Make these changes? No"), "{}", left.screen);
    env.assert_nothing_written();
}

#[test]
fn does_not_ask_without_terminal() {
    let env = TestEnv::new();
    let left = env.oc_quay(&["link", "-n", "shop"]).at_terminal_without_stdin().ends_with(2);
    assert!(left.screen.contains("use --yes to skip confirmation"), "{}", left.screen);
    let left = env.oc_quay(&["link", "-n", "shop", "--no-input"]).at_terminal().ends_with(2);
    assert!(left.screen.contains("use --yes to skip confirmation"), "{}", left.screen);
    let run = env.oc_quay(&["link", "-n", "shop"]).stdin("y\n").ends_with(2);
    assert!(!run.stderr.contains(SURE), "{}", run.stderr);
    env.assert_nothing_written();
}

#[test]
fn questions_are_not_in_the_report() {
    let env = TestEnv::new();
    let path = env.dir().join("report");
    let terminal = env
        .oc_quay(&["link", "-n", "shop", "-o", "json"])
        .at_terminal_into(File::create(&path).unwrap());
    terminal.sees(SURE).types("y").press(Key::Enter);
    terminal.ends_with(0);
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(report["kind"], "ChangeReport");
}

#[test]
fn prompts_have_no_color_when_not_wanted() {
    let env = TestEnv::new();
    let ask = |name: &str, value: &str| {
        let terminal = env.oc_quay(&["link", "-n", "shop"]).env(name, value).at_terminal();
        terminal.sees(SURE).press(Key::Esc);
        terminal.ends_with(130).written
    };
    // Colors are set by a number that ends with `m`.
    let colored = |written: &str| {
        written
            .split("\x1b[")
            .skip(1)
            .any(|piece| piece.trim_start_matches(is_parameter).starts_with('m'))
    };
    assert!(colored(&ask("TERM", "xterm")));
    assert!(!colored(&ask("NO_COLOR", "1")));
    assert!(!colored(&ask("TERM", "dumb")));
    assert!(ask("LC_ALL", "C").is_ascii());
}

fn is_parameter(char: char) -> bool {
    char.is_ascii_digit() || char == ';'
}

const TOKEN: &str = "s3cret-t0ken-0123456789";

/// Asks the questions in `QUESTIONS` and prints the answers.
#[test]
#[ignore = "is run by the tests below, in a terminal"]
fn asks() {
    let ui = Ui::new(UiOptions { color: anstream::ColorChoice::Auto, no_input: false });
    for question in std::env::var("QUESTIONS").unwrap().split(' ') {
        let heard = match question {
            "token" => {
                ui.password("Token:").map(|token| (token.expose_secret() == TOKEN).to_string())
            }
            "name" => ui.text("Name:", Some("prod"), &|name| {
                if name.contains(' ') { Err(format!("`{name}` has a space")) } else { Ok(()) }
            }),
            "free" => ui.text("Anything:", Some(""), &|_| Ok(())).map(|text| format!("`{text}`")),
            "way" => ui.select("Which way?", &WAYS, 1).map(|way| way.to_string()),
            other => panic!("no question {other}"),
        };
        let heard = heard.unwrap_or_else(|error| error.messages().concat());
        ui.out(&format!("{question} is {heard}")).unwrap();
    }
}

const WAYS: [(&str, &str); 3] = [
    ("Paste a token", "an OAuth token of an application in Quay"),
    ("Sign in", "with the name and the password of a Quay user; the password is not kept"),
    ("Browser", ""),
];

fn asked<'a>(env: &'a TestEnv, questions: &str) -> Command<'a> {
    env.note_secret(TOKEN);
    Command::test(env, "prompts::asks").env("QUESTIONS", questions)
}

#[test]
fn never_shows_a_token() {
    let env = TestEnv::bare();
    let terminal = asked(&env, "token").at_terminal();
    let hint = "[not shown while you type or paste it]";
    terminal.sees(hint).types(TOKEN).press(Key::Enter).sees("token is true");
    let left = terminal.ends_with(0);
    assert_eq!(left.written.matches('*').count(), 8, "how long it is shows: {}", left.written);
    for keys in [Key::Esc, Key::CtrlC] {
        let terminal = asked(&env, "token").at_terminal();
        terminal.sees(hint).types(TOKEN).press(keys).sees("token is cancelled");
        terminal.ends_with(0);
    }
    let terminal = asked(&env, "token").at_terminal();
    terminal
        .sees(hint)
        .press(Key::Enter)
        .sees(ONE_LINE)
        .types(TOKEN)
        .press(Key::Enter)
        .sees("token is true");
    terminal.ends_with(0);
}

#[test]
fn accepts_pasted_token() {
    let env = TestEnv::bare();
    for pasted in [TOKEN.to_owned(), format!("{TOKEN}\n"), format!("  {TOKEN} \n\n")] {
        let terminal = asked(&env, "token name").at_terminal();
        terminal
            .sees("Token:")
            .pastes(&pasted)
            .press(Key::Enter)
            .sees("Name:")
            .press(Key::Enter)
            .sees("name is prod");
        assert!(terminal.screen().contains("token is true"), "{}", terminal.screen());
        terminal.ends_with(0);
        let terminal = asked(&env, "token name").at_terminal();
        terminal
            .sees("Token:")
            .pastes_without_brackets(&format!("{}\n", pasted.trim_end_matches('\n')));
        terminal.sees("Name:").press(Key::Enter).sees("name is prod");
        assert!(terminal.screen().contains("token is true"), "{}", terminal.screen());
        terminal.ends_with(0);
    }
}

/// Its second line is not shown and does not answer the next question.
#[test]
fn rejects_more_than_a_token() {
    let env = TestEnv::bare();
    let rest = "0ther-s3cret";
    env.note_secret(rest);
    let rests = [
        rest.to_owned(),
        format!("{rest}\n"),
        format!("\n{rest}\n{rest}\n"),
        format!("{rest}\n").repeat(200),
    ];
    for pasted in rests.map(|rest| format!("{TOKEN}\n{rest}")) {
        let terminal = asked(&env, "token name").at_terminal();
        terminal.sees("Token:").pastes(&pasted).press(Key::Enter).sees(ONE_LINE);
        terminal
            .types(TOKEN)
            .press(Key::Enter)
            .sees("Name:")
            .press(Key::Enter)
            .sees("name is prod");
        assert!(terminal.screen().contains("token is true"), "{}", terminal.screen());
        terminal.ends_with(0);
        let terminal = asked(&env, "token name").at_terminal();
        terminal.sees("Token:").pastes_without_brackets(&pasted).sees(ONE_LINE);
        terminal
            .types(TOKEN)
            .press(Key::Enter)
            .sees("Name:")
            .press(Key::Enter)
            .sees("name is prod");
        assert!(terminal.screen().contains("token is true"), "{}", terminal.screen());
        terminal.ends_with(0);
    }
}

#[test]
fn paste_answers_at_most_one_question() {
    let env = TestEnv::bare();
    let terminal = asked(&env, "way name").at_terminal();
    terminal
        .sees("Which way?")
        .pastes_without_brackets("staging\nstaging\n")
        .sees("Name: (prod)")
        .press(Key::Enter);
    terminal.sees("name is prod");
    terminal.ends_with(0);
}

#[test]
fn asks_for_text_until_valid() {
    let env = TestEnv::bare();
    let terminal = asked(&env, "name").in_window(60, 24);
    terminal
        .sees("Name: (prod)")
        .types("a b")
        .press(Key::Enter)
        .sees("# `a b` has a space\n? Name: (prod)");
    terminal.types("staging").press(Key::Enter).sees("name is staging");
    terminal.ends_with(0);
}

#[test]
fn chooses_option_with_arrow_keys() {
    let env = TestEnv::bare();
    let help = "[arrow keys to move, Enter to choose]";
    for (keys, chosen) in
        [(&[][..], 1), (&[Key::Up], 0), (&[Key::Down], 2), (&[Key::Down, Key::Down], 0)]
    {
        let terminal = asked(&env, "way").in_window(60, 24);
        terminal.sees(help);
        assert_eq!(terminal.broken_lines(), 0, "{}", terminal.screen());
        for key in keys {
            terminal.press(*key);
        }
        terminal.press(Key::Enter).sees(&format!("way is {chosen}"));
        let left = terminal.ends_with(0);
        assert!(
            left.screen.contains(&format!("Which way? {}\nway is", WAYS[chosen].0)),
            "{}",
            left.screen
        );
        assert!(left.written.is_ascii(), "{}", left.written);
    }
    for key in [Key::Esc, Key::CtrlC] {
        let terminal = asked(&env, "way").at_terminal();
        terminal.sees(help).press(key).sees("way is cancelled");
        terminal.ends_with(0);
    }
}

#[test]
fn shows_no_empty_default() {
    let env = TestEnv::bare();
    let terminal = asked(&env, "free").at_terminal();
    terminal.sees("? Anything:").press(Key::Enter).sees("free is ``");
    let left = terminal.ends_with(0);
    assert!(!left.written.contains("()"), "{}", left.written);
}

/// The keys of a shell's line, in a text and in a hidden answer.
#[test]
fn edits_an_answer_with_the_keys_of_a_shell() {
    let env = TestEnv::bare();
    let terminal = asked(&env, "name token").at_terminal();
    terminal.sees("Name: (prod)").types("wrong word\x17\x15stagin\x01\x04\x0bst");
    terminal.types("\x15stage\x05d\x08").press(Key::Enter).sees("name is stage");
    terminal
        .sees("Token:")
        .types("typing error\x15")
        .types(TOKEN)
        .press(Key::Enter)
        .sees("token is true");
    terminal.ends_with(0);
}

#[test]
fn names_cluster_and_quay_before_changes_are_confirmed() {
    let env = TestEnv::new();
    let server = env.sandbox.openshift.url().trim_start_matches("https://").to_owned();
    let terminal = env.oc_quay(&["link", "-n", "shop"]).in_window(120, 60);
    terminal.sees(SURE);
    let place =
        format!("Cluster  {server} (context admin)\nQuay     {}\n? {SURE}", env.sandbox.quay.url());
    assert!(terminal.screen().contains(&place), "{}", terminal.screen());
    terminal.press(Key::Esc);
    terminal.ends_with(130);
}
