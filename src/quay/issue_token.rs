//! From a session to an OAuth token: organization, application, token. What is there is used again.

use std::time::Duration;

use reqwest::header::LOCATION;
use reqwest::{Method, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::Quay;
use super::api_types;
use super::error::{ErrorKind, QuayError};
use super::oauth_scope::Scope;
use super::request::{Call, Credentials, QuayResponse};
use super::sign_in::{Session, of_session, throttled};
use super::web_session::WebSession;
use crate::domain::snapshot::Login;

/// The name of our tokens among those of an application.
const TOKEN_NAME: &str = "oc-quay";

/// What token is wanted, and where.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The organization that has the application.
    pub organization: String,
    /// The application's name.
    pub application: String,
    /// The application's client ID, if it is to be one that is known to be there.
    pub client_id: Option<String>,
    /// What the token is to be good for.
    pub scopes: Vec<Scope>,
    /// How long it is to live; without it as long as Quay lets it, ten years.
    pub expiry: Option<Duration>,
}

/// A token that was issued, and what was made for it.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: SecretString,
    /// What it is good for: what was wanted, but for super:user where the user is no superuser.
    pub scopes: Vec<Scope>,
    /// The application's client ID.
    pub client_id: String,
    /// The organization was made just now.
    pub organization_made: bool,
    /// The application was made just now.
    pub application_made: bool,
}

impl Session {
    /// Issues a token, by the JSON API where Quay has it (3.18 and later), else by the form that its own pages use. The
    /// organization and the application are made unless they are there; of several applications of the name the first is
    /// used (samples 019-021).
    ///
    /// # Errors
    /// When the user may not, when Quay does not take the names, or when an expiry is wanted of a Quay that only has the
    /// form ([`ErrorKind::Unsupported`], before anything is made). What was made before stays, and the next try goes on from there.
    pub async fn issue(&mut self, wanted: &TokenRequest) -> Result<IssuedToken, QuayError> {
        if wanted.expiry.is_some() {
            self.refuse_unsupported_expiry(&wanted.organization).await?;
        }
        let (client_id, organization_made, application_made) = match &wanted.client_id {
            Some(client_id) => (client_id.clone(), false, false),
            None => {
                let (known, organization_made) =
                    self.known_applications(&wanted.organization).await?;
                match named(known, &wanted.application) {
                    Some(client_id) => (client_id, organization_made, false),
                    None => (self.make_application(wanted).await?, organization_made, true),
                }
            }
        };
        let (token, scopes) = match self.issue_for(&client_id, wanted, &wanted.scopes).await {
            // The JSON API gives super:user to superusers only; the form gives it to everybody, for nothing (sample 602).
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
                (self.issue_for(&client_id, wanted, &fewer).await?, fewer)
            }
            issued => (issued?, wanted.scopes.clone()),
        };
        Ok(IssuedToken { token, scopes, client_id, organization_made, application_made })
    }

    /// Refuses an expiry at a Quay without the JSON API, which is asked for the tokens of an application that nobody has:
    /// only a Quay that does not know the path answers as one that does not (samples 113, 607).
    async fn refuse_unsupported_expiry(&mut self, organization: &str) -> Result<(), QuayError> {
        let path = ["organization", organization, "applications", "none", "tokens"];
        match self
            .fetch::<Value>(self.api(
                Method::GET,
                &path,
                "see whether a token's life can be chosen".into(),
            ))
            .await
        {
            Err(error) if is_of_a_quay_without(&error) => Err(without_expiry(error)),
            _ => Ok(()),
        }
    }

    /// The applications of an organization, which is made unless it is there; whether it was made.
    async fn known_applications(
        &mut self,
        organization: &str,
    ) -> Result<(Vec<api_types::Application>, bool), QuayError> {
        match self.applications(organization).await {
            Ok(known) => Ok((known, false)),
            // Quay says the same of an organization that is not there and of one of others (samples 206-208, 000h).
            Err(error) if matches!(error.kind, ErrorKind::Forbidden | ErrorKind::NotFound) => {
                Ok((self.make_organization(organization).await?, true))
            }
            Err(error) => Err(error),
        }
    }

    async fn applications(
        &mut self,
        organization: &str,
    ) -> Result<Vec<api_types::Application>, QuayError> {
        let what = format!("list the applications of organization {organization}");
        let found: api_types::Applications = self
            .fetch(self.api(Method::GET, &["organization", organization, "applications"], what))
            .await?;
        Ok(found.applications)
    }

    /// Makes an organization and returns its applications: none, unless an earlier try had got through or somebody was
    /// faster.
    async fn make_organization(
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
                    "{} may not create organizations in this Quay; let a superuser create it",
                    self.user
                );
            }
            _ => {}
        }
        if error.kind == ErrorKind::Exists {
            error.reason = format!(
                "the name is taken by a user, by an organization that {} may not administer, or by one that was just deleted; \
                 choose another name",
                self.user
            );
        }
        Err(error)
    }

    /// Makes an application. Each request makes another one of the same name, so after a lost answer the list tells.
    async fn make_application(&mut self, wanted: &TokenRequest) -> Result<String, QuayError> {
        match self.post_application(wanted).await {
            Err(error) if error.kind.is_uncertain() => {
                let known = self.applications(&wanted.organization).await?;
                match named(known, &wanted.application) {
                    Some(client_id) => Ok(client_id),
                    None => self.post_application(wanted).await,
                }
            }
            made => made,
        }
    }

    async fn post_application(&mut self, wanted: &TokenRequest) -> Result<String, QuayError> {
        let what = format!(
            "create application {} in organization {}",
            wanted.application, wanted.organization
        );
        let call = self
            .api(Method::POST, &["organization", &wanted.organization, "applications"], what)
            .not_repeatable();
        let body = json!({"name": wanted.application, "redirect_uri": "", "application_uri": "", "description": ""});
        let made: api_types::Application = self.fetch(call.body(body)).await?;
        Ok(made.client_id)
    }

    async fn issue_for(
        &mut self,
        client_id: &str,
        wanted: &TokenRequest,
        scopes: &[Scope],
    ) -> Result<SecretString, QuayError> {
        let what = format!(
            "issue a token of application {} in organization {}",
            wanted.application, wanted.organization
        );
        let path = ["organization", &wanted.organization, "applications", client_id, "tokens"];
        let call = self.api(Method::POST, &path, what.clone()).not_repeatable();
        let mut body = json!({"name": TOKEN_NAME, "scope": Scope::list(scopes)});
        if let Some(expiry) = wanted.expiry {
            body["expiration"] = json!(expiry.as_secs());
        }
        match self.fetch::<api_types::IssuedTokenBody>(call.body(body)).await {
            Ok(issued) => Ok(issued.token),
            Err(error) if is_of_a_quay_without(&error) => match wanted.expiry {
                Some(_) => Err(without_expiry(error)),
                None => {
                    let call = self.quay.form(what, Credentials::Nobody);
                    self.quay
                        .authorize(call, &self.visit, client_id, scopes)
                        .await
                        .map_err(of_session)
                }
            },
            Err(error) if error.kind == ErrorKind::NotFound => Err(QuayError {
                reason: format!(
                    "there is no application {client_id} in organization {}",
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
    /// Issues one token to who knows user name and password, without a session: for a Quay that takes passwords nowhere
    /// else (samples 057, 652). The application has to be there.
    ///
    /// # Errors
    /// As with [`Quay::sign_in`]; also when there is no such application, or the user may not administer its organization.
    pub async fn issue_with_password(
        &self,
        user: &str,
        password: &SecretString,
        client_id: &str,
        scopes: &[Scope],
    ) -> Result<SecretString, QuayError> {
        let visit = self.visit().await?;
        let login = Login { username: user.to_owned(), password: password.clone() };
        let call = self.form(format!("issue a token to {user}"), Credentials::Login(login));
        self.authorize(call, &visit, client_id, scopes).await.map_err(|error| match error.kind {
            ErrorKind::Unauthorized => QuayError {
                reason: "Quay does not accept the user name or the password".into(),
                kind: ErrorKind::WrongPassword,
                ..error
            },
            _ => error,
        })
    }

    fn form(&self, what: String, credentials: Credentials) -> Call {
        Call::new(Method::POST, self.address(&["oauth", "authorizeapp"], &[]), credentials, what)
    }

    /// Fills in the form by which a person lets an application act for them (sample 048).
    async fn authorize(
        &self,
        call: Call,
        visit: &WebSession,
        client_id: &str,
        scopes: &[Scope],
    ) -> Result<SecretString, QuayError> {
        let redirect = self.local_oauth_handler().await;
        let fields = vec![
            ("response_type", "token".to_owned()),
            ("client_id", client_id.to_owned()),
            ("redirect_uri", redirect.clone()),
            ("scope", Scope::list(scopes)),
            ("_csrf_token", visit.csrf()),
        ];
        let call = visit.attach_csrf(call).form(fields).never_repeated();
        let answer = self.exchange(&call, &self.0.api).await.map_err(|error| {
            match error.kind.is_uncertain() {
                true => mark_uncertain(error),
                false => error,
            }
        })?;
        throttled(call.what(), &answer)
            .map_or_else(|| read_authorization(call.what(), &answer, &redirect, client_id), Err)
    }
}

fn without_expiry(error: QuayError) -> QuayError {
    let reason = "this Quay only issues tokens that live ten years; leave the expiry out (Quay 3.18 and later can do it)";
    QuayError { reason: reason.into(), kind: ErrorKind::Unsupported, ..error }
}

/// Whether an answer is of a Quay that issues tokens by the form alone (`VERSIONS.md`; 404 and 308 are what it says of
/// any path that it does not know, samples 113, 607). A 404 in Quay's own words is about the application.
fn is_of_a_quay_without(error: &QuayError) -> bool {
    error.kind != ErrorKind::NotFound && matches!(error.status, Some(308 | 404 | 405 | 500))
}

fn mark_uncertain(error: QuayError) -> QuayError {
    QuayError {
        reason: format!(
            "{}; the application in Quay's pages shows whether there is a token",
            error.reason
        ),
        ..error
    }
}

fn named(applications: Vec<api_types::Application>, name: &str) -> Option<String> {
    applications
        .into_iter()
        .find(|application| application.name == name)
        .map(|application| application.client_id)
}

/// Reads what the form leads to. It is a redirect for better and for worse: only the address tells (samples 045-048).
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
        let error = QuayError::refused(call, answer.status, &answer.body);
        if answer.status == StatusCode::BAD_REQUEST && error.reason.contains("invalid_request") {
            let reason = format!(
                "Quay does not know {redirect} as an address of its own; use the one in its SERVER_HOSTNAME"
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
                "there is no application {client_id}, or the user may not administer its organization"
            ),
        ),
        Some("invalid_scope") => {
            failed(ErrorKind::Unexpected, "Quay does not know one of the scopes".into())
        }
        Some(_) => {
            failed(ErrorKind::Unexpected, "Quay refuses for a reason that is not known here".into())
        }
        None => failed(
            ErrorKind::Unexpected,
            "Quay leads elsewhere instead of answering with a token".into(),
        ),
    }
}
