//! The controllers of the whole cluster: those of CustomResourceDefinitions, and OLM.

use serde_json::{Value, json};

use super::kinds::{self, Kind};
use super::olm::{self, Write};
use super::store::Store;
use super::{Cluster, OpenShift, default_service_accounts, definitions, meta, verbs};

/// Takes a step `settle` after every change, for the lifetime of the server.
pub(crate) async fn run(openshift: OpenShift) {
    let mut changed = openshift.store().subscribe();
    // Once in any case, whatever was created before this runs.
    changed.mark_changed();
    while changed.changed().await.is_ok() {
        tokio::time::sleep(openshift.cluster().settle).await;
        step(&mut openshift.store(), openshift.cluster());
    }
}

pub(crate) fn settle(store: &mut Store, cluster: &Cluster) {
    let mut version = 0;
    while store.version() != version {
        version = store.version();
        step(store, cluster);
    }
}

fn step(store: &mut Store, cluster: &Cluster) {
    definitions::reconcile(store);
    let kinds = olm::KINDS
        .iter()
        .filter_map(|(_, kind, _)| kinds::named(kind))
        .filter(|kind| cluster.serves(kind.group));
    let mut objects: Vec<Value> =
        kinds.flat_map(|kind| store.list(kind, None)).map(|object| Value::clone(object)).collect();
    if olm::needs_accounts(&objects) {
        objects
            .extend(store.list(kinds::SERVICE_ACCOUNT, None).map(|account| Value::clone(account)));
    }
    for write in olm::step(&objects) {
        apply(store, write);
    }
}

fn apply(store: &mut Store, write: Write) {
    match write {
        Write::Create(object) => default_service_accounts::put(store, object),
        Write::Status(object) => change(store, &object, "/status"),
        Write::Finalizers(object) => change(store, &object, "/metadata/finalizers"),
        Write::Delete(object) => {
            if let Some(kind) = Kind::find(&object) {
                let (namespace, name) = (meta::namespace(&object), meta::name(&object));
                let target =
                    verbs::Target { kind, namespace, name, is_status: false, dry_run: false };
                // It might already be deleted.
                let _ = verbs::delete(store, &target, &Value::Null);
            }
        }
    }
}

/// Brings one part of a stored object to what it is in `object`.
fn change(store: &mut Store, object: &Value, part: &str) {
    let stored = Kind::find(object).and_then(|kind| {
        Some((kind, store.get(kind, meta::namespace(object), meta::name(object))?))
    });
    let Some((kind, stored)) = stored else {
        return;
    };
    let mut changed = Value::clone(stored);
    match part {
        "/status" => changed["status"] = object["status"].clone(),
        _ => {
            changed["metadata"]["finalizers"] = json!(meta::finalizers(object).collect::<Vec<_>>())
        }
    }
    if meta::is_deleting(&changed) && meta::is_finalized(&changed) {
        store.remove(kind, meta::namespace(object), meta::name(object));
    } else {
        store.write(kind, changed);
    }
}
