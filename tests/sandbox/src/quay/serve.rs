//! From a request to its answer: the checks every API request passes, in Quay's order, then its endpoint.

use axum::body::{Body, Bytes};
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;

use super::auth::Caller;
use super::call::Call;
use super::endpoint::Endpoint;
use super::errors::{self, Answer, Rejection};
use super::flags::Release;
use super::state::State;
use super::{
    application_tokens, applications, initialize, oauth, organizations, permissions, prototypes,
    public, registry, repositories, robots, sessions, superuser, teams, users,
};

/// The longest request line that Quay's web server takes, gunicorn's default of `limit_request_line`.
const LONGEST_REQUEST_LINE: usize = 4094;

/// Answers one request.
pub(crate) fn answer(
    state: &mut State,
    method: &Method,
    uri: &Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // The proxy in front of it speaks HTTP/1.0 to it.
    let request_line = format!("{method} {uri} HTTP/1.0").len();
    if request_line > LONGEST_REQUEST_LINE {
        return errors::request_line_too_large(request_line, LONGEST_REQUEST_LINE);
    }
    // HEAD is GET without the body, for every endpoint.
    if method == Method::HEAD {
        return answer(state, &Method::GET, uri, headers, body).map(|_| Body::empty());
    }
    let endpoint = Endpoint::parse(uri.path()).filter(|endpoint| endpoint.exists(&state.flags));
    match endpoint {
        Some(Endpoint::Health) => public::health(state),
        Some(Endpoint::Config) => public::config(state),
        Some(Endpoint::Csrf) if method == Method::GET => sessions::csrf_token(state, &headers),
        Some(Endpoint::Csrf) => errors::page_takes_no_writes(),
        Some(endpoint @ (Endpoint::Authorize | Endpoint::AuthorizeApp | Endpoint::DenyApp)) => {
            oauth::answer(
                state,
                method,
                &endpoint,
                Call::new(Caller::anonymous(), uri, headers, body),
            )
        }
        endpoint if uri.path().starts_with("/v2/") => {
            let call = Call::new(Caller::anonymous(), uri, headers, body);
            registry::answer(state, method, endpoint.as_ref(), &call)
        }
        Some(endpoint) => api(state, method, uri, &endpoint, headers, body),
        None if uri.path().starts_with("/api/") => unknown(state, method, uri.path()),
        None if method == Method::GET => public::page(),
        None => errors::page_takes_no_writes(),
    }
}

/// A path under `/api` without an endpoint belongs to the web pages.
fn unknown(state: &State, method: &Method, path: &str) -> Response {
    let lacks_slash = !path.ends_with('/');
    if lacks_slash && (method == Method::GET || Endpoint::parse(&format!("{path}/")).is_some()) {
        errors::redirect_to_slash(&state.url, path)
    } else if method == Method::GET {
        errors::page_not_found()
    } else if state.flags.release == Release::V3_12 {
        errors::crash()
    } else {
        errors::page_takes_no_writes()
    }
}

fn api(
    state: &mut State,
    method: &Method,
    uri: &Uri,
    endpoint: &Endpoint,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let caller = state.caller(&headers);
    let call = Call::new(caller, uri, headers, body);
    let answer = admit(state, method, endpoint, &call)
        .and_then(|()| dispatch(state, method, endpoint, &call));
    match answer {
        // No endpoint reads here, so the address belongs to the web pages after all.
        Err(Rejection::Message(StatusCode::METHOD_NOT_ALLOWED, _)) if method == Method::GET => {
            unknown(state, method, uri.path())
        }
        answer => {
            answer.unwrap_or_else(|rejection| rejection.into_response(&state.url, &call.caller))
        }
    }
}

/// The checks before every endpoint: browsers (wire/090-092), cross-site requests, which only a valid token is exempt from,
/// so that a write with an expired one fails here (wire/105, wire/106, wire/109), read-only mode (wire/647), and anonymous access (640,
/// 641, 645). The first user is made without any of them.
fn admit(
    state: &State,
    method: &Method,
    endpoint: &Endpoint,
    call: &Call,
) -> Result<(), Rejection> {
    if *endpoint == Endpoint::Initialize {
        return Ok(());
    }
    let reads = method == Method::GET;
    if reads && state.flags.xhr_only && is_browser(&call.headers) && !is_xhr(&call.headers) {
        return Err(Rejection::Abort(
            StatusCode::BAD_REQUEST,
            "API calls must be invoked with an X-Requested-With header if called from a browser",
        ));
    }
    if !reads && call.caller.scopes().is_none() {
        state.check_csrf(call)?;
    }
    if !reads && state.flags.readonly && *endpoint != Endpoint::SignIn {
        return Err(Rejection::ReadOnly);
    }
    let is_public = matches!(
        endpoint,
        Endpoint::Discovery | Endpoint::ErrorType(_) | Endpoint::User | Endpoint::SignIn
    );
    if call.caller.is_anonymous() && !state.flags.anonymous_access && !is_public {
        let message = "Anonymous access is not allowed";
        return Err(Rejection::Abort(StatusCode::UNAUTHORIZED, message));
    }
    Ok(())
}

/// True if the User-Agent is one of those `require_xhr_from_browser` of `endpoints/decorators.py` looks for.
fn is_browser(headers: &HeaderMap) -> bool {
    const BROWSERS: [&str; 5] = ["chrome/", "firefox/", "safari/", "msie ", "opera/"];
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
    let agent = agent.unwrap_or_default().to_lowercase();
    BROWSERS.iter().any(|browser| agent.contains(browser))
}

fn is_xhr(headers: &HeaderMap) -> bool {
    headers.get("x-requested-with").is_some_and(|value| value == "XMLHttpRequest")
}

fn dispatch(state: &mut State, method: &Method, endpoint: &Endpoint, call: &Call) -> Answer {
    use Endpoint as E;
    match (endpoint, method.as_str()) {
        (E::Discovery, "GET") => Ok(public::discovery(state)),
        (E::ErrorType(kind), "GET") => public::error_type(state, kind),
        (E::User, "GET") => users::get(state, call),

        (E::Initialize, "POST") => initialize::initialize(state, call),
        (E::SignIn, "POST") => sessions::sign_in(state, call),
        (E::SignOut, "POST") => sessions::sign_out(state, call),

        (E::Organizations, "POST") => organizations::create(state, call),
        (E::Organization(name), "GET") => organizations::get(state, call, name),
        (E::Organization(name), "PUT") => organizations::update(state, call, name),
        (E::Organization(name), "DELETE") => organizations::delete(state, call, name),
        (E::Members(name), "GET") => organizations::members(state, call, name),

        (E::Applications(org), "GET") => applications::list(state, call, org),
        (E::Applications(org), "POST") => applications::create(state, call, org),
        (E::Application(org, id), "GET") => applications::get(state, call, org, id),
        (E::Application(org, id), "DELETE") => applications::delete(state, call, org, id),
        (E::ApplicationTokens(org, id), "GET") => application_tokens::list(state, call, org, id),
        (E::ApplicationTokens(org, id), "POST") => application_tokens::create(state, call, org, id),
        (E::ApplicationToken(org, id, uuid), "DELETE") => {
            application_tokens::revoke(state, call, org, id, uuid)
        }

        (E::Robots(org), "GET") => robots::list(state, call, org),
        (E::Robot(org, short), "GET") => robots::get(state, call, org, short),
        (E::Robot(org, short), "PUT") => robots::create(state, call, org, short),
        (E::Robot(org, short), "DELETE") => robots::delete(state, call, org, short),
        (E::RobotPermissions(org, short), "GET") => robots::permissions(state, call, org, short),
        (E::RobotRegenerate(org, short), "POST") => robots::regenerate(state, call, org, short),

        (E::Prototypes(org), "GET") => prototypes::list(state, call, org),
        (E::Prototypes(org), "POST") => prototypes::create(state, call, org),
        (E::Prototype(org, id), "PUT") => prototypes::update(state, call, org, id),
        (E::Prototype(org, id), "DELETE") => prototypes::delete(state, call, org, id),

        (E::Team(org, team), "PUT") => teams::put(state, call, org, team),
        (E::Team(org, team), "DELETE") => teams::delete(state, call, org, team),
        (E::TeamMembers(org, team), "GET") => teams::members(state, call, org, team),
        (E::TeamMember(org, team, member), "PUT") => {
            teams::add_member(state, call, org, team, member)
        }
        (E::TeamMember(org, team, member), "DELETE") => {
            teams::remove_member(state, call, org, team, member)
        }

        (E::Repositories, "GET") => repositories::list(state, call),
        (E::Repositories, "POST") => repositories::create(state, call),
        (E::Repository(path), "GET") => repositories::get(state, call, path),
        (E::Repository(path), "PUT") => repositories::update(state, call, path),
        (E::Repository(path), "DELETE") => repositories::delete(state, call, path),
        (E::Visibility(path), "POST") => repositories::change_visibility(state, call, path),
        (E::Tags(path), "GET") => repositories::tags(state, call, path),
        (E::UserPermissions(path), "GET") => permissions::list(state, call, path),
        (E::UserPermission(path, user), "GET") => permissions::get(state, call, path, user),
        (E::UserPermission(path, user), "PUT") => permissions::set(state, call, path, user),
        (E::UserPermission(path, user), "DELETE") => permissions::delete(state, call, path, user),
        (E::TeamPermissions(path), "GET") => permissions::list_teams(state, call, path),

        (E::SuperuserUsers, "GET") => superuser::users(state, call),
        (E::SuperuserOrganizations, "GET") => superuser::organizations(state, call),
        (E::SuperuserOrganization(name), "DELETE") => {
            superuser::delete_organization(state, call, name)
        }
        (E::TakeOwnership(name), "POST") => superuser::take_ownership(state, call, name),

        _ => Err(errors::method_not_allowed()),
    }
}
