//! Layers of an image stream's images.

use std::collections::BTreeMap;

use kube::api::GetParams;
use kube::core::Request;
use serde::Deserialize;

use crate::cluster::access::client::Cluster;
use crate::cluster::resources::IMAGE_STREAMS;
use crate::domain::internal_registry::{ImageParts, Layers};
use crate::domain::snapshot::Observed;

/// `ImageStreamLayers` (openshift/api `image/v1/types.go`).
#[derive(Deserialize)]
struct ImageStreamLayers {
    #[serde(default)]
    blobs: BTreeMap<String, Blob>,
    #[serde(default)]
    images: BTreeMap<String, ImageBlobs>,
}

/// The size is null where unknown, as for manifests and configurations.
#[derive(Deserialize)]
struct Blob {
    size: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImageBlobs {
    /// The image was deleted or is not readable.
    #[serde(default)]
    image_missing: bool,
    layers: Option<Vec<String>>,
    config: Option<String>,
    /// Images of a manifest list.
    manifests: Option<Vec<String>>,
}

impl Cluster {
    /// Readable without permission on images, which are cluster-scoped.
    pub async fn layers(&self, namespace: &str, stream: &str) -> Observed<Layers> {
        let call =
            format!("read the layers of {}", IMAGE_STREAMS.describe(Some(namespace), stream));
        let request = Request::new(IMAGE_STREAMS.path(Some(namespace)))
            .get(&format!("{stream}/layers"), &GetParams::default());
        let found: ImageStreamLayers = self.send(&call, request).await?;
        Ok(found.into())
    }
}

impl From<ImageStreamLayers> for Layers {
    fn from(found: ImageStreamLayers) -> Self {
        let blobs: BTreeMap<_, _> = found
            .blobs
            .into_iter()
            .filter_map(|(digest, blob)| Some((digest, blob.size?)))
            .collect();
        let known = found.images.into_iter().filter(|(_, image)| !image.image_missing);
        let images = known.map(|(digest, image)| {
            // A configuration has a few kilobytes; without its size, the layers are the size.
            let config = image.config.filter(|config| blobs.contains_key(config));
            let blobs = image.layers.into_iter().flatten().chain(config).collect();
            (digest, ImageParts { blobs, images: image.manifests.unwrap_or_default() })
        });
        let images = images.collect();
        Self { blobs, images }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn layers(blobs: Value, images: Value) -> Layers {
        serde_json::from_value::<ImageStreamLayers>(json!({ "blobs": blobs, "images": images }))
            .unwrap()
            .into()
    }

    #[test]
    fn sums_layers_without_configuration_size() {
        let layers = layers(
            json!({
                "layer1": { "size": 20, "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip" },
                "layer2": { "size": 1, "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip" },
                "config": { "size": null, "mediaType": "application/vnd.docker.container.image.v1+json" },
                "image": { "size": null, "mediaType": "application/vnd.docker.distribution.manifest.v2+json" },
                "odd": { "size": null, "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip" },
            }),
            json!({
                "image": { "layers": ["layer1", "layer2"], "config": "config" },
                "list": { "layers": null, "manifests": ["image", "other"] },
                "other": { "layers": ["layer1"], "config": "config" },
                "unknown": { "layers": ["odd"], "config": "config" },
                "gone": { "layers": null, "imageMissing": true },
                "broken": { "layers": null, "manifests": ["image", "gone"] },
            }),
        );
        let sizes = ["image", "list", "unknown", "gone", "broken", "none"]
            .map(|digest| layers.size(digest));
        assert_eq!(sizes, [Some(21), Some(21), None, None, None, None]);
    }
}
