//! What the reconciler and the webhook share: what is known, and which namespace is next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::queue::Queue;
use super::store::Stores;
use super::webhook::WebhookView;
use crate::cluster::not_wanted;
use crate::domain::integration::Integration;
use crate::domain::scope::Scope;
use crate::domain::snapshot::{NamespaceSnapshot, ReadError, ReadErrorKind};
use crate::domain::{Role, desired};

/// What is known, and which namespace is next. Clones are the same.
#[derive(Clone)]
pub struct ControllerState(Arc<Inner>);

struct Inner {
    cache: Mutex<Stores>,
    queue: Queue,
    integration: Mutex<Option<Arc<Integration>>>,
}

impl ControllerState {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            cache: Mutex::new(Stores::new()),
            queue: Queue::default(),
            integration: Mutex::default(),
        }))
    }

    pub(super) fn set_integration(&self, integration: Option<Integration>) {
        *self.0.integration.lock().unwrap_or_else(PoisonError::into_inner) =
            integration.map(Arc::new);
    }

    /// Whether everything in the cluster was read once.
    pub fn is_synced(&self) -> bool {
        self.cache().is_complete()
    }

    /// Namespaces that are to be worked on now or are being worked on, and those that wait for another try.
    pub fn queue_depth(&self) -> (usize, usize) {
        self.queue().len()
    }

    /// The cluster's side of a namespace. Quay's was not looked into.
    pub(super) fn snapshot(&self, namespace: &str) -> NamespaceSnapshot {
        let cache = self.cache();
        NamespaceSnapshot {
            name: namespace.to_owned(),
            namespace: cache.namespaces.of(namespace).map(|mut found| found.pop()),
            service_accounts: cache.service_accounts.of(namespace),
            secrets: cache.secrets.of(namespace),
            image_streams: cache.image_streams.of(namespace),
            build_configs: cache.build_configs.of(namespace),
            builds: Err(not_wanted()),
            webhooks: Err(not_wanted()),
            trial: None,
            pods: Err(not_wanted()),
            organization: Err(ReadError {
                call: "ask Quay".into(),
                reason: "it was not asked".into(),
                kind: ReadErrorKind::Skipped,
            }),
            probes: vec![],
        }
    }

    pub(super) fn cache(&self) -> MutexGuard<'_, Stores> {
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.0.queue
    }
}

impl WebhookView for ControllerState {
    /// None while there is none, or several, or one that cannot be worked with.
    fn integration(&self) -> Option<Arc<Integration>> {
        self.0.integration.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn scope(&self, namespace: &str) -> Option<Scope> {
        let integration = self.integration()?;
        let object = self.cache().namespaces.of(namespace).ok()?.pop()?;
        Some(Scope::of(namespace, object.linked_on_request, integration.resource.as_ref()))
    }

    /// It may once it refers to the secret with its login, and the secret is there.
    fn can_push(&self, namespace: &str, service_account: &str) -> bool {
        let Some(integration) = self.integration() else { return false };
        let secret = integration.cluster_id.value.secret(service_account);
        let cache = self.cache();
        let accounts = cache.service_accounts.of(namespace).unwrap_or_default();
        let account = accounts.iter().find(|account| account.name == service_account);
        account.is_some_and(|account| {
            desired::role(account) >= Some(Role::Write) && account.mountable.contains(&secret)
        }) && cache
            .secrets
            .of(namespace)
            .is_ok_and(|secrets| secrets.iter().any(|found| found.name == secret))
    }
}
