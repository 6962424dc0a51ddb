//! Adjusts clap's help and error messages.

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error};

/// Shows `oc quay` or `kubectl quay`, as it was typed, in usage and examples.
pub(crate) fn set_bin_name(command: Command, program: &str) -> Command {
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

/// The maximum edit distance of a suggestion, as in oc and kubectl (spf13/cobra `SuggestionsMinimumDistance`).
const MAX_EDITS: usize = 2;

/// Reduces the suggestions of an error to the most similar one, or none. clap sorts them by similarity, the best one
/// last (`did_you_mean` in clap_builder's `src/parser/features/suggestions.rs`).
pub(crate) fn single_suggestion(mut error: Error) -> Error {
    let kinds = [
        (ContextKind::SuggestedSubcommand, ContextKind::InvalidSubcommand),
        (ContextKind::SuggestedArg, ContextKind::InvalidArg),
        (ContextKind::SuggestedValue, ContextKind::InvalidValue),
    ];
    for (suggested, invalid) in kinds {
        let best = match error.get(suggested) {
            Some(ContextValue::String(word)) => word.clone(),
            Some(ContextValue::Strings(words)) => words.last().cloned().unwrap_or_default(),
            _ => continue,
        };
        let Some(ContextValue::String(typed)) = error.get(invalid) else { continue };
        if best.starts_with(typed.as_str()) || edit_distance(typed, &best) <= MAX_EDITS {
            if matches!(error.get(suggested), Some(ContextValue::Strings(_))) {
                error.insert(suggested, ContextValue::Strings(vec![best]));
            }
        } else {
            error.remove(suggested);
            if suggested == ContextKind::SuggestedArg {
                // The usage of the suggested argument's command.
                error.remove(ContextKind::SuggestedCommand);
            }
        }
    }
    error
}

/// The Levenshtein distance.
fn edit_distance(from: &str, to: &str) -> usize {
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
    fn usage_and_examples_show_typed_program_name() {
        let mut program = set_bin_name(Cli::command(), "kubectl quay");
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
    fn suggests_most_similar_word() {
        let error =
            Cli::command().try_get_matches_from(["oc-quay", "stauts"]).map_err(single_suggestion);
        let message = error.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains("'status'") && !message.contains("'setup'"), "{message}");
    }

    #[test]
    fn does_not_suggest_dissimilar_word() {
        let message = |args: &[&str]| {
            let error = Cli::command()
                .try_get_matches_from([&["oc-quay"], args].concat())
                .map_err(single_suggestion);
            error.err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(!message(&["linkage"]).contains("similar"), "{}", message(&["linkage"]));
        assert!(message(&["unlnik"]).contains("'unlink'"), "{}", message(&["unlnik"]));
        assert!(message(&["tear"]).contains("'teardown'"), "{}", message(&["tear"]));
        assert!(
            message(&["link", "--dry-rnu"]).contains("'--dry-run'"),
            "{}",
            message(&["link", "--dry-rnu"])
        );
        assert!(
            message(&["status", "-o", "jsn"]).contains("'json'"),
            "{}",
            message(&["status", "-o", "jsn"])
        );
    }

    #[test]
    fn counts_edits() {
        for (from, to, distance) in
            [("", "ab", 2), ("link", "link", 0), ("stauts", "status", 2), ("logout", "link", 5)]
        {
            assert_eq!(edit_distance(from, to), distance, "{from} {to}");
        }
    }
}
