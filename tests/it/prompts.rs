//! Questions, answered by a person at a real terminal.

use std::fs::File;

use oc_quay::ui::{Ui, UiOptions};
use secrecy::ExposeSecret as _;

use crate::support::{Command, Key, STREAMS, Terminal, World};

const SURE: &str = "Make these changes? (y/N)";
const NAME: &str = "Name of the organization to delete:";
const ONE_LINE: &str = "# One line of plain text, please.";

fn linked() -> World {
    let world = World::new();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    world.forget_traffic();
    world
}

/// A namespace of which the organization is about to be deleted, but for its name.
fn unlink(world: &World) -> Terminal<'_> {
    let terminal = world.oc_quay(&["unlink", "-n", "shop", "--delete-organization"]).at_terminal();
    terminal.sees(NAME);
    terminal
}

#[test]
fn yes_links() {
    for answer in ["y", "Yes"] {
        let world = World::new();
        let terminal = world.oc_quay(&["link", "-n", "shop"]).at_terminal();
        terminal.sees(SURE).types(answer).press(Key::Enter);
        let left = terminal.ends_with(0);
        assert!(
            left.screen.ends_with("Make these changes? Yes\nLinked shop: 16 changes"),
            "{}",
            left.screen
        );
        world.assert_linked("shop", &STREAMS);
    }
}

#[test]
fn whatever_is_not_yes_changes_nothing() {
    let world = World::new();
    world.oc_quay(&["status", "-n", "shop"]).run();
    world.forget_traffic();
    for (typed, key, shown) in [
        ("", Key::Enter, " No"),
        ("n", Key::Enter, " No"),
        ("", Key::Esc, " <canceled>"),
        ("y", Key::CtrlC, " (y/N) y"),
    ] {
        let terminal = world.oc_quay(&["link", "-n", "shop"]).at_terminal();
        terminal.sees(SURE).types(typed).press(key);
        let left = terminal.ends_with(130);
        assert!(
            left.screen.ends_with(&format!("Make these changes?{shown}")),
            "{key:?}: {}",
            left.screen
        );
        assert!(!left.written.contains("error"), "{}", left.written);
    }
    world.assert_nothing_written();
}

#[test]
fn what_is_neither_yes_nor_no_is_asked_again() {
    let world = World::new();
    let terminal = world.oc_quay(&["link", "-n", "shop"]).at_terminal();
    terminal.sees(SURE).types("x").press(Key::Enter);
    terminal.sees("Invalid answer, try typing 'y' for yes or 'n' for no").press(Key::Esc);
    terminal.ends_with(130);
    world.assert_nothing_written();
}

/// In a narrow window nothing is broken in the middle of a word by the terminal.
#[test]
fn the_plan_fits_the_window() {
    let world = World::new();
    for columns in [60, 80, 132] {
        let terminal = world.oc_quay(&["link", "-n", "shop"]).in_window(columns, 60);
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
    world.assert_nothing_written();
}

#[test]
fn a_repair_is_asked_for() {
    let world = linked();
    world.damage("shop");
    let terminal = world.oc_quay(&["repair", "-n", "shop"]).at_terminal();
    terminal.sees(SURE).press(Key::Esc);
    terminal.ends_with(130);
    world.assert_nothing_written();
    let terminal = world.oc_quay(&["repair", "-n", "shop"]).at_terminal();
    terminal.sees(SURE).types("y").press(Key::Enter);
    terminal.ends_with(0);
    world.assert_linked("shop", &STREAMS);
    // With nothing to do there is nothing to ask.
    let left = world.oc_quay(&["repair", "-n", "shop"]).at_terminal().ends_with(0);
    assert_eq!(left.screen, "Nothing to do");
}

#[test]
fn an_organization_is_named_before_it_is_deleted() {
    let world = linked();
    let terminal = unlink(&world);
    assert!(terminal.screen().contains("there is no way back"), "{}", terminal.screen());
    terminal.types("openshift_shops").press(Key::Enter);
    let left = terminal.ends_with(2);
    assert!(left.screen.contains("nothing was changed"), "{}", left.screen);
    for key in [Key::Esc, Key::CtrlC] {
        let terminal = unlink(&world);
        terminal.types("openshift_shop").press(key);
        terminal.ends_with(130);
        let terminal = unlink(&world);
        terminal.types("openshift_shop").press(Key::Enter).sees(SURE).press(key);
        terminal.ends_with(130);
    }
    world.assert_nothing_written();

    let terminal = unlink(&world);
    terminal.types("openshift_shop").press(Key::Enter).sees(SURE).types("y").press(Key::Enter);
    terminal.ends_with(0);
    assert_eq!(world.sandbox.quay.organizations(), Vec::<String>::new());
}

/// The newline at its end is Enter for a terminal without brackets, and nothing for the others.
#[test]
fn a_paste_that_ends_with_a_newline_answers_once() {
    let world = linked();
    let terminal = unlink(&world);
    terminal.pastes("openshift_shop\n").press(Key::Enter).sees(SURE).press(Key::Esc);
    terminal.ends_with(130);
    let terminal = unlink(&world);
    terminal.pastes_plainly("openshift_shop\n").sees(SURE).pastes("n\n").press(Key::Enter);
    let left = terminal.ends_with(130);
    assert!(left.screen.ends_with("Make these changes? No"), "{}", left.screen);
    world.assert_nothing_written();
}

#[test]
fn the_second_line_of_a_paste_answers_nothing() {
    let world = linked();
    let terminal = unlink(&world);
    terminal
        .pastes("openshift_shop\ny\n")
        .press(Key::Enter)
        .sees(&format!("{ONE_LINE}\n? {NAME}"))
        .press(Key::Esc);
    terminal.ends_with(130);
    let terminal = unlink(&world);
    terminal
        .pastes_plainly("openshift_shop\ny\n")
        .sees(ONE_LINE)
        .press(Key::Enter)
        .sees(SURE)
        .press(Key::Enter);
    terminal.ends_with(130);
    world.assert_nothing_written();
}

/// Typed while the program was still looking.
#[test]
fn what_was_typed_before_the_question_does_not_answer_it() {
    let world = World::new();
    let terminal = world.oc_quay(&["link", "-n", "shop"]).at_terminal();
    terminal.types("y").press(Key::Enter).sees(SURE).press(Key::Enter);
    let left = terminal.ends_with(130);
    assert!(left.screen.ends_with("Make these changes? No"), "{}", left.screen);
    world.assert_nothing_written();
}

#[test]
fn who_is_not_at_a_terminal_is_not_asked() {
    let world = World::new();
    let left = world.oc_quay(&["link", "-n", "shop"]).at_terminal_without_stdin().ends_with(2);
    assert!(left.screen.contains("--yes makes them without asking"), "{}", left.screen);
    let left = world.oc_quay(&["link", "-n", "shop", "--no-input"]).at_terminal().ends_with(2);
    assert!(left.screen.contains("--yes makes them without asking"), "{}", left.screen);
    let run = world.oc_quay(&["link", "-n", "shop"]).stdin("y\n").ends_with(2);
    assert!(!run.stderr.contains(SURE), "{}", run.stderr);
    world.assert_nothing_written();
}

#[test]
fn questions_are_not_in_the_report() {
    let world = World::new();
    let path = world.dir().join("report");
    let terminal = world
        .oc_quay(&["link", "-n", "shop", "-o", "json"])
        .at_terminal_into(File::create(&path).unwrap());
    terminal.sees(SURE).types("y").press(Key::Enter);
    terminal.ends_with(0);
    let report: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(report["kind"], "ChangeReport");
}

#[test]
fn colors_are_left_out_where_they_are_not_wanted() {
    let world = World::new();
    let ask = |name: &str, value: &str| {
        let terminal = world.oc_quay(&["link", "-n", "shop"]).env(name, value).at_terminal();
        terminal.sees(SURE).press(Key::Esc);
        terminal.ends_with(130).written
    };
    // Red, green and all other colors are set by a number that ends with `m`.
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

/// Asks the questions in `QUESTIONS`, one after another, and tells what it heard.
#[test]
#[ignore = "is run by the tests below, in a terminal"]
fn asks() {
    let ui = Ui::new(UiOptions { color: clap::ColorChoice::Auto, no_input: false });
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

fn asked<'a>(world: &'a World, questions: &str) -> Command<'a> {
    world.note_secret(TOKEN);
    Command::test(world, "prompts::asks").env("QUESTIONS", questions)
}

#[test]
fn a_token_is_never_shown() {
    let world = World::bare();
    let terminal = asked(&world, "token").at_terminal();
    let hint = "[not shown while you type or paste it]";
    terminal.sees(hint).types(TOKEN).press(Key::Enter).sees("token is true");
    let left = terminal.ends_with(0);
    assert_eq!(left.written.matches('*').count(), 8, "how long it is shows: {}", left.written);
    for keys in [Key::Esc, Key::CtrlC] {
        let terminal = asked(&world, "token").at_terminal();
        terminal.sees(hint).types(TOKEN).press(keys).sees("token is stopped");
        terminal.ends_with(0);
    }
    let terminal = asked(&world, "token").at_terminal();
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
fn a_token_is_pasted_alone() {
    let world = World::bare();
    for pasted in [TOKEN.to_owned(), format!("{TOKEN}\n"), format!("  {TOKEN} \n\n")] {
        let terminal = asked(&world, "token name").at_terminal();
        terminal
            .sees("Token:")
            .pastes(&pasted)
            .press(Key::Enter)
            .sees("Name:")
            .press(Key::Enter)
            .sees("name is prod");
        assert!(terminal.screen().contains("token is true"), "{}", terminal.screen());
        terminal.ends_with(0);
        let terminal = asked(&world, "token name").at_terminal();
        terminal.sees("Token:").pastes_plainly(&format!("{}\n", pasted.trim_end_matches('\n')));
        terminal.sees("Name:").press(Key::Enter).sees("name is prod");
        assert!(terminal.screen().contains("token is true"), "{}", terminal.screen());
        terminal.ends_with(0);
    }
}

/// Neither does its second line show anywhere, nor does it answer the next question.
#[test]
fn more_than_a_token_is_refused() {
    let world = World::bare();
    let rest = "0ther-s3cret";
    world.note_secret(rest);
    let rests = [
        rest.to_owned(),
        format!("{rest}\n"),
        format!("\n{rest}\n{rest}\n"),
        format!("{rest}\n").repeat(200),
    ];
    for pasted in rests.map(|rest| format!("{TOKEN}\n{rest}")) {
        let terminal = asked(&world, "token name").at_terminal();
        terminal.sees("Token:").pastes(&pasted).press(Key::Enter).sees(ONE_LINE);
        terminal
            .types(TOKEN)
            .press(Key::Enter)
            .sees("Name:")
            .press(Key::Enter)
            .sees("name is prod");
        assert!(terminal.screen().contains("token is true"), "{}", terminal.screen());
        terminal.ends_with(0);
        let terminal = asked(&world, "token name").at_terminal();
        terminal.sees("Token:").pastes_plainly(&pasted).sees(ONE_LINE);
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
fn a_paste_answers_one_question_at_the_most() {
    let world = World::bare();
    let terminal = asked(&world, "way name").at_terminal();
    terminal
        .sees("Which way?")
        .pastes_plainly("staging\nstaging\n")
        .sees("Name: (prod)")
        .press(Key::Enter);
    terminal.sees("name is prod");
    terminal.ends_with(0);
}

#[test]
fn a_text_is_asked_for_until_it_is_good() {
    let world = World::bare();
    let terminal = asked(&world, "name").in_window(60, 24);
    terminal
        .sees("Name: (prod)")
        .types("a b")
        .press(Key::Enter)
        .sees("# `a b` has a space\n? Name: (prod)");
    terminal.types("staging").press(Key::Enter).sees("name is staging");
    terminal.ends_with(0);
}

#[test]
fn an_option_is_chosen_with_the_arrow_keys() {
    let world = World::bare();
    let help = "[arrow keys to move, Enter to choose]";
    for (keys, chosen) in
        [(&[][..], 1), (&[Key::Up], 0), (&[Key::Down], 2), (&[Key::Down, Key::Down], 0)]
    {
        let terminal = asked(&world, "way").in_window(60, 24);
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
        let terminal = asked(&world, "way").at_terminal();
        terminal.sees(help).press(key).sees("way is stopped");
        terminal.ends_with(0);
    }
}

#[test]
fn shows_no_empty_default() {
    let world = World::bare();
    let terminal = asked(&world, "free").at_terminal();
    terminal.sees("? Anything:").press(Key::Enter).sees("free is ``");
    let left = terminal.ends_with(0);
    assert!(!left.written.contains("()"), "{}", left.written);
}

/// The keys of a shell's line, in a text and in a hidden answer.
#[test]
fn edits_an_answer_with_the_keys_of_a_shell() {
    let world = World::bare();
    let terminal = asked(&world, "name token").at_terminal();
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
    let world = World::new();
    let server = world.sandbox.openshift.url().trim_start_matches("https://").to_owned();
    let terminal = world.oc_quay(&["link", "-n", "shop"]).in_window(120, 60);
    terminal.sees(SURE);
    let place = format!(
        "Cluster  {server} (context admin)\nQuay     {}\n? {SURE}",
        world.sandbox.quay.url()
    );
    assert!(terminal.screen().contains(&place), "{}", terminal.screen());
    terminal.press(Key::Esc);
    terminal.ends_with(130);
}
