//! What a command fails with, what to do about it, and the exit code; all of them in this one place.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// How a command ended. The numbers are the exit codes, the same in every output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Fine, or done.
    Success = 0,
    /// Findings remain, or something could not be repaired.
    Findings = 1,
    /// What was asked could not be done. Mistakes on the command line end with the same code, from clap.
    Failure = 2,
    /// A person stopped it.
    Interrupted = 130,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        ExitCode::from(status as u8)
    }
}

/// A person left with Esc or Ctrl-C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Cancelled {}

/// Why a command could not do what was asked: a chain of causes, and hints at what to do.
///
/// It is made from an [`anyhow::Error`], so that an error of a library needs a context before `?` takes it here.
#[derive(Debug)]
pub struct Error {
    cause: anyhow::Error,
    request: Option<String>,
    hints: Vec<String>,
}

impl Error {
    /// A failure in one sentence, without a full stop.
    pub fn new(message: impl Into<String>) -> Self {
        anyhow::Error::msg(message.into()).into()
    }

    /// Adds a hint: a sentence, or a command to copy.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the command that a cluster administrator runs instead. [`Error::addressed`] leaves it as it is: an administrator
    /// connects to the cluster in another way than the user.
    pub fn ask(mut self, command: &str) -> Self {
        self.request = Some(format!("ask a cluster administrator to run: {command}"));
        self
    }

    /// The same, with the commands in its hints as the person began theirs: `oc quay` or `kubectl quay`.
    pub fn addressed(mut self, program: &str) -> Self {
        for hint in &mut self.hints {
            *hint = hint.replace("oc quay", program);
        }
        self
    }

    /// The request to a cluster administrator, for a user without the permissions.
    pub fn request(&self) -> Option<&str> {
        self.request.as_deref()
    }

    /// The hints, in the order they were added.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The messages of the chain, the outermost first. A cause that the message before it quotes is left out, since
    /// many libraries put their cause into their own message.
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

    /// The exit code it leads to. A reader that closes the pipe has seen enough; that is no failure.
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
        Self { cause, request: None, hints: vec![] }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl From<Cancelled> for Error {
    fn from(stopped: Cancelled) -> Self {
        anyhow::Error::from(stopped).into()
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
    fn the_chain_reads_from_the_outside() {
        let error = chain(anyhow::anyhow!("connection refused"), "could not list the namespaces");
        assert_eq!(error.messages(), ["could not list the namespaces", "connection refused"]);
        assert_eq!(error.exit_status(), ExitStatus::Failure);
    }

    #[test]
    fn a_cause_that_was_quoted_is_not_repeated() {
        let error = chain(anyhow::anyhow!("timed out"), "the call failed: timed out");
        assert_eq!(error.messages(), ["the call failed: timed out"]);
    }

    #[test]
    fn a_closed_pipe_is_no_failure_wherever_it_stands_in_the_chain() {
        assert_eq!(
            Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).exit_status(),
            ExitStatus::Success
        );
        let deep = chain(io::Error::from(io::ErrorKind::BrokenPipe), "could not write the report");
        assert_eq!(deep.exit_status(), ExitStatus::Success);
        assert_eq!(
            Error::from(io::Error::from(io::ErrorKind::NotFound)).exit_status(),
            ExitStatus::Failure
        );
    }

    #[test]
    fn stopping_is_130() {
        assert_eq!(Error::from(Cancelled).exit_status(), ExitStatus::Interrupted);
        assert_eq!(chain(Cancelled, "could not ask").exit_status(), ExitStatus::Interrupted);
        assert_eq!(ExitStatus::Interrupted as u8, 130);
    }

    #[test]
    fn hints_keep_their_order() {
        let error = Error::new("no token").hint("oc quay status").hint("or give --quay-token-file");
        assert_eq!(error.hints(), ["oc quay status", "or give --quay-token-file"]);
        assert_eq!(
            error.addressed("kubectl quay").hints(),
            ["kubectl quay status", "or give --quay-token-file"]
        );
    }
}
