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
