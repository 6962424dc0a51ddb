//! Checks that builds can push, and that they push to Quay.

use super::{Assessed, Check, count};
use crate::domain::builds::{
    BUILDER, CommonSpec, PushTarget, RejectReason, RewriteOutcome, SkipReason, is_stuck,
    missing_push_secret, new_image, operator_rejection, unresponsive_webhook,
};
use crate::domain::finding::{Code, Finding, ObjectRef};
use crate::domain::shell_quote::command;
use crate::domain::snapshot::{Build, BuildConfig, DryRunOutcome, Phase, ReadError, ReadErrorKind};

const TITLE: &str = "Builds";
const CONFIG: &str = "BuildConfig";
const BUILD: &str = "Build";

/// Reason of a build whose output cannot be resolved (openshift/api `build/v1/consts.go`).
const INVALID_OUTPUT: &str = "InvalidOutputReference";

/// None without builds, or if they were not read.
pub(super) fn check(subject: &Assessed) -> Option<Check> {
    let (configs, builds) = match (&subject.snapshot.build_configs, &subject.snapshot.builds) {
        (Ok(configs), Ok(builds)) => (configs, builds),
        (Err(unread), _) | (_, Err(unread)) if unread.kind == ReadErrorKind::Skipped => {
            return None;
        }
        (Err(unread), _) => return Some(subject.unread(TITLE, subject.object(CONFIG, ""), unread)),
        (_, Err(unread)) => return Some(subject.unread(TITLE, subject.object(BUILD, ""), unread)),
    };
    if configs.is_empty() && builds.is_empty() {
        return None;
    }
    let outlooks: Vec<_> =
        configs.iter().map(|config| (config, PushTarget::resolve(subject, &config.spec))).collect();
    let to_quay = outlooks.iter().filter(|(_, outlook)| outlook.is_quay()).count();
    let mut findings = Vec::new();
    findings.extend(outlooks.iter().find_map(|(_, outlook)| unknown_target(subject, outlook)));
    findings.extend(trial_finding(subject));
    for (config, outlook) in &outlooks {
        findings.extend(config_findings(subject, config, outlook));
    }
    findings.extend(builds.iter().filter_map(|build| build_finding(subject, build)));
    Some(Check::new(
        TITLE,
        format!("{to_quay} of {} to Quay", count(configs.len(), CONFIG)),
        findings,
    ))
}

/// One finding, however many builds depend on it.
fn unknown_target(subject: &Assessed, outlook: &PushTarget) -> Option<Finding> {
    let PushTarget::Unknown(_, ReadError { call, reason, .. }) = outlook else { return None };
    let object = subject.object("MutatingWebhookConfiguration", "");
    Some(subject.finding(
        Code::CouldNotRead,
        object,
        format!("Cannot determine which webhooks rewrite builds: could not {call}: {reason}"),
    ))
}

/// The outcome of the dry run, unless a finding about the webhook's registration covers it.
fn trial_finding(subject: &Assessed) -> Option<Finding> {
    if let Some(webhook) = unresponsive_webhook(subject) {
        let message = format!(
            "The webhook did not modify a dry-run Build: {} is unavailable, or is not called for this namespace",
            webhook.address
        );
        let object = ObjectRef::cluster("MutatingWebhookConfiguration", &webhook.configuration);
        return Some(subject.finding(Code::WebhookUnreachable, object, message));
    }
    match &subject.snapshot.trial {
        // With permission to read webhooks, each affected BuildConfig has a finding.
        Some(DryRunOutcome::Rejected(reason)) if subject.snapshot.webhooks.is_err() => {
            let message = format!("A dry-run Build was rejected: {reason}");
            Some(subject.finding(
                Code::BuildRejected,
                subject.object("ServiceAccount", BUILDER),
                message,
            ))
        }
        _ => None,
    }
}

fn config_findings(subject: &Assessed, config: &BuildConfig, outlook: &PushTarget) -> Vec<Finding> {
    let name = &config.name;
    let mut findings = Vec::new();
    let mut find = |code, message: String, hint: Option<String>| {
        let mut finding = subject.finding(code, subject.object(CONFIG, name), message);
        finding.hint = hint.or(finding.hint);
        findings.push(finding);
    };
    match outlook {
        PushTarget::Internal(image) => find(
            Code::BuildToInternalRegistry,
            format!(
                "BuildConfig {name} pushes to the internal registry; no webhook redirects it to {image}"
            ),
            None,
        ),
        PushTarget::Nowhere(image) => {
            let message = format!(
                "The output of BuildConfig {name} cannot be resolved; no webhook redirects it to {image}"
            );
            find(Code::BuildGoesNowhere, message, None);
        }
        _ => {}
    }
    let edit = || command(&["oc", "edit", "buildconfigs", name, "-n", &subject.snapshot.name]);
    if let Some(reason) = operator_rejection(subject, &config.spec) {
        let hint = (!matches!(reason, RejectReason::MissingSecret(_))).then(edit).flatten();
        find(
            Code::BuildRejected,
            format!("The operator's webhook rejects builds of {name}: {reason}"),
            hint,
        );
    }
    if let Some(secret) = missing_push_secret(subject, config, outlook) {
        let hint =
            (!subject.integration.cluster_id.value.names_secret(secret)).then(edit).flatten();
        let message =
            format!("BuildConfig {name} pushes to Quay with secret {secret}, which does not exist");
        find(Code::PushSecretMissing, message, hint);
    }
    if let Some(organization) = closed_organization(subject, &config.spec) {
        let message = format!(
            "The output of BuildConfig {name} belongs to {organization}, where no credentials of this namespace are allowed to push"
        );
        find(Code::OrganizationOfAnotherNamespace, message, None);
    }
    if let Some(image) = new_image(subject, config).filter(|_| !subject.is_address_in_doubt()) {
        let message = format!(
            "BuildConfig {name} was rewritten to a location other than the current {image}"
        );
        find(Code::RewritingOutdated, message, None);
    }
    findings
}

/// The organization of another namespace that the output belongs to, and to which this namespace cannot push.
fn closed_organization(subject: &Assessed, spec: &CommonSpec) -> Option<String> {
    let RewriteOutcome::Unchanged(SkipReason::OtherOrganization(namespace)) =
        subject.rewriting(spec)
    else {
        return None;
    };
    Some(subject.integration.cluster_id.value.organization(&namespace))
}

fn build_finding(subject: &Assessed, build: &Build) -> Option<Finding> {
    let name = &build.name;
    let find =
        |code, message: String| Some(subject.finding(code, subject.object(BUILD, name), message));
    if build.phase.is_over() {
        return None;
    }
    if is_stuck(subject, &build.spec) {
        let phase = build.phase.as_str();
        let message =
            format!("Build {name} is stuck in {phase}: the webhook modifies its immutable spec");
        let hint = command(&["oc", "delete", "build", name, "-n", &subject.snapshot.name]);
        return find(Code::BuildStuck, message).map(|finding| Finding { hint, ..finding });
    }
    if build.phase == Phase::New && build.reason == INVALID_OUTPUT {
        let message = format!(
            "The output of build {name} cannot be resolved: {}",
            build.message.trim_end_matches('.')
        );
        // Rewriting the BuildConfig does not change an existing build.
        let hint = command(&["oc", "cancel-build", name, "-n", &subject.snapshot.name]);
        return find(Code::BuildGoesNowhere, message).map(|finding| Finding { hint, ..finding });
    }
    None
}
