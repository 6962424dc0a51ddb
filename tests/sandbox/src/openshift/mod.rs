//! An OpenShift API server with its controllers, as far as oc-quay uses them.
//!
//! A request goes through [`api`]: authentication and access ([`access`]), then a verb ([`verbs`], [`lists`],
//! [`watch`]) on the [`store`], with what the server fills in ([`strategy`]) and rejects ([`validate`], [`api_errors`]), and
//! what webhooks make of it before ([`admission`]).
//! [`namespaces`] and [`controllers`] play the controllers, [`builds`] that of builds, [`olm`] the Operator Lifecycle
//! Manager. [`images`] answers imports: [`imports`] has their rules, [`credentials`] their credentials.

mod access;
mod admission;
mod api;
mod api_errors;
pub mod builds;
mod cluster;
mod controllers;
mod credentials;
mod default_service_accounts;
pub mod definitions;
mod discovery;
mod images;
pub mod imports;
mod kinds;
mod lists;
mod meta;
mod namespaces;
pub mod olm;
mod patch;
mod path;
mod projects;
mod protobuf;
mod reviews;
pub mod schemas;
mod selectors;
mod store;
mod strategy;
mod validate;
mod verbs;
mod watch;
mod webhooks;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::Router;
use serde_json::{Value, json};

use crate::quay::Quay;
use crate::traffic::Traffic;
use access::{Denial, Users};
use admission::Services;
use api_errors::Rejection;
pub use cluster::{Cluster, Olm};
pub use default_service_accounts::infrastructure;
use kinds::{Kind, QUAY_INTEGRATION};
pub use path::classify;
use store::Store;

/// The internal registry in image streams and dockercfg secrets.
const INTERNAL_REGISTRY: &str = "image-registry.openshift-image-registry.svc:5000";

/// The cluster. Clones share it.
///
/// Besides the API there is direct access for tests that arrange or look at state: it is not logged, and no user's
/// permissions are checked. Kinds are named as in manifests, e.g. `Secret`; the namespace of cluster-scoped objects is `""`.
#[derive(Clone)]
pub struct OpenShift {
    shared: Arc<Shared>,
}

struct Shared {
    cluster: Cluster,
    store: Mutex<Store>,
    users: Mutex<Users>,
    traffic: Traffic,
    services: Mutex<Services>,
    url: OnceLock<String>,
    quay: OnceLock<Quay>,
}

impl OpenShift {
    /// A cluster with its own namespaces, `ClusterVersion` and image configuration, and the users `admin` (cluster
    /// admin), `dev` (project admin of `myproj`) and `guest`. Call [`OpenShift::run_controllers`] to have it live.
    pub fn new(cluster: Cluster) -> Self {
        let mut store = Store::new();
        default_service_accounts::furnish(&mut store, &cluster);
        let mut users = Users::new();
        users.grant("dev", "myproj");
        let (store, users) = (Mutex::new(store), Mutex::new(users));
        let shared = Shared {
            cluster,
            store,
            users,
            traffic: Traffic::default(),
            services: Mutex::default(),
            url: OnceLock::new(),
            quay: OnceLock::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The API, to be served with [`classify`] and [`OpenShift::traffic`].
    pub fn router(&self) -> Router {
        Router::new().fallback(api::handle).with_state(self.clone())
    }

    /// Plays the controllers; never ends.
    pub async fn run_controllers(self) {
        tokio::join!(
            namespaces::run(self.clone()),
            builds::run(self.clone()),
            controllers::run(self)
        );
    }

    /// Sets the address of the API server.
    pub(crate) fn set_url(&self, url: &str) {
        let _ = self.shared.url.set(url.to_owned());
    }

    /// Gives imports a registry to find images in; without one there are none.
    pub(crate) fn set_quay(&self, quay: &Quay) {
        let _ = self.shared.quay.set(quay.clone());
    }

    /// The address of the API, e.g. `https://127.0.0.1:43210`.
    pub fn url(&self) -> String {
        self.shared.url.get().cloned().unwrap_or_default()
    }

    /// Sets the address of a service that webhooks are called through, for every port. Of any other the API says
    /// that it is not there.
    pub fn serve_service(&self, namespace: &str, name: &str, address: SocketAddr) {
        self.services().insert(format!("{name}.{namespace}.svc"), address);
    }

    fn service(&self, host: &str) -> Option<SocketAddr> {
        self.services().get(host).copied()
    }

    fn services(&self) -> MutexGuard<'_, Services> {
        self.shared.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request log and fault rules of the API.
    pub fn traffic(&self) -> &Traffic {
        &self.shared.traffic
    }

    /// The bearer token of the cluster admin.
    pub fn admin_token(&self) -> String {
        self.token("admin")
    }

    /// The bearer token of `admin`, `dev` or `guest`; empty for other users, and when it has expired.
    pub fn token(&self, user: &str) -> String {
        self.users().token(user)
    }

    /// No token is accepted any more: 401 from now on.
    pub fn expire_tokens(&self) {
        self.users().expire_tokens();
    }

    pub fn grant(&self, user: &str, namespace: &str) {
        self.users().grant(user, namespace);
    }

    /// Removes a permission from a user in all namespaces: requests are rejected and access reviews say so.
    /// The resource is plural, with its subresource if it is about one; `*` stands for any verb, group or resource.
    pub fn deny(&self, user: &str, verb: &str, group: &str, resource: &str) {
        let [user, verb, group, resource] = [user, verb, group, resource].map(str::to_owned);
        self.users().deny(Denial { user, verb, group, resource });
    }

    /// Gives the catalogs that hold the operator some trouble, or takes it away.
    pub fn trouble(&self, trouble: Option<&olm::Trouble>) {
        let patch = trouble.map_or_else(olm::Trouble::over, olm::Trouble::patch);
        for kind in ["CatalogSource", "ClusterCatalog"] {
            for mut catalog in self.list(kind, "") {
                json_patch::merge(&mut catalog, &patch);
                self.put(catalog);
            }
        }
    }

    /// Every resourceVersion handed out so far becomes too old: watches and pages of lists get 410.
    pub fn expire_history(&self) {
        self.store().expire_history();
    }

    /// Creates an object as the cluster admin would, and returns what was stored.
    ///
    /// # Panics
    /// With the API's message, when the API would reject it.
    #[track_caller]
    pub fn create(&self, object: Value) -> Value {
        let kind = known(Kind::find(&object), &object["kind"]);
        let namespace = meta::namespace(&object).to_owned();
        let target = verbs::Target {
            kind,
            namespace: &namespace,
            name: "",
            is_status: false,
            dry_run: false,
        };
        let created = accepted(verbs::create(&mut self.store(), self.cluster(), &target, object));
        Value::clone(&created)
    }

    /// An object, if it exists.
    ///
    /// # Panics
    /// When there is no such kind.
    #[track_caller]
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let kind = known(kinds::named(kind), &json!(kind));
        self.store().get(kind, namespace, name).map(|object| Value::clone(object))
    }

    /// Stores an object just as it is, status and all, in place of what is there. No rule of the API applies.
    ///
    /// # Panics
    /// When there is no such kind.
    #[track_caller]
    pub fn put(&self, object: Value) {
        default_service_accounts::put(&mut self.store(), object);
    }

    /// Deletes an object as the cluster admin would; finalizers are waited for as ever.
    ///
    /// # Panics
    /// When it does not exist.
    #[track_caller]
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) {
        let kind = known(kinds::named(kind), &json!(kind));
        let target = verbs::Target { kind, namespace, name, is_status: false, dry_run: false };
        accepted(verbs::delete(&mut self.store(), &target, &Value::Null));
    }

    /// The objects of a kind in a namespace, or in all namespaces when it is `""`, in the API's order.
    ///
    /// # Panics
    /// When there is no such kind.
    #[track_caller]
    pub fn list(&self, kind: &str, namespace: &str) -> Vec<Value> {
        let kind = known(kinds::named(kind), &json!(kind));
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        self.store().list(kind, namespace).map(|object| Value::clone(object)).collect()
    }

    fn cluster(&self) -> &Cluster {
        &self.shared.cluster
    }

    fn serves(&self, group: &str) -> bool {
        match group == QUAY_INTEGRATION.group {
            true => {
                definitions::find(&self.store(), group).is_some_and(definitions::is_established)
            }
            false => self.cluster().serves(group),
        }
    }

    /// The kinds that are served just now.
    fn kinds(&self) -> Vec<&'static Kind> {
        kinds::TABLE.iter().filter(|kind| self.serves(kind.group)).collect()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.shared.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn users(&self) -> MutexGuard<'_, Users> {
        self.shared.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "a test that names a kind we do not have has to stop there")]
fn known(kind: Option<&'static Kind>, name: &Value) -> &'static Kind {
    kind.unwrap_or_else(|| panic!("the sandbox's cluster has no kind {name} of that apiVersion"))
}

#[track_caller]
#[expect(clippy::panic, reason = "a test whose arrangement is rejected has to stop there")]
fn accepted<T>(result: Result<T, Rejection>) -> T {
    result
        .unwrap_or_else(|rejection| panic!("the sandbox's cluster rejects: {}", rejection.message))
}
