//! The Quay Bridge Operator: whether it is there and healthy, or how to get it.

use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::backoff;
use crate::cluster::{
    INSTALLER, OPERATOR_NAMESPACE, ObjectKind, Operator, PACKAGE, Package,
    QUAY_INTEGRATION_CRD_NAME, quay_integration_crd,
};
use crate::domain::finding::Severity;
use crate::domain::names::{MANAGED_BY, MANAGED_BY_LABEL};
use crate::domain::snapshot::ReadErrorKind;
use crate::error::Error;
use crate::setup::controller_manifests::ControllerManifests;
use crate::setup::{
    Approval, Blocker, ControllerKind, ObjectChange, ObjectWrite, SetupChange, SetupSession,
    StepPlan,
};
use crate::ui::{Ui, printable};

/// How often it is looked whether OLM is done.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

pub(in crate::setup) fn plan(setup: &SetupSession) -> StepPlan {
    let plan = StepPlan::default();
    let operator = match &setup.found.operator {
        Ok(operator) => operator,
        Err(unread) => return plan.blocked(unread.to_string()),
    };
    if setup.wants_in_cluster() {
        return super::controller::plan(setup, operator, plan);
    }
    if operator.is_installed() {
        return there(setup, operator, plan);
    }
    if is_done_without(setup, operator) {
        return without(operator, plan);
    }
    if setup.serves("operators.coreos.com") {
        subscribe(setup, plan)
    } else if setup.serves("olm.operatorframework.io") {
        extend(setup, plan)
    } else {
        plan.blocked(
            "the cluster has no Operator Lifecycle Manager, so the operator cannot be installed",
        )
        .hint("--controller none goes on without it: the commands of this plugin need no operator")
    }
}

/// Whether the operator is not wanted: it is said now, or was chosen before (the QuayIntegration holds that, or its resource
/// definition is ours), and no flag says how to install the operator.
fn is_done_without(setup: &SetupSession, operator: &Operator) -> bool {
    let is_alone = setup.bridge().is_none() && operator.crd.as_ref().is_some_and(|crd| crd.ours);
    let has_been_said = is_alone || setup.bridge() == Some(ControllerKind::None);
    setup.answers.controller == Some(ControllerKind::None)
        || (has_been_said && !is_asked_for(setup))
}

/// Whether somebody says how the operator should come.
fn is_asked_for(setup: &SetupSession) -> bool {
    let answers = &setup.answers;
    answers.catalog.is_some() || answers.channel.is_some() || answers.approval.is_some()
}

fn there(setup: &SetupSession, operator: &Operator, mut plan: StepPlan) -> StepPlan {
    let version = operator.version().unwrap_or("of unknown version").to_owned();
    let through = match &operator.subscription {
        Some(subscription) => {
            let approval = subscription.approval.to_lowercase();
            format!(
                ", channel {} of catalog {}, {approval} approval",
                subscription.channel, subscription.catalog
            )
        }
        None if operator.extension.is_some() => ", through OLM v1".to_owned(),
        None => String::new(),
    };
    if operator.is_healthy() {
        plan.fact(
            Severity::Ok,
            format!("the Quay Bridge Operator is running ({version}{through})"),
        );
        if let Some(pending) = pending(operator) {
            let text = format!(
                "an update waits for approval: InstallPlan {pending} in namespace {OPERATOR_NAMESPACE}"
            );
            plan.fact(Severity::Info, text);
        }
        if !matches!(operator.webhook, Ok(Some(_))) {
            plan.fact(Severity::Info, "its webhook for builds is not there, or may not be read");
        }
        if setup.answers.controller == Some(ControllerKind::None) {
            plan.fact(
                Severity::Info,
                "it stays, although you asked to do without it: this command removes nothing",
            );
        }
        return plan;
    }
    if let Some(stopped) = operator.stopped() {
        let (namespace, name) = (&stopped.namespace, &stopped.name);
        plan.fact(
            Severity::Warning,
            format!("the Quay Bridge Operator is installed ({version}{through}), and does not run"),
        );
        return plan
            .blocked(format!("Deployment {name} in namespace {namespace} is scaled to 0"))
            .hint(format!("start it: oc scale deployment {name} -n {namespace} --replicas 1"))
            .hint("or have the built-in bridge take its place: --controller in-cluster --replace-operator");
    }
    let state = if operator.is_installation_complete() {
        "is installed, and does not work"
    } else {
        "is being installed"
    };
    plan.fact(Severity::Info, format!("the Quay Bridge Operator {state} ({version}{through})"));
    for problem in operator.problems() {
        plan.fact(Severity::Warning, problem);
    }
    if let Some(approval) = approval(setup, operator) {
        plan.changes.push(approval);
    } else if let Some(pending) = pending(operator) {
        return plan
            .blocked(format!("InstallPlan {pending} in namespace {OPERATOR_NAMESPACE} waits for somebody's approval"))
            .hint(format!("approve it: oc patch installplan {pending} -n {OPERATOR_NAMESPACE} --type merge -p '{{\"spec\":{{\"approved\":true}}}}'"))
            .hint("or with --operator-approval manual, if it installs nothing but this operator");
    } else if operator.has_failed() {
        return plan
            .blocked("the operator is there, but not healthy")
            .hint(format!(
                "look at it: oc describe subscription,csv,installplan -n {OPERATOR_NAMESPACE}"
            ))
            .hint("--controller none cannot replace it: remove it first, or repair it");
    } else {
        plan.changes.push(SetupChange::Wait("wait until the operator is running".into()));
    }
    plan
}

/// The approval of the first InstallPlan, which somebody has to give where approval is manual. Updates of an operator
/// that was installed before are nobody's business here.
fn approval(setup: &SetupSession, operator: &Operator) -> Option<SetupChange> {
    let subscription = operator.subscription.as_ref()?;
    let install = subscription.install_plan.as_ref().filter(|install| install.needs_approval())?;
    let is_asked_for = subscription.ours || setup.answers.approval == Some(Approval::Manual);
    // One InstallPlan carries everything that is pending in the namespace, other people's operators too.
    let is_ours_alone = install.csvs.iter().all(|csv| csv.starts_with(PACKAGE));
    let is_first = operator.csv.as_ref().is_none_or(|csv| !csv.has_succeeded());
    (is_asked_for && is_ours_alone && is_first).then(|| {
        let patch = json!({ "metadata": { "resourceVersion": install.resource_version }, "spec": { "approved": true } });
        SetupChange::Object(ObjectChange {
            kind: ObjectKind::InstallPlan,
            namespace: Some(install.namespace.clone()),
            name: install.name.clone(),
            write: ObjectWrite::Merge(patch),
            summary: format!("approve InstallPlan {} ({}), just this one", install.name, install.csvs.join(", ")),
        })
    })
}

/// The InstallPlan that waits, beside a version that runs.
fn pending(operator: &Operator) -> Option<&str> {
    let install = operator.subscription.as_ref()?.install_plan.as_ref()?;
    install.needs_approval().then_some(install.name.as_str())
}

fn without(operator: &Operator, mut plan: StepPlan) -> StepPlan {
    plan.fact(Severity::Info, "without the operator namespaces are linked by oc quay link and kept right by oc quay repair");
    match plan_crd(operator, &mut plan) {
        Ok(()) => plan,
        Err(reason) => plan.blocked(reason).hint("run it again when that is over"),
    }
}

/// Has the cluster know QuayIntegrations.
///
/// # Errors
/// Why that cannot be now.
pub(super) fn plan_crd(operator: &Operator, plan: &mut StepPlan) -> Result<(), &'static str> {
    match &operator.crd {
        Some(crd) if crd.deleting => return Err("the QuayIntegration resource is being deleted"),
        Some(crd) if crd.established => {
            plan.fact(Severity::Ok, "the QuayIntegration resource is installed")
        }
        Some(_) => plan.changes.push(SetupChange::Wait(
            "wait until the cluster serves the QuayIntegration resource".into(),
        )),
        None => plan.changes.push(SetupChange::Object(ObjectChange {
            kind: ObjectKind::CustomResourceDefinition,
            namespace: None,
            name: QUAY_INTEGRATION_CRD_NAME.to_owned(),
            write: ObjectWrite::Create(quay_integration_crd()),
            summary: "install the QuayIntegration resource (CustomResourceDefinition)".into(),
        })),
    }
    Ok(())
}

fn subscribe(setup: &SetupSession, mut plan: StepPlan) -> StepPlan {
    let packages = match &setup.found.packages {
        Ok(packages) => packages,
        Err(unread) => return plan.blocked(unread.to_string()),
    };
    let Some(package) = package(setup, packages) else {
        let known: Vec<_> = packages.iter().map(|package| package.catalog.as_str()).collect();
        let reason = match (&setup.answers.catalog, known.is_empty()) {
            (Some(catalog), false) => format!(
                "catalog {catalog} does not have the operator; these do: {}",
                known.join(", ")
            ),
            (Some(catalog), true) => {
                format!("catalog {catalog} does not have the operator ({PACKAGE})")
            }
            (None, _) => format!("no catalog of this cluster has the operator ({PACKAGE})"),
        };
        return plan
            .blocked(reason)
            .hint("in a disconnected cluster, mirror the package and name its catalog with --operator-catalog")
            .hint("--controller none goes on without it: the commands of this plugin need no operator");
    };
    if !package.all_namespaces {
        return plan.blocked(format!(
            "the operator in catalog {} cannot watch all namespaces",
            package.catalog
        ));
    }
    let channel = setup.answers.channel.as_ref().unwrap_or(&package.default_channel);
    let Some(offered) = package.channels.iter().find(|offered| offered.name == *channel) else {
        let known: Vec<_> = package.channels.iter().map(|channel| channel.name.as_str()).collect();
        return plan.blocked(format!(
            "the operator has no channel {channel}; it has {}",
            known.join(", ")
        ));
    };
    let approval = setup.answers.approval.unwrap_or(Approval::Automatic);
    plan.fact(Severity::Info, "the Quay Bridge Operator is not installed");
    plan.changes.push(SetupChange::Object(ObjectChange {
        kind: ObjectKind::Subscription,
        namespace: Some(OPERATOR_NAMESPACE.into()),
        name: PACKAGE.into(),
        write: ObjectWrite::Create(subscription(
            &package.catalog,
            &package.catalog_namespace,
            channel,
            approval.as_str(),
        )),
        summary: format!(
            "install the operator {} from catalog {}, channel {channel}, {} approval",
            offered.version,
            package.catalog,
            approval.as_str().to_lowercase()
        ),
    }));
    plan
}

fn package<'a>(setup: &SetupSession, packages: &'a [Package]) -> Option<&'a Package> {
    match &setup.answers.catalog {
        Some(catalog) => packages.iter().find(|package| package.catalog == *catalog),
        None => packages
            .iter()
            .find(|package| package.catalog == "redhat-operators")
            .or_else(|| packages.first()),
    }
}

/// The objects that install the operator, those that are there already too, unless somebody else has installed it.
pub(in crate::setup) fn manifests(setup: &SetupSession) -> Vec<Value> {
    let Ok(operator) = &setup.found.operator else { return vec![] };
    let definition = || operator.crd.as_ref().is_none_or(|crd| crd.ours).then(quay_integration_crd);
    if setup.wants_in_cluster() {
        let bridge = setup.found.bridge.as_ref().map(|found| found.bridge.clone()).ok();
        return definition()
            .into_iter()
            .chain(bridge.iter().flat_map(ControllerManifests::manifests))
            .collect();
    }
    if setup.answers.controller == Some(ControllerKind::None) {
        return definition().into_iter().collect();
    }
    if let Some(found) = operator.subscription.as_ref().filter(|subscription| subscription.ours) {
        return vec![subscription(
            &found.catalog,
            &found.catalog_namespace,
            &found.channel,
            &found.approval,
        )];
    }
    if operator.extension.as_ref().is_some_and(|extension| extension.ours) {
        return created(extend(setup, StepPlan::default()));
    }
    if is_done_without(setup, operator) {
        return definition().into_iter().collect();
    }
    created(plan(setup))
}

fn created(plan: StepPlan) -> Vec<Value> {
    let objects = plan.changes.into_iter().filter_map(|change| match change {
        SetupChange::Object(ObjectChange { write: ObjectWrite::Create(object), .. }) => {
            Some(object)
        }
        _ => None,
    });
    objects.collect()
}

fn subscription(catalog: &str, catalog_namespace: &str, channel: &str, approval: &str) -> Value {
    json!({
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "Subscription",
        "metadata": { "name": PACKAGE, "namespace": OPERATOR_NAMESPACE, "labels": { MANAGED_BY_LABEL: MANAGED_BY } },
        "spec": {
            "name": PACKAGE,
            "channel": channel,
            "source": catalog,
            "sourceNamespace": catalog_namespace,
            "installPlanApproval": approval,
        },
    })
}

/// OLM v1: a ClusterExtension, and the service account that installs on its behalf (OLM v1, "Cluster extension
/// permissions").
fn extend(setup: &SetupSession, mut plan: StepPlan) -> StepPlan {
    plan.fact(
        Severity::Info,
        "the Quay Bridge Operator is not installed; the cluster has OLM v1 only",
    );
    let labels = json!({ MANAGED_BY_LABEL: MANAGED_BY });
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": { "name": INSTALLER, "namespace": OPERATOR_NAMESPACE, "labels": labels },
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": { "name": INSTALLER, "labels": labels },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "kind": "ServiceAccount", "name": INSTALLER, "namespace": OPERATOR_NAMESPACE }],
    });
    let mut catalog = json!({ "packageName": PACKAGE });
    if let Some(channel) = &setup.answers.channel {
        catalog["channels"] = json!([channel]);
    }
    if let Some(name) = &setup.answers.catalog {
        catalog["selector"] =
            json!({ "matchLabels": { "olm.operatorframework.io/metadata.name": name } });
    }
    let extension = json!({
        "apiVersion": "olm.operatorframework.io/v1",
        "kind": "ClusterExtension",
        "metadata": { "name": PACKAGE, "labels": labels },
        "spec": {
            "namespace": OPERATOR_NAMESPACE,
            "serviceAccount": { "name": INSTALLER },
            "source": { "sourceType": "Catalog", "catalog": catalog },
        },
    });
    let mut create = |kind, namespace: Option<&str>, name: &str, object, summary: &str| {
        plan.changes.push(SetupChange::Object(ObjectChange {
            kind,
            namespace: namespace.map(str::to_owned),
            name: name.into(),
            write: ObjectWrite::Create(object),
            summary: summary.into(),
        }));
    };
    let in_operators = Some(OPERATOR_NAMESPACE);
    create(
        ObjectKind::ServiceAccount,
        in_operators,
        INSTALLER,
        account,
        "create the service account that installs the operator",
    );
    create(
        ObjectKind::ClusterRoleBinding,
        None,
        INSTALLER,
        binding,
        "give it the role cluster-admin, which OLM v1 needs to install",
    );
    create(
        ObjectKind::ClusterExtension,
        None,
        PACKAGE,
        extension,
        "install the operator (ClusterExtension)",
    );
    plan
}

/// Asks who keeps namespaces linked; and if it is the operator, from which channel it comes and with whose approval.
pub(in crate::setup) async fn ask(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    let is_settled = |operator: &Operator| {
        setup.wants_in_cluster() || operator.is_installed() || is_done_without(setup, operator)
    };
    if setup.found.operator.as_ref().map_or(true, is_settled) {
        return Ok(());
    }
    if let Some(Blocker::Blocked { reason, .. }) = plan(setup).obstacle {
        ui.warn(&reason);
        return super::controller::choose(setup, ui, false).await;
    }
    if setup.bridge().is_none() && !is_asked_for(setup) {
        super::controller::choose(setup, ui, true).await?;
    }
    if matches!(setup.answers.controller, Some(ControllerKind::InCluster | ControllerKind::None)) {
        return Ok(());
    }
    let packages = setup.found.packages.clone().unwrap_or_default();
    let Some(package) = package(setup, &packages) else { return Ok(()) };
    if setup.answers.channel.is_none() {
        let options: Vec<_> = package
            .channels
            .iter()
            .map(|channel| (channel.name.as_str(), channel.version.as_str()))
            .collect();
        let default = package
            .channels
            .iter()
            .position(|channel| channel.name == package.default_channel)
            .unwrap_or_default();
        let chosen = ui.select("Channel of the operator:", &options, default)?;
        setup.answers.channel = package.channels.get(chosen).map(|channel| channel.name.clone());
    }
    if setup.answers.approval.is_none() {
        let options = [
            ("Automatic", "OLM installs updates by itself"),
            ("Manual", "somebody approves each update; this first one is approved now"),
        ];
        let chosen = ui.select("Approval of its updates:", &options, 0)?;
        setup.answers.approval =
            Some(if chosen == 0 { Approval::Automatic } else { Approval::Manual });
    }
    Ok(())
}

/// Waits until OLM is done, approving the one InstallPlan that is ours to approve.
pub(in crate::setup) async fn settle(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    if setup.wants_in_cluster() {
        return super::controller::settle(setup, ui).await;
    }
    let deadline = Instant::now() + setup.answers.operator_timeout;
    let waiting = ui.waiting("Waiting for the operator");
    loop {
        setup.discover_operator().await;
        let operator = match &setup.found.operator {
            Ok(operator) => operator,
            // One answer that is missing among hundreds is no reason to give up; a right that lacks does not come by itself.
            Err(unread)
                if unread.kind != ReadErrorKind::Forbidden
                    && Instant::now() + POLL_INTERVAL <= deadline =>
            {
                waiting.say(&unread.reason);
                backoff::sleep(POLL_INTERVAL).await;
                continue;
            }
            Err(unread) => return Err(Error::new(unread.to_string())),
        };
        let is_established = operator.crd.as_ref().is_some_and(|crd| crd.established);
        if operator.is_healthy()
            || (!operator.is_installed() && is_done_without(setup, operator) && is_established)
        {
            return Ok(());
        }
        if let Some(change) = approval(setup, operator) {
            ui.status(&printable(&change.summary()));
            // OLM writes to it all the time; what fails now is looked at again.
            match Box::pin(setup.apply(ui, &change)).await {
                Err(error) if Instant::now() + POLL_INTERVAL > deadline => return Err(error),
                _ => backoff::sleep(POLL_INTERVAL).await,
            }
            continue;
        }
        if let Some(Blocker::Blocked { reason, hints }) =
            plan(setup).obstacle.filter(|_| pending(operator).is_some())
        {
            return Err(hints.into_iter().fold(Error::new(reason), Error::hint));
        }
        let problems = operator.problems();
        if operator.has_failed() || Instant::now() + POLL_INTERVAL > deadline {
            let what = if operator.has_failed() {
                "the operator could not be installed"
            } else {
                "the operator is still not running"
            };
            let what = if problems.is_empty() {
                what.to_owned()
            } else {
                format!("{what}: {}", problems.join("; "))
            };
            return Err(Error::new(what)
                .hint(format!(
                    "look at it: oc describe subscription,csv,installplan -n {OPERATOR_NAMESPACE}"
                ))
                .hint(
                    "the same command goes on where it stopped; --operator-timeout waits longer",
                ));
        }
        waiting.say(&operator.progress());
        backoff::sleep(POLL_INTERVAL).await;
    }
}
