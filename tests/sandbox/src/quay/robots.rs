//! Robot accounts of organizations (`endpoints/api/robot.py`).

use serde_json::{Value, json};

use super::avatar::avatar;
use super::call::Call;
use super::errors::{Answer, Rejection};
use super::flags::Release;
use super::names;
use super::responses;
use super::roles::UserRole;
use super::schema::{Kind, Schema};
use super::state::State;
use super::tables::{Robot, robot_name};

const NEW: Schema = Schema {
    description: "Optional data for creating a robot",
    required: &[],
    properties: &[("description", Kind::TextAtMost(255)), ("unstructured_metadata", Kind::Object)],
};

/// The longest full name the database holds (220c-g).
const LONGEST_FULL_NAME: usize = 255;

/// `GET …/robots` (200, 207, 210, 230-232, 387, 666, 67b): members see the robots, administrators their tokens and
/// repositories too. There is no paging, just a limit.
pub(crate) fn list(state: &State, call: &Call, organization: &str) -> Answer {
    let caller = &call.caller;
    let is_member = state.organization_role(caller, organization).is_some();
    let has_full_access = state.has_full_access(caller);
    let is_readonly = state.is_readonly_superuser(caller);
    if !is_member && !has_full_access && !is_readonly {
        return Err(Rejection::Unauthorized);
    }
    // In 3.12 full access is not enough to see tokens in the list.
    let is_admin = state.is_organization_admin(caller, organization)
        || has_full_access && state.flags.release > Release::V3_12;
    let with_token = is_admin && call.switch("token", true);
    let with_permissions = (is_admin || is_readonly) && call.switch("permissions", false);

    let mut robots = state.robots_like(organization);
    robots
        .sort_by_key(|(_, _, robot)| (robot.last_accessed.map(|when| -when.as_second()), robot.id));
    let views: Vec<Value> = robots
        .into_iter()
        .take(call.number("limit").unwrap_or(usize::MAX))
        .map(|(organization, short, robot)| {
            let name = robot_name(organization, short);
            let mut view = view(&name, robot, with_token);
            if with_permissions {
                let repositories: Vec<&str> =
                    state.permissions_of(&name).map(|(path, _)| path.name.as_str()).collect();
                view["repositories"] = json!(repositories);
                view["teams"] = state.teams_view(organization, &name);
            }
            view
        })
        .collect();
    Ok(responses::ok(json!({"robots": views})))
}

/// `GET …/robots/<short>` (wire/204-206, wire/209, wire/212, wire/213, wire/521).
pub(crate) fn get(state: &State, call: &Call, organization: &str, short: &str) -> Answer {
    if !state.may_inspect(&call.caller, organization) {
        return Err(Rejection::Unauthorized);
    }
    let with_token = state.may_administer(&call.caller, organization);
    let robot = find(state, organization, short)?;
    let mut view = view(&robot_name(organization, short), robot, with_token);
    view["unstructured_metadata"] = robot.metadata.clone();
    Ok(responses::ok(view))
}

/// `PUT …/robots/<short>` (201-203, 208, 211, 220-224, 522, 661): creates, never updates.
pub(crate) fn create(state: &mut State, call: &Call, organization: &str, short: &str) -> Answer {
    let body = call.optional_json(&NEW)?;
    if !state.may_administer(&call.caller, organization) {
        return Err(Rejection::Unauthorized);
    }
    require_organization(state, organization)?;
    let name = robot_name(organization, short);
    check_new(state, short, &name).map_err(Rejection::Invalid)?;
    if name.chars().count() > LONGEST_FULL_NAME {
        return Err(Rejection::Model(
            "value too long for type character varying(255)\n".to_owned(),
        ));
    }
    let description = body["description"].as_str().unwrap_or_default();
    // Stored as an empty object when absent, but echoed as it came.
    let metadata = body["unstructured_metadata"].clone();
    let stored = if metadata.is_null() { json!({}) } else { metadata.clone() };
    state.add_robot(organization, short, description, stored);
    let mut view = view(&name, find(state, organization, short)?, true);
    view["unstructured_metadata"] = metadata;
    Ok(responses::created(view))
}

fn check_new(state: &State, short: &str, name: &str) -> Result<(), String> {
    if state.flags.robots_disallow {
        return Err(
            "Robot accounts have been disabled. Please contact your administrator.".to_owned()
        );
    }
    names::check_namespace(short)
        .map_err(|issue| format!("The name for the robot '{short}' is invalid: {issue}"))?;
    if state.robot_named(name).is_some() {
        return Err(format!("Existing robot with name: {name}"));
    }
    Ok(())
}

/// `DELETE …/robots/<short>` (wire/240-243, wire/523).
pub(crate) fn delete(state: &mut State, call: &Call, organization: &str, short: &str) -> Answer {
    if !state.may_administer(&call.caller, organization) {
        return Err(Rejection::Unauthorized);
    }
    if !state.delete_robot(organization, short) {
        return Err(no_robot());
    }
    Ok(responses::no_content())
}

/// `POST …/robots/<short>/regenerate` (wire/233-235): the previous token is invalid at once.
pub(crate) fn regenerate(
    state: &mut State,
    call: &Call,
    organization: &str,
    short: &str,
) -> Answer {
    if !state.may_administer(&call.caller, organization) {
        return Err(Rejection::Unauthorized);
    }
    require_organization(state, organization)?;
    state.regenerate(organization, short).ok_or_else(no_robot)?;
    let robot = find(state, organization, short)?;
    Ok(responses::ok(view(&robot_name(organization, short), robot, true)))
}

/// `GET …/robots/<short>/permissions` (wire/214-217, wire/386): takes `user:admin` as well as `org:admin`, and words its
/// two rejections differently.
pub(crate) fn permissions(state: &State, call: &Call, organization: &str, short: &str) -> Answer {
    if state.account_role(&call.caller) != Some(UserRole::Admin) {
        return Err(Rejection::Unauthorized);
    }
    if !state.may_inspect(&call.caller, organization) {
        return Err(Rejection::Message(
            axum::http::StatusCode::FORBIDDEN,
            "You don't have the permission to access the requested resource. It is either read-protected or not \
             readable by the server.",
        ));
    }
    find(state, organization, short)?;
    let permissions: Vec<Value> = state
        .permissions_of(&robot_name(organization, short))
        .map(|(path, role)| {
            let is_public =
                state.repositories.get(path).is_some_and(|repository| repository.public);
            json!({"repository": {"name": path.name, "is_public": is_public}, "role": role.name()})
        })
        .collect();
    Ok(responses::ok(json!({"permissions": permissions})))
}

fn view(name: &str, robot: &Robot, with_token: bool) -> Value {
    let mut view = json!({
        "name": name,
        "created": responses::date(robot.created),
        "last_accessed": robot.last_accessed.map(responses::date),
        "description": robot.description,
    });
    if with_token {
        view["token"] = json!(robot.token);
    }
    view
}

fn find<'a>(state: &'a State, organization: &str, short: &str) -> Result<&'a Robot, Rejection> {
    require_organization(state, organization)?;
    state.robot(organization, short).ok_or_else(no_robot)
}

/// Only a superuser with full access gets as far as this with an organization that is not there (wire/521, wire/522).
fn require_organization(state: &State, organization: &str) -> Result<(), Rejection> {
    if state.organizations.contains_key(organization) {
        Ok(())
    } else {
        Err(Rejection::Model(format!("Organization does not exist: {organization}")))
    }
}

fn no_robot() -> Rejection {
    Rejection::Model("Could not find robot with specified username".to_owned())
}

impl State {
    /// The robots a list of this organization shows. Quay finds them with `ILIKE '<organization>+%'` and escapes
    /// nothing (`_list_entity_robots` of `data/model/user.py`), so a `_` in the name also finds the robots of
    /// organizations with any other character there.
    fn robots_like(&self, organization: &str) -> Vec<(&str, &str, &Robot)> {
        let wanted = organization.as_bytes();
        self.organizations
            .iter()
            .filter(|(name, _)| {
                name.len() == wanted.len()
                    && name
                        .bytes()
                        .zip(wanted)
                        .all(|(found, wanted)| *wanted == b'_' || found == *wanted)
            })
            .flat_map(|(name, found)| {
                found
                    .robots
                    .iter()
                    .map(move |(short, robot)| (name.as_str(), short.as_str(), robot))
            })
            .collect()
    }

    fn teams_view(&self, organization: &str, member: &str) -> Value {
        let teams = self.organizations.get(organization).into_iter();
        teams
            .flat_map(|found| found.teams_of(member))
            .map(
                |team| json!({"name": team.name, "avatar": avatar(&team.name, &team.name, "team")}),
            )
            .collect()
    }
}
