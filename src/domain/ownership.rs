//! The owner of an organization, and the robot accounts that a namespace is allowed to use
//! (`docs/security.md`).

use secrecy::{ExposeSecret, SecretString};

use super::Role;
use super::desired::{DEFAULT_ACCOUNTS, Desired, LinkedServiceAccount};
use super::finding::Code;
use super::ownership_mark::{Owner, OwnershipMark};
use super::snapshot::{NamespaceSnapshot, Organization, Robot};

/// A namespace's evidence for the ownership of its organization.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The mark that we would write for the namespace.
    pub mark: OwnershipMark,
    /// The tokens of the organization's robot accounts in the namespace's secrets, with the robot
    /// accounts' short names; `None` if the secrets could not be read.
    tokens: Option<Vec<(String, SecretString)>>,
}

/// The owner of an organization that the token administers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnershipState {
    /// It has the mark of this namespace.
    Ours,
    /// It has no mark, but the namespace is linked: it holds the current token of the robot account
    /// that pushes.
    Linked,
    /// It has no mark, is empty, and is owned only by the token's user.
    Blank,
    /// It has no mark, and nothing else proves its owner.
    Unproven,
    /// It has the mark of another owner.
    Others(OwnershipMark, Owner),
    /// It has no mark, and Quay does not show the tokens to compare with those of the namespace.
    Hidden,
    /// Its robot accounts could not be read, or it has no mark and the secrets could not be read.
    Unknown,
}

impl Claim {
    pub fn of(snapshot: &NamespaceSnapshot, desired: &Desired) -> Self {
        let prefix = desired.robot_username("");
        let token = |username: &str, password: &SecretString| {
            Some((username.strip_prefix(&prefix)?.to_owned(), password.clone()))
        };
        let tokens = snapshot.secrets.as_ref().ok().map(|secrets| {
            let all = secrets.iter().flat_map(|secret| secret.credentials.iter().flatten());
            all.filter_map(|(_, entry)| token(&entry.username, &entry.password)).collect()
        });
        Self { mark: desired.mark.clone(), tokens }
    }

    /// The claim of a namespace that was never linked.
    #[cfg(test)]
    pub(crate) fn without_tokens(mark: OwnershipMark) -> Self {
        Self { mark, tokens: Some(vec![]) }
    }

    /// An adoption takes precedence over the marks of robot accounts, and among these any foreign
    /// mark over ours.
    pub fn ownership_of(&self, organization: &Organization) -> OwnershipState {
        let by_mark = |mark: &OwnershipMark| match mark.owner(&self.mark) {
            Owner::Current => OwnershipState::Ours,
            owner => OwnershipState::Others(mark.clone(), owner),
        };
        if let Some(mark) = &organization.adopted_by {
            return by_mark(mark);
        }
        let Ok(robots) = &organization.robots else { return OwnershipState::Unknown };
        let marks = robots.iter().filter_map(|robot| robot.mark.as_ref());
        match marks.max_by_key(|mark| mark.owner(&self.mark)) {
            Some(mark) => by_mark(mark),
            None if self.is_linked(robots) => OwnershipState::Linked,
            None if organization.is_blank => OwnershipState::Blank,
            None if self.tokens.is_none() => OwnershipState::Unknown,
            None if robots.iter().any(|robot| self.holds_hidden_token(robot)) => {
                OwnershipState::Hidden
            }
            None => OwnershipState::Unproven,
        }
    }

    /// Whether the namespace is linked to the organization of these robot accounts: it holds the
    /// token that pushes, and so gains nothing from a link. The operator's finalizer proves
    /// nothing, since a project administrator can set it.
    pub fn is_linked(&self, robots: &[Robot]) -> bool {
        let pushes = |robot: &&Robot| {
            DEFAULT_ACCOUNTS.iter().any(|(name, role)| *name == robot.name && *role == Role::Write)
        };
        robots.iter().filter(pushes).any(|robot| self.holds_token(robot))
    }

    /// Whether the namespace already holds the robot account's current token, so that it can be
    /// written again.
    fn holds_token(&self, robot: &Robot) -> bool {
        let Some(token) = &robot.token else { return false };
        let mut tokens = self.tokens.iter().flatten();
        tokens.any(|(name, password)| {
            *name == robot.name && password.expose_secret() == token.expose_secret()
        })
    }

    fn holds_hidden_token(&self, robot: &Robot) -> bool {
        robot.token.is_none() && self.tokens.iter().flatten().any(|(name, _)| *name == robot.name)
    }

    /// The reason why the namespace is not allowed to use the organization; `None` if it is, or if
    /// the reason is reported elsewhere.
    pub fn obstacle(&self, organization: &Organization, name: &str) -> Option<(Code, String)> {
        Some(match self.ownership_of(organization) {
            OwnershipState::Ours | OwnershipState::Linked | OwnershipState::Blank => return None,
            OwnershipState::Hidden => return None,
            OwnershipState::Unknown if organization.robots.is_err() => return None,
            OwnershipState::Unknown => (
                Code::CouldNotRead,
                format!(
                    "Organization {name} has no ownership mark, and the secrets that would identify its owner could not be read"
                ),
            ),
            OwnershipState::Unproven => (
                Code::OrganizationNotProven,
                format!(
                    "Organization {name} exists, and nothing proves that it was created for this namespace"
                ),
            ),
            OwnershipState::Others(OwnershipMark { namespace, uid, .. }, Owner::Previous) => (
                Code::OrganizationOfFormerNamespace,
                format!(
                    "Organization {name} was created for a previous namespace {namespace}, uid {uid}"
                ),
            ),
            OwnershipState::Others(
                OwnershipMark { namespace, uid, cluster, .. },
                Owner::Unclear,
            ) => (
                Code::OrganizationOfFormerNamespace,
                format!(
                    "Organization {name} was created for another namespace {namespace}, uid {uid}: a previous one, or one \
                     of another cluster at {}",
                    cluster.server
                ),
            ),
            OwnershipState::Others(OwnershipMark { namespace, cluster, .. }, _) => (
                Code::OrganizationOfAnotherCluster,
                format!(
                    "Organization {name} belongs to namespace {namespace} of cluster {}",
                    cluster.server
                ),
            ),
        })
    }

    /// The reason not to use an organization that others created meanwhile; `None` if the namespace
    /// is allowed to use it.
    pub fn reject_reason(&self, organization: &Organization, name: &str) -> Option<String> {
        if matches!(
            self.ownership_of(organization),
            OwnershipState::Ours | OwnershipState::Linked | OwnershipState::Blank
        ) {
            return None;
        }
        let unknown =
            || format!("Organization {name} exists by now, but its owner could not be read");
        let with_hint = |(code, message): (Code, String)| {
            format!("{message}; see oc quay explain {}", code.as_str())
        };
        Some(self.obstacle(organization, name).map_or_else(unknown, with_hint))
    }

    /// Whether the namespace is allowed to use a robot account in its organization. Beyond the
    /// three default ones, the robot account must be ours, or its current token must already be in
    /// the namespace.
    pub fn allows_robot(
        &self,
        organization: &Organization,
        account: &LinkedServiceAccount,
    ) -> bool {
        let is_default = DEFAULT_ACCOUNTS.iter().any(|(name, _)| *name == account.name);
        organization
            .robot(&account.name)
            .is_none_or(|robot| is_default || robot.is_ours() || self.holds_token(robot))
    }
}

impl Organization {
    /// Whether a mark proves that we created it.
    pub fn is_created(&self) -> bool {
        let robots = self.robots.iter().flatten().filter_map(|robot| robot.mark.as_ref());
        robots.chain(&self.adopted_by).any(|mark| mark.created)
    }
}

impl Robot {
    /// Whether we created or adopted it; meaningful only in an organization that is ours.
    pub fn is_ours(&self) -> bool {
        self.mark.is_some() || self.is_adopted
    }
}
