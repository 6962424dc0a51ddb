//! Who gets in, and with what: users and their passwords, applications and their tokens, sessions.

use std::time::Duration;

use jiff::Timestamp;

use crate::quay::Quay;
use crate::quay::records::{NewToken, Token};
use crate::quay::scopes;

/// An OAuth application as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationView {
    /// What the API calls it.
    pub client_id: String,
    /// What people call it; not unique.
    pub name: String,
    /// Where tokens may be sent besides Quay itself; empty for nowhere.
    pub redirect_uri: String,
    /// Its tokens, valid or not, in the order they were made.
    pub tokens: Vec<TokenView>,
}

/// A token of an application as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenView {
    /// The secret itself.
    pub token: String,
    /// What the API calls it.
    pub uuid: String,
    /// Its name, if it was made by the JSON API.
    pub name: Option<String>,
    /// The user it acts as.
    pub user: String,
    /// Its scopes as they were asked for.
    pub scope: String,
    /// When it ends.
    pub expires: Timestamp,
}

impl Quay {
    /// A user with the address `<name>@example.com`.
    pub fn add_user(&self, name: &str, superuser: bool) {
        self.state().add_user(name, superuser);
    }

    /// The user's password, to sign in and after `docker login`, if there is such a user.
    pub fn password(&self, user: &str) -> Option<String> {
        self.state().users.get(user).map(|user| user.password.clone())
    }

    /// How often the user's password has been wrong since it was last right.
    pub fn wrong_passwords(&self, user: &str) -> Option<u32> {
        self.state().users.get(user).map(|user| user.wrong_passwords)
    }

    /// From now on and for so long nobody signs in as this user, as after many wrong passwords.
    pub fn throttle(&self, user: &str, wait: Duration) {
        if let Some(user) = self.state().users.get_mut(user) {
            user.retry_at = Some(Timestamp::now() + wait);
        }
    }

    /// How many sessions of the user are open.
    pub fn open_sessions(&self, user: &str) -> usize {
        self.state().sessions.values().filter(|session| session.user.as_deref() == Some(user)).count()
    }

    /// Ends every session, signed in or not, as a restart with another key does.
    pub fn end_sessions(&self) {
        self.state().sessions.clear();
    }

    /// A new OAuth token of the user with exactly these scopes.
    pub fn add_token(&self, user: &str, scopes: &[&str]) -> String {
        self.state().add_token(NewToken::of(user, &scopes.join(" "))).1
    }

    /// A new OAuth token of the user with every scope there is.
    pub fn add_full_token(&self, user: &str) -> String {
        self.state().add_token(NewToken::of(user, scopes::ALL)).1
    }

    /// An OAuth application of an organization; returns its client id.
    pub fn add_application(&self, organization: &str, name: &str, redirect_uri: &str) -> String {
        self.state().add_application(organization, name, redirect_uri)
    }

    /// A new token of an application for the user, of every scope there is and with this lifetime.
    pub fn add_application_token(&self, client_id: &str, user: &str, lifetime: Duration) -> String {
        let token = NewToken { lifetime, application: Some(client_id), ..NewToken::of(user, scopes::ALL) };
        self.state().add_token(token).1
    }

    /// Takes an application away with its tokens.
    pub fn delete_application(&self, client_id: &str) {
        self.state().delete_application(client_id);
    }

    /// The applications of an organization, in the order they were created.
    pub fn applications(&self, organization: &str) -> Vec<ApplicationView> {
        let state = self.state();
        let found = state.applications_of(organization).into_iter();
        found
            .map(|(client_id, application)| {
                let mut tokens: Vec<(&String, &Token)> =
                    state.tokens.iter().filter(|(_, token)| token.application.as_ref() == Some(client_id)).collect();
                tokens.sort_by_key(|(_, token)| token.id);
                ApplicationView {
                    client_id: client_id.clone(),
                    name: application.name.clone(),
                    redirect_uri: application.redirect_uri.clone(),
                    tokens: tokens.into_iter().map(|(text, token)| view(text, token)).collect(),
                }
            })
            .collect()
    }

    /// From now on no token that exists is valid any more.
    pub fn expire_tokens(&self) {
        for token in self.state().tokens.values_mut() {
            token.expires = Timestamp::now();
        }
    }

    /// Every secret this Quay has ever known, valid or not: passwords, session cookies, CSRF tokens, OAuth tokens,
    /// client secrets and robots' tokens. None of them is for anybody's eyes.
    pub fn secrets(&self) -> Vec<String> {
        self.state().secrets.iter().cloned().collect()
    }
}

fn view(text: &str, token: &Token) -> TokenView {
    TokenView {
        token: text.to_owned(),
        uuid: token.uuid.clone(),
        name: token.name.clone(),
        user: token.user.clone(),
        scope: token.scope.clone(),
        expires: token.expires,
    }
}
