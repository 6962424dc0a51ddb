//! The client of container registries in a build's pod.

use std::fmt;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::super::credentials::Credential;
use crate::quay::push::digest;
use crate::traffic::ARRANGE_HEADER;

/// The media type of an OCI image's manifest.
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// An image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// Host, with the port if there is one.
    pub(super) host: String,
    /// Everything between the host and the tag.
    pub(super) repository: String,
    /// The tag, or a digest.
    pub(super) tag: String,
}

impl Reference {
    /// Reads `host[:port]/path[:tag]` or `...@digest`; without a tag it is `latest`. `None` without a host and a path.
    pub(super) fn parse(image: &str) -> Option<Self> {
        let (host, path) = image.split_once('/')?;
        let (repository, tag) =
            path.split_once('@').or_else(|| path.rsplit_once(':')).unwrap_or((path, "latest"));
        let is_complete = [host, repository, tag].iter().all(|part| !part.is_empty());
        is_complete.then(|| Self {
            host: host.to_owned(),
            repository: repository.to_owned(),
            tag: tag.to_owned(),
        })
    }
}

/// Why a registry did not do what it was asked for.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Unreachable or not trusted.
    Connection(reqwest::Error),
    /// An unexpected response: the status, and the first message in its body.
    Rejected(StatusCode, String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => write!(f, "{error}"),
            Self::Rejected(status, message) => write!(f, "{status}: {message}"),
        }
    }
}

impl From<reqwest::Error> for Trouble {
    fn from(error: reqwest::Error) -> Self {
        Self::Connection(error)
    }
}

/// A client that trusts every certificate: whom a node trusts is no matter of the registry.
pub(super) struct Client {
    http: reqwest::Client,
}

impl Client {
    /// A client whose requests are not in the log of the sandbox's Quay.
    ///
    /// # Errors
    /// When there is no TLS to be had.
    pub(super) fn new() -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .no_proxy()
            .timeout(REQUEST_TIMEOUT);
        Ok(Self { http: http.build()? })
    }

    /// Pushes an image of one layer, and returns the digest of its manifest.
    ///
    /// # Errors
    /// When the registry cannot be reached, or rejects.
    pub(super) async fn push(
        &self,
        image: &Reference,
        credential: Option<&Credential>,
        layer: &[u8],
    ) -> Result<String, Trouble> {
        let token = self.token(image, credential).await?;
        let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest(layer)]}});
        let config = config.to_string().into_bytes();
        for blob in [config.as_slice(), layer] {
            self.push_blob(image, token.as_deref(), blob).await?;
        }
        let part = |kind: &str, content: &[u8]| {
            let media_type = format!("application/vnd.oci.image.{kind}");
            json!({"mediaType": media_type, "size": content.len(), "digest": digest(content)})
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": part("config.v1+json", &config),
            "layers": [part("layer.v1.tar+gzip", layer)],
        })
        .to_string();
        let request = self.request(
            Method::PUT,
            &url(image, &format!("manifests/{}", image.tag)),
            token.as_deref(),
        );
        accept(request.header(CONTENT_TYPE, OCI_MANIFEST).body(manifest.clone()).send().await?)
            .await?;
        Ok(digest(manifest.as_bytes()))
    }

    /// A token to push with, where the registry asks for one.
    async fn token(
        &self,
        image: &Reference,
        credential: Option<&Credential>,
    ) -> Result<Option<String>, Trouble> {
        let ping =
            self.request(Method::GET, &format!("https://{}/v2/", image.host), None).send().await?;
        let challenge = ping.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let Some(challenge) = challenge.and_then(|value| value.strip_prefix("Bearer ")) else {
            return Ok(None);
        };
        let parameter = |name: &str| {
            let found = challenge
                .split(',')
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| *key == name);
            found.map_or_else(String::new, |(_, value)| value.trim_matches('"').to_owned())
        };
        let scope = format!("repository:{}:pull,push", image.repository);
        let query = [("service", parameter("service")), ("scope", scope)];
        let mut request = self.request(Method::GET, &parameter("realm"), None).query(&query);
        if let Some(credential) = credential {
            request = request.basic_auth(&credential.user, Some(&credential.password));
        }
        let answer: Value = accept(request.send().await?).await?.json().await?;
        Ok(answer["token"].as_str().map(str::to_owned))
    }

    async fn push_blob(
        &self,
        image: &Reference,
        token: Option<&str>,
        blob: &[u8],
    ) -> Result<(), Trouble> {
        let digest = digest(blob);
        let known = self
            .request(Method::HEAD, &url(image, &format!("blobs/{digest}")), token)
            .send()
            .await?;
        if known.status().is_success() {
            return Ok(());
        }
        let started =
            accept(self.request(Method::POST, &url(image, "blobs/uploads/"), token).send().await?)
                .await?;
        let place = started
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let put = self
            .request(Method::PUT, place, token)
            .query(&[("digest", digest)])
            .body(blob.to_vec());
        accept(put.send().await?).await?;
        Ok(())
    }

    fn request(&self, method: Method, url: &str, token: Option<&str>) -> RequestBuilder {
        let request = self.http.request(method, url).header(ARRANGE_HEADER, "arrange");
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

/// The address of a part of a repository.
fn url(image: &Reference, what: &str) -> String {
    format!("https://{}/v2/{}/{what}", image.host, image.repository)
}

async fn accept(response: Response) -> Result<Response, Trouble> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body: Value = response.json().await.unwrap_or_default();
    Err(Trouble::Rejected(
        status,
        body["errors"][0]["message"].as_str().unwrap_or_default().to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[test]
    fn parses_host_repository_and_tag_of_an_image() {
        for (image, expected) in [
            ("quay.example.com/shop/app:1.0", Some(("quay.example.com", "shop/app", "1.0"))),
            ("127.0.0.1:8443/shop/app", Some(("127.0.0.1:8443", "shop/app", "latest"))),
            (
                "quay.example.com/shop/app@sha256:abc",
                Some(("quay.example.com", "shop/app", "sha256:abc")),
            ),
            ("app:latest", None),
            ("quay.example.com/", None),
        ] {
            let found = Reference::parse(image);
            let found = found
                .as_ref()
                .map(|it| (it.host.as_str(), it.repository.as_str(), it.tag.as_str()));
            assert_eq!(found, expected, "{image}");
        }
    }
}
