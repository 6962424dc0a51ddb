//! `completion`.

use clap::{Args, ValueEnum};

/// `completion`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # For `oc quay` and `kubectl quay`, in every shell with completion of `oc` and `kubectl`
  oc quay completion oc > ~/.local/bin/oc_complete-quay
  oc quay completion kubectl > ~/.local/bin/kubectl_complete-quay
  chmod +x ~/.local/bin/*_complete-quay

  # For `oc-quay` in bash
  oc quay completion bash > ~/.local/share/bash-completion/completions/oc-quay")]
pub struct Completion {
    /// Shell that completes `oc-quay`, or client that completes `quay`
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// A caller of `__complete`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// `oc`, for `oc quay`
    Oc,
    /// `kubectl`, for `kubectl quay`
    Kubectl,
    /// Bash 4 or later
    Bash,
    /// Zsh
    Zsh,
    /// Fish 3.4 or later
    Fish,
    /// PowerShell
    Powershell,
}
