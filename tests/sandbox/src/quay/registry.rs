//! The registry itself, `/v2/`: just enough to log in, look, pull, and (in `push`) push.

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LINK};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::auth::credentials;
use super::call::Call;
use super::endpoint::Endpoint;
use super::errors::{Answer, RegistryRejection, Rejection, abort, challenge, page_not_found};
use super::jwt::{self, Claims};
use super::names::{self, RepoPath};
use super::registry_auth;
use super::responses::{self, HTML};
use super::roles::RepoRole;
use super::state::State;
use super::tables::{Repository, Tag};
use super::{pages, push};

/// `V2_PAGINATION_SIZE`.
const PAGE: usize = 100;

/// Answers a request to `/v2/`.
pub(crate) fn answer(
    state: &mut State,
    method: &Method,
    endpoint: Option<&Endpoint>,
    call: &Call,
) -> Response {
    let answer = match (endpoint, method) {
        (Some(Endpoint::RegistryAuth), &Method::GET) => registry_auth::token(state, call),
        (Some(endpoint), method) => match claims(state, call) {
            Ok(claims) if method == Method::GET => read(state, endpoint, call, claims.as_ref()),
            Ok(claims) => push::answer(state, method, endpoint, call, claims.as_ref()),
            Err(message) => {
                return challenge(abort(StatusCode::UNAUTHORIZED, message), &state.url, None);
            }
        },
        _ => Ok(page_not_found()),
    };
    answer.unwrap_or_else(|rejection| rejection.into_response(&state.url, &call.caller))
}

/// The token of the request, if there is one. HTTP Basic is no token (wire/493).
fn claims(state: &State, call: &Call) -> Result<Option<Claims>, &'static str> {
    if !call.headers.contains_key(AUTHORIZATION) {
        return Ok(None);
    }
    let token = credentials(&call.headers, "bearer").ok_or("Invalid bearer token format")?;
    jwt::verify(token, state.host()).map(Some)
}

fn read(state: &State, endpoint: &Endpoint, call: &Call, claims: Option<&Claims>) -> Answer {
    match endpoint {
        Endpoint::RegistryPing => Ok(ping(state, claims)),
        _ if claims.is_none() && !state.flags.anonymous_access => {
            Err(Rejection::Abort(StatusCode::UNAUTHORIZED, "Anonymous access is not allowed"))
        }
        Endpoint::Catalog => Ok(catalog(state, call, claims)),
        Endpoint::TagNames(path) => tag_names(state, claims, path),
        Endpoint::Manifest(path, reference) => manifest(state, claims, path, reference),
        Endpoint::Blob(path, digest) => blob(state, claims, path, digest),
        _ => Ok(page_not_found()),
    }
}

/// `GET /v2/` (wire/460).
fn ping(state: &State, claims: Option<&Claims>) -> Response {
    let status = if claims.is_some() { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
    challenge(responses::text(status, HTML, "true".to_owned()), &state.url, None)
}

/// `GET /v2/_catalog` (wire/490-492): what the token's owner may see by now, whatever the token grants.
fn catalog(state: &State, call: &Call, claims: Option<&Claims>) -> Response {
    let who = claims.map(|claims| claims.sub.as_str());
    let visible = state.repositories.iter().filter(|(path, _)| {
        who.is_some_and(|name| {
            state.has_right(name, path) || state.flags.readonly_superusers.contains(name)
        })
    });
    let mut found: Vec<(u64, String)> =
        visible.map(|(path, repository)| (repository.id, path.to_string())).collect();
    found.sort();
    // Something that is no number counts as zero, and every page has at least one entry.
    let limit = call.param("n").map_or(PAGE, |n| n.parse().unwrap_or(0)).clamp(1, PAGE);
    let token = call.param("next_page").or_else(|| call.param("last"));
    let (names, next) = pages::page(found, token, limit);
    let response = responses::ok(json!({"repositories": names}));
    match next {
        Some(next) => {
            let next = next.replace('=', "%3D");
            let link = format!("</v2/_catalog?n={limit}&next_page={next}>; rel=\"next\"");
            responses::with_header(response, LINK, &link)
        }
        None => response,
    }
}

/// `GET /v2/<path>/tags/list` (wire/488, wire/499).
fn tag_names(state: &State, claims: Option<&Claims>, path: &RepoPath) -> Answer {
    let repository = pullable(state, claims, path)?;
    let names: Vec<&String> = repository.tags.keys().collect();
    Ok(responses::ok(json!({"name": path.to_string(), "tags": names})))
}

/// `GET /v2/<path>/manifests/<reference>` (wire/485, wire/487, wire/489), by tag or by digest.
fn manifest(state: &State, claims: Option<&Claims>, path: &RepoPath, reference: &str) -> Answer {
    let repository = pullable(state, claims, path)?;
    let tag = find(repository, reference).ok_or_else(|| {
        RegistryRejection::new(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "manifest unknown")
    })?;
    let response = responses::text(StatusCode::OK, &tag.media_type, tag.manifest.clone());
    let digest = HeaderName::from_static("docker-content-digest");
    Ok(responses::with_header(response, digest, &tag.digest))
}

/// `GET /v2/<path>/blobs/<digest>`.
fn blob(state: &State, claims: Option<&Claims>, path: &RepoPath, digest: &str) -> Answer {
    let unknown = || {
        RegistryRejection::new(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry")
    };
    let blob = pullable(state, claims, path)?.blobs.get(digest).ok_or_else(unknown)?;
    let mut response = Response::new(Body::from(blob.clone()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(responses::with_header(response, HeaderName::from_static("docker-content-digest"), digest))
}

/// The manifest of a tag or digest.
pub(crate) fn find<'a>(repository: &'a Repository, reference: &str) -> Option<&'a Tag> {
    if names::is_tag(reference) {
        repository.tags.get(reference)
    } else {
        repository.tags.values().find(|tag| tag.digest == reference)
    }
}

/// The repository, if the token allows pulling or it is public.
fn pullable<'a>(
    state: &'a State,
    claims: Option<&Claims>,
    path: &RepoPath,
) -> Result<&'a Repository, RegistryRejection> {
    let repository = state.repositories.get(path);
    let granted = claims.and_then(|claims| claims.role(path)) >= Some(RepoRole::Read);
    if !granted && !repository.is_some_and(|found| found.public && state.flags.anonymous_access) {
        return Err(RegistryRejection::unauthorized(path, "pull"));
    }
    repository.ok_or_else(|| {
        RegistryRejection::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "repository not found")
    })
}
