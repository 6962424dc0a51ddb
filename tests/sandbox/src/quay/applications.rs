//! OAuth applications of an organization (`endpoints/api/organization.py`).

use serde_json::{Value, json};

use super::call::Call;
use super::errors::{Answer, Rejection};
use super::random;
use super::responses;
use super::schema::{Kind, Schema};
use super::state::State;
use super::tables::Application;

const NEW: Schema = Schema {
    description: "Description of a new organization application.",
    required: &["name"],
    properties: &[
        ("name", Kind::Text),
        ("redirect_uri", Kind::Text),
        ("application_uri", Kind::Text),
        ("description", Kind::Text),
        ("avatar_email", Kind::Text),
    ],
};

/// `GET /api/v1/organization/<org>/applications` (wire/020).
pub(crate) fn list(state: &State, call: &Call, organization: &str) -> Answer {
    require_inspect(state, call, organization)?;
    let views: Vec<Value> = state
        .applications_of(organization)
        .into_iter()
        .map(|(id, found)| view(id, found))
        .collect();
    Ok(responses::ok(json!({"applications": views})))
}

/// `POST /api/v1/organization/<org>/applications` (019, 021, 022, 000h, 67h): names need not be unique.
pub(crate) fn create(state: &mut State, call: &Call, organization: &str) -> Answer {
    let body = call.json(&NEW)?;
    require_administer(state, call, organization)?;
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let client_id = state.add_application(organization, text("name"), text("redirect_uri"));
    let application = state.applications.get_mut(&client_id).ok_or(Rejection::NotFound)?;
    application.description = text("description").to_owned();
    application.application_uri = text("application_uri").to_owned();
    application.avatar_email = body["avatar_email"].as_str().map(str::to_owned);
    Ok(responses::ok(view(&client_id, application)))
}

/// `GET /api/v1/organization/<org>/applications/<client id>`.
pub(crate) fn get(state: &State, call: &Call, organization: &str, client_id: &str) -> Answer {
    require_inspect(state, call, organization)?;
    Ok(responses::ok(view(client_id, state.application(organization, client_id)?)))
}

/// `DELETE /api/v1/organization/<org>/applications/<client id>` (wire/603, wire/604): its tokens go with it.
pub(crate) fn delete(
    state: &mut State,
    call: &Call,
    organization: &str,
    client_id: &str,
) -> Answer {
    require_administer(state, call, organization)?;
    state.application(organization, client_id)?;
    state.delete_application(client_id);
    Ok(responses::no_content())
}

fn view(client_id: &str, application: &Application) -> Value {
    json!({
        "name": application.name,
        "description": application.description,
        "application_uri": application.application_uri,
        "client_id": client_id,
        "client_secret": application.client_secret,
        "redirect_uri": application.redirect_uri,
        "avatar_email": application.avatar_email,
    })
}

/// Reading takes an administrator, or a superuser who may read everything. Only then is the organization looked for:
/// a user is administrator of their own namespace, which is none (wire/000h).
pub(crate) fn require_inspect(
    state: &State,
    call: &Call,
    organization: &str,
) -> Result<(), Rejection> {
    require(state, state.may_inspect(&call.caller, organization), organization)
}

/// Changing takes an administrator.
pub(crate) fn require_administer(
    state: &State,
    call: &Call,
    organization: &str,
) -> Result<(), Rejection> {
    require(state, state.may_administer(&call.caller, organization), organization)
}

fn require(state: &State, allowed: bool, organization: &str) -> Result<(), Rejection> {
    match state.organizations.contains_key(organization) {
        _ if !allowed => Err(Rejection::Unauthorized),
        true => Ok(()),
        false => Err(Rejection::NotFound),
    }
}

impl State {
    /// A new application; returns its client id.
    pub(crate) fn add_application(
        &mut self,
        organization: &str,
        name: &str,
        redirect_uri: &str,
    ) -> String {
        let client_id = random::token(20);
        let application = Application {
            id: self.next_id(),
            organization: organization.to_owned(),
            name: name.to_owned(),
            description: String::new(),
            application_uri: String::new(),
            redirect_uri: redirect_uri.to_owned(),
            avatar_email: None,
            client_secret: self.secret(random::token(40)),
        };
        self.applications.insert(client_id.clone(), application);
        client_id
    }

    /// An application of the organization.
    pub(crate) fn application(
        &self,
        organization: &str,
        client_id: &str,
    ) -> Result<&Application, Rejection> {
        self.applications
            .get(client_id)
            .filter(|found| found.organization == organization)
            .ok_or(Rejection::NotFound)
    }

    /// The applications of an organization by client id, in the order they were created.
    pub(crate) fn applications_of(&self, organization: &str) -> Vec<(&String, &Application)> {
        let mut found: Vec<_> = self
            .applications
            .iter()
            .filter(|(_, found)| found.organization == organization)
            .collect();
        found.sort_by_key(|(_, application)| application.id);
        found
    }

    /// Takes an application away with its tokens.
    pub(crate) fn delete_application(&mut self, client_id: &str) {
        self.applications.remove(client_id);
        self.tokens.retain(|_, token| token.application.as_deref() != Some(client_id));
    }
}
