//! Teams of an organization (`endpoints/api/team.py`).

use serde_json::{Value, json};

use super::avatar::avatar;
use super::call::Call;
use super::errors::{Answer, Rejection};
use super::names;
use super::responses;
use super::roles::TeamRole;
use super::schema::{Kind, Schema};
use super::state::State;
use super::tables::{Delegate, Organization, Team};

const DESCRIPTION: Schema = Schema {
    description: "Description of a team",
    required: &["role"],
    properties: &[
        ("role", Kind::OneOf(&["member", "creator", "admin"])),
        ("description", Kind::Text),
    ],
};

/// `PUT …/team/<name>` (wire/400-403): creates or changes; `new_team` says which.
pub(crate) fn put(state: &mut State, call: &Call, organization: &str, name: &str) -> Answer {
    let body = call.json(&DESCRIPTION)?;
    let found =
        administered(state, call, organization)?.ok_or_else(|| no_organization(organization))?;
    let role = body["role"].as_str().and_then(TeamRole::from_name).ok_or(Rejection::Crash)?;
    let description = body["description"].as_str();
    let is_new = found.team(name).is_none();
    if is_new {
        names::check_team(name)
            .map_err(|issue| Rejection::Model(format!("Invalid team name {name}: {issue}")))?;
        found.teams.push(Team::new(name, role, description.unwrap_or_default()));
    } else {
        let caller = call.caller.name().unwrap_or_default();
        let loses_admin = role != TeamRole::Admin && is_only_admin_team(found, caller, name);
        let team = found.team_mut(name).ok_or(Rejection::Crash)?;
        if let Some(description) = description {
            team.description = description.to_owned();
        }
        if loses_admin {
            return Err(Rejection::Model(format!(
                "Cannot remove admin from team '{name}' because calling user would no longer have admin on org \
                 '{organization}'"
            )));
        }
        team.role = role;
    }
    let team = found.team(name).ok_or(Rejection::Crash)?;
    Ok(responses::ok(json!({
        "name": name,
        "description": team.description,
        "can_view": true,
        "role": team.role.name(),
        "avatar": avatar(name, name, "team"),
        "new_team": is_new,
    })))
}

/// `DELETE …/team/<name>` (wire/410-412): also its permissions and default permissions.
pub(crate) fn delete(state: &mut State, call: &Call, organization: &str, name: &str) -> Answer {
    let found = administered(state, call, organization)?;
    let missing =
        || Rejection::Model(format!("Team '{name}' is not a team in org '{organization}'"));
    let found = found.filter(|found| found.team(name).is_some()).ok_or_else(missing)?;
    let caller = call.caller.name().unwrap_or_default();
    if is_only_admin_team(found, caller, name) {
        return Err(Rejection::Model(format!(
            "Deleting team '{name}' would remove admin ability for user '{caller}' in organization '{organization}'"
        )));
    }
    found.teams.retain(|team| team.name != name);
    let delegate = Delegate::Team(name.to_owned());
    found.prototypes.retain(|prototype| prototype.delegate != delegate);
    Ok(responses::no_content())
}

/// `GET …/team/<name>/members` (wire/404, wire/408): for its members and for administrators.
pub(crate) fn members(state: &State, call: &Call, organization: &str, name: &str) -> Answer {
    let found = state.organizations.get(organization);
    let team = found.and_then(|found| found.team(name));
    // A scope that lifts no role at all hides the team from its own members.
    let is_member = state.organization_role(&call.caller, organization).is_some()
        && team.is_some_and(|team| call.caller.name().is_some_and(|caller| team.has(caller)));
    if !is_member && !state.may_inspect(&call.caller, organization) {
        return Err(Rejection::Unauthorized);
    }
    let team = team.ok_or(Rejection::NotFound)?;
    let members: Vec<Value> =
        team.members.iter().map(|member| member_view(state, member)).collect();
    let can_edit = state.is_organization_admin(&call.caller, organization);
    Ok(responses::ok(json!({"name": name, "members": members, "can_edit": can_edit})))
}

/// `PUT …/team/<name>/members/<member>` (wire/405-407).
pub(crate) fn add_member(
    state: &mut State,
    call: &Call,
    organization: &str,
    name: &str,
    member: &str,
) -> Answer {
    let is_user = state.is_user(member);
    let found = administered(state, call, organization)?;
    let team = found.and_then(|found| found.team_mut(name)).ok_or(Rejection::NotFound)?;
    if !is_user {
        return Err(Rejection::Invalid("Unknown user".to_owned()));
    }
    if team.has(member) {
        return Err(Rejection::Model(format!("User {member} is already a member of team {name}")));
    }
    team.members.push(member.to_owned());
    Ok(responses::ok(member_view(state, member)))
}

/// `DELETE …/team/<name>/members/<member>` (wire/409).
pub(crate) fn remove_member(
    state: &mut State,
    call: &Call,
    organization: &str,
    name: &str,
    member: &str,
) -> Answer {
    let is_user = state.is_user(member);
    let found = administered(state, call, organization)?;
    let found =
        found.filter(|found| is_user && found.team(name).is_some()).ok_or(Rejection::NotFound)?;
    let is_last = call.caller.name() == Some(member) && is_only_admin_team(found, member, name);
    let team = found.team_mut(name).ok_or(Rejection::NotFound)?;
    if !team.has(member) {
        return Err(Rejection::Model(format!("User {member} does not belong to team {name}")));
    }
    if is_last {
        let message = "User cannot remove themselves from their only admin team.";
        return Err(Rejection::Model(message.to_owned()));
    }
    team.members.retain(|found| found != member);
    Ok(responses::no_content())
}

/// The organization, for a caller who may change it; `None` if there is none.
fn administered<'a>(
    state: &'a mut State,
    call: &Call,
    organization: &str,
) -> Result<Option<&'a mut Organization>, Rejection> {
    if !state.may_administer(&call.caller, organization) {
        return Err(Rejection::Unauthorized);
    }
    Ok(state.organizations.get_mut(organization))
}

/// True if `member` would no longer be an administrator without this team.
fn is_only_admin_team(organization: &Organization, member: &str, team: &str) -> bool {
    let mut admin_teams = organization.teams_of(member).filter(|team| team.role == TeamRole::Admin);
    admin_teams.next().is_some_and(|found| found.name == team) && admin_teams.next().is_none()
}

fn no_organization(organization: &str) -> Rejection {
    Rejection::Model(format!("Organization does not exist: {organization}"))
}

fn member_view(state: &State, member: &str) -> Value {
    json!({
        "name": member,
        "kind": "user",
        "is_robot": member.contains('+'),
        "avatar": state.avatar_of(member),
        "invited": false,
    })
}
