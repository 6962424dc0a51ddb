//! Which endpoint a path means. The one place that knows Quay's paths, for answering and for counting alike.

use axum::http::{Method, Uri};

use super::flags::{Flags, Release};
use super::names::RepoPath;

/// An endpoint, with the names its path gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Health,
    Config,
    Discovery,
    ErrorType(String),
    User,
    Csrf,
    SignIn,
    SignOut,
    Initialize,
    Authorize,
    AuthorizeApp,
    DenyApp,
    Organizations,
    Organization(String),
    Members(String),
    Applications(String),
    Application(String, String),
    ApplicationTokens(String, String),
    ApplicationToken(String, String, String),
    Robots(String),
    Robot(String, String),
    RobotPermissions(String, String),
    RobotRegenerate(String, String),
    Prototypes(String),
    Prototype(String, String),
    Team(String, String),
    TeamMembers(String, String),
    TeamMember(String, String, String),
    Repositories,
    Repository(RepoPath),
    Visibility(RepoPath),
    Tags(RepoPath),
    UserPermissions(RepoPath),
    UserPermission(RepoPath, String),
    TeamPermissions(RepoPath),
    SuperuserUsers,
    SuperuserOrganizations,
    SuperuserOrganization(String),
    TakeOwnership(String),
    RegistryPing,
    RegistryAuth,
    Catalog,
    TagNames(RepoPath),
    Manifest(RepoPath, String),
    Blob(RepoPath, String),
    Uploads(RepoPath),
    Upload(RepoPath, String),
}

/// A stable name for the kind of a request to Quay, to count by: the method and what the path means, without
/// the names in it. `GET robots` lists them, `GET robot`, `PUT robot` and so on are about one; a `POST` that
/// creates something is named after it (`POST prototype`); `GET auth` fetches a registry token. What is not
/// an endpoint is `GET other`.
pub fn classify(method: &Method, uri: &Uri) -> String {
    let kind = match Endpoint::parse(uri.path()) {
        Some(endpoint) if method == Method::POST => endpoint.created(),
        Some(endpoint) => endpoint.kind(),
        None => "other",
    };
    format!("{method} {kind}")
}

impl Endpoint {
    /// The endpoint at `path`, still percent-encoded. A trailing slash where none belongs, or a missing one,
    /// means none (wire/161, wire/681, wire/682).
    pub(crate) fn parse(path: &str) -> Option<Endpoint> {
        // Quay's web server decodes before it splits, so an encoded slash is a slash.
        let path = decode(path.strip_prefix('/')?);
        let segments: Vec<&str> = path.split('/').collect();
        match segments.as_slice() {
            ["health", "instance"] => Some(Endpoint::Health),
            ["config"] => Some(Endpoint::Config),
            ["csrf_token"] => Some(Endpoint::Csrf),
            ["oauth", "authorize"] => Some(Endpoint::Authorize),
            ["oauth", "authorizeapp"] => Some(Endpoint::AuthorizeApp),
            ["oauth", "denyapp"] => Some(Endpoint::DenyApp),
            ["api", "v1", api @ ..] => api_endpoint(api),
            ["v2", registry @ ..] => registry_endpoint(registry),
            _ => None,
        }
    }

    /// True if a Quay of this release and with these settings has the endpoint at all.
    pub(crate) fn exists(&self, flags: &Flags) -> bool {
        match self {
            Endpoint::SignIn => flags.direct_login,
            Endpoint::ApplicationTokens(..) | Endpoint::ApplicationToken(..) => {
                flags.release >= Release::V3_18
            }
            _ => true,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Endpoint::Health => "health",
            Endpoint::Config => "config",
            Endpoint::Discovery => "discovery",
            Endpoint::ErrorType(_) => "error",
            Endpoint::User => "user",
            Endpoint::Csrf => "csrf",
            Endpoint::SignIn => "signin",
            Endpoint::SignOut => "signout",
            Endpoint::Initialize => "initialize",
            Endpoint::Authorize => "authorize",
            Endpoint::AuthorizeApp => "authorizeapp",
            Endpoint::DenyApp => "denyapp",
            Endpoint::Organizations => "organizations",
            Endpoint::Organization(_) => "organization",
            Endpoint::Members(_) => "members",
            Endpoint::Applications(_) => "applications",
            Endpoint::Application(..) => "application",
            Endpoint::ApplicationTokens(..) => "application tokens",
            Endpoint::ApplicationToken(..) => "application token",
            Endpoint::Robots(_) => "robots",
            Endpoint::Robot(..) => "robot",
            Endpoint::RobotPermissions(..) => "robot permissions",
            Endpoint::RobotRegenerate(..) => "robot regenerate",
            Endpoint::Prototypes(_) => "prototypes",
            Endpoint::Prototype(..) => "prototype",
            Endpoint::Team(..) => "team",
            Endpoint::TeamMembers(..) => "team members",
            Endpoint::TeamMember(..) => "team member",
            Endpoint::Repositories => "repositories",
            Endpoint::Repository(_) => "repository",
            Endpoint::Visibility(_) => "visibility",
            Endpoint::Tags(_) => "tags",
            Endpoint::UserPermissions(_) => "permissions",
            Endpoint::UserPermission(..) => "permission",
            Endpoint::TeamPermissions(_) => "team permissions",
            Endpoint::SuperuserUsers => "superuser users",
            Endpoint::SuperuserOrganizations => "superuser organizations",
            Endpoint::SuperuserOrganization(_) => "superuser organization",
            Endpoint::TakeOwnership(_) => "takeownership",
            Endpoint::RegistryPing => "registry",
            Endpoint::RegistryAuth => "auth",
            Endpoint::Catalog => "catalog",
            Endpoint::TagNames(_) => "tag names",
            Endpoint::Manifest(..) => "manifest",
            Endpoint::Blob(..) => "blob",
            Endpoint::Uploads(_) => "uploads",
            Endpoint::Upload(..) => "upload",
        }
    }

    /// The kind that a `POST` creates.
    fn created(&self) -> &'static str {
        match self {
            Endpoint::Organizations => "organization",
            Endpoint::Applications(_) => "application",
            Endpoint::ApplicationTokens(..) => "application token",
            Endpoint::Prototypes(_) => "prototype",
            Endpoint::Repositories => "repository",
            Endpoint::Uploads(_) => "upload",
            other => other.kind(),
        }
    }
}

fn api_endpoint(segments: &[&str]) -> Option<Endpoint> {
    match segments {
        ["discovery"] => Some(Endpoint::Discovery),
        ["error", kind] => Some(Endpoint::ErrorType(owned(kind)?)),
        ["user", ""] => Some(Endpoint::User),
        ["user", "initialize"] => Some(Endpoint::Initialize),
        ["signin"] => Some(Endpoint::SignIn),
        ["signout"] => Some(Endpoint::SignOut),
        ["organization", ""] => Some(Endpoint::Organizations),
        ["organization", organization, rest @ ..] => {
            organization_endpoint(owned(organization)?, rest)
        }
        ["repository"] => Some(Endpoint::Repositories),
        ["repository", rest @ ..] => repository_endpoint(rest),
        ["superuser", "users", ""] => Some(Endpoint::SuperuserUsers),
        ["superuser", "organizations", ""] => Some(Endpoint::SuperuserOrganizations),
        ["superuser", "organizations", name] => Some(Endpoint::SuperuserOrganization(owned(name)?)),
        ["superuser", "takeownership", name] => Some(Endpoint::TakeOwnership(owned(name)?)),
        _ => None,
    }
}

fn organization_endpoint(organization: String, segments: &[&str]) -> Option<Endpoint> {
    match segments {
        [] => Some(Endpoint::Organization(organization)),
        ["members"] => Some(Endpoint::Members(organization)),
        ["applications"] => Some(Endpoint::Applications(organization)),
        ["applications", id] => Some(Endpoint::Application(organization, owned(id)?)),
        ["applications", id, "tokens"] => {
            Some(Endpoint::ApplicationTokens(organization, owned(id)?))
        }
        ["applications", id, "tokens", token] => {
            Some(Endpoint::ApplicationToken(organization, owned(id)?, owned(token)?))
        }
        ["robots"] => Some(Endpoint::Robots(organization)),
        ["robots", robot] => Some(Endpoint::Robot(organization, owned(robot)?)),
        ["robots", robot, "permissions"] => {
            Some(Endpoint::RobotPermissions(organization, owned(robot)?))
        }
        ["robots", robot, "regenerate"] => {
            Some(Endpoint::RobotRegenerate(organization, owned(robot)?))
        }
        ["prototypes"] => Some(Endpoint::Prototypes(organization)),
        ["prototypes", id] => Some(Endpoint::Prototype(organization, owned(id)?)),
        ["team", team] => Some(Endpoint::Team(organization, owned(team)?)),
        ["team", team, "members"] => Some(Endpoint::TeamMembers(organization, owned(team)?)),
        ["team", team, "members", member] => {
            Some(Endpoint::TeamMember(organization, owned(team)?, owned(member)?))
        }
        _ => None,
    }
}

/// A repository's name may hold slashes, so what comes after it is found from the end.
fn repository_endpoint(segments: &[&str]) -> Option<Endpoint> {
    match segments {
        [path @ .., "changevisibility"] if path.len() > 1 => {
            Some(Endpoint::Visibility(repo_path(path)?))
        }
        [path @ .., "tag", ""] => Some(Endpoint::Tags(repo_path(path)?)),
        [path @ .., "permissions", "user", ""] => Some(Endpoint::UserPermissions(repo_path(path)?)),
        [path @ .., "permissions", "user", user] => {
            Some(Endpoint::UserPermission(repo_path(path)?, owned(user)?))
        }
        [path @ .., "permissions", "team", ""] => Some(Endpoint::TeamPermissions(repo_path(path)?)),
        path => Some(Endpoint::Repository(repo_path(path)?)),
    }
}

fn registry_endpoint(segments: &[&str]) -> Option<Endpoint> {
    match segments {
        [""] => Some(Endpoint::RegistryPing),
        ["auth"] => Some(Endpoint::RegistryAuth),
        ["_catalog"] => Some(Endpoint::Catalog),
        [path @ .., "tags", "list"] => Some(Endpoint::TagNames(repo_path(path)?)),
        [path @ .., "blobs", "uploads", ""] => Some(Endpoint::Uploads(repo_path(path)?)),
        [path @ .., "blobs", "uploads", id] => Some(Endpoint::Upload(repo_path(path)?, owned(id)?)),
        [path @ .., "blobs", digest] => Some(Endpoint::Blob(repo_path(path)?, owned(digest)?)),
        [path @ .., "manifests", reference] => {
            Some(Endpoint::Manifest(repo_path(path)?, owned(reference)?))
        }
        _ => None,
    }
}

/// A namespace and at least one further segment, none of them empty.
fn repo_path(segments: &[&str]) -> Option<RepoPath> {
    match segments {
        [namespace, name @ ..]
            if !name.is_empty() && segments.iter().all(|segment| !segment.is_empty()) =>
        {
            Some(RepoPath::new(namespace, &name.join("/")))
        }
        _ => None,
    }
}

/// A path segment that names something: not the empty one behind a trailing slash.
fn owned(segment: &str) -> Option<String> {
    (!segment.is_empty()).then(|| segment.to_owned())
}

/// Undoes percent-encoding. A `+` in a path is a plus (wire/370).
fn decode(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
