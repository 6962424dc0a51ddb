//! Watching a namespace for changes, by metadata alone.

use futures::stream::select_all;
use futures::{Stream, StreamExt};
use kube::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt, watcher};

use super::client::Cluster;
use super::kinds::{IMAGE_STREAMS, SECRETS, SERVICE_ACCOUNTS};
use super::reduce::DOCKERCONFIGJSON;

impl Cluster {
    /// Yields once per change of a service account, an image stream or a secret with logins in a namespace, and once
    /// per kind whenever its watch starts or starts over, since a change may have been missed before. A kind that may
    /// not be watched, or that the cluster does not have, stays silent.
    pub fn watch(&self, namespace: &str) -> impl Stream<Item = ()> + use<> {
        let logins = Config::default().fields(&format!("type={DOCKERCONFIGJSON}"));
        let watched = [(&SERVICE_ACCOUNTS, Config::default()), (&IMAGE_STREAMS, Config::default()), (&SECRETS, logins)];
        let streams = watched.map(|(kind, config)| {
            let api: Api<PartialObjectMeta> = Api::namespaced_with(self.watch_client(), namespace, &kind.resource());
            watcher(api, config)
                .default_backoff()
                .filter_map(async |event| match event {
                    Ok(Event::Apply(_) | Event::Delete(_) | Event::InitDone) => Some(()),
                    Ok(Event::Init | Event::InitApply(_)) | Err(_) => None,
                })
                .boxed()
        });
        select_all(streams)
    }
}
