//! What OpenShift's and Kubernetes' controllers do to namespaces, and OLM, done by one loop that compares what is with what
//! should be, again and again. Only an API server runs here, so nobody else would do it.

mod deletion;
mod furnishing;
mod olm;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use sandbox::openshift::builds;
use serde_json::{Value, json};

use crate::api::Api;
pub(crate) use deletion::{Content, empty};
pub(crate) use furnishing::is_furnished;

/// How often the loop looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// How long after its service account `default` a namespace gets the rest; on a real cluster it is about 2 s.
const SETTLE: Duration = Duration::from_millis(100);

/// OLM looks at a dozen kinds, so it looks at every third round only.
const OLM_EVERY: usize = 3;

/// The ClusterRole that a grant binds.
pub(crate) const PROJECT_ADMIN: &str = "project-admin";

/// Who is to be project administrator where, now or as soon as the namespace exists: user and namespace.
pub(crate) type Grants = BTreeSet<(String, String)>;

/// The loop's side of what it shares with [`crate::Envtest`].
#[derive(Clone, Default)]
pub(crate) struct Shared {
    grants: Arc<Mutex<Grants>>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Shared {
    /// The grants that hold from the next round on.
    pub(crate) fn grants(&self) -> MutexGuard<'_, Grants> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What went wrong in the latest round. A conflict with another writer passes; what stays is worth reading when
    /// something awaited does not come.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Plays the controllers until the task is aborted.
pub(crate) async fn run(api: Api, shared: Shared) {
    let mut first_seen = HashMap::new();
    let mut olms_trouble = None;
    for number in 0_usize.. {
        let trouble = round(&api, &shared, &mut first_seen).await.err();
        if number.is_multiple_of(OLM_EVERY) {
            olms_trouble = olm::round(&api).await.err().map(|error| format!("{error:#}"));
        }
        let trouble = trouble.map(|error| format!("{error:#}")).or_else(|| olms_trouble.clone());
        *shared.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Plays the build controller, whose pods may take their time, until the task is aborted.
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

    // One namespace's trouble is not the others'.
    let mut outcome = Ok(());
    for namespace in &namespaces {
        let seen =
            *first_seen.entry(text(&namespace["metadata"]["uid"])).or_insert_with(Instant::now);
        let done = match content.as_ref().filter(|_| is_deleting(&namespace)) {
            Some(content) => deletion::finish(api, content, namespace).await,
            None => furnishing::furnish(api, namespace, &accounts, seen.elapsed() >= SETTLE).await,
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

/// A JSON string's text, empty when it is none.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
