//! Names in Quay and in the cluster, and their rules.

use std::collections::BTreeMap;
use std::fmt;

use url::Url;

/// The operator's finalizer on a namespace, for which it deletes the organization (QBO `pkg/constants`).
pub const OPERATOR_FINALIZER: &str = "quay.redhat.com/quayintegrations";

/// Our finalizer on a namespace: its organization is deleted with the namespace.
pub const FINALIZER: &str = "oc-quay/organization";

/// Annotation on a namespace, `delete` or `retain`: overrides the deletion policy for its organization.
pub const DELETION_POLICY_ANNOTATION: &str = "oc-quay/deletion-policy";

/// Label on every object that we create in the cluster, with the value [`MANAGED_BY`].
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Value of [`MANAGED_BY_LABEL`].
pub const MANAGED_BY: &str = "oc-quay";

/// Name of our controller's namespace and objects.
pub const CONTROLLER_NAME: &str = "oc-quay";

/// Environment variable with the name of the replica's pod.
pub const POD_NAME: &str = "POD_NAME";

/// The Lease of our controller's leader election.
pub const LEASE: &str = "oc-quay";

/// The operator's webhook inside its MutatingWebhookConfiguration, whose own name OLM generates (QBO
/// `config/webhook/manifests.yaml`).
pub const OPERATOR_WEBHOOK: &str = "quayintegration.quay.redhat.com";

/// Our controller's webhook inside its MutatingWebhookConfiguration.
pub const CONTROLLER_WEBHOOK: &str = "builds.controller.oc-quay";

/// Path of our controller's webhook.
pub const CONTROLLER_WEBHOOK_PATH: &str = "/builds";

/// Annotation on a service account: the role of its robot account, as set by `link --service-account`.
pub const ROLE_ANNOTATION: &str = "oc-quay/role";

/// Annotation on a reserved namespace that was linked with `link --force`.
pub const LINKED_ANNOTATION: &str = "oc-quay/linked";

/// Annotation on a QuayIntegration: the controller that was chosen in setup, `operator`, `in-cluster` or `none`.
pub const CONTROLLER_ANNOTATION: &str = "oc-quay/controller";

/// Annotation on an image stream: `true` requests a repository, `false` none, whatever its tags track.
pub const REPOSITORY_ANNOTATION: &str = "oc-quay/repository";

/// Annotation on a BuildConfig that `builds rewrite` changed: its original output, as JSON.
pub const ORIGINAL_OUTPUT_ANNOTATION: &str = "oc-quay/former-output";

/// Annotation on a Build: the state of the import of its image, and the Build's uid, since a clone of a Build has the same
/// annotations.
pub const IMPORT_ANNOTATION: &str = "oc-quay/import";

/// The service account of builds in OpenShift Pipelines and Shipwright.
const PIPELINE: &str = "pipeline";

/// Annotation on a secret, with the value `true`: Shipwright revalidates builds that reference it when it changes
/// (Shipwright `docs/development/authentication.md`).
pub const SHIPWRIGHT_ANNOTATION: &str = "build.shipwright.io/referenced.secret";

/// The annotations of our secret of that name: [`SHIPWRIGHT_ANNOTATION`] for that of [`PIPELINE`], otherwise none.
pub fn secret_annotations(secret: &str) -> BTreeMap<&'static str, &'static str> {
    let is_referenced =
        secret.strip_prefix(PIPELINE).is_some_and(|rest| rest.starts_with("-quay-"));
    is_referenced.then_some((SHIPWRIGHT_ANNOTATION, "true")).into_iter().collect()
}

/// Suffix of the copy that is stored while a secret is replaced.
const SPARE: &str = "-spare";

/// Name of the copy that is stored while a secret is replaced.
pub fn spare_secret(secret: &str) -> String {
    format!("{secret}{SPARE}")
}

/// The secret that a copy of that name belongs to.
pub fn secret_of_spare(spare: &str) -> Option<&str> {
    spare.strip_suffix(SPARE)
}

/// The `clusterID` of the integration: the prefix of this cluster's organizations in Quay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterId(String);

impl ClusterId {
    /// The ID as written in the QuayIntegration; [`ClusterId::problem`] validates it.
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

    /// Why this ID produces an invalid organization or secret name, if it does.
    pub fn problem(&self) -> Option<String> {
        if self.0.is_empty() {
            return Some("it is empty".into());
        }
        if let Err(invalid) = validate_organization(&self.organization("x")) {
            return Some(format!("invalid organization name: {invalid}"));
        }
        if let Err(invalid) = validate_kubernetes_name(&self.secret("builder")) {
            return Some(format!("invalid Secret name: {invalid}"));
        }
        None
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Organization name: `^[a-z0-9]+([._-][a-z0-9]+)*$`, 2 to 255 characters (Quay
/// `util/validation.py:17`; `wire/165a` to `wire/165w`).
///
/// # Errors
/// The rule that is violated.
pub fn validate_organization(name: &str) -> Result<(), String> {
    if !(2..=255).contains(&name.len()) {
        return Err(format!("`{name}` is not 2 to 255 characters long"));
    }
    validate_words(name)
}

/// Short name of a robot account: the organization's rule, and `<organization>+<robot>` at most 255
/// characters in all (`wire/220a` to `wire/220s`).
///
/// # Errors
/// The rule that is violated.
pub fn validate_robot(organization: &str, name: &str) -> Result<(), String> {
    if name.len() < 2 || organization.len() + 1 + name.len() > 255 {
        return Err(format!("`{organization}+{name}` is not within 2 to 255 characters"));
    }
    validate_words(name)
}

/// Repository name: starts with a lower-case letter or a digit, then also `_`, `.` and `-`; at most 255
/// characters (Quay `util/validation.py`; `wire/315a` to `wire/315x`). Image streams yield no nested names (`/`).
///
/// # Errors
/// The rule that is violated.
pub fn validate_repository(name: &str) -> Result<(), String> {
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

/// Tag: `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}` (the OCI distribution specification; Quay `util/names.py`).
///
/// # Errors
/// The rule that is violated.
pub fn validate_tag(tag: &str) -> Result<(), String> {
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

/// Name of a secret or another namespaced object: an RFC 1123 subdomain of at most 253 characters
/// (Kubernetes, "Object Names and IDs").
///
/// # Errors
/// The rule that is violated.
pub fn validate_kubernetes_name(name: &str) -> Result<(), String> {
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

/// Lower-case words with single separators.
fn validate_words(name: &str) -> Result<(), String> {
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

/// The URL of a Quay, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuayUrl(Url);

/// A problem of a URL that was parsed nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlProblem {
    /// No scheme: the operator then has no host at all (QBO `pkg/client/quay/client.go:30`).
    NoScheme,
    /// A path, query or fragment: the operator ignores it in image names.
    Path,
    /// `http://`: tokens and images are sent unencrypted.
    PlainHttp,
}

impl QuayUrl {
    /// Parses a URL. The scheme defaults to https, and a path is dropped.
    ///
    /// # Errors
    /// The reason why the URL is invalid.
    pub fn parse(text: &str) -> Result<(Self, Vec<UrlProblem>), String> {
        let text = text.trim();
        let (full, mut problems) = if text.contains("://") {
            (text.to_owned(), vec![])
        } else {
            (format!("https://{text}"), vec![UrlProblem::NoScheme])
        };
        // Text with an @ is not quoted, since it may contain a password.
        let shown = if text.contains('@') { "…" } else { text };
        let mut url = Url::parse(&full)
            .map_err(|error| format!("`{shown}` is not a valid Quay URL: {error}"))?;
        match url.scheme() {
            "https" => {}
            "http" => problems.push(UrlProblem::PlainHttp),
            other => {
                return Err(format!(
                    "`{shown}` is not a valid Quay URL: the scheme is {other}, not https"
                ));
            }
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(format!("`{shown}` is not a valid Quay URL: no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("invalid Quay URL: contains a user name or password".into());
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            problems.push(UrlProblem::Path);
        }
        url.set_path("/");
        url.set_query(None);
        url.set_fragment(None);
        Ok((Self(url), problems))
    }

    /// `host` or `host:port`, as in image names and pull secrets.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// With scheme and trailing slash.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

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
    fn validates_organization_names() {
        for name in ["ab", "my-org", "my.org", "my_org", "1org", "12345", &"a".repeat(255)] {
            assert_eq!(validate_organization(name), Ok(()), "{name}");
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
            assert!(validate_organization(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn limits_robot_names_with_their_organization() {
        assert_eq!(validate_robot("acme", &"c".repeat(250)), Ok(()));
        assert!(validate_robot("acme", &"c".repeat(251)).is_err());
        assert!(validate_robot("acme", "a").is_err());
        assert!(validate_robot("acme", "my--robot").is_err());
    }

    #[test]
    fn validates_repository_names() {
        for name in ["a", "a--b", "a__b", "a..b", "a-", "a.", "1"] {
            assert_eq!(validate_repository(name), Ok(()), "{name}");
        }
        for name in ["", "-a", ".a", "_a", "A", "a b", "a+b", "a\n"] {
            assert!(validate_repository(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn validates_tags() {
        for name in ["latest", "1.0", "_", "A-b.c_d", &"a".repeat(128)] {
            assert_eq!(validate_tag(name), Ok(()), "{name}");
        }
        for name in ["", "-a", ".a", "a b", "a:b", "a/b", "ö", &"a".repeat(129)] {
            assert!(validate_tag(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn cluster_id_must_produce_valid_names_on_both_sides() {
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
    fn does_not_quote_passwords_in_urls() {
        for text in
            ["ftp://user:secret@quay", "https://user:secret@quay", "https://user:secret@ quay"]
        {
            assert!(!QuayUrl::parse(text).unwrap_err().contains("secret"), "{text}");
        }
    }

    #[test]
    fn parses_urls_with_and_without_scheme() {
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
