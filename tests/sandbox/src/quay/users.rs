//! The caller's own account, and how users and robots are shown elsewhere.

use serde_json::{Value, json};

use super::avatar::avatar;
use super::call::Call;
use super::errors::{Answer, Rejection};
use super::responses;
use super::roles::UserRole;
use super::state::State;

/// Two weeks, what every user starts with (wire/100).
const TAG_EXPIRATION_S: u64 = 1_209_600;

/// `GET /api/v1/user/` (wire/100-112): with `user:read` alone just the name and the organizations; `super_user`
/// only for a superuser whose token says so.
pub(crate) fn get(state: &State, call: &Call) -> Answer {
    let account = state.account_role(&call.caller);
    let Some((name, user)) = call
        .caller
        .name()
        .and_then(|name| state.users.get_key_value(name))
        .filter(|_| account.is_some())
    else {
        return Err(Rejection::NoUser);
    };
    let is_admin = account == Some(UserRole::Admin);
    let organizations =
        state.organizations.iter().filter(|(_, o)| o.teams_of(name).next().is_some());
    let organizations: Vec<Value> = organizations
        .map(|(organization, found)| {
            let mut view = json!({
                "name": organization,
                "avatar": avatar(organization, &found.email, "org"),
                "can_create_repo": state.may_create(&call.caller, organization),
                "public": false,
            });
            if is_admin {
                view["is_org_admin"] =
                    json!(state.is_organization_admin(&call.caller, organization));
                view["preferred_namespace"] = json!(false);
            }
            view
        })
        .collect();
    let mut view = json!({
        "anonymous": false,
        "username": name,
        "avatar": avatar(name, &user.email, "user"),
        "organizations": organizations,
    });
    if is_admin {
        extend(
            &mut view,
            json!({
                "can_create_repo": true,
                "is_me": true,
                "verified": true,
                "email": user.email,
                "logins": [], "invoice_email": false,
                "invoice_email_address": null,
                "preferred_namespace": false,
                "tag_expiration_s": TAG_EXPIRATION_S,
                "prompts": [],
                "company": null,
                "family_name": null,
                "given_name": null,
                "location": null,
                "is_free_account": true,
                "has_password_set": true,
            }),
        );
    }
    if state.is_superuser(&call.caller) {
        view["super_user"] = json!(true);
    }
    if state.is_readonly_superuser(&call.caller) {
        view["global_readonly_super_user"] = json!(true);
    }
    Ok(responses::ok(view))
}

/// Adds the fields of one object to another.
pub(crate) fn extend(view: &mut Value, more: Value) {
    if let (Some(view), Value::Object(more)) = (view.as_object_mut(), more) {
        view.extend(more);
    }
}

impl State {
    /// The avatar of a user or a robot. A robot's hides its real seed, a UUID, behind its name.
    pub(crate) fn avatar_of(&self, name: &str) -> Value {
        match self.users.get(name) {
            Some(user) => avatar(name, &user.email, "user"),
            None => avatar(name, name, "robot"),
        }
    }

    /// True if a user or robot is shown as a member of the organization: every robot is, wherever it is from (wire/259).
    pub(crate) fn is_shown_as_member(&self, organization: &str, name: &str) -> bool {
        name.contains('+')
            || self
                .organizations
                .get(organization)
                .is_some_and(|found| found.teams_of(name).next().is_some())
    }
}
