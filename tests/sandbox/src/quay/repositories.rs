//! Repositories (`endpoints/api/repository.py`).

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::errors::{Answer, Rejection};
use super::names::{self, RepoPath};
use super::pages;
use super::responses;
use super::roles::{RepoRole, TeamRole};
use super::schema::{Kind, Schema};
use super::state::State;
use super::tables::Repository;

const VISIBILITY: Kind = Kind::OneOf(&["public", "private"]);

const NEW: Schema = Schema {
    description: "Description of a new repository",
    required: &["repository", "visibility", "description"],
    properties: &[
        ("repository", Kind::Text),
        ("visibility", VISIBILITY),
        ("namespace", Kind::Text),
        ("description", Kind::Text),
        ("repo_kind", Kind::TextOrNull),
    ],
};

const UPDATE: Schema = Schema {
    description: "Fields which can be updated in a repository.",
    required: &["description"],
    properties: &[("description", Kind::Text)],
};

const CHANGE_VISIBILITY: Schema = Schema {
    description: "Change the visibility for the repository.",
    required: &["visibility"],
    properties: &[("visibility", VISIBILITY)],
};

/// `REPOS_PER_PAGE` (wire/363).
const PAGE: usize = 100;
/// A user's own namespace keeps deleted tags for two weeks; an organization says so itself.
const TAG_EXPIRATION_S: u64 = 1_209_600;

/// `POST /api/v1/repository` (wire/300-315, wire/456, wire/527, wire/593, wire/660).
pub(crate) fn create(state: &mut State, call: &Call) -> Answer {
    let body = call.json(&NEW)?;
    let owner = call.caller.name().ok_or(Rejection::Unauthorized)?;
    let namespace = body["namespace"].as_str().unwrap_or(owner);
    let allowed = state.may_create(&call.caller, namespace) || state.has_full_access(&call.caller);
    if !allowed || state.is_restricted(&call.caller) && owner == namespace {
        return Err(Rejection::Unauthorized);
    }
    let path = RepoPath::new(namespace, body["repository"].as_str().unwrap_or_default());
    if state.repositories.contains_key(&path) {
        return Err(Rejection::Invalid("Repository already exists".to_owned()));
    }
    if !names::is_repository(&path.name, state.flags.extended_names) {
        return Err(Rejection::Invalid("Invalid repository name".to_owned()));
    }
    if !state.is_namespace(namespace) {
        return Err(Rejection::Crash);
    }
    state.add_repository(
        &path,
        owner,
        body["visibility"] == "public",
        body["description"].as_str(),
    );
    Ok(responses::created(json!({"namespace": path.namespace, "name": path.name, "kind": "image"})))
}

/// `GET /api/v1/repository` (wire/355-364, wire/458, wire/484, wire/510): what the caller may see of a namespace, whether or not there is
/// such a namespace, in the order of creation.
pub(crate) fn list(state: &State, call: &Call) -> Answer {
    let namespace = call.param("namespace").filter(|namespace| !namespace.is_empty());
    let public = call.switch("public", false);
    let starred = call.switch("starred", false);
    if namespace.is_none() && !public && !starred {
        let message = "namespace, starred or public are required for this API call";
        return Err(Rejection::Invalid(message.to_owned()));
    }
    let found = if starred { Vec::new() } else { state.visible(call, namespace, public) };
    let found = found.into_iter().map(|(path, repository)| (repository.id, (path, repository)));
    let (found, next) = pages::page(found.collect(), call.param("next_page"), PAGE);
    let last_modified = call.switch("last_modified", false);
    let views: Vec<Value> = found
        .into_iter()
        .map(|(path, repository)| {
            let mut view = json!({
                "namespace": path.namespace,
                "name": path.name,
                "description": repository.description,
                "is_public": repository.public,
                "kind": "image",
                "state": "NORMAL",
            });
            if last_modified {
                view["last_modified"] = json!(repository.last_modified().map(Timestamp::as_second));
            }
            if !call.caller.is_anonymous() {
                view["is_starred"] = json!(false);
            }
            view
        })
        .collect();
    let mut answer = json!({"repositories": views});
    if let Some(next) = next {
        answer["next_page"] = json!(next);
    }
    Ok(responses::ok(answer))
}

/// `GET /api/v1/repository/<path>` (wire/330-339, wire/457, wire/483, wire/525, wire/526, wire/667).
pub(crate) fn get(state: &State, call: &Call, path: &RepoPath) -> Answer {
    let caller = &call.caller;
    if !state.may_read(caller, path) {
        return Err(Rejection::Unauthorized);
    }
    let repository = state.repositories.get(path).ok_or(Rejection::NotFound)?;
    let organization = state.organizations.get(&path.namespace);
    let role = state.repository_role(caller, path);
    let has_full_access = state.has_full_access(caller);
    let mut view = json!({
        "namespace": path.namespace,
        "name": path.name,
        "kind": "image",
        "description": repository.description,
        "is_public": repository.public,
        "is_organization": organization.is_some(),
        "is_starred": false,
        "status_token": if repository.public { "" } else { &repository.status_token },
        "trust_enabled": false,
        "tag_expiration_s": organization.map_or(TAG_EXPIRATION_S, |found| found.tag_expiration_s),
        "is_free_account": true,
        "state": "NORMAL",
        "can_write": role >= Some(RepoRole::Write) || has_full_access,
        "can_admin": role == Some(RepoRole::Admin) || has_full_access || state.is_readonly_superuser(caller),
    });
    if call.switch("includeTags", true) {
        view["tags"] = repository.tags_view();
    }
    Ok(responses::ok(view))
}

/// `PUT /api/v1/repository/<path>` (wire/340-343): the description.
pub(crate) fn update(state: &mut State, call: &Call, path: &RepoPath) -> Answer {
    require(state, call, RepoRole::Write, path)?;
    let body = call.json(&UPDATE)?;
    let repository = state.repositories.get_mut(path).ok_or(Rejection::NotFound)?;
    repository.description = body["description"].as_str().map(str::to_owned);
    Ok(responses::ok(json!({"success": true})))
}

/// `POST …/changevisibility` (wire/344-348): a missing repository is a success of nothing.
pub(crate) fn change_visibility(state: &mut State, call: &Call, path: &RepoPath) -> Answer {
    require(state, call, RepoRole::Admin, path)?;
    let body = call.json(&CHANGE_VISIBILITY)?;
    let Some(repository) = state.repositories.get_mut(path) else {
        return Ok(responses::ok(Value::Null));
    };
    repository.public = body["visibility"] == "public";
    Ok(responses::ok(json!({"success": true})))
}

/// `DELETE /api/v1/repository/<path>` (wire/350-354, wire/528): a missing repository is deleted as well.
pub(crate) fn delete(state: &mut State, call: &Call, path: &RepoPath) -> Answer {
    require(state, call, RepoRole::Admin, path)?;
    if !state.is_namespace(&path.namespace) {
        return Err(Rejection::Crash);
    }
    state.delete_repository(path);
    Ok(responses::no_content())
}

/// `GET …/tag/` (wire/365-368, wire/482): the tags that are alive, newest first.
pub(crate) fn tags(state: &State, call: &Call, path: &RepoPath) -> Answer {
    if !state.may_read(&call.caller, path) {
        return Err(Rejection::Unauthorized);
    }
    let repository = state.repositories.get(path).ok_or(Rejection::NotFound)?;
    let wanted = call.param("specificTag").filter(|tag| !tag.is_empty());
    let mut tags: Vec<_> =
        repository.tags.iter().filter(|(name, _)| wanted.is_none_or(|w| w == *name)).collect();
    tags.sort_by_key(|(_, tag)| std::cmp::Reverse(tag.start));
    let limit = call.number("limit").unwrap_or(50).clamp(1, 100);
    let page = call.number("page").unwrap_or(1).max(1);
    let seen = limit.saturating_mul(page - 1);
    let has_additional = tags.len() > seen.saturating_add(limit);
    let views: Vec<Value> = tags
        .into_iter()
        .skip(seen)
        .take(limit)
        .map(|(name, tag)| {
            json!({
                "name": name,
                "reversion": false,
                "start_ts": tag.start.as_second(),
                "manifest_digest": tag.digest,
                "is_manifest_list": false,
                "size": tag.size,
                "last_modified": responses::date(tag.start),
            })
        })
        .collect();
    Ok(responses::ok(json!({"tags": views, "page": page, "has_additional": has_additional})))
}

/// Rejects a caller without `role` on the repository.
pub(crate) fn require(
    state: &State,
    call: &Call,
    role: RepoRole,
    path: &RepoPath,
) -> Result<(), Rejection> {
    if state.is_allowed(&call.caller, role, path) { Ok(()) } else { Err(Rejection::Unauthorized) }
}

impl State {
    /// An owner of repositories: a user or an organization.
    pub(crate) fn is_namespace(&self, name: &str) -> bool {
        self.organizations.contains_key(name) || self.users.contains_key(name)
    }

    /// The repositories a list shows: those the caller has any right on, whatever the scopes, and on request the
    /// public ones (`filter_to_repos_for_user` of `data/model/_basequery.py`).
    fn visible(
        &self,
        call: &Call,
        namespace: Option<&str>,
        public: bool,
    ) -> Vec<(&RepoPath, &Repository)> {
        let all = self.is_readonly_superuser(&call.caller) || self.has_full_access(&call.caller);
        let mut found = match namespace {
            Some(namespace) => self.repositories_of(namespace),
            None => self.repositories.iter().collect(),
        };
        found.retain(|(path, repository)| {
            all || public && repository.public
                || call.caller.name().is_some_and(|name| self.has_right(name, path))
        });
        found.sort_by_key(|(_, repository)| repository.id);
        found
    }

    /// True if a user or robot has any right on a repository, in person, by a team, or as an administrator.
    pub(crate) fn has_right(&self, name: &str, path: &RepoPath) -> bool {
        self.permission(path, name).is_some()
            || self.organizations.get(&path.namespace).is_some_and(|organization| {
                organization.teams_of(name).any(|team| {
                    team.role == TeamRole::Admin || team.repositories.contains_key(path)
                })
            })
    }
}

impl Repository {
    /// The time of its newest tag.
    fn last_modified(&self) -> Option<Timestamp> {
        self.tags.values().map(|tag| tag.start).max()
    }

    fn tags_view(&self) -> Value {
        let tags = self.tags.iter().map(|(name, tag)| {
            let view = json!({
                "name": name,
                "size": tag.size,
                "last_modified": responses::date(tag.start),
                "manifest_digest": tag.digest,
            });
            (name.clone(), view)
        });
        Value::Object(tags.collect::<Map<String, Value>>())
    }
}
