//! Pushing (`endpoints/v2/blob.py`, `endpoints/v2/manifest.py`): blobs first, then the manifest that names them. What is
//! not simulated: blobs of other repositories, manifest lists, and manifests without a tag.

use axum::http::header::{LOCATION, RANGE};
use axum::http::{HeaderName, Method, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use serde_json::Value;

use super::call::Call;
use super::endpoint::Endpoint;
use super::errors::{Answer, RegistryRejection, Rejection, page_not_found};
use super::jwt::Claims;
use super::names::{self, RepoPath};
use super::random;
use super::responses::{self, HTML};
use super::roles::RepoRole;
use super::state::State;
use super::tables::{Repository, Tag};

const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const UPLOAD: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// Answers a request to `/v2/` that changes something.
pub(crate) fn answer(
    state: &mut State,
    method: &Method,
    endpoint: &Endpoint,
    call: &Call,
    claims: Option<&Claims>,
) -> Answer {
    let (Endpoint::Uploads(path) | Endpoint::Upload(path, _) | Endpoint::Manifest(path, _)) =
        endpoint
    else {
        return Ok(page_not_found());
    };
    if claims.and_then(|claims| claims.role(path)) < Some(RepoRole::Write) {
        return Err(RegistryRejection::unauthorized(path, "pull,push").into());
    }
    if state.flags.readonly {
        return Err(RegistryRejection::read_only().into());
    }
    let url = state.url.clone();
    let repository = state
        .repositories
        .get_mut(path)
        .ok_or_else(|| not_found("NAME_UNKNOWN", "repository not found"))?;
    match (endpoint, method.as_str()) {
        (Endpoint::Uploads(_), "POST") => Ok(start(repository, path, &url)),
        (Endpoint::Upload(_, id), "PATCH") => append(repository, path, id, call, &url),
        (Endpoint::Upload(_, id), "PUT") => finish(repository, path, id, call, &url),
        (Endpoint::Manifest(_, reference), "PUT") => {
            put_manifest(repository, path, reference, call)
        }
        _ => Err(Rejection::Page(StatusCode::METHOD_NOT_ALLOWED)),
    }
}

/// `POST /v2/<path>/blobs/uploads/` (wire/480).
fn start(repository: &mut Repository, path: &RepoPath, url: &str) -> Response {
    let id = random::uuid();
    repository.uploads.insert(id.clone(), Vec::new());
    in_progress(path, &id, 0, url)
}

/// `PATCH /v2/<path>/blobs/uploads/<id>`: some more of the blob.
fn append(
    repository: &mut Repository,
    path: &RepoPath,
    id: &str,
    call: &Call,
    url: &str,
) -> Answer {
    let upload = repository.uploads.get_mut(id).ok_or_else(unknown_upload)?;
    upload.extend_from_slice(call.body());
    Ok(in_progress(path, id, upload.len(), url))
}

/// The byte before the first is the last one of nothing.
fn in_progress(path: &RepoPath, id: &str, length: usize, url: &str) -> Response {
    let last = if length == 0 { "-1".to_owned() } else { (length - 1).to_string() };
    let response = responses::text(StatusCode::ACCEPTED, HTML, String::new());
    let response =
        responses::with_header(response, LOCATION, &format!("{url}/v2/{path}/blobs/uploads/{id}"));
    let response = responses::with_header(response, RANGE, &format!("bytes=0-{last}"));
    responses::with_header(response, UPLOAD, id)
}

/// `PUT /v2/<path>/blobs/uploads/<id>?digest=…`: the rest of the blob, if there is one, and what it has to be.
fn finish(
    repository: &mut Repository,
    path: &RepoPath,
    id: &str,
    call: &Call,
    url: &str,
) -> Answer {
    let mut blob = repository.uploads.remove(id).ok_or_else(unknown_upload)?;
    blob.extend_from_slice(call.body());
    let digest = digest(&blob);
    if call.param("digest") != Some(digest.as_str()) {
        return Err(RegistryRejection::new(
            StatusCode::BAD_REQUEST,
            "BLOB_UPLOAD_INVALID",
            "blob upload invalid",
        )
        .into());
    }
    repository.blobs.insert(digest.clone(), blob);
    Ok(created(&format!("{url}/v2/{path}/blobs/{digest}"), &digest, ""))
}

/// `PUT /v2/<path>/manifests/<tag>` (481, 495).
fn put_manifest(
    repository: &mut Repository,
    path: &RepoPath,
    reference: &str,
    call: &Call,
) -> Answer {
    let invalid =
        || RegistryRejection::new(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", "manifest invalid");
    let manifest: Value = serde_json::from_slice(call.body()).map_err(|_| invalid())?;
    let layers = manifest["layers"].as_array().ok_or_else(invalid)?;
    let is_here = |part: &Value| {
        part["digest"].as_str().is_some_and(|digest| repository.blobs.contains_key(digest))
    };
    if !names::is_tag(reference) || !std::iter::once(&manifest["config"]).chain(layers).all(is_here)
    {
        return Err(invalid().into());
    }
    let digest = digest(call.body());
    let tag = Tag {
        manifest: String::from_utf8_lossy(call.body()).into_owned(),
        media_type: call.content_type().unwrap_or_default().to_owned(),
        digest: digest.clone(),
        size: layers.iter().filter_map(|layer| layer["size"].as_u64()).sum(),
        start: Timestamp::now(),
    };
    repository.tags.insert(reference.to_owned(), tag);
    Ok(created(&format!("/v2/{path}/manifests/{digest}"), &digest, "OK"))
}

fn created(location: &str, digest: &str, body: &str) -> Response {
    let response = responses::text(StatusCode::CREATED, HTML, body.to_owned());
    responses::with_header(responses::with_header(response, LOCATION, location), DIGEST, digest)
}

fn unknown_upload() -> RegistryRejection {
    not_found("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
}

fn not_found(code: &'static str, message: &str) -> RegistryRejection {
    RegistryRejection::new(StatusCode::NOT_FOUND, code, message)
}

/// The digest by which registries know a blob or a manifest.
pub(crate) fn digest(content: &[u8]) -> String {
    format!("sha256:{}", random::sha256(content))
}
