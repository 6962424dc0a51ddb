//! Our own bridge in the operator's place: `oc quay run` in the cluster.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tokio::time::{Duration, Instant};

use super::operator::plan_crd;
use crate::backoff;
use crate::cluster::{ObjectKind, Operator, ResourceAttributes, holds};
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

/// How often it is looked whether something has come or gone.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Asks who keeps namespaces linked. Where the operator cannot be installed now, choosing it all the same means to look again.
pub(super) async fn choose(
    setup: &mut SetupSession,
    ui: &Ui,
    has_operator: bool,
) -> Result<(), Error> {
    let operator = if has_operator {
        "the Quay Bridge Operator, installed through OLM"
    } else {
        "look again whether it can be had"
    };
    let options = [
        (ControllerKind::Operator, ("Operator", operator)),
        (
            ControllerKind::InCluster,
            ("Built-in bridge", "this program, as a Deployment in the cluster"),
        ),
        (ControllerKind::None, ("Nobody", "namespaces are linked and repaired by command")),
    ];
    // A cluster that has no catalog with the operator may be one that cannot pull this version's image either.
    let usual = match has_operator {
        _ if setup.answers.controller_image.is_some() => ControllerKind::InCluster,
        true => ControllerKind::Operator,
        false => ControllerKind::None,
    };
    let default = options.iter().position(|(bridge, _)| *bridge == usual).unwrap_or_default();
    let chosen =
        ui.select("Who keeps namespaces linked?", &options.map(|(_, words)| words), default)?;
    setup.answers.controller = options.get(chosen).map(|(bridge, _)| *bridge);
    if setup.wants_in_cluster() {
        setup.discover_controller().await;
        report_missing_permissions(setup, ui).await;
    }
    Ok(())
}

/// What the built-in bridge takes was not asked for in the first step: nobody knew that it would be wanted.
async fn report_missing_permissions(setup: &mut SetupSession, ui: &Ui) {
    let lacking = setup.cluster.lacking(&rights(setup)).await;
    let user =
        setup.found.platform.as_ref().map(|platform| platform.user.clone()).unwrap_or_default();
    for right in lacking.iter().flatten() {
        ui.warn(&format!("{user} may not {right}"));
    }
}

pub(super) fn plan(setup: &SetupSession, operator: &Operator, mut plan: StepPlan) -> StepPlan {
    let found = match &setup.found.bridge {
        Ok(found) => found,
        Err(unread) => return plan.blocked(unread.to_string()),
    };
    if setup.answers.replace_operator && operator.extension.is_some() {
        // What OLM v1 installed goes as a whole (operator-framework/operator-controller, `docs/concepts`).
        return plan
            .blocked("OLM v1 would remove the QuayIntegration together with the operator, so it cannot be taken over in one step")
            .hint("save it (oc get quayintegration -o yaml), run oc quay teardown, and then this again");
    }
    if let Some(object) = found.foreign().filter(|_| !setup.answers.adopt) {
        let within =
            object.namespace().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        let (kind, name) = (object.kind.as_str(), object.name());
        return plan
            .blocked(format!(
                "there is a {kind} {name}{within} already that does not carry our label"
            ))
            .hint("--adopt takes it over; what it holds beyond what the bridge needs stays");
    }
    if let Err(reason) = plan_crd(operator, &mut plan) {
        return plan.blocked(reason).hint("run it again when that is over");
    }
    plan.changes
        .extend(found.objects.iter().filter_map(|(wanted, found)| change(wanted, found.as_ref())));
    match found.pods() {
        Some((ready, wanted)) if found.runs() => {
            let ControllerManifests { namespace, image } = &found.bridge;
            plan.fact(
                Severity::Ok,
                format!("the bridge runs in namespace {namespace} ({ready} of {wanted} pods, image {image})"),
            );
        }
        _ => plan.changes.push(SetupChange::Await(WaitCondition::Bridge)),
    }
    if setup.answers.replace_operator {
        replace_operator(setup, operator, &mut plan);
    } else if operator.stopped().is_some() {
        plan.fact(
            Severity::Info,
            "the Quay Bridge Operator is installed too, and scaled to 0: the bridge does not stand by for it",
        );
    } else if operator.is_installed() {
        plan.fact(
            Severity::Warning,
            "the Quay Bridge Operator is installed too: the bridge stands by until it is gone",
        );
        plan.fact(Severity::Info, "--replace-operator removes the operator, and leaves everything that it has linked as it is");
    }
    plan
}

/// What makes an object as it is to be; none if it is.
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

/// The object with what people set in it and is theirs to set. Beside this, the merge patch keeps every field that the manifests
/// leave out, such as tolerations, and resets those that they set.
///
/// Server-side apply draws that line elsewhere: `args` and `minAvailable` would be conflicts once somebody edited them, to stop
/// at or to overwrite, so the same fields would have to be read and decided on here. And it takes a dry run of every object to
/// show a plan.
fn with_edits(wanted: &Object, found: &Value) -> Object {
    let mut wanted = wanted.clone();
    match wanted.kind {
        ObjectKind::Deployment => {
            keep_in_pod(
                &mut wanted.value["spec"]["template"]["spec"],
                &found["spec"]["template"]["spec"],
            );
        }
        // The API server takes one of the two.
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

/// Keeps what others added to the pod: containers, volumes and their mounts, environment variables, flags of `run` beside
/// ours; and the resources of our container.
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

/// Adds what others have in a list to our entries, which `key` tells apart. The order is that of the list that is there.
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
        // A value of its own belongs to the flag before it.
        if argument.as_str().is_some_and(|text| text.starts_with('-')) {
            is_theirs = !known.contains(&flag(argument));
        }
        if is_theirs {
            arguments.push(argument.clone());
        }
    }
}

/// The merge patch from what is there; none if it holds all that is wanted.
fn difference(found: &Value, wanted: &Object) -> Option<Value> {
    let wanted = wanted.value.as_object()?;
    let is_different = |(key, value): &(&String, &Value)| !holds(&found[key.as_str()], value);
    let mut patch: Map<_, _> = wanted
        .iter()
        .filter(is_different)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if patch.is_empty() {
        return None;
    }
    // OpenShift's, who would put it there again; but builds go by meanwhile.
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

/// Moves everything from the operator to the bridge, which is at work as soon as the operator is gone. Until then builds
/// are rewritten by both, to the same. The finalizers go last, as the operator would put them back.
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
            "stop the operator: no pods for Deployment {} in {}",
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
            let summary = format!(
                "delete MutatingWebhookConfiguration {webhook}, which nobody answers any more"
            );
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
    plan.changes.extend(FinalizerOwner::Operator.held(namespaces));
}

/// What it takes to make those of its objects that are missing. Kubernetes lets nobody grant rights that they do not have.
pub(super) fn rights(setup: &SetupSession) -> Vec<ResourceAttributes> {
    let objects =
        setup.found.bridge.as_ref().map(|found| found.objects.as_slice()).unwrap_or_default();
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

/// Looks until all of it is as planned.
pub(in crate::setup) async fn settle(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    let deadline = Instant::now() + setup.answers.operator_timeout;
    let waiting = ui.waiting("Waiting for the bridge");
    loop {
        setup.discover_operator().await;
        setup.discover_controller().await;
        if setup.answers.replace_operator {
            setup.discover_integration().await;
        }
        if let Some(unread) =
            unread_state(setup).filter(|_| Instant::now() + POLL_INTERVAL <= deadline)
        {
            waiting.say(&unread);
            backoff::sleep(POLL_INTERVAL).await;
            continue;
        }
        let plan = setup.plan(SetupStep::Operator);
        match (plan.obstacle, plan.changes.first()) {
            (Some(Blocker::Blocked { reason, hints }), _) => {
                return Err(hints.into_iter().fold(Error::new(reason), Error::hint));
            }
            (_, None) => return Ok(()),
            (_, Some(left)) if Instant::now() + POLL_INTERVAL > deadline => {
                return Err(Error::new(format!(
                    "it was done, but is still to be done: {}",
                    left.summary()
                ))
                .hint("somebody else may be at the same work; run it again"));
            }
            (_, Some(left)) => waiting.say(&left.summary()),
        }
        backoff::sleep(POLL_INTERVAL).await;
    }
}

/// What could not be read just now. One answer that is missing among hundreds is no reason to give up; a right that lacks
/// does not come by itself.
fn unread_state(setup: &SetupSession) -> Option<String> {
    let found = &setup.found;
    let mut unread = found.operator.as_ref().err().into_iter().chain(found.bridge.as_ref().err());
    unread
        .find(|unread| unread.kind != ReadErrorKind::Forbidden)
        .map(|unread| unread.reason.clone())
}

/// Waits for what others do.
pub(in crate::setup) async fn wait(
    setup: &mut SetupSession,
    ui: &Ui,
    awaited: WaitCondition,
) -> Result<(), Error> {
    let deadline = Instant::now() + setup.answers.operator_timeout;
    let waiting = ui.waiting(match awaited {
        WaitCondition::Bridge => "Waiting for the bridge",
        WaitCondition::OperatorGone => "Waiting for the operator to go",
    });
    loop {
        setup.discover_operator().await;
        setup.discover_controller().await;
        let state = match awaited {
            WaitCondition::Bridge => controller_state(&setup.found.bridge),
            WaitCondition::OperatorGone => operator_state(&setup.found.operator),
        };
        let Some(state) = state else { return Ok(()) };
        if Instant::now() + POLL_INTERVAL > deadline {
            return Err(Error::new(state).hint(
                "the same command goes on where it stopped; --operator-timeout waits longer",
            ));
        }
        waiting.say(&state);
        backoff::sleep(POLL_INTERVAL).await;
    }
}

/// How far the bridge has come; none if it runs.
fn controller_state(found: &Observed<InstalledController>) -> Option<String> {
    match found {
        Ok(found) if found.runs() => None,
        Ok(found) => {
            let (ready, wanted) = found.pods().unwrap_or_default();
            let namespace = &found.bridge.namespace;
            Some(format!(
                "the bridge is not running yet: {ready} of {wanted} pods are ready (oc describe pods -n {namespace})"
            ))
        }
        Err(unread) => Some(unread.to_string()),
    }
}

/// What there still is of the operator; none if it does not run any more.
fn operator_state(found: &Observed<Operator>) -> Option<String> {
    match found {
        Ok(operator) if operator.is_running() => Some("the operator still runs".into()),
        Ok(_) => None,
        Err(unread) => Some(unread.to_string()),
    }
}
