//! The pod of a build: it builds the same small image every time, and pushes it for real.

use serde_json::Value;

use super::super::{INTERNAL_REGISTRY, credentials, meta};
use super::registry::{Client, Reference};
use crate::quay::push::digest;

pub(super) enum Outcome {
    /// Well, with nowhere to push to.
    Built,
    /// Well: the digest of the manifest it pushed, and whether it went to the internal registry, of which there is nothing
    /// but its name.
    Pushed { digest: String, internal: bool },
    /// The end of its log.
    Failed(String),
}

/// Builds and pushes with the credentials in a secret.
pub(super) async fn run(build: &Value, secret: &Value) -> Outcome {
    let Some(image) = build["status"]["outputDockerImageReference"].as_str() else {
        return Outcome::Built;
    };
    let credential = credentials::first_credential(&[secret], image);
    // No two builds make the same image.
    let layer =
        format!("{}/{} {}", meta::namespace(build), meta::name(build), build["metadata"]["uid"]);
    let pushed = match Reference::parse(image) {
        None => Err("invalid reference format".to_owned()),
        Some(reference) if reference.host == INTERNAL_REGISTRY => match credential {
            Some(_) => return Outcome::Pushed { digest: digest(layer.as_bytes()), internal: true },
            None => Err("authentication required".to_owned()),
        },
        Some(reference) => match Client::new() {
            Ok(client) => client
                .push(&reference, credential.as_ref(), layer.as_bytes())
                .await
                .map_err(|trouble| trouble.to_string()),
            Err(error) => Err(error.to_string()),
        },
    };
    match pushed {
        Ok(digest) => Outcome::Pushed { digest, internal: false },
        Err(why) => Outcome::Failed(format!(
            "Pushing image {image} ...\nRegistry server Address: \nerror: build error: Failed to push image: {why}"
        )),
    }
}
