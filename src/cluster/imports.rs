//! Importing tags from Quay into an image stream.

use kube::api::PostParams;
use kube::core::Request;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Cluster;
use super::conflict_retry::ConflictRetry;
use super::convert::PRESERVE_ORIGINAL;
use super::error::ClusterError;
use super::resources::{self, IMAGE_STREAM_IMPORTS, IMAGE_STREAMS};
use crate::domain::imports::{ImportFailure, Outcome, StreamImport, TagImport};
use crate::domain::snapshot::ImageStream;

/// What OpenShift answers: a request that is never stored, with a result for each image in the order asked.
#[derive(Deserialize)]
struct ImportResponse {
    #[serde(default)]
    status: ImportResponseStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ImportResponseStatus {
    images: Option<Vec<ImageResult>>,
}

#[derive(Deserialize)]
struct ImageResult {
    status: ResultStatus,
    image: Option<Image>,
}

/// A `Status` of the API's.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ResultStatus {
    status: String,
    message: String,
    code: u16,
}

#[derive(Deserialize)]
struct Image {
    metadata: ImageMeta,
}

#[derive(Deserialize)]
struct ImageMeta {
    /// The digest.
    name: String,
}

impl Cluster {
    /// Has OpenShift import tags into an image stream, at once and with one request. Which ones `choose` says, of the image
    /// stream as it is now; one that changes until they are imported is chosen from again, so that no import takes the
    /// place of what came meanwhile. OpenShift makes an image stream that is not there yet. Says of each tag in their
    /// order what came of it: the request itself succeeds although none of its imports did (measured on OpenShift 4.21).
    ///
    /// The reference policy is only for tags that are new; OpenShift keeps that of others, but not their import policy (openshift-apiserver
    /// `pkg/image/apiserver/registry/imagestreamimport/rest.go`, `ensureSpecTag`). What the image stream had before stays
    /// when an import fails.
    ///
    /// # Errors
    /// When the image stream could not be read, or the request as a whole failed. After a time-out the tags may be
    /// imported.
    pub async fn import_image_stream(
        &self,
        namespace: &str,
        stream: &str,
        mut choose: impl FnMut(Option<&ImageStream>) -> StreamImport,
    ) -> Result<Vec<Outcome>, ClusterError> {
        let call = format!("import into {}", IMAGE_STREAMS.one(Some(namespace), stream));
        let path = Request::new(IMAGE_STREAM_IMPORTS.path(Some(namespace)));
        let mut tries = ConflictRetry::default();
        let (import, answer): (StreamImport, ImportResponse) = loop {
            let found = self
                .get::<resources::ImageStream>(&IMAGE_STREAMS, Some(namespace), stream)
                .await?
                .map(ImageStream::from);
            let import = choose(found.as_ref());
            if import.tags.is_empty() {
                return Ok(vec![]);
            }
            let version = found.as_ref().map(|found| found.resource_version.as_str());
            let body = request_for(namespace, stream, version, &import).to_string();
            match self.send(&call, path.create(&PostParams::default(), body.into())).await {
                // Somebody else changed the image stream since it was read.
                Err(error) if error.is_conflict() => tries.again(error).await?,
                answer => break (import, answer?),
            }
        };
        let results = answer.status.images.unwrap_or_default();
        if results.len() != import.tags.len() {
            return Err(ClusterError::other(call, "the answer does not say what came of each tag"));
        }
        Ok(results.into_iter().map(outcome).collect())
    }
}

/// As the operator asks it after a build (QBO `controllers/build_controller.go:120`), but for all tags together, and only
/// of an image stream of this version: OpenShift answers 409 for another one.
fn request_for(
    namespace: &str,
    stream: &str,
    version: Option<&str>,
    import: &StreamImport,
) -> Value {
    let images = import.tags.iter().map(|TagImport { tag, from, policy }| {
        let mut import_policy =
            json!({ "insecure": import.insecure, "scheduled": policy.scheduled });
        // OpenShift before 4.12 does not know the field.
        if policy.keeps_lists {
            import_policy["importMode"] = json!(PRESERVE_ORIGINAL);
        }
        json!({
            "from": { "kind": "DockerImage", "name": from },
            "to": { "name": tag },
            "importPolicy": import_policy,
            "referencePolicy": { "type": "Source" },
        })
    });
    let mut metadata = json!({ "name": stream, "namespace": namespace });
    if let Some(version) = version {
        metadata["resourceVersion"] = json!(version);
    }
    json!({
        "apiVersion": IMAGE_STREAM_IMPORTS.api_version(),
        "kind": IMAGE_STREAM_IMPORTS.name(),
        "metadata": metadata,
        "spec": { "import": true, "images": images.collect::<Vec<_>>() },
    })
}

fn outcome(ImageResult { status, image }: ImageResult) -> Outcome {
    match image {
        Some(image) if status.status == "Success" => Ok(image.metadata.name),
        // openshift-apiserver's own words where a failure comes without any.
        _ if status.message.is_empty() => Err(ImportFailure {
            code: status.code,
            message: "unknown error prevented import".into(),
        }),
        _ => Err(ImportFailure { code: status.code, message: status.message }),
    }
}
