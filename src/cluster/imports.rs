//! Importing tags from Quay into an image stream.

use kube::api::PostParams;
use kube::core::Request;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Cluster;
use super::error::ClusterError;
use super::kinds::{IMAGE_STREAM_IMPORTS, IMAGE_STREAMS};
use super::reduce::PRESERVE_ORIGINAL;
use super::tries::Tries;
use crate::bridge::imports::{ImportFailure, Outcome, StreamImport, TagImport};

/// What OpenShift answers: a request that is never stored, with a result for each image in the order asked.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    status: AnswerStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AnswerStatus {
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
    /// Has OpenShift import tags into an image stream, at once and with one request. Says of each in the order given what
    /// came of it: the request itself succeeds although none of its imports did (measured on OpenShift 4.21).
    ///
    /// The reference policy is only for tags that are new; OpenShift keeps that of others, but not their import policy (openshift-apiserver
    /// `pkg/image/apiserver/registry/imagestreamimport/rest.go`, `ensureSpecTag`). What the image stream had before stays
    /// when an import fails.
    ///
    /// # Errors
    /// When the request as a whole failed, so that nothing was imported.
    pub async fn import_stream(&self, import: &StreamImport) -> Result<Vec<Outcome>, ClusterError> {
        let namespace = Some(import.namespace.as_str());
        let call = format!("import into {}", IMAGE_STREAMS.one(namespace, &import.stream));
        let path = Request::new(IMAGE_STREAM_IMPORTS.path(namespace));
        let mut tries = Tries::default();
        let answer: Answer = loop {
            let request = path.create(&PostParams::default(), request_for(import).to_string().into());
            match self.send(&call, request).await {
                // Somebody else changed the image stream while OpenShift fetched.
                Err(error) if error.is_conflict() => tries.again(error).await?,
                answer => break answer?,
            }
        };
        let results = answer.status.images.unwrap_or_default();
        if results.len() != import.tags.len() {
            return Err(ClusterError::other(call, "the answer does not say what came of each tag"));
        }
        Ok(results.into_iter().map(outcome).collect())
    }
}

/// As the operator asks it after a build (QBO `controllers/build_controller.go:120`), but for all tags together.
fn request_for(import: &StreamImport) -> Value {
    let images = import.tags.iter().map(|TagImport { tag, from, policy }| {
        let mut import_policy = json!({ "insecure": import.insecure, "scheduled": policy.scheduled });
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
    json!({
        "apiVersion": IMAGE_STREAM_IMPORTS.api_version(),
        "kind": IMAGE_STREAM_IMPORTS.name(),
        "metadata": { "name": import.stream, "namespace": import.namespace },
        "spec": { "import": true, "images": images.collect::<Vec<_>>() },
    })
}

fn outcome(ImageResult { status, image }: ImageResult) -> Outcome {
    match image {
        Some(image) if status.status == "Success" => Ok(image.metadata.name),
        // openshift-apiserver's own words where a failure comes without any.
        _ if status.message.is_empty() => {
            Err(ImportFailure { code: status.code, message: "unknown error prevented import".into() })
        }
        _ => Err(ImportFailure { code: status.code, message: status.message }),
    }
}
