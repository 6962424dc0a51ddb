//! The webhooks that rewrite builds: who has one, and what it does to builds beside that.

use super::Check;
use crate::domain::finding::{Administrator, Code, Finding, ObjectRef};
use crate::domain::shell_quote::command;
use crate::domain::snapshot::{
    BuildWebhook, BuildWebhookOwner, BuildWebhookOwners, DryRunBuild, DryRunOutcome,
    IdleDeployment, ReadErrorKind,
};

const TITLE: &str = "Builds";
const KIND: &str = "MutatingWebhookConfiguration";

/// None for somebody who may not read them, unless a build that was tried tells of them: where they matter to a build, it
/// is told there.
pub(super) fn check(rewriters: &BuildWebhookOwners) -> Option<Check> {
    let BuildWebhookOwners { webhooks, trial } = rewriters;
    match webhooks {
        Ok(webhooks) => Some(known(webhooks, trial.as_ref())),
        Err(unread) if unread.kind == ReadErrorKind::Forbidden => {
            let finding = out_of_reach(&[], trial.as_ref()?)?;
            // The command of this finding lists what the person is not allowed to list.
            let finding = Finding { ask: Some(Administrator::Cluster), ..finding };
            Some(Check::new(TITLE, "who rewrites them may not be read", vec![finding]))
        }
        Err(unread) => {
            let message = format!("Could not {}: {}", unread.call, unread.reason);
            let finding = Finding::new(Code::CouldNotRead, ObjectRef::cluster(KIND, ""), message);
            Some(Check::new(TITLE, "could not be read", vec![finding]))
        }
    }
}

fn known(webhooks: &[BuildWebhook], trial: Option<&DryRunBuild>) -> Check {
    let mut findings: Vec<_> = webhooks.iter().filter_map(untrusted).collect();
    if findings.is_empty() {
        findings.extend(trial.and_then(|trial| out_of_reach(webhooks, trial)));
    }
    findings.extend(webhooks.iter().filter_map(idle));
    if let [first, second, ..] = webhooks
        && webhooks.iter().any(|webhook| webhook.rewriter != first.rewriter)
    {
        let message =
            format!("Both {} and {} rewrite builds", first.configuration, second.configuration);
        findings.insert(0, Finding::new(Code::SeveralRewriters, object(second), message));
    }
    Check::new(TITLE, fact(webhooks), findings)
}

/// Who rewrites builds, and what that does to them beside: it is no fault that anybody here could mend.
fn fact(webhooks: &[BuildWebhook]) -> String {
    let words = |webhook: &BuildWebhook| {
        let whose = match webhook.rewriter {
            BuildWebhookOwner::Operator => "the operator's webhook",
            BuildWebhookOwner::Bridge => "the webhook of oc quay run",
        };
        let closed = webhook.fails_closed.then_some("refuses all builds while it is away");
        let update = webhook.on_update.then_some("is called for changes too");
        match [closed, update].into_iter().flatten().collect::<Vec<_>>().join(", and ").as_str() {
            "" => whose.to_owned(),
            effects => format!("{whose}, which {effects}"),
        }
    };
    match webhooks {
        [] => "rewritten by no webhook".into(),
        some => {
            format!("rewritten by {}", some.iter().map(words).collect::<Vec<_>>().join("; and by "))
        }
    }
}

fn idle(webhook: &BuildWebhook) -> Option<Finding> {
    let IdleDeployment { namespace, name, wanted } = webhook.idle_deployment.as_ref()?;
    let state = if *wanted == 0 {
        "is scaled to 0".to_owned()
    } else {
        format!("has 0 of {wanted} pods that work")
    };
    let object = ObjectRef::namespaced("Deployment", namespace, name);
    let message =
        format!("Deployment {name} in namespace {namespace} {state}: it keeps no namespace linked");
    let mut finding = Finding::new(Code::ControllerDown, object, message);
    finding.hint = command(&["oc", "describe", "deployment", name, "-n", namespace]);
    Some(finding)
}

fn untrusted(webhook: &BuildWebhook) -> Option<Finding> {
    let problem = webhook.untrusted?;
    let effect =
        if webhook.fails_closed { "every build is refused" } else { "no build is rewritten" };
    let message = format!("The API server cannot trust {}: {problem}; {effect}", webhook.address);
    Some(Finding::new(Code::WebhookOutOfReach, object(webhook), message))
}

/// The server names the webhook, which may be anybody's: every build is refused all the same.
fn out_of_reach(webhooks: &[BuildWebhook], trial: &DryRunBuild) -> Option<Finding> {
    let DryRunOutcome::OutOfReach(reason) = &trial.outcome else { return None };
    let failed = webhooks.iter().find(|webhook| reason.contains(webhook.rewriter.webhook()));
    let object = failed.map_or_else(|| ObjectRef::cluster(KIND, ""), object);
    let message =
        format!("Every build is refused; one that was tried in {}: {reason}", trial.namespace);
    Some(Finding::new(Code::WebhookOutOfReach, object, message))
}

fn object(webhook: &BuildWebhook) -> ObjectRef {
    ObjectRef::cluster(KIND, &webhook.configuration)
}
