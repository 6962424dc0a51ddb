//! Checks that the namespace exists, is in scope and is not stuck in Terminating.

use super::{Assessed, Check};
use crate::domain::finding::Code;
use crate::domain::names::{FINALIZER, OPERATOR_FINALIZER};
use crate::domain::scope::Scope;

const TITLE: &str = "Namespace";

pub(super) fn check(subject: &Assessed) -> Check {
    let name = &subject.snapshot.name;
    let object = subject.object(TITLE, name);
    let scope = subject.scope();
    let namespace = match &subject.snapshot.namespace {
        Ok(Some(namespace)) => namespace,
        Ok(None) => {
            let finding = subject.finding(
                Code::NamespaceMissing,
                object,
                format!("Namespace {name} does not exist"),
            );
            return Check::new(TITLE, "does not exist", vec![finding]);
        }
        Err(unread) => return subject.unread(TITLE, object, unread),
    };
    let ours = [(OPERATOR_FINALIZER, "the operator"), (FINALIZER, "the controller")];
    let carried = ours
        .iter()
        .find(|(name, _)| namespace.finalizers.iter().any(|finalizer| finalizer == name));
    let mut findings = Vec::new();
    if namespace.terminating {
        if let Some((finalizer, _)) = carried {
            let message =
                format!("Namespace {name} is being deleted and waits for finalizer {finalizer}");
            findings.push(subject.finding(Code::StuckInTerminating, object, message));
        }
        return Check::new(TITLE, "being deleted", findings);
    }
    if !scope.is_in() {
        let code = if scope == Scope::BuiltIn { Code::PlatformNamespace } else { Code::OutOfScope };
        findings.push(subject.finding(
            code,
            object,
            format!("Namespace {name} is not linked: {scope}"),
        ));
        return Check::new(TITLE, format!("out of scope: {scope}"), findings);
    }
    if namespace.awaits_annotations {
        let message = format!("Namespace {name} has no openshift.io/sa.scc.mcs annotation yet");
        findings.push(subject.finding(Code::AwaitsAnnotations, object.clone(), message));
    }
    if let Some((_, owner)) = carried {
        let message = format!(
            "When namespace {name} is deleted, {owner} deletes organization {}",
            subject.desired.organization
        );
        findings.push(subject.finding(Code::CarriesOperatorFinalizer, object, message));
    }
    if subject.integration.lists_unread {
        return Check::new(TITLE, "scope unknown", findings).incomplete();
    }
    Check::new(TITLE, format!("in scope: {scope}"), findings)
}
