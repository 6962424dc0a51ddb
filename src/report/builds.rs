//! What `builds` has to say: BuildConfigs, where they push, and what became of their last builds.

use serde::Serialize;

use super::text_layout::Style;
use super::{
    API_VERSION, Format, Invocation, address_hint, make_printable, serialize, short, text,
};
use crate::domain::Role;
use crate::domain::builds::{BUILDER, Destination, PushTarget, Strategy, lacks_secret, refusal};
use crate::domain::checks::Assessed;
use crate::domain::finding::{Code, Finding, ObjectRef};
use crate::domain::imports::is_imported;
use crate::domain::snapshot::{Build, BuildConfig, BuildWebhookOwner, ShipwrightBuild};
use crate::ui::{printable, printable_line};

/// BuildConfigs and their last builds.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BuildsReport {
    /// The version of this format.
    #[cfg_attr(test, schemars(extend("const" = API_VERSION)))]
    pub api_version: &'static str,
    /// What this is.
    #[cfg_attr(test, schemars(extend("const" = "BuildsReport")))]
    pub kind: &'static str,
    /// The BuildConfigs, by namespace and name.
    pub build_configs: Vec<BuildConfigReport>,
    /// The Builds of Shipwright, where the cluster has that.
    pub shipwright_builds: Vec<ShipwrightReport>,
    /// What is wrong with builds.
    pub findings: Vec<Finding>,
    /// Which BuildConfigs could not be read, and why: there may be more than are listed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
    /// How many push to Quay, in one line.
    pub summary_line: String,
    /// The command to go on with, which ends the summary_line too.
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
    /// How it builds: `Docker`, `Source`, `Custom`, `JenkinsPipeline`.
    pub strategy: &'static str,
    /// Where it pushes as it is written: `ImageStreamTag app:latest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The image in Quay where that belongs, or goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Who sees to it that it goes there.
    pub sent_by: PushedBy,
    /// The push secret that it names, if that does not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_secret: Option<String>,
    /// Why the operator's webhook refuses its builds, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// `builds rewrite` made it push there, and `builds restore` takes that back.
    pub rewritten: bool,
    /// Why it is no business of the integration's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its last build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_build: Option<BuildReport>,
}

/// Who sends the images of a BuildConfig to Quay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PushedBy {
    /// It does so itself.
    Itself,
    /// The operator's webhook.
    Operator,
    /// The webhook of `oc quay run`.
    Bridge,
    /// A webhook; whose could not be read.
    Webhook,
    /// Nobody, although they belong there.
    Nobody,
    /// Nobody, and they do not belong there.
    None,
    /// Whether somebody does could not be read.
    Unknown,
}

/// A build.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BuildReport {
    /// Its name.
    pub name: String,
    /// How far it came.
    pub phase: &'static str,
    /// Why, in one word of OpenShift's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The digest of what it pushed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Whether what it pushed to Quay came into the image stream tag, or something newer did; none if it pushed nothing
    /// there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported: Option<bool>,
}

/// A Build of Shipwright, which pushes where it is written.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ShipwrightReport {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where it pushes.
    pub output: String,
    /// The image in Quay where that belongs.
    pub image: String,
    /// The secret with the login for it.
    pub push_secret: String,
    /// It pushes to Quay with a secret.
    pub to_quay: bool,
}

impl BuildConfigReport {
    /// What there is to tell of a BuildConfig.
    pub fn new(subject: &Assessed, config: &BuildConfig) -> Self {
        let outlook = PushTarget::of(subject, &config.spec);
        let missing_secret = lacks_secret(subject, config, &outlook).map(printable_line);
        let (image, sent_by, reason) = match outlook {
            PushTarget::Quay(image) => (Some(image), PushedBy::Itself, None),
            PushTarget::Rewritten(BuildWebhookOwner::Operator, image) => {
                (Some(image), PushedBy::Operator, None)
            }
            PushTarget::Rewritten(BuildWebhookOwner::Bridge, image) => {
                (Some(image), PushedBy::Bridge, None)
            }
            PushTarget::Tried(image) => (Some(image), PushedBy::Webhook, None),
            PushTarget::Internal(image) | PushTarget::Nowhere(image) => {
                (Some(image), PushedBy::Nobody, None)
            }
            PushTarget::Unknown(image, unread) => {
                (Some(image), PushedBy::Unknown, Some(unread.to_string()))
            }
            PushTarget::AsWritten(why) => (None, PushedBy::None, Some(why.to_string())),
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
            refused: refusal(subject, &config.spec).map(|why| printable_line(&why.to_string())),
            rewritten: config.still_rewritten().is_some(),
            reason: reason.map(|reason| printable_line(&reason)),
            last_build: builds
                .max_by_key(|build| build.created)
                .map(|build| BuildReport::new(subject, build)),
        }
    }

    /// Whether its images end up in Quay.
    fn is_to_quay(&self, webhook_answers: bool) -> bool {
        let is_sent = match self.sent_by {
            PushedBy::Itself => true,
            PushedBy::Operator | PushedBy::Bridge | PushedBy::Webhook => webhook_answers,
            PushedBy::Nobody | PushedBy::None | PushedBy::Unknown => false,
        };
        is_sent && self.missing_secret.is_none() && self.refused.is_none()
    }
}

/// Whether the API server can call the webhook that rewrites builds, as far as was found.
pub(super) fn webhook_answers(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.code != Code::WebhookOutOfReach)
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
            imported: imported(subject, build),
        }
    }
}

/// Whether what a build pushed to Quay came into its image stream tag.
fn imported(subject: &Assessed, build: &Build) -> Option<bool> {
    let pushed_to = build.spec.output.to.as_ref().filter(|to| to.kind == "DockerImage")?;
    let destination = Destination::of_image(&pushed_to.name, subject.integration)?;
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
    /// What there is to tell of a Build of Shipwright, whose usual service account is `pipeline`.
    pub fn new(subject: &Assessed, build: &ShipwrightBuild) -> Self {
        let may_push = |name: &str| {
            subject.desired.account(name).is_some_and(|account| account.role >= Role::Write)
        };
        let account = if may_push("pipeline") { "pipeline" } else { BUILDER };
        let host = &subject.desired.host;
        let to_quay = build.image.split_once('/').is_some_and(|(registry, _)| registry == host);
        // The same name in this namespace's organization.
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
    /// Puts a report together. `invocation` is how the commands in it begin, `selection` how they named the namespaces.
    pub fn new(
        invocation: &Invocation,
        selection: &str,
        build_configs: Vec<BuildConfigReport>,
        shipwright_builds: Vec<ShipwrightReport>,
        mut findings: Vec<Finding>,
        unread: Vec<String>,
    ) -> Self {
        let unread: Vec<_> = unread.iter().map(|why| printable(why)).collect();
        for finding in &mut findings {
            make_printable(finding);
            address_hint(finding, invocation);
        }
        let webhook_answers = webhook_answers(&findings);
        let to_quay =
            build_configs.iter().filter(|config| config.is_to_quay(webhook_answers)).count();
        let mends =
            [Code::BuildToInternalRegistry, Code::BuildGoesNowhere, Code::RewritingOutdated];
        let next = findings
            .iter()
            .any(|finding| mends.contains(&finding.code) && finding.object.kind == "BuildConfig")
            .then(|| format!("{invocation} builds rewrite {selection}"));
        let answer = match build_configs.len() {
            0 if !unread.is_empty() => "Which BuildConfigs there are is not known".to_owned(),
            0 => "There are no BuildConfigs".to_owned(),
            1 if to_quay == 1 => "The BuildConfig pushes to Quay".into(),
            1 => "The BuildConfig does not push to Quay".into(),
            all => format!("{to_quay} of {all} BuildConfigs push to Quay"),
        };
        let answer = match webhook_answers {
            true => answer,
            false => {
                format!("{answer}, and the API server cannot call the webhook that rewrites builds")
            }
        };
        let answer = match unread.first() {
            Some(why) if build_configs.is_empty() => format!("{answer}: {why}"),
            Some(why) => format!("{answer}, of those that could be read: {why}"),
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

    /// The report in a format. Colors are always in it, for [`crate::ui::Ui`] to strip.
    ///
    /// # Errors
    /// If a machine-readable format cannot be written, which is a mistake in this program.
    pub fn render(&self, format: Format, style: &Style) -> anyhow::Result<String> {
        Ok(match format {
            Format::Text | Format::Html | Format::Mirror => text::builds(self, style, false),
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
