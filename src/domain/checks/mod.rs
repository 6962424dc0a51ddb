//! Checks: they turn what should be and what is into findings. A file per check.

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
pub use registry::{REGISTRY, has_too_little_right};
pub use robots::not_ours;
pub use secrets::{SECRET_TYPE, SecretState, Spare, secret_state, spare_kept, spares};
pub use service_accounts::kept_by_others;

use super::builds::{CommonSpec, RewriteOutcome, rewrite};
use super::desired::{Desired, LinkedServiceAccount, MAX_ACCOUNTS, MAX_REPOSITORIES, Surplus};
use super::finding::{Code, Finding, ObjectRef, Severity};
use super::integration::{Integration, QuayProblem};
use super::ownership::Claim;
use super::scope::{Scope, is_there};
use super::snapshot::{NamespaceSnapshot, Organization, ReadError, ReadErrorKind};

/// What one check has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was checked: `Robot accounts`.
    pub title: &'static str,
    /// The worst severity among the findings; `Ok` without any.
    pub severity: Severity,
    /// The state in a few words, when it is fine as when it is not.
    pub fact: String,
    /// What was found.
    pub findings: Vec<Finding>,
    /// Tags whose image was not looked for in Quay, as each repository costs a request: nothing is claimed about them.
    pub uncompared_tags: usize,
}

impl Check {
    /// A check with the severity of its worst finding.
    pub fn new(title: &'static str, fact: impl Into<String>, findings: Vec<Finding>) -> Self {
        let severity =
            findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok);
        Self { title, severity, fact: fact.into(), findings, uncompared_tags: 0 }
    }

    /// The same with more findings.
    fn and(self, findings: Vec<Finding>) -> Self {
        let severity =
            findings.iter().map(|finding| finding.severity).fold(self.severity, Severity::max);
        Self { severity, findings: [self.findings, findings].concat(), ..self }
    }

    /// The same, where something was left to compare: it is at least unknown.
    fn incomplete(self) -> Self {
        Self { severity: self.severity.max(Severity::Unknown), ..self }
    }

    /// A check that something else, which is reported by itself, stands in the way of.
    fn skipped(title: &'static str, why: impl std::fmt::Display) -> Self {
        Self {
            severity: Severity::Unknown,
            ..Self::new(title, format!("not checked: {why}"), vec![])
        }
    }
}

/// What the checks of one namespace look at.
pub struct Assessed<'a> {
    /// The settings.
    pub integration: &'a Integration,
    /// What stands in the way of calls to Quay.
    pub troubles: &'a [QuayProblem],
    /// What is.
    pub snapshot: &'a NamespaceSnapshot,
    /// What should be.
    pub desired: &'a Desired,
}

/// Every check of one namespace, in the order they are shown in. A namespace that is not to be linked, or is going,
/// is only looked at itself.
pub fn namespace(subject: &Assessed) -> Vec<Check> {
    let first = namespace::check(subject);
    if !subject.is_to_be_linked() {
        return vec![first];
    }
    let mut checks = vec![
        first.and(surplus(subject)),
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
    lead_to_what_helps(&mut checks);
    checks
}

/// Where something keeps repair from doing anything, what repair would mend otherwise is mended with that.
fn lead_to_what_helps(checks: &mut [Check]) {
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
    /// Why the namespace is in or out of scope.
    pub fn scope(&self) -> Scope {
        Scope::from_observed(
            &self.snapshot.name,
            &self.snapshot.namespace,
            self.integration.resource.as_ref(),
        )
    }

    /// What becomes of the output of a build, as the rule has it.
    pub fn rewriting(&self, spec: &CommonSpec) -> RewriteOutcome {
        let own = &self.snapshot.name;
        let resource = self.integration.resource.as_ref();
        // Whether another namespace was linked on request is not known here.
        let scope = |name: &str| {
            Some(if name == own { self.scope() } else { Scope::of(name, false, resource) })
        };
        rewrite(self.integration, own, spec, scope)
    }

    /// Whether the namespace is in scope, exists as far as is known, and is not being deleted.
    pub fn is_to_be_linked(&self) -> bool {
        is_there(&self.snapshot.namespace) && self.scope().is_in()
    }

    /// What the namespace has to show for its organization.
    pub fn claim(&self) -> Claim {
        Claim::of(self.snapshot, self.desired)
    }

    /// The linked service accounts whose robot accounts are the namespace's to use, or can be created for it.
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

    /// Whether nothing that can be trusted answers at the address of the Quay: it may be the wrong one.
    fn is_address_in_doubt(&self) -> bool {
        self.troubles.iter().any(|trouble| {
            matches!(trouble, QuayProblem::Unreachable { .. } | QuayProblem::Untrusted { .. })
        })
    }

    /// Without an organization there is no login, so nothing is said about the secrets that would hold one.
    fn lacks_organization(&self) -> bool {
        matches!(self.snapshot.organization, Ok(None))
    }

    /// The check to give while the service accounts, and so what should be there for them, are unknown.
    fn without_accounts(&self, title: &'static str) -> Option<Check> {
        let unread = self.snapshot.service_accounts.is_err();
        unread.then(|| Check::skipped(title, "the service accounts could not be read"))
    }

    /// The organization, or the check to give while there is none to look into.
    fn organization(&self, title: &'static str) -> Result<&Organization, Check> {
        match &self.snapshot.organization {
            Ok(Some(organization)) if organization.administered => Ok(organization),
            Ok(Some(_)) => Err(Check::skipped(title, "the organization is not ours to administer")),
            Ok(None) => Err(Check::skipped(title, "the organization is missing")),
            Err(_) => Err(Check::skipped(title, "the organization could not be read")),
        }
    }
}

/// What a namespace asks for beyond its share.
pub fn surplus(subject: &Assessed) -> Vec<Finding> {
    let Surplus { accounts, repositories } = subject.desired.surplus;
    let object = || ObjectRef::cluster("Namespace", &subject.snapshot.name);
    let about = |code, surplus: usize, what: &str, most: usize| {
        let all = surplus + most;
        (surplus > 0).then(|| {
            subject.finding(
                code,
                object(),
                format!("{all} {what} are asked for; {most} is the limit"),
            )
        })
    };
    let of_accounts =
        about(Code::TooManyAccounts, accounts, "linked service accounts", MAX_ACCOUNTS);
    let of_repositories =
        about(Code::TooManyRepositories, repositories, "repositories", MAX_REPOSITORIES);
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
