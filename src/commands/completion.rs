//! `completion`: prints the completion script of a shell or client.

use super::CommandContext;
use crate::cli::{Completion, Shell};
use crate::error::{Error, ExitStatus};

pub(super) fn run(context: &CommandContext, args: &Completion) -> Result<ExitStatus, Error> {
    context.ui.out(match args.shell {
        Shell::Oc | Shell::Kubectl => include_str!("../completion/oc-quay.sh"),
        Shell::Bash => include_str!("../completion/oc-quay.bash"),
        Shell::Zsh => include_str!("../completion/oc-quay.zsh"),
        Shell::Fish => include_str!("../completion/oc-quay.fish"),
        Shell::Powershell => include_str!("../completion/oc-quay.ps1"),
    })?;
    Ok(ExitStatus::Success)
}
