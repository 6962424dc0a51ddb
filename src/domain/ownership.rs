//! Whose an organization is, and what in it a namespace is allowed to use. `docs/security.md` has the rule in words.

use secrecy::{ExposeSecret, SecretString};

use super::Role;
use super::desired::{DEFAULT_ACCOUNTS, Desired, LinkedServiceAccount};
use super::finding::Code;
use super::ownership_mark::{Owner, OwnershipMark};
use super::snapshot::{NamespaceSnapshot, Organization, Robot};

/// What a namespace has to show for an organization.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The mark that we would write.
    pub mark: OwnershipMark,
    /// The logins to robot accounts of the organization that the namespace's secrets hold, by short name; none where the
    /// secrets could not be read.
    logins: Option<Vec<(String, SecretString)>>,
}

/// Whose an organization is that the token administers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnershipState {
    /// A mark says that it is this namespace's.
    Ours,
    /// It carries no mark, and the namespace was linked with it already: it holds the current token of the robot account that
    /// pushes.
    Linked,
    /// It carries no mark and is empty, and the token's user alone owns it.
    Blank,
    /// It carries no mark, and nothing says whose it is.
    Unproven,
    /// It carries the mark of others.
    Others(OwnershipMark, Owner),
    /// It carries no mark, and Quay does not show the tokens of robot accounts that the namespace holds logins for.
    Hidden,
    /// Its robot accounts could not be read, or it carries no mark and the secrets could not be read.
    Unknown,
}

impl Claim {
    /// The claim of a namespace.
    pub fn of(snapshot: &NamespaceSnapshot, desired: &Desired) -> Self {
        let prefix = desired.login_name("");
        let login = |username: &str, password: &SecretString| {
            Some((username.strip_prefix(&prefix)?.to_owned(), password.clone()))
        };
        let logins = snapshot.secrets.as_ref().ok().map(|secrets| {
            let all = secrets.iter().flat_map(|secret| secret.logins.iter().flatten());
            all.filter_map(|(_, entry)| login(&entry.username, &entry.password)).collect()
        });
        Self { mark: desired.mark.clone(), logins }
    }

    /// The claim of a namespace that was never linked.
    #[cfg(test)]
    pub(crate) fn without_logins(mark: OwnershipMark) -> Self {
        Self { mark, logins: Some(vec![]) }
    }

    /// Whose an organization is. An adoption counts before the marks of its robot accounts, and any one of these that is
    /// not ours before all that are.
    pub fn standing(&self, organization: &Organization) -> OwnershipState {
        let of_mark = |mark: &OwnershipMark| match mark.owner(&self.mark) {
            Owner::Current => OwnershipState::Ours,
            owner => OwnershipState::Others(mark.clone(), owner),
        };
        if let Some(mark) = &organization.adopted_by {
            return of_mark(mark);
        }
        let Ok(robots) = &organization.robots else { return OwnershipState::Unknown };
        let marks = robots.iter().filter_map(|robot| robot.mark.as_ref());
        match marks.max_by_key(|mark| mark.owner(&self.mark)) {
            Some(mark) => of_mark(mark),
            None if self.is_linked(robots) => OwnershipState::Linked,
            None if organization.is_blank => OwnershipState::Blank,
            None if self.logins.is_none() => OwnershipState::Unknown,
            None if robots.iter().any(|robot| self.holds_hidden_token(robot)) => {
                OwnershipState::Hidden
            }
            None => OwnershipState::Unproven,
        }
    }

    /// Whether the namespace was linked already with the organization of these robot accounts: it holds the login that pushes,
    /// and so whatever a link gives. The operator's finalizer proves nothing, since a project's administrator can set it.
    pub fn is_linked(&self, robots: &[Robot]) -> bool {
        let pushes = |robot: &&Robot| {
            DEFAULT_ACCOUNTS.iter().any(|(name, role)| *name == robot.name && *role == Role::Write)
        };
        robots.iter().filter(pushes).any(|robot| self.holds_token(robot))
    }

    /// Whether the namespace holds the robot account's current token, so that nothing is given away by giving it again.
    fn holds_token(&self, robot: &Robot) -> bool {
        let Some(token) = &robot.token else { return false };
        let mut logins = self.logins.iter().flatten();
        logins.any(|(name, password)| {
            *name == robot.name && password.expose_secret() == token.expose_secret()
        })
    }

    fn holds_hidden_token(&self, robot: &Robot) -> bool {
        robot.token.is_none() && self.logins.iter().flatten().any(|(name, _)| *name == robot.name)
    }

    /// What keeps the namespace from using the organization; none where it is free to, or where that is reported by itself.
    pub fn obstacle(&self, organization: &Organization, name: &str) -> Option<(Code, String)> {
        Some(match self.standing(organization) {
            OwnershipState::Ours | OwnershipState::Linked | OwnershipState::Blank => return None,
            OwnershipState::Hidden => return None,
            OwnershipState::Unknown if organization.robots.is_err() => return None,
            OwnershipState::Unknown => (
                Code::CouldNotRead,
                format!(
                    "Organization {name} carries no mark, and whose it is shows in the secrets alone"
                ),
            ),
            OwnershipState::Unproven => (
                Code::OrganizationNotProven,
                format!(
                    "Organization {name} exists, and nothing shows that it was made for this namespace"
                ),
            ),
            OwnershipState::Others(OwnershipMark { namespace, uid, .. }, Owner::Previous) => (
                Code::OrganizationOfFormerNamespace,
                format!(
                    "Organization {name} was made for an earlier namespace {namespace}, uid {uid}"
                ),
            ),
            OwnershipState::Others(
                OwnershipMark { namespace, uid, cluster, .. },
                Owner::Unclear,
            ) => (
                Code::OrganizationOfFormerNamespace,
                format!(
                    "Organization {name} was made for another namespace {namespace}, uid {uid}: an earlier one, or one of \
                     another cluster at {}",
                    cluster.server
                ),
            ),
            OwnershipState::Others(OwnershipMark { namespace, cluster, .. }, _) => (
                Code::OrganizationOfAnotherCluster,
                format!(
                    "Organization {name} was marked by namespace {namespace} of cluster {}",
                    cluster.server
                ),
            ),
        })
    }

    /// Why an organization that appeared while one was to be created is not taken for the namespace's; none where it is.
    /// Nothing in it may be of others, as far as nothing proves that it is the namespace's.
    pub fn refusal(&self, organization: &Organization, name: &str) -> Option<String> {
        if matches!(
            self.standing(organization),
            OwnershipState::Ours | OwnershipState::Linked | OwnershipState::Blank
        ) {
            return None;
        }
        let unknown =
            || format!("Organization {name} exists by now, and whose it is could not be read");
        let of_others = |(code, message): (Code, String)| {
            format!("{message}; see oc quay explain {}", code.as_str())
        };
        Some(self.obstacle(organization, name).map_or_else(unknown, of_others))
    }

    /// Whether the robot account of a linked service account is the namespace's to use, in an organization that is. Beyond
    /// the three that every namespace has, it must be ours, or its current token be in the namespace already.
    pub fn allows_robot(
        &self,
        organization: &Organization,
        account: &LinkedServiceAccount,
    ) -> bool {
        let is_usual = DEFAULT_ACCOUNTS.iter().any(|(name, _)| *name == account.name);
        organization
            .robot(&account.name)
            .is_none_or(|robot| is_usual || robot.is_ours() || self.holds_token(robot))
    }
}

impl Organization {
    /// Whether a mark shows that we created it.
    pub fn is_created(&self) -> bool {
        let robots = self.robots.iter().flatten().filter_map(|robot| robot.mark.as_ref());
        robots.chain(&self.adopted_by).any(|mark| mark.created)
    }
}

impl Robot {
    /// Whether we made it or it was taken over, in an organization that is ours.
    pub fn is_ours(&self) -> bool {
        self.mark.is_some() || self.is_adopted
    }
}
