//! The rewriting rule, based on the operator's (QBO `pkg/webhook/webhook.go`).
//!
//! Differences: an output without a tag means `latest`, and a build without an output is skipped
//! (the operator crashes); custom builds are rewritten too; namespaces outside the integration have
//! no organization to push to; a robot account cannot push to another organization (`wire/381`); a
//! push secret for the internal registry is replaced.

use std::fmt;

use super::super::integration::Integration;
use super::super::names;
use super::super::scope::Scope;
use super::{CommonSpec, Destination, Strategy};

/// The result of [`rewrite()`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RewriteOutcome {
    Rewritten(Rewritten),
    Unchanged(SkipReason),
}

/// An output in Quay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// `output.to` of kind `DockerImage`, without a namespace.
    pub image: String,
    /// The tag that imports the image.
    pub destination: Destination,
    /// The replacement for a named `output.pushSecret`. Without one, OpenShift picks the service
    /// account's secret by the registry's host.
    pub push_secret: Option<String>,
}

/// The reason why an output is not rewritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// A Jenkins pipeline does not push; the builds that it starts are rewritten on their own.
    Pipeline,
    UnknownStrategy,
    /// There is no `output.to`.
    NoOutput,
    /// It is an image in this Quay.
    InQuay,
    /// It is an image in another registry.
    Elsewhere(String),
    /// Neither an image stream tag nor an image.
    UnknownKind(String),
    /// The namespace of the build or of its output.
    OutOfScope {
        namespace: String,
        scope: Scope,
    },
    /// The image stream is in another namespace, to whose organization the service account's robot
    /// account cannot push, and no other push secret is named.
    OtherOrganization(String),
    /// The scope of this namespace is unknown.
    UnknownNamespace(String),
    /// The rule of Quay that the image's name breaks.
    InvalidName(String),
}

/// Rewrites the output of a build, or of the builds of a BuildConfig, in `namespace`.
///
/// `scope` returns the scope of a namespace, `None` if it is unknown. It is called for the build's
/// namespace and for that of its output.
pub fn rewrite(
    integration: &Integration,
    namespace: &str,
    spec: &CommonSpec,
    scope: impl Fn(&str) -> Option<Scope>,
) -> RewriteOutcome {
    match try_rewrite(integration, namespace, spec, scope) {
        Ok(rewritten) => RewriteOutcome::Rewritten(rewritten),
        Err(why) => RewriteOutcome::Unchanged(why),
    }
}

fn try_rewrite(
    integration: &Integration,
    namespace: &str,
    spec: &CommonSpec,
    scope: impl Fn(&str) -> Option<Scope>,
) -> Result<Rewritten, SkipReason> {
    match spec.strategy {
        Some(Strategy::Docker | Strategy::Source | Strategy::Custom) => {}
        Some(Strategy::JenkinsPipeline) => return Err(SkipReason::Pipeline),
        None => return Err(SkipReason::UnknownStrategy),
    }
    let to = spec.output.to.as_ref().ok_or(SkipReason::NoOutput)?;
    match to.kind.as_str() {
        _ if to.is_stream_tag() => {}
        "DockerImage" if is_at(&to.name, &integration.url.value.host()) => {
            return Err(SkipReason::InQuay);
        }
        "DockerImage" => return Err(SkipReason::Elsewhere(to.name.clone())),
        _ => return Err(SkipReason::UnknownKind(to.kind.clone())),
    }
    let destination = to.stream_tag(namespace);
    check_scope(namespace, &scope)?;
    check_scope(&destination.namespace, &scope)?;
    validate_names(integration, &destination).map_err(SkipReason::InvalidName)?;
    Ok(Rewritten {
        image: destination.image(integration),
        push_secret: push_secret(integration, namespace, spec, &destination)?,
        destination,
    })
}

/// The replacement for the named push secret, if it needs one. Only a secret that we did not create
/// can hold credentials of another organization.
fn push_secret(
    integration: &Integration,
    namespace: &str,
    spec: &CommonSpec,
    destination: &Destination,
) -> Result<Option<String>, SkipReason> {
    let cluster_id = &integration.cluster_id.value;
    let is_foreign =
        spec.output.push_secret.as_ref().is_some_and(|secret| !cluster_id.names_secret(secret));
    match (destination.namespace == namespace, is_foreign) {
        (true, false) | (false, true) => Ok(None),
        (true, true) => Ok(Some(cluster_id.secret(spec.pusher()))),
        (false, false) => Err(SkipReason::OtherOrganization(destination.namespace.clone())),
    }
}

fn is_at(image: &str, host: &str) -> bool {
    image.split_once('/').is_some_and(|(registry, _)| registry == host)
}

fn check_scope(namespace: &str, scope: impl Fn(&str) -> Option<Scope>) -> Result<(), SkipReason> {
    match scope(namespace) {
        Some(scope) if scope.is_in() => Ok(()),
        Some(scope) => Err(SkipReason::OutOfScope { namespace: namespace.to_owned(), scope }),
        None => Err(SkipReason::UnknownNamespace(namespace.to_owned())),
    }
}

fn validate_names(integration: &Integration, destination: &Destination) -> Result<(), String> {
    names::validate_organization(
        &integration.cluster_id.value.organization(&destination.namespace),
    )?;
    names::validate_repository(&destination.stream)?;
    names::validate_tag(&destination.tag)
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SkipReason::Pipeline => f.write_str("a Jenkins pipeline does not push"),
            SkipReason::UnknownStrategy => f.write_str("its strategy is unknown"),
            SkipReason::NoOutput => f.write_str("it has no output"),
            SkipReason::InQuay => f.write_str("it already pushes to this Quay"),
            SkipReason::Elsewhere(image) => write!(f, "it pushes to {image}"),
            SkipReason::UnknownKind(kind) => write!(f, "its output is of kind {kind}"),
            SkipReason::OutOfScope { namespace, scope } => {
                write!(f, "namespace {namespace} is not in the integration: {scope}")
            }
            SkipReason::OtherOrganization(namespace) => write!(
                f,
                "no robot account of this namespace can push to the organization of namespace {namespace}: set \
                 output.pushSecret to a secret with credentials of a robot account of that organization"
            ),
            SkipReason::UnknownNamespace(namespace) => {
                write!(f, "cannot determine whether namespace {namespace} is in the integration")
            }
            SkipReason::InvalidName(why) => write!(f, "invalid image name: {why}"),
        }
    }
}

#[cfg(test)]
pub(in crate::domain) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::super::integration::{Source, Sourced};
    use super::super::super::names::{ClusterId, QuayUrl};
    use super::super::{Output, Target};
    use super::*;

    pub(in crate::domain) fn integration() -> Integration {
        let source = Source::Resource("quay".into());
        Integration {
            url: Sourced {
                value: QuayUrl::parse("https://quay.example.com:8443").unwrap().0,
                source: source.clone(),
            },
            cluster_id: Sourced { value: ClusterId::new("Prod"), source },
            resource: None,
            lists_unread: false,
            insecure: false,
            cluster: "api.example.com:6443".into(),
        }
    }

    fn build(kind: &str, namespace: Option<&str>, name: &str) -> CommonSpec {
        let to =
            Target { kind: kind.into(), namespace: namespace.map(Into::into), name: name.into() };
        CommonSpec {
            strategy: Some(Strategy::Docker),
            output: Output { to: Some(to), push_secret: None },
            service_account: None,
        }
    }

    /// `kube-system` is out of scope, `nowhere` unknown, everything else in.
    fn rewritten(spec: &CommonSpec) -> Result<Rewritten, SkipReason> {
        let scope =
            |namespace: &str| (namespace != "nowhere").then(|| Scope::of(namespace, false, None));
        match rewrite(&integration(), "shop", spec, scope) {
            RewriteOutcome::Rewritten(rewritten) => Ok(rewritten),
            RewriteOutcome::Unchanged(why) => Err(why),
        }
    }

    #[test]
    fn rewrites_tag_to_organization_of_its_namespace() {
        let table = [
            ("ImageStreamTag", None, "app:1.0", "prod_shop/app:1.0", "shop/app:1.0"),
            ("ImageStreamTag", Some("shop"), "app:1.0", "prod_shop/app:1.0", "shop/app:1.0"),
            // The operator crashes here.
            ("ImageStreamTag", None, "app", "prod_shop/app:latest", "shop/app:latest"),
            ("ImageStreamTag", None, "app:", "prod_shop/app:latest", "shop/app:latest"),
            ("ImageStream", None, "app", "prod_shop/app:latest", "shop/app:latest"),
            ("", None, "app", "prod_shop/app:latest", "shop/app:latest"),
        ];
        for (kind, namespace, name, path, destination) in table {
            let rewritten = rewritten(&build(kind, namespace, name)).unwrap();
            assert_eq!(rewritten.image, format!("quay.example.com:8443/{path}"), "{kind} {name}");
            assert_eq!(rewritten.destination.to_string(), destination, "{kind} {name}");
            assert_eq!(rewritten.push_secret, None);
        }
    }

    #[test]
    fn rewrites_every_strategy_that_pushes() {
        let with = |strategy| {
            rewritten(&CommonSpec { strategy, ..build("ImageStreamTag", None, "app:1") })
        };
        for strategy in [Strategy::Docker, Strategy::Source, Strategy::Custom] {
            assert!(with(Some(strategy)).is_ok(), "{strategy:?}");
        }
        assert_eq!(with(Some(Strategy::JenkinsPipeline)), Err(SkipReason::Pipeline));
        assert_eq!(with(None), Err(SkipReason::UnknownStrategy));
    }

    #[test]
    fn skips_outputs_outside_the_integration() {
        let out_of_scope = |namespace: &str| SkipReason::OutOfScope {
            namespace: namespace.into(),
            scope: Scope::BuiltIn,
        };
        let table = [
            (
                build("DockerImage", None, "docker.io/x/y:1"),
                SkipReason::Elsewhere("docker.io/x/y:1".into()),
            ),
            (build("DockerImage", None, "quay.example.com:8443/a/b:1"), SkipReason::InQuay),
            (
                build("ImageStreamImage", None, "app@sha256:0"),
                SkipReason::UnknownKind("ImageStreamImage".into()),
            ),
            (build("ImageStreamTag", Some("kube-system"), "app:1"), out_of_scope("kube-system")),
            (
                build("ImageStreamTag", Some("nowhere"), "app:1"),
                SkipReason::UnknownNamespace("nowhere".into()),
            ),
            (CommonSpec { output: Output::default(), ..build("", None, "") }, SkipReason::NoOutput),
        ];
        for (spec, why) in table {
            assert_eq!(rewritten(&spec), Err(why), "{spec:?}");
        }
        for (namespace, name) in [
            ("a--b", "app:1"),
            ("shop", ":1"),
            ("shop", "App:1"),
            ("shop", "app:a b"),
            ("shop", "app:1:2"),
        ] {
            let outcome = rewritten(&build("ImageStreamTag", Some(namespace), name));
            assert!(
                matches!(outcome, Err(SkipReason::InvalidName(_))),
                "{namespace} {name}: {outcome:?}"
            );
        }
    }

    #[test]
    fn requires_scope_of_the_builds_namespace() {
        let scope = |namespace: &str| Some(Scope::of(namespace, false, None));
        let spec = build("ImageStreamTag", Some("shop"), "app:1");
        let outcome = rewrite(&integration(), "openshift-x", &spec, scope);
        let RewriteOutcome::Unchanged(why) = outcome else { panic!("{outcome:?}") };
        assert_eq!(
            why.to_string(),
            "namespace openshift-x is not in the integration: it is a reserved platform namespace"
        );
    }

    #[test]
    fn replaces_push_secret_for_the_internal_registry() {
        let with = |secret: &str, account: Option<&str>| {
            let mut spec = build("ImageStreamTag", None, "app:1");
            spec.output.push_secret = Some(secret.into());
            spec.service_account = account.map(Into::into);
            rewritten(&spec).unwrap().push_secret
        };
        assert_eq!(with("builder-dockercfg-x", None).as_deref(), Some("builder-quay-Prod"));
        assert_eq!(with("mine", Some("robot")).as_deref(), Some("robot-quay-Prod"));
        // Our secrets are valid for Quay, whichever service account they belong to.
        assert_eq!(with("robot-quay-Prod", None), None);
    }

    #[test]
    fn needs_own_push_secret_for_another_organization() {
        let with = |secret: Option<&str>| {
            let mut spec = build("ImageStreamTag", Some("images"), "app:1");
            spec.output.push_secret = secret.map(Into::into);
            rewritten(&spec)
        };
        let pushed = with(Some("images-robot")).unwrap();
        assert_eq!(pushed.image, "quay.example.com:8443/prod_images/app:1");
        assert_eq!(
            (pushed.push_secret, pushed.destination.to_string().as_str()),
            (None, "images/app:1")
        );
        for secret in [None, Some("builder-quay-Prod")] {
            assert_eq!(
                with(secret),
                Err(SkipReason::OtherOrganization("images".into())),
                "{secret:?}"
            );
        }
    }

    #[test]
    fn does_not_rewrite_twice() {
        let first = rewritten(&build("ImageStreamTag", None, "app:1")).unwrap();
        assert_eq!(rewritten(&build("DockerImage", None, &first.image)), Err(SkipReason::InQuay));
    }
}
