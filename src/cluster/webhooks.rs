//! The webhooks that the API server calls for builds, and that rewrite them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use kube::api::ListParams;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use super::client::Cluster;
use super::operator::{Deployment, OPERATOR_DEPLOYMENTS};
use super::resources::{MUTATING_WEBHOOKS, Meta};
use crate::domain::names::{CONTROLLER_NAME, CONTROLLER_WEBHOOK, OPERATOR_WEBHOOK};
use crate::domain::snapshot::{BuildWebhook, BuildWebhookOwner, IdleDeployment, Observed};

/// What stands in front of a service that a webhook calls.
const SERVICE: &str = "service ";

/// The API group of builds.
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
    /// The API server writes it down where it was left to its default, `Fail`.
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
    /// The webhooks that rewrite builds: the operator's and our bridge's, where they are registered.
    pub async fn build_webhooks(&self) -> Observed<Vec<BuildWebhook>> {
        let add = |found: &mut Vec<_>, configuration: Configuration| {
            let name = &configuration.metadata.name;
            found.extend(
                configuration
                    .webhooks
                    .into_iter()
                    .flatten()
                    .filter_map(|webhook| webhook.reduce(name)),
            );
        };
        let mut found: Vec<BuildWebhook> =
            self.each(&MUTATING_WEBHOOKS, None, ListParams::default(), add).await?;
        let idle = join_all(found.iter().map(|webhook| self.idle_deployment(webhook))).await;
        for (webhook, idle) in found.iter_mut().zip(idle) {
            webhook.idle_deployment = idle;
        }
        Ok(found)
    }

    /// The Deployment behind a webhook, if none of its pods is available. None where it cannot be read.
    async fn idle_deployment(&self, webhook: &BuildWebhook) -> Option<IdleDeployment> {
        let (namespace, _) = webhook.address.strip_prefix(SERVICE)?.split_once('/')?;
        let names: &[&str] = match webhook.rewriter {
            BuildWebhookOwner::Operator => &OPERATOR_DEPLOYMENTS,
            BuildWebhookOwner::Bridge => &[CONTROLLER_NAME],
        };
        let found = self.deployments_in(namespace).await.ok()?;
        let deployment =
            found.into_iter().find(|deployment| names.contains(&deployment.name.as_str()))?;
        let Deployment { namespace, name, wanted, available, .. } = deployment;
        (available == 0).then_some(IdleDeployment { namespace, name, wanted })
    }
}

impl Webhook {
    /// What is told of it; nothing if it is not one that rewrites builds.
    fn reduce(self, configuration: &str) -> Option<BuildWebhook> {
        let rewriter = match self.name.as_str() {
            OPERATOR_WEBHOOK => BuildWebhookOwner::Operator,
            CONTROLLER_WEBHOOK => BuildWebhookOwner::Bridge,
            _ => return None,
        };
        let is_called_to = |operation: &str| self.rules.iter().any(|rule| rule.covers(operation));
        is_called_to("CREATE").then(|| BuildWebhook {
            configuration: configuration.to_owned(),
            rewriter,
            fails_closed: self.failure_policy != "Ignore",
            on_update: is_called_to("UPDATE"),
            untrusted: self.client_config.distrust(),
            address: self.client_config.address(),
            idle_deployment: None,
        })
    }
}

impl Rule {
    fn covers(&self, operation: &str) -> bool {
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

    /// No public authority signs for a service of the cluster, so it needs the one that did. Whether it is the right one, only
    /// the API server finds out.
    fn distrust(&self) -> Option<&'static str> {
        if self.ca_bundle.is_empty() {
            return self.service.is_some().then_some("it has no caBundle");
        }
        let bundle = STANDARD.decode(&self.ca_bundle).unwrap_or_default();
        let mut certificates = CertificateDer::pem_slice_iter(&bundle);
        let is_usable = certificates.next().is_some_and(|first| first.is_ok())
            && certificates.all(|more| more.is_ok());
        (!is_usable).then_some("there is no certificate in its caBundle")
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
        serde_json::from_value::<Webhook>(webhook).unwrap().reduce("quayintegration-x1")
    }

    #[test]
    fn the_operators_webhook_refuses_what_it_cannot_see_and_meddles_with_changes() {
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
    fn ours_is_known_by_its_name_and_others_are_none_of_them() {
        let ours = webhook(|webhook| {
            webhook["name"] = json!(CONTROLLER_WEBHOOK);
            webhook["failurePolicy"] = json!("Ignore");
            webhook["rules"][0]["operations"] = json!(["CREATE"]);
        });
        let ours = ours.unwrap();
        assert_eq!(
            (ours.rewriter, ours.fails_closed, ours.on_update),
            (BuildWebhookOwner::Bridge, false, false)
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
    fn a_service_needs_an_authority() {
        let distrust = |bundle: &str| {
            webhook(|webhook| webhook["clientConfig"]["caBundle"] = json!(bundle))
                .unwrap()
                .untrusted
        };
        assert_eq!(distrust(""), Some("it has no caBundle"));
        assert_eq!(distrust("bm90aGluZw=="), Some("there is no certificate in its caBundle"));
        let public = webhook(|webhook| {
            webhook["clientConfig"] = json!({ "url": "https://bridge.example.com/builds" })
        })
        .unwrap();
        assert_eq!(
            (public.address.as_str(), public.untrusted),
            ("https://bridge.example.com/builds", None)
        );
    }
}
