//! Completion: what could stand at the cursor.
//!
//! All ask in one way, `oc-quay __complete WORD... LAST`, where the last word is the one to complete and may be empty:
//! `oc` and `kubectl` through a script `oc_complete-quay` or `kubectl_complete-quay` on the `PATH` (kubectl
//! `pkg/cmd/plugin/plugin_completion.go`), the shells through theirs. The answer is theirs too, a line
//! `VALUE<TAB>HELP` per candidate and a last line `:DIRECTIVE` (cobra `completions.go`).
//!
//! Commands, flags and their possible values are clap's to know. [`values`] says which values have names to choose from.

mod values;

use std::ffi::OsString;
use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _};
use clap_complete::engine::{self, CompletionCandidate};

use crate::cli::{Cli, GlobalArgs};

/// The word by which completions are asked for, in cobra's programs and here.
const COMPLETE_COMMAND: &str = "__complete";

/// Bits of the directive (cobra `ShellCompDirective`): a value is not to be followed by a space; files are none of the
/// candidates.
const NO_SPACE: u8 = 2;
const NO_FILES: u8 = 4;

/// The words typed behind the program's name, if completions are asked for.
pub(crate) fn asked(args: &[OsString]) -> Option<&[OsString]> {
    match args {
        [_, ask, words @ ..] if ask == COMPLETE_COMMAND => Some(words),
        _ => None,
    }
}

/// What could stand in the last word's place. Nobody asked to hear of what goes wrong in the middle of typing: then there
/// are no candidates.
pub(crate) fn candidates(words: &[OsString]) -> String {
    let (last, before) = words
        .split_last()
        .map_or((OsString::new(), words), |(last, before)| (last.clone(), before));
    let wants_flag = last.as_encoded_bytes().starts_with(b"-");
    let mut line: Vec<_> =
        std::iter::once(OsString::from("oc-quay")).chain(before.iter().cloned()).collect();
    let mut command = Cli::command();
    if let Some(global) = typed(&line) {
        command = values::attach(command, &Arc::new(global));
    }
    let place = line.len();
    line.push(last);
    let here = std::env::current_dir().ok();
    let found = engine::complete(&mut command, line, place, here.as_deref()).unwrap_or_default();
    // Flags are shown to who begins to type one, as oc and kubectl have it.
    render(found.iter().filter(|candidate| wants_flag || !is_flag(candidate)))
}

/// The flags of every command, as far as they can be made out in a line that is not finished.
fn typed(words: &[OsString]) -> Option<GlobalArgs> {
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(words).ok()?;
    GlobalArgs::from_arg_matches(&matches).ok()
}

fn is_flag(candidate: &CompletionCandidate) -> bool {
    candidate.get_value().as_encoded_bytes().starts_with(b"-")
}

fn render<'a>(candidates: impl Iterator<Item = &'a CompletionCandidate>) -> String {
    let mut text = String::new();
    // A folder, or a flag or a name that goes on.
    let mut goes_on = false;
    for candidate in candidates {
        // What is no text cannot be printed to be read back.
        let Some(value) = candidate.get_value().to_str() else { continue };
        goes_on |= value.ends_with(['/', '=', std::path::MAIN_SEPARATOR]);
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.lines().next().unwrap_or_default();
        let gap = if help.is_empty() { "" } else { "\t" };
        text += &format!("{value}{gap}{help}\n");
    }
    format!("{text}:{}\n", if goes_on { NO_FILES | NO_SPACE } else { NO_FILES })
}
