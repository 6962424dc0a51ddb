//! Default permissions, which Quay's API calls prototypes (`endpoints/api/prototype.py`).

use serde_json::{Value, json};

use super::avatar::avatar;
use super::call::Call;
use super::errors::{Answer, Rejection};
use super::random;
use super::responses;
use super::roles::RepoRole;
use super::schema::{Kind, Schema};
use super::state::State;
use super::tables::{Delegate, Prototype};

const ROLES: &[&str] = &["read", "write", "admin"];

const NEW: Schema = Schema {
    description: "Description of a new prototype",
    required: &["role", "delegate"],
    properties: &[
        ("role", Kind::OneOf(ROLES)),
        ("activating_user", Kind::Nested(&ACTIVATING_USER)),
        ("delegate", Kind::Nested(&DELEGATE)),
    ],
};

const ACTIVATING_USER: Schema = Schema {
    description: "Repository creating user to whom the rule should apply",
    required: &["name"],
    properties: &[("name", Kind::Text)],
};

const DELEGATE: Schema = Schema {
    description: "Information about the user or team to which the rule grants access",
    required: &["name", "kind"],
    properties: &[("name", Kind::Text), ("kind", Kind::OneOf(&["user", "team"]))],
};

const UPDATE: Schema = Schema {
    description: "Description of a the new prototype role",
    required: &["role"],
    properties: &[("role", Kind::OneOf(ROLES))],
};

/// `GET …/prototypes` (wire/250, wire/263, wire/266, wire/268, wire/524).
pub(crate) fn list(state: &State, call: &Call, organization: &str) -> Answer {
    if !state.may_inspect(&call.caller, organization) {
        return Err(Rejection::Unauthorized);
    }
    let found = state.organizations.get(organization).ok_or(Rejection::NotFound)?;
    let views: Vec<Value> = found.prototypes.iter().map(|p| view(state, organization, p)).collect();
    Ok(responses::ok(json!({"prototypes": views})))
}

/// `POST …/prototypes` (wire/251-262, wire/267, wire/623): never looks whether there is one already.
pub(crate) fn create(state: &mut State, call: &Call, organization: &str) -> Answer {
    let body = call.json(&NEW)?;
    require_admin(state, call, organization)?;
    let prototype = Prototype {
        id: random::uuid(),
        role: role(&body)?,
        activating_user: activating_user(state, &body)?,
        delegate: delegate(state, organization, &body["delegate"])?,
    };
    let answer = responses::ok(view(state, organization, &prototype));
    state.add_prototype(organization, prototype);
    Ok(answer)
}

fn role(body: &Value) -> Result<RepoRole, Rejection> {
    let name = body["role"].as_str().unwrap_or_default();
    RepoRole::from_name(name).ok_or(Rejection::Crash)
}

fn activating_user(state: &State, body: &Value) -> Result<Option<String>, Rejection> {
    match body["activating_user"]["name"].as_str().filter(|name| !name.is_empty()) {
        Some(name) if !state.is_user(name) => {
            Err(Rejection::Invalid("Unknown activating user".to_owned()))
        }
        name => Ok(name.map(str::to_owned)),
    }
}

/// Any user or robot will do, also a robot of another organization (wire/259).
fn delegate(state: &State, organization: &str, delegate: &Value) -> Result<Delegate, Rejection> {
    let name = delegate["name"].as_str().unwrap_or_default().to_owned();
    let missing = || Rejection::Invalid("Missing delegate user or team".to_owned());
    if delegate["kind"] == "team" && !name.is_empty() {
        let found = state.organizations.get(organization).and_then(|o| o.team(&name));
        return match found {
            Some(_) => Ok(Delegate::Team(name)),
            // Quay raises this message unformatted (wire/256).
            None => Err(Rejection::Model(format!(
                "('Team does not exist: %s/%s', '{organization}', '{name}')"
            ))),
        };
    }
    if state.is_user(&name) { Ok(Delegate::User(name)) } else { Err(missing()) }
}

/// `PUT …/prototypes/<id>` (wire/264, wire/265): changes the role.
pub(crate) fn update(state: &mut State, call: &Call, organization: &str, id: &str) -> Answer {
    let body = call.json(&UPDATE)?;
    require_admin(state, call, organization)?;
    let role = role(&body)?;
    let found = state.organizations.get_mut(organization).ok_or(Rejection::NotFound)?;
    let prototype = found.prototypes.iter_mut().find(|prototype| prototype.id == id);
    prototype.ok_or(Rejection::NotFound)?.role = role;
    let found = state.organizations.get(organization).ok_or(Rejection::NotFound)?;
    let prototype = found.prototypes.iter().find(|prototype| prototype.id == id);
    Ok(responses::ok(view(state, organization, prototype.ok_or(Rejection::NotFound)?)))
}

/// `DELETE …/prototypes/<id>` (wire/269, wire/270).
pub(crate) fn delete(state: &mut State, call: &Call, organization: &str, id: &str) -> Answer {
    require_admin(state, call, organization)?;
    let found = state.organizations.get_mut(organization).ok_or(Rejection::NotFound)?;
    let before = found.prototypes.len();
    found.prototypes.retain(|prototype| prototype.id != id);
    if found.prototypes.len() == before {
        return Err(Rejection::NotFound);
    }
    Ok(responses::no_content())
}

/// 403 comes before 404: a missing organization looks like a foreign one (wire/268).
fn require_admin(state: &State, call: &Call, organization: &str) -> Result<(), Rejection> {
    if !state.may_administer(&call.caller, organization) {
        Err(Rejection::Unauthorized)
    } else if !state.organizations.contains_key(organization) {
        Err(Rejection::NotFound)
    } else {
        Ok(())
    }
}

fn view(state: &State, organization: &str, prototype: &Prototype) -> Value {
    let user = |name: &str| {
        json!({
            "name": name,
            "is_robot": name.contains('+'),
            "kind": "user",
            "is_org_member": state.is_shown_as_member(organization, name),
            "avatar": state.avatar_of(name),
        })
    };
    let delegate = match &prototype.delegate {
        Delegate::User(name) => user(name),
        Delegate::Team(name) => {
            json!({"name": name, "kind": "team", "avatar": avatar(name, name, "team")})
        }
    };
    json!({
        "activating_user": prototype.activating_user.as_deref().map(user),
        "delegate": delegate,
        "role": prototype.role.name(),
        "id": prototype.id,
    })
}
