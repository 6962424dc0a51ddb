//! The tokens of an application as JSON, since 3.18 (`endpoints/api/organization_application_tokens.py`).

use std::cmp::Reverse;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::applications::{require_administer, require_inspect};
use super::auth::Caller;
use super::call::Call;
use super::errors::{Answer, Rejection};
use super::responses;
use super::schema::{Kind, Schema};
use super::scopes;
use super::state::State;
use super::tables::{NewToken, Token};

const NEW: Schema = Schema {
    description: "Description of a new OAuth API token. Duplicate names are allowed within an application.",
    required: &["name", "scope"],
    properties: &[
        ("name", Kind::TextAtMost(255)),
        ("scope", Kind::Text),
        ("expiration", Kind::Positive),
    ],
};

/// `GET /api/v1/organization/<org>/applications/<client id>/tokens` (wire/084): the newest first, however they were made.
pub(crate) fn list(state: &State, call: &Call, organization: &str, client_id: &str) -> Answer {
    require_inspect(state, call, organization)?;
    state.application(organization, client_id)?;
    let mut tokens: Vec<&Token> = state.tokens_of(client_id).collect();
    tokens.sort_by_key(|token| Reverse(token.id));
    let views: Vec<Value> = tokens.into_iter().map(view).collect();
    Ok(responses::ok(json!({"tokens": views})))
}

/// `POST /api/v1/organization/<org>/applications/<client id>/tokens` (wire/080-083, wire/085, wire/665).
pub(crate) fn create(
    state: &mut State,
    call: &Call,
    organization: &str,
    client_id: &str,
) -> Answer {
    let body = call.json(&NEW)?;
    require_administer(state, call, organization)?;
    state.application(organization, client_id)?;
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let name = text("name").trim();
    if name.is_empty() {
        return Err(Rejection::Model("'name' cannot be empty".to_owned()));
    }
    let scope = text("scope").replace(',', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    if scopes::parse(&scope).is_empty() {
        return Err(Rejection::Model(format!("Invalid scope: {}", text("scope"))));
    }
    if !may_mint(state, &call.caller, &scope) {
        return Err(Rejection::Unauthorized);
    }
    if let Some(most) = state.flags.max_application_tokens
        && state.tokens_of(client_id).filter(|token| token.is_valid()).count() >= most
    {
        return Err(Rejection::Model(format!(
            "Token limit reached: maximum {most} non-expired tokens per application"
        )));
    }
    let mut token = NewToken::new(call.caller.name().unwrap_or_default(), &scope);
    (token.application, token.name) = (Some(client_id), Some(name));
    if let Some(seconds) = body["expiration"].as_f64() {
        token.lifetime = token
            .lifetime
            .min(Duration::try_from_secs_f64(seconds.trunc()).unwrap_or(Duration::MAX));
    }
    let (token, secret) = state.add_token(token);
    let mut view = view(token);
    view["token"] = json!(secret);
    Ok(responses::ok(view))
}

/// `DELETE /api/v1/organization/<org>/applications/<client id>/tokens/<uuid>` (wire/086, wire/087).
pub(crate) fn revoke(
    state: &mut State,
    call: &Call,
    organization: &str,
    client_id: &str,
    uuid: &str,
) -> Answer {
    require_administer(state, call, organization)?;
    state.application(organization, client_id)?;
    let before = state.tokens.len();
    state
        .tokens
        .retain(|_, token| token.application.as_deref() != Some(client_id) || token.uuid != uuid);
    if state.tokens.len() < before { Ok(responses::no_content()) } else { Err(Rejection::NotFound) }
}

/// Unlike the authorization form (wire/602), which grants anything, this grants users no more than they have: a token no scope
/// it lacks itself, and `super:user` only to a superuser (`_can_mint_scope`).
fn may_mint(state: &State, caller: &Caller, scope: &str) -> bool {
    let wanted = scopes::parse(scope);
    let within_token = caller.scopes().is_none_or(|own| scopes::include(own, &wanted));
    within_token && (!wanted.contains("super:user") || state.is_superuser(caller))
}

fn view(token: &Token) -> Value {
    let date = |when: Timestamp| when.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    json!({
        "uuid": token.uuid,
        "name": token.name,
        "scope": token.scope,
        "expires_at": date(token.expires),
        "created": date(token.created),
        "created_by": token.user,
        "last_accessed": null,
    })
}
