//! What the help and clap's messages say beyond the doc comments.

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error};

/// The command under the name a person typed, `oc quay` or `kubectl quay`, in usage and examples alike.
pub(crate) fn called(command: Command, program: &str) -> Command {
    with_examples(command, program).bin_name(program)
}

fn with_examples(command: Command, program: &str) -> Command {
    let examples = command.get_after_help().map(|help| help.to_string().replace("oc quay", program));
    let command = command.mut_subcommands(|subcommand| with_examples(subcommand, program));
    match examples {
        Some(examples) => command.after_help(examples),
        None => command,
    }
}

/// The error with the nearest of the words that it suggests alone. clap suggests all that are near, the nearest last
/// (`did_you_mean` in clap_builder's `src/parser/features/suggestions.rs`).
pub(crate) fn nearest(mut error: Error) -> Error {
    for kind in [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue] {
        if let Some(ContextValue::Strings(words)) = error.get(kind)
            && let Some(nearest) = words.last().cloned()
        {
            error.insert(kind, ContextValue::Strings(vec![nearest]));
        }
    }
    error
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
        let help = program.find_subcommand_mut("link").map(|link| link.render_help().to_string()).unwrap_or_default();
        assert!(help.contains("Usage: kubectl quay link") && help.contains("\n  kubectl quay link -n shop"), "{help}");
        assert!(!help.replace("kubectl quay", "").contains("quay link"), "{help}");
    }

    #[test]
    fn of_several_words_that_are_near_the_nearest_is_suggested() {
        let error = Cli::command().try_get_matches_from(["oc-quay", "stauts"]).map_err(nearest);
        let said = error.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains("'status'") && !said.contains("'setup'"), "{said}");
    }
}
