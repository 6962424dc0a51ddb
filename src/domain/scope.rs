//! Namespace selection: the rules by which a namespace is linked or not.

use std::fmt;

use super::change::{Change, ScopeEdit};
use super::integration::QuayIntegration;
use super::names::CONTROLLER_NAME;
use super::snapshot::{Namespace, Observed};

/// Why a namespace is in or out of scope. The order of the rules is the operator's (QBO
/// `api/v1/quayintegration_types.go:141-172`); names match exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In: nothing excludes it.
    Open,
    /// In: the allowlist names it.
    Allowed,
    /// In: it was linked on request although its name excludes it. The operator does not know this rule.
    Requested,
    /// Out: the denylist names it.
    Denied,
    /// Out: it is a reserved platform namespace.
    BuiltIn,
    /// Out: it is not on the allowlist.
    NotAllowed,
}

impl Scope {
    /// Without a QuayIntegration there are no lists.
    pub fn of(
        namespace: &str,
        linked_on_request: bool,
        resource: Option<&QuayIntegration>,
    ) -> Self {
        let on = |list: fn(&QuayIntegration) -> &Vec<String>| {
            resource.is_some_and(|resource| list(resource).iter().any(|name| name == namespace))
        };
        if on(|resource| &resource.deny) {
            Scope::Denied
        } else if on(|resource| &resource.allow) {
            Scope::Allowed
        } else if linked_on_request {
            Scope::Requested
        } else if is_built_in(namespace) {
            Scope::BuiltIn
        } else if resource.is_some_and(|resource| !resource.allow.is_empty()) {
            Scope::NotAllowed
        } else {
            Scope::Open
        }
    }

    /// The scope of an observed namespace. One that could not be read counts as not linked on request.
    pub fn from_observed(
        name: &str,
        namespace: &Observed<Option<Namespace>>,
        resource: Option<&QuayIntegration>,
    ) -> Self {
        let namespace = namespace.as_ref().ok().and_then(Option::as_ref);
        Scope::of(name, namespace.is_some_and(|namespace| namespace.linked_on_request), resource)
    }

    pub fn is_in(self) -> bool {
        matches!(self, Scope::Open | Scope::Allowed | Scope::Requested)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::Open => "nothing excludes it",
            Scope::Allowed => "the allowlist names it",
            Scope::Requested => "it was linked on request",
            Scope::Denied => "the denylist names it",
            Scope::BuiltIn => "it is a reserved platform namespace",
            Scope::NotAllowed => "it is not on the allowlist",
        })
    }
}

/// Whether a namespace exists and is not being deleted. One that could not be read counts as active.
pub fn is_active(namespace: &Observed<Option<Namespace>>) -> bool {
    match namespace {
        Ok(namespace) => namespace.as_ref().is_some_and(|namespace| !namespace.terminating),
        Err(_) => true,
    }
}

/// Whether a namespace is reserved: the operator does not link these unless the allowlist names them. Our controller's own
/// namespace is reserved too, like the operator's `openshift-operators`.
pub fn is_built_in(namespace: &str) -> bool {
    matches!(namespace, "default" | "openshift" | "management-infra" | CONTROLLER_NAME)
        || namespace.starts_with("openshift-")
        || namespace.starts_with("kube-")
}

/// The namespace is reserved, and `force` is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtectedNamespace;

/// The changes that bring `namespace` into scope.
///
/// An empty allowlist is kept empty, since its first name would put every other namespace out of scope. A reserved
/// namespace is annotated instead.
///
/// # Errors
/// [`ProtectedNamespace`] for a reserved namespace, unless `force`.
pub fn allow_namespace(
    namespace: &str,
    linked_on_request: bool,
    resource: Option<&QuayIntegration>,
    force: bool,
) -> Result<Vec<Change>, ProtectedNamespace> {
    if Scope::of(namespace, linked_on_request, resource).is_in() {
        return Ok(vec![]);
    }
    if is_built_in(namespace) && !force {
        return Err(ProtectedNamespace);
    }
    let mut edit = ScopeEdit::default();
    let mut edited = resource.cloned();
    if let Some(edited) =
        edited.as_mut().filter(|edited| edited.deny.iter().any(|denied| denied == namespace))
    {
        edit.remove_deny = vec![namespace.to_owned()];
        edited.deny.retain(|denied| denied != namespace);
    }
    let has_allowlist = edited.as_ref().is_some_and(|edited| !edited.allow.is_empty());
    let scope = Scope::of(namespace, linked_on_request, edited.as_ref());
    if !scope.is_in() && has_allowlist {
        edit.allow = vec![namespace.to_owned()];
    }
    let mut changes = Vec::new();
    if !edit.is_empty() {
        changes.push(Change::EditScope(edit));
    }
    if !scope.is_in() && !has_allowlist {
        changes.push(Change::AnnotateNamespace { namespace: namespace.to_owned(), linked: true });
    }
    Ok(changes)
}

/// The changes that take `namespace` out of scope.
///
/// The last name on an allowlist is never removed, which would put every namespace into scope. The denylist takes
/// precedence over it.
pub fn deny_namespace(
    namespace: &str,
    linked_on_request: bool,
    resource: Option<&QuayIntegration>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    if linked_on_request {
        changes.push(Change::AnnotateNamespace { namespace: namespace.to_owned(), linked: false });
    }
    let scope = Scope::of(namespace, false, resource);
    let Some(resource) = resource.filter(|_| scope.is_in()) else { return changes };
    let name = vec![namespace.to_owned()];
    let others_are_allowed = resource.allow.iter().any(|allowed| allowed != namespace);
    changes.push(Change::EditScope(if scope == Scope::Allowed && others_are_allowed {
        ScopeEdit { disallow: name, ..ScopeEdit::default() }
    } else {
        ScopeEdit { deny: name, ..ScopeEdit::default() }
    }));
    changes
}

/// Applies the list edits among `changes`, so that the next namespace is planned with the edited lists.
pub fn apply_edits(changes: &[Change], resource: Option<&mut QuayIntegration>) {
    let Some(resource) = resource else { return };
    for change in changes {
        if let Change::EditScope(edit) = change {
            edit.apply(&mut resource.allow, &mut resource.deny);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(allow: &[&str], deny: &[&str]) -> QuayIntegration {
        let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect();
        QuayIntegration { allow: names(allow), deny: names(deny), ..Default::default() }
    }

    #[test]
    fn applies_rules_in_the_operators_order() {
        let table = [
            ("shop", &[][..], &[][..], Scope::Open),
            ("shop", &["shop"], &["shop"], Scope::Denied),
            ("shop", &["shop"], &[], Scope::Allowed),
            ("shop", &["other"], &[], Scope::NotAllowed),
            ("default", &[], &[], Scope::BuiltIn),
            ("openshift-x", &[], &[], Scope::BuiltIn),
            ("kube-system", &["shop"], &[], Scope::BuiltIn),
            ("openshift-x", &["openshift-x"], &[], Scope::Allowed),
            ("openshiftx", &[], &[], Scope::Open),
            ("oc-quay", &[], &[], Scope::BuiltIn),
            ("oc-quay", &["oc-quay"], &[], Scope::Allowed),
            ("oc-quay-2", &[], &[], Scope::Open),
        ];
        for (namespace, allow, deny, scope) in table {
            assert_eq!(
                Scope::of(namespace, false, Some(&resource(allow, deny))),
                scope,
                "{namespace} {allow:?} {deny:?}"
            );
        }
        assert_eq!(Scope::of("openshift-x", true, Some(&resource(&[], &[]))), Scope::Requested);
        assert_eq!(Scope::of("shop", false, None), Scope::Open);
    }

    #[test]
    fn allow_and_deny_affect_no_other_namespace() {
        for namespace in ["shop", "openshift-x"] {
            for allow in [&[][..], &["shop"], &["shop", "b"], &["b"], &["openshift-x"]] {
                for deny in [&[][..], &["shop"], &["openshift-x"], &["shop", "b"]] {
                    let before = resource(allow, deny);
                    let context = format!("{namespace} {before:?}");
                    let others = |resource: &QuayIntegration| {
                        ["b", "c", "kube-x"]
                            .map(|other| Scope::of(other, false, Some(resource)).is_in())
                    };
                    let (linked, marked) = applied(
                        &before,
                        false,
                        allow_namespace(namespace, false, Some(&before), true).unwrap(),
                    );
                    assert!(Scope::of(namespace, marked, Some(&linked)).is_in(), "in: {context}");
                    assert_eq!(others(&before), others(&linked), "{context}");
                    let (unlinked, marked) =
                        applied(&linked, marked, deny_namespace(namespace, marked, Some(&linked)));
                    assert!(
                        !Scope::of(namespace, marked, Some(&unlinked)).is_in(),
                        "out: {context}"
                    );
                    assert_eq!(others(&before), others(&unlinked), "{context}");
                }
            }
        }
        assert_eq!(
            allow_namespace("openshift-x", false, Some(&resource(&[], &[])), false),
            Err(ProtectedNamespace)
        );
    }

    #[test]
    fn keeps_allowlist_when_last_namespaces_are_unlinked() {
        for names in [&["shop", "billing"][..], &["billing", "shop"], &["shop", "billing", "shop"]]
        {
            let before = resource(&["shop", "billing"], &[]);
            let (mut planned, mut edit) = (before.clone(), ScopeEdit::default());
            for name in names {
                let changes = deny_namespace(name, false, Some(&planned));
                apply_edits(&changes, Some(&mut planned));
                for change in changes {
                    let Change::EditScope(next) = change else { panic!("{change:?}") };
                    edit.extend(next);
                }
            }
            let (written, _) = applied(&before, false, vec![Change::EditScope(edit)]);
            assert_eq!(written, planned, "one write has the effect of all edits");
            assert_eq!(written.allow, names[1..2], "{written:?}");
            for name in ["shop", "billing", "other"] {
                assert!(!Scope::of(name, false, Some(&written)).is_in(), "{name}: {written:?}");
            }
        }
    }

    #[test]
    fn denies_instead_of_emptying_an_edited_allowlist() {
        // Planned while the allowlist had other names, or any.
        let edit = ScopeEdit { disallow: vec!["shop".into()], ..ScopeEdit::default() };
        for allow in [&["shop"][..], &[]] {
            let before = resource(allow, &[]);
            let (written, _) = applied(&before, false, vec![Change::EditScope(edit.clone())]);
            assert_eq!(written, resource(allow, &["shop"]));
            assert_eq!(
                applied(&written, false, vec![Change::EditScope(edit.clone())]).0,
                written,
                "a second time"
            );
            let made =
                ScopeEdit::between([&before.allow, &before.deny], [&written.allow, &written.deny]);
            assert_eq!(made, ScopeEdit { deny: vec!["shop".into()], ..ScopeEdit::default() });
        }
    }

    #[test]
    fn starts_no_allowlist_if_it_was_emptied_meanwhile() {
        let edit = ScopeEdit { allow: vec!["shop".into()], ..ScopeEdit::default() };
        let (written, _) = applied(&resource(&[], &[]), false, vec![Change::EditScope(edit)]);
        assert_eq!(written, resource(&[], &[]));
    }

    fn applied(
        resource: &QuayIntegration,
        mut marked: bool,
        changes: Vec<Change>,
    ) -> (QuayIntegration, bool) {
        let mut resource = resource.clone();
        for change in changes {
            match change {
                Change::EditScope(edit) => edit.apply(&mut resource.allow, &mut resource.deny),
                Change::AnnotateNamespace { linked, .. } => marked = linked,
                other => panic!("{other:?}"),
            }
        }
        (resource, marked)
    }
}
