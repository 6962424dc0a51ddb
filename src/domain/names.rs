//! Names in Quay and in the cluster, and the rules they obey.

use std::collections::BTreeMap;
use std::fmt;

use url::Url;

/// Name of the finalizer with which the operator deletes the organization of a deleted namespace (QBO
/// `pkg/constants`).
pub const OPERATOR_FINALIZER: &str = "quay.redhat.com/quayintegrations";

/// Name of our finalizer: the organization of a namespace that carries it is to go with the namespace.
pub const FINALIZER: &str = "oc-quay/organization";

/// Annotation on a namespace: `delete` lets its organization go with it, `retain` keeps it, whatever goes for others.
pub const DELETION_POLICY_ANNOTATION: &str = "oc-quay/deletion-policy";

/// Label that we put on every object we create in the cluster, with the value [`MANAGED_BY`].
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Value of [`MANAGED_BY_LABEL`].
pub const MANAGED_BY: &str = "oc-quay";

/// What our own bridge and its objects in the cluster are called.
pub const CONTROLLER_NAME: &str = "oc-quay";

/// The environment variable that tells a replica in a pod which pod that is.
pub const POD_NAME: &str = "POD_NAME";

/// The Lease by which one replica of our bridge leads.
pub const LEASE: &str = "oc-quay";

/// The name of the operator's webhook inside its MutatingWebhookConfiguration, whose own name OLM makes up (QBO
/// `config/webhook/manifests.yaml`).
pub const OPERATOR_WEBHOOK: &str = "quayintegration.quay.redhat.com";

/// The name of our bridge's webhook inside its MutatingWebhookConfiguration.
pub const CONTROLLER_WEBHOOK: &str = "builds.bridge.oc-quay";

/// The path at which our bridge answers it.
pub const CONTROLLER_WEBHOOK_PATH: &str = "/builds";

/// Annotation on a service account: the role that its robot account was asked to have with `link --service-account`.
pub const ROLE_ANNOTATION: &str = "oc-quay/role";

/// Annotation on a namespace that was linked by request although it is excluded by name (`link --force`).
pub const LINKED_ANNOTATION: &str = "oc-quay/linked";

/// Annotation on a QuayIntegration: who keeps namespaces linked, as it was chosen in the set-up: `operator`, `in-cluster` or
/// `none`.
pub const CONTROLLER_ANNOTATION: &str = "oc-quay/controller";

/// Annotation on an image stream: `true` asks for a repository, `false` for none, whatever the stream refers to.
pub const REPOSITORY_ANNOTATION: &str = "oc-quay/repository";

/// Annotation on a BuildConfig that `builds rewrite` made push to Quay: where it pushed before, as JSON.
pub const ORIGINAL_OUTPUT_ANNOTATION: &str = "oc-quay/former-output";

/// Annotation on a Build: how far the controller is with the import of its image, and the Build's uid, since a clone of a
/// Build has its annotations.
pub const IMPORT_ANNOTATION: &str = "oc-quay/import";

/// The service account under which OpenShift Pipelines and Shipwright build.
const PIPELINE: &str = "pipeline";

/// Annotation on a secret, with the value `true`: Shipwright looks again at the builds that refer to it when it changes
/// (Shipwright `docs/development/authentication.md`).
pub const SHIPWRIGHT_ANNOTATION: &str = "build.shipwright.io/referenced.secret";

/// The annotations of our secret of that name: one for the secret that Shipwright's builds refer to, whatever the cluster ID.
pub fn secret_annotations(secret: &str) -> BTreeMap<&'static str, &'static str> {
    let is_referenced =
        secret.strip_prefix(PIPELINE).is_some_and(|rest| rest.starts_with("-quay-"));
    is_referenced.then_some((SHIPWRIGHT_ANNOTATION, "true")).into_iter().collect()
}

/// What stands behind the name of a secret whose successor is stored until it has its name.
const SPARE: &str = "-spare";

/// Where the successor of a secret is stored until it has its name.
pub fn spare_secret(secret: &str) -> String {
    format!("{secret}{SPARE}")
}

/// The secret whose successor is stored under a name.
pub fn secret_of_spare(spare: &str) -> Option<&str> {
    spare.strip_suffix(SPARE)
}

/// The `clusterID` of the integration: what tells this cluster's organizations from another's in one Quay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterId(String);

impl ClusterId {
    /// Takes the ID as it is written in the QuayIntegration. Whether it yields possible names is
    /// [`ClusterId::problem`]'s to say.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The ID as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The organization of a namespace: `lower(clusterID) + "_" + namespace` (QBO `api/v1/quayintegration_types.go:150`).
    pub fn organization(&self, namespace: &str) -> String {
        format!("{}_{namespace}", self.0.to_lowercase())
    }

    /// The pull and push secret of a service account: `<service account>-quay-<clusterID>`, the ID as written (QBO
    /// `pkg/utils/utils.go:60`).
    pub fn secret(&self, service_account: &str) -> String {
        format!("{service_account}-quay-{}", self.0)
    }

    /// Whether a secret of that name is the pull and push secret of some service account.
    pub fn names_secret(&self, secret: &str) -> bool {
        let account = secret.strip_suffix(&self.0).and_then(|rest| rest.strip_suffix("-quay-"));
        account.is_some_and(|account| !account.is_empty())
    }

    /// Why this ID can give no valid organization or secret name, if it cannot.
    pub fn problem(&self) -> Option<String> {
        if self.0.is_empty() {
            return Some("it is empty".into());
        }
        if let Err(invalid) = organization(&self.organization("x")) {
            return Some(format!("Quay refuses the organization name it gives: {invalid}"));
        }
        if let Err(invalid) = kubernetes_name(&self.secret("builder")) {
            return Some(format!("Kubernetes refuses the secret name it gives: {invalid}"));
        }
        None
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks an organization name: `^[a-z0-9]+([._-][a-z0-9]+)*$`, 2 to 255 characters (Quay
/// `util/validation.py:17`; samples 165a-w).
///
/// # Errors
/// The sentence that says which rule is broken.
pub fn organization(name: &str) -> Result<(), String> {
    if !(2..=255).contains(&name.len()) {
        return Err(format!("`{name}` is not 2 to 255 characters long"));
    }
    words(name)
}

/// Checks the short name of a robot account: the organization's rule, and `<organization>+<robot>` at most 255
/// characters in all (samples 220a-s).
///
/// # Errors
/// The sentence that says which rule is broken.
pub fn robot(organization: &str, name: &str) -> Result<(), String> {
    if name.len() < 2 || organization.len() + 1 + name.len() > 255 {
        return Err(format!("`{organization}+{name}` is not within 2 to 255 characters"));
    }
    words(name)
}

/// Checks a repository name: starts with a lower-case letter or a digit, then also `_`, `.` and `-`; at most 255
/// characters (Quay `util/validation.py`; samples 315a-x). Nested names (`/`) are never made from image streams.
///
/// # Errors
/// The sentence that says which rule is broken.
pub fn repository(name: &str) -> Result<(), String> {
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if name.is_empty() || name.len() > 255 {
        return Err(format!("`{name}` is not 1 to 255 characters long"));
    }
    if !name.starts_with(first) {
        return Err(format!("`{name}` does not start with a lower-case letter or a digit"));
    }
    match name.chars().find(|&c| !first(c) && !matches!(c, '_' | '.' | '-')) {
        Some(c) => Err(format!("`{name}` contains {c:?}")),
        None => Ok(()),
    }
}

/// Checks a tag: `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}` (the OCI distribution specification; Quay `util/names.py`).
///
/// # Errors
/// The sentence that says which rule is broken.
pub fn tag(tag: &str) -> Result<(), String> {
    let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !tag.starts_with(first) || tag.len() > 128 {
        return Err(format!(
            "the tag `{tag}` is not 1 to 128 characters that start with a letter, a digit or _"
        ));
    }
    match tag.chars().find(|&c| !first(c) && !matches!(c, '.' | '-')) {
        Some(c) => Err(format!("the tag `{tag}` contains {c:?}")),
        None => Ok(()),
    }
}

/// Checks the name of a secret or another namespaced object: an RFC 1123 subdomain of at most 253 characters
/// (Kubernetes, "Object Names and IDs").
///
/// # Errors
/// The sentence that says which rule is broken.
pub fn kubernetes_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > 253 {
        return Err(format!("`{name}` is not 1 to 253 characters long"));
    }
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if let Some(c) = name.chars().find(|&c| !alphanumeric(c) && c != '-' && c != '.') {
        return Err(format!("`{name}` contains {c:?}"));
    }
    if name.split('.').any(|part| !part.starts_with(alphanumeric) || !part.ends_with(alphanumeric))
    {
        return Err(format!(
            "`{name}` has a part that does not start and end with a letter or digit"
        ));
    }
    Ok(())
}

/// Lower-case words, joined by single separators.
fn words(name: &str) -> Result<(), String> {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separator = |c: char| matches!(c, '.' | '_' | '-');
    if let Some(c) = name.chars().find(|&c| !alphanumeric(c) && !separator(c)) {
        return Err(format!("`{name}` contains {c:?}"));
    }
    if name.split(separator).any(str::is_empty) {
        return Err(format!("`{name}` has a leading, trailing or doubled separator"));
    }
    Ok(())
}

/// The address of a Quay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuayUrl(Url);

/// What is wrong with an address as it was written, although it can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlProblem {
    /// No `https://` in front: the operator then has no host at all (QBO `pkg/client/quay/client.go:30`).
    NoScheme,
    /// Something follows the host: the operator puts none of it into image names.
    Path,
    /// `http://`: tokens and images travel unprotected.
    PlainHttp,
}

impl QuayUrl {
    /// Understands an address as people write it: the scheme may be missing (then it is https), a path is dropped.
    ///
    /// # Errors
    /// The sentence that says why it is no address.
    pub fn parse(text: &str) -> Result<(Self, Vec<UrlProblem>), String> {
        let text = text.trim();
        let (full, mut problems) = if text.contains("://") {
            (text.to_owned(), vec![])
        } else {
            (format!("https://{text}"), vec![UrlProblem::NoScheme])
        };
        // Nothing with an @ is quoted: what stands before it may be a password.
        let shown = if text.contains('@') { "what was given" } else { text };
        let mut url = Url::parse(&full)
            .map_err(|error| format!("`{shown}` is no address of a Quay: {error}"))?;
        match url.scheme() {
            "https" => {}
            "http" => problems.push(UrlProblem::PlainHttp),
            other => {
                return Err(format!(
                    "`{shown}` is no address of a Quay: the scheme {other}:// is not https://"
                ));
            }
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(format!("`{shown}` is no address of a Quay: it names no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "the address of the Quay carries a user name or password: leave them out".into()
            );
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            problems.push(UrlProblem::Path);
        }
        url.set_path("/");
        url.set_query(None);
        url.set_fragment(None);
        Ok((Self(url), problems))
    }

    /// The registry's host as it stands in image names and in pull secrets: `host` or `host:port`.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The address itself, with scheme and a trailing slash.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// Whether the connection is not protected by TLS.
    pub fn is_plain_http(&self) -> bool {
        self.0.scheme() == "http"
    }
}

impl fmt::Display for QuayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organization_names_obey_quays_rule() {
        for name in ["ab", "my-org", "my.org", "my_org", "1org", "12345", &"a".repeat(255)] {
            assert_eq!(organization(name), Ok(()), "{name}");
        }
        for name in [
            "",
            "a",
            "a--b",
            "a__b",
            "-a",
            "a-",
            "My",
            "a b",
            "a+b",
            "a/b",
            "a._b",
            "ö1",
            "ab\n",
            &"a".repeat(256),
        ] {
            assert!(organization(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn robot_names_count_with_their_organization() {
        assert_eq!(robot("acme", &"c".repeat(250)), Ok(()));
        assert!(robot("acme", &"c".repeat(251)).is_err());
        assert!(robot("acme", "a").is_err());
        assert!(robot("acme", "my--robot").is_err());
    }

    #[test]
    fn repository_names_are_laxer_than_organizations() {
        for name in ["a", "a--b", "a__b", "a..b", "a-", "a.", "1"] {
            assert_eq!(repository(name), Ok(()), "{name}");
        }
        for name in ["", "-a", ".a", "_a", "A", "a b", "a+b", "a\n"] {
            assert!(repository(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn tags_obey_the_distribution_specification() {
        for name in ["latest", "1.0", "_", "A-b.c_d", &"a".repeat(128)] {
            assert_eq!(tag(name), Ok(()), "{name}");
        }
        for name in ["", "-a", ".a", "a b", "a:b", "a/b", "ö", &"a".repeat(129)] {
            assert!(tag(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_cluster_id_must_give_valid_names_on_both_sides() {
        assert_eq!(ClusterId::new("openshift").problem(), None);
        assert_eq!(ClusterId::new("prod-1").problem(), None);
        for id in ["", "prod_1", "Prod", "prod-", "-prod", "pröd"] {
            assert!(ClusterId::new(id).problem().is_some(), "{id}");
        }
        assert_eq!(ClusterId::new("Prod").organization("a"), "prod_a");
        assert_eq!(ClusterId::new("Prod").secret("builder"), "builder-quay-Prod");
        assert!(ClusterId::new("Prod").names_secret("builder-quay-Prod"));
        for other in ["builder-quay-prod", "-quay-Prod", "builder-dockercfg-Prod", "Prod", ""] {
            assert!(!ClusterId::new("Prod").names_secret(other), "{other}");
        }
    }

    #[test]
    fn passwords_in_addresses_are_not_quoted() {
        for text in
            ["ftp://user:secret@quay", "https://user:secret@quay", "https://user:secret@ quay"]
        {
            assert!(!QuayUrl::parse(text).unwrap_err().contains("secret"), "{text}");
        }
    }

    #[test]
    fn addresses_are_understood_as_people_write_them() {
        let table = [
            ("https://quay.example.com", "https://quay.example.com", "quay.example.com", vec![]),
            (
                " https://quay.example.com/\n",
                "https://quay.example.com",
                "quay.example.com",
                vec![],
            ),
            (
                "quay.example.com",
                "https://quay.example.com",
                "quay.example.com",
                vec![UrlProblem::NoScheme],
            ),
            (
                "localhost:8443",
                "https://localhost:8443",
                "localhost:8443",
                vec![UrlProblem::NoScheme],
            ),
            (
                "https://quay.example.com:443/x",
                "https://quay.example.com",
                "quay.example.com",
                vec![UrlProblem::Path],
            ),
            ("http://quay:8080", "http://quay:8080", "quay:8080", vec![UrlProblem::PlainHttp]),
        ];
        for (text, shown, host, problems) in table {
            let (url, found) = QuayUrl::parse(text).unwrap();
            assert_eq!(
                (url.to_string(), url.host(), found),
                (shown.to_owned(), host.to_owned(), problems),
                "{text}"
            );
        }
        for text in ["", "ftp://quay", "https://", "https://user:secret@quay", "https://a b"] {
            assert!(QuayUrl::parse(text).is_err(), "{text}");
        }
    }
}
