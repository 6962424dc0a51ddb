//! Writing. Every operation is idempotent: where Quay's own is not, what the refusal means is looked up.

use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::Method;
use secrecy::SecretString;
use serde_json::json;
use tokio::time::sleep;

use super::error::{ErrorKind, QuayError};
use super::{Quay, ReadStrategy, api_types};
use crate::domain::Role;
use crate::domain::ownership::{Claim, OwnershipState};
use crate::domain::ownership_mark::{OWNER_TEAMS, OwnershipMark};
use crate::domain::snapshot::{Observed, Organization};

/// How long a default permission that may be under way is waited for: somebody else's who came first, or our own whose
/// answer was lost.
const DEFAULT_PERMISSION_RETRY_DELAYS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(750),
];

impl Quay {
    /// Creates an organization. One that exists by now is as good where `claim` covers it: another run was faster, or an
    /// earlier try had got through.
    ///
    /// # Errors
    /// Also when the name is taken by an organization that may be of others, by a user, or by one that was just deleted.
    pub async fn create_organization(&self, name: &str, claim: &Claim) -> Result<(), QuayError> {
        let call = self
            .api(Method::POST, &["organization", ""], format!("create organization {name}"))
            .body(json!({"name": name}));
        let Err(mut error) = self.perform(&call).await else {
            self.created().insert(name.to_owned());
            return Ok(());
        };
        match error.kind {
            ErrorKind::Exists => {
                match self.rival(name, claim).await? {
                    Some(rival) if rival.administered => match claim.refusal(&rival, name) {
                        None => return Ok(()),
                        Some(refusal) => error.reason = refusal,
                    },
                    Some(_) => error.reason =
                        "the name is taken by an organization that this token may not administer"
                            .into(),
                    // Sample 196.
                    None if error.reason.contains("not available") => {
                        error.reason = "an organization of this name was just deleted; Quay frees the name in a minute or so".into();
                    }
                    None => error.reason = "the name is taken by a user".into(),
                }
            }
            ErrorKind::Forbidden => self.diagnose_creation().await,
            _ => {}
        }
        Err(error)
    }

    /// An organization that appeared while it was to be created. The run that was faster may be at work in it: its robot
    /// accounts, which say whose it is, come first, so a look that found none of them is followed by one that does.
    async fn rival(&self, name: &str, claim: &Claim) -> Result<Option<Organization>, QuayError> {
        let repositories = BTreeSet::new();
        let look = || self.organization(name, &repositories, &[], ReadStrategy::AssumeNew, claim);
        let read = |found: Observed<_>| {
            found.map_err(|unread| {
                QuayError::new(&unread.call, ErrorKind::Unexpected, unread.reason)
            })
        };
        let found = read(look().await)?;
        let is_unproven = |found: &Organization| claim.standing(found) == OwnershipState::Unproven;
        if found.as_ref().is_some_and(is_unproven) { read(look().await) } else { Ok(found) }
    }

    /// Deletes an organization with all its images. Quay has no undo.
    ///
    /// # Errors
    /// When it is still there and Quay refuses.
    pub async fn delete_organization(&self, name: &str) -> Result<(), QuayError> {
        let call = self.api(
            Method::DELETE,
            &["organization", name],
            format!("delete organization {name}"),
        );
        let Err(error) = self.perform(&call).await else { return Ok(()) };
        // A missing organization is refused like one of others (samples 192, 530).
        let may_be_gone = matches!(error.kind, ErrorKind::Forbidden | ErrorKind::NotFound);
        if may_be_gone && self.view(name).await?.is_none() { Ok(()) } else { Err(error) }
    }

    /// Makes the token's user, a superuser, an owner of an organization (sample 45c).
    ///
    /// # Errors
    /// Also when there is no such organization: Quay would make one of a user of that name, with everything the user has
    /// (`take_ownership` of `endpoints/api/superuser_models_pre_oci.py`).
    pub async fn take_ownership(&self, name: &str) -> Result<(), QuayError> {
        let call = self.api(
            Method::POST,
            &["superuser", "takeownership", name],
            format!("become an owner of organization {name}"),
        );
        if self.view(name).await?.is_none() {
            return Err(QuayError::new(
                call.what(),
                ErrorKind::NotFound,
                "there is no such organization",
            ));
        }
        let outcome = self.perform(&call).await;
        outcome.map_err(|error| match error.kind {
            ErrorKind::Forbidden => QuayError {
                reason: "only a superuser of Quay can, with a token that has the scope super:user"
                    .into(),
                ..error
            },
            _ => error,
        })
    }

    /// Writes into an organization that it and these robot accounts are the namespace's of this mark now.
    ///
    /// # Errors
    /// When Quay refuses.
    pub async fn adopt(
        &self,
        organization: &str,
        mark: &str,
        robots: &[String],
    ) -> Result<(), QuayError> {
        let what = format!("mark organization {organization} as adopted");
        let Some(view) = self.view(organization).await? else {
            return Err(QuayError::new(
                &what,
                ErrorKind::NotFound,
                "there is no such organization",
            ));
        };
        let is_marked = |team: &api_types::Team| {
            team.description.as_deref().and_then(OwnershipMark::parse).is_some()
        };
        let team = OWNER_TEAMS.into_iter().find(|name| view.teams.get(*name).is_none_or(is_marked));
        let Some(team) = team else {
            let reason = format!(
                "it has teams {} that oc-quay did not create; rename one",
                OWNER_TEAMS.join(" and ")
            );
            return Err(QuayError::new(&what, ErrorKind::Exists, reason));
        };
        let call = self.api(Method::PUT, &["organization", organization, "team", team], what);
        self.perform(&call.body(json!({"role": "member", "description": mark}))).await?;
        for robot in robots {
            let member = format!("{organization}+{robot}");
            let path = ["organization", organization, "team", team, "members", &member];
            let call =
                self.api(Method::PUT, &path, format!("add robot account {member} to team {team}"));
            match self.perform(&call).await {
                // One that is a member already (sample 723c).
                Err(error) if error.status == Some(400) => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// Creates a robot account with this mark as its description, which can never be changed, and returns its token.
    /// One that is there already keeps its description.
    ///
    /// # Errors
    /// When Quay refuses, or does not show the token.
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
                self.created().remove(organization);
                token_of(created, call_of(organization, robot))
            }
            Err(error) if error.kind == ErrorKind::Exists => {
                self.created().remove(organization);
                self.retry_after_race().insert(format!("{organization}+{robot}"));
                self.robot_token(organization, robot).await
            }
            Err(error) if error.kind == ErrorKind::RobotsDisallowed => {
                Err(self.withdraw_organization(organization, error).await)
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes an organization that this client created a moment ago and in which Quay allows no robot accounts, unless
    /// something was pushed since. No call reports `ROBOTS_DISALLOW` before, and without robot accounts the organization
    /// is of no use.
    async fn withdraw_organization(&self, name: &str, mut refusal: QuayError) -> QuayError {
        if self.created().remove(name) {
            let outcome = match self.repositories(name).await {
                Ok(found) if !found.items.is_empty() => "is kept, since it has repositories".into(),
                Ok(_) => match self.delete_organization(name).await {
                    Ok(()) => "is empty and was deleted again".into(),
                    Err(error) => format!("is empty and was not deleted again: {error}"),
                },
                Err(error) => format!("is kept, since its repositories are unknown: {error}"),
            };
            refusal.reason.push_str(&format!("; organization {name} {outcome}"));
        }
        refusal
    }

    fn created(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.created.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retry_after_race(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.retry_after_race.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current token of a robot account.
    ///
    /// # Errors
    /// When Quay refuses, or does not show the token.
    pub async fn robot_token(
        &self,
        organization: &str,
        robot: &str,
    ) -> Result<SecretString, QuayError> {
        token_of(self.robot(organization, robot).await?, call_of(organization, robot))
    }

    /// Gives a robot account a new token and returns it; the old one no longer logs in.
    ///
    /// Asking twice is harmless, since the last token is the valid one. When all tries leave it open whether the token
    /// was renewed, the one that is valid now is returned.
    ///
    /// # Errors
    /// When Quay refuses, or does not show the token.
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
            Ok(renewed) => token_of(renewed, call_of(organization, robot)),
            Err(error) if error.kind.is_uncertain() => self.robot_token(organization, robot).await,
            Err(error) => Err(error),
        }
    }

    /// Deletes a robot account with its rights and default permissions. One that is gone is as good.
    ///
    /// # Errors
    /// When Quay refuses.
    pub async fn delete_robot(&self, organization: &str, robot: &str) -> Result<(), QuayError> {
        let path = ["organization", organization, "robots", robot];
        let call =
            self.api(Method::DELETE, &path, format!("delete robot account {organization}+{robot}"));
        ignore_not_found(self.perform(&call).await)
    }

    /// Gives a robot account a role on repositories created later. Each such call makes another default permission
    /// (sample 252), so after a failure that leaves it open the list decides after a while whether to try again, and
    /// whoever came second to create the robot account leaves its default permission to the first for as long.
    ///
    /// # Errors
    /// When Quay refuses.
    pub async fn create_default_permission(
        &self,
        organization: &str,
        robot: &str,
        role: Role,
    ) -> Result<(), QuayError> {
        let create = || {
            let what =
                format!("create a default permission of robot account {organization}+{robot}");
            let delegate = json!({"kind": "user", "name": format!("{organization}+{robot}")});
            let call = self
                .api(Method::POST, &["organization", organization, "prototypes"], what)
                .not_repeatable();
            call.body(json!({"role": role.as_str(), "delegate": delegate}))
        };
        let was_outrun = self.retry_after_race().contains(&format!("{organization}+{robot}"));
        if was_outrun && self.default_permission_comes(organization, robot, role).await? {
            return Ok(());
        }
        match self.perform(&create()).await {
            Err(error) if error.kind.is_uncertain() => {}
            outcome => return outcome,
        }
        if self.default_permission_comes(organization, robot, role).await? {
            return Ok(());
        }
        self.perform(&create()).await
    }

    /// Whether a default permission that is under way, so far as is known, is there within a while.
    async fn default_permission_comes(
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
    /// When Quay refuses.
    pub async fn change_default_permission(
        &self,
        organization: &str,
        id: &str,
        role: Role,
    ) -> Result<(), QuayError> {
        let what = format!("change a default permission of organization {organization}");
        let call = self.api(Method::PUT, &["organization", organization, "prototypes", id], what);
        self.perform(&call.body(json!({"role": role.as_str()}))).await
    }

    /// Deletes a default permission. One that is gone is as good.
    ///
    /// # Errors
    /// When Quay refuses.
    pub async fn delete_default_permission(
        &self,
        organization: &str,
        id: &str,
    ) -> Result<(), QuayError> {
        let what = format!("delete a default permission of organization {organization}");
        let call =
            self.api(Method::DELETE, &["organization", organization, "prototypes", id], what);
        ignore_not_found(self.perform(&call).await)
    }

    /// Creates a private repository; the default permissions of this moment apply to it. One that is there already is
    /// as good.
    ///
    /// # Errors
    /// When Quay refuses.
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
        // All four are required (sample 304).
        let body = json!({"namespace": organization, "repository": repository, "visibility": "private", "description": ""});
        match self.perform(&call.body(body)).await {
            Err(error) if error.kind == ErrorKind::Exists => Ok(()),
            outcome => outcome,
        }
    }

    /// Gives a robot account a role on one repository.
    ///
    /// # Errors
    /// When Quay refuses; it answers 500 when the repository is missing (sample 376).
    pub async fn grant(
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
        let what = format!(
            "give robot account {account} {role} on repository {organization}/{repository}"
        );
        let call = self.api(Method::PUT, &path, what).body(json!({"role": role.as_str()}));
        match self.perform(&call).await {
            // Also the answer to the loser of two that give a robot account its first right at the same time; the loser
            // succeeds a moment later (sample 634e).
            Err(error) if error.status == Some(500) => self.perform(&call).await,
            outcome => outcome,
        }
    }
}

/// What is to be gone and is gone is fine.
fn ignore_not_found(outcome: Result<(), QuayError>) -> Result<(), QuayError> {
    match outcome {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn call_of(organization: &str, robot: &str) -> String {
    format!("read the token of robot account {organization}+{robot}")
}

fn token_of(robot: api_types::Robot, call: String) -> Result<SecretString, QuayError> {
    robot.token().ok_or_else(|| {
        QuayError::new(&call, ErrorKind::Forbidden, "Quay does not show it to this token's user")
    })
}
