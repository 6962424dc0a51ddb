//! The image stream tag of a build's image.

use std::fmt;

use super::super::integration::Integration;

/// OpenShift's default tag.
const DEFAULT_TAG: &str = "latest";

/// An image stream tag with its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    pub namespace: String,
    pub stream: String,
    pub tag: String,
}

impl Destination {
    /// Parses `stream[:tag]`; the default tag is `latest`.
    pub fn new(namespace: &str, name: &str) -> Self {
        let (stream, tag) = name.split_once(':').unwrap_or((name, DEFAULT_TAG));
        let tag = if tag.is_empty() { DEFAULT_TAG } else { tag };
        Self { namespace: namespace.to_owned(), stream: stream.to_owned(), tag: tag.to_owned() }
    }

    /// The image in Quay, `host/organization/stream:tag` (QBO `pkg/webhook/webhook.go`).
    pub fn image(&self, integration: &Integration) -> String {
        let organization = integration.cluster_id.value.organization(&self.namespace);
        format!("{}/{organization}/{}:{}", integration.url.value.host(), self.stream, self.tag)
    }

    /// The inverse of [`Destination::image`]; `None` for images of other registries or clusters.
    pub fn from_image(image: &str, integration: &Integration) -> Option<Self> {
        let path = image.strip_prefix(&integration.url.value.host())?.strip_prefix('/')?;
        let (organization, repository) = path.split_once('/')?;
        let namespace =
            organization.strip_prefix(&integration.cluster_id.value.organization(""))?;
        let is_single_tag = !namespace.is_empty() && !repository.contains(['/', '@']);
        is_single_tag.then(|| Self::new(namespace, repository))
    }

    /// `stream:tag`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.stream, self.tag)
    }
}

/// `namespace/stream:tag`, as the operator writes it in [`super::DESTINATION_ANNOTATION`].
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.namespace, self.stream, self.tag)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::rewrite::tests::integration;
    use super::*;

    #[test]
    fn formats_destination_as_the_operator_does() {
        let destination =
            Destination { namespace: "shop".into(), stream: "app".into(), tag: "1.0".into() };
        assert_eq!(
            (destination.to_string(), destination.name()),
            ("shop/app:1.0".into(), "app:1.0".into())
        );
        assert_eq!(
            Destination::new("shop", "app"),
            Destination { tag: "latest".into(), ..destination }
        );
    }

    #[test]
    fn parses_destination_from_image() {
        let integration = integration();
        let app = Destination::new("shop", "app:1.0");
        assert_eq!(app.image(&integration), "quay.example.com:8443/prod_shop/app:1.0");
        assert_eq!(Destination::from_image(&app.image(&integration), &integration), Some(app));
        let untagged =
            Destination::from_image("quay.example.com:8443/prod_shop/app", &integration).unwrap();
        assert_eq!(untagged.to_string(), "shop/app:latest");
        for other in [
            "quay.example.com/prod_shop/app:1",
            "quay.example.com:8443/test_shop/app:1",
            "quay.example.com:8443/prod_/app:1",
            "quay.example.com:8443/prod_shop/a/b:1",
            "quay.example.com:8443/prod_shop/app@sha256:00",
            "quay.example.com:8443/prod_shop",
            "docker.io/prod_shop/app:1",
            "",
        ] {
            assert_eq!(Destination::from_image(other, &integration), None, "{other}");
        }
    }
}
