//! What becomes of the next build of a BuildConfig, with the webhooks that there are.

use std::fmt;

use super::super::checks::Assessed;
use super::super::scope::Scope;
use super::super::snapshot::{
    BuildConfig, BuildWebhook, BuildWebhookOwner, DryRunOutcome, NamespaceSnapshot, ReadError,
};
use super::{CommonSpec, Destination, RewriteOutcome, SkipReason, Strategy};

/// Where the image of a build goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushTarget {
    /// To this Quay, since that is what is written.
    Quay(String),
    /// To this Quay, since a webhook sends it there.
    Rewritten(BuildWebhookOwner, String),
    /// To this Quay, since one that was tried was sent there; by whom could not be read.
    Tried(String),
    /// Where it is written, which is no business of the integration's.
    AsWritten(SkipReason),
    /// Into OpenShift's own registry, although it belongs there in Quay: nobody sends it.
    Internal(String),
    /// Nowhere: nobody sends it there in Quay, and there is no other place for it. The build waits for ever.
    Nowhere(String),
    /// To there in Quay or into OpenShift's own registry: who rewrites builds could not be read.
    Unknown(String, ReadError),
}

impl PushTarget {
    /// The outlook of a build, or of the builds of a BuildConfig.
    pub fn of(subject: &Assessed, spec: &CommonSpec) -> Self {
        let right = match subject.rewriting(spec) {
            RewriteOutcome::Unchanged(SkipReason::InQuay) => return PushTarget::Quay(target(spec)),
            RewriteOutcome::Rewritten(right) => Ok(right),
            RewriteOutcome::Unchanged(why) => Err(why),
        };
        let webhooks = match (&subject.snapshot.webhooks, &subject.snapshot.trial) {
            (Ok(webhooks), _) => webhooks.as_slice(),
            // Webhooks leave a builder alone that has no login yet.
            (Err(_), Some(DryRunOutcome::Unchanged)) if has_login(subject) => &[],
            (Err(_), Some(DryRunOutcome::Rewritten)) => {
                return right
                    .map_or_else(PushTarget::AsWritten, |right| PushTarget::Tried(right.image));
            }
            (Err(unread), _) => {
                return right.map_or_else(PushTarget::AsWritten, |right| {
                    PushTarget::Unknown(right.image, unread.clone())
                });
            }
        };
        let is_there = |rewriter: BuildWebhookOwner| {
            webhooks.iter().any(|webhook| webhook.rewriter == rewriter)
        };
        if is_there(BuildWebhookOwner::Operator)
            && let Some(image) = by_operator(subject, spec)
        {
            return PushTarget::Rewritten(BuildWebhookOwner::Operator, image);
        }
        match right {
            Ok(right) if is_there(BuildWebhookOwner::Bridge) => {
                PushTarget::Rewritten(BuildWebhookOwner::Bridge, right.image)
            }
            Ok(right) if has_place(subject, &right.destination) => {
                PushTarget::Internal(right.image)
            }
            Ok(right) => PushTarget::Nowhere(right.image),
            Err(why) => PushTarget::AsWritten(why),
        }
    }

    /// Whether the image ends up in this Quay.
    pub fn is_quay(&self) -> bool {
        matches!(self, PushTarget::Quay(_) | PushTarget::Rewritten(..) | PushTarget::Tried(_))
    }
}

/// Why the operator's webhook would refuse a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// The service account [`super::BUILDER`] does not name this secret, with its login for Quay.
    NoLogin(String),
    /// There is no output, over which it crashes.
    NoOutput,
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RejectReason::NoLogin(secret) => {
                write!(f, "service account {} does not name secret {secret}", super::BUILDER)
            }
            RejectReason::NoOutput => {
                f.write_str("it has no output, and the operator's webhook crashes over that")
            }
        }
    }
}

/// Why the operator's webhook would refuse a build made now, if it would. First it looks for the secret of `builder` in
/// that service account, whatever the build is (QBO `pkg/webhook/webhook.go:62-100`), then it takes an output for granted;
/// without one it crashes, which refuses the build if the webhook fails closed. It crashes over one without a tag, too, but
/// the API server takes no BuildConfig with such an output (openshift-apiserver `validation.go`, `validateToImageReference`).
pub fn refusal(subject: &Assessed, spec: &CommonSpec) -> Option<RejectReason> {
    let webhook = operators(subject)?;
    if subject.snapshot.service_accounts.is_ok() && !has_login(subject) {
        let secret = subject.integration.cluster_id.value.secret(super::BUILDER);
        return Some(RejectReason::NoLogin(secret));
    }
    let is_refused =
        webhook.fails_closed && is_operators_to_rewrite(spec) && spec.output.to.is_none();
    is_refused.then_some(RejectReason::NoOutput)
}

/// The push secret that a BuildConfig names for this Quay, if that does not exist. Only of secrets of our making can that be
/// told, and of those that were looked at when the BuildConfig was rewritten: others may be of a type that is not read.
pub fn lacks_secret<'a>(
    subject: &Assessed,
    config: &'a BuildConfig,
    outlook: &PushTarget,
) -> Option<&'a str> {
    let secret = config
        .spec
        .output
        .push_secret
        .as_deref()
        .filter(|_| matches!(outlook, PushTarget::Quay(_)))?;
    let is_known = subject.integration.cluster_id.value.names_secret(secret)
        || config.still_rewritten().is_some();
    let is_there = subject.snapshot.secrets.is_err() || subject.snapshot.secret(secret).is_some();
    (is_known && !is_there).then_some(secret)
}

/// Whether the service account of builds is known to name the secret with its login.
fn has_login(subject: &Assessed) -> bool {
    let secret = subject.integration.cluster_id.value.secret(super::BUILDER);
    subject
        .snapshot
        .service_account(super::BUILDER)
        .is_some_and(|builder| builder.mountable.contains(&secret))
}

/// The webhook that should have sent a build which was tried to Quay, and did not: it does not answer, which lets builds
/// through where it fails open, or it is not asked about this namespace.
pub fn silent<'a>(subject: &'a Assessed) -> Option<&'a BuildWebhook> {
    let NamespaceSnapshot { webhooks: Ok(webhooks), trial: Some(DryRunOutcome::Unchanged), .. } =
        subject.snapshot
    else {
        return None;
    };
    webhooks
        .iter()
        .find(|webhook| webhook.untrusted.is_none())
        .filter(|_| has_login(subject) && subject.is_to_be_linked())
}

/// Where the builds of a BuildConfig that was rewritten belong now, if that is not where they go: the address of the Quay
/// or the cluster ID has changed since.
pub fn outdated(subject: &Assessed, config: &BuildConfig) -> Option<String> {
    let former = config.still_rewritten()?;
    match subject.rewriting(&former.output.spec(&config.spec)) {
        RewriteOutcome::Rewritten(right) if right.image != former.image => Some(right.image),
        _ => None,
    }
}

/// Whether each change to a build would be refused (422): the operator's webhook wants to rewrite its spec then, which
/// cannot be changed.
pub fn is_stuck(subject: &Assessed, spec: &CommonSpec) -> bool {
    operators(subject).is_some_and(|webhook| webhook.on_update)
        && by_operator(subject, spec).is_some()
}

/// The operator's webhook, where the namespace is its business: it does not know of links on request.
fn operators<'a>(subject: &'a Assessed) -> Option<&'a BuildWebhook> {
    let is_its_business = subject.scope().is_in() && subject.scope() != Scope::Requested;
    let mut webhooks = subject.snapshot.webhooks.iter().flatten();
    webhooks.find(|webhook| webhook.rewriter == BuildWebhookOwner::Operator && is_its_business)
}

/// What the operator's webhook makes of an output. It does not ask whether the namespace that is pushed to is in
/// scope, nor whether anybody may push there.
fn by_operator(subject: &Assessed, spec: &CommonSpec) -> Option<String> {
    operators(subject)?;
    let to = spec.output.to.as_ref().filter(|to| {
        is_operators_to_rewrite(spec) && is_stream_tag(spec) && to.name.contains(':')
    })?;
    Some(to.stream_tag(&subject.snapshot.name).image(subject.integration))
}

fn is_operators_to_rewrite(spec: &CommonSpec) -> bool {
    matches!(spec.strategy, Some(Strategy::Docker | Strategy::Source))
}

fn is_stream_tag(spec: &CommonSpec) -> bool {
    spec.output.to.as_ref().is_some_and(|to| to.kind == "ImageStreamTag")
}

fn target(spec: &CommonSpec) -> String {
    spec.output.to.as_ref().map(|to| to.name.clone()).unwrap_or_default()
}

/// Whether OpenShift's own registry has a place for an image. Of image streams in other namespaces nothing is known,
/// but that registry is there for all of them or for none.
fn has_place(subject: &Assessed, destination: &Destination) -> bool {
    let Ok(streams) = &subject.snapshot.image_streams else { return true };
    if destination.namespace == subject.snapshot.name {
        return streams
            .iter()
            .any(|stream| stream.name == destination.stream && stream.in_registry);
    }
    streams.is_empty() || streams.iter().any(|stream| stream.in_registry)
}
