//! From an HTTP request to a response: authentication, routing, authorization, and the verb.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::access::{Access, Bound, User};
use super::admission::{self, Admitted};
use super::api_errors::{Cause, Rejection};
use super::builds;
use super::kinds::{self, BUILD, BUILD_CONFIG, IMAGE_STREAM, Kind, SERVICE_ACCOUNT};
use super::lists::{ListQuery, Shape};
use super::patch::PatchType;
use super::path::ResourcePath;
use super::verbs::{self, Deleted, Target};
use super::webhooks::Written;
use super::{
    OpenShift, definitions, discovery, images, lists, meta, projects, protobuf, reviews, watch,
};

/// The media types that the API server reads. The stand-in reads JSON, and protobuf for some kinds.
const BODY_TYPES: [&str; 3] =
    ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// The subresource of a BuildConfig that makes a Build of it.
const INSTANTIATE: &str = "instantiate";
/// The subresource of an ImageStream with the layers of its images.
const LAYERS: &str = "layers";
/// The subresource of a Build that makes another one of it.
const CLONE: &str = "clone";

/// Answers every request.
pub(crate) async fn handle(
    State(openshift): State<OpenShift>,
    parts: Parts,
    body: Bytes,
) -> Response<Body> {
    respond(&openshift, &parts, &body)
        .await
        .unwrap_or_else(|rejection| json_response(rejection.code, &rejection.status()))
}

async fn respond(
    openshift: &OpenShift,
    parts: &Parts,
    body: &Bytes,
) -> Result<Response<Body>, Rejection> {
    let user = openshift.users().authenticate(&parts.headers)?;
    respond_to(openshift, &user, parts, body).await
}

async fn respond_to(
    openshift: &OpenShift,
    user: &User,
    parts: &Parts,
    body: &Bytes,
) -> Result<Response<Body>, Rejection> {
    let Some(path) = ResourcePath::parse(parts.uri.path()) else {
        openshift.users().check_path(user, parts.uri.path())?;
        return Ok(discover(openshift, parts));
    };
    let query = parts.uri.query().unwrap_or_default();
    let verb = path.verb(&parts.method, query).ok_or_else(Rejection::method_not_allowed)?;
    let bound = Bound::all(&openshift.store());
    openshift.users().bind(bound);
    openshift.users().check(
        user,
        &Access {
            verb,
            group: path.group,
            resource: &path.resource(),
            namespace: path.access_namespace(),
            name: path.name,
        },
    )?;
    let Some(kind) = served(openshift, &path) else {
        return match knows_group(openshift, path.group) {
            true => Err(Rejection::resource_not_found()),
            false => Ok(page_not_found()),
        };
    };
    let has_place = match verb {
        "create" if matches!(path.subresource, INSTANTIATE | CLONE) => true,
        "create" => path.name.is_empty() && kind.namespaced != path.namespace.is_empty(),
        "update" | "patch" => !path.name.is_empty(),
        _ => true,
    };
    if !kind.verbs.contains(&verb) || !has_place {
        return Err(Rejection::method_not_allowed());
    }
    let shape = Shape::negotiate(&parts.headers, verb)?;
    let call = Call { openshift, user, kind, path: &path, parts, body, shape };
    match verb {
        "get" => call.get(),
        "list" => call.list(),
        "watch" => watch::watch(openshift, kind, call.namespace(), &call.query()?, shape),
        "create" if matches!(path.subresource, INSTANTIATE | CLONE) => call.instantiate().await,
        "create" => call.create().await,
        "update" => call.update().await,
        "patch" => call.patch().await,
        _ => call.delete(),
    }
}

/// The API for the cluster's own controllers: without network, log and authorization.
pub(crate) struct InProcess<'a>(pub(crate) &'a OpenShift);

impl builds::Client for InProcess<'_> {
    async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(u16, Value)> {
        let user = User {
            name: "system:serviceaccount:openshift-infra:build-controller".to_owned(),
            groups: vec!["system:masters".to_owned()],
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json");
        let (parts, ()) = request.body(())?.into_parts();
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        match respond_to(self.0, &user, &parts, &body).await {
            Ok(response) => {
                let status = response.status().as_u16();
                let body = to_bytes(response.into_body(), usize::MAX).await?;
                Ok((status, serde_json::from_slice(&body)?))
            }
            Err(rejection) => Ok((rejection.code, rejection.status())),
        }
    }
}

fn discover(openshift: &OpenShift, parts: &Parts) -> Response<Body> {
    match discovery::document(&openshift.kinds(), parts.uri.path(), &parts.headers) {
        None => page_not_found(),
        Some((document, is_aggregated)) => {
            let mut response = json_response(200, &document);
            if is_aggregated {
                let content_type = HeaderValue::from_static(discovery::AGGREGATED);
                response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            }
            response
        }
    }
}

/// The kind at a path, if this cluster has it there: in its scope, and with that subresource.
fn served(openshift: &OpenShift, path: &ResourcePath<'_>) -> Option<&'static Kind> {
    let kind = kinds::at(path.group, path.version, path.plural)?;
    let is_in_scope = match (kind.namespaced, path.namespace.is_empty()) {
        (true, true) => path.name.is_empty(),
        (namespaced, whole_cluster) => namespaced != whole_cluster,
    };
    let has_subresource = match path.subresource {
        "" => true,
        "status" => kind.status,
        INSTANTIATE => *kind == *BUILD_CONFIG,
        CLONE => *kind == *BUILD,
        LAYERS => *kind == *IMAGE_STREAM,
        _ => false,
    };
    (openshift.serves(kind.group) && is_in_scope && has_subresource).then_some(kind)
}

/// True if a server with Go types serves the group: it returns a `Status` for unknown resources.
/// Groups of CustomResourceDefinitions do not.
fn knows_group(openshift: &OpenShift, group: &str) -> bool {
    openshift.serves(group) && kinds::TABLE.iter().any(|kind| kind.group == group && !kind.custom)
}

/// An authorized request.
struct Call<'a> {
    openshift: &'a OpenShift,
    user: &'a User,
    kind: &'static Kind,
    path: &'a ResourcePath<'a>,
    parts: &'a Parts,
    body: &'a Bytes,
    shape: Shape,
}

/// The query of a write, with Kubernetes' names.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WriteQuery {
    dry_run: Option<String>,
    field_manager: String,
    force: bool,
}

impl Call<'_> {
    fn get(&self) -> Result<Response<Body>, Rejection> {
        let (store, name) = (self.openshift.store(), self.path.name);
        if self.kind.kind == "Project" {
            return Ok(self.answer(200, &projects::get(&store, self.kind, name)?));
        }
        let object = store.get(self.kind, self.path.namespace, name);
        if self.path.subresource == LAYERS {
            let stream = object.ok_or_else(|| Rejection::not_found(self.kind, name))?;
            return Ok(self.answer(200, &images::layers(stream)));
        }
        object
            .map(|object| self.answer(200, object))
            .ok_or_else(|| Rejection::not_found(self.kind, name))
    }

    fn list(&self) -> Result<Response<Body>, Rejection> {
        let query: ListQuery = self.query()?;
        let (store, users) = (self.openshift.store(), self.openshift.users());
        let list = match self.kind.kind {
            "Project" => projects::list(&store, &users, self.user, self.kind, &query, self.shape)?,
            _ => lists::list(&store, self.kind, self.namespace(), &query, self.shape)?,
        };
        Ok(json_response(200, &list))
    }

    async fn create(&self) -> Result<Response<Body>, Rejection> {
        let target = self.target(self.query::<WriteQuery>()?.dry_run.as_deref())?;
        let mut object = self.read_body()?;
        let cluster = self.openshift.cluster();
        verbs::check_body(&target, &object)?;
        object["kind"] = json!(self.kind.kind);
        object["apiVersion"] = json!(self.kind.api_version());
        if definitions::find(&self.openshift.store(), self.kind.group)
            .is_some_and(definitions::is_terminating)
        {
            return Err(Rejection::definition_terminating(self.kind, meta::name(&object)));
        }
        if self.kind.namespaced {
            object["metadata"]["namespace"] = json!(target.namespace);
        }
        let Admitted { object, warnings } = self.admit(&target, &object, None).await?;
        let object = match self.kind.kind {
            "ImageStreamImport" => {
                let quay = self.openshift.shared.quay.get();
                images::import(&mut self.openshift.store(), cluster, quay, &target, object)?
            }
            kind if self.kind.is_review() => {
                reviews::review(&self.openshift.users(), self.user, kind, object)?
            }
            _ => Value::clone(&*verbs::create(
                &mut self.openshift.store(),
                cluster,
                &target,
                object,
            )?),
        };
        Ok(with_warnings(self.answer(201, &object), &warnings))
    }

    /// Creates the next Build of a BuildConfig, a new one or a clone. Its number is used up whether or not the Build is accepted then.
    async fn instantiate(&self) -> Result<Response<Body>, Rejection> {
        let target = self.target(self.query::<WriteQuery>()?.dry_run.as_deref())?;
        let request = self.read_body()?;
        if request["kind"].as_str().is_some_and(|kind| kind != "BuildRequest")
            || meta::name(&request) != target.name
        {
            return Err(Rejection::bad_request(
                "the body is no BuildRequest with the name on the URL",
            ));
        }
        let cluster = self.openshift.cluster();
        let build = {
            let mut store = self.openshift.store();
            let source = store.get(self.kind, target.namespace, target.name).cloned();
            let source = source.ok_or_else(|| Rejection::not_found(self.kind, target.name))?;
            builds::check_strategy(&self.openshift.users(), self.user, self.kind, &source, None)?;
            let (counted, build) = match self.path.subresource {
                CLONE => {
                    let name = source["status"]["config"]["name"].as_str().unwrap_or_default();
                    let config = store.get(BUILD_CONFIG, target.namespace, name);
                    builds::repeat(
                        config.ok_or_else(|| Rejection::not_found(BUILD_CONFIG, name))?,
                        &source,
                    )
                }
                _ => builds::instantiate(&source, &request).map_err(Rejection::bad_request)?,
            };
            let account = build["spec"]["serviceAccount"].as_str().unwrap_or_default();
            if store.get(SERVICE_ACCOUNT, target.namespace, account).is_none() {
                return Err(Rejection::no_build_account(target.namespace, account));
            }
            let config = Target { kind: BUILD_CONFIG, name: meta::name(&counted), ..target };
            verbs::update(&mut store, &config, counted.clone())?;
            build
        };
        let target = Target { kind: BUILD, name: "", ..target };
        // The warnings are for OpenShift's own client, which creates the Build: the user never sees
        // them.
        let Admitted { object: build, .. } = self.admit(&target, &build, None).await?;
        let build = verbs::create(&mut self.openshift.store(), cluster, &target, build)?;
        Ok(self.answer(201, &build))
    }

    async fn update(&self) -> Result<Response<Body>, Rejection> {
        let target = self.target(self.query::<WriteQuery>()?.dry_run.as_deref())?;
        let object = self.read_body()?;
        verbs::check_body(&target, &object)?;
        let old = self.openshift.store().get(self.kind, target.namespace, target.name).cloned();
        let old = old.ok_or_else(|| Rejection::not_found(self.kind, target.name))?;
        let Admitted { object, warnings } = self.admit(&target, &object, Some(&old)).await?;
        let object = verbs::update(&mut self.openshift.store(), &target, object)?;
        Ok(with_warnings(self.answer(200, &object), &warnings))
    }

    async fn patch(&self) -> Result<Response<Body>, Rejection> {
        let query: WriteQuery = self.query()?;
        let target = self.target(query.dry_run.as_deref())?;
        let patch_type = PatchType::parse(content_type(&self.parts.headers), self.kind)?;
        let cause = match patch_type {
            PatchType::Apply if query.field_manager.is_empty() => {
                Some(Cause::required("fieldManager", "is required for apply patch"))
            }
            PatchType::Json | PatchType::Merge | PatchType::Strategic if query.force => {
                Some(Cause::forbidden("force", "may not be specified for non-apply patch"))
            }
            _ => None,
        };
        if let Some(cause) = cause {
            return Err(Rejection::invalid_options("PatchOptions", cause));
        }
        loop {
            let mut patched =
                verbs::patched(&self.openshift.store(), &target, patch_type, self.body)?;
            let status = if patched.current.is_none() { 201 } else { 200 };
            let admitted = self.admit(&target, &patched.object, patched.current.as_deref()).await?;
            patched.object = admitted.object;
            // Webhooks take their time: the patch is applied again to a version that was written meanwhile.
            if let Some(object) =
                patched.store(&mut self.openshift.store(), self.openshift.cluster(), &target)?
            {
                return Ok(with_warnings(self.answer(status, &object), &admitted.warnings));
            }
        }
    }

    /// The result of webhooks for an object that is created or replaces `old`.
    async fn admit(
        &self,
        target: &Target<'_>,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<Admitted, Rejection> {
        let Target { kind, namespace, is_status, dry_run, .. } = *target;
        let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
        let subresource = if is_status { "status" } else { "" };
        let written = Written { kind, operation, subresource, namespace, object };
        let name = meta::name(object);
        let request = admission::Request { written, name, old, user: self.user, dry_run };
        let admitted = admission::admit(self.openshift, request).await?;
        builds::check_strategy(&self.openshift.users(), self.user, kind, &admitted.object, old)?;
        Ok(admitted)
    }

    fn delete(&self) -> Result<Response<Body>, Rejection> {
        let options = match self.body.is_empty() {
            true => Value::Null,
            false => self.read_body()?,
        };
        let in_body =
            options["dryRun"].as_array().and_then(|list| list.first()).and_then(Value::as_str);
        let query: WriteQuery = self.query()?;
        let target = self.target(query.dry_run.as_deref().or(in_body))?;
        Ok(match verbs::delete(&mut self.openshift.store(), &target, &options["preconditions"])? {
            Deleted::Marked(object) => self.answer(200, &object),
            Deleted::Removed(object) if *self.kind == *SERVICE_ACCOUNT => self.answer(200, &object),
            Deleted::Removed(object) => json_response(200, &success(self.kind, &object)),
        })
    }

    /// The namespace of the request, `None` for all.
    fn namespace(&self) -> Option<&str> {
        Some(self.path.namespace).filter(|namespace| !namespace.is_empty())
    }

    fn target(&self, dry_run: Option<&str>) -> Result<Target<'_>, Rejection> {
        let dry_run = match dry_run {
            None | Some("") => false,
            Some("All") => true,
            Some(other) => {
                let cause = Cause::invalid("dryRun", &json!(other), "supported values: \"All\"");
                return Err(Rejection::invalid_options("WriteOptions", cause));
            }
        };
        let Self { kind, path, .. } = self;
        let is_status = path.subresource == "status";
        Ok(Target { kind, namespace: path.namespace, name: path.name, is_status, dry_run })
    }

    fn query<Q: DeserializeOwned>(&self) -> Result<Q, Rejection> {
        parse_query(&self.parts.uri)
    }

    fn read_body(&self) -> Result<Value, Rejection> {
        match content_type(&self.parts.headers) {
            "" | "application/json" => {}
            "application/vnd.kubernetes.protobuf"
                if let Some(object) = protobuf::decode(self.kind, self.body) =>
            {
                return Ok(object);
            }
            _ => return Err(Rejection::unsupported_media_type(&BODY_TYPES)),
        }
        serde_json::from_slice(self.body).map_err(|error| {
            let kind = self.kind.kind;
            Rejection::bad_request(format!(
                "the object provided is unrecognized (must be of type {kind}): {error}"
            ))
        })
    }

    fn answer(&self, status: u16, object: &Value) -> Response<Body> {
        json_response(status, &self.shape.apply(object))
    }
}

fn parse_query<Q: DeserializeOwned>(uri: &Uri) -> Result<Q, Rejection> {
    match Query::try_from_uri(uri) {
        Ok(Query(query)) => Ok(query),
        Err(error) => Err(Rejection::bad_request(error.body_text())),
    }
}

/// The media type of the body, without parameters; empty when there is none.
fn content_type(headers: &HeaderMap) -> &str {
    let value =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

/// The response of a completed delete; only service accounts are returned themselves.
fn success(kind: &Kind, object: &Value) -> Value {
    let mut details =
        json!({"name": meta::name(object), "kind": kind.plural, "uid": object["metadata"]["uid"]});
    if !kind.group.is_empty() {
        details["group"] = json!(kind.group);
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

fn json_response(status: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Adds what webhooks warn of, as the API server does (RFC 7234, code 299).
fn with_warnings(mut response: Response<Body>, warnings: &[String]) -> Response<Body> {
    let quoted = warnings.iter().map(|warning| json!(warning).to_string());
    let values = quoted.filter_map(|quoted| HeaderValue::from_str(&format!("299 - {quoted}")).ok());
    response.headers_mut().extend(values.map(|value| (header::WARNING, value)));
    response
}

/// Plain text instead of a `Status`, for an unknown API.
fn page_not_found() -> Response<Body> {
    let mut response = Response::new(Body::from("404 page not found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
