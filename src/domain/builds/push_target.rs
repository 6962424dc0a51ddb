//! The push target of a build, with the registered webhooks.

use std::fmt;

use super::super::checks::Assessed;
use super::super::scope::Scope;
use super::super::snapshot::{
    BuildConfig, BuildWebhook, BuildWebhookOwner, DryRunOutcome, NamespaceSnapshot, ReadError,
};
use super::{CommonSpec, Destination, RewriteOutcome, SkipReason, Strategy};

/// The registry that a build pushes to. Images are those in Quay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushTarget {
    /// This Quay, by the build's own output.
    Quay(String),
    /// This Quay, by a webhook.
    Rewritten(BuildWebhookOwner, String),
    /// This Quay, according to a dry run; the webhook could not be read.
    DryRun(String),
    /// The output is not rewritten.
    AsWritten(SkipReason),
    /// The internal registry, since no webhook redirects the build to this image.
    Internal(String),
    /// No webhook redirects the build to this image, and its output cannot be resolved. The build
    /// waits forever.
    Nowhere(String),
    /// This image or the internal registry: the webhooks could not be read.
    Unknown(String, ReadError),
}

impl PushTarget {
    /// The push target of a build, or of the builds of a BuildConfig.
    pub fn resolve(subject: &Assessed, spec: &CommonSpec) -> Self {
        let rewritten = match subject.rewriting(spec) {
            RewriteOutcome::Unchanged(SkipReason::InQuay) => {
                return PushTarget::Quay(output_name(spec));
            }
            RewriteOutcome::Rewritten(rewritten) => Ok(rewritten),
            RewriteOutcome::Unchanged(why) => Err(why),
        };
        let webhooks = match (&subject.snapshot.webhooks, &subject.snapshot.trial) {
            (Ok(webhooks), _) => webhooks.as_slice(),
            // Webhooks do not rewrite builds whose service account has no credentials yet.
            (Err(_), Some(DryRunOutcome::Unchanged)) if has_push_secret(subject) => &[],
            (Err(_), Some(DryRunOutcome::Rewritten)) => {
                return rewritten.map_or_else(PushTarget::AsWritten, |rewritten| {
                    PushTarget::DryRun(rewritten.image)
                });
            }
            (Err(unread), _) => {
                return rewritten.map_or_else(PushTarget::AsWritten, |rewritten| {
                    PushTarget::Unknown(rewritten.image, unread.clone())
                });
            }
        };
        let has_webhook = |rewriter: BuildWebhookOwner| {
            webhooks.iter().any(|webhook| webhook.rewriter == rewriter)
        };
        if has_webhook(BuildWebhookOwner::Operator)
            && let Some(image) = rewritten_by_operator(subject, spec)
        {
            return PushTarget::Rewritten(BuildWebhookOwner::Operator, image);
        }
        match rewritten {
            Ok(rewritten) if has_webhook(BuildWebhookOwner::Controller) => {
                PushTarget::Rewritten(BuildWebhookOwner::Controller, rewritten.image)
            }
            Ok(rewritten) if is_in_internal_registry(subject, &rewritten.destination) => {
                PushTarget::Internal(rewritten.image)
            }
            Ok(rewritten) => PushTarget::Nowhere(rewritten.image),
            Err(why) => PushTarget::AsWritten(why),
        }
    }

    /// Whether the image is pushed to this Quay.
    pub fn is_quay(&self) -> bool {
        matches!(self, PushTarget::Quay(_) | PushTarget::Rewritten(..) | PushTarget::DryRun(_))
    }
}

/// The reason why the operator's webhook would reject a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// This push secret is not listed in the service account [`super::BUILDER`].
    MissingSecret(String),
    /// The webhook crashes over a build without an output.
    NoOutput,
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RejectReason::MissingSecret(secret) => {
                write!(f, "service account {} does not list secret {secret}", super::BUILDER)
            }
            RejectReason::NoOutput => {
                f.write_str("it has no output, which crashes the operator's webhook")
            }
        }
    }
}

/// Why the operator's webhook would reject a new build. It requires the secret of `builder` in that
/// service account for every build (QBO `pkg/webhook/webhook.go:62-100`). Without an output it
/// crashes, which rejects the build if the webhook fails closed. It also crashes over an output
/// without a tag, but the API server rejects such BuildConfigs (openshift-apiserver
/// `validation.go`, `validateToImageReference`).
pub fn operator_rejection(subject: &Assessed, spec: &CommonSpec) -> Option<RejectReason> {
    let webhook = operator_webhook(subject)?;
    if subject.snapshot.service_accounts.is_ok() && !has_push_secret(subject) {
        let secret = subject.integration.cluster_id.value.secret(super::BUILDER);
        return Some(RejectReason::MissingSecret(secret));
    }
    let is_rejected =
        webhook.fails_closed && has_operator_strategy(spec) && spec.output.to.is_none();
    is_rejected.then_some(RejectReason::NoOutput)
}

/// The push secret for this Quay in a BuildConfig, if it does not exist. This is known only for our
/// own secrets and for those of rewritten BuildConfigs: others might be of a type that is not read.
pub fn missing_push_secret<'a>(
    subject: &Assessed,
    config: &'a BuildConfig,
    target: &PushTarget,
) -> Option<&'a str> {
    let secret = config
        .spec
        .output
        .push_secret
        .as_deref()
        .filter(|_| matches!(target, PushTarget::Quay(_)))?;
    let is_known = subject.integration.cluster_id.value.names_secret(secret)
        || config.still_rewritten().is_some();
    let is_present = subject.snapshot.secrets.is_err() || subject.snapshot.secret(secret).is_some();
    (is_known && !is_present).then_some(secret)
}

/// Whether the builder service account is known to list its push secret.
fn has_push_secret(subject: &Assessed) -> bool {
    let secret = subject.integration.cluster_id.value.secret(super::BUILDER);
    subject
        .snapshot
        .service_account(super::BUILDER)
        .is_some_and(|builder| builder.mountable.contains(&secret))
}

/// The webhook that did not rewrite a dry-run build: it is unavailable and fails open, or its
/// selector excludes the namespace.
pub fn unresponsive_webhook<'a>(subject: &'a Assessed) -> Option<&'a BuildWebhook> {
    let NamespaceSnapshot { webhooks: Ok(webhooks), trial: Some(DryRunOutcome::Unchanged), .. } =
        subject.snapshot
    else {
        return None;
    };
    webhooks
        .iter()
        .find(|webhook| webhook.untrusted.is_none())
        .filter(|_| has_push_secret(subject) && subject.is_to_be_linked())
}

/// The image that a rewritten BuildConfig needs since the address of Quay or the cluster ID
/// changed.
pub fn new_image(subject: &Assessed, config: &BuildConfig) -> Option<String> {
    let former = config.still_rewritten()?;
    match subject.rewriting(&former.output.spec(&config.spec)) {
        RewriteOutcome::Rewritten(now) if now.image != former.image => Some(now.image),
        _ => None,
    }
}

/// Whether every update of a build is rejected (422), because the operator's webhook modifies its
/// immutable spec.
pub fn is_stuck(subject: &Assessed, spec: &CommonSpec) -> bool {
    operator_webhook(subject).is_some_and(|webhook| webhook.on_update)
        && rewritten_by_operator(subject, spec).is_some()
}

/// The operator's webhook, if the namespace is in its scope, which excludes namespaces that are
/// linked on request.
fn operator_webhook<'a>(subject: &'a Assessed) -> Option<&'a BuildWebhook> {
    let is_in_its_scope = subject.scope().is_in() && subject.scope() != Scope::Requested;
    let mut webhooks = subject.snapshot.webhooks.iter().flatten();
    webhooks.find(|webhook| webhook.rewriter == BuildWebhookOwner::Operator && is_in_its_scope)
}

/// The output according to the operator's webhook, which checks neither the scope of the target
/// namespace nor permissions.
fn rewritten_by_operator(subject: &Assessed, spec: &CommonSpec) -> Option<String> {
    operator_webhook(subject)?;
    let to =
        spec.output.to.as_ref().filter(|to| {
            has_operator_strategy(spec) && is_stream_tag(spec) && to.name.contains(':')
        })?;
    Some(to.stream_tag(&subject.snapshot.name).image(subject.integration))
}

fn has_operator_strategy(spec: &CommonSpec) -> bool {
    matches!(spec.strategy, Some(Strategy::Docker | Strategy::Source))
}

fn is_stream_tag(spec: &CommonSpec) -> bool {
    spec.output.to.as_ref().is_some_and(|to| to.kind == "ImageStreamTag")
}

fn output_name(spec: &CommonSpec) -> String {
    spec.output.to.as_ref().map(|to| to.name.clone()).unwrap_or_default()
}

/// Whether the internal registry can store an image. Image streams of other namespaces are unknown,
/// but the registry is enabled for all of them or for none.
fn is_in_internal_registry(subject: &Assessed, destination: &Destination) -> bool {
    let Ok(streams) = &subject.snapshot.image_streams else { return true };
    if destination.namespace == subject.snapshot.name {
        return streams
            .iter()
            .any(|stream| stream.name == destination.stream && stream.in_registry);
    }
    streams.is_empty() || streams.iter().any(|stream| stream.in_registry)
}
