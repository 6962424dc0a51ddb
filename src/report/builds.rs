//! The report of `builds`.

use serde::Serialize;

use super::text_layout::Style;
use super::{
    API_VERSION, Format, Invocation, complete_hint, make_printable, serialize, short, text,
};
use crate::domain::Role;
use crate::domain::builds::{
    BUILDER, Destination, PushTarget, Strategy, missing_push_secret, operator_rejection,
};
use crate::domain::checks::Assessed;
use crate::domain::finding::{Code, Finding, ObjectRef};
use crate::domain::imports::is_imported;
use crate::domain::snapshot::{Build, BuildConfig, BuildWebhookOwner, ShipwrightBuild};
use crate::printable::{printable, printable_line};

/// BuildConfigs and their last builds.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BuildsReport {
    /// The version of this format.
    #[cfg_attr(test, schemars(extend("const" = API_VERSION)))]
    pub api_version: &'static str,
    /// The kind of report.
    #[cfg_attr(test, schemars(extend("const" = "BuildsReport")))]
    pub kind: &'static str,
    /// The BuildConfigs, sorted by namespace and name.
    pub build_configs: Vec<BuildConfigReport>,
    /// The Builds of Shipwright, if installed.
    pub shipwright_builds: Vec<ShipwrightReport>,
    /// The findings on builds.
    pub findings: Vec<Finding>,
    /// Read errors; the list of BuildConfigs is incomplete then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
    /// The number that push to Quay, in one line.
    pub summary_line: String,
    /// The next command, also at the end of `summaryLine`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A BuildConfig.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BuildConfigReport {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The strategy: `Docker`, `Source`, `Custom`, `JenkinsPipeline`.
    pub strategy: &'static str,
    /// The output in its spec: `ImageStreamTag app:latest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The image in Quay for this output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The component that makes it push there.
    pub sent_by: PushedBy,
    /// Its push secret, if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_secret: Option<String>,
    /// Why the operator's webhook rejects its builds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
    /// Its output was changed by `builds rewrite`; `builds restore` reverts that.
    pub rewritten: bool,
    /// Why it is not redirected to Quay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its last build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_build: Option<BuildReport>,
}

/// The component that makes a BuildConfig push to Quay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PushedBy {
    /// Its own output, for example after `builds rewrite`.
    Direct,
    /// The operator's webhook.
    Operator,
    /// The webhook of `oc quay run`.
    Controller,
    /// A webhook of an unknown owner.
    Webhook,
    /// No component, although its images belong in Quay.
    Missing,
    /// No component; its images do not belong in Quay.
    None,
    /// The webhooks could not be read.
    Unknown,
}

/// A build.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BuildReport {
    /// Its name.
    pub name: String,
    /// The phase.
    pub phase: &'static str,
    /// OpenShift's reason for the phase.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The digest of the pushed image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Whether the image, or a newer one, was imported into the image stream tag; none if it did not push to Quay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported: Option<bool>,
}

/// A Build of Shipwright.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ShipwrightReport {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The image that it pushes.
    pub output: String,
    /// The image in Quay for this output.
    pub image: String,
    /// The secret with credentials for it.
    pub push_secret: String,
    /// It pushes to Quay with a secret.
    pub to_quay: bool,
}

impl BuildConfigReport {
    /// The row of a BuildConfig.
    pub fn new(subject: &Assessed, config: &BuildConfig) -> Self {
        let push_target = PushTarget::resolve(subject, &config.spec);
        let missing_secret = missing_push_secret(subject, config, &push_target).map(printable_line);
        let (image, sent_by, reason) = match push_target {
            PushTarget::Quay(image) => (Some(image), PushedBy::Direct, None),
            PushTarget::Rewritten(BuildWebhookOwner::Operator, image) => {
                (Some(image), PushedBy::Operator, None)
            }
            PushTarget::Rewritten(BuildWebhookOwner::Controller, image) => {
                (Some(image), PushedBy::Controller, None)
            }
            PushTarget::DryRun(image) => (Some(image), PushedBy::Webhook, None),
            PushTarget::Internal(image) | PushTarget::Nowhere(image) => {
                (Some(image), PushedBy::Missing, None)
            }
            PushTarget::Unknown(image, unread) => {
                (Some(image), PushedBy::Unknown, Some(unread.to_string()))
            }
            PushTarget::AsWritten(reason) => (None, PushedBy::None, Some(reason.to_string())),
        };
        let builds = subject
            .snapshot
            .builds
            .iter()
            .flatten()
            .filter(|build| build.config.as_ref() == Some(&config.name));
        Self {
            namespace: subject.snapshot.name.clone(),
            name: printable_line(&config.name),
            strategy: strategy(config.spec.strategy),
            output: config
                .spec
                .output
                .to
                .is_some()
                .then(|| printable_line(&config.output.to_string())),
            image: image.map(|image| printable_line(&image)),
            sent_by,
            missing_secret,
            rejected: operator_rejection(subject, &config.spec)
                .map(|why| printable_line(&why.to_string())),
            rewritten: config.still_rewritten().is_some(),
            reason: reason.map(|reason| printable_line(&reason)),
            last_build: builds
                .max_by_key(|build| build.created)
                .map(|build| BuildReport::new(subject, build)),
        }
    }

    fn pushes_to_quay(&self, is_webhook_reachable: bool) -> bool {
        let is_redirected = match self.sent_by {
            PushedBy::Direct => true,
            PushedBy::Operator | PushedBy::Controller | PushedBy::Webhook => is_webhook_reachable,
            PushedBy::Missing | PushedBy::None | PushedBy::Unknown => false,
        };
        is_redirected && self.missing_secret.is_none() && self.rejected.is_none()
    }
}

/// Whether no finding says that the API server cannot call the build webhook.
pub(super) fn is_webhook_reachable(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.code != Code::WebhookUnreachable)
}

fn strategy(strategy: Option<Strategy>) -> &'static str {
    match strategy {
        Some(Strategy::Docker) => "Docker",
        Some(Strategy::Source) => "Source",
        Some(Strategy::Custom) => "Custom",
        Some(Strategy::JenkinsPipeline) => "JenkinsPipeline",
        None => "unknown",
    }
}

impl BuildReport {
    fn new(subject: &Assessed, build: &Build) -> Self {
        Self {
            name: printable_line(&build.name),
            phase: build.phase.as_str(),
            reason: printable_line(&build.reason),
            digest: build.digest.as_deref().map(printable_line),
            imported: find_import(subject, build),
        }
    }
}

fn find_import(subject: &Assessed, build: &Build) -> Option<bool> {
    let pushed_to = build.spec.output.to.as_ref().filter(|to| to.kind == "DockerImage")?;
    let destination = Destination::from_image(&pushed_to.name, subject.integration)?;
    if destination.namespace != subject.snapshot.name {
        return build.imported.then_some(true);
    }
    let streams = subject.snapshot.image_streams.as_ref().ok()?;
    let stream = streams.iter().find(|stream| stream.name == destination.stream);
    is_imported(
        stream.and_then(|stream| stream.tag(&destination.tag)),
        build,
        &destination.image(subject.integration),
    )
}

impl ShipwrightReport {
    /// The default service account of Shipwright is `pipeline`.
    pub fn new(subject: &Assessed, build: &ShipwrightBuild) -> Self {
        let can_push = |name: &str| {
            subject.desired.account(name).is_some_and(|account| account.role >= Role::Write)
        };
        let account = if can_push("pipeline") { "pipeline" } else { BUILDER };
        let host = &subject.desired.host;
        let to_quay = build.image.split_once('/').is_some_and(|(registry, _)| registry == host);
        // Keep the name, in this namespace's organization.
        let last =
            build.image.rsplit('/').next().filter(|last| !last.is_empty()).unwrap_or(&build.name);
        let image = if to_quay {
            build.image.clone()
        } else {
            Destination::new(&build.namespace, last).image(subject.integration)
        };
        let push_secret = build.push_secret.clone().filter(|_| to_quay);
        Self {
            namespace: build.namespace.clone(),
            name: build.name.clone(),
            output: printable_line(&build.image),
            to_quay: to_quay && push_secret.is_some(),
            image: printable_line(&image),
            push_secret: push_secret
                .unwrap_or_else(|| subject.integration.cluster_id.value.secret(account)),
        }
    }
}

impl BuildsReport {
    /// `invocation` is the start of its commands, `selection` the command-line selection of the namespaces.
    pub fn new(
        invocation: &Invocation,
        selection: &str,
        build_configs: Vec<BuildConfigReport>,
        shipwright_builds: Vec<ShipwrightReport>,
        mut findings: Vec<Finding>,
        unread: Vec<String>,
    ) -> Self {
        let unread: Vec<_> = unread.iter().map(|reason| printable(reason)).collect();
        for finding in &mut findings {
            make_printable(finding);
            complete_hint(finding, invocation);
        }
        let is_webhook_reachable = is_webhook_reachable(&findings);
        let to_quay = build_configs
            .iter()
            .filter(|config| config.pushes_to_quay(is_webhook_reachable))
            .count();
        let rewritable =
            [Code::BuildToInternalRegistry, Code::BuildGoesNowhere, Code::RewritingOutdated];
        let next = findings
            .iter()
            .any(|finding| {
                rewritable.contains(&finding.code) && finding.object.kind == "BuildConfig"
            })
            .then(|| format!("{invocation} builds rewrite {selection}"));
        let answer = match build_configs.len() {
            0 if !unread.is_empty() => "The BuildConfigs are unknown".to_owned(),
            0 => "No BuildConfigs found".to_owned(),
            1 if to_quay == 1 => "The BuildConfig pushes to Quay".into(),
            1 => "The BuildConfig does not push to Quay".into(),
            all => format!("{to_quay} of {all} BuildConfigs push to Quay"),
        };
        let answer = match is_webhook_reachable {
            true => answer,
            false => {
                format!("{answer}, but the API server cannot call the build webhook")
            }
        };
        let answer = match unread.first() {
            Some(reason) if build_configs.is_empty() => format!("{answer}: {reason}"),
            Some(reason) => format!("{answer}, of those that could be read: {reason}"),
            None => answer,
        };
        let summary_line = match &next {
            Some(next) => format!("{answer}. Run: {next}"),
            None => answer,
        };
        let kind = "BuildsReport";
        Self {
            api_version: API_VERSION,
            kind,
            build_configs,
            shipwright_builds,
            findings,
            unread,
            summary_line,
            next,
        }
    }

    /// The text has colors, which [`crate::ui::Ui`] removes if necessary.
    ///
    /// # Errors
    /// If serialization fails, which is a bug.
    pub fn render(&self, format: Format, style: &Style) -> anyhow::Result<String> {
        Ok(match format {
            Format::Text => text::builds(self, style, false),
            Format::Wide => text::builds(self, style, true),
            Format::Short => short::builds(self, style),
            Format::Json => serialize::json(self)?,
            Format::Yaml => serialize::yaml(self)?,
            Format::Name => {
                let object = |config: &BuildConfigReport| {
                    ObjectRef::namespaced("BuildConfig", &config.namespace, &config.name)
                };
                serialize::names(self.build_configs.iter().map(object).collect::<Vec<_>>().iter())
            }
        })
    }
}
