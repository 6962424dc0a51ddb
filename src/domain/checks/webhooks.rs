//! Checks the webhooks that rewrite builds.

use super::Check;
use crate::domain::finding::{Administrator, Code, Finding, ObjectRef};
use crate::domain::shell_quote::command;
use crate::domain::snapshot::{
    BuildWebhook, BuildWebhookOwner, BuildWebhookOwners, DryRunBuild, DryRunOutcome,
    IdleDeployment, ReadErrorKind,
};

const TITLE: &str = "Builds";
const KIND: &str = "MutatingWebhookConfiguration";

/// None without permission to read them, unless a dry-run Build shows that one is unreachable.
pub(super) fn check(rewriters: &BuildWebhookOwners) -> Option<Check> {
    let BuildWebhookOwners { webhooks, trial } = rewriters;
    match webhooks {
        Ok(webhooks) => Some(check_webhooks(webhooks, trial.as_ref())),
        Err(unread) if unread.kind == ReadErrorKind::Forbidden => {
            let finding = unreachable(&[], trial.as_ref()?)?;
            // The user is not allowed to run this finding's hint.
            let finding = Finding { ask: Some(Administrator::Cluster), ..finding };
            Some(Check::new(TITLE, "no permission to read the webhooks", vec![finding]))
        }
        Err(unread) => {
            let message = format!("Could not {}: {}", unread.call, unread.reason);
            let finding = Finding::new(Code::CouldNotRead, ObjectRef::cluster(KIND, ""), message);
            Some(Check::new(TITLE, "could not be read", vec![finding]))
        }
    }
}

fn check_webhooks(webhooks: &[BuildWebhook], trial: Option<&DryRunBuild>) -> Check {
    let mut findings: Vec<_> = webhooks.iter().filter_map(untrusted).collect();
    if findings.is_empty() {
        findings.extend(trial.and_then(|trial| unreachable(webhooks, trial)));
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

/// Names the webhooks, with the side effects of their configuration, which are not findings.
fn fact(webhooks: &[BuildWebhook]) -> String {
    let describe = |webhook: &BuildWebhook| {
        let owner = match webhook.rewriter {
            BuildWebhookOwner::Operator => "the operator's webhook",
            BuildWebhookOwner::Controller => "the webhook of oc quay run",
        };
        let closed = webhook.fails_closed.then_some("rejects all builds while it is unavailable");
        let update = webhook.on_update.then_some("is called for updates too");
        match [closed, update].into_iter().flatten().collect::<Vec<_>>().join(", and ").as_str() {
            "" => owner.to_owned(),
            effects => format!("{owner}, which {effects}"),
        }
    };
    match webhooks {
        [] => "rewritten by no webhook".into(),
        several => {
            format!(
                "rewritten by {}",
                several.iter().map(describe).collect::<Vec<_>>().join("; and by ")
            )
        }
    }
}

fn idle(webhook: &BuildWebhook) -> Option<Finding> {
    let IdleDeployment { namespace, name, wanted } = webhook.idle_deployment.as_ref()?;
    let state = if *wanted == 0 {
        "is scaled to 0".to_owned()
    } else {
        format!("has 0 of {wanted} pods available")
    };
    let object = ObjectRef::namespaced("Deployment", namespace, name);
    let message = format!(
        "Deployment {name} in namespace {namespace} {state}: namespaces are not linked automatically"
    );
    let mut finding = Finding::new(Code::ControllerDown, object, message);
    finding.hint = command(&["oc", "describe", "deployment", name, "-n", namespace]);
    Some(finding)
}

fn untrusted(webhook: &BuildWebhook) -> Option<Finding> {
    let problem = webhook.untrusted?;
    let effect =
        if webhook.fails_closed { "every build is rejected" } else { "no build is rewritten" };
    let message = format!("The API server cannot trust {}: {problem}; {effect}", webhook.address);
    Some(Finding::new(Code::WebhookUnreachable, object(webhook), message))
}

/// The webhook in the server's message can be any, since each rejects every build.
fn unreachable(webhooks: &[BuildWebhook], trial: &DryRunBuild) -> Option<Finding> {
    let DryRunOutcome::Unreachable(reason) = &trial.outcome else { return None };
    let failed = webhooks.iter().find(|webhook| reason.contains(webhook.rewriter.webhook()));
    let object = failed.map_or_else(|| ObjectRef::cluster(KIND, ""), object);
    let message =
        format!("Every build is rejected, as a dry-run Build in {} was: {reason}", trial.namespace);
    Some(Finding::new(Code::WebhookUnreachable, object, message))
}

fn object(webhook: &BuildWebhook) -> ObjectRef {
    ObjectRef::cluster(KIND, &webhook.configuration)
}
