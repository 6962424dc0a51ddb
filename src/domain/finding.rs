//! Findings: the problems that checks report, each with object, severity and hint.

use std::fmt;

use serde::Serialize;

pub use super::catalog::{Code, FindingSpec};
use super::rbac::grant_command;
use super::shell_quote::quoted;
use super::snapshot::ReadError;

/// Ordered from ok to error; `Unknown` is between `Info` and `Warning`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// No problem.
    Ok,
    /// No action needed.
    Info,
    /// Could not be checked.
    Unknown,
    /// Works, but not reliably or not as intended.
    Warning,
    /// Does not work.
    Error,
}

impl Severity {
    /// `ok`, `info`, `unknown`, `warning` or `error`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Ok => "ok",
            Severity::Info => "info",
            Severity::Unknown => "unknown",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// The person to ask for an action that the user is not allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Administrator {
    /// A cluster administrator.
    Cluster,
}

impl fmt::Display for Administrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Administrator::Cluster => "a cluster administrator",
        })
    }
}

/// The object a finding or a change is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ObjectRef {
    /// `Secret`, `RobotAccount`.
    pub kind: &'static str,
    /// None for cluster-scoped objects and objects in Quay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Objects in Quay have their full name (`org+robot`, `org/repository`); empty if no single object is concerned.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl ObjectRef {
    pub fn namespaced(kind: &'static str, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: Some(namespace.into()), name: name.into() }
    }

    /// A cluster-scoped object, or one in Quay.
    pub fn cluster(kind: &'static str, name: &str) -> Self {
        Self { kind, namespace: None, name: name.into() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.namespace, self.name.as_str()) {
            (_, "") => f.write_str(self.kind),
            (Some(namespace), name) => write!(f, "{}/{name} -n {namespace}", self.kind),
            (None, name) => write!(f, "{}/{name}", self.kind),
        }
    }
}

/// A problem or a fact that a check reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Finding {
    /// Stable code, explained by its entry in the catalog.
    pub code: Code,
    /// From the catalog.
    pub severity: Severity,
    /// None for the integration as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The object concerned.
    pub object: ObjectRef,
    /// One sentence of fact, without a full stop.
    pub message: String,
    /// A command to copy, if a command helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The person to ask to run that command; none if the user is allowed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<Administrator>,
    /// Documentation, relative to the project.
    pub docs: String,
    /// `oc quay explain OQ301`.
    #[serde(skip)]
    pub explained_by: String,
}

impl Finding {
    /// A finding about the integration as a whole, with severity and hint from the catalog.
    pub fn new(code: Code, object: ObjectRef, message: impl Into<String>) -> Self {
        let entry = code.entry();
        let hint = (!entry.hint.is_empty()).then(|| entry.hint.to_owned());
        Self {
            code,
            severity: entry.severity,
            namespace: None,
            object,
            message: message.into(),
            hint,
            ask: None,
            docs: code.docs(),
            explained_by: format!("oc quay explain {}", entry.code),
        }
    }

    /// A [`Code::CouldNotRead`] finding. If a permission is missing, its hint is the command that grants it.
    pub fn unread(object: ObjectRef, unread: &ReadError) -> Self {
        let finding = Self::new(
            Code::CouldNotRead,
            object,
            format!("Could not {}: {}", unread.call, unread.reason),
        );
        match grant_command(unread) {
            Some(command) => finding.asking(Administrator::Cluster, command),
            None => finding,
        }
    }

    /// With a command that an administrator has to run.
    pub fn asking(self, ask: Administrator, command: String) -> Self {
        Self { hint: Some(command), ask: Some(ask), ..self }
    }

    /// The finding for one namespace.
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        self.hint = self.hint.map(|hint| hint.replace("{namespace}", &quoted(namespace)));
        self.namespace = Some(namespace.to_owned());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_the_namespace() {
        let finding =
            Finding::new(Code::RobotMissing, ObjectRef::cluster("RobotAccount", "o+r"), "m")
                .in_namespace("shop");
        assert_eq!(finding.hint.as_deref(), Some("oc quay repair -n shop"));
        assert_eq!(finding.namespace.as_deref(), Some("shop"));
    }
}
