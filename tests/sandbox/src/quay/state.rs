//! The state of this Quay, and the changes that keep it consistent. Permissions are not checked
//! here.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::flags::{Flags, Release};
use super::names::RepoPath;
use super::random;
use super::roles::{RepoRole, TeamRole};
use super::sessions::Session;
use super::tables::{
    Application, Delegate, NewToken, Organization, Prototype, Repository, Robot, Team, Token, User,
    robot_name,
};

/// Two weeks, what every new namespace starts with (wire/180).
const TAG_EXPIRATION_S: u64 = 1_209_600;
/// The minimal interval between updates of `last_accessed` (`LAST_ACCESSED_UPDATE_THRESHOLD_S`).
const ACCESS_THRESHOLD_S: i64 = 120;

/// Everything behind the lock.
pub(crate) struct State {
    /// `PREFERRED_URL_SCHEME://SERVER_HOSTNAME`, without a trailing slash.
    pub(crate) url: String,
    pub(crate) flags: Flags,
    pub(crate) users: BTreeMap<String, User>,
    /// OAuth access tokens by their text.
    pub(crate) tokens: BTreeMap<String, Token>,
    /// Browser sessions by their cookies.
    pub(crate) sessions: BTreeMap<String, Session>,
    /// OAuth applications by their client ids.
    pub(crate) applications: BTreeMap<String, Application>,
    pub(crate) organizations: BTreeMap<String, Organization>,
    /// Names of deleted organizations whose data is not collected yet.
    pub(crate) deleted_namespaces: BTreeSet<String>,
    pub(crate) repositories: BTreeMap<RepoPath, Repository>,
    /// Permissions on repositories by user or robot; those of teams are in the team.
    pub(crate) permissions: BTreeMap<String, BTreeMap<RepoPath, RepoRole>>,
    /// The services that `/health/instance` finds broken.
    pub(crate) down: BTreeSet<String>,
    /// Every secret there ever was, valid or not.
    pub(crate) secrets: BTreeSet<String>,
    last_id: u64,
}

impl State {
    pub(crate) fn new() -> State {
        State {
            url: "https://quay.invalid".to_owned(),
            flags: Flags::default(),
            users: BTreeMap::new(),
            tokens: BTreeMap::new(),
            sessions: BTreeMap::new(),
            applications: BTreeMap::new(),
            organizations: BTreeMap::new(),
            deleted_namespaces: BTreeSet::new(),
            repositories: BTreeMap::new(),
            permissions: BTreeMap::new(),
            down: BTreeSet::new(),
            secrets: BTreeSet::new(),
            last_id: 0,
        }
    }

    /// `SERVER_HOSTNAME`: host and port.
    pub(crate) fn host(&self) -> &str {
        self.url.split_once("://").map_or(self.url.as_str(), |(_, host)| host)
    }

    pub(crate) fn add_user(&mut self, name: &str, superuser: bool) {
        let user = User {
            id: self.next_id(),
            email: format!("{name}@example.com"),
            password: self.secret(random::token(24)),
            superuser,
            wrong_passwords: 0,
            retry_at: None,
        };
        self.users.insert(name.to_owned(), user);
    }

    /// Deletes a user with all credentials.
    pub(crate) fn delete_user(&mut self, name: &str) {
        self.users.remove(name);
        self.tokens.retain(|_, token| token.user != name);
        self.sessions.retain(|_, session| session.user.as_deref() != Some(name));
        self.permissions.remove(name);
    }

    /// A new OAuth token; returns it with its text.
    pub(crate) fn add_token(&mut self, new: NewToken) -> (&Token, String) {
        let text = self.secret(random::token(40));
        let now = Timestamp::now();
        let token = Token {
            id: self.next_id(),
            uuid: random::uuid(),
            user: new.user.to_owned(),
            application: new.application.map(str::to_owned),
            name: new.name.map(str::to_owned),
            scope: new.scope.to_owned(),
            created: now,
            expires: now + new.lifetime,
        };
        (self.tokens.entry(text.clone()).or_insert(token), text)
    }

    /// The tokens of an application.
    pub(crate) fn tokens_of<'a>(&'a self, client_id: &'a str) -> impl Iterator<Item = &'a Token> {
        self.tokens.values().filter(move |token| token.application.as_deref() == Some(client_id))
    }

    /// Remembers that this is a secret.
    pub(crate) fn secret(&mut self, text: String) -> String {
        self.secrets.insert(text.clone());
        text
    }

    /// A new organization whose team `owners` holds `owner`.
    pub(crate) fn add_organization(&mut self, name: &str, email: Option<&str>, owner: &str) {
        let organization = Organization {
            id: self.next_id(),
            email: email.map_or_else(random::uuid, str::to_owned),
            invoice_email: false,
            invoice_email_address: None,
            tag_expiration_s: TAG_EXPIRATION_S,
            robots: BTreeMap::new(),
            teams: vec![Team {
                members: vec![owner.to_owned()],
                ..Team::new("owners", TeamRole::Admin, "")
            }],
            prototypes: Vec::new(),
        };
        self.organizations.insert(name.to_owned(), organization);
    }

    /// Deletes an organization with its content. Its name remains reserved in development releases (wire/196).
    pub(crate) fn delete_organization(&mut self, name: &str) {
        let Some(organization) = self.organizations.remove(name) else {
            return;
        };
        for short in organization.robots.keys() {
            self.forget(&robot_name(name, short));
        }
        let applications: Vec<String> = self
            .applications_of(name)
            .into_iter()
            .map(|(client_id, _)| client_id.clone())
            .collect();
        for client_id in &applications {
            self.delete_application(client_id);
        }
        self.repositories.retain(|path, _| path.namespace != name);
        for roles in self.permissions.values_mut() {
            roles.retain(|path, _| path.namespace != name);
        }
        if self.flags.release == Release::Master {
            self.deleted_namespaces.insert(name.to_owned());
        }
    }

    /// True while the name of a deleted organization is reserved.
    pub(crate) fn is_being_collected(&self, name: &str) -> bool {
        !self.flags.namespace_gc && self.deleted_namespaces.contains(name)
    }

    /// Gives the organization a new robot and returns its token. `None` if there is no such organization.
    pub(crate) fn add_robot(
        &mut self,
        organization: &str,
        short: &str,
        description: &str,
        metadata: Value,
    ) -> Option<String> {
        let (id, token) = (self.next_id(), self.secret(random::token(64)));
        let organization = self.organizations.get_mut(organization)?;
        let robot = Robot {
            id,
            token: token.clone(),
            description: description.to_owned(),
            metadata,
            created: Timestamp::now(),
            last_accessed: None,
        };
        organization.robots.insert(short.to_owned(), robot);
        Some(token)
    }

    /// Gives a robot a new token and returns it; the old one no longer logs in. `None` if there is no such robot.
    pub(crate) fn regenerate(&mut self, organization: &str, short: &str) -> Option<String> {
        let token = self.secret(random::token(64));
        let robot = self.organizations.get_mut(organization)?.robots.get_mut(short)?;
        robot.token.clone_from(&token);
        Some(token)
    }

    /// Deletes a robot with its default permissions, permissions and memberships (wire/611, wire/612). `false` if absent.
    pub(crate) fn delete_robot(&mut self, organization: &str, short: &str) -> bool {
        let removed = self
            .organizations
            .get_mut(organization)
            .and_then(|organization| organization.robots.remove(short));
        if removed.is_some() {
            self.forget(&robot_name(organization, short));
        }
        removed.is_some()
    }

    /// Removes every mention of a robot that is gone, in whichever organization.
    fn forget(&mut self, robot: &str) {
        self.permissions.remove(robot);
        let delegate = Delegate::User(robot.to_owned());
        for organization in self.organizations.values_mut() {
            organization.prototypes.retain(|prototype| prototype.delegate != delegate);
            for team in &mut organization.teams {
                team.members.retain(|member| member != robot);
            }
        }
    }

    pub(crate) fn add_prototype(&mut self, organization: &str, prototype: Prototype) {
        if let Some(organization) = self.organizations.get_mut(organization) {
            organization.prototypes.push(prototype);
        }
    }

    /// Creates a repository: its creator gets admin, everyone else what the default permissions of this
    /// moment say (wire/302, wire/384, wire/385, wire/496).
    pub(crate) fn add_repository(
        &mut self,
        path: &RepoPath,
        creator: &str,
        public: bool,
        description: Option<&str>,
    ) {
        let repository = Repository {
            id: self.next_id(),
            public,
            description: description.map(str::to_owned),
            status_token: random::uuid(),
            tags: BTreeMap::new(),
            blobs: BTreeMap::new(),
            uploads: BTreeMap::new(),
        };
        self.repositories.insert(path.clone(), repository);
        self.set_permission(path, creator, Some(RepoRole::Admin));
        for (delegate, role) in self.default_permissions(&path.namespace, creator) {
            match delegate {
                Delegate::User(name) if name == creator => {}
                Delegate::User(name) => self.set_permission(path, &name, Some(role)),
                Delegate::Team(name) => {
                    if let Some(team) = self.team_mut(&path.namespace, &name) {
                        team.repositories.insert(path.clone(), role);
                    }
                }
            }
        }
    }

    /// One role per delegate: of several default permissions the first wins, unless a later one names the
    /// creator (`__apply_permission_list` of `data/model/permission.py`; 302, 629).
    fn default_permissions(&self, organization: &str, creator: &str) -> Vec<(Delegate, RepoRole)> {
        let mut chosen: Vec<(Delegate, RepoRole)> = Vec::new();
        let prototypes = self.organizations.get(organization).map(|o| o.prototypes.as_slice());
        for prototype in prototypes.unwrap_or_default() {
            if prototype.activating_user.as_deref().is_some_and(|user| user != creator) {
                continue;
            }
            match chosen.iter_mut().find(|(delegate, _)| *delegate == prototype.delegate) {
                None => chosen.push((prototype.delegate.clone(), prototype.role)),
                Some(taken) if prototype.activating_user.is_some() => taken.1 = prototype.role,
                Some(_) => {}
            }
        }
        chosen
    }

    pub(crate) fn delete_repository(&mut self, path: &RepoPath) {
        self.repositories.remove(path);
        for roles in self.permissions.values_mut() {
            roles.remove(path);
        }
        if let Some(organization) = self.organizations.get_mut(&path.namespace) {
            for team in &mut organization.teams {
                team.repositories.remove(path);
            }
        }
    }

    /// Sets or takes away what a user or robot may do with a repository.
    pub(crate) fn set_permission(&mut self, path: &RepoPath, who: &str, role: Option<RepoRole>) {
        let roles = self.permissions.entry(who.to_owned()).or_default();
        match role {
            Some(role) => roles.insert(path.clone(), role),
            None => roles.remove(path),
        };
    }

    /// The right a user or robot has been given on a repository in person.
    pub(crate) fn permission(&self, path: &RepoPath, who: &str) -> Option<RepoRole> {
        self.permissions.get(who)?.get(path).copied()
    }

    /// All direct permissions of a user or robot.
    pub(crate) fn permissions_of(&self, who: &str) -> impl Iterator<Item = (&RepoPath, RepoRole)> {
        let roles = self.permissions.get(who).into_iter().flatten();
        roles.map(|(path, role)| (path, *role))
    }

    /// The repositories of a namespace, in the order they were created.
    pub(crate) fn repositories_of(&self, namespace: &str) -> Vec<(&RepoPath, &Repository)> {
        let mut found: Vec<_> = self
            .repositories
            .range(RepoPath::new(namespace, "")..)
            .take_while(|(path, _)| path.namespace == namespace)
            .collect();
        found.sort_by_key(|(_, repository)| repository.id);
        found
    }

    pub(crate) fn robot(&self, organization: &str, short: &str) -> Option<&Robot> {
        self.organizations.get(organization)?.robots.get(short)
    }

    /// A robot by its full name.
    pub(crate) fn robot_named(&self, name: &str) -> Option<&Robot> {
        let (organization, short) = name.split_once('+')?;
        self.robot(organization, short)
    }

    /// True if a user or a robot has this name. Organizations do not count (`get_user` of `data/model/user.py`).
    pub(crate) fn is_user(&self, name: &str) -> bool {
        self.users.contains_key(name) || self.robot_named(name).is_some()
    }

    /// Remembers that a robot has logged in.
    pub(crate) fn touch_robot(&mut self, organization: &str, short: &str) {
        let now = Timestamp::now();
        if let Some(robot) = self
            .organizations
            .get_mut(organization)
            .and_then(|organization| organization.robots.get_mut(short))
            && robot
                .last_accessed
                .is_none_or(|last| now.as_second() - last.as_second() >= ACCESS_THRESHOLD_S)
        {
            robot.last_accessed = Some(now);
        }
    }

    pub(crate) fn team_mut(&mut self, organization: &str, team: &str) -> Option<&mut Team> {
        self.organizations.get_mut(organization)?.team_mut(team)
    }

    /// Numbers everything that is created, so that lists can keep that order.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}
