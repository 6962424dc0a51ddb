//! The way back: what each step would take back, in an order in which nothing hangs.
//!
//! Only what carries our label is taken back, and the QuayIntegration, which is the integration. Nothing in Quay is
//! touched: organizations, images and the OAuth application stay.

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

/// What is taken back, in this order. The namespaces' finalizers go first: without a QuayIntegration or its Secret the
/// operator takes its finalizer off no namespace any more (QBO `controllers/namespace_controller.go:106-156`), so one that
/// is deleted then would hang for ever. The QuayIntegration goes after everything that it tells the way to, so that an
/// interrupted run can be run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TeardownStep {
    /// Our own bridge, which would put back what the others take away.
    Bridge,
    /// The operator's finalizers, and the bridge's.
    Finalizers,
    /// What nodes trust.
    NodeTrust,
    /// The Secret with the token.
    Secret,
    /// The QuayIntegration.
    Integration,
    /// The role of projects' users.
    UserRole,
    /// The operator.
    Operator,
}

impl TeardownStep {
    /// All of them.
    pub const ALL: [TeardownStep; 7] = [
        TeardownStep::Bridge,
        TeardownStep::Finalizers,
        TeardownStep::NodeTrust,
        TeardownStep::Secret,
        TeardownStep::Integration,
        TeardownStep::UserRole,
        TeardownStep::Operator,
    ];

    /// Its name in reports, and for people.
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            TeardownStep::Bridge => ("bridge", "Bridge"),
            TeardownStep::Finalizers => ("finalizers", "Namespaces"),
            _ => (self.step().name(), self.step().title()),
        }
    }

    /// The step of the set-up that looks at it.
    pub fn step(self) -> SetupStep {
        match self {
            TeardownStep::Finalizers | TeardownStep::Integration => SetupStep::Integration,
            TeardownStep::NodeTrust => SetupStep::NodeTrust,
            TeardownStep::UserRole => SetupStep::UserRole,
            TeardownStep::Secret => SetupStep::Secret,
            TeardownStep::Bridge | TeardownStep::Operator => SetupStep::Operator,
        }
    }
}

/// What of a part would be taken back.
pub fn plan(setup: &SetupSession, part: TeardownStep) -> StepPlan {
    let mut plan = StepPlan::default();
    let done = match part {
        TeardownStep::Bridge => bridge(setup, &mut plan),
        TeardownStep::Finalizers => finalizers(setup, &mut plan),
        TeardownStep::NodeTrust => node_trust(setup, &mut plan),
        TeardownStep::Secret => secret(setup, &mut plan),
        TeardownStep::Integration => integration(setup, &mut plan),
        TeardownStep::UserRole => take_role(setup, &mut plan),
        TeardownStep::Operator => uninstall(setup, &mut plan),
    };
    match done {
        Ok(()) => plan,
        Err(SkippedStep::Unread(reason)) => plan.blocked(reason),
        Err(SkippedStep::Stays(why)) => plan.skipped(why),
    }
}

/// Why a part is not taken back.
enum SkippedStep {
    /// It could not be read.
    Unread(String),
    /// It is not ours.
    Stays(String),
}

fn read<T>(part: &Observed<T>) -> Result<&T, SkippedStep> {
    part.as_ref().map_err(|unread| SkippedStep::Unread(unread.to_string()))
}

fn delete(
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

/// The webhook goes first, so that nobody asks a bridge that is gone; the binding, by which the rest is found again, last.
fn bridge(setup: &SetupSession, plan: &mut StepPlan) -> Result<(), SkippedStep> {
    let found = read(&setup.found.bridge)?;
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
        plan.changes.push(delete(object.kind, object.namespace(), object.name(), None, summary));
    }
    if plan.changes.is_empty() {
        plan.fact(Severity::Ok, "the built-in bridge is not installed");
    }
    Ok(())
}

fn finalizers(setup: &SetupSession, plan: &mut StepPlan) -> Result<(), SkippedStep> {
    let namespaces = read(&setup.found.namespaces)?;
    plan.changes.extend(FinalizerOwner::ALL.into_iter().flat_map(|holder| holder.held(namespaces)));
    if plan.changes.is_empty() {
        plan.fact(Severity::Ok, "no namespace waits for the operator");
    }
    Ok(())
}

/// Deletes the QuayIntegration, and then the finalizers that the operator has put back meanwhile.
fn integration(setup: &SetupSession, plan: &mut StepPlan) -> Result<(), SkippedStep> {
    let resources = read(&setup.found.integrations)?;
    for resource in resources {
        let summary = format!(
            "delete QuayIntegration {}; organizations and images stay in Quay",
            resource.name
        );
        plan.changes.push(delete(
            ObjectKind::QuayIntegration,
            None,
            &resource.name,
            Some(&resource.resource_version),
            summary,
        ));
    }
    if resources.is_empty() {
        finalizers(setup, plan)?;
        plan.facts.clear();
        plan.fact(Severity::Ok, "there is no QuayIntegration");
    } else {
        let text = "the secrets and service accounts of linked namespaces stay, so pods go on pulling; oc quay unlink -A, run before \
                    this, takes them back";
        plan.fact(Severity::Info, text);
    }
    Ok(())
}

fn node_trust(setup: &SetupSession, plan: &mut StepPlan) -> Result<(), SkippedStep> {
    let trust = read(&setup.found.trust)?;
    let Some(config_map) = &trust.config_map else {
        return Err(SkippedStep::Stays("nodes were not told to trust Quay".into()));
    };
    let Some(url) = setup.url() else {
        return Err(SkippedStep::Stays(format!(
            "ConfigMap {} stays: nobody says which Quay it is about",
            config_map.name
        )));
    };
    let key = node_trust::key(&url.host());
    if !config_map.data.contains_key(&key) && !config_map.data.is_empty() {
        return Err(SkippedStep::Stays(format!(
            "ConfigMap {} says nothing about this Quay",
            config_map.name
        )));
    }
    if !config_map.ours {
        return Err(SkippedStep::Stays(format!(
            "ConfigMap {} was not made by oc quay; its key {key} stays",
            config_map.name
        )));
    }
    if config_map.data.keys().any(|other| *other != key) {
        plan.changes.push(report_remaining(config_map, key));
    } else {
        let names_it = |image_config: &&ImageConfig| {
            image_config.config_map.as_ref() == Some(&config_map.name)
        };
        plan.changes.extend(
            trust
                .image_config
                .as_ref()
                .filter(names_it)
                .map(|image_config| revert_node_trust(image_config, config_map)),
        );
        let summary = format!("delete ConfigMap {} in {TRUST_NAMESPACE}", config_map.name);
        let version = Some(config_map.resource_version.as_str());
        plan.changes.push(delete(
            ObjectKind::ConfigMap,
            Some(TRUST_NAMESPACE),
            &config_map.name,
            version,
            summary,
        ));
    }
    plan.fact(
        Severity::Warning,
        "nodes are updated one after the other, and can then pull from this Quay no more",
    );
    Ok(())
}

/// Takes this Quay out of a ConfigMap that others have put their registries into.
fn report_remaining(config_map: &ConfigMap, key: String) -> SetupChange {
    let patch = json!({ "metadata": { "resourceVersion": config_map.resource_version }, "data": { key: Value::Null } });
    SetupChange::Object(ObjectChange {
        kind: ObjectKind::ConfigMap,
        namespace: Some(TRUST_NAMESPACE.into()),
        name: config_map.name.clone(),
        write: ObjectWrite::Merge(patch),
        summary: format!(
            "take Quay's certificate authority out of ConfigMap {} in {TRUST_NAMESPACE}",
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
            "have the cluster's image configuration trust ConfigMap {} no more",
            config_map.name
        ),
    })
}

fn secret(setup: &SetupSession, plan: &mut StepPlan) -> Result<(), SkippedStep> {
    let credentials = read(&setup.found.credentials)?;
    let key = setup.secret();
    let Some(version) = &credentials.resource_version else {
        plan.fact(
            Severity::Ok,
            format!("there is no secret {} in namespace {}", key.name, key.namespace),
        );
        return Ok(());
    };
    if !credentials.ours {
        return Err(SkippedStep::Stays(format!(
            "secret {} in namespace {} was not made by oc quay",
            key.name, key.namespace
        )));
    }
    let summary =
        format!("delete secret {} in namespace {}, with the token", key.name, key.namespace);
    plan.changes.push(delete(
        ObjectKind::Secret,
        Some(&key.namespace),
        &key.name,
        Some(version),
        summary,
    ));
    plan.fact(
        Severity::Info,
        "the token itself lives on in Quay; deleting its OAuth application there ends it",
    );
    Ok(())
}

/// The binding before the role that it names.
fn take_role(setup: &SetupSession, plan: &mut StepPlan) -> Result<(), SkippedStep> {
    let found = read(&setup.found.user_role)?;
    let there = found.iter().rev().filter_map(|(object, found)| Some((object, found.as_ref()?)));
    let (ours, others): (Vec<_>, Vec<_>) = there.partition(|(_, found)| user_role::is_ours(found));
    if let ([], [(object, _), ..]) = (ours.as_slice(), others.as_slice()) {
        return Err(SkippedStep::Stays(format!(
            "{} {} was not made by oc quay",
            object.kind.as_str(),
            object.name()
        )));
    }
    for (object, found) in ours {
        let (kind, name) = (object.kind.as_str(), object.name());
        let version = found["metadata"]["resourceVersion"].as_str();
        plan.changes.push(delete(
            object.kind,
            None,
            name,
            version,
            format!("delete {kind} {name}"),
        ));
    }
    if plan.changes.is_empty() {
        plan.fact(Severity::Ok, "users of projects were given no role");
    }
    Ok(())
}

/// The operator, before what tells that it is ours: an interrupted run finds the rest by that.
fn uninstall(setup: &SetupSession, plan: &mut StepPlan) -> Result<(), SkippedStep> {
    let operator = read(&setup.found.operator)?;
    if let Some(subscription) =
        operator.subscription.as_ref().filter(|subscription| subscription.ours)
    {
        if let Some(csv) = &operator.csv {
            let summary = format!(
                "delete ClusterServiceVersion {}, and with it the operator and its webhook",
                csv.name
            );
            plan.changes.push(delete(
                ObjectKind::ClusterServiceVersion,
                Some(&csv.namespace),
                &csv.name,
                None,
                summary,
            ));
        }
        let namespace = Some(subscription.namespace.as_str());
        let summary = format!("delete Subscription {}", subscription.name);
        plan.changes.push(delete(
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
        plan.changes.push(delete(ObjectKind::ClusterExtension, None, PACKAGE, version, summary));
    } else if operator.is_installed() {
        return Err(SkippedStep::Stays("the operator was not installed by oc quay".into()));
    }
    // OLM v1 needs it to take the operator away, so it goes last.
    if operator.installer {
        let summary =
            "take the role cluster-admin from the service account that installed the operator"
                .to_owned();
        plan.changes.push(delete(ObjectKind::ClusterRoleBinding, None, INSTALLER, None, summary));
        let summary = "delete the service account that installed the operator".to_owned();
        plan.changes.push(delete(
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
        plan.changes.push(delete(
            ObjectKind::CustomResourceDefinition,
            None,
            QUAY_INTEGRATION_CRD_NAME,
            version,
            summary,
        ));
    }
    if plan.changes.is_empty() {
        plan.fact(Severity::Ok, "the operator is not installed");
    }
    Ok(())
}
