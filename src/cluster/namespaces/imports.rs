//! Imports of tags into an image stream.

use kube::api::PostParams;
use kube::core::Request;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::access::client::Cluster;
use crate::cluster::access::conflict_retry::ConflictRetry;
use crate::cluster::access::error::ClusterError;
use crate::cluster::resources::convert::PRESERVE_ORIGINAL;
use crate::cluster::resources::{self, IMAGE_STREAM_IMPORTS, IMAGE_STREAMS};
use crate::domain::imports::{ImportFailure, Outcome, StreamImport, TagImport};
use crate::domain::snapshot::ImageStream;

/// Response of an ImageStreamImport, which is never stored: one result per image, in request order.
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

/// Kubernetes' `Status`.
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
    /// Imports tags into an image stream with one request. `choose` selects them from the current
    /// image stream, and again after a conflict, so that no import overwrites a newer image.
    /// OpenShift creates a missing image stream. Returns one outcome per tag, in order: the request
    /// succeeds although imports fail (OpenShift 4.21).
    ///
    /// OpenShift applies the reference policy to new tags only, but the import policy to all
    /// (openshift-apiserver `pkg/image/apiserver/registry/imagestreamimport/rest.go`,
    /// `ensureSpecTag`). A failed import keeps the previous image.
    ///
    /// # Errors
    /// If the image stream was not readable or the whole request failed. After a timeout the tags
    /// might be imported.
    pub async fn import_image_stream(
        &self,
        namespace: &str,
        stream: &str,
        mut choose: impl FnMut(Option<&ImageStream>) -> StreamImport,
    ) -> Result<Vec<Outcome>, ClusterError> {
        let call = format!("import into {}", IMAGE_STREAMS.describe(Some(namespace), stream));
        let path = Request::new(IMAGE_STREAM_IMPORTS.path(Some(namespace)));
        let mut retry = ConflictRetry::default();
        let (import, response): (StreamImport, ImportResponse) = loop {
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
                // A conflict with another writer.
                Err(error) if error.is_conflict() => retry.backoff(error).await?,
                response => break (import, response?),
            }
        };
        let results = response.status.images.unwrap_or_default();
        if results.len() != import.tags.len() {
            return Err(ClusterError::other(
                call,
                "the response does not contain a result for each tag",
            ));
        }
        Ok(results.into_iter().map(outcome).collect())
    }
}

/// As the operator does after a build (QBO `controllers/build_controller.go:120`), but for all tags
/// at once, and only for this `resourceVersion`: OpenShift returns 409 otherwise.
fn request_for(
    namespace: &str,
    stream: &str,
    version: Option<&str>,
    import: &StreamImport,
) -> Value {
    let images = import.tags.iter().map(|TagImport { tag, from, policy }| {
        let mut import_policy =
            json!({ "insecure": import.insecure, "scheduled": policy.scheduled });
        // Unknown to OpenShift before 4.12.
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
        // openshift-apiserver's default text.
        _ if status.message.is_empty() => Err(ImportFailure {
            code: status.code,
            message: "unknown error prevented import".into(),
        }),
        _ => Err(ImportFailure { code: status.code, message: status.message }),
    }
}
