//! `completion`: the script by which a shell, or a client, asks for completions.

use super::CommandContext;
use crate::cli::{Completion, Shell};
use crate::error::{Error, ExitStatus};

pub(super) fn run(context: &CommandContext, args: &Completion) -> Result<ExitStatus, Error> {
    context.ui.out(match args.shell {
        // Both call it with the same words and understand the same answer.
        Shell::Oc | Shell::Kubectl => include_str!("../completion/oc-quay.sh"),
        Shell::Bash => include_str!("../completion/oc-quay.bash"),
        Shell::Zsh => include_str!("../completion/oc-quay.zsh"),
        Shell::Fish => include_str!("../completion/oc-quay.fish"),
        Shell::Powershell => include_str!("../completion/oc-quay.ps1"),
    })?;
    Ok(ExitStatus::Success)
}
