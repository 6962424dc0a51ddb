//! Finds out which permission a token lacks: once per process, and only if an organization is missing or forbidden.

use futures::join;
use reqwest::Method;

use crate::domain::integration::QuayProblem;
use crate::quay::Quay;
use crate::quay::api::api_types;
use crate::quay::api::discovery::Features;
use crate::quay::http::error::{ErrorKind, QuayError};

#[derive(Debug)]
pub(in crate::quay) struct Diagnosis {
    /// The token's user; `None` if it could not be read.
    pub(in crate::quay) user: Option<api_types::User>,
}

impl Diagnosis {
    /// One of `GLOBAL_READONLY_SUPER_USERS`.
    pub(in crate::quay) fn is_readonly_superuser(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.global_readonly_super_user == Some(true))
    }
}

impl Quay {
    /// Adds the missing permissions of the token and its user to [`Quay::problems`], for creating and administering
    /// organizations. One to three requests the first time, then none.
    pub async fn diagnose(&self) {
        self.diagnosis().await;
    }

    /// Diagnoses a rejected creation of an organization. With FEATURE_RESTRICTED_USERS, Quay 3.12 rejects superusers too
    /// unless they are whitelisted, which only an attempt shows (`is_restricted_user` of `data/users/__init__.py`; newer
    /// releases: `wire/591`).
    pub(in crate::quay) async fn diagnose_creation(&self) {
        let (diagnosis, config) = join!(self.diagnosis(), self.config());
        let is_restricted = config.is_ok_and(|config| config.features.restricted_users);
        if let Some(user) =
            diagnosis.user.as_ref().filter(|user| is_restricted && user.super_user == Some(true))
        {
            self.record_problem(cannot_create_organizations(user));
        }
    }

    /// The outage is over: Quay accepts writes again, or answers and accepts the token. One or two requests.
    pub async fn has_recovered(&self, outage: &QuayProblem) -> bool {
        if *outage == QuayProblem::ReadOnly {
            return self.config().await.is_ok_and(|config| !config.is_readonly());
        }
        match self.whoami().await {
            Ok(_) => true,
            Err(error) => error.kind == ErrorKind::Unauthorized && self.is_token_accepted().await,
        }
    }

    pub(in crate::quay) async fn diagnosis(&self) -> &Diagnosis {
        self.0.diagnosis.get_or_init(|| self.diagnose_user()).await
    }

    async fn diagnose_user(&self) -> Diagnosis {
        let user = self.whoami().await;
        match &user {
            Ok(user) => {
                // A superuser is not subject to the features that restrict users.
                let features = match user.super_user {
                    Some(true) => Features::default(),
                    _ => self
                        .config()
                        .await
                        .map(|config| config.features.clone())
                        .unwrap_or_default(),
                };
                user_problems(user, &features)
                    .into_iter()
                    .for_each(|problem| self.record_problem(problem));
                if self.is_missing_org_admin(user).await {
                    self.record_problem(missing_scope("org:admin"));
                }
            }
            // Also the response to a valid token without the scopes user:read and user:admin (`wire/111`).
            Err(error)
                if error.kind == ErrorKind::Unauthorized && self.is_token_accepted().await =>
            {
                self.record_problem(missing_scope("user:admin"));
            }
            Err(_) => {}
        }
        Diagnosis { user: user.ok() }
    }

    /// The token's user. A 401 might be the response to a valid token (`wire/111`), so it is not recorded.
    pub(in crate::quay) async fn whoami(&self) -> Result<api_types::User, QuayError> {
        self.fetch(
            &self
                .api(Method::GET, &["user", ""], "read the token's user".into())
                .ignore_unauthorized(),
        )
        .await
    }

    /// Calls an endpoint that answers 401 to an invalid token, and 403 to a valid one without the scope.
    async fn is_token_accepted(&self) -> bool {
        let call =
            self.api(Method::GET, &["superuser", "organizations", ""], "check the token".into());
        let answer = self.perform(&call.query("limit", "1")).await;
        answer.map_or_else(|error| error.kind == ErrorKind::Forbidden, |()| true)
    }

    /// Diagnoses an organization that exists and that the token is not allowed to administer.
    pub(in crate::quay) async fn diagnose_rejection(
        &self,
        name: &str,
        view: &api_types::Organization,
    ) {
        let diagnosis = self.diagnosis().await;
        if lacks_org_admin(name, view, diagnosis.user.as_ref()) {
            self.record_problem(missing_scope("org:admin"));
        }
    }
}

/// The problems that prevent the user from creating organizations.
pub(in crate::quay) fn user_problems(
    user: &api_types::User,
    features: &Features,
) -> Vec<QuayProblem> {
    let mut problems = Vec::new();
    // Without user:admin the response has little more than the name (`wire/110`).
    if user.email.is_none() && user.is_me.is_none() {
        problems.push(missing_scope("user:admin"));
    }
    // `wire/560` to `wire/562`, `wire/590`, `wire/591`.
    if features.restricts_organization_creation() && user.super_user != Some(true) {
        problems.push(cannot_create_organizations(user));
    }
    problems
}

fn cannot_create_organizations(user: &api_types::User) -> QuayProblem {
    QuayProblem::UserLacksPermission {
        user: user.username.clone(),
        permission: "create organizations".into(),
    }
}

/// The user is an administrator of the organization, but the token lacks the scope. In Quay's responses `is_admin` and
/// `is_member` depend on the token's scopes; the list of organizations and `can_view` depend on the user's membership
/// (`endpoints/api/user.py`, `organization.py`; `wire/185`).
pub(in crate::quay) fn lacks_org_admin(
    name: &str,
    view: &api_types::Organization,
    user: Option<&api_types::User>,
) -> bool {
    let is_owner = view.teams.values().any(|team| team.role == "admin" && team.can_view);
    let is_member = user.is_some_and(|user| {
        user.organizations.iter().any(|organization| organization.name == name)
    });
    is_owner || (is_member && !view.is_member)
}

pub(in crate::quay) fn missing_scope(scope: &str) -> QuayProblem {
    QuayProblem::TokenLacksScope { scope: scope.into() }
}
