//! Lists, page by page, and what a client asked to have of each object.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::api_errors::Rejection;
use super::kinds::Kind;
use super::meta;
use super::selectors::Selectors;
use super::store::Store;

/// The query of a list or watch, with Kubernetes' names.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ListQuery {
    pub(crate) label_selector: String,
    pub(crate) field_selector: String,
    pub(crate) limit: i64,
    #[serde(rename = "continue")]
    pub(crate) continued: String,
    pub(crate) resource_version: String,
    pub(crate) allow_watch_bookmarks: bool,
    pub(crate) send_initial_events: bool,
    pub(crate) timeout_seconds: Option<u64>,
}

impl ListQuery {
    /// The version that the list has to be at least of, `None` for any.
    ///
    /// # Errors
    /// 400 for what is no version.
    pub(crate) fn version(&self) -> Result<Option<u64>, Rejection> {
        let text = self.resource_version.as_str();
        match text.parse() {
            _ if text.is_empty() => Ok(None),
            Ok(0) => Ok(None),
            Ok(version) => Ok(Some(version)),
            Err(_) => {
                let why = format!(
                    "Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax"
                );
                Err(Rejection::bad_request(format!(
                    "invalid resource version: resourceVersion: {why}"
                )))
            }
        }
    }

    fn check_version(&self, store: &Store) -> Result<(), Rejection> {
        match self.version()? {
            Some(version) if version > store.version() => {
                Err(Rejection::version_too_large(version, store.version()))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Full,
    Metadata,
}

impl Shape {
    /// Reads the `Accept` header; the first type wins that we have for an answer to this verb.
    ///
    /// # Errors
    /// 406 when we have none of them.
    pub(crate) fn negotiate(headers: &HeaderMap, verb: &str) -> Result<Self, Rejection> {
        let accept =
            headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
        let metadata =
            if verb == "list" { "PartialObjectMetadataList" } else { "PartialObjectMetadata" };
        let parse = |media_type: &str| {
            let mut parts = media_type.split(';').map(str::trim);
            let known = matches!(parts.next()?, "application/json" | "application/*" | "*/*");
            match parts.find_map(|parameter| parameter.strip_prefix("as=")) {
                None if known => Some(Self::Full),
                Some(kind) if known && kind == metadata => Some(Self::Metadata),
                _ => None,
            }
        };
        accept.split(',').find_map(parse).ok_or_else(Rejection::not_acceptable)
    }

    /// The object as the client asked for it.
    pub(crate) fn apply(self, object: &Value) -> Value {
        match self {
            Self::Full => object.clone(),
            Self::Metadata => json!({
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": object["metadata"],
            }),
        }
    }

    /// A list of objects. Items of the kinds compiled into a server carry no `kind` and `apiVersion` of their own.
    pub(crate) fn list<'a>(
        self,
        kind: &Kind,
        metadata: Value,
        items: impl Iterator<Item = &'a Value>,
    ) -> Value {
        let item = |object| {
            let mut item = self.apply(object);
            if let (Self::Full, false, Some(fields)) = (self, kind.custom, item.as_object_mut()) {
                fields.remove("kind");
                fields.remove("apiVersion");
            }
            item
        };
        let (list_kind, api_version) = match self {
            Self::Full => (format!("{}List", kind.kind), kind.api_version()),
            Self::Metadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
        };
        let items: Vec<Value> = items.map(item).collect();
        json!({"kind": list_kind, "apiVersion": api_version, "metadata": metadata, "items": items})
    }
}

/// Answers a list of one namespace, or of all when it is `None`.
///
/// # Errors
/// 400 for a query that cannot be understood, 410 for a page whose version is forgotten.
pub(crate) fn list(
    store: &Store,
    kind: &Kind,
    namespace: Option<&str>,
    query: &ListQuery,
    shape: Shape,
) -> Result<Value, Rejection> {
    let selectors = Selectors::parse(kind, &query.label_selector, &query.field_selector)?;
    let page = Page::parse(store, query)?;
    // Served from the watch cache, a list ignores its limit (kubernetes `storage/cacher/cacher.go`, computeListLimit).
    let limit = match (usize::try_from(query.limit), query.resource_version.as_str()) {
        (Ok(1..), "0") | (Ok(0) | Err(_), _) => usize::MAX,
        (Ok(limit), _) => limit,
    };

    let mut rest = store
        .list(kind, namespace)
        .filter(|object| selectors.select(object))
        .filter(|object| page.after.as_ref().is_none_or(|after| *after < key(object)));
    let objects: Vec<_> = rest.by_ref().take(limit).collect();
    let remaining = rest.count();

    let mut metadata = json!({"resourceVersion": page.version.to_string()});
    if remaining > 0 {
        let after = objects.last().map(|object| key(object));
        metadata["continue"] = json!(Page { version: page.version, after }.token());
        if selectors.is_empty() {
            metadata["remainingItemCount"] = json!(remaining);
        }
    }
    Ok(shape.list(kind, metadata, objects.into_iter().map(AsRef::as_ref)))
}

fn key(object: &Value) -> (String, String) {
    (meta::namespace(object).to_owned(), meta::name(object).to_owned())
}

/// The position in a list. Every page has the version of the first, so that a watch from there
/// misses nothing.
struct Page {
    version: u64,
    /// Namespace and name of the last object on the page before.
    after: Option<(String, String)>,
}

impl Page {
    fn parse(store: &Store, query: &ListQuery) -> Result<Self, Rejection> {
        if query.continued.is_empty() {
            query.check_version(store)?;
            return Ok(Self { version: store.version(), after: None });
        }
        if !matches!(query.resource_version.as_str(), "" | "0") {
            return Err(Rejection::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let token = URL_SAFE_NO_PAD.decode(&query.continued).ok();
        let page = token.and_then(|token| serde_json::from_slice(&token).ok());
        let (version, namespace, name) = page.ok_or_else(|| {
            Rejection::bad_request("invalid continue token: continue key is not valid")
        })?;
        if !store.remembers(version) {
            let message = "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.";
            return Err(Rejection::expired(message));
        }
        Ok(Self { version, after: Some((namespace, name)) })
    }

    fn token(&self) -> String {
        let (namespace, name) = self.after.clone().unwrap_or_default();
        URL_SAFE_NO_PAD.encode(json!([self.version, namespace, name]).to_string())
    }
}
