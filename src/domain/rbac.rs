//! What somebody who is not allowed to read something has to be given, by the API server's own words.

use super::snapshot::{ReadError, ReadErrorKind};

/// The command by which an administrator lets the person read what could not be read, with the fewest rights that have a name;
/// none if the refusal does not say what is missing.
pub fn grant(unread: &ReadError) -> Option<String> {
    if unread.kind != ReadErrorKind::Forbidden {
        return None;
    }
    let refusal = DeniedRequest::parse(&unread.reason)?;
    let DeniedRequest { user, resource, group, namespace } = refusal;
    Some(match namespace {
        Some(namespace) => {
            // The role `view` leaves secrets out.
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
            // What is shown is there to be pasted into a shell.
            value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:@".contains(c)).then_some(value)
        };
        let namespace = quoted("in the namespace");
        let is_complete =
            namespace.is_some_and(|name| !name.is_empty()) || text.contains("at the cluster scope");
        let refusal = Self {
            user: quoted("User")?,
            resource: quoted("resource")?,
            group: quoted("API group")?,
            namespace,
        };
        (is_complete && !refusal.user.is_empty() && !refusal.user.starts_with('-'))
            .then_some(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fewest_rights_that_let_the_user_read() {
        let command = |reason: &str| {
            grant(&ReadError {
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
        assert_eq!(grant(&failed), None);
    }
}
