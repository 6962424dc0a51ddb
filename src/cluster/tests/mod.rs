//! Tests against the sandbox's API server over TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// Expects Unix paths.
#[cfg(unix)]
mod clientcmd;
mod connection;
mod credentials;
mod objects;
mod operator;
mod platform;
mod reading;
mod service_accounts;
mod watching;
mod writing;

use std::time::Duration;

use sandbox::openshift::OpenShift;
use sandbox::{Options as SandboxOptions, Sandbox, manifests};
use serde_json::Value;

use crate::cluster::{BuildsMode, Cluster, Options, SecretsMode};
use crate::domain::snapshot::{Namespace, NamespaceSnapshot};

/// A sandbox with the namespace `myproj`, and a runtime.
struct Stage {
    sandbox: Sandbox,
    runtime: tokio::runtime::Runtime,
}

impl Stage {
    fn new() -> Self {
        Self::with_cluster(sandbox::openshift::Cluster::default())
    }

    fn with_cluster(mut cluster: sandbox::openshift::Cluster) -> Self {
        cluster.settle = Duration::ZERO;
        let internal_registry = cluster.internal_registry;
        let optional = ["build.openshift.io", "apps.openshift.io"];
        let accounts =
            3 - cluster.without.iter().filter(|group| optional.contains(&group.as_str())).count();
        let sandbox =
            Sandbox::start(SandboxOptions { cluster, ..SandboxOptions::default() }).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stage = Self { sandbox, runtime };
        stage.openshift().create(manifests::namespace("myproj"));
        stage.eventually(|openshift| openshift.list("ServiceAccount", "myproj").len() == accounts);
        stage.eventually(|openshift| {
            !internal_registry
                || !openshift.get("ServiceAccount", "myproj", "default").unwrap()["secrets"]
                    .is_null()
        });
        stage
    }

    fn openshift(&self) -> &OpenShift {
        &self.sandbox.openshift
    }

    fn eventually(&self, holds: impl Fn(&OpenShift) -> bool) {
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while !holds(self.openshift()) {
            assert!(std::time::Instant::now() < deadline, "the sandbox does not settle");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn options(&self, context: &str) -> Options {
        Options {
            kubeconfig: Some(self.sandbox.kubeconfig()),
            context: Some(context.into()),
            cluster: None,
            user: None,
            impersonate: None,
            impersonate_groups: vec![],
            impersonate_uid: None,
            timeout: Duration::from_secs(30),
            concurrency: 8,
        }
    }

    /// Clears the log of requests.
    fn cluster(&self, user: &str) -> Cluster {
        let cluster = self.run(Cluster::connect(&self.options(user))).unwrap();
        self.openshift().traffic().clear();
        cluster
    }

    fn namespace_resources(
        &self,
        cluster: &Cluster,
        name: &str,
        known: Option<Namespace>,
        secret_of: fn(&str) -> String,
        secrets: SecretsMode,
    ) -> NamespaceSnapshot {
        self.run(async {
            let resources =
                cluster.namespace_resources(name, known, secrets, BuildsMode::Leave).await;
            cluster.complete_secrets(resources, secret_of).await
        })
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Sorted kinds of the requests in the log.
    fn requests(&self) -> Vec<String> {
        let mut kinds: Vec<_> =
            self.openshift().traffic().entries().into_iter().map(|entry| entry.kind).collect();
        kinds.sort();
        kinds
    }

    fn modify(
        openshift: &OpenShift,
        kind: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) {
        let mut object = openshift.get(kind, namespace, name).unwrap();
        change(&mut object);
        openshift.put(object);
    }
}

fn secret_of(service_account: &str) -> String {
    format!("{service_account}-quay-openshift")
}
