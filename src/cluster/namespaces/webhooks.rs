//! MutatingWebhookConfigurations that rewrite builds.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use kube::api::ListParams;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use crate::cluster::access::client::Cluster;
use crate::cluster::olm::operator::{Deployment, OPERATOR_DEPLOYMENTS};
use crate::cluster::resources::{MUTATING_WEBHOOKS, Meta};
use crate::domain::names::{CONTROLLER_NAME, CONTROLLER_WEBHOOK, OPERATOR_WEBHOOK};
use crate::domain::snapshot::{BuildWebhook, BuildWebhookOwner, IdleDeployment, Observed};

const SERVICE: &str = "service ";

const BUILD_GROUP: &str = "build.openshift.io";

#[derive(Deserialize)]
struct Configuration {
    metadata: Meta,
    webhooks: Option<Vec<Webhook>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    name: String,
    #[serde(default)]
    client_config: ClientConfig,
    #[serde(default)]
    rules: Vec<Rule>,
    /// The API server sets the default, `Fail`.
    #[serde(default)]
    failure_policy: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClientConfig {
    url: Option<String>,
    service: Option<Service>,
    /// In base64.
    ca_bundle: String,
}

#[derive(Deserialize)]
struct Service {
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    operations: Vec<String>,
}

impl Cluster {
    /// The webhooks of the operator and our controller.
    pub async fn build_webhooks(&self) -> Observed<Vec<BuildWebhook>> {
        let add = |found: &mut Vec<_>, configuration: Configuration| {
            let name = &configuration.metadata.name;
            found.extend(
                configuration
                    .webhooks
                    .into_iter()
                    .flatten()
                    .filter_map(|webhook| webhook.into_build_webhook(name)),
            );
        };
        let mut found: Vec<BuildWebhook> =
            self.fold_list(&MUTATING_WEBHOOKS, None, ListParams::default(), add).await?;
        let idle = join_all(found.iter().map(|webhook| self.idle_deployment(webhook))).await;
        for (webhook, idle) in found.iter_mut().zip(idle) {
            webhook.idle_deployment = idle;
        }
        Ok(found)
    }

    /// If none of its pods is available. None if not readable.
    async fn idle_deployment(&self, webhook: &BuildWebhook) -> Option<IdleDeployment> {
        let (namespace, _) = webhook.address.strip_prefix(SERVICE)?.split_once('/')?;
        let names: &[&str] = match webhook.rewriter {
            BuildWebhookOwner::Operator => &OPERATOR_DEPLOYMENTS,
            BuildWebhookOwner::Controller => &[CONTROLLER_NAME],
        };
        let found = self.deployments_in(namespace).await.ok()?;
        let deployment =
            found.into_iter().find(|deployment| names.contains(&deployment.name.as_str()))?;
        let Deployment { namespace, name, wanted, available, .. } = deployment;
        (available == 0).then_some(IdleDeployment { namespace, name, wanted })
    }
}

impl Webhook {
    /// None for other webhooks.
    fn into_build_webhook(self, configuration: &str) -> Option<BuildWebhook> {
        let rewriter = match self.name.as_str() {
            OPERATOR_WEBHOOK => BuildWebhookOwner::Operator,
            CONTROLLER_WEBHOOK => BuildWebhookOwner::Controller,
            _ => return None,
        };
        let is_called_to =
            |operation: &str| self.rules.iter().any(|rule| rule.matches_operation(operation));
        is_called_to("CREATE").then(|| BuildWebhook {
            configuration: configuration.to_owned(),
            rewriter,
            fails_closed: self.failure_policy != "Ignore",
            on_update: is_called_to("UPDATE"),
            untrusted: self.client_config.tls_error(),
            address: self.client_config.address(),
            idle_deployment: None,
        })
    }
}

impl Rule {
    fn matches_operation(&self, operation: &str) -> bool {
        let names =
            |list: &[String], name: &str| list.iter().any(|entry| entry == name || entry == "*");
        names(&self.api_groups, BUILD_GROUP)
            && names(&self.resources, "builds")
            && names(&self.operations, operation)
    }
}

impl ClientConfig {
    fn address(&self) -> String {
        match (&self.service, &self.url) {
            (Some(service), _) => format!("{SERVICE}{}/{}", service.namespace, service.name),
            (None, Some(url)) => url.clone(),
            (None, None) => "nowhere".into(),
        }
    }

    /// A cluster Service needs a `caBundle`, as no public authority signs its certificate. Only the
    /// API server verifies that it is the right one.
    fn tls_error(&self) -> Option<&'static str> {
        if self.ca_bundle.is_empty() {
            return self.service.is_some().then_some("it has no caBundle");
        }
        let bundle = STANDARD.decode(&self.ca_bundle).unwrap_or_default();
        let mut certificates = CertificateDer::pem_slice_iter(&bundle);
        let is_usable = certificates.next().is_some_and(|first| first.is_ok())
            && certificates.all(|more| more.is_ok());
        (!is_usable).then_some("its caBundle contains no valid certificate")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn webhook(change: impl FnOnce(&mut Value)) -> Option<BuildWebhook> {
        let mut webhook = json!({
            "name": OPERATOR_WEBHOOK,
            "clientConfig": {
                "service": { "namespace": "openshift-operators", "name": "quay-bridge-operator-service", "port": 443 },
                "caBundle": STANDARD.encode("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
            },
            "failurePolicy": "Fail",
            "rules": [{
                "apiGroups": ["build.openshift.io"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["builds"],
            }],
        });
        change(&mut webhook);
        serde_json::from_value::<Webhook>(webhook).unwrap().into_build_webhook("quayintegration-x1")
    }

    #[test]
    fn operator_webhook_fails_closed_and_sees_updates() {
        let found = webhook(|_| ()).unwrap();
        let expected = BuildWebhook {
            configuration: "quayintegration-x1".into(),
            rewriter: BuildWebhookOwner::Operator,
            fails_closed: true,
            on_update: true,
            address: "service openshift-operators/quay-bridge-operator-service".into(),
            untrusted: None,
            idle_deployment: None,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn recognizes_only_known_webhook_names() {
        let ours = webhook(|webhook| {
            webhook["name"] = json!(CONTROLLER_WEBHOOK);
            webhook["failurePolicy"] = json!("Ignore");
            webhook["rules"][0]["operations"] = json!(["CREATE"]);
        });
        let ours = ours.unwrap();
        assert_eq!(
            (ours.rewriter, ours.fails_closed, ours.on_update),
            (BuildWebhookOwner::Controller, false, false)
        );
        assert_eq!(webhook(|webhook| webhook["name"] = json!("builds.example.com")), None);
        assert_eq!(
            webhook(|webhook| webhook["rules"][0]["resources"] = json!(["buildconfigs"])),
            None
        );
        assert_eq!(webhook(|webhook| webhook["rules"][0]["operations"] = json!(["UPDATE"])), None);
        assert!(
            webhook(|webhook| webhook["rules"][0]["operations"] = json!(["*"])).unwrap().on_update
        );
    }

    #[test]
    fn service_requires_ca_bundle() {
        let tls_error = |bundle: &str| {
            webhook(|webhook| webhook["clientConfig"]["caBundle"] = json!(bundle))
                .unwrap()
                .untrusted
        };
        assert_eq!(tls_error(""), Some("it has no caBundle"));
        assert_eq!(tls_error("bm90aGluZw=="), Some("its caBundle contains no valid certificate"));
        let public = webhook(|webhook| {
            webhook["clientConfig"] = json!({ "url": "https://hook.example.com/builds" })
        })
        .unwrap();
        assert_eq!(
            (public.address.as_str(), public.untrusted),
            ("https://hook.example.com/builds", None)
        );
    }
}
