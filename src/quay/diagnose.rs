//! Why the token may not: asked once per process, and only when an organization is missing or refused.

use futures::join;
use reqwest::Method;

use super::Quay;
use super::api_types;
use super::discovery::Features;
use super::error::{ErrorKind, QuayError};
use crate::domain::integration::QuayProblem;

/// What is known about the token's user.
#[derive(Debug)]
pub(super) struct Diagnosis {
    /// None if the user could not be read.
    pub(super) user: Option<api_types::User>,
}

impl Diagnosis {
    /// One of `GLOBAL_READONLY_SUPER_USERS`.
    pub(super) fn is_readonly_superuser(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.global_readonly_super_user == Some(true))
    }
}

impl Quay {
    /// Finds out what the token and its user lack for creating and administering organizations, for
    /// [`Quay::troubles`]. Costs one to three calls the first time, then none.
    pub async fn diagnose(&self) {
        self.diagnosis().await;
    }

    /// The same after an organization was not allowed to be created. Quay 3.12 refuses superusers too while users are
    /// restricted, unless its whitelist names them, which only a try shows (`is_restricted_user` of
    /// `data/users/__init__.py`; newer releases: sample 591).
    pub(super) async fn diagnose_creation(&self) {
        let (diagnosis, config) = join!(self.diagnosis(), self.config());
        let is_restricted = config.is_ok_and(|config| config.features.restricted_users);
        if let Some(user) =
            diagnosis.user.as_ref().filter(|user| is_restricted && user.super_user == Some(true))
        {
            self.learn(may_not_create_organizations(user));
        }
    }

    /// Whether an outage is over: Quay takes writes again, or answers and accepts the token. Costs a call, or two.
    pub async fn is_over(&self, outage: &QuayProblem) -> bool {
        if *outage == QuayProblem::ReadOnly {
            return self.config().await.is_ok_and(|config| !config.is_readonly());
        }
        match self.whoami().await {
            Ok(_) => true,
            Err(error) => error.kind == ErrorKind::Unauthorized && self.is_token_accepted().await,
        }
    }

    pub(super) async fn diagnosis(&self) -> &Diagnosis {
        self.0.diagnosis.get_or_init(|| self.examine()).await
    }

    async fn examine(&self) -> Diagnosis {
        let user = self.whoami().await;
        match &user {
            Ok(user) => {
                // What this Quay keeps to superusers does not matter to one.
                let features = match user.super_user {
                    Some(true) => Features::default(),
                    _ => self
                        .config()
                        .await
                        .map(|config| config.features.clone())
                        .unwrap_or_default(),
                };
                user_troubles(user, &features).into_iter().for_each(|trouble| self.learn(trouble));
                if self.keeps_org_admin_back(user).await {
                    self.learn(lacks("org:admin"));
                }
            }
            // Also the answer to a good token without either of the scopes user:read and user:admin (sample 111).
            Err(error)
                if error.kind == ErrorKind::Unauthorized && self.is_token_accepted().await =>
            {
                self.learn(lacks("user:admin"));
            }
            Err(_) => {}
        }
        Diagnosis { user: user.ok() }
    }

    /// The token's user. A 401 may also be the answer to a good token (sample 111), so nothing is learnt from it.
    pub(super) async fn whoami(&self) -> Result<api_types::User, QuayError> {
        self.fetch(
            &self
                .api(Method::GET, &["user", ""], "read the token's user".into())
                .ignore_unauthorized(),
        )
        .await
    }

    /// Asks for what needs a token, but no scope to be told so: 401 is for a bad token, 403 for a good one.
    async fn is_token_accepted(&self) -> bool {
        let call =
            self.api(Method::GET, &["superuser", "organizations", ""], "check the token".into());
        let answer = self.perform(&call.query("limit", "1")).await;
        answer.map_or_else(|error| error.kind == ErrorKind::Forbidden, |()| true)
    }

    /// Finds out why an organization that exists may not be administered.
    pub(super) async fn diagnose_refusal(&self, name: &str, view: &api_types::Organization) {
        let diagnosis = self.diagnosis().await;
        if lacks_org_admin(name, view, diagnosis.user.as_ref()) {
            self.learn(lacks("org:admin"));
        }
    }
}

/// What stands in the way of creating organizations.
pub(super) fn user_troubles(user: &api_types::User, features: &Features) -> Vec<QuayProblem> {
    let mut troubles = Vec::new();
    // Without user:admin the answer holds little more than the name (sample 110).
    if user.email.is_none() && user.is_me.is_none() {
        troubles.push(lacks("user:admin"));
    }
    // Samples 560-562, 590, 591.
    if features.keeps_organizations_to_superusers() && user.super_user != Some(true) {
        troubles.push(may_not_create_organizations(user));
    }
    troubles
}

fn may_not_create_organizations(user: &api_types::User) -> QuayProblem {
    QuayProblem::UserLacksRight {
        user: user.username.clone(),
        right: "create organizations".into(),
    }
}

/// Whether the user may administer the organization and just the token may not. Quay answers `is_admin` and
/// `is_member` by what the token may, but lists a user's organizations and the teams she may look into by her
/// membership (`endpoints/api/user.py`, `organization.py`; sample 185).
pub(super) fn lacks_org_admin(
    name: &str,
    view: &api_types::Organization,
    user: Option<&api_types::User>,
) -> bool {
    let is_owner = view.teams.values().any(|team| team.role == "admin" && team.can_view);
    let belongs = user.is_some_and(|user| {
        user.organizations.iter().any(|organization| organization.name == name)
    });
    is_owner || (belongs && !view.is_member)
}

pub(super) fn lacks(scope: &str) -> QuayProblem {
    QuayProblem::TokenLacksScope { scope: scope.into() }
}
