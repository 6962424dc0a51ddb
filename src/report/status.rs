//! The report of `status`.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::checks::{Check, REGISTRY};
use crate::domain::finding::{Administrator, Code, Finding, Severity};
use crate::domain::integration::{IntegrationSnapshot, Sourced};
use crate::domain::names::QuayUrl;
use crate::printable::{printable, printable_line};

use super::text_layout::Style;
use super::{
    API_VERSION, Format, Invocation, complete_hint, html, make_printable, serialize, short,
    summary_line, text, with_severity,
};

/// The formats of `status -o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFormat {
    /// A common format.
    Common(Format),
    /// An HTML page.
    Html,
}

impl Default for StatusFormat {
    fn default() -> Self {
        Self::Common(Format::default())
    }
}

/// The state of the integration and of the selected namespaces.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// The version of this format.
    #[cfg_attr(test, schemars(extend("const" = API_VERSION)))]
    pub api_version: &'static str,
    /// The kind of report.
    #[cfg_attr(test, schemars(extend("const" = "StatusReport")))]
    pub kind: &'static str,
    /// No finding is an error.
    pub ok: bool,
    /// Counts.
    pub summary: Summary,
    /// The integration.
    pub integration: IntegrationReport,
    /// The namespaces, sorted by severity and name.
    pub namespaces: Vec<NamespaceReport>,
    /// All findings: those of the integration, then in the order of namespaces and checks.
    pub findings: Vec<Finding>,
    /// The result in one line.
    pub summary_line: String,
    /// The next command, also at the end of `summaryLine`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Counts over a [`StatusReport`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Selected namespaces.
    pub namespaces: usize,
    /// Namespaces to be linked.
    pub linked: usize,
    /// Namespaces not to be linked.
    pub out_of_scope: usize,
    /// Namespaces to be linked without error, warning or unknown.
    pub ok: usize,
    /// Findings of severity info.
    pub info: usize,
    /// Findings of severity warning.
    pub warning: usize,
    /// Findings of severity error.
    pub error: usize,
    /// Findings of severity unknown.
    pub unknown: usize,
}

/// The settings with their sources, and the checks of the integration.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct IntegrationReport {
    /// The API server as `host:port`, and its context.
    pub cluster: Option<SettingReport>,
    /// The URL of Quay.
    pub quay: Option<SettingReport>,
    /// The cluster ID.
    pub cluster_id: Option<SettingReport>,
    /// The token, without its value.
    pub token: Option<SettingReport>,
    /// The user has no Quay token and is not allowed to read the stored one.
    #[serde(skip)]
    pub(super) is_for_administrators: bool,
    /// The checks.
    pub checks: Vec<CheckReport>,
}

/// The cluster and the Quay of a report.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// The API server as `host:port`, and its context.
    pub(super) cluster: Option<SettingReport>,
    /// The URL of Quay.
    pub(super) quay: Option<SettingReport>,
}

/// A setting and its source.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SettingReport {
    /// The value; none if it is secret, or an invalid URL (which might contain a password).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// A flag, an environment variable, or an object in the cluster.
    pub source: String,
}

/// A namespace and its checks.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NamespaceReport {
    /// Its name.
    pub name: String,
    /// Its organization in Quay, if its name is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// It is to be linked: in scope, existing, and not being deleted.
    pub linked: bool,
    /// The reason for `linked`.
    pub scope: String,
    /// The highest severity of its checks.
    pub severity: Severity,
    /// Tags whose image was not compared with Quay.
    #[serde(skip)]
    pub(super) uncompared_tags: usize,
    /// Its checks, in order. Empty for a healthy namespace among several, to limit memory and output.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckReport>,
}

/// A check.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// The subject of the check.
    pub title: &'static str,
    /// The highest severity of its findings.
    pub severity: Severity,
    /// The observed state.
    pub fact: String,
    /// The codes of its findings, in the order of the report's `findings`.
    pub findings: Vec<Code>,
}

impl StatusReport {
    /// `invocation` is the start of its commands; `selection` the command-line selection of the namespaces: `-n shop`, `-A`,
    /// `-l team=web`, `shop web`.
    pub fn new(
        invocation: &Invocation,
        selection: &str,
        mut integration: IntegrationReport,
        integration_checks: Vec<Check>,
        namespaces: impl IntoIterator<Item = (NamespaceReport, Vec<Check>)>,
    ) -> Self {
        let mut findings;
        (integration.checks, findings) = split(integration_checks);

        let mut assessment: Vec<_> = namespaces
            .into_iter()
            .map(|(namespace, checks)| namespace.with_checks(checks))
            .collect();
        if assessment.len() > 1 {
            for (namespace, _) in
                assessment.iter_mut().filter(|(namespace, _)| !namespace.has_problems())
            {
                namespace.checks = Vec::new();
            }
        }
        assessment.sort_by(|(a, _), (b, _)| a.rank().cmp(&b.rank()));
        let mut namespaces = Vec::with_capacity(assessment.len());
        for (namespace, its_findings) in assessment {
            namespaces.push(namespace);
            findings.extend(its_findings);
        }
        for finding in &mut findings {
            if let ([only], Some(hint)) = (namespaces.as_slice(), &mut finding.hint) {
                *hint = hint.replace("{namespace}", &only.name);
            }
            if integration.is_for_administrators
                && finding.hint.as_deref().is_some_and(is_for_administrators)
            {
                finding.ask = Some(Administrator::Cluster);
            }
            complete_hint(finding, invocation);
        }

        let mut report = Self {
            api_version: API_VERSION,
            kind: "StatusReport",
            ok: with_severity(&findings, Severity::Error) == 0,
            summary: Summary::new(&namespaces, &findings),
            integration,
            namespaces,
            findings,
            summary_line: String::new(),
            next: None,
        };
        (report.summary_line, report.next) = summary_line::status(&report, invocation, selection);
        report
    }

    /// The highest severity of all checks, for `--fail-on`.
    pub fn max_severity(&self) -> Severity {
        let checks = self.integration.checks.iter().map(|check| check.severity);
        checks
            .chain(self.namespaces.iter().map(|namespace| namespace.severity))
            .max()
            .unwrap_or(Severity::Ok)
    }

    /// Whether all checks of all namespaces are unknown.
    pub fn is_unreadable(&self) -> bool {
        let is_unread = |namespace: &NamespaceReport| {
            !namespace.checks.is_empty()
                && namespace.checks.iter().all(|check| check.severity == Severity::Unknown)
        };
        self.summary.error == 0 && self.unchecked() > 0 && self.namespaces.iter().all(is_unread)
    }

    /// The number of unknown findings, and of checks that were skipped because of others.
    pub(super) fn unchecked(&self) -> usize {
        let checks = self
            .namespaces
            .iter()
            .flat_map(|namespace| &namespace.checks)
            .chain(&self.integration.checks);
        let skipped = checks.filter(|check| {
            check.severity == Severity::Unknown
                && !check.findings.iter().any(|code| code.entry().severity == Severity::Unknown)
        });
        self.summary.unknown + skipped.count()
    }

    /// The text has colors, which [`crate::ui::Ui`] removes if necessary.
    ///
    /// # Errors
    /// If serialization fails, which is a bug.
    pub fn render(&self, format: Format, style: &Style) -> anyhow::Result<String> {
        Ok(match format {
            Format::Text => text::status(self, style, false),
            Format::Wide => text::status(self, style, true),
            Format::Short => short::status(self, style),
            Format::Json => serialize::json(self)?,
            Format::Yaml => serialize::yaml(self)?,
            Format::Name => {
                let problems =
                    self.findings.iter().filter(|finding| finding.severity >= Severity::Warning);
                serialize::names(problems.map(|finding| &finding.object))
            }
        })
    }

    /// A self-contained HTML page.
    pub fn render_html(&self) -> String {
        html::status(self, Timestamp::now())
    }

    pub(super) fn integration_findings(&self) -> &[Finding] {
        let end = self.findings.iter().take_while(|finding| finding.namespace.is_none()).count();
        self.findings.get(..end).unwrap_or_default()
    }

    pub(super) fn namespace_findings(&self) -> &[Finding] {
        self.findings.get(self.integration_findings().len()..).unwrap_or_default()
    }
}

impl Summary {
    fn new(namespaces: &[NamespaceReport], findings: &[Finding]) -> Self {
        let linked = namespaces.iter().filter(|namespace| namespace.linked).count();
        Self {
            namespaces: namespaces.len(),
            linked,
            out_of_scope: namespaces.len() - linked,
            ok: namespaces
                .iter()
                .filter(|namespace| namespace.linked && !namespace.has_problems())
                .count(),
            info: with_severity(findings, Severity::Info),
            warning: with_severity(findings, Severity::Warning),
            error: with_severity(findings, Severity::Error),
            unknown: with_severity(findings, Severity::Unknown),
        }
    }
}

impl SettingReport {
    fn new(setting: Sourced<String>) -> Self {
        Self {
            value: Some(printable_line(&setting.value)),
            source: printable_line(&setting.source.to_string()),
        }
    }
}

impl Endpoints {
    /// `context` is empty in a pod.
    pub fn new(snapshot: &IntegrationSnapshot, server: &str, context: &str) -> Self {
        let from = if context.is_empty() {
            "the pod's".to_owned()
        } else {
            format!("context {}", printable_line(context))
        };
        let mut quay = snapshot.url().map(SettingReport::new);
        if let Some(quay) = &mut quay {
            quay.value.take_if(|url| QuayUrl::parse(url).is_err());
        }
        Self {
            cluster: Some(SettingReport { value: Some(printable_line(server)), source: from }),
            quay,
        }
    }
}

impl IntegrationReport {
    /// `context` is empty in a pod. [`StatusReport::new`] adds the checks.
    pub fn new(snapshot: &IntegrationSnapshot, server: &str, context: &str) -> Self {
        let Endpoints { cluster, quay } = Endpoints::new(snapshot, server, context);
        Self {
            cluster,
            quay,
            cluster_id: snapshot.cluster_id().map(SettingReport::new),
            token: snapshot.token_source().map(|source| SettingReport {
                value: None,
                source: printable_line(&source.to_string()),
            }),
            is_for_administrators: snapshot.is_for_administrators(),
            checks: vec![],
        }
    }

    pub(super) fn host(&self) -> Option<String> {
        let (url, _) = QuayUrl::parse(self.quay.as_ref()?.value.as_ref()?).ok()?;
        Some(url.host())
    }
}

impl NamespaceReport {
    /// [`StatusReport::new`] adds the checks.
    pub fn new(
        name: impl Into<String>,
        organization: Option<String>,
        linked: bool,
        scope: impl Into<String>,
    ) -> Self {
        let (name, scope) = (name.into(), scope.into());
        Self {
            name,
            organization,
            linked,
            scope,
            severity: Severity::Ok,
            uncompared_tags: 0,
            checks: vec![],
        }
    }

    fn with_checks(mut self, checks: Vec<Check>) -> (Self, Vec<Finding>) {
        let findings;
        self.uncompared_tags = checks.iter().map(|check| check.uncompared_tags).sum();
        (self.checks, findings) = split(checks);
        self.severity =
            self.checks.iter().map(|check| check.severity).max().unwrap_or(Severity::Ok);
        let findings =
            findings.into_iter().map(|finding| finding.in_namespace(&self.name)).collect();
        (self, findings)
    }

    /// Includes failed checks.
    pub(super) fn has_problems(&self) -> bool {
        self.severity > Severity::Info
    }

    /// Whether `--probe` tested the credentials.
    pub(super) fn is_probed(&self) -> bool {
        self.checks.iter().any(|check| check.title == REGISTRY)
    }

    /// Whether `--probe` found that the registry accepts all credentials.
    pub(super) fn has_accepted_credentials(&self) -> bool {
        self.checks.iter().any(|check| check.title == REGISTRY && check.severity == Severity::Ok)
    }

    pub(super) fn state(&self) -> &'static str {
        match self.severity {
            severity @ (Severity::Error | Severity::Warning | Severity::Unknown) => {
                severity.as_str()
            }
            Severity::Ok | Severity::Info if self.linked => "ok",
            Severity::Ok | Severity::Info => "not linked",
        }
    }

    fn rank(&self) -> (Reverse<Severity>, bool, &str) {
        (Reverse(self.severity.max(Severity::Info)), !self.linked, &self.name)
    }
}

/// Whether a command needs a Quay token or cluster-wide permissions.
fn is_for_administrators(hint: &str) -> bool {
    let commands = [
        "quay repair",
        "quay link",
        "quay unlink",
        "quay setup",
        "edit quayintegrations",
        "edit images.config",
        "get mutatingwebhook",
    ];
    commands
        .iter()
        .any(|command| hint.strip_prefix("oc ").is_some_and(|rest| rest.starts_with(command)))
}

/// Separates checks and findings, and makes text from servers printable.
fn split(checks: Vec<Check>) -> (Vec<CheckReport>, Vec<Finding>) {
    let mut findings = Vec::new();
    let reports = checks
        .into_iter()
        .map(|check| {
            let codes = check.findings.iter().map(|finding| finding.code).collect();
            findings.extend(check.findings);
            CheckReport {
                title: check.title,
                severity: check.severity,
                fact: printable(&check.fact),
                findings: codes,
            }
        })
        .collect();
    findings.iter_mut().for_each(make_printable);
    (reports, findings)
}
