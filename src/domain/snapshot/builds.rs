//! Builds, what makes them, and who rewrites their output on the way.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Observed;
use crate::domain::builds::CommonSpec;
use crate::domain::names::{CONTROLLER_WEBHOOK, OPERATOR_WEBHOOK};

/// What we need of a BuildConfig.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildConfig {
    /// Its name.
    pub name: String,
    /// Guards every write.
    pub resource_version: String,
    /// What its builds are made to be.
    pub spec: CommonSpec,
    /// Where they push, as it is written.
    pub output: RawOutput,
    /// What `builds rewrite` kept of it, or why that cannot be understood.
    pub former: Option<Result<OriginalOutput, String>>,
    /// Who would undo a change to it: `Argo CD`, `Deployer shop`.
    pub owner: Option<String>,
}

/// The parts of `spec.output` that are rewritten, as they are written; null where they are not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RawOutput {
    /// `to`.
    pub to: Value,
    /// `pushSecret`.
    pub push_secret: Value,
}

/// The output of a BuildConfig before it was rewritten, to be put back as it was; the value of
/// [`crate::domain::names::ORIGINAL_OUTPUT_ANNOTATION`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OriginalOutput {
    /// What was there.
    #[serde(flatten)]
    pub output: RawOutput,
    /// The image that took its place. Another one there now is somebody else's work.
    pub image: String,
    /// The push secret that came with it; empty where it was not kept, as it once was not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret: String,
}

impl BuildConfig {
    /// What was kept of its output, if it still pushes to the image that took its place, with the secret that came with it.
    pub fn still_rewritten(&self) -> Option<&OriginalOutput> {
        let former = self.kept()?;
        let has_secret = former.secret.is_empty()
            || self.spec.output.push_secret.as_ref() == Some(&former.secret);
        (self.pushes_to(&former.image) && has_secret).then_some(former)
    }

    /// The push secret of a rewriting that is left after somebody put the rest back, as `oc apply` of the file that the
    /// BuildConfig came from does: a field that was never in the file stays. Who names an image, wherever, may mean the secret
    /// for it. `is_ours` knows the secrets of our making by their names.
    pub fn stale_original_output(&self, is_ours: impl Fn(&str) -> bool) -> Option<&str> {
        let former = self.kept()?;
        if self.spec.output.to.as_ref().is_some_and(|to| to.kind == "DockerImage") {
            return None;
        }
        let secret = self.spec.output.push_secret.as_deref()?;
        let was_there = former.output.push_secret["name"] == secret;
        (!was_there && (secret == former.secret || is_ours(secret))).then_some(secret)
    }

    /// Its output without what a rewriting made of it.
    pub fn original_output(&self, is_ours: impl Fn(&str) -> bool) -> RawOutput {
        match (self.kept(), self.still_rewritten()) {
            (_, Some(former)) => former.output.clone(),
            (Some(former), None) if self.stale_original_output(is_ours).is_some() => {
                RawOutput { push_secret: former.output.push_secret.clone(), ..self.output.clone() }
            }
            _ => self.output.clone(),
        }
    }

    fn kept(&self) -> Option<&OriginalOutput> {
        self.former.as_ref()?.as_ref().ok()
    }

    fn pushes_to(&self, image: &str) -> bool {
        self.spec.output.to.as_ref().is_some_and(|to| to.name == image)
    }
}

/// The image stream tag or image in words: `ImageStreamTag shop/app:latest`.
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
    /// The spec with this output in it.
    pub fn spec(&self, now: &CommonSpec) -> CommonSpec {
        let this = CommonSpec::deserialize(&json!({ "output": self })).unwrap_or_default();
        CommonSpec { output: this.output, ..now.clone() }
    }
}

/// What we need of a Build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// Its name.
    pub name: String,
    /// Its uid: a name may be used again.
    pub uid: String,
    /// Guards every write.
    pub resource_version: String,
    /// The BuildConfig that it was made from; none if it was made by hand.
    pub config: Option<String>,
    /// How it builds, and where it pushes.
    pub spec: CommonSpec,
    /// `status.phase`.
    pub phase: Phase,
    /// `status.reason`: `InvalidOutputReference`.
    pub reason: String,
    /// `status.message`.
    pub message: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it ended.
    pub completed: Option<Timestamp>,
    /// The digest of what it pushed, `sha256:…` (`status.output.to.imageDigest`).
    pub digest: Option<String>,
    /// A webhook rewrote it: [`crate::domain::builds::MANAGED_ANNOTATION`].
    pub managed: bool,
    /// Its image was imported: [`crate::domain::builds::IMPORTED_ANNOTATION`].
    pub imported: bool,
    /// What the controller noted about the import before that.
    pub import_note: ImportNote,
}

/// What the controller notes on a build about the import of its image ([`crate::domain::names::IMPORT_ANNOTATION`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImportNote {
    /// Nothing.
    #[default]
    Nothing,
    /// An import was begun. Without a later note it is not known whether it was done.
    Begun,
    /// Its tag is left to a person, which was told.
    Left,
}

impl ImportNote {
    /// Reads the note of the build with this uid.
    pub fn parse(text: &str, uid: &str) -> Self {
        match text.split_once(' ') {
            Some(("begun", of)) if of == uid => Self::Begun,
            Some(("left", of)) if of == uid => Self::Left,
            _ => Self::Nothing,
        }
    }

    /// The note as it is written; none where nothing is to be noted.
    pub fn written(self, uid: &str) -> Option<String> {
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
    /// It waits for its turn, or for what it lacks.
    #[default]
    New,
    /// Its pod is about to start.
    Pending,
    /// It is under way.
    Running,
    /// It ended, and its image is pushed.
    Complete,
    /// It ended in vain.
    Failed,
    /// It could not be tried.
    Error,
    /// Somebody stopped it.
    Cancelled,
    /// One that this plugin does not know.
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

    /// Whether nothing becomes of the build any more.
    pub fn is_over(self) -> bool {
        matches!(self, Phase::Complete | Phase::Failed | Phase::Error | Phase::Cancelled)
    }
}

/// What we need of a Build of Shipwright (`shipwright.io/v1beta1`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShipwrightBuild {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `spec.output.image`.
    pub image: String,
    /// `spec.output.pushSecret`.
    pub push_secret: Option<String>,
}

/// Who rewrites the output of builds, as far as can be seen.
#[derive(Clone, Debug)]
pub struct BuildWebhookOwners {
    /// The webhooks that do.
    pub webhooks: Observed<Vec<BuildWebhook>>,
    /// What became of a build that was tried; none if none was, or nothing can be told from it.
    pub trial: Option<DryRunBuild>,
}

impl BuildWebhookOwners {
    /// What became of a build that was tried in a namespace.
    pub fn trial_in(&self, namespace: &str) -> Option<&DryRunOutcome> {
        self.trial.as_ref().filter(|trial| trial.namespace == namespace).map(|trial| &trial.outcome)
    }
}

/// A build that the API server was asked to try and not to make (`dryRun=All`), as it has every webhook called for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRunBuild {
    /// Where.
    pub namespace: String,
    /// What became of it.
    pub outcome: DryRunOutcome,
}

/// Outcome of a [`DryRunBuild`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DryRunOutcome {
    /// A webhook had it push to Quay.
    Rewritten,
    /// It came back as it was.
    Unchanged,
    /// A webhook refused it, in these words of the API server's.
    Refused(String),
    /// A webhook could not be called, which refused it.
    OutOfReach(String),
}

/// A webhook that the API server calls for builds, and that rewrites their output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildWebhook {
    /// Its MutatingWebhookConfiguration.
    pub configuration: String,
    /// Whose it is.
    pub rewriter: BuildWebhookOwner,
    /// A build is refused when the webhook cannot be called (`failurePolicy: Fail`).
    pub fails_closed: bool,
    /// It is called for changes to builds too, whose spec cannot be changed.
    pub on_update: bool,
    /// Where it is: `service openshift-operators/quay-bridge-operator-service`, or a URL.
    pub address: String,
    /// Why the API server cannot trust it, as far as its `caBundle` tells.
    pub untrusted: Option<&'static str>,
    /// The Deployment behind it, if none of its pods is available; none also where it could not be read.
    pub idle_deployment: Option<IdleDeployment>,
}

/// A Deployment without an available pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleDeployment {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How many pods it is to have.
    pub wanted: i64,
}

/// Who rewrites the output of builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BuildWebhookOwner {
    /// The operator.
    Operator,
    /// `oc quay run`.
    Bridge,
}

impl BuildWebhookOwner {
    /// The name of its webhook inside the MutatingWebhookConfiguration.
    pub fn webhook(self) -> &'static str {
        match self {
            BuildWebhookOwner::Operator => OPERATOR_WEBHOOK,
            BuildWebhookOwner::Bridge => CONTROLLER_WEBHOOK,
        }
    }
}
