//! Builds: does what they push end up in Quay, and does anything keep them from it.

use super::{Assessed, Check, count};
use crate::domain::builds::{
    BUILDER, CommonSpec, PushTarget, RejectReason, RewriteOutcome, SkipReason, is_stuck,
    lacks_secret, outdated, refusal, silent,
};
use crate::domain::finding::{Code, Finding, ObjectRef};
use crate::domain::shell_quote::command;
use crate::domain::snapshot::{Build, BuildConfig, DryRunOutcome, Phase, ReadError, ReadErrorKind};

const TITLE: &str = "Builds";
const CONFIG: &str = "BuildConfig";
const BUILD: &str = "Build";

/// OpenShift's reason for a build whose output is no place to push to (openshift/api `build/v1/consts.go`).
const INVALID_OUTPUT: &str = "InvalidOutputReference";

/// None where there are no builds, or nobody asked about them.
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
        configs.iter().map(|config| (config, PushTarget::of(subject, &config.spec))).collect();
    let to_quay = outlooks.iter().filter(|(_, outlook)| outlook.is_quay()).count();
    let mut findings = Vec::new();
    findings.extend(outlooks.iter().find_map(|(_, outlook)| unknown(subject, outlook)));
    findings.extend(of_trial(subject));
    for (config, outlook) in &outlooks {
        findings.extend(of_config(subject, config, outlook));
    }
    findings.extend(builds.iter().filter_map(|build| of_build(subject, build)));
    Some(Check::new(
        TITLE,
        format!("{to_quay} of {} to Quay", count(configs.len(), CONFIG)),
        findings,
    ))
}

/// One finding, however many builds depend on it.
fn unknown(subject: &Assessed, outlook: &PushTarget) -> Option<Finding> {
    let PushTarget::Unknown(_, ReadError { call, reason, .. }) = outlook else { return None };
    let object = subject.object("MutatingWebhookConfiguration", "");
    Some(subject.finding(
        Code::CouldNotRead,
        object,
        format!("Who rewrites builds is not known. Could not {call}: {reason}"),
    ))
}

/// What a build that was tried tells beyond the webhook's registration. That one cannot be called at all is told there.
fn of_trial(subject: &Assessed) -> Option<Finding> {
    if let Some(webhook) = silent(subject) {
        let message = format!(
            "A build that was tried came back as it was: {} does not answer the API server, or is not asked about this namespace",
            webhook.address
        );
        let object = ObjectRef::cluster("MutatingWebhookConfiguration", &webhook.configuration);
        return Some(subject.finding(Code::WebhookOutOfReach, object, message));
    }
    match &subject.snapshot.trial {
        // Whoever sees the webhook is told so for each BuildConfig that it concerns.
        Some(DryRunOutcome::Refused(reason)) if subject.snapshot.webhooks.is_err() => {
            let message = format!("A build that was tried is refused: {reason}");
            Some(subject.finding(
                Code::BuildRefused,
                subject.object("ServiceAccount", BUILDER),
                message,
            ))
        }
        _ => None,
    }
}

fn of_config(subject: &Assessed, config: &BuildConfig, outlook: &PushTarget) -> Vec<Finding> {
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
                "BuildConfig {name} pushes to OpenShift's own registry, and nobody sends it to {image}"
            ),
            None,
        ),
        PushTarget::Nowhere(image) => {
            let message = format!(
                "BuildConfig {name} has no place to push to, and nobody sends it to {image}"
            );
            find(Code::BuildGoesNowhere, message, None);
        }
        _ => {}
    }
    let edit = || command(&["oc", "edit", "buildconfigs", name, "-n", &subject.snapshot.name]);
    if let Some(refusal) = refusal(subject, &config.spec) {
        let hint = (!matches!(refusal, RejectReason::NoLogin(_))).then(edit).flatten();
        find(
            Code::BuildRefused,
            format!("The operator's webhook refuses builds of {name}: {refusal}"),
            hint,
        );
    }
    if let Some(secret) = lacks_secret(subject, config, outlook) {
        let hint =
            (!subject.integration.cluster_id.value.names_secret(secret)).then(edit).flatten();
        let message =
            format!("BuildConfig {name} pushes to Quay with secret {secret}, which does not exist");
        find(Code::PushSecretMissing, message, hint);
    }
    if let Some(organization) = closed_organization(subject, &config.spec) {
        let message = format!(
            "No login of this namespace may push to {organization}, where BuildConfig {name} belongs"
        );
        find(Code::OrganizationOfAnotherNamespace, message, None);
    }
    if let Some(image) = outdated(subject, config).filter(|_| !subject.is_address_in_doubt()) {
        let message =
            format!("BuildConfig {name} was rewritten, but not to {image}, where it belongs now");
        find(Code::RewritingOutdated, message, None);
    }
    findings
}

/// The organization of another namespace that a build belongs in and cannot push to.
fn closed_organization(subject: &Assessed, spec: &CommonSpec) -> Option<String> {
    let RewriteOutcome::Unchanged(SkipReason::OtherOrganization(namespace)) =
        subject.rewriting(spec)
    else {
        return None;
    };
    Some(subject.integration.cluster_id.value.organization(&namespace))
}

fn of_build(subject: &Assessed, build: &Build) -> Option<Finding> {
    let name = &build.name;
    let find =
        |code, message: String| Some(subject.finding(code, subject.object(BUILD, name), message));
    if build.phase.is_over() {
        return None;
    }
    if is_stuck(subject, &build.spec) {
        let phase = build.phase.as_str();
        let message = format!(
            "Build {name} hangs in {phase}: each change to it is refused, as its spec is immutable"
        );
        let hint = command(&["oc", "delete", "build", name, "-n", &subject.snapshot.name]);
        return find(Code::BuildHangs, message).map(|finding| Finding { hint, ..finding });
    }
    if build.phase == Phase::New && build.reason == INVALID_OUTPUT {
        let message = format!(
            "Build {name} waits for a place to push to: {}",
            build.message.trim_end_matches('.')
        );
        // What becomes of its BuildConfig does not change a build that is made.
        let hint = command(&["oc", "cancel-build", name, "-n", &subject.snapshot.name]);
        return find(Code::BuildGoesNowhere, message).map(|finding| Finding { hint, ..finding });
    }
    None
}
