//! The review of one build: a function of the request and the webhook's data.
//!
//! Every build is admitted. A build that cannot be rewritten keeps its output, and the response has
//! a warning, which `oc` prints.
//!
//! Not kube's types (kube-core 5.0 `admission.rs`). They reject the whole request for an invalid
//! annotation or an unknown operation, and keep the build as a tree. Their response has a `status`,
//! and the patch as an array of numbers instead of base64.

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

/// Outcome of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReviewOutcome {
    /// The output was rewritten.
    Rewritten,
    /// The build is out of scope, or pushes to Quay already.
    Unchanged,
    /// Its service account has no push secret; the namespace must be reconciled first.
    NotLinked,
    /// Not rewritten, although it might be in scope.
    Unknown,
}

impl ReviewOutcome {
    /// The label of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ReviewOutcome::Rewritten => "rewritten",
            ReviewOutcome::Unchanged => "unchanged",
            ReviewOutcome::NotLinked => "not_linked",
            ReviewOutcome::Unknown => "unknown",
        }
    }
}

#[derive(Clone, Debug)]
pub struct ReviewAnswer {
    /// The AdmissionReview of the response.
    pub body: Vec<u8>,
    /// The outcome.
    pub outcome: ReviewOutcome,
    /// The warning that `oc create` prints. OpenShift creates a BuildConfig's builds, so `oc
    /// start-build` does not print it.
    pub warning: Option<String>,
    /// The build's namespace.
    pub namespace: String,
    /// The build.
    pub name: String,
}

/// The request is not an AdmissionReview.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidReview;

/// Limit of names (Kubernetes' `apimachinery/pkg/util/validation`); UIDs are shorter.
const MAX_NAME_LENGTH: usize = 253;

#[derive(Deserialize)]
struct Review<T> {
    request: T,
}

/// The fields in use of an AdmissionRequest (`admission.k8s.io/v1`).
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

/// The build is deserialized separately, so that an invalid one does not invalidate the request.
/// Unused fields are skipped, so its size costs no memory.
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

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Annotations {
    /// The image is recorded as imported.
    pub(super) is_imported: bool,
}

/// A JSON object. Serde accepts an array for a struct too, to which no patch applies.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
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
        deserializer.deserialize_map(ObjectVisitor)
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
struct ReviewResponse<'a> {
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

/// Reviews the creation of a build.
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
        match parse_build(body) {
            Some((annotations, spec)) => decide(&request.namespace, annotations, &spec, view),
            None => Decision::with_warning(ReviewOutcome::Unknown, "invalid Build object"),
        }
    } else {
        Decision::without_warning(ReviewOutcome::Unchanged)
    };
    let patch = outcome.patch.as_ref().and_then(|patch| serde_json::to_vec(patch).ok());
    let response = ReviewResponse {
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
    let body = serde_json::to_vec(&response).map_err(|_| InvalidReview)?;
    let Decision { outcome, warning, .. } = outcome;
    let Request { namespace, name, .. } = request;
    Ok(ReviewAnswer { body, outcome, warning, namespace, name })
}

/// The reason why the output of a created build is not in Quay, if it might be expected there.
pub(in crate::controller) fn not_rewritten(
    namespace: &str,
    spec: &CommonSpec,
    view: &dyn WebhookView,
) -> Option<(ReviewOutcome, String)> {
    let Decision { outcome, warning, .. } = decide(namespace, None, spec, view);
    let why = match outcome {
        ReviewOutcome::Rewritten => {
            "build output not rewritten: the webhook was not called or not ready".to_owned()
        }
        _ => warning?,
    };
    Some((outcome, why))
}

impl Request {
    /// A build's `spec` is immutable, so only a new one is rewritten. The operator's webhook
    /// rewrites updates too, and a build that started before its namespace came into scope is
    /// stuck.
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
    fn without_warning(outcome: ReviewOutcome) -> Self {
        Self { outcome, patch: None, warning: None }
    }

    fn with_warning(outcome: ReviewOutcome, why: &str) -> Self {
        Self {
            warning: Some(format!("build output not rewritten: {why}")),
            ..Self::without_warning(outcome)
        }
    }
}

fn decide(
    namespace: &str,
    annotations: Option<Annotations>,
    spec: &CommonSpec,
    view: &dyn WebhookView,
) -> Decision {
    let Some(integration) = view.integration() else {
        return match &spec.output.to {
            Some(to) if to.kind != "DockerImage" => {
                Decision::with_warning(ReviewOutcome::Unknown, "no usable QuayIntegration")
            }
            _ => Decision::without_warning(ReviewOutcome::Unchanged),
        };
    };
    match rewrite(&integration, namespace, spec, |namespace| view.scope(namespace)) {
        RewriteOutcome::Rewritten(rewritten)
            if !has_push_credentials(namespace, spec, &rewritten, view) =>
        {
            Decision::with_warning(
                ReviewOutcome::NotLinked,
                &not_linked_reason(namespace, spec.pusher()),
            )
        }
        RewriteOutcome::Rewritten(rewritten) => Decision {
            outcome: ReviewOutcome::Rewritten,
            warning: replacement_warning(spec, &rewritten),
            patch: Some(build_patch::rewrite_output(annotations, &rewritten)),
        },
        RewriteOutcome::Unchanged(SkipReason::InQuay) => Decision {
            // A clone (`oc start-build --from-build`) inherits all annotations (openshift-apiserver
            // `pkg/build/apiserver/buildgenerator`), also the record of the import.
            patch: annotations
                .is_some_and(|annotations| annotations.is_imported)
                .then(build_patch::remove_imported),
            ..Decision::without_warning(ReviewOutcome::Unchanged)
        },
        RewriteOutcome::Unchanged(why) => skip_decision(namespace, &why),
    }
}

/// `None` for an invalid build.
fn parse_build(review: &[u8]) -> Option<(Option<Annotations>, CommonSpec)> {
    let Review { request: RequestObject { object: Object(build) } } =
        serde_json::from_slice(review).ok()?;
    Some((build.metadata.0.annotations, build.spec.0))
}

/// Either its own push secret or its service account's.
fn has_push_credentials(
    namespace: &str,
    spec: &CommonSpec,
    rewritten: &Rewritten,
    view: &dyn WebhookView,
) -> bool {
    let has_own_secret = spec.output.push_secret.is_some() && rewritten.push_secret.is_none();
    has_own_secret || view.has_push_secret(namespace, spec.pusher())
}

fn not_linked_reason(namespace: &str, account: &str) -> String {
    if DEFAULT_ACCOUNTS.iter().any(|(default, _)| *default == account) {
        format!("service account {account} has no push secret for Quay yet")
    } else {
        let command = format!("oc quay link -n {namespace} --service-account {account}=write");
        format!("service account {account} has no push secret for Quay: run {command}")
    }
}

fn replacement_warning(spec: &CommonSpec, rewritten: &Rewritten) -> Option<String> {
    let (requested, own) = (spec.output.push_secret.as_ref()?, rewritten.push_secret.as_ref()?);
    Some(format!("the build pushes to Quay; secret {own} replaces push secret {requested}"))
}

/// Warns only if the image might be expected in Quay.
fn skip_decision(namespace: &str, why: &SkipReason) -> Decision {
    match why {
        SkipReason::UnknownNamespace(_) => {
            Decision::with_warning(ReviewOutcome::Unknown, &why.to_string())
        }
        SkipReason::OutOfScope { namespace: other, .. } if other == namespace => {
            Decision::without_warning(ReviewOutcome::Unchanged)
        }
        SkipReason::OutOfScope { .. }
        | SkipReason::OtherOrganization(_)
        | SkipReason::InvalidName(_) => {
            Decision::with_warning(ReviewOutcome::Unchanged, &why.to_string())
        }
        _ => Decision::without_warning(ReviewOutcome::Unchanged),
    }
}
