//! The pages on which a person lets an application have a token (`endpoints/web.py`, `oauth/provider.py`).
//!
//! The token comes in the fragment of a redirect; so does, with the same status, the reason why there is none. The
//! exchange of a code for a token is left out: Quay's own nginx does not let it through (061).

use axum::http::header::{AUTHORIZATION, LOCATION};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::auth::{Caller, basic};
use super::avatar::avatar;
use super::call::Call;
use super::endpoint::Endpoint;
use super::errors::{self, Answer, Rejection};
use super::flags::Release;
use super::responses::{self, HTML};
use super::roles::{Reach, TeamRole};
use super::scopes;
use super::sessions::CSRF_FIELD;
use super::state::State;
use super::tables::{Application, NewToken};

/// The authorization request, in the query of the page or in its form.
struct Wish<'a> {
    response_type: &'a str,
    client_id: &'a str,
    redirect_uri: &'a str,
    scope: &'a str,
    state: Option<&'a str>,
}

/// Answers a request to one of the pages.
pub(crate) fn answer(
    state: &mut State,
    method: &Method,
    endpoint: &Endpoint,
    mut call: Call,
) -> Response {
    let answer = state.visitor(&call.headers).and_then(|visitor| {
        call.caller = visitor;
        dispatch(state, method, endpoint, &call)
    });
    answer.unwrap_or_else(|rejection| rejection.into_response(&state.url, &call.caller))
}

fn dispatch(state: &mut State, method: &Method, endpoint: &Endpoint, call: &Call) -> Answer {
    match (endpoint, method.as_str()) {
        (Endpoint::Authorize, "GET") => ask(state, call),
        (Endpoint::AuthorizeApp, "POST") => approve(state, call),
        (Endpoint::DenyApp, "POST") => deny(state, call),
        _ => Err(Rejection::Page(StatusCode::METHOD_NOT_ALLOWED)),
    }
}

/// `GET /oauth/authorize` (wire/030-036, wire/051, wire/601): asks the person, or hands over another token straight away if the
/// application already has one that reaches as far.
fn ask(state: &mut State, call: &Call) -> Answer {
    for name in ["client_id", "redirect_uri", "scope"] {
        if call.param(name).is_none_or(str::is_empty) {
            return Ok(errors::abort(StatusCode::BAD_REQUEST, &format!("Required param: {name}")));
        }
    }
    let user = call.caller.name().ok_or(Rejection::Page(StatusCode::UNAUTHORIZED))?;
    let param = |name: &str| call.param(name).unwrap_or_default();
    let wish = Wish {
        response_type: call.param("response_type").unwrap_or("code"),
        client_id: param("client_id"),
        redirect_uri: param("redirect_uri"),
        scope: param("scope"),
        state: call.param("state"),
    };
    let application =
        state.applications.get(wish.client_id).ok_or(Rejection::Page(StatusCode::NOT_FOUND))?;
    if !state.owns(user, application) {
        return Err(Rejection::Page(StatusCode::FORBIDDEN));
    }
    if state.has_consented(user, &wish) {
        return Ok(grant(state, user, &wish));
    }
    if !state.may_redirect(&wish) {
        return Ok(redirect(&with_query(
            &application.redirect_uri,
            &[("error", "redirect_uri_mismatch")],
        )));
    }
    if scopes::parse(wish.scope).is_empty() {
        return Err(Rejection::Page(StatusCode::NOT_FOUND));
    }
    let csrf_token =
        state.session(&call.headers).map(|session| session.csrf_token.as_str()).unwrap_or_default();
    Ok(match call.param("format") {
        Some("json") => responses::ok(question(state, application, &wish, csrf_token)),
        _ => responses::text(StatusCode::OK, HTML, page(application, &wish, csrf_token)),
    })
}

/// `POST /oauth/authorizeapp` (wire/040-050, wire/055-057, wire/070-075, wire/600, wire/652, wire/659).
fn approve(state: &mut State, call: &Call) -> Answer {
    let user = call.caller.name().ok_or(Rejection::Page(StatusCode::UNAUTHORIZED))?;
    let wish = form(call);
    let is_direct = state.flags.direct_oauth_clients.contains(wish.client_id)
        && call.headers.contains_key(AUTHORIZATION);
    if !is_direct {
        state.check_csrf(call)?;
    }
    Ok(grant(state, user, &wish))
}

/// `POST /oauth/denyapp` (wire/055).
fn deny(state: &State, call: &Call) -> Answer {
    state.check_csrf(call)?;
    if call.caller.is_anonymous() {
        return Err(Rejection::Page(StatusCode::UNAUTHORIZED));
    }
    let wish = form(call);
    Ok(if state.may_redirect(&wish) {
        reject(&wish, "authorization_denied")
    } else {
        invalid_request()
    })
}

fn form(call: &Call) -> Wish<'_> {
    let field = |name: &str| call.field(name).unwrap_or_default();
    Wish {
        response_type: call.field("response_type").unwrap_or("token"),
        client_id: field("client_id"),
        redirect_uri: field("redirect_uri"),
        scope: field("scope"),
        state: call.field("state"),
    }
}

/// `get_token_response` of `data/model/oauth.py`.
fn grant(state: &mut State, user: &str, wish: &Wish) -> Response {
    if wish.response_type != "token" {
        return reject(wish, "unsupported_response_type");
    }
    let Some(application) = state.applications.get(wish.client_id) else {
        return reject(wish, "unauthorized_client");
    };
    if !state.may_redirect(wish) {
        return invalid_request();
    }
    if !state.owns(user, application) {
        return reject(wish, "unauthorized_client");
    }
    if scopes::parse(wish.scope).is_empty() {
        return reject(wish, "invalid_scope");
    }
    let token = NewToken { application: Some(wish.client_id), ..NewToken::new(user, wish.scope) };
    let lifetime_s = token.lifetime.as_secs();
    let (_, token) = state.add_token(token);
    let echoed: Vec<(&str, &str)> = [("scope", wish.scope)]
        .into_iter()
        .chain(wish.state.map(|state| ("state", state)))
        .collect();
    let target = with_query(wish.redirect_uri, &echoed);
    redirect(&format!("{target}#access_token={token}&token_type=Bearer&expires_in={lifetime_s}"))
}

/// Says why there is no token, with the status of success (wire/045-047).
fn reject(wish: &Wish, error: &str) -> Response {
    redirect(&with_query(wish.redirect_uri, &[("error", error)]))
}

fn redirect(target: &str) -> Response {
    responses::with_header(
        responses::text(StatusCode::FOUND, HTML, String::new()),
        LOCATION,
        target,
    )
}

/// The address to go back to is not one that Quay trusts (wire/042-044, wire/073-075).
fn invalid_request() -> Response {
    let body = json!({"error": "invalid_request"}).to_string();
    responses::text(StatusCode::BAD_REQUEST, "application/json;charset=UTF-8", body)
}

/// The question of `/oauth/authorize`, as JSON (wire/030).
fn question(state: &State, application: &Application, wish: &Wish, csrf_token: &str) -> Value {
    let email = state
        .organizations
        .get(&application.organization)
        .map(|found| found.email.as_str())
        .unwrap_or_default();
    let seed = application.avatar_email.as_deref().unwrap_or(email);
    let scopes = scopes::describe(&scopes::parse(wish.scope));
    json!({
        "application": {
            "avatar": avatar(&application.name, seed, "app").to_string(),
            "description": application.description,
            "name": application.name,
            "organization": {
                "avatar": avatar(&application.organization, email, "org").to_string(),
                "name": application.organization,
            },
            "url": application.application_uri,
        },
        "assignment_uuid": null,
        "client_id": wish.client_id,
        "csrf_token_val": csrf_token,
        "has_dangerous_scopes": scopes.iter().any(|scope| scope["dangerous"] == true),
        "redirect_uri": wish.redirect_uri,
        "response_type": wish.response_type,
        "scope": wish.scope,
        "scopes": scopes,
        "state": wish.state,
    })
}

/// The question of `/oauth/authorize`, for a browser (wire/031).
fn page(application: &Application, wish: &Wish, csrf_token: &str) -> String {
    let fields = [
        ("client_id", wish.client_id),
        ("redirect_uri", wish.redirect_uri),
        ("scope", wish.scope),
        ("response_type", wish.response_type),
        ("state", wish.state.unwrap_or_default()),
        ("assignment_uuid", ""),
        (CSRF_FIELD, csrf_token),
    ];
    let inputs: String = fields
        .iter()
        .map(|(name, value)| {
            format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n", escaped(value))
        })
        .collect();
    let forms: String = [("authorizeapp", "Authorize Application"), ("denyapp", "Cancel")]
        .iter()
        .map(|(action, label)| {
            format!(
                "<form method=\"post\" action=\"/oauth/{action}\">\n{inputs}<button type=\"submit\">{label}</button>\n</form>\n"
            )
        })
        .collect();
    format!(
        "<!DOCTYPE html>\n<html>\n<body>\n<h1>{}</h1>\n{forms}</body>\n</html>\n",
        escaped(&application.name)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The address with more parameters in its query (wire/050, wire/071).
fn with_query(address: &str, parameters: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let separator = if address.contains('?') { '&' } else { '?' };
    format!("{address}{separator}{}", pairs.join("&"))
}

/// As Python's `quote_plus` writes it.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            b if b.is_ascii_alphanumeric() || b"_.-~".contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

impl State {
    /// The visitor of the page: by HTTP Basic (wire/056, wire/057, wire/652), else by session. A
    /// bearer token is anonymous here.
    fn visitor(&mut self, headers: &HeaderMap) -> Result<Caller, Rejection> {
        let user = match basic(headers) {
            Ok(Some((name, password))) => self.check_password(&name, &password)?,
            _ => self.session(headers).and_then(|session| session.user.clone()),
        };
        Ok(user.map_or_else(Caller::anonymous, |user| Caller::known(&user, Reach::Full)))
    }

    /// True if the user may let the application have tokens: an administrator of its organization in person, whatever
    /// a superuser may do otherwise (wire/533, wire/600, wire/601).
    fn owns(&self, user: &str, application: &Application) -> bool {
        let organization = self.organizations.get(&application.organization);
        let is_admin = organization
            .is_some_and(|found| found.teams_of(user).any(|team| team.role == TeamRole::Admin));
        is_admin || application.organization == user
    }

    /// True if live tokens of the user's already give the application all of that (`validate_has_scopes`).
    fn has_consented(&self, user: &str, wish: &Wish) -> bool {
        let live =
            self.tokens_of(wish.client_id).filter(|token| token.user == user && token.is_valid());
        let granted = live.flat_map(|token| scopes::parse(&token.scope)).collect();
        scopes::include(&granted, &scopes::parse(wish.scope))
    }

    /// True if the redirect goes to Quay itself, under the host name it calls itself, or to an address that begins as
    /// the application's does (wire/042-044, wire/070-075). Only 3.12 lets `..` pass below it.
    fn may_redirect(&self, wish: &Wish) -> bool {
        let registered = self
            .applications
            .get(wish.client_id)
            .map(|found| found.redirect_uri.as_str())
            .unwrap_or_default();
        let climbs = wish.redirect_uri.split(['/', '?', '#']).any(|segment| segment == "..");
        let is_ours = wish.redirect_uri == format!("{}/oauth/localapp", self.url);
        let is_registered = !registered.is_empty() && wish.redirect_uri.starts_with(registered);
        is_ours || is_registered && (!climbs || self.flags.release == Release::V3_12)
    }
}
