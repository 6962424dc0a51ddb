//! Organizations (`endpoints/api/organization.py`).

use serde_json::{Value, json};

use super::avatar::avatar;
use super::call::Call;
use super::errors::{Answer, Rejection};
use super::flags::Release;
use super::names;
use super::random;
use super::responses;
use super::roles::UserRole;
use super::schema::{Kind, Schema};
use super::state::State;
use super::tables::{Organization, Team};
use super::users::extend;

const NEW: Schema = Schema {
    description: "Description of a new organization.",
    required: &["name"],
    properties: &[
        ("name", Kind::Text),
        ("email", Kind::Text),
        ("contact_email", Kind::Text),
        ("recaptcha_response", Kind::Text),
    ],
};

const UPDATE: Schema = Schema {
    description: "Description of updates for an existing organization",
    required: &[],
    properties: &[
        ("email", Kind::Text),
        ("contact_email", Kind::TextOrNull),
        ("invoice_email", Kind::Flag),
        ("invoice_email_address", Kind::TextOrNull),
        ("tag_expiration_s", Kind::Whole),
    ],
};

/// `TAG_EXPIRATION_OPTIONS`: 0 s, a day, one, two and four weeks (wire/187, wire/188).
const TAG_EXPIRATIONS_S: [u64; 5] = [0, 86_400, 604_800, 1_209_600, 2_419_200];

/// `POST /api/v1/organization/` (wire/150-165).
pub(crate) fn create(state: &mut State, call: &Call) -> Answer {
    let is_superuser = state.is_superuser(&call.caller);
    // 3.12 asks no more than whether the whitelist names the user (its `data/users/__init__.py`); later releases let superusers
    // through (wire/590, wire/591).
    let is_exempt = is_superuser && state.flags.release > Release::V3_12;
    if state.flags.restricted_users && !is_exempt {
        return Err(Rejection::Unauthorized);
    }
    if state.account_role(&call.caller) != Some(UserRole::Admin) {
        return Err(Rejection::Unauthorized);
    }
    let body = call.json(&NEW)?;
    if state.flags.org_creation_only && !is_superuser {
        return Err(Rejection::Unauthorized);
    }
    let name = body["name"].as_str().unwrap_or_default();
    let email = ["contact_email", "email"]
        .into_iter()
        .filter_map(|key| body[key].as_str())
        .find(|email| !email.is_empty());
    check_new(state, name, email).map_err(Rejection::Invalid)?;
    let owner = call.caller.name().unwrap_or_default();
    state.add_organization(name, email, owner);
    Ok(responses::created(json!("Created")))
}

/// True if an organization of this name and address may be created; the error is Quay's message.
fn check_new(state: &State, name: &str, email: Option<&str>) -> Result<(), String> {
    if state.organizations.contains_key(name) || state.is_user(name) {
        return Err("A user or organization with this name already exists".to_owned());
    }
    let before_3_18 = state.flags.release < Release::V3_18;
    match email {
        Some(email) => {
            if !names::is_email(email) && (state.flags.mailing || !before_3_18) {
                return Err("Invalid email address".to_owned());
            }
            let taken = state.users.values().any(|user| user.email == email)
                || before_3_18 && state.organizations.values().any(|o| o.email == email);
            if taken {
                return Err(format!("Email has already been used: {email}"));
            }
        }
        None if state.flags.mailing && before_3_18 => {
            return Err("Email address is required".to_owned());
        }
        None => {}
    }
    names::check_namespace(name).map_err(|issue| format!("Invalid namespace {name}: {issue}"))?;
    if state.is_being_collected(name) {
        return Err("Username is not available".to_owned());
    }
    Ok(())
}

/// `GET /api/v1/organization/<name>` (wire/180-185): anybody learns that it exists, members see more.
pub(crate) fn get(state: &State, call: &Call, name: &str) -> Answer {
    let organization = state.organizations.get(name).ok_or(Rejection::NotFound)?;
    Ok(responses::ok(view(state, call, name, organization)))
}

fn view(state: &State, call: &Call, name: &str, organization: &Organization) -> Value {
    // 3.12 shows a foreign organization to a superuser with full access as to anybody else.
    let as_superuser = state.is_readonly_superuser(&call.caller)
        || state.has_full_access(&call.caller) && state.flags.release > Release::V3_12;
    let role = state.organization_role(&call.caller, name);
    let is_admin = as_superuser || state.is_organization_admin(&call.caller, name);
    let is_member = as_superuser || role.is_some();
    let email = organization.email.as_str();
    let mut view = json!({
        "name": name,
        "email": if is_admin && names::is_email(email) { email } else { "" },
        "avatar": avatar(name, email, "user"),
        "is_admin": is_admin,
        "is_member": is_member,
    });
    if is_member {
        let teams: serde_json::Map<String, Value> = organization
            .teams
            .iter()
            .map(|team| {
                let can_view =
                    is_admin || call.caller.name().is_some_and(|caller| team.has(caller));
                (team.name.clone(), team_view(team, can_view))
            })
            .collect();
        let order: Vec<&str> = organization.teams.iter().map(|team| team.name.as_str()).collect();
        extend(&mut view, json!({"teams": teams, "ordered_teams": order}));
    }
    if is_admin {
        extend(
            &mut view,
            json!({
                "invoice_email": organization.invoice_email,
                "invoice_email_address": organization.invoice_email_address,
                "tag_expiration_s": organization.tag_expiration_s,
                "is_free_account": true,
            }),
        );
    }
    view
}

fn team_view(team: &Team, can_view: bool) -> Value {
    json!({
        "name": team.name,
        "description": team.description,
        "role": team.role.name(),
        "avatar": avatar(&team.name, &team.name, "team"),
        "can_view": can_view,
        "repo_count": team.repositories.len(),
        "member_count": team.members.len(),
        "is_synced": false,
    })
}

/// `PUT /api/v1/organization/<name>` (wire/186-190).
pub(crate) fn update(state: &mut State, call: &Call, name: &str) -> Answer {
    let body = call.json(&UPDATE)?;
    if !state.may_administer(&call.caller, name) {
        return Err(Rejection::Unauthorized);
    }
    let organization = state.organizations.get_mut(name).ok_or(Rejection::NotFound)?;
    if let Some(wanted) = body["invoice_email"].as_bool() {
        organization.invoice_email = wanted;
    }
    if let Some(address) = body.get("invoice_email_address") {
        organization.invoice_email_address =
            address.as_str().filter(|a| !a.is_empty()).map(str::to_owned);
    }
    if let Some(email) = body.get("contact_email").or_else(|| body.get("email")) {
        match email.as_str().filter(|email| !email.is_empty()) {
            Some(email) if !names::is_email(email) => {
                return Err(Rejection::Invalid("Invalid email address".to_owned()));
            }
            Some(email) => organization.email = email.to_owned(),
            None => organization.email = random::uuid(),
        }
    }
    if let Some(seconds) = body["tag_expiration_s"].as_u64() {
        if !TAG_EXPIRATIONS_S.contains(&seconds) {
            return Err(Rejection::Model("Invalid tag expiration option".to_owned()));
        }
        organization.tag_expiration_s = seconds;
    }
    get(state, call, name)
}

/// `DELETE /api/v1/organization/<name>` (wire/191-195): gone at once for everybody, its data a little later.
pub(crate) fn delete(state: &mut State, call: &Call, name: &str) -> Answer {
    if !state.may_administer(&call.caller, name) {
        return Err(Rejection::Unauthorized);
    }
    if !state.organizations.contains_key(name) {
        return Err(Rejection::NotFound);
    }
    state.delete_organization(name);
    Ok(responses::no_content())
}

/// `GET /api/v1/organization/<name>/members` (wire/197, wire/198): the people in its teams, not the robots.
pub(crate) fn members(state: &State, call: &Call, name: &str) -> Answer {
    if !state.may_inspect(&call.caller, name) {
        return Err(Rejection::Unauthorized);
    }
    let organization = state.organizations.get(name).ok_or(Rejection::NotFound)?;
    let mut people: Vec<&String> =
        organization.teams.iter().flat_map(|team| &team.members).collect();
    people.retain(|member| state.users.contains_key(*member));
    people.sort();
    people.dedup();
    let members: Vec<Value> = people
        .into_iter()
        .map(|member| {
            let teams: Vec<Value> = organization
                .teams_of(member)
                .map(|team| json!({"name": team.name, "avatar": avatar(&team.name, &team.name, "team")}))
                .collect();
            let own = state.permissions_of(member).filter(|(path, _)| path.namespace == name);
            let repositories: Vec<&str> = own.map(|(path, _)| path.name.as_str()).collect();
            json!({
                "name": member,
                "kind": "user",
                "avatar": state.avatar_of(member),
                "teams": teams,
                "repositories": repositories,
            })
        })
        .collect();
    Ok(responses::ok(json!({"members": members})))
}
