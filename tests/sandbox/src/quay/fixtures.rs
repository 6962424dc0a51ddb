//! Arranging what a [`Quay`] holds and looking at it, past its API: no checks, no requests counted.

mod access;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::json;

use super::Quay;
use super::flags::Flags;
use super::names::RepoPath;
use super::push::digest;
use super::random;
use super::roles::{RepoRole, TeamRole};
use super::scopes;
use super::state::State;
use super::tables::{Delegate, NewToken, Prototype, Tag, Team};

pub use access::{ApplicationView, TokenView};

/// The superuser every new [`Quay`] has.
const ADMIN: &str = "quayadmin";
/// The plain user every new [`Quay`] has.
const PLAIN_USER: &str = "alice";

/// A robot account as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RobotView {
    /// The name within its organization.
    pub short: String,
    /// Its description.
    pub description: String,
    /// The token that logs it in now.
    pub token: String,
}

/// A default permission as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrototypeView {
    /// Its name in the API.
    pub id: String,
    /// A robot's or user's full name, or a team's name.
    pub delegate: String,
    /// The delegate's role on new repositories.
    pub role: RepoRole,
}

impl Default for Quay {
    fn default() -> Self {
        Quay::new()
    }
}

impl Quay {
    /// A Quay with default settings, the superuser `quayadmin`, who has a token of all scopes, and the plain
    /// user `alice`.
    pub fn new() -> Quay {
        let mut state = State::new();
        state.add_user(ADMIN, true);
        state.add_user(PLAIN_USER, false);
        let (_, admin_token) = state.add_token(NewToken::new(ADMIN, scopes::ALL));
        Quay { state: Arc::new(Mutex::new(state)), admin_token: admin_token.into() }
    }

    /// The token of `quayadmin` with all eight scopes, the same for the whole life of this Quay.
    pub fn admin_token(&self) -> String {
        self.admin_token.to_string()
    }

    /// Changes its settings, as an administrator would with a restart.
    pub fn set_flags(&self, change: impl FnOnce(&mut Flags)) {
        change(&mut self.state().flags);
    }

    /// Makes it as empty as on its first day: no users, so no organizations and no tokens. Settings stay.
    pub fn empty(&self) {
        let mut state = self.state();
        let old = std::mem::replace(&mut *state, State::new());
        (state.url, state.flags, state.secrets) = (old.url, old.flags, old.secrets);
    }

    /// Lets `/health/instance` find these services broken, e.g. `database`; without any, none.
    pub fn set_down(&self, services: &[&str]) {
        self.state().down = services.iter().map(|service| (*service).to_owned()).collect();
    }

    /// An organization that `owner` administers.
    pub fn add_organization(&self, name: &str, owner: &str) {
        self.state().add_organization(name, None, owner);
    }

    /// A robot of an organization; returns its token. `None` if there is no such organization.
    pub fn add_robot(&self, organization: &str, short: &str, description: &str) -> Option<String> {
        self.state().add_robot(organization, short, description, json!({}))
    }

    /// Gives a robot a new token behind everybody's back and returns it. `None` if there is no such robot.
    pub fn regenerate(&self, organization: &str, short: &str) -> Option<String> {
        self.state().regenerate(organization, short)
    }

    /// A default permission for a robot or user by full name; returns its identifier.
    pub fn add_prototype(&self, organization: &str, delegate: &str, role: RepoRole) -> String {
        let id = random::uuid();
        let prototype = Prototype {
            id: id.clone(),
            role,
            activating_user: None,
            delegate: Delegate::User(delegate.to_owned()),
        };
        self.state().add_prototype(organization, prototype);
        id
    }

    /// A private repository that `creator` made; the default permissions of this moment apply to it.
    pub fn add_repository(&self, organization: &str, name: &str, creator: &str) {
        let path = RepoPath::new(organization, name);
        self.state().add_repository(&path, creator, false, Some(""));
    }

    /// Makes a repository public or private.
    pub fn set_public(&self, organization: &str, name: &str, public: bool) {
        let path = RepoPath::new(organization, name);
        if let Some(repository) = self.state().repositories.get_mut(&path) {
            repository.public = public;
        }
    }

    /// Sets or takes away the right of a robot or user, by full name, on a repository.
    pub fn set_permission(
        &self,
        organization: &str,
        repository: &str,
        who: &str,
        role: Option<RepoRole>,
    ) {
        let path = RepoPath::new(organization, repository);
        self.state().set_permission(&path, who, role);
    }

    /// Pushes an image of one small layer; returns the manifest's digest. `None` if there is no such repository.
    pub fn push_tag(&self, organization: &str, repository: &str, tag: &str) -> Option<String> {
        let pushed = small_image();
        let digest = pushed.digest.clone();
        let path = RepoPath::new(organization, repository);
        let mut state = self.state();
        state.repositories.get_mut(&path)?.tags.insert(tag.to_owned(), pushed);
        Some(digest)
    }

    /// A team with these members, users or robots by full name.
    pub fn add_team(&self, organization: &str, name: &str, role: TeamRole, members: &[&str]) {
        if let Some(organization) = self.state().organizations.get_mut(organization) {
            let mut team = Team::new(name, role, "");
            team.members = members.iter().map(|member| (*member).to_owned()).collect();
            organization.teams.push(team);
        }
    }

    /// Sets what a team's description says.
    pub fn describe_team(&self, organization: &str, name: &str, description: &str) {
        let mut state = self.state();
        let teams = state.organizations.get_mut(organization).map(|found| &mut found.teams);
        if let Some(team) = teams.into_iter().flatten().find(|team| team.name == name) {
            team.description = description.to_owned();
        }
    }

    /// The names of all organizations.
    pub fn organizations(&self) -> Vec<String> {
        self.state().organizations.keys().cloned().collect()
    }

    /// The robots of an organization, by name.
    pub fn robots(&self, organization: &str) -> Vec<RobotView> {
        let state = self.state();
        let robots = state.organizations.get(organization).map(|found| &found.robots);
        let robots = robots.into_iter().flatten();
        robots
            .map(|(short, robot)| RobotView {
                short: short.clone(),
                description: robot.description.clone(),
                token: robot.token.clone(),
            })
            .collect()
    }

    /// The token that logs a robot in now.
    pub fn robot_token(&self, organization: &str, short: &str) -> Option<String> {
        self.state().robot(organization, short).map(|robot| robot.token.clone())
    }

    /// The names of an organization's repositories, in the order they were created.
    pub fn repositories(&self, organization: &str) -> Vec<String> {
        let state = self.state();
        let found = state.repositories_of(organization).into_iter();
        found.map(|(path, _)| path.name.clone()).collect()
    }

    /// The default permissions of an organization, in the order they were created.
    pub fn prototypes(&self, organization: &str) -> Vec<PrototypeView> {
        let state = self.state();
        let prototypes = state.organizations.get(organization).map(|found| &found.prototypes);
        let prototypes = prototypes.into_iter().flatten();
        prototypes
            .map(|prototype| PrototypeView {
                id: prototype.id.clone(),
                delegate: match &prototype.delegate {
                    Delegate::User(name) | Delegate::Team(name) => name.clone(),
                },
                role: prototype.role,
            })
            .collect()
    }

    /// Who has which right on a repository, robots and users by full name.
    pub fn permissions(&self, organization: &str, repository: &str) -> BTreeMap<String, RepoRole> {
        let path = RepoPath::new(organization, repository);
        let state = self.state();
        let permissions = state.permissions.iter();
        permissions.filter_map(|(name, roles)| Some((name.clone(), *roles.get(&path)?))).collect()
    }

    /// The teams of an organization with their roles, in the order they were created.
    pub fn teams(&self, organization: &str) -> Vec<(String, TeamRole)> {
        let state = self.state();
        let teams = state.organizations.get(organization).map(|found| &found.teams);
        let teams = teams.into_iter().flatten();
        teams.map(|team| (team.name.clone(), team.role)).collect()
    }
}

/// An OCI image whose layer is the size of the recorded one (wire/482).
fn small_image() -> Tag {
    const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
    const LAYER_BYTES: u64 = 105;
    let digest = |data: &str| digest(data.as_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MEDIA_TYPE,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "size": 223,
            "digest": digest(&random::uuid()),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "size": LAYER_BYTES,
            "digest": digest(&random::uuid()),
        }],
    })
    .to_string();
    Tag {
        digest: digest(&manifest),
        manifest,
        media_type: MEDIA_TYPE.to_owned(),
        size: LAYER_BYTES,
        start: Timestamp::now(),
    }
}
