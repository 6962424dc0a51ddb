//! `/v2/auth`: logging in to the registry, and asking what one may do there (`endpoints/v2/v2auth.py`).

use axum::http::{HeaderMap, StatusCode};
use serde_json::json;

use super::auth::{Caller, basic};
use super::call::Call;
use super::errors::{Answer, RegistryRejection, Rejection};
use super::jwt::{self, Access, Claims};
use super::names::{self, RepoPath};
use super::responses;
use super::roles::{Reach, RepoRole};
use super::state::State;

/// Repositories without a namespace belong to this one.
const LIBRARY: &str = "library";

/// `GET /v2/auth` (wire/461-477, wire/498): a token for those of the requested permissions that the caller has, possibly none.
pub(crate) fn token(state: &mut State, call: &Call) -> Answer {
    let caller = log_in(state, &call.headers).map_err(|message| {
        RegistryRejection::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message)
    })?;
    if caller.is_anonymous() && !state.flags.anonymous_access {
        let message = "Anonymous access is not allowed";
        return Err(Rejection::Abort(StatusCode::UNAUTHORIZED, message));
    }
    let wanted: Vec<&str> = call.params("scope").collect();
    if caller.is_anonymous() && wanted.iter().all(|scope| scope.is_empty()) {
        let message = "access to the requested resource is not authorized";
        return Err(
            RegistryRejection::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message).into()
        );
    }
    let mut access = Vec::new();
    for scope in wanted.into_iter().filter(|scope| !scope.is_empty()) {
        let (path, actions) = parse_scope(state, scope)?;
        let granted = grant(state, &caller, &path, &actions)?;
        access.push(Access::to_repository(&path, &granted));
    }
    let service = call.param("service").unwrap_or_default();
    let claims = Claims::new(service, caller.name(), access);
    let token = jwt::sign(&claims).ok_or(Rejection::Crash)?;
    Ok(responses::ok(json!({"token": token})))
}

/// The caller of HTTP Basic; the error is Quay's message. Without the header: anonymous.
pub(crate) fn log_in(state: &mut State, headers: &HeaderMap) -> Result<Caller, String> {
    let Some((name, secret)) = basic(headers)? else {
        return Ok(Caller::anonymous());
    };
    if name == "$oauthtoken" {
        return match state.tokens.get(&secret) {
            None => Err("OAuth access token could not be validated".to_owned()),
            Some(token) if !token.is_valid() => Err("OAuth access token has expired".to_owned()),
            Some(token) => Ok(Caller::by_token(token)),
        };
    }
    match name.split_once('+') {
        Some((organization, short)) => log_in_robot(state, &name, organization, short, &secret)?,
        None if state.users.get(&name).is_some_and(|user| user.password == secret) => {}
        None => return Err("Invalid Username or Password".to_owned()),
    }
    Ok(Caller::known(&name, Reach::Full))
}

/// `verify_robot` of `data/model/user.py` (wire/461-463, wire/498).
fn log_in_robot(
    state: &mut State,
    name: &str,
    organization: &str,
    short: &str,
    secret: &str,
) -> Result<(), String> {
    if state.flags.robots_disallow {
        return Err(
            "Robot account have been disabled. Please contact your administrator.".to_owned()
        );
    }
    match state.robot(organization, short) {
        None => Err("Could not find robot with specified username".to_owned()),
        Some(robot) if robot.token != secret => {
            Err(format!("Could not find robot with username: {name} and supplied password."))
        }
        Some(_) => {
            state.touch_robot(organization, short);
            Ok(())
        }
    }
}

/// The repository and the actions a scope asks for (wire/474, wire/476).
fn parse_scope(state: &State, scope: &str) -> Result<(RepoPath, Vec<String>), RegistryRejection> {
    let undecodable = || {
        let message = format!("Unable to decode repository and actions: {scope}");
        RegistryRejection::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST", message)
    };
    let (name, actions) = scope
        .strip_prefix("repository:")
        .and_then(|rest| rest.rsplit_once(':'))
        .ok_or_else(undecodable)?;
    let name = name.strip_prefix(&format!("{}/", state.host())).unwrap_or(name);
    let actions: Vec<String> = actions.split(',').map(str::to_owned).collect();
    let is_name = name.split('/').all(|part| !part.is_empty() && part.bytes().all(is_name_byte));
    if !is_name || !actions.iter().all(|action| matches!(action.as_str(), "push" | "pull" | "*")) {
        return Err(undecodable());
    }
    let (namespace, repository) = name.split_once('/').unwrap_or((LIBRARY, name));
    if !names::is_repository(repository, state.flags.extended_names) {
        let message = if !state.flags.extended_names && name.contains('/') {
            format!("Nested repositories are not supported. Found: {name}")
        } else {
            format!("Invalid repository name: {name}")
        };
        return Err(RegistryRejection::new(StatusCode::BAD_REQUEST, "NAME_INVALID", message));
    }
    Ok((RepoPath::new(namespace, repository), actions))
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// The actions that are granted. A push request creates a missing repository if the caller is allowed to (wire/477, wire/478).
fn grant(
    state: &mut State,
    caller: &Caller,
    path: &RepoPath,
    actions: &[String],
) -> Result<Vec<&'static str>, RegistryRejection> {
    let asked = |wanted: &str| actions.iter().any(|action| action == wanted);
    if !state.is_namespace(&path.namespace) {
        return Ok(Vec::new());
    }
    let mut granted = Vec::new();
    if asked("push") && may_push(state, caller, path)? {
        granted.push("push");
    }
    if asked("pull") && may_pull(state, caller, path) {
        granted.push("pull");
    }
    if asked("*") && state.is_allowed(caller, RepoRole::Admin, path) {
        granted.push("*");
    }
    Ok(granted)
}

fn may_push(
    state: &mut State,
    caller: &Caller,
    path: &RepoPath,
) -> Result<bool, RegistryRejection> {
    if state.repositories.contains_key(path) {
        return Ok(state.is_allowed(caller, RepoRole::Write, path));
    }
    let Some(creator) = caller.name().filter(|_| state.may_create(caller, &path.namespace)) else {
        return Ok(false);
    };
    if state.is_restricted(caller) && creator == path.namespace {
        return Ok(false);
    }
    if state.flags.readonly {
        return Err(RegistryRejection::read_only());
    }
    state.add_repository(path, creator, false, None);
    Ok(true)
}

/// Full access alone does not pull, unlike everywhere else.
pub(crate) fn may_pull(state: &State, caller: &Caller, path: &RepoPath) -> bool {
    state.repository_role(caller, path).is_some()
        || state.repositories.get(path).is_some_and(|repository| repository.public)
        || state.is_readonly_superuser(caller)
}
