//! Tables of Quay: users, tokens, organizations with their robots, teams and default permissions,
//! repositories with their tags.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::names::RepoPath;
use super::roles::{RepoRole, TeamRole};

/// A person.
pub(crate) struct User {
    pub(crate) id: u64,
    pub(crate) email: String,
    pub(crate) password: String,
    pub(crate) superuser: bool,
    /// Since the last time the password was right.
    pub(crate) wrong_passwords: u32,
    /// Until when no password is even looked at.
    pub(crate) retry_at: Option<Timestamp>,
}

/// An OAuth access token: it acts as its user, within its scopes.
pub(crate) struct Token {
    pub(crate) id: u64,
    pub(crate) uuid: String,
    pub(crate) user: String,
    /// The client id of its application; a test's token may have come out of nowhere.
    pub(crate) application: Option<String>,
    /// Only a token made by the JSON API has one (wire/084).
    pub(crate) name: Option<String>,
    /// Scopes as they were asked for.
    pub(crate) scope: String,
    pub(crate) created: Timestamp,
    pub(crate) expires: Timestamp,
}

pub(crate) struct NewToken<'a> {
    pub(crate) user: &'a str,
    pub(crate) scope: &'a str,
    pub(crate) lifetime: Duration,
    pub(crate) application: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
}

/// An OAuth application of an organization, kept by its client id.
pub(crate) struct Application {
    pub(crate) id: u64,
    /// Or the user, for the one that comes with the first user.
    pub(crate) organization: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) application_uri: String,
    /// The beginning of allowed targets of tokens; empty for Quay only.
    pub(crate) redirect_uri: String,
    pub(crate) avatar_email: Option<String>,
    pub(crate) client_secret: String,
}

pub(crate) struct Organization {
    pub(crate) id: u64,
    /// By default a UUID (wire/432).
    pub(crate) email: String,
    pub(crate) invoice_email: bool,
    pub(crate) invoice_email_address: Option<String>,
    pub(crate) tag_expiration_s: u64,
    /// By short name.
    pub(crate) robots: BTreeMap<String, Robot>,
    /// In the order they were created.
    pub(crate) teams: Vec<Team>,
    /// In the order they were created; duplicates are possible (wire/252).
    pub(crate) prototypes: Vec<Prototype>,
}

pub(crate) struct Robot {
    pub(crate) id: u64,
    pub(crate) token: String,
    pub(crate) description: String,
    /// `unstructured_metadata`, an object.
    pub(crate) metadata: Value,
    pub(crate) created: Timestamp,
    /// The last login to the registry.
    pub(crate) last_accessed: Option<Timestamp>,
}

pub(crate) struct Team {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) role: TeamRole,
    /// Users and robots, in the order they joined.
    pub(crate) members: Vec<String>,
    pub(crate) repositories: BTreeMap<RepoPath, RepoRole>,
}

/// A default permission.
pub(crate) struct Prototype {
    pub(crate) id: String,
    pub(crate) role: RepoRole,
    /// Only repositories created by this user, if set.
    pub(crate) activating_user: Option<String>,
    pub(crate) delegate: Delegate,
}

/// The grantee of a default permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Delegate {
    /// A user, or a robot by its full name: Quay says `kind: user` for both (wire/251).
    User(String),
    /// A team of the same organization.
    Team(String),
}

pub(crate) struct Repository {
    pub(crate) id: u64,
    pub(crate) public: bool,
    /// `None` for a repository that was created by a push (wire/484).
    pub(crate) description: Option<String>,
    pub(crate) status_token: String,
    pub(crate) tags: BTreeMap<String, Tag>,
    /// Blobs by digest.
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    /// Blobs that are being pushed, by the uploads' identifiers.
    pub(crate) uploads: BTreeMap<String, Vec<u8>>,
}

/// A tag and the manifest it points to.
pub(crate) struct Tag {
    pub(crate) manifest: String,
    pub(crate) media_type: String,
    pub(crate) digest: String,
    /// The sum of its layers, in bytes.
    pub(crate) size: u64,
    pub(crate) start: Timestamp,
}

impl Token {
    pub(crate) fn is_valid(&self) -> bool {
        self.expires > Timestamp::now()
    }
}

impl<'a> NewToken<'a> {
    /// A token that lives ten years, the longest and the usual (wire/048, wire/080).
    pub(crate) fn new(user: &'a str, scope: &'a str) -> NewToken<'a> {
        const TEN_YEARS: Duration = Duration::from_secs(315_576_000);
        NewToken { user, scope, lifetime: TEN_YEARS, application: None, name: None }
    }
}

impl Organization {
    pub(crate) fn team(&self, name: &str) -> Option<&Team> {
        self.teams.iter().find(|team| team.name == name)
    }

    pub(crate) fn team_mut(&mut self, name: &str) -> Option<&mut Team> {
        self.teams.iter_mut().find(|team| team.name == name)
    }

    /// Adds a user to the first team that administers the organization.
    pub(crate) fn add_admin(&mut self, user: &str) {
        let mut teams = self.teams.iter_mut();
        if let Some(team) = teams.find(|team| team.role == TeamRole::Admin)
            && !team.has(user)
        {
            team.members.push(user.to_owned());
        }
    }

    /// The teams a user or robot belongs to.
    pub(crate) fn teams_of<'a>(&'a self, member: &'a str) -> impl Iterator<Item = &'a Team> {
        self.teams.iter().filter(move |team| team.has(member))
    }
}

impl Team {
    pub(crate) fn new(name: &str, role: TeamRole, description: &str) -> Team {
        Team {
            name: name.to_owned(),
            description: description.to_owned(),
            role,
            members: Vec::new(),
            repositories: BTreeMap::new(),
        }
    }

    pub(crate) fn has(&self, member: &str) -> bool {
        self.members.iter().any(|name| name == member)
    }
}

/// A robot's full name.
pub(crate) fn robot_name(organization: &str, short: &str) -> String {
    format!("{organization}+{short}")
}
