//! Requests of superusers beyond their own organizations (`endpoints/api/superuser.py`). They need
//! the scope `super:user` and nothing else (wire/430-436).

use serde_json::{Value, json};

use super::avatar::avatar;
use super::call::Call;
use super::errors::{Answer, Rejection};
use super::flags::Release;
use super::pages;
use super::responses;
use super::state::State;

const LARGEST_PAGE: usize = 100;

/// `GET /api/v1/superuser/users/` (wire/430, wire/431, wire/434-436).
pub(crate) fn users(state: &State, call: &Call) -> Answer {
    require_any_superuser(state, call)?;
    let users = state.users.iter().map(|(name, user)| (user.id, (name, user)));
    paged(call, "users", users.collect(), |(name, user)| {
        json!({
            "kind": "user",
            "name": name,
            "username": name,
            "email": user.email,
            "verified": true,
            "avatar": avatar(name, &user.email, "user"),
            "super_user": user.superuser,
            "global_readonly_super_user": state.flags.readonly_superusers.contains(name),
            "enabled": true,
        })
    })
}

/// `GET /api/v1/superuser/organizations/` (wire/432, wire/433): the organizations of all owners.
pub(crate) fn organizations(state: &State, call: &Call) -> Answer {
    require_any_superuser(state, call)?;
    let organizations = state.organizations.iter().map(|(name, found)| (found.id, (name, found)));
    paged(
        call,
        "organizations",
        organizations.collect(),
        |(name, found)| json!({"name": name, "email": found.email, "avatar": avatar(name, &found.email, "org")}),
    )
}

/// All items by their numbers, or with `limit` a page of them.
fn paged<T>(call: &Call, key: &str, mut items: Vec<(u64, T)>, view: impl Fn(T) -> Value) -> Answer {
    items.sort_by_key(|(id, _)| *id);
    let limit = match call.number("limit") {
        Some(limit) if limit > LARGEST_PAGE => {
            return Err(Rejection::Invalid("Page limit cannot be above 100".to_owned()));
        }
        Some(limit) => limit,
        None => usize::MAX,
    };
    let (items, next) = pages::page(items, call.param("next_page"), limit);
    let views: Vec<Value> = items.into_iter().map(view).collect();
    let mut answer = json!({key: views});
    if let Some(next) = next {
        answer["next_page"] = json!(next);
    }
    Ok(responses::ok(answer))
}

/// `DELETE /api/v1/superuser/organizations/<name>` (wire/446, wire/447): any organization.
pub(crate) fn delete_organization(state: &mut State, call: &Call, name: &str) -> Answer {
    require_superuser(state, call)?;
    if !state.organizations.contains_key(name) {
        return Err(if state.flags.release == Release::Master {
            Rejection::NotFound
        } else {
            Rejection::Model(format!("Organization does not exist: {name}"))
        });
    }
    state.delete_organization(name);
    Ok(responses::no_content())
}

/// `POST /api/v1/superuser/takeownership/<name>` (45c): joins the organization's administrators. A plain user
/// becomes an organization of that name.
pub(crate) fn take_ownership(state: &mut State, call: &Call, name: &str) -> Answer {
    require_superuser(state, call)?;
    let caller = call.caller.name().unwrap_or_default();
    match state.users.get(name) {
        Some(user) if user.superuser => {
            return Err(Rejection::Invalid("Cannot take ownership of a superuser".to_owned()));
        }
        Some(user) => {
            let email = user.email.clone();
            state.delete_user(name);
            state.add_organization(name, Some(&email), caller);
        }
        None => {
            let organization = state.organizations.get_mut(name).ok_or(Rejection::NotFound)?;
            organization.add_admin(caller);
        }
    }
    Ok(responses::ok(json!({"namespace": name})))
}

fn require_superuser(state: &State, call: &Call) -> Result<(), Rejection> {
    if state.is_superuser(&call.caller) { Ok(()) } else { Err(Rejection::Unauthorized) }
}

/// Reading is also for read-only superusers.
fn require_any_superuser(state: &State, call: &Call) -> Result<(), Rejection> {
    if state.is_readonly_superuser(&call.caller) { Ok(()) } else { require_superuser(state, call) }
}
