//! Teardown: the removal that each step plans.
//!
//! Only objects with our label and the QuayIntegration are removed. Nothing in Quay changes:
//! organizations, images and the OAuth application are kept.

use serde_json::{Value, json};

use super::steps::{node_trust, user_role};
use super::{
    FinalizerOwner, ObjectChange, ObjectWrite, SetupChange, SetupSession, SetupStep, StepPlan,
};
use crate::cluster::{
    ConfigMap, INSTALLER, ImageConfig, OPERATOR_NAMESPACE, ObjectKind, PACKAGE,
    QUAY_INTEGRATION_CRD_NAME, TRUST_NAMESPACE,
};
use crate::domain::finding::Severity;
use crate::domain::names::{MANAGED_BY, MANAGED_BY_LABEL};
use crate::domain::snapshot::Observed;

/// The steps in their order. Finalizers are removed first: without a QuayIntegration or its Secret
/// the operator removes its finalizer from no namespace (QBO
/// `controllers/namespace_controller.go:106-156`), so a deleted namespace would be stuck in
/// Terminating. The QuayIntegration is deleted after everything that is found through it, so that
/// an interrupted run can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeardownStep {
    /// The in-cluster controller, which would restore removed objects.
    Controller,
    /// Finalizers of the operator and of the controller.
    Finalizers,
    NodeTrust,
    Secret,
    Integration,
    UserRole,
    Operator,
}

impl TeardownStep {
    pub const ALL: [TeardownStep; 7] = [
        TeardownStep::Controller,
        TeardownStep::Finalizers,
        TeardownStep::NodeTrust,
        TeardownStep::Secret,
        TeardownStep::Integration,
        TeardownStep::UserRole,
        TeardownStep::Operator,
    ];

    /// Name in reports, and title.
    pub fn name_and_title(self) -> (&'static str, &'static str) {
        match self {
            TeardownStep::Controller => ("controller", "Controller"),
            TeardownStep::Finalizers => ("finalizers", "Namespaces"),
            _ => (self.setup_step().name(), self.setup_step().title()),
        }
    }

    /// The setup step that reads the same state.
    pub fn setup_step(self) -> SetupStep {
        match self {
            TeardownStep::Finalizers | TeardownStep::Integration => SetupStep::Integration,
            TeardownStep::NodeTrust => SetupStep::NodeTrust,
            TeardownStep::UserRole => SetupStep::UserRole,
            TeardownStep::Secret => SetupStep::Secret,
            TeardownStep::Controller | TeardownStep::Operator => SetupStep::Operator,
        }
    }
}

/// Plans the removal of a step.
pub fn plan(setup: &SetupSession, step: TeardownStep) -> StepPlan {
    let mut plan = StepPlan::default();
    let done = match step {
        TeardownStep::Controller => plan_controller(setup, &mut plan),
        TeardownStep::Finalizers => plan_finalizers(setup, &mut plan),
        TeardownStep::NodeTrust => plan_node_trust(setup, &mut plan),
        TeardownStep::Secret => plan_secret(setup, &mut plan),
        TeardownStep::Integration => plan_integration(setup, &mut plan),
        TeardownStep::UserRole => plan_user_role(setup, &mut plan),
        TeardownStep::Operator => plan_operator(setup, &mut plan),
    };
    match done {
        Ok(()) => plan,
        Err(SkippedStep::Unread(reason)) => plan.blocked(reason),
        Err(SkippedStep::Kept(why)) => plan.skipped(why),
    }
}

/// Reason why a step removes nothing.
enum SkippedStep {
    Unread(String),
    /// It is not ours.
    Kept(String),
}

fn require_read<T>(value: &Observed<T>) -> Result<&T, SkippedStep> {
    value.as_ref().map_err(|unread| SkippedStep::Unread(unread.to_string()))
}

fn delete_object(
    kind: ObjectKind,
    namespace: Option<&str>,
    name: &str,
    version: Option<&str>,
    summary: String,
) -> SetupChange {
    SetupChange::Object(ObjectChange {
        kind,
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
        write: ObjectWrite::Delete(version.map(str::to_owned)),
        summary,
    })
}

/// Deletes in reverse order: the webhook first, and last the binding through which the rest is
/// found.
fn plan_controller(setup: &SetupSession, plan: &mut StepPlan) -> Result<(), SkippedStep> {
    let found = require_read(&setup.found.controller)?;
    for (object, found) in found.objects.iter().rev() {
        let Some(found) =
            found.as_ref().filter(|found| found["metadata"]["deletionTimestamp"].is_null())
        else {
            continue;
        };
        if found["metadata"]["labels"][MANAGED_BY_LABEL] != MANAGED_BY {
            continue;
        }
        let within =
            object.namespace().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        let all =
            if object.kind == ObjectKind::Namespace { ", with all that is in it" } else { "" };
        let summary = format!("delete {} {}{within}{all}", object.kind.as_str(), object.name());
        plan.changes.push(delete_object(
            object.kind,
            object.namespace(),
            object.name(),
            None,
            summary,
        ));
    }
    if plan.changes.is_empty() {
        plan.note(Severity::Ok, "the in-cluster controller is not installed");
    }
    Ok(())
}

fn plan_finalizers(setup: &SetupSession, plan: &mut StepPlan) -> Result<(), SkippedStep> {
    let namespaces = require_read(&setup.found.namespaces)?;
    plan.changes
        .extend(FinalizerOwner::ALL.into_iter().flat_map(|owner| owner.releases(namespaces)));
    if plan.changes.is_empty() {
        plan.note(Severity::Ok, "no namespace has a finalizer of the operator or the controller");
    }
    Ok(())
}

/// Deletes the QuayIntegration, and then finalizers that the operator has added again.
fn plan_integration(setup: &SetupSession, plan: &mut StepPlan) -> Result<(), SkippedStep> {
    let resources = require_read(&setup.found.integrations)?;
    for resource in resources {
        let summary = format!(
            "delete QuayIntegration {}; organizations and images are kept in Quay",
            resource.name
        );
        plan.changes.push(delete_object(
            ObjectKind::QuayIntegration,
            None,
            &resource.name,
            Some(&resource.resource_version),
            summary,
        ));
    }
    if resources.is_empty() {
        plan_finalizers(setup, plan)?;
        plan.notes.clear();
        plan.note(Severity::Ok, "there is no QuayIntegration");
    } else {
        let text = "secrets and service accounts of linked namespaces are kept, so pods can still pull; to remove them, run \
                    oc quay unlink -A first";
        plan.note(Severity::Info, text);
    }
    Ok(())
}

fn plan_node_trust(setup: &SetupSession, plan: &mut StepPlan) -> Result<(), SkippedStep> {
    let trust = require_read(&setup.found.trust)?;
    let Some(config_map) = &trust.config_map else {
        return Err(SkippedStep::Kept("node trust not configured".into()));
    };
    let Some(url) = setup.url() else {
        return Err(SkippedStep::Kept(format!(
            "ConfigMap {} kept: cannot determine which Quay it belongs to",
            config_map.name
        )));
    };
    let key = node_trust::config_map_key(&url.host());
    if !config_map.data.contains_key(&key) && !config_map.data.is_empty() {
        return Err(SkippedStep::Kept(format!(
            "ConfigMap {} has no certificate for this Quay",
            config_map.name
        )));
    }
    if !config_map.ours {
        return Err(SkippedStep::Kept(format!(
            "ConfigMap {} was not created by oc quay; its key {key} is kept",
            config_map.name
        )));
    }
    if config_map.data.keys().any(|other| *other != key) {
        plan.changes.push(remove_certificate(config_map, key));
    } else {
        let references_it = |image_config: &&ImageConfig| {
            image_config.config_map.as_ref() == Some(&config_map.name)
        };
        plan.changes.extend(
            trust
                .image_config
                .as_ref()
                .filter(references_it)
                .map(|image_config| revert_node_trust(image_config, config_map)),
        );
        let summary = format!("delete ConfigMap {} in {TRUST_NAMESPACE}", config_map.name);
        let version = Some(config_map.resource_version.as_str());
        plan.changes.push(delete_object(
            ObjectKind::ConfigMap,
            Some(TRUST_NAMESPACE),
            &config_map.name,
            version,
            summary,
        ));
    }
    plan.note(
        Severity::Warning,
        "nodes are updated one after the other and can then no longer pull from this Quay",
    );
    Ok(())
}

/// Removes only our key from a ConfigMap with other registries.
fn remove_certificate(config_map: &ConfigMap, key: String) -> SetupChange {
    let patch = json!({ "metadata": { "resourceVersion": config_map.resource_version }, "data": { key: Value::Null } });
    SetupChange::Object(ObjectChange {
        kind: ObjectKind::ConfigMap,
        namespace: Some(TRUST_NAMESPACE.into()),
        name: config_map.name.clone(),
        write: ObjectWrite::Merge(patch),
        summary: format!(
            "remove Quay's certificate authority from ConfigMap {} in {TRUST_NAMESPACE}",
            config_map.name
        ),
    })
}

fn revert_node_trust(image_config: &ImageConfig, config_map: &ConfigMap) -> SetupChange {
    let metadata = json!({ "resourceVersion": image_config.resource_version });
    SetupChange::Object(ObjectChange {
        kind: ObjectKind::ImageConfig,
        namespace: None,
        name: node_trust::IMAGE_CONFIG.into(),
        write: ObjectWrite::Merge(
            json!({ "metadata": metadata, "spec": { "additionalTrustedCA": Value::Null } }),
        ),
        summary: format!(
            "remove ConfigMap {} from additionalTrustedCA of the image configuration",
            config_map.name
        ),
    })
}

fn plan_secret(setup: &SetupSession, plan: &mut StepPlan) -> Result<(), SkippedStep> {
    let credentials = require_read(&setup.found.credentials)?;
    let key = setup.secret();
    let Some(version) = &credentials.resource_version else {
        plan.note(
            Severity::Ok,
            format!("there is no secret {} in namespace {}", key.name, key.namespace),
        );
        return Ok(());
    };
    if !credentials.ours {
        return Err(SkippedStep::Kept(format!(
            "secret {} in namespace {} was not created by oc quay",
            key.name, key.namespace
        )));
    }
    let summary =
        format!("delete secret {} in namespace {}, with the token", key.name, key.namespace);
    plan.changes.push(delete_object(
        ObjectKind::Secret,
        Some(&key.namespace),
        &key.name,
        Some(version),
        summary,
    ));
    plan.note(
        Severity::Info,
        "the token remains valid in Quay; delete its OAuth application there to revoke it",
    );
    Ok(())
}

/// Deletes the binding before its role.
fn plan_user_role(setup: &SetupSession, plan: &mut StepPlan) -> Result<(), SkippedStep> {
    let found = require_read(&setup.found.user_role)?;
    let existing = found.iter().rev().filter_map(|(object, found)| Some((object, found.as_ref()?)));
    let (ours, others): (Vec<_>, Vec<_>) =
        existing.partition(|(_, found)| user_role::is_ours(found));
    if let ([], [(object, _), ..]) = (ours.as_slice(), others.as_slice()) {
        return Err(SkippedStep::Kept(format!(
            "{} {} was not created by oc quay",
            object.kind.as_str(),
            object.name()
        )));
    }
    for (object, found) in ours {
        let (kind, name) = (object.kind.as_str(), object.name());
        let version = found["metadata"]["resourceVersion"].as_str();
        plan.changes.push(delete_object(
            object.kind,
            None,
            name,
            version,
            format!("delete {kind} {name}"),
        ));
    }
    if plan.changes.is_empty() {
        plan.note(Severity::Ok, "the role for users of projects is not installed");
    }
    Ok(())
}

/// Deletes the operator before the label that identifies it as ours, so that an interrupted run can
/// be repeated.
fn plan_operator(setup: &SetupSession, plan: &mut StepPlan) -> Result<(), SkippedStep> {
    let operator = require_read(&setup.found.operator)?;
    if let Some(subscription) =
        operator.subscription.as_ref().filter(|subscription| subscription.ours)
    {
        if let Some(csv) = &operator.csv {
            let summary = format!(
                "delete ClusterServiceVersion {}, and with it the operator and its webhook",
                csv.name
            );
            plan.changes.push(delete_object(
                ObjectKind::ClusterServiceVersion,
                Some(&csv.namespace),
                &csv.name,
                None,
                summary,
            ));
        }
        let namespace = Some(subscription.namespace.as_str());
        let summary = format!("delete Subscription {}", subscription.name);
        plan.changes.push(delete_object(
            ObjectKind::Subscription,
            namespace,
            &subscription.name,
            None,
            summary,
        ));
    } else if let Some(extension) = operator.extension.as_ref().filter(|extension| extension.ours) {
        let version = Some(extension.resource_version.as_str());
        let summary = format!(
            "delete ClusterExtension {}, and with it the operator, its webhook and the QuayIntegration resource",
            extension.name
        );
        plan.changes.push(delete_object(
            ObjectKind::ClusterExtension,
            None,
            PACKAGE,
            version,
            summary,
        ));
    } else if operator.is_installed() {
        return Err(SkippedStep::Kept("the operator was not installed by oc quay".into()));
    }
    // OLM v1 uses it to remove the operator, so it is deleted last.
    if operator.installer {
        let summary =
            "remove the role cluster-admin from the service account that installed the operator"
                .to_owned();
        plan.changes.push(delete_object(
            ObjectKind::ClusterRoleBinding,
            None,
            INSTALLER,
            None,
            summary,
        ));
        let summary = "delete the service account that installed the operator".to_owned();
        plan.changes.push(delete_object(
            ObjectKind::ServiceAccount,
            Some(OPERATOR_NAMESPACE),
            INSTALLER,
            None,
            summary,
        ));
    }
    if let Some(crd) =
        operator.crd.as_ref().filter(|crd| crd.ours && !crd.deleting && !operator.is_installed())
    {
        let summary = "remove the QuayIntegration resource (CustomResourceDefinition)".to_owned();
        let version = Some(crd.resource_version.as_str());
        plan.changes.push(delete_object(
            ObjectKind::CustomResourceDefinition,
            None,
            QUAY_INTEGRATION_CRD_NAME,
            version,
            summary,
        ));
    }
    if plan.changes.is_empty() {
        plan.note(Severity::Ok, "the operator is not installed");
    }
    Ok(())
}
