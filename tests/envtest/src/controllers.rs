//! Replaces the controllers of OpenShift and Kubernetes for namespaces, and OLM, as only an API
//! server runs here: one loop that reconciles repeatedly.

mod default_objects;
mod deletion;
mod olm;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use sandbox::openshift::builds;
use serde_json::{Value, json};

use crate::api::Api;
pub(crate) use default_objects::has_default_objects;
pub(crate) use deletion::{Content, empty};

const INTERVAL: Duration = Duration::from_millis(100);

/// Delay after the service account `default`; about 2 s on a real cluster.
const SETTLE: Duration = Duration::from_millis(100);

/// OLM reads a dozen kinds, so it runs every third round.
const OLM_EVERY: usize = 3;

pub(crate) const PROJECT_ADMIN: &str = "project-admin";

/// User and namespace of project administrators; the namespace might not exist yet.
pub(crate) type Grants = BTreeSet<(String, String)>;

/// State that is shared with [`crate::Envtest`].
#[derive(Clone, Default)]
pub(crate) struct Shared {
    grants: Arc<Mutex<Grants>>,
    last_error: Arc<Mutex<Option<String>>>,
}

impl Shared {
    pub(crate) fn grants(&self) -> MutexGuard<'_, Grants> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The error of the last round, for timeouts. Conflicts are temporary.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs the controllers until the task is aborted.
pub(crate) async fn run(api: Api, shared: Shared) {
    let mut first_seen = HashMap::new();
    let mut olm_error = None;
    for number in 0_usize.. {
        let last_error = round(&api, &shared, &mut first_seen).await.err();
        if number.is_multiple_of(OLM_EVERY) {
            olm_error = olm::round(&api).await.err().map(|error| format!("{error:#}"));
        }
        let last_error = last_error.map(|error| format!("{error:#}")).or_else(|| olm_error.clone());
        *shared.last_error.lock().unwrap_or_else(PoisonError::into_inner) = last_error;
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Runs the build controller, whose pods may be slow, until the task is aborted.
pub(crate) async fn build(api: Api) {
    loop {
        builds::round(&api).await;
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn round(
    api: &Api,
    shared: &Shared,
    first_seen: &mut HashMap<String, Instant>,
) -> Result<()> {
    let namespaces = api.list("/api/v1/namespaces").await?;
    let accounts = api.list("/api/v1/serviceaccounts").await?;
    first_seen.retain(|uid, _| {
        namespaces.iter().any(|namespace| namespace["metadata"]["uid"] == uid.as_str())
    });

    let is_deleting = |namespace: &&Value| !namespace["metadata"]["deletionTimestamp"].is_null();
    let content = if namespaces.iter().any(|namespace| is_deleting(&namespace)) {
        Some(Content::read(api).await?)
    } else {
        None
    };

    // An error in one namespace does not affect the others.
    let mut outcome = Ok(());
    for namespace in &namespaces {
        let seen =
            *first_seen.entry(text(&namespace["metadata"]["uid"])).or_insert_with(Instant::now);
        let done = match content.as_ref().filter(|_| is_deleting(&namespace)) {
            Some(content) => deletion::finish(api, content, namespace).await,
            None => {
                default_objects::create_missing(api, namespace, &accounts, seen.elapsed() >= SETTLE)
                    .await
            }
        };
        outcome = outcome.and(done);
    }
    outcome.and(bind(api, shared, &namespaces).await)
}

/// Makes the RoleBindings of all grants whose namespace is there.
async fn bind(api: &Api, shared: &Shared, namespaces: &[Value]) -> Result<()> {
    let grants = shared.grants().clone();
    let bindings = api.list("/apis/rbac.authorization.k8s.io/v1/rolebindings").await?;
    for (user, namespace) in grants {
        let name = format!("{PROJECT_ADMIN}-{user}");
        let is_there = namespaces.iter().any(|object| {
            object["metadata"]["name"] == namespace.as_str()
                && object["metadata"]["deletionTimestamp"].is_null()
        });
        let is_bound = bindings.iter().any(|binding| {
            binding["metadata"]["name"] == name.as_str()
                && binding["metadata"]["namespace"] == namespace.as_str()
        });
        if is_there && !is_bound {
            let binding = json!({
                "metadata": { "name": name },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": PROJECT_ADMIN },
                "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user }],
            });
            let path =
                format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings");
            api.create(&path, &binding).await?;
        }
    }
    Ok(())
}

/// Empty if not a string.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
