//! Every `oc quay` command line on a page parses.

use std::collections::BTreeSet;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use oc_quay::cli::Cli;
use serde_json::Value;

use super::markdown::{Piece, code_spans, commands, pieces};
use super::{pages, read};

/// The arguments of the program, if the words are a command line of it.
pub(super) fn arguments(words: &[String]) -> Option<&[String]> {
    let is_assignment = |word: &&String| word.contains('=') && !word.starts_with('-');
    let words = &words[words.iter().take_while(is_assignment).count()..];
    match words {
        [client, quay, rest @ ..]
            if ["oc", "kubectl"].contains(&client.as_str()) && quay == "quay" =>
        {
            Some(rest)
        }
        [program, rest @ ..] if program == "oc-quay" => Some(rest),
        _ => None,
    }
}

/// The command lines of a page, in blocks and in the text, with their line numbers.
fn command_lines(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, piece) in pieces(page) {
        match piece {
            Piece::Text(line) => {
                found.extend(code_spans(line).map(|span| (number, span.to_owned())))
            }
            Piece::Block { language: "console", lines } => {
                found.extend(
                    lines
                        .iter()
                        .filter_map(|line| line.strip_prefix("$ "))
                        .map(|line| (number, line.to_owned())),
                );
            }
            Piece::Block { language: "sh", lines } => {
                found.extend(
                    lines
                        .join("\n")
                        .replace("\\\n", " ")
                        .lines()
                        .map(|line| (number, line.to_owned())),
                );
            }
            Piece::Block { language: "yaml", lines } => {
                let documents = lines.join("\n");
                let documents =
                    documents.split("---\n").map(|text| serde_saphyr::from_str(text).unwrap());
                found.extend(
                    documents
                        .flat_map(|document| in_manifest(&document))
                        .map(|line| (number, line)),
                );
            }
            Piece::Block { .. } => {}
        }
    }
    found
}

/// Command lines in a manifest: a container's command, and lines of scripts.
fn in_manifest(value: &Value) -> Vec<String> {
    match value {
        Value::Array(words) if words.first().is_some_and(|word| word == "oc-quay") => {
            vec![words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")]
        }
        Value::Array(values) => values.iter().flat_map(in_manifest).collect(),
        Value::Object(fields) => fields.values().flat_map(in_manifest).collect(),
        Value::String(script) => {
            script.lines().filter(|line| line.starts_with("oc-quay ")).map(str::to_owned).collect()
        }
        _ => vec![],
    }
}

fn problem(arguments: &[String]) -> Option<String> {
    let stand_in = |word: &String| word.replace("NAMESPACE", "shop").replace("NAME", "shop");
    let line = std::iter::once("oc-quay".to_owned()).chain(arguments.iter().map(stand_in));
    let error = Cli::try_parse_from(line).err()?;
    // The name of a command alone is text.
    let is_name = arguments.len() == 1 && error.kind() == ErrorKind::MissingRequiredArgument;
    (error.kind() != ErrorKind::DisplayHelp && !is_name).then(|| error.to_string())
}

#[test]
fn command_lines_parse() {
    let (mut seen, mut problems) = (0, Vec::new());
    for (path, page) in pages() {
        for (number, line) in command_lines(&page) {
            for words in commands(&line) {
                // `oc quay` alone is the name of the program.
                let Some(arguments) = arguments(&words).filter(|arguments| !arguments.is_empty())
                else {
                    continue;
                };
                seen += 1;
                problems.extend(
                    problem(arguments).map(|problem| format!("{path}:{number}: {line}\n{problem}")),
                );
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(seen > 50, "just {seen} command lines were found");
}

#[test]
fn detects_command_lines_that_do_not_parse() {
    let page = "Try `oc quay status --nonsense`.\n```sh\nFOO=1 kubectl quay link \\\n  --bar | cat\n```\n\
                ```console\n$ oc-quay nothing\n```\n```yaml\nsteps: [{command: [oc-quay, fix]}, {run: 'oc-quay link --baz'}]\n```\n";
    let problems = command_lines(page)
        .iter()
        .flat_map(|(_, line)| commands(line))
        .filter_map(|words| problem(arguments(&words)?))
        .count();
    assert_eq!(problems, 5);
}

/// The reference has the help, so that no page repeats it.
#[test]
fn every_command_has_a_page_with_a_link_to_its_help() {
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let page = read(&format!("docs/{name}.md"));
        assert!(page.contains(&format!("(reference.md#oc-quay-{name})")), "docs/{name}.md");
        assert!(!page.contains("-h\n"), "docs/{name}.md repeats the help");
    }
}

#[test]
fn every_environment_variable_is_on_the_page_of_its_command() {
    let mut program = Cli::command();
    let global = variables(&program.render_long_help().to_string());
    let of_setup = ["setup", "teardown"];
    let (mut setup, mut others) = (global.clone(), global);
    for command in program.get_subcommands_mut() {
        let page = if of_setup.contains(&command.get_name()) { &mut setup } else { &mut others };
        page.extend(variables(&command.render_long_help().to_string()));
    }
    assert!(setup.len() > 4 && others.len() > 4, "{setup:?} {others:?}");
    assert_eq!(variables(&text_of("README.md")), others);
    assert_eq!(variables(&text_of("docs/setup.md")), setup);
}

fn variables(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
    words.filter(|word| word.starts_with("OC_QUAY_")).map(str::to_owned).collect()
}

/// A page without its blocks.
fn text_of(path: &str) -> String {
    let page = read(path);
    let lines = pieces(&page).into_iter().filter_map(|(_, piece)| match piece {
        Piece::Text(line) => Some(line),
        Piece::Block { .. } => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}
