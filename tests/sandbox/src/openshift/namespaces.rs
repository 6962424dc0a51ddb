//! The controllers that fill a new namespace, keep it filled, and empty one that is deleted.
//!
//! They work as on the real cluster: from the state, not from single events, and a moment after it changed.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::kinds::{self, Kind, NAMESPACE, SECRET, SERVICE_ACCOUNT};
use super::meta;
use super::store::Store;
use super::{Cluster, INTERNAL_REGISTRY, OpenShift};

/// On a service account, the name of the secret that OpenShift made for it.
const PULL_SECRET_ANNOTATION: &str = "openshift.io/internal-registry-pull-secret-ref";

/// Brings namespaces up to date, each `settle` after something in it changed, for as long as the server lives.
pub(crate) async fn run(openshift: OpenShift) {
    // From the very first version on, whatever was created before this runs.
    let (mut seen, mut changed) = (0, openshift.store().subscribe());
    let waiting = Arc::new(Mutex::new(HashSet::new()));
    loop {
        let names = touched(&openshift.store(), &mut seen);
        for name in names {
            if lock(&waiting).insert(name.clone()) {
                let (openshift, waiting) = (openshift.clone(), Arc::clone(&waiting));
                tokio::spawn(async move {
                    tokio::time::sleep(openshift.cluster().settle).await;
                    lock(&waiting).remove(&name);
                    reconcile(&mut openshift.store(), openshift.cluster(), &name);
                });
            }
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The namespaces in which something changed since `seen`, which moves on; all of them when too much did.
fn touched(store: &Store, seen: &mut u64) -> HashSet<String> {
    let names = match store.changes_since(*seen) {
        Some(changes) => changes
            .map(|change| match change.kind == NAMESPACE {
                true => meta::name(&change.object).to_owned(),
                false => meta::namespace(&change.object).to_owned(),
            })
            .filter(|name| !name.is_empty())
            .collect(),
        None => {
            store.list(NAMESPACE, None).map(|namespace| meta::name(namespace).to_owned()).collect()
        }
    };
    *seen = store.version();
    names
}

/// Does for one namespace everything that is due.
pub(crate) fn reconcile(store: &mut Store, cluster: &Cluster, name: &str) {
    let Some(namespace) = store.get(NAMESPACE, "", name).cloned() else {
        return;
    };
    if meta::is_deleting(&namespace) {
        empty(store, &namespace, name);
        return;
    }
    annotate(store, &namespace);
    collect_garbage(store, name);
    for account in cluster.service_accounts() {
        add_service_account(store, name, account);
    }
    if cluster.internal_registry {
        let accounts: Vec<_> = store.list(SERVICE_ACCOUNT, Some(name)).cloned().collect();
        accounts.iter().for_each(|account| add_dockercfg(store, account));
    }
}

/// Creates a service account, unless it exists.
pub(crate) fn add_service_account(store: &mut Store, namespace: &str, name: &str) {
    if store.get(SERVICE_ACCOUNT, namespace, name).is_none() {
        store.write(SERVICE_ACCOUNT, new_object(SERVICE_ACCOUNT, namespace, name));
    }
}

fn new_object(kind: &Kind, namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": kind.api_version(),
        "kind": kind.kind,
        "metadata": {
            "name": name, "namespace": namespace, "uid": meta::uid(), "creationTimestamp": meta::now(),
        },
    })
}

/// The ranges that OpenShift's cluster-policy-controller hands out, one to a namespace.
fn annotate(store: &mut Store, namespace: &Value) {
    let range = meta::random() % 10_000;
    let uids = format!("{}/10000", 1_000_000_000 + range * 10_000);
    let levels = format!("s0:c{},c{}", range / 100, range % 100);
    let mut annotated = namespace.clone();
    for (key, value) in [
        ("openshift.io/sa.scc.mcs", &levels),
        ("openshift.io/sa.scc.supplemental-groups", &uids),
        ("openshift.io/sa.scc.uid-range", &uids),
    ] {
        let annotation = &mut annotated["metadata"]["annotations"][key];
        if annotation.is_null() {
            *annotation = json!(value);
        }
    }
    if annotated != *namespace {
        store.write(NAMESPACE, annotated);
    }
}

/// Creates the secret for the internal registry, and adds it to both lists of the service account.
fn add_dockercfg(store: &mut Store, account: &Value) {
    let namespace = meta::namespace(account);
    let mut linked = account.clone();
    let annotation = &mut linked["metadata"]["annotations"][PULL_SECRET_ANNOTATION];
    let known = annotation.as_str().filter(|name| store.get(SECRET, namespace, name).is_some());
    let secret = match known {
        Some(name) => name.to_owned(),
        None => new_dockercfg(store, account),
    };
    *annotation = json!(secret);
    for list in ["secrets", "imagePullSecrets"] {
        let reference = json!({"name": secret});
        match linked[list].as_array_mut() {
            Some(references) if references.contains(&reference) => {}
            Some(references) => references.push(reference),
            None => linked[list] = json!([reference]),
        }
    }
    if linked != *account {
        store.write(SERVICE_ACCOUNT, linked);
    }
}

fn new_dockercfg(store: &mut Store, account: &Value) -> String {
    let (namespace, owner) = (meta::namespace(account), meta::name(account));
    let token = format!("{:016x}{:016x}", meta::random(), meta::random());
    let auth = STANDARD.encode(format!("<token>:{token}"));
    let content = json!({INTERNAL_REGISTRY: {
        "username": "<token>", "password": token, "email": "serviceaccount@example.org", "auth": auth,
    }});
    let name = format!("{owner}-dockercfg-{}", meta::suffix(5));
    let mut secret = new_object(SECRET, namespace, &name);
    secret["type"] = json!("kubernetes.io/dockercfg");
    secret["data"] = json!({".dockercfg": STANDARD.encode(content.to_string())});
    secret["metadata"]["annotations"] =
        json!({"openshift.io/internal-registry-auth-token.service-account": owner});
    secret["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ServiceAccount", "name": owner, "uid": account["metadata"]["uid"],
    }]);
    store.write(SECRET, secret);
    name
}

/// Removes what only belonged to objects that are gone.
fn collect_garbage(store: &mut Store, namespace: &str) {
    for kind in namespaced() {
        let orphans: Vec<String> = store
            .list(kind, Some(namespace))
            .filter(|object| is_orphan(store, namespace, object))
            .map(|object| meta::name(object).to_owned())
            .collect();
        for name in orphans {
            store.remove(kind, namespace, &name);
        }
    }
}

fn is_orphan(store: &Store, namespace: &str, object: &Value) -> bool {
    let Some(owners) = object["metadata"]["ownerReferences"].as_array() else {
        return false;
    };
    let is_gone = |owner: &Value| {
        let (kind, name) = (
            owner["kind"].as_str().unwrap_or_default(),
            owner["name"].as_str().unwrap_or_default(),
        );
        kinds::named(kind).is_some_and(|kind| {
            let namespace = if kind.namespaced { namespace } else { "" };
            store
                .get(kind, namespace, name)
                .is_none_or(|found| found["metadata"]["uid"] != owner["uid"])
        })
    };
    owners.iter().all(is_gone)
}

/// The namespace controller: deletes the content, names in the conditions what remains, and finalizes the namespace
/// when nothing does. A finalizer of the namespace itself is in no condition; it is just not removed yet.
fn empty(store: &mut Store, namespace: &Value, name: &str) {
    let mut remaining: BTreeMap<String, usize> = BTreeMap::new();
    let mut finalizers: BTreeMap<String, usize> = BTreeMap::new();
    for kind in namespaced() {
        let objects: Vec<_> = store.list(kind, Some(name)).cloned().collect();
        for object in objects {
            if meta::is_finalized(&object) {
                store.remove(kind, name, meta::name(&object));
                continue;
            }
            *remaining.entry(format!("{}.{}", kind.plural, kind.group)).or_default() += 1;
            meta::finalizers(&object)
                .for_each(|each| *finalizers.entry(each.to_owned()).or_default() += 1);
            if !meta::is_deleting(&object) {
                let mut marked = Value::clone(&object);
                marked["metadata"]["deletionTimestamp"] = json!(meta::now());
                marked["metadata"]["deletionGracePeriodSeconds"] = json!(0);
                store.write(kind, marked);
            }
        }
    }

    let mut emptied = namespace.clone();
    if remaining.is_empty() {
        emptied["spec"] = json!({});
    }
    emptied["status"]["conditions"] = conditions(namespace, &remaining, &finalizers);
    if meta::is_finalized(&emptied) {
        store.remove(NAMESPACE, "", name);
    } else if emptied != *namespace {
        store.write(NAMESPACE, emptied);
    }
}

/// The two conditions that say what is left (kubernetes `pkg/controller/namespace/deletion/status_condition_utils.go`).
fn conditions(
    namespace: &Value,
    remaining: &BTreeMap<String, usize>,
    finalizers: &BTreeMap<String, usize>,
) -> Value {
    let list = |counts: &BTreeMap<String, usize>, verb: &str| {
        let parts: Vec<String> = counts
            .iter()
            .map(|(what, count)| format!("{what} {verb} {count} resource instances"))
            .collect();
        parts.join(", ")
    };
    let condition = |kind: &str, problem: Option<(&str, String)>| {
        let status = if problem.is_some() { "True" } else { "False" };
        let (reason, message) = problem
            .unwrap_or_else(|| ("ContentRemoved", "All content successfully removed".to_owned()));
        let old = namespace["status"]["conditions"].as_array().into_iter().flatten();
        let since = old
            .filter(|old| old["type"] == kind && old["status"] == status)
            .find_map(|old| old["lastTransitionTime"].as_str().map(str::to_owned));
        let since = since.unwrap_or_else(meta::now);
        json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
    };
    let content = (!remaining.is_empty()).then(|| {
        ("SomeResourcesRemain", format!("Some resources are remaining: {}", list(remaining, "has")))
    });
    let finalizer = (!finalizers.is_empty()).then(|| {
        let what = list(finalizers, "in");
        (
            "SomeFinalizersRemain",
            format!("Some content in the namespace has finalizers remaining: {what}"),
        )
    });
    json!([
        condition("NamespaceContentRemaining", content),
        condition("NamespaceFinalizersRemaining", finalizer)
    ])
}

fn namespaced() -> impl Iterator<Item = &'static Kind> {
    kinds::TABLE.iter().filter(|kind| kind.namespaced)
}
