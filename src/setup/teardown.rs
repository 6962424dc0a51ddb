//! The way back: what each step would take back, in an order in which nothing hangs.
//!
//! Only what carries our label is taken back, and the QuayIntegration, which is the integration. Nothing in Quay is
//! touched: organizations, images and the OAuth application stay.

use serde_json::{Value, json};

use super::steps::{operator, trust};
use super::{Change, ObjectChange, Plan, Setup, Step, Write};
use crate::bridge::finding::Level;
use crate::bridge::names::OPERATOR_FINALIZER;
use crate::bridge::snapshot::Read;
use crate::cluster::{OPERATOR_NAMESPACE, ObjectKind, PACKAGE, QUAY_INTEGRATION_CRD_NAME, TRUST_NAMESPACE};

/// The steps that leave something behind. The namespaces' finalizers go first, and the QuayIntegration right after them:
/// without one the operator neither comes back to a namespace nor takes its own finalizer off (QBO
/// `controllers/namespace_controller.go:106-156`), so a namespace that is deleted then would hang for ever.
pub const ORDER: [Step; 4] = [Step::Integration, Step::NodeTrust, Step::Secret, Step::Operator];

/// What a step would take back.
pub fn plan(setup: &Setup, step: Step) -> Plan {
    let mut plan = Plan::default();
    let done = match step {
        Step::Integration => integration(setup, &mut plan),
        Step::NodeTrust => node_trust(setup, &mut plan),
        Step::Secret => secret(setup, &mut plan),
        Step::Operator => uninstall(setup, &mut plan),
        Step::Cluster | Step::Quay | Step::Token => Ok(()),
    };
    match done {
        Ok(()) => plan,
        Err(obstacle) => match obstacle {
            Stop::Unread(reason) => plan.blocked(reason),
            Stop::Stays(why) => plan.skipped(why),
        },
    }
}

/// Why a step takes nothing back.
enum Stop {
    /// It could not be read.
    Unread(String),
    /// It is not ours.
    Stays(String),
}

fn read<T>(part: &Read<T>) -> Result<&T, Stop> {
    part.as_ref().map_err(|unread| Stop::Unread(format!("could not {}: {}", unread.call, unread.reason)))
}

fn delete(kind: ObjectKind, namespace: Option<&str>, name: &str, version: Option<&str>, summary: String) -> Change {
    Change::Object(ObjectChange {
        kind,
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
        write: Write::Delete(version.map(str::to_owned)),
        summary,
    })
}

fn integration(setup: &Setup, plan: &mut Plan) -> Result<(), Stop> {
    let namespaces = read(&setup.found.namespaces)?;
    let held = namespaces.iter().filter(|(_, namespace)| namespace.finalizers.iter().any(|name| name == OPERATOR_FINALIZER));
    plan.changes.extend(held.map(|(name, _)| Change::ReleaseNamespace(name.clone())));
    for resource in read(&setup.found.integrations)? {
        let summary = format!("delete QuayIntegration {}; organizations and images stay in Quay", resource.name);
        plan.changes.push(delete(ObjectKind::QuayIntegration, None, &resource.name, Some(&resource.resource_version), summary));
    }
    if plan.changes.is_empty() {
        plan.fact(Level::Ok, "there is no QuayIntegration, and no namespace waits for the operator");
    } else {
        let text = "the secrets and service accounts of linked namespaces stay, so pods go on pulling; oc quay unlink -A, run before \
                    this, takes them back";
        plan.fact(Level::Info, text);
    }
    Ok(())
}

fn node_trust(setup: &Setup, plan: &mut Plan) -> Result<(), Stop> {
    let trust = read(&setup.found.trust)?;
    let Some(config_map) = trust.config_map.as_ref().filter(|config_map| config_map.ours) else {
        return Err(Stop::Stays("nothing of it was made by oc quay".into()));
    };
    let Some(url) = setup.url() else {
        return Err(Stop::Stays(format!("ConfigMap {} stays: nobody says which Quay it is about", config_map.name)));
    };
    let key = trust::key(&url.host());
    if config_map.data.len() > 1 {
        let patch =
            json!({ "metadata": { "resourceVersion": config_map.resource_version }, "data": { key.clone(): Value::Null } });
        if config_map.data.contains_key(&key) {
            plan.changes.push(Change::Object(ObjectChange {
                kind: ObjectKind::ConfigMap,
                namespace: Some(TRUST_NAMESPACE.into()),
                name: config_map.name.clone(),
                write: Write::Merge(patch),
                summary: format!("take Quay's certificate authority out of ConfigMap {} in {TRUST_NAMESPACE}", config_map.name),
            }));
        }
    } else {
        if let Some(image_config) = &trust.image_config {
            let patch = json!({
                "metadata": { "resourceVersion": image_config.resource_version },
                "spec": { "additionalTrustedCA": Value::Null },
            });
            plan.changes.push(Change::Object(ObjectChange {
                kind: ObjectKind::ImageConfig,
                namespace: None,
                name: trust::IMAGE_CONFIG.into(),
                write: Write::Merge(patch),
                summary: format!("have the cluster's image configuration trust ConfigMap {} no more", config_map.name),
            }));
        }
        let summary = format!("delete ConfigMap {} in {TRUST_NAMESPACE}", config_map.name);
        let version = Some(config_map.resource_version.as_str());
        plan.changes.push(delete(ObjectKind::ConfigMap, Some(TRUST_NAMESPACE), &config_map.name, version, summary));
    }
    if !plan.changes.is_empty() {
        plan.fact(Level::Warning, "nodes are updated one after the other, and can then pull from this Quay no more");
    }
    Ok(())
}

fn secret(setup: &Setup, plan: &mut Plan) -> Result<(), Stop> {
    let credentials = read(&setup.found.credentials)?;
    let key = setup.secret();
    let Some(version) = &credentials.resource_version else {
        plan.fact(Level::Ok, format!("there is no secret {} in namespace {}", key.name, key.namespace));
        return Ok(());
    };
    if !credentials.ours {
        return Err(Stop::Stays(format!("secret {} in namespace {} was not made by oc quay", key.name, key.namespace)));
    }
    let summary = format!("delete secret {} in namespace {}, with the token", key.name, key.namespace);
    plan.changes.push(delete(ObjectKind::Secret, Some(&key.namespace), &key.name, Some(version), summary));
    plan.fact(Level::Info, "the token itself lives on in Quay; deleting its OAuth application there ends it");
    Ok(())
}

fn uninstall(setup: &Setup, plan: &mut Plan) -> Result<(), Stop> {
    let operator = read(&setup.found.operator)?;
    if let Some(subscription) = operator.subscription.as_ref().filter(|subscription| subscription.ours) {
        let namespace = Some(subscription.namespace.as_str());
        let version = Some(subscription.resource_version.as_str());
        let summary = format!("delete Subscription {}, so that the operator is not updated any more", subscription.name);
        plan.changes.push(delete(ObjectKind::Subscription, namespace, &subscription.name, version, summary));
        if let Some(csv) = &operator.csv {
            let summary = format!("delete ClusterServiceVersion {}, and with it the operator and its webhook", csv.name);
            plan.changes.push(delete(ObjectKind::ClusterServiceVersion, Some(&csv.namespace), &csv.name, None, summary));
        }
    } else if let Some(extension) = operator.extension.as_ref().filter(|extension| extension.ours) {
        let version = Some(extension.resource_version.as_str());
        let summary = format!("delete ClusterExtension {}, and with it the operator and its webhook", extension.name);
        plan.changes.push(delete(ObjectKind::ClusterExtension, None, PACKAGE, version, summary));
        let installer = operator::INSTALLER;
        let summary = "take the role cluster-admin from the service account that installed the operator".to_owned();
        plan.changes.push(delete(ObjectKind::ClusterRoleBinding, None, installer, None, summary));
        let summary = "delete the service account that installed the operator".to_owned();
        plan.changes.push(delete(ObjectKind::ServiceAccount, Some(OPERATOR_NAMESPACE), installer, None, summary));
    } else if operator.is_installed() {
        return Err(Stop::Stays("the operator was not installed by oc quay".into()));
    }
    if let Some(crd) = operator.crd.as_ref().filter(|crd| crd.ours && !operator.is_installed()) {
        let summary = "remove the QuayIntegration resource (CustomResourceDefinition)".to_owned();
        let version = Some(crd.resource_version.as_str());
        plan.changes.push(delete(ObjectKind::CustomResourceDefinition, None, QUAY_INTEGRATION_CRD_NAME, version, summary));
    }
    if plan.changes.is_empty() {
        plan.fact(Level::Ok, "the operator is not installed");
    }
    Ok(())
}
