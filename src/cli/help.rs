//! What the help and clap's messages say beyond the doc comments.

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error};

/// The command under the name a person typed, `oc quay` or `kubectl quay`, in usage and examples alike.
pub(crate) fn called(command: Command, program: &str) -> Command {
    with_examples(command, program).bin_name(program)
}

fn with_examples(command: Command, program: &str) -> Command {
    let examples =
        command.get_after_help().map(|help| help.to_string().replace("oc quay", program));
    let command = command.mut_subcommands(|subcommand| with_examples(subcommand, program));
    match examples {
        Some(examples) => command.after_help(examples),
        None => command,
    }
}

/// The most edits between a word and the one that was meant, as in oc and kubectl (spf13/cobra
/// `SuggestionsMinimumDistance`).
const MAX_EDITS: usize = 2;

/// The error with the single_suggestion of the words that it suggests, if that is a likely one. clap suggests all that are near, the
/// single_suggestion last (`did_you_mean` in clap_builder's `src/parser/features/suggestions.rs`).
pub(crate) fn single_suggestion(mut error: Error) -> Error {
    let kinds = [
        (ContextKind::SuggestedSubcommand, ContextKind::InvalidSubcommand),
        (ContextKind::SuggestedArg, ContextKind::InvalidArg),
        (ContextKind::SuggestedValue, ContextKind::InvalidValue),
    ];
    for (suggested, invalid) in kinds {
        let single_suggestion = match error.get(suggested) {
            Some(ContextValue::String(word)) => word.clone(),
            Some(ContextValue::Strings(words)) => words.last().cloned().unwrap_or_default(),
            _ => continue,
        };
        let Some(ContextValue::String(typed)) = error.get(invalid) else { continue };
        if single_suggestion.starts_with(typed.as_str())
            || edits(typed, &single_suggestion) <= MAX_EDITS
        {
            if matches!(error.get(suggested), Some(ContextValue::Strings(_))) {
                error.insert(suggested, ContextValue::Strings(vec![single_suggestion]));
            }
        } else {
            error.remove(suggested);
            if suggested == ContextKind::SuggestedArg {
                // The usage of the command with the argument that is not suggested any more.
                error.remove(ContextKind::SuggestedCommand);
            }
        }
    }
    error
}

/// The Levenshtein distance: how many characters are added, left out or replaced.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<_> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (place, from) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], place + 1);
        for (column, to) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn usage_and_examples_show_the_name_that_was_typed() {
        let mut program = called(Cli::command(), "kubectl quay");
        program.build();
        let help = program
            .find_subcommand_mut("link")
            .map(|link| link.render_help().to_string())
            .unwrap_or_default();
        assert!(
            help.contains("Usage: kubectl quay link")
                && help.contains("\n  kubectl quay link -n shop"),
            "{help}"
        );
        assert!(!help.replace("kubectl quay", "").contains("quay link"), "{help}");
    }

    #[test]
    fn of_several_words_that_are_near_the_nearest_is_suggested() {
        let error =
            Cli::command().try_get_matches_from(["oc-quay", "stauts"]).map_err(single_suggestion);
        let said = error.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains("'status'") && !said.contains("'setup'"), "{said}");
    }

    #[test]
    fn suggests_no_word_that_is_far() {
        let said = |args: &[&str]| {
            let error = Cli::command()
                .try_get_matches_from([&["oc-quay"], args].concat())
                .map_err(single_suggestion);
            error.err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(!said(&["login"]).contains("similar"), "{}", said(&["login"]));
        assert!(said(&["unlnik"]).contains("'unlink'"), "{}", said(&["unlnik"]));
        assert!(said(&["tear"]).contains("'teardown'"), "{}", said(&["tear"]));
        assert!(
            said(&["link", "--dry-rnu"]).contains("'--dry-run'"),
            "{}",
            said(&["link", "--dry-rnu"])
        );
        assert!(
            said(&["status", "-o", "jsn"]).contains("'json'"),
            "{}",
            said(&["status", "-o", "jsn"])
        );
    }

    #[test]
    fn counts_edits() {
        for (from, to, distance) in
            [("", "ab", 2), ("link", "link", 0), ("stauts", "status", 2), ("login", "link", 3)]
        {
            assert_eq!(edits(from, to), distance, "{from} {to}");
        }
    }
}
