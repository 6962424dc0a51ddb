//! Writes to Quay. All of them are idempotent: if Quay's operation is not, an error is followed by a read.

use std::collections::BTreeSet;
use std::time::Duration;

use parking_lot::MutexGuard;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::json;
use tokio::time::sleep;

use crate::domain::Role;
use crate::domain::ownership::{Claim, OwnershipState};
use crate::domain::ownership_mark::{OWNER_TEAMS, OwnershipMark};
use crate::domain::snapshot::{Observed, Organization};
use crate::quay::api::api_types;
use crate::quay::http::error::{ErrorKind, QuayError};
use crate::quay::{Quay, ReadStrategy};

/// Delays before reads of a default permission that another run might be creating, or whose response was lost.
const DEFAULT_PERMISSION_RETRY_DELAYS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(750),
];

const NO_ORGANIZATION: &str = "no such organization";

impl Quay {
    /// Creates an organization. Succeeds if it exists and `claim` covers it: another run, or an earlier attempt, created it.
    ///
    /// # Errors
    /// Also if the name is used by an organization with another owner, by a user, or by an organization that was deleted
    /// moments ago.
    pub async fn create_organization(&self, name: &str, claim: &Claim) -> Result<(), QuayError> {
        let call = self
            .api(Method::POST, &["organization", ""], format!("create organization {name}"))
            .body(json!({"name": name}));
        let Err(mut error) = self.perform(&call).await else {
            self.created_organizations().insert(name.to_owned());
            return Ok(());
        };
        match error.kind {
            ErrorKind::Exists => {
                match self.concurrent_organization(name, claim).await? {
                    Some(concurrent_organization) if concurrent_organization.administered => match claim.reject_reason(&concurrent_organization, name) {
                        None => return Ok(()),
                        Some(rejection) => error.reason = rejection,
                    },
                    Some(_) => error.reason =
                        "the name is used by an organization that this token is not allowed to administer"
                            .into(),
                    // `wire/196`.
                    None if error.reason.contains("not available") => {
                        error.reason = "an organization of this name was just deleted; retry in a few minutes".into();
                    }
                    None => error.reason = "the name is used by a user".into(),
                }
            }
            ErrorKind::Forbidden => self.diagnose_creation().await,
            _ => {}
        }
        Err(error)
    }

    /// Reads an organization that another run created. A second read follows if the first one found no ownership mark: the
    /// other run creates the robot accounts, which have it, right after the organization.
    async fn concurrent_organization(
        &self,
        name: &str,
        claim: &Claim,
    ) -> Result<Option<Organization>, QuayError> {
        let repositories = BTreeSet::new();
        let fetch = || self.organization(name, &repositories, &[], ReadStrategy::AssumeNew, claim);
        let read = |found: Observed<_>| {
            found.map_err(|unread| {
                QuayError::new(&unread.call, ErrorKind::Unexpected, unread.reason)
            })
        };
        let found = read(fetch().await)?;
        let is_unproven =
            |found: &Organization| claim.ownership_of(found) == OwnershipState::Unproven;
        if found.as_ref().is_some_and(is_unproven) { read(fetch().await) } else { Ok(found) }
    }

    /// Deletes an organization with all its images. Quay cannot restore it.
    ///
    /// # Errors
    /// Quay rejected the request, and the organization exists.
    pub async fn delete_organization(&self, name: &str) -> Result<(), QuayError> {
        let call = self.api(
            Method::DELETE,
            &["organization", name],
            format!("delete organization {name}"),
        );
        let Err(error) = self.perform(&call).await else { return Ok(()) };
        // Quay rejects a missing organization like one of others (`wire/192`, `wire/530`).
        let is_maybe_missing = matches!(error.kind, ErrorKind::Forbidden | ErrorKind::NotFound);
        if is_maybe_missing && self.view(name).await?.is_none() { Ok(()) } else { Err(error) }
    }

    /// Makes the token's user, a superuser, an owner of an organization (`wire/45c`).
    ///
    /// # Errors
    /// Also if the organization does not exist: Quay would convert a user of that name to an organization
    /// (`take_ownership` of `endpoints/api/superuser_models_pre_oci.py`).
    pub async fn take_ownership(&self, name: &str) -> Result<(), QuayError> {
        let call = self.api(
            Method::POST,
            &["superuser", "takeownership", name],
            format!("become an owner of organization {name}"),
        );
        if self.view(name).await?.is_none() {
            return Err(QuayError::new(call.action(), ErrorKind::NotFound, NO_ORGANIZATION));
        }
        let outcome = self.perform(&call).await;
        outcome.map_err(|error| match error.kind {
            ErrorKind::Forbidden => QuayError {
                reason: "this requires a superuser, and a token with the scope super:user".into(),
                ..error
            },
            _ => error,
        })
    }

    /// Records in an organization that the namespace of this mark owns it and these robot accounts.
    ///
    /// # Errors
    /// Also if the teams for the mark exist and are not from oc-quay.
    pub async fn adopt(
        &self,
        organization: &str,
        mark: &str,
        robots: &[String],
    ) -> Result<(), QuayError> {
        let action = format!("mark organization {organization} as adopted");
        let Some(view) = self.view(organization).await? else {
            return Err(QuayError::new(&action, ErrorKind::NotFound, NO_ORGANIZATION));
        };
        let is_marked = |team: &api_types::Team| {
            team.description.as_deref().and_then(OwnershipMark::parse).is_some()
        };
        let team = OWNER_TEAMS.into_iter().find(|name| view.teams.get(*name).is_none_or(is_marked));
        let Some(team) = team else {
            let reason = format!(
                "its teams {} were not created by oc-quay; rename one of them",
                OWNER_TEAMS.join(" and ")
            );
            return Err(QuayError::new(&action, ErrorKind::Exists, reason));
        };
        let call = self.api(Method::PUT, &["organization", organization, "team", team], action);
        self.perform(&call.body(json!({"role": "member", "description": mark}))).await?;
        for robot in robots {
            let member = format!("{organization}+{robot}");
            let path = ["organization", organization, "team", team, "members", &member];
            let call =
                self.api(Method::PUT, &path, format!("add robot account {member} to team {team}"));
            match self.perform(&call).await {
                // It is already a member (`wire/723c`).
                Err(error) if error.status == Some(400) => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// Creates a robot account with this mark as its immutable description, and returns its token. An existing one keeps its
    /// description.
    ///
    /// # Errors
    /// Quay rejected the request, or hides the token.
    pub async fn create_robot(
        &self,
        organization: &str,
        robot: &str,
        mark: &str,
    ) -> Result<SecretString, QuayError> {
        let path = ["organization", organization, "robots", robot];
        let call =
            self.api(Method::PUT, &path, format!("create robot account {organization}+{robot}"));
        match self.fetch::<api_types::Robot>(&call.body(json!({"description": mark}))).await {
            Ok(created) => {
                self.created_organizations().remove(organization);
                require_token(created, organization, robot)
            }
            Err(error) if error.kind == ErrorKind::Exists => {
                self.created_organizations().remove(organization);
                self.raced_robots().insert(format!("{organization}+{robot}"));
                self.robot_token(organization, robot).await
            }
            Err(error) if error.kind == ErrorKind::RobotsDisallowed => {
                Err(self.delete_new_organization(organization, error).await)
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes an organization that this client has just created, for Quay allows no robot accounts, unless it has
    /// repositories by now. This is not known before: `ROBOTS_DISALLOW` is not in `/config`.
    async fn delete_new_organization(&self, name: &str, mut error: QuayError) -> QuayError {
        if self.created_organizations().remove(name) {
            let outcome = match self.repositories(name).await {
                Ok(found) if !found.items.is_empty() => "is kept: it has repositories".into(),
                Ok(_) => match self.delete_organization(name).await {
                    Ok(()) => "was deleted".into(),
                    Err(error) => format!("is kept: {error}"),
                },
                Err(error) => format!("is kept: {error}"),
            };
            error.reason.push_str(&format!("; the new organization {name} {outcome}"));
        }
        error
    }

    fn created_organizations(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.created_organizations.lock()
    }

    fn raced_robots(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.raced_robots.lock()
    }

    /// The current token of a robot account.
    ///
    /// # Errors
    /// Quay rejected the request, or hides the token.
    pub async fn robot_token(
        &self,
        organization: &str,
        robot: &str,
    ) -> Result<SecretString, QuayError> {
        require_token(self.robot(organization, robot).await?, organization, robot)
    }

    /// Renews the token of a robot account and returns it; the previous one is invalid.
    ///
    /// Retries are safe, for the last token is the valid one. If no attempt got a response, the current token is returned.
    ///
    /// # Errors
    /// Quay rejected the request, or hides the token.
    pub async fn rotate_robot(
        &self,
        organization: &str,
        robot: &str,
    ) -> Result<SecretString, QuayError> {
        let path = ["organization", organization, "robots", robot, "regenerate"];
        let call = self.api(
            Method::POST,
            &path,
            format!("renew the token of robot account {organization}+{robot}"),
        );
        match self.fetch::<api_types::Robot>(&call).await {
            Ok(renewed) => require_token(renewed, organization, robot),
            Err(error) if error.kind.is_uncertain() => self.robot_token(organization, robot).await,
            Err(error) => Err(error),
        }
    }

    /// Deletes a robot account with its permissions and default permissions, if it exists.
    ///
    /// # Errors
    /// Quay rejected the request.
    pub async fn delete_robot(&self, organization: &str, robot: &str) -> Result<(), QuayError> {
        let path = ["organization", organization, "robots", robot];
        let call =
            self.api(Method::DELETE, &path, format!("delete robot account {organization}+{robot}"));
        ignore_not_found(self.perform(&call).await)
    }

    /// Gives a robot account a role on repositories that are created later. Each request creates another default permission
    /// (`wire/252`). So after a lost response the list is read before a second request, and a run that did not create the robot
    /// account itself waits for the default permission of the run that did.
    ///
    /// # Errors
    /// Quay rejected the request.
    pub async fn create_default_permission(
        &self,
        organization: &str,
        robot: &str,
        role: Role,
    ) -> Result<(), QuayError> {
        let create = || {
            let action =
                format!("create a default permission of robot account {organization}+{robot}");
            let delegate = json!({"kind": "user", "name": format!("{organization}+{robot}")});
            let call = self
                .api(Method::POST, &["organization", organization, "prototypes"], action)
                .not_idempotent();
            call.body(json!({"role": role.as_str(), "delegate": delegate}))
        };
        let has_raced = self.raced_robots().contains(&format!("{organization}+{robot}"));
        if has_raced && self.wait_for_default_permission(organization, robot, role).await? {
            return Ok(());
        }
        match self.perform(&create()).await {
            Err(error) if error.kind.is_uncertain() => {}
            outcome => return outcome,
        }
        if self.wait_for_default_permission(organization, robot, role).await? {
            return Ok(());
        }
        self.perform(&create()).await
    }

    /// Returns whether the default permission exists before the last delay ends.
    async fn wait_for_default_permission(
        &self,
        organization: &str,
        robot: &str,
        role: Role,
    ) -> Result<bool, QuayError> {
        for pause in DEFAULT_PERMISSION_RETRY_DELAYS {
            sleep(pause).await;
            if self.has_default_permission(organization, robot, role).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn has_default_permission(
        &self,
        organization: &str,
        robot: &str,
        role: Role,
    ) -> Result<bool, QuayError> {
        let permissions = self.default_permissions(organization).await?;
        Ok(permissions
            .iter()
            .any(|permission| permission.robot == robot && permission.role == role))
    }

    /// Changes the role of a default permission.
    ///
    /// # Errors
    /// Quay rejected the request.
    pub async fn change_default_permission(
        &self,
        organization: &str,
        id: &str,
        role: Role,
    ) -> Result<(), QuayError> {
        let action = format!("change a default permission of organization {organization}");
        let call = self.api(Method::PUT, &["organization", organization, "prototypes", id], action);
        self.perform(&call.body(json!({"role": role.as_str()}))).await
    }

    /// Deletes a default permission, if it exists.
    ///
    /// # Errors
    /// Quay rejected the request.
    pub async fn delete_default_permission(
        &self,
        organization: &str,
        id: &str,
    ) -> Result<(), QuayError> {
        let action = format!("delete a default permission of organization {organization}");
        let call =
            self.api(Method::DELETE, &["organization", organization, "prototypes", id], action);
        ignore_not_found(self.perform(&call).await)
    }

    /// Creates a private repository unless it exists. The current default permissions apply to it.
    ///
    /// # Errors
    /// Quay rejected the request.
    pub async fn create_repository(
        &self,
        organization: &str,
        repository: &str,
    ) -> Result<(), QuayError> {
        let call = self.api(
            Method::POST,
            &["repository"],
            format!("create repository {organization}/{repository}"),
        );
        // All four are required (`wire/304`).
        let body = json!({"namespace": organization, "repository": repository, "visibility": "private", "description": ""});
        match self.perform(&call.body(body)).await {
            Err(error) if error.kind == ErrorKind::Exists => Ok(()),
            outcome => outcome,
        }
    }

    /// Gives a robot account a role on one repository.
    ///
    /// # Errors
    /// Quay rejected the request, with 500 for a missing repository (`wire/376`).
    pub async fn set_repository_permission(
        &self,
        organization: &str,
        repository: &str,
        robot: &str,
        role: Role,
    ) -> Result<(), QuayError> {
        let account = format!("{organization}+{robot}");
        let path: Vec<&str> = ["repository", organization]
            .into_iter()
            .chain(repository.split('/'))
            .chain(["permissions", "user", &account])
            .collect();
        let action = format!(
            "give robot account {account} {role} on repository {organization}/{repository}"
        );
        let call = self.api(Method::PUT, &path, action).body(json!({"role": role.as_str()}));
        match self.perform(&call).await {
            // Also the response to one of two concurrent requests for the first permission of a robot account, which succeeds
            // moments later (`wire/634e`).
            Err(error) if error.status == Some(500) => self.perform(&call).await,
            outcome => outcome,
        }
    }
}

fn ignore_not_found(outcome: Result<(), QuayError>) -> Result<(), QuayError> {
    match outcome {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn require_token(
    account: api_types::Robot,
    organization: &str,
    robot: &str,
) -> Result<SecretString, QuayError> {
    account.token().ok_or_else(|| {
        let action = format!("read the token of robot account {organization}+{robot}");
        QuayError::new(&action, ErrorKind::Forbidden, "Quay hides it from the token's user")
    })
}
