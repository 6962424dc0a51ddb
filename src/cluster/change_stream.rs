//! Watching a namespace for changes, by metadata alone.

use futures::stream::{BoxStream, select_all};
use futures::{Stream, StreamExt};
use kube::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt, watcher};

use super::client::Cluster;
use super::convert::DOCKERCONFIGJSON;
use super::operator::OPERATOR_DEPLOYMENTS;
use super::resources::{DEPLOYMENTS, IMAGE_STREAMS, SECRETS, SERVICE_ACCOUNTS};

impl Cluster {
    /// Yields once per change of a service account, an image stream or a secret with logins in a namespace, and once
    /// per kind whenever its watch starts or starts over, since a change may have been missed before. A kind that may
    /// not be watched, or that the cluster does not have, stays silent.
    pub fn watch(&self, namespace: &str) -> impl Stream<Item = ()> + use<> {
        let logins = Config::default().fields(&format!("type={DOCKERCONFIGJSON}"));
        let watched = [
            (&SERVICE_ACCOUNTS, Config::default()),
            (&IMAGE_STREAMS, Config::default()),
            (&SECRETS, logins),
        ];
        let streams = watched.map(|(kind, config)| {
            let api = Api::namespaced_with(self.watch_client(), namespace, &kind.resource());
            changes(api, config)
        });
        select_all(streams)
    }

    /// Yields whenever the operator's Deployment changes, or may have.
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
