//! The in-cluster controller: `oc quay run` as a Deployment, instead of the operator.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tokio::time::{Duration, Instant};

use super::operator::plan_crd;
use crate::backoff;
use crate::cluster::{ObjectKind, Operator, ResourceAttributes, is_superset};
use crate::domain::finding::Severity;
use crate::domain::names::CONTROLLER_NAME;
use crate::domain::snapshot::{Observed, ReadErrorKind};
use crate::error::Error;
use crate::setup::controller_manifests::{ControllerManifests, InstalledController, Object};
use crate::setup::{
    Blocker, ControllerKind, FinalizerOwner, ObjectChange, ObjectWrite, SetupChange, SetupSession,
    SetupStep, StepPlan, WaitCondition,
};
use crate::ui::Ui;

const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Asks for the controller. Choosing an operator that is unavailable checks again.
pub(super) async fn ask(
    setup: &mut SetupSession,
    ui: &Ui,
    has_operator: bool,
) -> Result<(), Error> {
    let operator = if has_operator {
        "the Quay Bridge Operator, installed through OLM"
    } else {
        "check again whether the operator is available"
    };
    let options = [
        (ControllerKind::Operator, ("Operator", operator)),
        (
            ControllerKind::InCluster,
            ("In-cluster controller", "this program, as a Deployment in the cluster"),
        ),
        (ControllerKind::None, ("None", "manage namespaces with oc quay link and repair")),
    ];
    // A cluster without the operator's catalog might not be able to pull our image either.
    let usual = match has_operator {
        _ if setup.options.controller_image.is_some() => ControllerKind::InCluster,
        true => ControllerKind::Operator,
        false => ControllerKind::None,
    };
    let default =
        options.iter().position(|(controller, _)| *controller == usual).unwrap_or_default();
    let chosen = ui.select(
        "Which controller should manage linked namespaces?",
        &options.map(|(_, words)| words),
        default,
    )?;
    setup.options.controller = options.get(chosen).map(|(controller, _)| *controller);
    if setup.wants_in_cluster() {
        setup.discover_controller().await;
        report_missing_permissions(setup, ui).await;
    }
    Ok(())
}

/// The first step did not check these permissions, as the choice was unknown then.
async fn report_missing_permissions(setup: &mut SetupSession, ui: &Ui) {
    let lacking = setup.cluster.missing_permissions(&required_permissions(setup)).await;
    let user =
        setup.found.platform.as_ref().map(|platform| platform.user.clone()).unwrap_or_default();
    for right in lacking.iter().flatten() {
        ui.warn(&format!("{user} is not allowed to {right}"));
    }
}

pub(super) fn plan(setup: &SetupSession, operator: &Operator, mut plan: StepPlan) -> StepPlan {
    let found = match &setup.found.controller {
        Ok(found) => found,
        Err(unread) => return plan.blocked(unread.to_string()),
    };
    if setup.options.replace_operator && operator.extension.is_some() {
        // OLM v1 removes its objects together (operator-framework/operator-controller,
        // `docs/concepts`).
        return plan
            .blocked("OLM v1 removes the QuayIntegration together with the operator, so the operator cannot be replaced in one step")
            .hint("save it (oc get quayintegration -o yaml), run oc quay teardown, then run this command again");
    }
    if let Some(object) = found.unmanaged().filter(|_| !setup.options.adopt) {
        let within =
            object.namespace().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        let (kind, name) = (object.kind.as_str(), object.name());
        return plan
            .blocked(format!("{kind} {name}{within} already exists without the label of oc quay"))
            .hint("use --adopt to adopt it; its other fields are kept");
    }
    if let Err(reason) = plan_crd(operator, &mut plan) {
        return plan.blocked(reason).hint("run the command again when it is deleted");
    }
    plan.changes
        .extend(found.objects.iter().filter_map(|(wanted, found)| change(wanted, found.as_ref())));
    match found.pods() {
        Some((ready, wanted)) if found.is_ready() => {
            let ControllerManifests { namespace, image } = &found.manifests;
            plan.note(
                Severity::Ok,
                format!("the controller is running in namespace {namespace} ({ready} of {wanted} pods, image {image})"),
            );
        }
        _ => plan.changes.push(SetupChange::Await(WaitCondition::Controller)),
    }
    if setup.options.replace_operator {
        replace_operator(setup, operator, &mut plan);
    } else if operator.stopped().is_some() {
        plan.note(
            Severity::Info,
            "the Quay Bridge Operator is also installed, but scaled to 0: the controller is active",
        );
    } else if operator.is_installed() {
        plan.note(
            Severity::Warning,
            "the Quay Bridge Operator is also installed: the controller is passive until it is removed",
        );
        plan.note(
            Severity::Info,
            "--replace-operator removes the operator and keeps linked namespaces",
        );
    }
    plan
}

/// Plans the creation or the edit of an object; none if it is up to date.
pub(super) fn change(wanted: &Object, found: Option<&Value>) -> Option<SetupChange> {
    let write = match found {
        None => ObjectWrite::Create(wanted.value.clone()),
        Some(found) => ObjectWrite::Merge(difference(found, &with_edits(wanted, found))?),
    };
    let verb = if found.is_some() { "change" } else { "create" };
    let (kind, name) = (wanted.kind.as_str(), wanted.name());
    let within = wanted.namespace().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
    Some(SetupChange::Object(ObjectChange {
        kind: wanted.kind,
        namespace: wanted.namespace().map(str::to_owned),
        name: name.to_owned(),
        write,
        summary: format!("{verb} {kind} {name}{within}"),
    }))
}

/// Keeps fields that administrators may set. In addition, a merge patch keeps all fields that the
/// manifests omit, such as tolerations, and resets the others.
///
/// Server-side apply does not fit: edited `args` and `minAvailable` would be conflicts that have to
/// be resolved here anyway, and each plan would need a dry run of every object.
fn with_edits(wanted: &Object, found: &Value) -> Object {
    let mut wanted = wanted.clone();
    match wanted.kind {
        ObjectKind::Deployment => {
            keep_in_pod(
                &mut wanted.value["spec"]["template"]["spec"],
                &found["spec"]["template"]["spec"],
            );
        }
        // The API server accepts only one of the two.
        ObjectKind::PodDisruptionBudget
            if ["minAvailable", "maxUnavailable"]
                .iter()
                .any(|key| found["spec"].get(key).is_some()) =>
        {
            wanted.value["spec"].as_object_mut().map(|spec| spec.remove("minAvailable"));
        }
        _ => {}
    }
    wanted
}

/// Keeps the containers, volumes, mounts, environment variables and flags that others added to the
/// pod, and the resources of our container.
fn keep_in_pod(pod: &mut Value, found: &Value) {
    let containers = found["containers"].as_array();
    if let Some(found) =
        containers.and_then(|all| all.iter().find(|container| container["name"] == CONTROLLER_NAME))
    {
        let container = &mut pod["containers"][0];
        if found["resources"].is_object() {
            container["resources"] = found["resources"].clone();
        }
        keep_flags(&mut container["args"], &found["args"]);
        keep_entries(&mut container["env"], &found["env"], "name");
        keep_entries(&mut container["volumeMounts"], &found["volumeMounts"], "mountPath");
    }
    keep_entries(&mut pod["containers"], &found["containers"], "name");
    keep_entries(&mut pod["volumes"], &found["volumes"], "name");
}

/// Adds the entries of others to our list, matched by `key`, in the order of the existing list.
fn keep_entries(list: &mut Value, found: &Value, key: &str) {
    let Some(ours) = list.as_array_mut() else { return };
    let mut all = Vec::new();
    for entry in found.as_array().into_iter().flatten() {
        let own = ours.iter().position(|own| own[key] == entry[key]);
        all.push(own.map_or_else(|| entry.clone(), |place| ours.remove(place)));
    }
    all.append(ours);
    *ours = all;
}

fn keep_flags(arguments: &mut Value, found: &Value) {
    let flag = |argument: &Value| {
        argument.as_str().and_then(|text| text.split('=').next()).unwrap_or_default().to_owned()
    };
    let Some(arguments) = arguments.as_array_mut() else { return };
    let known: BTreeSet<String> = arguments.iter().map(flag).collect();
    let mut is_theirs = false;
    for argument in found.as_array().into_iter().flatten() {
        // An argument without dashes is the value of the flag before it.
        if argument.as_str().is_some_and(|text| text.starts_with('-')) {
            is_theirs = !known.contains(&flag(argument));
        }
        if is_theirs {
            arguments.push(argument.clone());
        }
    }
}

/// The merge patch from the existing object; none without a difference.
fn difference(found: &Value, wanted: &Object) -> Option<Value> {
    let wanted = wanted.value.as_object()?;
    let is_different = |(key, value): &(&String, &Value)| !is_superset(&found[key.as_str()], value);
    let mut patch: Map<_, _> = wanted
        .iter()
        .filter(is_different)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if patch.is_empty() {
        return None;
    }
    // OpenShift sets it again, but until then builds would not be rewritten.
    if let Some(webhooks) = patch.get_mut("webhooks").and_then(Value::as_array_mut) {
        for (webhook, found) in
            webhooks.iter_mut().zip(found["webhooks"].as_array().into_iter().flatten())
        {
            webhook["clientConfig"]["caBundle"] = found["clientConfig"]["caBundle"].clone();
        }
    }
    let mut patch = Value::Object(patch);
    for guard in ["resourceVersion", "generation"] {
        if let Some(value) = found["metadata"].get(guard) {
            patch["metadata"][guard] = value.clone();
        }
    }
    Some(patch)
}

/// Plans the replacement of the operator. Until it has stopped, both rewrite builds in the same
/// way. Finalizers are removed last, as the operator would add them again.
fn replace_operator(setup: &SetupSession, operator: &Operator, plan: &mut StepPlan) {
    let mut remove =
        |kind: ObjectKind, namespace: Option<&str>, name: &str, write, summary: String| {
            let namespace = namespace.map(str::to_owned);
            plan.changes.push(SetupChange::Object(ObjectChange {
                kind,
                namespace,
                name: name.to_owned(),
                write,
                summary,
            }));
        };
    if let Some(subscription) = &operator.subscription {
        let summary = format!(
            "delete Subscription {}, so that OLM does not install the operator again",
            subscription.name
        );
        remove(
            ObjectKind::Subscription,
            Some(&subscription.namespace),
            &subscription.name,
            ObjectWrite::Delete(None),
            summary,
        );
    }
    if let Some(csv) = &operator.csv {
        let summary = format!(
            "delete ClusterServiceVersion {}, and with it the operator and its webhook",
            csv.name
        );
        remove(
            ObjectKind::ClusterServiceVersion,
            Some(&csv.namespace),
            &csv.name,
            ObjectWrite::Delete(None),
            summary,
        );
    } else if let Ok(Some(deployment)) = &operator.deployment {
        let stopped = ObjectWrite::Merge(
            json!({ "metadata": { "uid": deployment.uid }, "spec": { "replicas": 0 } }),
        );
        let summary = format!(
            "stop the operator: scale Deployment {} in {} to 0",
            deployment.name, deployment.namespace
        );
        if deployment.wanted > 0 {
            remove(
                ObjectKind::Deployment,
                Some(&deployment.namespace),
                &deployment.name,
                stopped,
                summary,
            );
        }
        if let Ok(Some(webhook)) = &operator.webhook {
            let summary = format!("delete orphaned MutatingWebhookConfiguration {webhook}");
            remove(
                ObjectKind::MutatingWebhookConfiguration,
                None,
                webhook,
                ObjectWrite::Delete(None),
                summary,
            );
        }
    }
    if operator.is_running() {
        plan.changes.push(SetupChange::Await(WaitCondition::OperatorGone));
    }
    let namespaces = setup.found.namespaces.as_deref().unwrap_or_default();
    plan.changes.extend(FinalizerOwner::Operator.releases(namespaces));
}

/// Permissions to create the missing objects. RBAC allows granting only permissions that the user
/// has.
pub(super) fn required_permissions(setup: &SetupSession) -> Vec<ResourceAttributes> {
    let objects =
        setup.found.controller.as_ref().map(|found| found.objects.as_slice()).unwrap_or_default();
    let missing =
        |kind| objects.iter().any(|(object, found)| object.kind == kind && found.is_none());
    let kinds = [
        (ObjectKind::Namespace, "", "namespaces"),
        (ObjectKind::ClusterRole, "rbac.authorization.k8s.io", "clusterroles"),
        (ObjectKind::ClusterRoleBinding, "rbac.authorization.k8s.io", "clusterrolebindings"),
        (ObjectKind::Deployment, "apps", "deployments"),
        (
            ObjectKind::MutatingWebhookConfiguration,
            "admissionregistration.k8s.io",
            "mutatingwebhookconfigurations",
        ),
    ];
    let needed = kinds.into_iter().filter(|(kind, ..)| missing(*kind));
    needed
        .map(|(_, group, resource)| ResourceAttributes {
            verb: "create",
            group,
            resource,
            namespace: None,
            name: None,
        })
        .collect()
}

/// Waits until the plan is complete.
pub(in crate::setup) async fn wait_until_ready(
    setup: &mut SetupSession,
    ui: &Ui,
) -> Result<(), Error> {
    let deadline = Instant::now() + setup.options.operator_timeout;
    let waiting = ui.waiting("Waiting for the controller");
    loop {
        setup.discover_operator().await;
        setup.discover_controller().await;
        if setup.options.replace_operator {
            setup.discover_integration().await;
        }
        if let Some(unread) =
            transient_read_error(setup).filter(|_| Instant::now() + POLL_INTERVAL <= deadline)
        {
            waiting.say(&unread);
            backoff::sleep(POLL_INTERVAL).await;
            continue;
        }
        let plan = setup.plan(SetupStep::Operator);
        match (plan.blocker, plan.changes.first()) {
            (Some(Blocker::Blocked { reason, hints }), _) => {
                return Err(hints.into_iter().fold(Error::new(reason), Error::hint));
            }
            (_, None) => return Ok(()),
            (_, Some(left)) if Instant::now() + POLL_INTERVAL > deadline => {
                return Err(Error::new(format!(
                    "the change was applied but has not taken effect: {}",
                    left.summary()
                ))
                .hint("another process may be changing the same objects; try again"));
            }
            (_, Some(left)) => waiting.say(&left.summary()),
        }
        backoff::sleep(POLL_INTERVAL).await;
    }
}

/// A read error that is worth a retry. A missing permission is not.
fn transient_read_error(setup: &SetupSession) -> Option<String> {
    let found = &setup.found;
    let mut unread =
        found.operator.as_ref().err().into_iter().chain(found.controller.as_ref().err());
    unread
        .find(|unread| unread.kind != ReadErrorKind::Forbidden)
        .map(|unread| unread.reason.clone())
}

pub(in crate::setup) async fn wait_for(
    setup: &mut SetupSession,
    ui: &Ui,
    awaited: WaitCondition,
) -> Result<(), Error> {
    let deadline = Instant::now() + setup.options.operator_timeout;
    let waiting = ui.waiting(match awaited {
        WaitCondition::Controller => "Waiting for the controller",
        WaitCondition::OperatorGone => "Waiting for the operator to stop",
    });
    loop {
        setup.discover_operator().await;
        setup.discover_controller().await;
        let state = match awaited {
            WaitCondition::Controller => controller_state(&setup.found.controller),
            WaitCondition::OperatorGone => operator_state(&setup.found.operator),
        };
        let Some(state) = state else { return Ok(()) };
        if Instant::now() + POLL_INTERVAL > deadline {
            return Err(Error::new(state)
                .hint("run the same command again to resume, or increase --operator-timeout"));
        }
        waiting.say(&state);
        backoff::sleep(POLL_INTERVAL).await;
    }
}

/// Progress of the rollout; none if it is complete.
fn controller_state(found: &Observed<InstalledController>) -> Option<String> {
    match found {
        Ok(found) if found.is_ready() => None,
        Ok(found) => {
            let (ready, wanted) = found.pods().unwrap_or_default();
            let namespace = &found.manifests.namespace;
            Some(format!(
                "the controller is not running yet: {ready} of {wanted} pods are ready (oc describe pods -n {namespace})"
            ))
        }
        Err(unread) => Some(unread.to_string()),
    }
}

/// Reason to wait for the operator; none if it has stopped.
fn operator_state(found: &Observed<Operator>) -> Option<String> {
    match found {
        Ok(operator) if operator.is_running() => Some("the operator is still running".into()),
        Ok(_) => None,
        Err(unread) => Some(unread.to_string()),
    }
}
