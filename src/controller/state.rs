//! State shared by the reconciler and the webhook.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::queue::Queue;
use super::store::Stores;
use super::webhook::WebhookView;
use crate::domain::integration::Integration;
use crate::domain::scope::Scope;
use crate::domain::snapshot::NamespaceSnapshot;
use crate::domain::{Role, desired};

/// A handle; clones share one state.
#[derive(Clone)]
pub struct ControllerState(Arc<Inner>);

struct Inner {
    stores: Mutex<Stores>,
    queue: Queue,
    integration: Mutex<Option<Arc<Integration>>>,
}

impl ControllerState {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            stores: Mutex::new(Stores::new()),
            queue: Queue::default(),
            integration: Mutex::default(),
        }))
    }

    pub(super) fn set_integration(&self, integration: Option<Integration>) {
        *self.0.integration.lock() = integration.map(Arc::new);
    }

    /// Every resource was listed once, or is known not to be readable.
    pub fn is_synced(&self) -> bool {
        self.stores().is_synced()
    }

    /// Namespaces that are queued or being reconciled, and those that wait for a retry.
    pub fn queue_depth(&self) -> (usize, usize) {
        self.queue().len()
    }

    /// A namespace's cluster side; nothing of Quay.
    pub(super) fn snapshot(&self, namespace: &str) -> NamespaceSnapshot {
        let stores = self.stores();
        NamespaceSnapshot {
            namespace: stores.namespaces.in_namespace(namespace).map(|mut found| found.pop()),
            service_accounts: stores.service_accounts.in_namespace(namespace),
            secrets: stores.secrets.in_namespace(namespace),
            image_streams: stores.image_streams.in_namespace(namespace),
            build_configs: stores.build_configs.in_namespace(namespace),
            ..NamespaceSnapshot::new(namespace)
        }
    }

    pub(super) fn stores(&self) -> MutexGuard<'_, Stores> {
        self.0.stores.lock()
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.0.queue
    }
}

impl WebhookView for ControllerState {
    /// `None` without exactly one usable QuayIntegration.
    fn integration(&self) -> Option<Arc<Integration>> {
        self.0.integration.lock().clone()
    }

    fn scope(&self, namespace: &str) -> Option<Scope> {
        let integration = self.integration()?;
        let object = self.stores().namespaces.in_namespace(namespace).ok()?.pop()?;
        Some(Scope::of(namespace, object.linked_on_request, integration.resource.as_ref()))
    }

    /// True once the service account references its secret and the secret exists.
    fn has_push_secret(&self, namespace: &str, service_account: &str) -> bool {
        let Some(integration) = self.integration() else { return false };
        let secret = integration.cluster_id.value.secret(service_account);
        let stores = self.stores();
        let accounts = stores.service_accounts.in_namespace(namespace).unwrap_or_default();
        let account = accounts.iter().find(|account| account.name == service_account);
        account.is_some_and(|account| {
            desired::role(account) >= Some(Role::Write) && account.mountable.contains(&secret)
        }) && stores
            .secrets
            .in_namespace(namespace)
            .is_ok_and(|secrets| secrets.iter().any(|found| found.name == secret))
    }
}
