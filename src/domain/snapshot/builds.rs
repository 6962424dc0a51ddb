//! Builds, BuildConfigs and the webhooks that rewrite the output of builds.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Observed;
use crate::domain::builds::CommonSpec;
use crate::domain::names::{CONTROLLER_WEBHOOK, OPERATOR_WEBHOOK};

/// The fields of a BuildConfig that are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildConfig {
    pub name: String,
    /// Precondition of every write.
    pub resource_version: String,
    /// The spec of its builds.
    pub spec: CommonSpec,
    /// `spec.output`, unchanged.
    pub output: RawOutput,
    /// The output that `builds rewrite` saved, or why the saved one is invalid.
    pub former: Option<Result<OriginalOutput, String>>,
    /// The tool or object that would undo a change to it: `Argo CD`, `Deployer shop`.
    pub owner: Option<String>,
}

/// The fields of `spec.output` that are rewritten; null where they are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RawOutput {
    pub to: Value,
    pub push_secret: Value,
}

/// The output of a BuildConfig before it was rewritten, for `builds restore`; the value of
/// [`crate::domain::names::ORIGINAL_OUTPUT_ANNOTATION`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OriginalOutput {
    #[serde(flatten)]
    pub output: RawOutput,
    /// The image that replaced it. If the output is another image now, someone else changed it.
    pub image: String,
    /// The push secret that was set with the image; empty where none was saved.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret: String,
}

impl BuildConfig {
    /// The saved output, if the image and the push secret of the rewriting are still set.
    pub fn still_rewritten(&self) -> Option<&OriginalOutput> {
        let former = self.saved_output()?;
        let has_secret = former.secret.is_empty()
            || self.spec.output.push_secret.as_ref() == Some(&former.secret);
        (self.pushes_to(&former.image) && has_secret).then_some(former)
    }

    /// The push secret of a rewriting that remains after the other fields were restored from a file: `oc apply` keeps a field
    /// that was never in the file. None while the output is an image, which may need the secret. `is_ours` recognizes our
    /// secrets by name.
    pub fn stale_original_output(&self, is_ours: impl Fn(&str) -> bool) -> Option<&str> {
        let former = self.saved_output()?;
        if self.spec.output.to.as_ref().is_some_and(|to| to.kind == "DockerImage") {
            return None;
        }
        let secret = self.spec.output.push_secret.as_deref()?;
        let is_original = former.output.push_secret["name"] == secret;
        (!is_original && (secret == former.secret || is_ours(secret))).then_some(secret)
    }

    /// Its output without the fields that a rewriting set.
    pub fn original_output(&self, is_ours: impl Fn(&str) -> bool) -> RawOutput {
        match (self.saved_output(), self.still_rewritten()) {
            (_, Some(former)) => former.output.clone(),
            (Some(former), None) if self.stale_original_output(is_ours).is_some() => {
                RawOutput { push_secret: former.output.push_secret.clone(), ..self.output.clone() }
            }
            _ => self.output.clone(),
        }
    }

    fn saved_output(&self) -> Option<&OriginalOutput> {
        self.former.as_ref()?.as_ref().ok()
    }

    fn pushes_to(&self, image: &str) -> bool {
        self.spec.output.to.as_ref().is_some_and(|to| to.name == image)
    }
}

/// `ImageStreamTag shop/app:latest`.
impl fmt::Display for RawOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |key: &str| self.to[key].as_str().unwrap_or_default();
        let place = if text("namespace").is_empty() {
            String::new()
        } else {
            format!("{}/", text("namespace"))
        };
        write!(f, "{} {place}{}", text("kind"), text("name"))
    }
}

impl RawOutput {
    /// `now` with this output in it.
    pub fn spec(&self, now: &CommonSpec) -> CommonSpec {
        let this = CommonSpec::deserialize(&json!({ "output": self })).unwrap_or_default();
        CommonSpec { output: this.output, ..now.clone() }
    }
}

/// The fields of a Build that are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    pub name: String,
    /// Distinguishes builds of the same name.
    pub uid: String,
    /// Precondition of every write.
    pub resource_version: String,
    /// The BuildConfig that it was created from; none if it was created directly.
    pub config: Option<String>,
    pub spec: CommonSpec,
    /// `status.phase`.
    pub phase: Phase,
    /// `status.reason`: `InvalidOutputReference`.
    pub reason: String,
    /// `status.message`.
    pub message: String,
    pub created: Option<Timestamp>,
    pub completed: Option<Timestamp>,
    /// The digest of the pushed image, `sha256:…` (`status.output.to.imageDigest`).
    pub digest: Option<String>,
    /// A webhook rewrote it: [`crate::domain::builds::MANAGED_ANNOTATION`].
    pub managed: bool,
    /// Its image was imported: [`crate::domain::builds::IMPORTED_ANNOTATION`].
    pub imported: bool,
    /// The state of the import before that.
    pub import_note: ImportNote,
}

/// The state of the import of a build's image, as the controller records it on the build
/// ([`crate::domain::names::IMPORT_ANNOTATION`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImportNote {
    /// Not recorded.
    #[default]
    Nothing,
    /// An import was started. Without a later record its outcome is unknown.
    Begun,
    /// The tag is not imported automatically, and this was reported.
    Left,
}

impl ImportNote {
    /// Parses the annotation of the build with this uid.
    pub fn parse(text: &str, uid: &str) -> Self {
        match text.split_once(' ') {
            Some(("begun", owner)) if owner == uid => Self::Begun,
            Some(("left", owner)) if owner == uid => Self::Left,
            _ => Self::Nothing,
        }
    }

    /// The value of the annotation; none where there is nothing to record.
    pub fn to_annotation(self, uid: &str) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Begun => Some(format!("begun {uid}")),
            Self::Left => Some(format!("left {uid}")),
        }
    }
}

/// The phases of a Build (openshift/api `build/v1/types.go`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Queued, or waiting for something it references.
    #[default]
    New,
    Pending,
    Running,
    /// The image is pushed.
    Complete,
    /// The build failed.
    Failed,
    /// The build could not run.
    Error,
    Cancelled,
    /// A phase that this program does not know.
    #[serde(other)]
    Unknown,
}

impl Phase {
    /// The phase as OpenShift spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::New => "New",
            Phase::Pending => "Pending",
            Phase::Running => "Running",
            Phase::Complete => "Complete",
            Phase::Failed => "Failed",
            Phase::Error => "Error",
            Phase::Cancelled => "Cancelled",
            Phase::Unknown => "Unknown",
        }
    }

    /// Whether the build is finished, with or without success.
    pub fn is_over(self) -> bool {
        matches!(self, Phase::Complete | Phase::Failed | Phase::Error | Phase::Cancelled)
    }
}

/// The fields of a Shipwright Build (`shipwright.io/v1beta1`) that are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShipwrightBuild {
    pub namespace: String,
    pub name: String,
    /// `spec.output.image`.
    pub image: String,
    /// `spec.output.pushSecret`.
    pub push_secret: Option<String>,
}

/// The webhooks that rewrite the output of builds, and the outcome of a dry-run Build.
#[derive(Clone, Debug)]
pub struct BuildWebhookOwners {
    pub webhooks: Observed<Vec<BuildWebhook>>,
    /// None if there was no dry run, or its outcome is inconclusive.
    pub trial: Option<DryRunBuild>,
}

impl BuildWebhookOwners {
    /// The outcome of the dry run, if it was in this namespace.
    pub fn trial_in(&self, namespace: &str) -> Option<&DryRunOutcome> {
        self.trial.as_ref().filter(|trial| trial.namespace == namespace).map(|trial| &trial.outcome)
    }
}

/// A Build that was created with `dryRun=All`, for which the API server calls every webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRunBuild {
    pub namespace: String,
    pub outcome: DryRunOutcome,
}

/// Outcome of a [`DryRunBuild`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DryRunOutcome {
    /// A webhook set its output to Quay.
    Rewritten,
    /// No webhook changed it.
    Unchanged,
    /// A webhook rejected it, with the API server's message.
    Rejected(String),
    /// A webhook that fails closed could not be called, with the API server's message.
    Unreachable(String),
}

/// A webhook that rewrites the output of builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildWebhook {
    /// Its MutatingWebhookConfiguration.
    pub configuration: String,
    pub rewriter: BuildWebhookOwner,
    /// Builds are rejected while the webhook cannot be called (`failurePolicy: Fail`).
    pub fails_closed: bool,
    /// It is called for updates of builds too, whose spec is immutable.
    pub on_update: bool,
    /// `service NAMESPACE/NAME`, or a URL.
    pub address: String,
    /// Why the API server cannot trust its certificate, judging by its `caBundle`.
    pub untrusted: Option<&'static str>,
    /// Its Deployment, if no pod is available; none also where the Deployment could not be read.
    pub idle_deployment: Option<IdleDeployment>,
}

/// A Deployment without an available pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleDeployment {
    pub namespace: String,
    pub name: String,
    /// `spec.replicas`.
    pub wanted: i64,
}

/// The controller that a build webhook belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BuildWebhookOwner {
    /// Red Hat's operator.
    Operator,
    /// `oc quay run`.
    Controller,
}

impl BuildWebhookOwner {
    /// The webhook's name inside the MutatingWebhookConfiguration.
    pub fn webhook(self) -> &'static str {
        match self {
            BuildWebhookOwner::Operator => OPERATOR_WEBHOOK,
            BuildWebhookOwner::Controller => CONTROLLER_WEBHOOK,
        }
    }
}
