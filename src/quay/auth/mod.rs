//! Sign-in, OAuth applications, tokens and their scopes.

pub(in crate::quay) mod issue_token;
pub(in crate::quay) mod oauth_scope;
pub(in crate::quay) mod sign_in;
pub(in crate::quay) mod web_session;
