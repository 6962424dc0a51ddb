//! Errors of commands, with hints and exit codes.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// The exit codes, the same in every output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// No findings, or every change was made.
    Success = 0,
    /// Findings remain, or something could not be repaired.
    Findings = 1,
    /// The command failed. clap's usage errors have the same code.
    Failure = 2,
    /// The user cancelled it.
    Interrupted = 130,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        ExitCode::from(status as u8)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cancelled")
    }
}

impl std::error::Error for Cancelled {}

/// A chain of causes with hints.
///
/// It is made from an [`anyhow::Error`], so an error of a library needs a context before `?`.
#[derive(Debug)]
pub struct Error {
    cause: anyhow::Error,
    administrator_request: Option<String>,
    hints: Vec<String>,
}

impl Error {
    /// `message` starts in lower case and has no full stop.
    pub fn new(message: impl Into<String>) -> Self {
        anyhow::Error::msg(message.into()).into()
    }

    /// Adds a hint: an imperative sentence or a command.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the command for a cluster administrator. [`Error::with_program_name`] does not change it, since an
    /// administrator connects to the cluster with other flags.
    pub fn ask(mut self, command: &str) -> Self {
        self.administrator_request = Some(format!("ask a cluster administrator to run: {command}"));
        self
    }

    /// Replaces `oc quay` in the hints by the program name as it was typed.
    pub fn with_program_name(mut self, program: &str) -> Self {
        for hint in &mut self.hints {
            *hint = hint.replace("oc quay", program);
        }
        self
    }

    pub fn administrator_request(&self) -> Option<&str> {
        self.administrator_request.as_deref()
    }

    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The messages of the chain, the outermost first. A cause that the message before it contains is skipped, since
    /// many libraries include their cause in their own message.
    pub fn messages(&self) -> Vec<String> {
        let mut messages: Vec<String> = Vec::new();
        for cause in self.cause.chain() {
            let message = cause.to_string();
            if messages.last().is_none_or(|last| !last.contains(&message)) {
                messages.push(message);
            }
        }
        messages
    }

    /// A broken pipe is a success: the reader has read enough.
    pub fn exit_status(&self) -> ExitStatus {
        if self.is_broken_pipe() {
            ExitStatus::Success
        } else if self.cause.chain().any(|cause| cause.is::<Cancelled>()) {
            ExitStatus::Interrupted
        } else {
            ExitStatus::Failure
        }
    }

    fn is_broken_pipe(&self) -> bool {
        let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        self.cause.chain().any(|cause| cause.downcast_ref().is_some_and(broken))
    }
}

impl From<anyhow::Error> for Error {
    fn from(cause: anyhow::Error) -> Self {
        Self { cause, administrator_request: None, hints: vec![] }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl From<Cancelled> for Error {
    fn from(cancelled: Cancelled) -> Self {
        anyhow::Error::from(cancelled).into()
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    fn chain(inner: impl Into<anyhow::Error>, context: &'static str) -> Error {
        Err::<(), _>(inner.into())
            .context(context)
            .map_err(Error::from)
            .err()
            .unwrap_or_else(|| Error::new("no error"))
    }

    #[test]
    fn messages_start_with_outermost_context() {
        let error = chain(anyhow::anyhow!("connection refused"), "failed to list namespaces");
        assert_eq!(error.messages(), ["failed to list namespaces", "connection refused"]);
        assert_eq!(error.exit_status(), ExitStatus::Failure);
    }

    #[test]
    fn does_not_repeat_quoted_cause() {
        let error = chain(anyhow::anyhow!("timed out"), "the call failed: timed out");
        assert_eq!(error.messages(), ["the call failed: timed out"]);
    }

    #[test]
    fn broken_pipe_anywhere_in_chain_is_success() {
        assert_eq!(
            Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).exit_status(),
            ExitStatus::Success
        );
        let deep = chain(io::Error::from(io::ErrorKind::BrokenPipe), "failed to write the report");
        assert_eq!(deep.exit_status(), ExitStatus::Success);
        assert_eq!(
            Error::from(io::Error::from(io::ErrorKind::NotFound)).exit_status(),
            ExitStatus::Failure
        );
    }

    #[test]
    fn cancelled_exits_with_130() {
        assert_eq!(Error::from(Cancelled).exit_status(), ExitStatus::Interrupted);
        assert_eq!(chain(Cancelled, "failed to prompt").exit_status(), ExitStatus::Interrupted);
        assert_eq!(ExitStatus::Interrupted as u8, 130);
    }

    #[test]
    fn hints_keep_order() {
        let error = Error::new("no token").hint("oc quay status").hint("or give --quay-token-file");
        assert_eq!(error.hints(), ["oc quay status", "or give --quay-token-file"]);
        assert_eq!(
            error.with_program_name("kubectl quay").hints(),
            ["kubectl quay status", "or give --quay-token-file"]
        );
    }
}
