//! The build controller (openshift-controller-manager `pkg/build/controller/build/build_controller.go`).

use futures::future::join_all;
use serde_json::{Value, json};

use super::super::meta;
use super::instantiate::BUILDER;
use super::pod::{self, Outcome};
use super::{CONFIG, NUMBER, RUN_POLICY, is_complete, push_secret};

const BUILDS: &str = "/apis/build.openshift.io/v1";
const STREAMS: &str = "/apis/image.openshift.io/v1";

/// A way to an API server, as one who may do everything.
pub trait Client: Sync {
    /// Sends a request and returns the status and the body.
    fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> impl Future<Output = anyhow::Result<(u16, Value)>> + Send;
}

/// The result of [`round`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Round {
    Idle,
    /// Something was written.
    Progress,
    /// Something could not be read or written; it is worth another try.
    Rejected,
}

/// Advances every running build by one phase, if possible.
pub async fn round(client: &impl Client) -> Round {
    let Ok((200, list)) = client.call("GET", &format!("{BUILDS}/builds"), None).await else {
        return Round::Rejected;
    };
    let builds: Vec<Value> = list["items"].as_array().cloned().unwrap_or_default();
    let active = builds.iter().filter(|build| !is_complete(build) && !meta::is_deleting(build));
    let outcomes = join_all(active.map(|build| advance(client, build, &builds))).await;
    outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or(Round::Rejected))
        .max()
        .unwrap_or(Round::Idle)
}

async fn advance(client: &impl Client, build: &Value, builds: &[Value]) -> anyhow::Result<Round> {
    let next = match build["status"]["phase"].as_str().unwrap_or_default() {
        // The Jenkins plugin runs these.
        _ if !build["spec"]["strategy"]["jenkinsPipelineStrategy"].is_null() => None,
        _ if build["status"]["cancelled"] == true => Some(ended(
            build,
            "Cancelled",
            "CancelledBuild",
            "The build was cancelled by the user.",
        )),
        "New" | "" if !is_runnable(build, builds) => None,
        "New" | "" => start(client, build).await?,
        "Pending" => Some(run(client, build).await?),
        _ => Some(finish(client, build).await?),
    };
    match next.filter(|next| next != build) {
        Some(next) => write(client, &object_path(BUILDS, &next, "builds"), &next).await,
        None => Ok(Round::Idle),
    }
}

async fn write(client: &impl Client, path: &str, object: &Value) -> anyhow::Result<Round> {
    let (status, _) = client.call("PUT", path, Some(object)).await?;
    Ok(if status < 300 { Round::Progress } else { Round::Rejected })
}

/// True if the run policy lets a build start: those of one BuildConfig go one after another unless it says `Parallel`.
fn is_runnable(build: &Value, builds: &[Value]) -> bool {
    let label =
        |build: &Value, name: &str| build["metadata"]["labels"][name].as_str().map(str::to_owned);
    let number = |build: &Value| {
        build["metadata"]["annotations"][NUMBER]
            .as_str()
            .and_then(|number| number.parse::<u64>().ok())
    };
    let is_ahead = |other: &Value| {
        other["metadata"]["namespace"] == build["metadata"]["namespace"]
            && label(other, CONFIG) == label(build, CONFIG)
            && !is_complete(other)
            && number(other) < number(build)
    };
    label(build, CONFIG).is_none()
        || label(build, RUN_POLICY).as_deref() == Some("Parallel")
        || !builds.iter().any(is_ahead)
}

/// From `New` to `Pending`: resolves output and push secret. The status names an obstacle.
async fn start(client: &impl Client, build: &Value) -> anyhow::Result<Option<Value>> {
    let mut started = build.clone();
    let to = &build["spec"]["output"]["to"];
    let image = match to["kind"].as_str() {
        Some("ImageStreamTag" | "ImageStream") => match stream_location(client, build).await? {
            Some(image) => image,
            None => {
                return Ok(Some(waiting(
                    started,
                    "InvalidOutputReference",
                    "Output image could not be resolved.",
                )));
            }
        },
        _ => to["name"].as_str().unwrap_or_default().to_owned(),
    };
    let secrets = account_secrets(client, build).await?;
    // Pulling the base image needs a pull secret too, even where nothing is pushed.
    let Some(secret) = push_secret::choose(&secrets, &image) else {
        let message = "Unable to look up the service account secrets for this build.";
        return Ok(Some(waiting(started, "CannotRetrieveServiceAccount", message)));
    };
    if started["spec"]["output"]["pushSecret"].is_null() && !image.is_empty() {
        started["spec"]["output"]["pushSecret"] = json!({ "name": secret });
    }
    started["metadata"]["annotations"]["openshift.io/build.pod-name"] =
        json!(format!("{}-build", meta::name(build)));
    let started = in_phase(started, "Pending");
    Ok(Some(match image.is_empty() {
        true => started,
        false => with_status(started, "outputDockerImageReference", json!(image)),
    }))
}

/// The location of the output's stream in the internal registry; `None` without that stream or that
/// registry.
async fn stream_location(client: &impl Client, build: &Value) -> anyhow::Result<Option<String>> {
    let to = &build["spec"]["output"]["to"];
    let namespace = to["namespace"].as_str().unwrap_or_else(|| meta::namespace(build));
    let name = to["name"].as_str().unwrap_or_default();
    let (stream, tag) = name.split_once(':').unwrap_or((name, "latest"));
    let (_, stream) = client
        .call("GET", &format!("{STREAMS}/namespaces/{namespace}/imagestreams/{stream}"), None)
        .await?;
    let repository = stream["status"]["dockerImageRepository"]
        .as_str()
        .filter(|repository| !repository.is_empty());
    Ok(repository.map(|repository| format!("{repository}:{tag}")))
}

/// The secrets of the build's service account that exist, in its order.
async fn account_secrets(client: &impl Client, build: &Value) -> anyhow::Result<Vec<Value>> {
    let namespace = format!("/api/v1/namespaces/{}", meta::namespace(build));
    let account = build["spec"]["serviceAccount"].as_str().unwrap_or(BUILDER);
    let (_, account) =
        client.call("GET", &format!("{namespace}/serviceaccounts/{account}"), None).await?;
    let mut secrets = Vec::new();
    for reference in account["secrets"].as_array().into_iter().flatten() {
        let name = reference["name"].as_str().unwrap_or_default();
        if let (200, secret) =
            client.call("GET", &format!("{namespace}/secrets/{name}"), None).await?
        {
            secrets.push(secret);
        }
    }
    Ok(secrets)
}

/// From `Pending` to `Running`, unless the push secret is missing: the pod waits for it.
async fn run(client: &impl Client, build: &Value) -> anyhow::Result<Value> {
    if let Some(name) = build["spec"]["output"]["pushSecret"]["name"].as_str() {
        let path = format!("/api/v1/namespaces/{}/secrets/{name}", meta::namespace(build));
        if client.call("GET", &path, None).await?.0 == 404 {
            return Ok(waiting(build.clone(), "MissingPushSecret", "Missing push secret."));
        }
    }
    Ok(with_status(in_phase(build.clone(), "Running"), "startTimestamp", json!(meta::now())))
}

/// From `Running` to its end.
async fn finish(client: &impl Client, build: &Value) -> anyhow::Result<Value> {
    let secret = match build["spec"]["output"]["pushSecret"]["name"].as_str() {
        Some(name) => {
            client
                .call(
                    "GET",
                    &format!("/api/v1/namespaces/{}/secrets/{name}", meta::namespace(build)),
                    None,
                )
                .await?
                .1
        }
        None => Value::Null,
    };
    Ok(match pod::run(build, &secret).await {
        Outcome::Built => ended(build, "Complete", "", ""),
        Outcome::Pushed { digest, internal } => {
            if internal {
                record(client, build, &digest).await?;
            }
            let complete = ended(build, "Complete", "", "");
            with_status(complete, "output", json!({ "to": { "imageDigest": digest } }))
        }
        Outcome::Failed(log) => {
            let message = "Failed to push the image to the registry.";
            with_status(
                ended(build, "Failed", "PushImageToRegistryFailed", message),
                "logSnippet",
                json!(log),
            )
        }
    })
}

/// Enters an image of the internal registry in its stream, as that registry does when it is pushed to: what the tag
/// follows is kept (openshift-apiserver `pkg/image/apiserver/registry/imagestreammapping/rest.go`).
async fn record(client: &impl Client, build: &Value, digest: &str) -> anyhow::Result<()> {
    let image = build["status"]["outputDockerImageReference"].as_str().unwrap_or_default();
    let (repository, tag) = image.rsplit_once(':').unwrap_or((image, "latest"));
    let mut path = repository.rsplit('/');
    let (name, namespace) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
    let path = format!("{STREAMS}/namespaces/{namespace}/imagestreams/{name}");
    let (_, mut stream) = client.call("GET", &path, None).await?;
    let reference = format!("{repository}@{digest}");
    let generation = stream["metadata"]["generation"].clone();
    let item = json!({ "created": meta::now(), "dockerImageReference": reference, "image": digest, "generation": generation });
    let mut tags = stream["status"]["tags"].as_array().cloned().unwrap_or_default();
    match tags.iter_mut().find(|known| known["tag"] == tag) {
        Some(known) => {
            let older = known["items"].as_array().into_iter().flatten().cloned();
            known["items"] = std::iter::once(item).chain(older).collect();
        }
        None => tags.push(json!({ "tag": tag, "items": [item] })),
    }
    stream["status"]["tags"] = json!(tags);
    client.call("PUT", &format!("{path}/status"), Some(&stream)).await?;
    Ok(())
}

fn object_path(api: &str, object: &Value, plural: &str) -> String {
    format!("{api}/namespaces/{}/{plural}/{}", meta::namespace(object), meta::name(object))
}

fn with_status(mut build: Value, field: &str, value: Value) -> Value {
    build["status"][field] = value;
    build
}

/// The build where it is, with the reason why it does not go on.
fn waiting(build: Value, reason: &str, message: &str) -> Value {
    with_status(with_status(build, "reason", json!(reason)), "message", json!(message))
}

fn in_phase(mut build: Value, phase: &str) -> Value {
    if let Some(status) = build["status"].as_object_mut() {
        status.retain(|field, _| !matches!(field.as_str(), "reason" | "message"));
    }
    with_status(build, "phase", json!(phase))
}

fn ended(build: &Value, phase: &str, reason: &str, message: &str) -> Value {
    let ended =
        with_status(in_phase(build.clone(), phase), "completionTimestamp", json!(meta::now()));
    if reason.is_empty() { ended } else { waiting(ended, reason, message) }
}
