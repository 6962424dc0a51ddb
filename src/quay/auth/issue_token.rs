//! Issues an OAuth token in a session. An existing organization or application is used again.

use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::{Method, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::domain::snapshot::RegistryCredentials;
use crate::quay::Quay;
use crate::quay::api::api_types;
use crate::quay::auth::oauth_scope::Scope;
use crate::quay::auth::sign_in::{Session, WRONG_PASSWORD, map_session_error, throttled};
use crate::quay::auth::web_session::WebSession;
use crate::quay::http::error::{ErrorKind, QuayError};
use crate::quay::http::request::{Auth, Call, QuayResponse};

/// The name of the tokens in Quay's list.
const TOKEN_NAME: &str = "oc-quay";

/// The token to issue.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The organization of the application.
    pub organization: String,
    /// The name of the application.
    pub application: String,
    /// The client ID of an existing application.
    pub client_id: Option<String>,
    /// The requested scopes.
    pub scopes: Vec<Scope>,
    /// The lifetime; without it Quay's maximum of ten years.
    pub expiry: Option<Duration>,
}

/// An issued token, and the objects that were created for it.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: SecretString,
    /// The requested scopes, without super:user if the user is not a superuser.
    pub scopes: Vec<Scope>,
    /// The client ID of the application.
    pub client_id: String,
    /// The organization did not exist.
    pub organization_created: bool,
    /// The application did not exist.
    pub application_created: bool,
}

impl Session {
    /// Issues a token, with the JSON API of Quay 3.18 and later, otherwise with the form of Quay's UI. Creates the
    /// organization and the application if they do not exist; uses the first of several applications with the name
    /// (`wire/019` to `wire/021`).
    ///
    /// # Errors
    /// Missing permission, invalid names, or an expiry without the JSON API ([`ErrorKind::Unsupported`], before anything is
    /// created). Objects that were created before the error are kept, and used by the next attempt.
    pub async fn issue(&mut self, wanted: &TokenRequest) -> Result<IssuedToken, QuayError> {
        if wanted.expiry.is_some() {
            self.check_expiry_support(&wanted.organization).await?;
        }
        let (client_id, organization_created, application_created) = match &wanted.client_id {
            Some(client_id) => (client_id.clone(), false, false),
            None => {
                let (known, organization_created) =
                    self.applications_or_create(&wanted.organization).await?;
                match client_id_of(known, &wanted.application) {
                    Some(client_id) => (client_id, organization_created, false),
                    None => (self.create_application(wanted).await?, organization_created, true),
                }
            }
        };
        let (token, scopes) =
            match self.issue_for_application(&client_id, wanted, &wanted.scopes).await {
                // The JSON API gives super:user only to superusers; the form gives it to all users, without effect (`wire/602`).
                Err(error)
                    if error.kind == ErrorKind::Forbidden
                        && wanted.scopes.contains(&Scope::SuperUser) =>
                {
                    let fewer: Vec<Scope> = wanted
                        .scopes
                        .iter()
                        .copied()
                        .filter(|scope| *scope != Scope::SuperUser)
                        .collect();
                    (self.issue_for_application(&client_id, wanted, &fewer).await?, fewer)
                }
                issued => (issued?, wanted.scopes.clone()),
            };
        Ok(IssuedToken { token, scopes, client_id, organization_created, application_created })
    }

    /// Fails if Quay does not have the JSON API, which lists the tokens of an application that does not exist: the response to
    /// an unknown path differs from that to an unknown application (`wire/113`, `wire/607`).
    async fn check_expiry_support(&mut self, organization: &str) -> Result<(), QuayError> {
        let path = ["organization", organization, "applications", "none", "tokens"];
        match self
            .fetch::<Value>(self.api(Method::GET, &path, "check support for token expiry".into()))
            .await
        {
            Err(error) if is_missing_token_api(&error) => Err(expiry_unsupported(error)),
            _ => Ok(()),
        }
    }

    /// The applications of an organization, and whether it was created.
    async fn applications_or_create(
        &mut self,
        organization: &str,
    ) -> Result<(Vec<api_types::Application>, bool), QuayError> {
        match self.applications(organization).await {
            Ok(known) => Ok((known, false)),
            // Quay rejects a missing organization like one of others (`wire/206` to `wire/208`, `wire/000h`).
            Err(error) if matches!(error.kind, ErrorKind::Forbidden | ErrorKind::NotFound) => {
                Ok((self.create_organization(organization).await?, true))
            }
            Err(error) => Err(error),
        }
    }

    async fn applications(
        &mut self,
        organization: &str,
    ) -> Result<Vec<api_types::Application>, QuayError> {
        let action = format!("list the applications of organization {organization}");
        let found: api_types::Applications = self
            .fetch(self.api(Method::GET, &["organization", organization, "applications"], action))
            .await?;
        Ok(found.applications)
    }

    /// Creates an organization and returns its applications: none, unless another run or an earlier attempt created it.
    async fn create_organization(
        &mut self,
        name: &str,
    ) -> Result<Vec<api_types::Application>, QuayError> {
        let call =
            self.api(Method::POST, &["organization", ""], format!("create organization {name}"));
        let Err(mut error) = self.fetch::<Value>(call.body(json!({"name": name}))).await else {
            return Ok(vec![]);
        };
        match error.kind {
            kind if kind == ErrorKind::Exists || kind.is_uncertain() => {
                if let Ok(known) = self.applications(name).await {
                    return Ok(known);
                }
            }
            ErrorKind::Forbidden => {
                error.reason = format!(
                    "{} is not allowed to create organizations in this Quay; ask a superuser to create it",
                    self.user
                );
            }
            _ => {}
        }
        if error.kind == ErrorKind::Exists {
            error.reason = format!(
                "the name is used by a user, by an organization that {} is not allowed to administer, or by one that was \
                 deleted moments ago; choose another name",
                self.user
            );
        }
        Err(error)
    }

    /// Each request creates another application of the same name, so after a lost response the list is read first.
    async fn create_application(&mut self, wanted: &TokenRequest) -> Result<String, QuayError> {
        match self.post_application(wanted).await {
            Err(error) if error.kind.is_uncertain() => {
                let known = self.applications(&wanted.organization).await?;
                match client_id_of(known, &wanted.application) {
                    Some(client_id) => Ok(client_id),
                    None => self.post_application(wanted).await,
                }
            }
            created => created,
        }
    }

    async fn post_application(&mut self, wanted: &TokenRequest) -> Result<String, QuayError> {
        let action = format!(
            "create application {} in organization {}",
            wanted.application, wanted.organization
        );
        let call = self
            .api(Method::POST, &["organization", &wanted.organization, "applications"], action)
            .not_idempotent();
        let body = json!({"name": wanted.application, "redirect_uri": "", "application_uri": "", "description": ""});
        let created: api_types::Application = self.fetch(call.body(body)).await?;
        Ok(created.client_id)
    }

    async fn issue_for_application(
        &mut self,
        client_id: &str,
        wanted: &TokenRequest,
        scopes: &[Scope],
    ) -> Result<SecretString, QuayError> {
        let action = format!(
            "issue a token of application {} in organization {}",
            wanted.application, wanted.organization
        );
        let path = ["organization", &wanted.organization, "applications", client_id, "tokens"];
        let call = self.api(Method::POST, &path, action.clone()).not_idempotent();
        let mut body = json!({"name": TOKEN_NAME, "scope": Scope::join(scopes)});
        if let Some(expiry) = wanted.expiry {
            body["expiration"] = json!(expiry.as_secs());
        }
        match self.fetch::<api_types::IssuedTokenBody>(call.body(body)).await {
            Ok(issued) => Ok(issued.token),
            Err(error) if is_missing_token_api(&error) => match wanted.expiry {
                Some(_) => Err(expiry_unsupported(error)),
                None => {
                    let call = self.quay.form(action, Auth::Anonymous);
                    self.quay
                        .authorize(call, &self.web_session, client_id, scopes)
                        .await
                        .map_err(map_session_error)
                }
            },
            Err(error) if error.kind == ErrorKind::NotFound => Err(QuayError {
                reason: format!(
                    "no application {client_id} in organization {}",
                    wanted.organization
                ),
                ..error
            }),
            Err(error) if error.kind.is_uncertain() => Err(mark_uncertain(error)),
            Err(error) => Err(error),
        }
    }
}

impl Quay {
    /// Issues a token with user name and password, without a session: for a Quay with FEATURE_DIRECT_LOGIN off, which
    /// accepts passwords only here (`wire/057`, `wire/652`). The application must exist.
    ///
    /// # Errors
    /// As [`Quay::sign_in`], or no such application, or no permission to administer its organization.
    pub async fn issue_with_password(
        &self,
        user: &str,
        password: &SecretString,
        client_id: &str,
        scopes: &[Scope],
    ) -> Result<SecretString, QuayError> {
        let web_session = self.start_web_session().await?;
        let credentials =
            RegistryCredentials { username: user.to_owned(), password: password.clone() };
        let call = self.form(format!("issue a token to {user}"), Auth::Basic(credentials));
        self.authorize(call, &web_session, client_id, scopes).await.map_err(|error| {
            match error.kind {
                ErrorKind::Unauthorized => QuayError {
                    reason: WRONG_PASSWORD.into(),
                    kind: ErrorKind::WrongPassword,
                    ..error
                },
                _ => error,
            }
        })
    }

    fn form(&self, action: String, auth: Auth) -> Call {
        Call::new(Method::POST, self.endpoint(&["oauth", "authorizeapp"], &[]), auth, action)
    }

    /// Submits the form that authorizes an application (`wire/048`).
    async fn authorize(
        &self,
        call: Call,
        web_session: &WebSession,
        client_id: &str,
        scopes: &[Scope],
    ) -> Result<SecretString, QuayError> {
        let redirect = self.local_oauth_handler().await;
        let fields = vec![
            ("response_type", "token".to_owned()),
            ("client_id", client_id.to_owned()),
            ("redirect_uri", redirect.clone()),
            ("scope", Scope::join(scopes)),
            ("_csrf_token", web_session.csrf()),
        ];
        let call = web_session.attach_csrf(call).form(fields).without_retry();
        let answer = self.exchange(&call, &self.0.api).await.map_err(|error| {
            match error.kind.is_uncertain() {
                true => mark_uncertain(error),
                false => error,
            }
        })?;
        throttled(call.action(), &answer)
            .map_or_else(|| read_authorization(call.action(), &answer, &redirect, client_id), Err)
    }
}

fn expiry_unsupported(error: QuayError) -> QuayError {
    let reason = "tokens of this Quay expire after ten years; another expiry requires Quay 3.18";
    QuayError { reason: reason.into(), kind: ErrorKind::Unsupported, ..error }
}

/// The response of a Quay without the JSON API for tokens (`wire/VERSIONS.md`). 404 and 308 are the responses to any unknown
/// path (`wire/113`, `wire/607`); a 404 with a message is about the application.
fn is_missing_token_api(error: &QuayError) -> bool {
    error.kind != ErrorKind::NotFound && matches!(error.status, Some(308 | 404 | 405 | 500))
}

fn mark_uncertain(error: QuayError) -> QuayError {
    QuayError {
        reason: format!("{}; check the tokens of the application in the Quay UI", error.reason),
        ..error
    }
}

fn client_id_of(applications: Vec<api_types::Application>, name: &str) -> Option<String> {
    applications
        .into_iter()
        .find(|application| application.name == name)
        .map(|application| application.client_id)
}

/// Success and failure of the form are both redirects; only the URL differs (`wire/045` to `wire/048`).
fn read_authorization(
    call: &str,
    answer: &QuayResponse,
    redirect: &str,
    client_id: &str,
) -> Result<SecretString, QuayError> {
    let failed = |kind, reason: String| {
        Err(QuayError {
            status: Some(answer.status.as_u16()),
            ..QuayError::new(call, kind, reason)
        })
    };
    if !matches!(answer.status, StatusCode::FOUND | StatusCode::SEE_OTHER) {
        let error = QuayError::from_response(call, answer.status, &answer.body);
        if answer.status == StatusCode::BAD_REQUEST && error.reason.contains("invalid_request") {
            let reason = format!(
                "Quay rejected the redirect to {redirect}; use the address in its SERVER_HOSTNAME"
            );
            return failed(ErrorKind::Unexpected, reason);
        }
        return Err(error);
    }
    let location =
        answer.headers.get(LOCATION).and_then(|location| Url::parse(location.to_str().ok()?).ok());
    let field = |text: Option<&str>, name: &str| {
        let mut fields = form_urlencoded::parse(text.unwrap_or_default().as_bytes());
        fields.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let fragment = location.as_ref().and_then(Url::fragment);
    if let Some(token) = field(fragment, "access_token").filter(|token| !token.is_empty()) {
        return Ok(SecretString::from(token));
    }
    match field(location.as_ref().and_then(Url::query), "error").as_deref() {
        Some("unauthorized_client") => failed(
            ErrorKind::Forbidden,
            format!(
                "no application {client_id}, or the user is not allowed to administer its organization"
            ),
        ),
        Some("invalid_scope") => {
            failed(ErrorKind::Unexpected, "Quay rejected one of the scopes".into())
        }
        Some(_) => failed(ErrorKind::Unexpected, "unexpected error from Quay".into()),
        None => failed(
            ErrorKind::Unexpected,
            "Quay redirected to an unexpected URL instead of returning a token".into(),
        ),
    }
}
