//! Checks compare the desired and the observed state and report findings. Each file has one check.

mod builds;
mod default_permissions;
mod image_streams;
mod imports;
mod integration;
mod namespace;
mod organization;
mod pods;
mod quota;
mod registry;
mod repositories;
mod robots;
mod secrets;
mod service_accounts;
mod webhooks;

pub use default_permissions::default_permissions_of;
pub use integration::integration;
pub use pods::restart;
pub use registry::{REGISTRY, has_insufficient_permission};
pub use robots::unproven_robot;
pub use secrets::{SECRET_TYPE, SecretState, Spare, kept_spare, secret_state, spares};
pub use service_accounts::managed_elsewhere;

use super::builds::{CommonSpec, RewriteOutcome, rewrite};
use super::desired::{Desired, LinkedServiceAccount, MAX_ACCOUNTS, MAX_REPOSITORIES, Surplus};
use super::finding::{Code, Finding, ObjectRef, Severity};
use super::integration::{Integration, QuayProblem};
use super::ownership::Claim;
use super::scope::{Scope, is_active};
use super::snapshot::{NamespaceSnapshot, Organization, ReadError, ReadErrorKind};

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// `Robot accounts`.
    pub title: &'static str,
    /// The highest severity of the findings; `Ok` without any.
    pub severity: Severity,
    /// Summary of the state, also without findings.
    pub fact: String,
    pub findings: Vec<Finding>,
    /// Number of tags that were not compared with Quay, since the tags of each repository are another request.
    pub uncompared_tags: usize,
}

impl Check {
    pub fn new(title: &'static str, fact: impl Into<String>, findings: Vec<Finding>) -> Self {
        let severity =
            findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok);
        Self { title, severity, fact: fact.into(), findings, uncompared_tags: 0 }
    }

    fn with_findings(self, findings: Vec<Finding>) -> Self {
        let severity =
            findings.iter().map(|finding| finding.severity).fold(self.severity, Severity::max);
        Self { severity, findings: [self.findings, findings].concat(), ..self }
    }

    /// For a check that could not compare everything: the severity is at least unknown.
    fn incomplete(self) -> Self {
        Self { severity: self.severity.max(Severity::Unknown), ..self }
    }

    /// A check that was not possible because of a problem that is reported separately.
    fn skipped(title: &'static str, why: impl std::fmt::Display) -> Self {
        Self {
            severity: Severity::Unknown,
            ..Self::new(title, format!("not checked: {why}"), vec![])
        }
    }
}

/// The input of the checks of one namespace.
pub struct Assessed<'a> {
    pub integration: &'a Integration,
    /// The problems that calls to Quay met.
    pub problems: &'a [QuayProblem],
    /// Observed state.
    pub snapshot: &'a NamespaceSnapshot,
    /// Desired state.
    pub desired: &'a Desired,
}

impl<'a> Assessed<'a> {
    /// Without problems, which plans do not need.
    pub fn new(
        integration: &'a Integration,
        snapshot: &'a NamespaceSnapshot,
        desired: &'a Desired,
    ) -> Self {
        Self { integration, problems: &[], snapshot, desired }
    }

    pub fn with_problems(self, problems: &'a [QuayProblem]) -> Self {
        Self { problems, ..self }
    }
}

/// All checks of one namespace, in display order. For a namespace that is out of scope or being deleted, only the check of
/// the namespace itself.
pub fn namespace(subject: &Assessed) -> Vec<Check> {
    let own = namespace::check(subject);
    if !subject.is_to_be_linked() {
        return vec![own];
    }
    let mut checks = vec![
        own.with_findings(surplus(subject)),
        organization::check(subject),
        robots::check(subject),
        default_permissions::check(subject),
        repositories::check(subject),
        secrets::check(subject),
        service_accounts::check(subject),
        image_streams::check(subject),
    ];
    checks.extend(quota::check(subject));
    checks.extend(pods::check(subject));
    checks.extend(builds::check(subject));
    checks.extend(imports::check(subject));
    checks.extend(registry::check(subject));
    redirect_hints(&mut checks);
    checks
}

/// If a finding blocks repair, its hint replaces those hints that run repair.
fn redirect_hints(checks: &mut [Check]) {
    let findings = || checks.iter().flat_map(|check| &check.findings);
    let Some(hint) = findings()
        .find(|finding| finding.code.blocks_repair())
        .and_then(|finding| finding.hint.clone())
    else {
        return;
    };
    for finding in checks
        .iter_mut()
        .flat_map(|check| &mut check.findings)
        .filter(|finding| !finding.code.blocks_repair())
    {
        if finding.code.entry().hint.starts_with("oc quay repair") {
            finding.hint = Some(hint.clone());
        }
    }
}

impl Assessed<'_> {
    pub fn scope(&self) -> Scope {
        Scope::from_observed(
            &self.snapshot.name,
            &self.snapshot.namespace,
            self.integration.resource.as_ref(),
        )
    }

    /// The outcome of the rewriting rules for a build of the namespace.
    pub fn rewriting(&self, spec: &CommonSpec) -> RewriteOutcome {
        let own = &self.snapshot.name;
        let resource = self.integration.resource.as_ref();
        // It is unknown here whether another namespace was linked on request.
        let scope = |name: &str| {
            Some(if name == own { self.scope() } else { Scope::of(name, false, resource) })
        };
        rewrite(self.integration, own, spec, scope)
    }

    /// Whether the namespace is in scope and active.
    pub fn is_to_be_linked(&self) -> bool {
        is_active(&self.snapshot.namespace) && self.scope().is_in()
    }

    /// The namespace's proof of ownership of its organization.
    pub fn claim(&self) -> Claim {
        Claim::of(self.snapshot, self.desired)
    }

    /// The linked service accounts whose robot accounts belong to the namespace or can be created.
    fn usable_accounts(&self) -> Vec<&LinkedServiceAccount> {
        let (claim, organization) = (self.claim(), self.snapshot.organization());
        let is_usable = |account: &&LinkedServiceAccount| {
            organization.is_none_or(|found| claim.allows_robot(found, account))
        };
        self.desired.accounts.iter().filter(is_usable).collect()
    }

    fn finding(&self, code: Code, object: ObjectRef, message: impl Into<String>) -> Finding {
        Finding::new(code, object, message).in_namespace(&self.snapshot.name)
    }

    fn object(&self, kind: &'static str, name: &str) -> ObjectRef {
        ObjectRef::namespaced(kind, &self.snapshot.name, name)
    }

    /// An object in Quay, by its full name.
    fn remote(&self, kind: &'static str, name: &str) -> ObjectRef {
        ObjectRef::cluster(kind, name)
    }

    /// The check of a part that could not be read.
    fn unread(&self, title: &'static str, object: ObjectRef, unread: &ReadError) -> Check {
        if unread.kind == ReadErrorKind::Skipped {
            return Check::skipped(title, &unread.reason);
        }
        let finding = Finding::unread(object, unread).in_namespace(&self.snapshot.name);
        Check::new(title, "could not be read", vec![finding])
    }

    /// Whether Quay is unreachable or not trusted, so that its URL might be wrong.
    fn is_address_in_doubt(&self) -> bool {
        self.problems.iter().any(|problem| {
            matches!(problem, QuayProblem::Unreachable { .. } | QuayProblem::Untrusted { .. })
        })
    }

    /// Without an organization there are no credentials, so secrets are not checked.
    fn lacks_organization(&self) -> bool {
        matches!(self.snapshot.organization, Ok(None))
    }

    /// The result while the service accounts are unknown.
    fn without_accounts(&self, title: &'static str) -> Option<Check> {
        let unread = self.snapshot.service_accounts.is_err();
        unread.then(|| Check::skipped(title, "the service accounts could not be read"))
    }

    /// The organization, or the result while it cannot be read.
    fn organization(&self, title: &'static str) -> Result<&Organization, Check> {
        match &self.snapshot.organization {
            Ok(Some(organization)) if organization.administered => Ok(organization),
            Ok(Some(_)) => Err(Check::skipped(title, "no admin permission on the organization")),
            Ok(None) => Err(Check::skipped(title, "the organization is missing")),
            Err(_) => Err(Check::skipped(title, "the organization could not be read")),
        }
    }
}

/// Findings for service accounts and repositories above the limits.
pub fn surplus(subject: &Assessed) -> Vec<Finding> {
    let Surplus { accounts, repositories } = subject.desired.surplus;
    let object = || ObjectRef::cluster("Namespace", &subject.snapshot.name);
    let over_limit = |code, surplus: usize, what: &str, limit: usize| {
        let requested = surplus + limit;
        (surplus > 0).then(|| {
            subject.finding(
                code,
                object(),
                format!("{requested} {what} are requested; the limit is {limit}"),
            )
        })
    };
    let of_accounts =
        over_limit(Code::TooManyAccounts, accounts, "linked service accounts", MAX_ACCOUNTS);
    let of_repositories =
        over_limit(Code::TooManyRepositories, repositories, "repositories", MAX_REPOSITORIES);
    of_accounts.into_iter().chain(of_repositories).collect()
}

/// `1 secret`, `2 secrets`.
fn count(number: usize, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        _ => format!("{number} {noun}s"),
    }
}
