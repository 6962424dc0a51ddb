//! Shell completion with cobra's protocol (cobra `completions.go`).
//!
//! The request is `oc-quay __complete WORD... LAST`, where `LAST` is the word to complete and can be empty. `oc` and
//! `kubectl` send it through a script `oc_complete-quay` or `kubectl_complete-quay` on the `PATH` (kubectl
//! `pkg/cmd/plugin/plugin_completion.go`). The response is a line `VALUE<TAB>HELP` per candidate and a last line
//! `:DIRECTIVE`. clap completes commands, flags and possible values, [`values`] the names of objects.

mod values;

use std::ffi::OsString;
use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _};
use clap_complete::engine::{self, CompletionCandidate};

use crate::cli::{Cli, GlobalArgs};

const COMPLETE_COMMAND: &str = "__complete";

/// Bits of the directive (cobra `ShellCompDirective`): no space after the value, no file names.
const NO_SPACE: u8 = 2;
const NO_FILES: u8 = 4;

/// The words after the program's name in a completion request.
pub(crate) fn requested_words(args: &[OsString]) -> Option<&[OsString]> {
    match args {
        [_, command, words @ ..] if command == COMPLETE_COMMAND => Some(words),
        _ => None,
    }
}

/// Candidates for the last word. Errors are ignored: they would disturb the command line being typed.
pub(crate) fn candidates(words: &[OsString]) -> String {
    let (last, before) = words
        .split_last()
        .map_or((OsString::new(), words), |(last, before)| (last.clone(), before));
    let wants_flag = last.as_encoded_bytes().starts_with(b"-");
    let mut line: Vec<_> =
        std::iter::once(OsString::from("oc-quay")).chain(before.iter().cloned()).collect();
    let mut command = Cli::command();
    if let Some(global) = parse_global_args(&line) {
        command = values::attach(command, &Arc::new(global));
    }
    let index = line.len();
    line.push(last);
    let current_dir = std::env::current_dir().ok();
    let found =
        engine::complete(&mut command, line, index, current_dir.as_deref()).unwrap_or_default();
    // Flags only after a dash, as in oc and kubectl.
    render(found.iter().filter(|candidate| wants_flag || !is_flag(candidate)))
}

/// The global flags of an incomplete command line.
fn parse_global_args(words: &[OsString]) -> Option<GlobalArgs> {
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(words).ok()?;
    GlobalArgs::from_arg_matches(&matches).ok()
}

fn is_flag(candidate: &CompletionCandidate) -> bool {
    candidate.get_value().as_encoded_bytes().starts_with(b"-")
}

fn render<'a>(candidates: impl Iterator<Item = &'a CompletionCandidate>) -> String {
    let mut text = String::new();
    // A directory, or a flag or name with a value to follow.
    let mut has_continuation = false;
    for candidate in candidates {
        // Skip values that are not UTF-8.
        let Some(value) = candidate.get_value().to_str() else { continue };
        has_continuation |= value.ends_with(['/', '=', std::path::MAIN_SEPARATOR]);
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.lines().next().unwrap_or_default();
        let separator = if help.is_empty() { "" } else { "\t" };
        text += &format!("{value}{separator}{help}\n");
    }
    format!("{text}:{}\n", if has_continuation { NO_FILES | NO_SPACE } else { NO_FILES })
}
