//! What `status` has to say.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::checks::{Check, REGISTRY};
use crate::domain::finding::{Administrator, Code, Finding, Severity};
use crate::domain::integration::{IntegrationSnapshot, Sourced};
use crate::domain::names::QuayUrl;
use crate::ui::{printable, printable_line};

use super::text_layout::Style;
use super::{
    API_VERSION, Format, Invocation, address_hint, html, make_printable, serialize, short,
    summary_line, text, with_severity,
};

/// The state of the integration and of the namespaces that were asked for.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StatusReport {
    /// The version of this format.
    #[cfg_attr(test, schemars(extend("const" = API_VERSION)))]
    pub api_version: &'static str,
    /// What this is.
    #[cfg_attr(test, schemars(extend("const" = "StatusReport")))]
    pub kind: &'static str,
    /// There is no finding of severity error.
    pub ok: bool,
    /// Counts.
    pub summary: Summary,
    /// The integration.
    pub integration: IntegrationReport,
    /// The namespaces: those with problems first, the worst of them at the top; each group by name.
    pub namespaces: Vec<NamespaceReport>,
    /// Every finding: the integration's first, then in the order of the namespaces and of their checks.
    pub findings: Vec<Finding>,
    /// The answer in one line.
    pub summary_line: String,
    /// The command to go on with, which ends the summary_line too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Counts over a [`StatusReport`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Namespaces that were looked at.
    pub namespaces: usize,
    /// Namespaces that are to be linked.
    pub linked: usize,
    /// Namespaces that are not.
    pub out_of_scope: usize,
    /// Namespaces that are to be linked and have no error, warning or unknown.
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

/// The settings in use, where they come from, and the checks of the integration as a whole.
#[derive(Clone, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct IntegrationReport {
    /// The API server as `host:port`, and the context that names it.
    pub cluster: Option<SettingReport>,
    /// The address of the Quay.
    pub quay: Option<SettingReport>,
    /// The cluster ID.
    pub cluster_id: Option<SettingReport>,
    /// The token, without its value.
    pub token: Option<SettingReport>,
    /// The person has no token and is not allowed to read the stored one: what takes a token is for administrators.
    #[serde(skip)]
    pub(super) is_for_administrators: bool,
    /// The checks.
    pub checks: Vec<CheckReport>,
}

/// Which cluster and which Quay a report is about.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// The API server as `host:port`, and the context that names it.
    pub(super) cluster: Option<SettingReport>,
    /// The address of the Quay.
    pub(super) quay: Option<SettingReport>,
}

/// A setting and where it comes from.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SettingReport {
    /// The value; none if it is secret, or an address that cannot be used (which may hide a password).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// A flag, an environment variable, or an object in the cluster.
    pub source: String,
}

/// A namespace and what its checks say.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NamespaceReport {
    /// Its name.
    pub name: String,
    /// Its organization in Quay, where one can be named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// It is to be linked: in scope, there, and not being deleted.
    pub linked: bool,
    /// Why it is to be linked, or why not.
    pub scope: String,
    /// The worst severity among its checks.
    pub severity: Severity,
    /// Tags whose image was not looked for in Quay.
    #[serde(skip)]
    pub(super) uncompared_tags: usize,
    /// Its checks, in the order they were made. Left out where several namespaces were asked for and nothing is wrong
    /// in this one: thousands of healthy namespaces must not fill the memory, or the page.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckReport>,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// What was checked.
    pub title: &'static str,
    /// How it is.
    pub severity: Severity,
    /// The state in a few words.
    pub fact: String,
    /// The codes of its findings. The findings themselves stand in the report's `findings`, in the same order.
    pub findings: Vec<Code>,
}

impl StatusReport {
    /// Puts a report together. `invocation` is how the commands in it begin; `selection` is how the person named the
    /// namespaces, as a command line: `-n shop`, `-A`, `-l team=web`, `shop web`.
    pub fn new(
        invocation: &Invocation,
        selection: &str,
        mut integration: IntegrationReport,
        integration_checks: Vec<Check>,
        namespaces: impl IntoIterator<Item = (NamespaceReport, Vec<Check>)>,
    ) -> Self {
        let mut findings;
        (integration.checks, findings) = split(integration_checks);

        let mut judged: Vec<_> =
            namespaces.into_iter().map(|(namespace, checks)| namespace.judge(checks)).collect();
        if judged.len() > 1 {
            for (namespace, _) in
                judged.iter_mut().filter(|(namespace, _)| !namespace.has_problems())
            {
                namespace.checks = Vec::new();
            }
        }
        judged.sort_by(|(a, _), (b, _)| a.rank().cmp(&b.rank()));
        let mut namespaces = Vec::with_capacity(judged.len());
        for (namespace, its_findings) in judged {
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
            address_hint(finding, invocation);
        }

        let mut report = Self {
            api_version: API_VERSION,
            kind: "StatusReport",
            ok: with_severity(&findings, Severity::Error) == 0,
            summary: Summary::of(&namespaces, &findings),
            integration,
            namespaces,
            findings,
            summary_line: String::new(),
            next: None,
        };
        (report.summary_line, report.next) = summary_line::status(&report, invocation, selection);
        report
    }

    /// The worst severity among all checks; what `--fail-on` is compared with.
    pub fn worst(&self) -> Severity {
        let checks = self.integration.checks.iter().map(|check| check.severity);
        checks
            .chain(self.namespaces.iter().map(|namespace| namespace.severity))
            .max()
            .unwrap_or(Severity::Ok)
    }

    /// Whether nothing could be read of any namespace: then there is no answer to what was asked.
    pub fn is_unreadable(&self) -> bool {
        let is_unread = |namespace: &NamespaceReport| {
            !namespace.checks.is_empty()
                && namespace.checks.iter().all(|check| check.severity == Severity::Unknown)
        };
        self.summary.error == 0 && self.unchecked() > 0 && self.namespaces.iter().all(is_unread)
    }

    /// How many things could not be checked: the findings that say so, and the checks that something else stood in the way of.
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

    /// The report in a format. Colors are always in it, for [`crate::ui::Ui`] to strip.
    ///
    /// # Errors
    /// If a machine-readable format cannot be written, which is a mistake in this program.
    pub fn render(&self, format: Format, style: &Style) -> anyhow::Result<String> {
        Ok(match format {
            Format::Text | Format::Mirror => text::status(self, style, false),
            Format::Wide => text::status(self, style, true),
            Format::Short => short::status(self, style),
            Format::Json => serialize::json(self)?,
            Format::Yaml => serialize::yaml(self)?,
            Format::Name => {
                let problems =
                    self.findings.iter().filter(|finding| finding.severity >= Severity::Warning);
                serialize::names(problems.map(|finding| &finding.object))
            }
            Format::Html => html::status(self, Timestamp::now()),
        })
    }

    /// The findings of the integration as a whole.
    pub(super) fn integration_findings(&self) -> &[Finding] {
        let end = self.findings.iter().take_while(|finding| finding.namespace.is_none()).count();
        self.findings.get(..end).unwrap_or_default()
    }

    /// The findings of the namespaces.
    pub(super) fn namespace_findings(&self) -> &[Finding] {
        self.findings.get(self.integration_findings().len()..).unwrap_or_default()
    }
}

impl Summary {
    fn of(namespaces: &[NamespaceReport], findings: &[Finding]) -> Self {
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
    /// The API server of a cluster with the context that names it, if one does, and the Quay of an integration.
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
    /// The settings of an integration in a cluster: its API server, and the context that names it, if one does.
    /// [`StatusReport::new`] adds the checks.
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

    /// The registry's host.
    pub(super) fn host(&self) -> Option<String> {
        let (url, _) = QuayUrl::parse(self.quay.as_ref()?.value.as_ref()?).ok()?;
        Some(url.host())
    }
}

impl NamespaceReport {
    /// A namespace, before its checks are looked at: [`StatusReport::new`] does that.
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

    fn judge(mut self, checks: Vec<Check>) -> (Self, Vec<Finding>) {
        let findings;
        self.uncompared_tags = checks.iter().map(|check| check.uncompared_tags).sum();
        (self.checks, findings) = split(checks);
        self.severity =
            self.checks.iter().map(|check| check.severity).max().unwrap_or(Severity::Ok);
        let findings =
            findings.into_iter().map(|finding| finding.in_namespace(&self.name)).collect();
        (self, findings)
    }

    /// Whether something is wrong in it, or could not be checked.
    pub(super) fn has_problems(&self) -> bool {
        self.severity > Severity::Info
    }

    /// Whether the registry was asked.
    pub(super) fn is_probed(&self) -> bool {
        self.checks.iter().any(|check| check.title == REGISTRY)
    }

    /// Whether the registry was asked and accepts every login.
    pub(super) fn has_working_logins(&self) -> bool {
        self.checks.iter().any(|check| check.title == REGISTRY && check.severity == Severity::Ok)
    }

    /// How it is, in a word or two.
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

/// Whether a command takes a token, or rights in the whole cluster.
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

/// Checks as they are reported, and their findings. What a server chose of the words is made printable here, once.
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
