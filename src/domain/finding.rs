//! Findings: what a check has to say, about which object, how bad it is, and what to do.

use std::fmt;

use serde::Serialize;

pub use super::catalog::{Code, FindingSpec};
use super::rbac::grant;
use super::shell_quote::quoted;
use super::snapshot::ReadError;

/// How bad a finding is. Ordered from fine to broken; `Unknown` stands between what is fine and what is wrong,
/// since it is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing, nothing to do.
    Info,
    /// Could not be checked.
    Unknown,
    /// Works, but will not always, or not as meant.
    Warning,
    /// Does not work.
    Error,
}

impl Severity {
    /// The severity in one lower-case word.
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

/// Who is allowed to do what the user is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Administrator {
    /// An administrator of the cluster.
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
    /// Kind: `Secret`, `RobotAccount`.
    pub kind: &'static str,
    /// Namespace, for objects in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name; objects in Quay by their full name there (`org+robot`, `org/repository`).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl ObjectRef {
    /// An object in a namespace.
    pub fn namespaced(kind: &'static str, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: Some(namespace.into()), name: name.into() }
    }

    /// An object of the cluster as a whole, or of Quay.
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

/// One thing that a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Finding {
    /// Stable code; its entry in the table has the severity and the explanation.
    pub code: Code,
    /// The severity, as the table has it.
    pub severity: Severity,
    /// The namespace it concerns; none for the integration as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What it is about.
    pub object: ObjectRef,
    /// One sentence of fact, without a full stop.
    pub message: String,
    /// One command to copy, if a command helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Who is to be asked to run that command; none where the person can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<Administrator>,
    /// Where it is explained, relative to the project.
    pub docs: String,
    /// The command that explains it.
    #[serde(skip)]
    pub explained_by: String,
}

impl Finding {
    /// A finding about the integration as a whole, with the severity and the hint its code has in the table.
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

    /// That something could not be read; where rights are missing, with the command that gives them.
    pub fn unread(object: ObjectRef, unread: &ReadError) -> Self {
        let finding = Self::new(
            Code::CouldNotRead,
            object,
            format!("Could not {}: {}", unread.call, unread.reason),
        );
        match grant(unread) {
            Some(command) => finding.asking(Administrator::Cluster, command),
            None => finding,
        }
    }

    /// The same, with a command that somebody else has to run.
    pub fn asking(self, ask: Administrator, command: String) -> Self {
        Self { hint: Some(command), ask: Some(ask), ..self }
    }

    /// The same about one namespace.
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
