//! The image stream tag that a build's image ends up in.

use std::fmt;

use super::super::integration::Integration;

/// The tag that an image stream tag without one means, as everywhere in OpenShift.
const DEFAULT_TAG: &str = "latest";

/// An image stream tag with its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// The image stream's namespace.
    pub namespace: String,
    /// The image stream.
    pub stream: String,
    /// The tag.
    pub tag: String,
}

impl Destination {
    /// The image stream tag `stream:tag` in a namespace; without a tag `latest`.
    pub fn new(namespace: &str, name: &str) -> Self {
        let (stream, tag) = name.split_once(':').unwrap_or((name, DEFAULT_TAG));
        let tag = if tag.is_empty() { DEFAULT_TAG } else { tag };
        Self { namespace: namespace.to_owned(), stream: stream.to_owned(), tag: tag.to_owned() }
    }

    /// Where the image of this tag lives in Quay: `host/organization/stream:tag` (QBO `pkg/webhook/webhook.go`).
    pub fn image(&self, integration: &Integration) -> String {
        let organization = integration.cluster_id.value.organization(&self.namespace);
        format!("{}/{organization}/{}:{}", integration.url.value.host(), self.stream, self.tag)
    }

    /// The image stream tag whose image lives there; `None` for an image of another registry or another cluster.
    pub fn of_image(image: &str, integration: &Integration) -> Option<Self> {
        let path = image.strip_prefix(&integration.url.value.host())?.strip_prefix('/')?;
        let (organization, repository) = path.split_once('/')?;
        let namespace =
            organization.strip_prefix(&integration.cluster_id.value.organization(""))?;
        let one_tag = !namespace.is_empty() && !repository.contains(['/', '@']);
        one_tag.then(|| Self::new(namespace, repository))
    }

    /// `stream:tag`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.stream, self.tag)
    }
}

/// As the operator writes it in [`super::DESTINATION_ANNOTATION`]: `namespace/stream:tag`.
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
    fn a_destination_is_written_as_the_operator_does() {
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
    fn an_image_in_quay_tells_its_image_stream() {
        let integration = integration();
        let app = Destination::new("shop", "app:1.0");
        assert_eq!(app.image(&integration), "quay.example.com:8443/prod_shop/app:1.0");
        assert_eq!(Destination::of_image(&app.image(&integration), &integration), Some(app));
        let untagged =
            Destination::of_image("quay.example.com:8443/prod_shop/app", &integration).unwrap();
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
            assert_eq!(Destination::of_image(other, &integration), None, "{other}");
        }
    }
}
