//! Authentication and authorization: one small role table for requests and access reviews.

use std::collections::{BTreeSet, HashMap};

use axum::http::{HeaderMap, header};
use serde_json::Value;

use super::api_errors::Rejection;
use super::kinds::{CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING};
use super::meta;
use super::store::Store;

const ALL: &[&str] = &["*"];
const WRITE: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];

/// Verbs on resources of API groups.
pub(crate) struct Rule {
    pub(crate) verbs: &'static [&'static str],
    pub(crate) groups: &'static [&'static str],
    pub(crate) resources: &'static [&'static str],
}

/// `cluster-admin`.
static CLUSTER_ADMIN: [Rule; 1] = [Rule { verbs: ALL, groups: ALL, resources: ALL }];

/// The rules of `system:authenticated`.
static EVERYBODY: [Rule; 3] = [
    Rule {
        verbs: &["create"],
        groups: &["authorization.k8s.io"],
        resources: &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    },
    Rule {
        verbs: &["create"],
        groups: &["authentication.k8s.io"],
        resources: &["selfsubjectreviews"],
    },
    // The ClusterRoles `system:build-strategy-*`; the one for custom builds is not bound to users.
    Rule {
        verbs: &["create"],
        groups: &["build.openshift.io"],
        resources: &[
            "builds/docker",
            "builds/jenkinspipeline",
            "builds/optimizeddocker",
            "builds/source",
        ],
    },
];

/// The rules of OpenShift's `basic-user`.
static PROJECT_USER: [Rule; 1] =
    [Rule { verbs: &["list"], groups: &["project.openshift.io"], resources: &["projects"] }];

/// The role `admin` in one namespace, as far as our kinds go.
static PROJECT_ADMIN: [Rule; 7] = [
    Rule { verbs: &["get"], groups: &[""], resources: &["namespaces"] },
    Rule { verbs: &["get"], groups: &["project.openshift.io"], resources: &["projects"] },
    Rule {
        verbs: WRITE,
        groups: &[""],
        resources: &["configmaps", "events", "secrets", "serviceaccounts"],
    },
    Rule {
        verbs: WRITE,
        groups: &["image.openshift.io"],
        resources: &["imagestreamimports", "imagestreams", "imagestreams/layers"],
    },
    Rule {
        verbs: WRITE,
        groups: &["build.openshift.io"],
        resources: &["buildconfigs", "buildconfigs/instantiate", "builds", "builds/clone"],
    },
    // OLM's ClusterRoles `aggregate-olm-edit` and `packagemanifests-v1-view`.
    Rule {
        verbs: &["get", "list", "watch"],
        groups: &["operators.coreos.com"],
        resources: &[
            "catalogsources",
            "clusterserviceversions",
            "installplans",
            "operatorgroups",
            "subscriptions",
        ],
    },
    Rule {
        verbs: &["get", "list", "watch"],
        groups: &["packages.operators.coreos.com"],
        resources: &["packagemanifests"],
    },
];

/// The user of a request.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
}

/// A request in RBAC's terms. Empty namespace: cluster scope. Empty name: any object.
pub(crate) struct Access<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    /// With its subresource, `builds/details`.
    pub(crate) resource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

/// A permission that a user lacks in spite of all roles; `*` stands for any verb, group or resource. RBAC knows no such thing:
/// it stands for a role that was written with gaps.
pub(crate) struct Denial {
    pub(crate) user: String,
    pub(crate) verb: String,
    pub(crate) group: String,
    /// With its subresource.
    pub(crate) resource: String,
}

impl Denial {
    fn is_about(&self, user: &User, access: &Access<'_>) -> bool {
        let is = |pattern: &str, value: &str| pattern == "*" || pattern == value;
        self.user == user.name
            && is(&self.verb, access.verb)
            && is(&self.group, access.group)
            && is(&self.resource, access.resource)
    }
}

/// A rule of a role that a binding in the store gives to a subject.
pub(crate) struct Bound {
    subject: Value,
    rule: Value,
    /// Empty for all namespaces.
    namespace: String,
}

impl Bound {
    pub(crate) fn all(store: &Store) -> Vec<Self> {
        let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut bound = Vec::new();
        for binding in store.list(CLUSTER_ROLE_BINDING, None).chain(store.list(ROLE_BINDING, None))
        {
            let namespace = meta::namespace(binding);
            let name = binding["roleRef"]["name"].as_str().unwrap_or_default();
            let role = match binding["roleRef"]["kind"].as_str() {
                Some("Role") => store.get(ROLE, namespace, name),
                _ => store.get(CLUSTER_ROLE, "", name),
            };
            for rule in role.map(|role| items(&role["rules"])).unwrap_or_default() {
                let subjects = items(&binding["subjects"]).into_iter();
                bound.extend(subjects.map(|subject| Self {
                    subject,
                    rule: rule.clone(),
                    namespace: namespace.to_owned(),
                }));
            }
        }
        bound
    }

    fn allows(&self, user: &User, access: &Access<'_>) -> bool {
        let name = self.subject["name"].as_str().unwrap_or_default();
        let is_theirs = match self.subject["kind"].as_str() {
            Some("User") => user.name == name,
            Some("Group") => user.groups.iter().any(|group| group == name),
            _ => false,
        };
        let has = |field: &str, wanted: &str| {
            let mut items = self.rule[field].as_array().into_iter().flatten();
            items.any(|item| item == "*" || item == wanted)
        };
        let is_there = self.namespace.is_empty() || self.namespace == access.namespace;
        let is_named = self.rule["resourceNames"].is_null() || has("resourceNames", access.name);
        let is_allowed = has("verbs", access.verb)
            && has("apiGroups", access.group)
            && has("resources", access.resource);
        is_theirs && is_there && is_named && is_allowed
    }
}

/// Tokens and role bindings.
pub(crate) struct Users {
    names_by_token: HashMap<String, String>,
    /// Namespaces that a user is project admin of.
    projects: HashMap<String, BTreeSet<String>>,
    denials: Vec<Denial>,
    /// The rules of ClusterRoleBindings at the time of the request.
    bound: Vec<Bound>,
}

impl Users {
    /// `admin`, `dev` and `guest`, each with a fresh token.
    pub(crate) fn new() -> Self {
        let token = || format!("sha256~{}", meta::suffix(43));
        let names_by_token =
            ["admin", "dev", "guest"].map(|name| (token(), name.to_owned())).into();
        Self { names_by_token, projects: HashMap::new(), denials: Vec::new(), bound: Vec::new() }
    }

    /// The token of a user, empty when it has expired.
    pub(crate) fn token(&self, name: &str) -> String {
        let found = self.names_by_token.iter().find(|(_, user)| *user == name);
        found.map(|(token, _)| token.clone()).unwrap_or_default()
    }

    /// No token is valid any more.
    pub(crate) fn expire_tokens(&mut self) {
        self.names_by_token.clear();
    }

    pub(crate) fn grant(&mut self, user: &str, namespace: &str) {
        self.projects.entry(user.to_owned()).or_default().insert(namespace.to_owned());
    }

    /// Removes a permission.
    pub(crate) fn deny(&mut self, denial: Denial) {
        self.denials.push(denial);
    }

    /// Reads the ClusterRoleBindings again.
    pub(crate) fn bind(&mut self, bound: Vec<Bound>) {
        self.bound = bound;
    }

    /// The user of a request, after impersonation.
    ///
    /// # Errors
    /// 401 without a valid bearer token, 403 for an impersonation that is not allowed.
    pub(crate) fn authenticate(&self, headers: &HeaderMap) -> Result<User, Rejection> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let token =
            text(header::AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
        let name = token
            .and_then(|token| self.names_by_token.get(token))
            .ok_or_else(Rejection::unauthorized)?;
        let groups = match name.as_str() {
            "admin" => vec!["system:cluster-admins".to_owned(), "system:authenticated".to_owned()],
            _ => vec!["system:authenticated:oauth".to_owned(), "system:authenticated".to_owned()],
        };
        let user = User { name: name.clone(), groups };

        let groups: Vec<&str> = headers
            .get_all("impersonate-group")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let Some(impersonated) = text("impersonate-user") else {
            return match groups.is_empty() && text("impersonate-uid").is_none() {
                true => Ok(user),
                false => Err(Rejection::internal(format!(
                    "requested {groups:?} without impersonating a user"
                ))),
            };
        };
        self.check_impersonation(&user, "users", impersonated)?;
        for group in &groups {
            self.check_impersonation(&user, "groups", group)?;
        }
        let groups = groups
            .into_iter()
            .map(str::to_owned)
            .chain(["system:authenticated".to_owned()])
            .collect();
        Ok(User { name: impersonated.to_owned(), groups })
    }

    fn check_impersonation(
        &self,
        user: &User,
        resource: &str,
        name: &str,
    ) -> Result<(), Rejection> {
        self.check(user, &Access { verb: "impersonate", group: "", resource, namespace: "", name })
    }

    /// True when a rule allows the access.
    pub(crate) fn is_allowed(&self, user: &User, access: &Access<'_>) -> bool {
        let has = |list: &[&str], item: &str| list.iter().any(|each| *each == "*" || *each == item);
        let is_denied = self.denials.iter().any(|denial| denial.is_about(user, access));
        let is_bound = || self.bound.iter().any(|bound| bound.allows(user, access));
        let has_rule = || {
            self.rules(user, access.namespace).any(|rule| {
                has(rule.verbs, access.verb)
                    && has(rule.groups, access.group)
                    && has(rule.resources, access.resource)
            })
        };
        !is_denied && (has_rule() || is_bound())
    }

    /// Authorizes the user.  # Errors 403 in the words of the RBAC authorizer.
    pub(crate) fn check(&self, user: &User, access: &Access<'_>) -> Result<(), Rejection> {
        if self.is_allowed(user, access) {
            return Ok(());
        }
        let Access { verb, group, resource, namespace, name } = access;
        let place = match *namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace \"{namespace}\""),
        };
        let user = &user.name;
        let why = format!(
            "User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {place}"
        );
        let plural = resource.split('/').next().unwrap_or_default();
        Err(Rejection::forbidden(plural, group, name, &why))
    }

    /// Authorizes a request without a resource: discovery for all users, the rest for admins.  #
    /// Errors 403 in the words of the RBAC authorizer.
    pub(crate) fn check_path(&self, user: &User, path: &str) -> Result<(), Rejection> {
        match is_discovery(path) || is_admin(user) {
            true => Ok(()),
            false => Err(Rejection::forbidden_path(&user.name, path)),
        }
    }

    /// The rules a user has in a namespace, or at the cluster scope when it is empty.
    pub(crate) fn rules(
        &self,
        user: &User,
        namespace: &str,
    ) -> impl Iterator<Item = &'static Rule> {
        let projects = self.projects.get(&user.name);
        let rules_if =
            |condition: bool, rules: &'static [Rule]| if condition { rules } else { &[] };
        EVERYBODY
            .iter()
            .chain(rules_if(is_admin(user), &CLUSTER_ADMIN))
            .chain(rules_if(projects.is_some(), &PROJECT_USER))
            .chain(rules_if(
                projects.is_some_and(|projects| projects.contains(namespace)),
                &PROJECT_ADMIN,
            ))
    }
}

/// Paths that the role `system:discovery` opens to everybody.
fn is_discovery(path: &str) -> bool {
    matches!(path.split('/').nth(1), Some("api" | "apis" | "openapi" | "version"))
}

fn is_admin(user: &User) -> bool {
    let has = |name: &str| user.groups.iter().any(|group| group == name);
    user.name == "admin" || has("system:masters") || has("system:cluster-admins")
}
