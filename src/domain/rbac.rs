//! The command that grants a missing permission, derived from the API server's message.

use super::snapshot::{ReadError, ReadErrorKind};

/// The command for a cluster administrator that grants the user read access, with the smallest suitable role. None if the
/// message does not name the missing permission.
pub fn grant_command(unread: &ReadError) -> Option<String> {
    if unread.kind != ReadErrorKind::Forbidden {
        return None;
    }
    let DeniedRequest { user, resource, group, namespace } = DeniedRequest::parse(&unread.reason)?;
    Some(match namespace {
        Some(namespace) => {
            // The role `view` excludes secrets.
            let role = if resource == "secrets" { "edit" } else { "view" };
            format!("oc policy add-role-to-user {role} {user} -n {namespace}")
        }
        None => {
            let full_name =
                if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
            let role = format!("oc-quay-read-{resource}");
            format!(
                "oc create clusterrole {role} --verb=get,list --resource={full_name} && \
                 oc adm policy add-cluster-role-to-user {role} {user}"
            )
        }
    })
}

/// `User "dev" cannot list resource "secrets" in API group "" in the namespace "shop"`, or `at the cluster scope`
/// (`k8s.io/apiserver` `pkg/endpoints/handlers/responsewriters/errors.go`).
struct DeniedRequest<'a> {
    user: &'a str,
    resource: &'a str,
    group: &'a str,
    namespace: Option<&'a str>,
}

impl<'a> DeniedRequest<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let quoted = |before: &str| -> Option<&'a str> {
            let value = text.split_once(&format!("{before} \""))?.1.split_once('"')?.0;
            // The value goes into a command that is pasted into a shell.
            value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:@".contains(c)).then_some(value)
        };
        let namespace = quoted("in the namespace");
        let is_complete =
            namespace.is_some_and(|name| !name.is_empty()) || text.contains("at the cluster scope");
        let denied = Self {
            user: quoted("User")?,
            resource: quoted("resource")?,
            group: quoted("API group")?,
            namespace,
        };
        (is_complete && !denied.user.is_empty() && !denied.user.starts_with('-')).then_some(denied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_smallest_role_that_allows_reading() {
        let command = |reason: &str| {
            grant_command(&ReadError {
                call: "read it".into(),
                reason: reason.into(),
                kind: ReadErrorKind::Forbidden,
            })
            .unwrap_or_default()
        };
        let table = [
            (
                r#"secrets is forbidden: User "dev" cannot list resource "secrets" in API group "" in the namespace "shop""#,
                "oc policy add-role-to-user edit dev -n shop",
            ),
            (
                r#"namespaces "shop" is forbidden: User "dev" cannot get resource "namespaces" in API group "" in the namespace "shop""#,
                "oc policy add-role-to-user view dev -n shop",
            ),
            (
                r#"quayintegrations.quay.redhat.com is forbidden: User "system:serviceaccount:shop:ci" cannot list resource "quayintegrations" in API group "quay.redhat.com" at the cluster scope"#,
                "oc create clusterrole oc-quay-read-quayintegrations --verb=get,list \
                 --resource=quayintegrations.quay.redhat.com && oc adm policy add-cluster-role-to-user \
                 oc-quay-read-quayintegrations system:serviceaccount:shop:ci",
            ),
            (
                r#"User "a; rm -rf /" cannot list resource "secrets" in API group "" in the namespace "shop""#,
                "",
            ),
            (
                r#"User "--all" cannot list resource "secrets" in API group "" in the namespace "shop""#,
                "",
            ),
            ("something else", ""),
        ];
        for (reason, expected) in table {
            assert_eq!(command(reason), expected, "{reason}");
        }
        let failed = ReadError {
            call: "read it".into(),
            reason: table[0].0.into(),
            kind: ReadErrorKind::Failed,
        };
        assert_eq!(grant_command(&failed), None);
    }
}
