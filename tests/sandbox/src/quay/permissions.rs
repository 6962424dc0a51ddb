//! Permissions on one repository (`endpoints/api/permission.py`).

use serde_json::{Map, Value, json};

use super::avatar::avatar;
use super::call::Call;
use super::errors::{Answer, Rejection};
use super::names::RepoPath;
use super::repositories::require;
use super::responses;
use super::roles::RepoRole;
use super::schema::{Kind, Schema};
use super::state::State;

const CHANGE: Schema = Schema {
    description: "Description of a user permission.",
    required: &["role"],
    properties: &[("role", Kind::OneOf(&["read", "write", "admin"]))],
};

const OWNER: &str = "Namespace owner must always be admin.";
const NONE: &str = "User does not have permission for repo.";

/// `GET …/permissions/user/` (wire/302, wire/369, wire/378, wire/459): a map by name; empty for a repository that is not there.
pub(crate) fn list(state: &State, call: &Call, path: &RepoPath) -> Answer {
    require_view(state, call, path)?;
    let permissions: Map<String, Value> = state
        .permissions
        .iter()
        .filter_map(|(name, roles)| Some((name, *roles.get(path)?)))
        .map(|(name, role)| (name.clone(), view(state, path, name, role)))
        .collect();
    Ok(responses::ok(json!({"permissions": permissions})))
}

/// `GET …/permissions/user/<name>` (wire/370, wire/372, wire/384, wire/385).
pub(crate) fn get(state: &State, call: &Call, path: &RepoPath, name: &str) -> Answer {
    require_view(state, call, path)?;
    let role = state.permission(path, name).ok_or_else(|| Rejection::Model(NONE.to_owned()))?;
    Ok(responses::ok(view(state, path, name, role)))
}

/// `PUT …/permissions/user/<name>` (wire/371, wire/373-377, wire/381): sets or changes the role.
pub(crate) fn set(state: &mut State, call: &Call, path: &RepoPath, name: &str) -> Answer {
    require(state, call, RepoRole::Admin, path)?;
    let body = call.json(&CHANGE)?;
    check_grantee(state, path, name).map_err(Rejection::Invalid)?;
    let role = body["role"].as_str().and_then(RepoRole::from_name).ok_or(Rejection::Crash)?;
    if !state.repositories.contains_key(path) {
        return Err(Rejection::Crash);
    }
    state.set_permission(path, name, Some(role));
    Ok(responses::ok(view(state, path, name, role)))
}

fn check_grantee(state: &State, path: &RepoPath, name: &str) -> Result<(), String> {
    if name == path.namespace {
        return Err(OWNER.to_owned());
    }
    if !state.is_user(name) {
        return Err(format!("Invalid username: {name}"));
    }
    match name.split_once('+') {
        Some((namespace, _)) if namespace != path.namespace => {
            Err(format!("Cannot add robot {name} under namespace {}", path.namespace))
        }
        _ => Ok(()),
    }
}

/// `DELETE …/permissions/user/<name>` (wire/379, wire/380).
pub(crate) fn delete(state: &mut State, call: &Call, path: &RepoPath, name: &str) -> Answer {
    require(state, call, RepoRole::Admin, path)?;
    if name == path.namespace {
        return Err(Rejection::Invalid(OWNER.to_owned()));
    }
    if state.permission(path, name).is_none() {
        return Err(Rejection::Invalid(NONE.to_owned()));
    }
    state.set_permission(path, name, None);
    Ok(responses::no_content())
}

/// `GET …/permissions/team/` (wire/383).
pub(crate) fn list_teams(state: &State, call: &Call, path: &RepoPath) -> Answer {
    require_view(state, call, path)?;
    let teams = state.organizations.get(&path.namespace).into_iter();
    let permissions: Map<String, Value> = teams
        .flat_map(|organization| &organization.teams)
        .filter_map(|team| Some((&team.name, team.repositories.get(path)?)))
        .map(|(name, role)| {
            let view =
                json!({"role": role.name(), "name": name, "avatar": avatar(name, name, "team")});
            (name.clone(), view)
        })
        .collect();
    Ok(responses::ok(json!({"permissions": permissions})))
}

/// Administrators see permissions, and read-only superusers.
fn require_view(state: &State, call: &Call, path: &RepoPath) -> Result<(), Rejection> {
    if state.is_readonly_superuser(&call.caller) {
        Ok(())
    } else {
        require(state, call, RepoRole::Admin, path)
    }
}

fn view(state: &State, path: &RepoPath, name: &str, role: RepoRole) -> Value {
    let mut view = json!({
        "role": role.name(),
        "name": name,
        "is_robot": name.contains('+'),
        "avatar": state.avatar_of(name),
    });
    // Only in an organization is there anything to be a member of.
    if state.organizations.contains_key(&path.namespace) {
        view["is_org_member"] = json!(state.is_shown_as_member(&path.namespace, name));
    }
    view
}
