//! What an image stream's images are made of.

use std::collections::BTreeMap;

use kube::api::GetParams;
use kube::core::Request;
use serde::Deserialize;

use super::client::Cluster;
use super::kinds::IMAGE_STREAMS;
use crate::bridge::registry::Layers;
use crate::bridge::snapshot::Read;

/// `ImageStreamLayers` (openshift/api `image/v1/types.go`).
#[derive(Deserialize)]
struct ImageStreamLayers {
    #[serde(default)]
    blobs: BTreeMap<String, Blob>,
    #[serde(default)]
    images: BTreeMap<String, ImageBlobs>,
}

#[derive(Deserialize)]
struct Blob {
    #[serde(default)]
    size: u64,
}

#[derive(Deserialize)]
struct ImageBlobs {
    layers: Option<Vec<String>>,
    config: Option<String>,
}

impl Cluster {
    /// What the images of an image stream are made of: the one place where those who may not read images, which are the
    /// cluster's, are told their size.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn layers(&self, namespace: &str, stream: &str) -> Read<Layers> {
        let call = format!("read the layers of {}", IMAGE_STREAMS.one(Some(namespace), stream));
        let request = Request::new(IMAGE_STREAMS.path(Some(namespace))).get(&format!("{stream}/layers"), &GetParams::default());
        let found: ImageStreamLayers = self.send(&call, request).await?;
        let blobs = found.blobs.into_iter().map(|(digest, blob)| (digest, blob.size)).collect();
        let of_image = |image: ImageBlobs| image.layers.into_iter().flatten().chain(image.config).collect();
        let images = found.images.into_iter().map(|(digest, image)| (digest, of_image(image))).collect();
        Ok(Layers { blobs, images })
    }
}
