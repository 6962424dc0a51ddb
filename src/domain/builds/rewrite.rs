//! The rule of rewriting: the operator's (QBO `pkg/webhook/webhook.go`) where it is right.
//!
//! Where it is not: an output without a tag means `latest` and one without a target is left alone, where the operator
//! crashes; a custom build pushes like any other; an image stream of a namespace outside the integration has no
//! organization to push to; no robot account may push to another organization than its own (sample 381); a push secret
//! that was named for the internal registry does not open Quay.

use std::fmt;

use super::super::integration::Integration;
use super::super::names;
use super::super::scope::Scope;
use super::{CommonSpec, Destination, Strategy};

/// What becomes of a build's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RewriteOutcome {
    /// It goes to Quay.
    Rewritten(Rewritten),
    /// It stays as it is, and why.
    Unchanged(SkipReason),
}

/// An output that goes to Quay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// `output.to` of kind `DockerImage`, without a namespace.
    pub image: String,
    /// Where the image is imported to afterwards.
    pub destination: Destination,
    /// `output.pushSecret`, where the one that is named has to give way. Where none is named none is needed: OpenShift picks
    /// the service account's own by the registry's host.
    pub push_secret: Option<String>,
}

/// Why an output stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// Jenkins pushes nothing itself; the builds that it starts are looked at when they come.
    Pipeline,
    /// A strategy that we do not know.
    UnknownStrategy,
    /// There is no `output.to`.
    NoOutput,
    /// It names an image in this Quay already.
    InQuay,
    /// It names an image in another registry; which is what somebody wants.
    Elsewhere(String),
    /// Neither an image stream tag nor an image.
    UnknownKind(String),
    /// The build's namespace, or the one that it pushes to, is not in the integration.
    OutOfScope { namespace: String, scope: Scope },
    /// It pushes to the image stream of another namespace, in whose organization the robot account of the service account
    /// can have no right; a push secret that could serve is not named.
    OtherOrganization(String),
    /// Nothing is known about a namespace, so neither is whether it is in the integration.
    UnknownNamespace(String),
    /// Quay can have no such image; the sentence says which rule is broken.
    Impossible(String),
}

/// What becomes of the output of a build, or of the builds of a BuildConfig, in `namespace`.
///
/// `scope` tells the scope of a namespace, `None` if nothing is known about it. It is asked for the build's own and for the
/// one that it pushes to.
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
    in_scope(namespace, &scope)?;
    in_scope(&destination.namespace, &scope)?;
    possible(integration, &destination).map_err(SkipReason::Impossible)?;
    Ok(Rewritten {
        image: destination.image(integration),
        push_secret: push_secret(integration, namespace, spec, &destination)?,
        destination,
    })
}

/// What a push secret that is named has to give way to, if it has to. To another organization only one can push that is not
/// of the integration's making, for the login of a robot account of that organization.
fn push_secret(
    integration: &Integration,
    namespace: &str,
    spec: &CommonSpec,
    destination: &Destination,
) -> Result<Option<String>, SkipReason> {
    let cluster_id = &integration.cluster_id.value;
    let of_others =
        spec.output.push_secret.as_ref().is_some_and(|secret| !cluster_id.names_secret(secret));
    match (destination.namespace == namespace, of_others) {
        (true, false) | (false, true) => Ok(None),
        (true, true) => Ok(Some(cluster_id.secret(spec.pusher()))),
        (false, false) => Err(SkipReason::OtherOrganization(destination.namespace.clone())),
    }
}

fn is_at(image: &str, host: &str) -> bool {
    image.split_once('/').is_some_and(|(registry, _)| registry == host)
}

fn in_scope(namespace: &str, scope: impl Fn(&str) -> Option<Scope>) -> Result<(), SkipReason> {
    match scope(namespace) {
        Some(scope) if scope.is_in() => Ok(()),
        Some(scope) => Err(SkipReason::OutOfScope { namespace: namespace.to_owned(), scope }),
        None => Err(SkipReason::UnknownNamespace(namespace.to_owned())),
    }
}

fn possible(integration: &Integration, destination: &Destination) -> Result<(), String> {
    names::organization(&integration.cluster_id.value.organization(&destination.namespace))?;
    names::repository(&destination.stream)?;
    names::tag(&destination.tag)
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SkipReason::Pipeline => f.write_str("a Jenkins pipeline pushes nothing itself"),
            SkipReason::UnknownStrategy => f.write_str("its strategy is unknown"),
            SkipReason::NoOutput => f.write_str("it has no output"),
            SkipReason::InQuay => f.write_str("it pushes to this Quay already"),
            SkipReason::Elsewhere(image) => write!(f, "it pushes to {image}"),
            SkipReason::UnknownKind(kind) => write!(f, "its output is of kind {kind}"),
            SkipReason::OutOfScope { namespace, scope } => {
                write!(f, "namespace {namespace} is not in the integration: {scope}")
            }
            SkipReason::OtherOrganization(namespace) => write!(
                f,
                "no robot account of this namespace may push to the organization of namespace {namespace}: name an \
                 output.pushSecret with the login of a robot account of that organization"
            ),
            SkipReason::UnknownNamespace(namespace) => {
                write!(f, "whether namespace {namespace} is in the integration is unknown")
            }
            SkipReason::Impossible(why) => write!(f, "Quay can have no such image: {why}"),
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
    fn an_image_stream_tag_goes_to_the_organization_of_its_namespace() {
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
    fn every_strategy_that_pushes_is_rewritten() {
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
    fn what_does_not_concern_quay_stays_as_it_is() {
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
                matches!(outcome, Err(SkipReason::Impossible(_))),
                "{namespace} {name}: {outcome:?}"
            );
        }
    }

    #[test]
    fn the_builds_own_namespace_must_be_in_scope_too() {
        let scope = |namespace: &str| Some(Scope::of(namespace, false, None));
        let spec = build("ImageStreamTag", Some("shop"), "app:1");
        let outcome = rewrite(&integration(), "openshift-x", &spec, scope);
        let RewriteOutcome::Unchanged(why) = outcome else { panic!("{outcome:?}") };
        assert_eq!(
            why.to_string(),
            "namespace openshift-x is not in the integration: its name is one of the platform's own"
        );
    }

    #[test]
    fn a_push_secret_for_another_registry_gives_way_to_the_service_accounts_own() {
        let with = |secret: &str, account: Option<&str>| {
            let mut spec = build("ImageStreamTag", None, "app:1");
            spec.output.push_secret = Some(secret.into());
            spec.service_account = account.map(Into::into);
            rewritten(&spec).unwrap().push_secret
        };
        assert_eq!(with("builder-dockercfg-x", None).as_deref(), Some("builder-quay-Prod"));
        assert_eq!(with("mine", Some("robot")).as_deref(), Some("robot-quay-Prod"));
        // One that the integration made opens Quay, whichever service account it is for.
        assert_eq!(with("robot-quay-Prod", None), None);
    }

    #[test]
    fn only_a_push_secret_of_somebodys_own_pushes_to_another_organization() {
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
    fn what_was_rewritten_is_not_rewritten_again() {
        let first = rewritten(&build("ImageStreamTag", None, "app:1")).unwrap();
        assert_eq!(rewritten(&build("DockerImage", None, &first.image)), Err(SkipReason::InQuay));
    }
}
