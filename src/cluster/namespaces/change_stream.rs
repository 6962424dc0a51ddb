//! Change notifications for a namespace, by metadata only.

use futures::stream::{BoxStream, select_all};
use futures::{Stream, StreamExt};
use kube::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt, watcher};

use crate::cluster::access::client::Cluster;
use crate::cluster::olm::operator::OPERATOR_DEPLOYMENTS;
use crate::cluster::resources::convert::DOCKERCONFIGJSON;
use crate::cluster::resources::{DEPLOYMENTS, IMAGE_STREAMS, SECRETS, SERVICE_ACCOUNTS};

impl Cluster {
    /// Yields once per change of a service account, image stream or registry secret in a namespace,
    /// and once per kind when its watch starts or restarts, as changes may have been missed. A kind
    /// that is forbidden or not served yields nothing.
    pub fn watch(&self, namespace: &str) -> impl Stream<Item = ()> + use<> {
        let registry_secrets = Config::default().fields(&format!("type={DOCKERCONFIGJSON}"));
        let watched = [
            (&SERVICE_ACCOUNTS, Config::default()),
            (&IMAGE_STREAMS, Config::default()),
            (&SECRETS, registry_secrets),
        ];
        let streams = watched.map(|(kind, config)| {
            let api = Api::namespaced_with(self.watch_client(), namespace, &kind.resource());
            changes(api, config)
        });
        select_all(streams)
    }

    /// Yields when the operator's Deployment has changed or might have changed.
    pub fn watch_operator(&self) -> impl Stream<Item = ()> + use<> {
        let streams = OPERATOR_DEPLOYMENTS.map(|name| {
            let api = Api::all_with(self.watch_client(), &DEPLOYMENTS.resource());
            changes(api, Config::default().fields(&format!("metadata.name={name}")))
        });
        select_all(streams)
    }
}

fn changes(api: Api<PartialObjectMeta>, config: Config) -> BoxStream<'static, ()> {
    let changes = watcher(api, config).default_backoff().filter_map(async |event| match event {
        Ok(Event::Apply(_) | Event::Delete(_) | Event::InitDone) => Some(()),
        Ok(Event::Init | Event::InitApply(_)) | Err(_) => None,
    });
    changes.boxed()
}
