//! The review of one build, a function of the request and of what is known: bytes in, answer out.
//!
//! It only ever admits. What it does not understand or cannot know it leaves alone and says so in a warning, which `oc`
//! prints: a build is better off with its old output than not there.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::WebhookView;
use super::build_patch;
use crate::domain::builds::{
    CommonSpec, IMPORTED_ANNOTATION, RewriteOutcome, Rewritten, SkipReason, rewrite,
};
use crate::domain::desired::DEFAULT_ACCOUNTS;

/// What comes of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReviewOutcome {
    /// The build pushes to Quay.
    Rewritten,
    /// The build is none of ours, or pushes where it should already.
    Unchanged,
    /// Its service account cannot push yet; the namespace is to be looked at first.
    NotLinked,
    /// It was left alone although it may be one of ours.
    Unknown,
}

impl ReviewOutcome {
    /// In a word, for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ReviewOutcome::Rewritten => "rewritten",
            ReviewOutcome::Unchanged => "unchanged",
            ReviewOutcome::NotLinked => "not_linked",
            ReviewOutcome::Unknown => "unknown",
        }
    }
}

/// The answer to a review.
#[derive(Clone, Debug)]
pub struct ReviewAnswer {
    /// The AdmissionReview to send back.
    pub body: Vec<u8>,
    /// What came of it.
    pub outcome: ReviewOutcome,
    /// What is to be known about it, as `oc create` prints it. OpenShift itself creates the builds of a BuildConfig, so
    /// whoever starts one of those does not see it.
    pub warning: Option<String>,
    /// The build's namespace.
    pub namespace: String,
    /// The build.
    pub name: String,
}

/// What was sent is no AdmissionReview, so there is nobody to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidReview;

/// The longest name of an object or a namespace (Kubernetes' `apimachinery/pkg/util/validation`). A uid is shorter.
const MAX_NAME_LENGTH: usize = 253;

#[derive(Deserialize)]
struct Review<T> {
    request: T,
}

/// An AdmissionRequest (`admission.k8s.io/v1`), as far as we need it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    #[serde(default)]
    resource: Resource,
    #[serde(default)]
    sub_resource: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
}

/// The build in the request. It is read by itself, so that one that makes no sense spoils nothing else; and no more of it
/// than is needed, so that its size costs no memory.
#[derive(Deserialize)]
struct RequestObject {
    object: Object<Build>,
}

#[derive(Deserialize)]
struct Build {
    metadata: Object<Metadata>,
    spec: Object<CommonSpec>,
}

#[derive(Deserialize)]
struct Metadata {
    annotations: Option<Annotations>,
}

/// What matters of a build's annotations.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Annotations {
    /// They say that the image was imported.
    pub(super) is_imported: bool,
}

/// A JSON object: serde takes a struct from an array as well, in which no patch would fit.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMap<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(OfMap(PhantomData)).map(Self)
    }
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap;
        impl<'de> Visitor<'de> for OfMap {
            type Value = Annotations;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("annotations")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Annotations, A::Error> {
                let mut found = Annotations::default();
                while let Some((key, IgnoredAny)) = map.next_entry::<String, _>()? {
                    found.is_imported |= key == IMPORTED_ANNOTATION;
                }
                Ok(found)
            }
        }
        deserializer.deserialize_map(OfMap)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource {
    group: String,
    resource: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reply<'a> {
    api_version: &'a str,
    kind: &'a str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings: Option<[String; 1]>,
}

/// Reviews a build that is to be created.
///
/// # Errors
/// [`InvalidReview`] for anything but an AdmissionReview with a request.
pub fn review(body: &[u8], view: &dyn WebhookView) -> Result<ReviewAnswer, InvalidReview> {
    let Review::<Request> { request } = serde_json::from_slice(body).map_err(|_| InvalidReview)?;
    if [&request.uid, &request.name, &request.namespace]
        .into_iter()
        .any(|name| name.len() > MAX_NAME_LENGTH)
    {
        return Err(InvalidReview);
    }
    let outcome = if request.is_new_build() {
        match build(body) {
            Some((annotations, spec)) => judge(&request.namespace, annotations, &spec, view),
            None => Decision::left_alone(
                ReviewOutcome::Unknown,
                "it is no build that could be understood",
            ),
        }
    } else {
        Decision::silent(ReviewOutcome::Unchanged)
    };
    let patch = outcome.patch.as_ref().and_then(|patch| serde_json::to_vec(patch).ok());
    let reply = Reply {
        api_version: "admission.k8s.io/v1",
        kind: "AdmissionReview",
        response: Response {
            uid: &request.uid,
            allowed: true,
            patch_type: patch.as_ref().map(|_| "JSONPatch"),
            patch: patch.map(|patch| STANDARD.encode(patch)),
            warnings: outcome.warning.as_ref().map(|warning| [format!("oc-quay: {warning}")]),
        },
    };
    let body = serde_json::to_vec(&reply).map_err(|_| InvalidReview)?;
    let Decision { outcome, warning, .. } = outcome;
    let Request { namespace, name, .. } = request;
    Ok(ReviewAnswer { body, outcome, warning, namespace, name })
}

/// Why the output of a build, as it was created, is not in Quay although somebody may have expected it there; with what
/// the webhook would say of it now.
pub(in crate::controller) fn not_rewritten(
    namespace: &str,
    spec: &CommonSpec,
    view: &dyn WebhookView,
) -> Option<(ReviewOutcome, String)> {
    let Decision { outcome, warning, .. } = judge(namespace, None, spec, view);
    let why = match outcome {
        ReviewOutcome::Rewritten => {
            "the output of this build stays as it is: the bridge was not asked, or not ready yet"
                .to_owned()
        }
        _ => warning?,
    };
    Some((outcome, why))
}

impl Request {
    /// A build's `spec` cannot be changed, so only a new one can be rewritten. The operator tries it on every update, and
    /// a build that began before its namespace came into scope hangs for ever.
    fn is_new_build(&self) -> bool {
        self.operation == "CREATE"
            && self.sub_resource.is_empty()
            && (self.resource.group.as_str(), self.resource.resource.as_str())
                == ("build.openshift.io", "builds")
    }
}

struct Decision {
    outcome: ReviewOutcome,
    patch: Option<json_patch::Patch>,
    warning: Option<String>,
}

impl Decision {
    fn silent(outcome: ReviewOutcome) -> Self {
        Self { outcome, patch: None, warning: None }
    }

    fn left_alone(outcome: ReviewOutcome, why: &str) -> Self {
        Self {
            warning: Some(format!("the output of this build stays as it is: {why}")),
            ..Self::silent(outcome)
        }
    }
}

fn judge(
    namespace: &str,
    annotations: Option<Annotations>,
    spec: &CommonSpec,
    view: &dyn WebhookView,
) -> Decision {
    let Some(integration) = view.integration() else {
        return match &spec.output.to {
            Some(to) if to.kind != "DockerImage" => {
                Decision::left_alone(ReviewOutcome::Unknown, "no QuayIntegration can be used now")
            }
            _ => Decision::silent(ReviewOutcome::Unchanged),
        };
    };
    match rewrite(&integration, namespace, spec, |namespace| view.scope(namespace)) {
        RewriteOutcome::Rewritten(rewritten) if !has_login(namespace, spec, &rewritten, view) => {
            Decision::left_alone(ReviewOutcome::NotLinked, &not_linked(namespace, spec.pusher()))
        }
        RewriteOutcome::Rewritten(rewritten) => Decision {
            outcome: ReviewOutcome::Rewritten,
            warning: replaced(spec, &rewritten),
            patch: Some(build_patch::rewritten(annotations, &rewritten)),
        },
        RewriteOutcome::Unchanged(SkipReason::InQuay) => Decision {
            // A clone (`oc start-build --from-build`) has all the annotations of the build that it is made from
            // (openshift-apiserver `pkg/build/apiserver/buildgenerator`), so it would pass for imported.
            patch: annotations
                .is_some_and(|annotations| annotations.is_imported)
                .then(build_patch::not_imported),
            ..Decision::silent(ReviewOutcome::Unchanged)
        },
        RewriteOutcome::Unchanged(why) => unchanged(namespace, &why),
    }
}

/// The annotations and the spec of a build; `None` where what came is not one.
fn build(review: &[u8]) -> Option<(Option<Annotations>, CommonSpec)> {
    let Review { request: RequestObject { object: Object(build) } } =
        serde_json::from_slice(review).ok()?;
    Some((build.metadata.0.annotations, build.spec.0))
}

/// Whether the build will have a login to push with: one that it names itself, or else its service account's.
fn has_login(
    namespace: &str,
    spec: &CommonSpec,
    rewritten: &Rewritten,
    view: &dyn WebhookView,
) -> bool {
    let names_its_own = spec.output.push_secret.is_some() && rewritten.push_secret.is_none();
    names_its_own || view.can_push(namespace, spec.pusher())
}

fn not_linked(namespace: &str, account: &str) -> String {
    if DEFAULT_ACCOUNTS.iter().any(|(usual, _)| *usual == account) {
        format!("service account {account} has no login to push to Quay yet")
    } else {
        let command = format!("oc quay link -n {namespace} --service-account {account}=write");
        format!("service account {account} has no login to push to Quay: {command}")
    }
}

fn replaced(spec: &CommonSpec, rewritten: &Rewritten) -> Option<String> {
    let (named, own) = (spec.output.push_secret.as_ref()?, rewritten.push_secret.as_ref()?);
    Some(format!(
        "the build pushes to Quay, so secret {own} takes the place of push secret {named}"
    ))
}

/// Says why only where somebody may have expected the image to go to Quay.
fn unchanged(namespace: &str, why: &SkipReason) -> Decision {
    match why {
        SkipReason::UnknownNamespace(_) => {
            Decision::left_alone(ReviewOutcome::Unknown, &why.to_string())
        }
        SkipReason::OutOfScope { namespace: other, .. } if other == namespace => {
            Decision::silent(ReviewOutcome::Unchanged)
        }
        SkipReason::OutOfScope { .. }
        | SkipReason::OtherOrganization(_)
        | SkipReason::Impossible(_) => {
            Decision::left_alone(ReviewOutcome::Unchanged, &why.to_string())
        }
        _ => Decision::silent(ReviewOutcome::Unchanged),
    }
}
