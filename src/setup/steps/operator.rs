//! The Quay Bridge Operator: its health and its installation.

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
use crate::printable::printable;
use crate::setup::controller_manifests::ControllerManifests;
use crate::setup::{
    Approval, Blocker, ControllerKind, ObjectChange, ObjectWrite, SetupChange, SetupSession,
    StepPlan,
};
use crate::ui::Ui;

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
        return plan_existing(setup, operator, plan);
    }
    if runs_without_operator(setup, operator) {
        return plan_without_operator(operator, plan);
    }
    if setup.serves("operators.coreos.com") {
        plan_subscription(setup, plan)
    } else if setup.serves("olm.operatorframework.io") {
        plan_cluster_extension(setup, plan)
    } else {
        plan.blocked(
            "the cluster has no Operator Lifecycle Manager, so the operator cannot be installed",
        )
        .hint("use --controller none to continue without it: the commands of this plugin need no operator")
    }
}

/// Whether no operator is wanted: requested now, or chosen earlier (recorded in the
/// QuayIntegration, or its CRD is ours) and not overridden by installation flags.
fn runs_without_operator(setup: &SetupSession, operator: &Operator) -> bool {
    let is_alone =
        setup.controller_kind().is_none() && operator.crd.as_ref().is_some_and(|crd| crd.ours);
    let has_been_said = is_alone || setup.controller_kind() == Some(ControllerKind::None);
    setup.options.controller == Some(ControllerKind::None)
        || (has_been_said && !has_operator_options(setup))
}

fn has_operator_options(setup: &SetupSession) -> bool {
    let options = &setup.options;
    options.catalog.is_some() || options.channel.is_some() || options.approval.is_some()
}

fn plan_existing(setup: &SetupSession, operator: &Operator, mut plan: StepPlan) -> StepPlan {
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
        plan.note(
            Severity::Ok,
            format!("the Quay Bridge Operator is running ({version}{through})"),
        );
        if let Some(pending) = pending_install_plan(operator) {
            let text = format!(
                "an update requires approval: InstallPlan {pending} in namespace {OPERATOR_NAMESPACE}"
            );
            plan.note(Severity::Info, text);
        }
        if !matches!(operator.webhook, Ok(Some(_))) {
            plan.note(Severity::Info, "its build webhook is missing or could not be read");
        }
        if setup.options.controller == Some(ControllerKind::None) {
            plan.note(
                Severity::Info,
                "it is kept despite --controller none: setup does not remove it",
            );
        }
        return plan;
    }
    if let Some(stopped) = operator.stopped() {
        let (namespace, name) = (&stopped.namespace, &stopped.name);
        plan.note(
            Severity::Warning,
            format!("the Quay Bridge Operator is installed ({version}{through}) but not running"),
        );
        return plan
            .blocked(format!("Deployment {name} in namespace {namespace} is scaled to 0"))
            .hint(format!("start it: oc scale deployment {name} -n {namespace} --replicas 1"))
            .hint("or replace it with the in-cluster controller: --controller in-cluster --replace-operator");
    }
    let state = if operator.is_installation_complete() {
        "is installed but not working"
    } else {
        "is being installed"
    };
    plan.note(Severity::Info, format!("the Quay Bridge Operator {state} ({version}{through})"));
    for problem in operator.problems() {
        plan.note(Severity::Warning, problem);
    }
    if let Some(approval) = plan_approval(setup, operator) {
        plan.changes.push(approval);
    } else if let Some(pending) = pending_install_plan(operator) {
        return plan
            .blocked(format!("InstallPlan {pending} in namespace {OPERATOR_NAMESPACE} requires approval"))
            .hint(format!("approve it: oc patch installplan {pending} -n {OPERATOR_NAMESPACE} --type merge -p '{{\"spec\":{{\"approved\":true}}}}'"))
            .hint("or use --operator-approval manual, if it installs only this operator");
    } else if operator.has_failed() {
        return plan
            .blocked("the operator is installed but unhealthy")
            .hint(format!(
                "inspect it: oc describe subscription,csv,installplan -n {OPERATOR_NAMESPACE}"
            ))
            .hint("--controller none cannot replace it: remove it first, or repair it");
    } else {
        plan.changes.push(SetupChange::Wait("wait until the operator is running".into()));
    }
    plan
}

/// The approval of the first InstallPlan, with manual approval. Updates of an operator that others
/// installed are not approved.
fn plan_approval(setup: &SetupSession, operator: &Operator) -> Option<SetupChange> {
    let subscription = operator.subscription.as_ref()?;
    let install = subscription.install_plan.as_ref().filter(|install| install.needs_approval())?;
    let is_allowed = subscription.ours || setup.options.approval == Some(Approval::Manual);
    // An InstallPlan covers all pending changes in the namespace, including other operators.
    let is_ours_alone = install.csvs.iter().all(|csv| csv.starts_with(PACKAGE));
    let is_first = operator.csv.as_ref().is_none_or(|csv| !csv.has_succeeded());
    (is_allowed && is_ours_alone && is_first).then(|| {
        let patch = json!({ "metadata": { "resourceVersion": install.resource_version }, "spec": { "approved": true } });
        SetupChange::Object(ObjectChange {
            kind: ObjectKind::InstallPlan,
            namespace: Some(install.namespace.clone()),
            name: install.name.clone(),
            write: ObjectWrite::Merge(patch),
            summary: format!("approve InstallPlan {} ({})", install.name, install.csvs.join(", ")),
        })
    })
}

/// The InstallPlan that requires approval.
fn pending_install_plan(operator: &Operator) -> Option<&str> {
    let install = operator.subscription.as_ref()?.install_plan.as_ref()?;
    install.needs_approval().then_some(install.name.as_str())
}

fn plan_without_operator(operator: &Operator, mut plan: StepPlan) -> StepPlan {
    plan.note(
        Severity::Info,
        "without a controller, manage namespaces with oc quay link and oc quay repair",
    );
    match plan_crd(operator, &mut plan) {
        Ok(()) => plan,
        Err(reason) => plan.blocked(reason).hint("run the command again when it is deleted"),
    }
}

/// Plans the CustomResourceDefinition.
///
/// # Errors
/// When it is being deleted.
pub(super) fn plan_crd(operator: &Operator, plan: &mut StepPlan) -> Result<(), &'static str> {
    match &operator.crd {
        Some(crd) if crd.deleting => return Err("the QuayIntegration resource is being deleted"),
        Some(crd) if crd.established => {
            plan.note(Severity::Ok, "the QuayIntegration resource is installed")
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

fn plan_subscription(setup: &SetupSession, mut plan: StepPlan) -> StepPlan {
    let packages = match &setup.found.packages {
        Ok(packages) => packages,
        Err(unread) => return plan.blocked(unread.to_string()),
    };
    let Some(package) = select_package(setup, packages) else {
        let known: Vec<_> = packages.iter().map(|package| package.catalog.as_str()).collect();
        let reason = match (&setup.options.catalog, known.is_empty()) {
            (Some(catalog), false) => format!(
                "catalog {catalog} does not contain the operator; catalogs that do: {}",
                known.join(", ")
            ),
            (Some(catalog), true) => {
                format!("catalog {catalog} does not contain the operator ({PACKAGE})")
            }
            (None, _) => format!("no catalog of this cluster contains the operator ({PACKAGE})"),
        };
        return plan
            .blocked(reason)
            .hint("in a disconnected cluster, mirror the package and pass its catalog with --operator-catalog")
            .hint("use --controller none to continue without it: the commands of this plugin need no operator");
    };
    if !package.all_namespaces {
        return plan.blocked(format!(
            "the operator in catalog {} cannot watch all namespaces",
            package.catalog
        ));
    }
    let channel = setup.options.channel.as_ref().unwrap_or(&package.default_channel);
    let Some(offered) = package.channels.iter().find(|offered| offered.name == *channel) else {
        let known: Vec<_> = package.channels.iter().map(|channel| channel.name.as_str()).collect();
        return plan.blocked(format!(
            "the operator has no channel {channel}; available: {}",
            known.join(", ")
        ));
    };
    let approval = setup.options.approval.unwrap_or(Approval::Automatic);
    plan.note(Severity::Info, "the Quay Bridge Operator is not installed");
    plan.changes.push(SetupChange::Object(ObjectChange {
        kind: ObjectKind::Subscription,
        namespace: Some(OPERATOR_NAMESPACE.into()),
        name: PACKAGE.into(),
        write: ObjectWrite::Create(subscription_manifest(
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

fn select_package<'a>(setup: &SetupSession, packages: &'a [Package]) -> Option<&'a Package> {
    match &setup.options.catalog {
        Some(catalog) => packages.iter().find(|package| package.catalog == *catalog),
        None => packages
            .iter()
            .find(|package| package.catalog == "redhat-operators")
            .or_else(|| packages.first()),
    }
}

/// Manifests of the installation, also for existing objects; none for an operator that others
/// installed.
pub(in crate::setup) fn manifests(setup: &SetupSession) -> Vec<Value> {
    let Ok(operator) = &setup.found.operator else { return vec![] };
    let crd = || operator.crd.as_ref().is_none_or(|crd| crd.ours).then(quay_integration_crd);
    if setup.wants_in_cluster() {
        let controller = setup.found.controller.as_ref().map(|found| &found.manifests).ok();
        return crd()
            .into_iter()
            .chain(controller.into_iter().flat_map(ControllerManifests::manifests))
            .collect();
    }
    if setup.options.controller == Some(ControllerKind::None) {
        return crd().into_iter().collect();
    }
    if let Some(found) = operator.subscription.as_ref().filter(|subscription| subscription.ours) {
        return vec![subscription_manifest(
            &found.catalog,
            &found.catalog_namespace,
            &found.channel,
            &found.approval,
        )];
    }
    if operator.extension.as_ref().is_some_and(|extension| extension.ours) {
        return created_objects(plan_cluster_extension(setup, StepPlan::default()));
    }
    if runs_without_operator(setup, operator) {
        return crd().into_iter().collect();
    }
    created_objects(plan(setup))
}

fn created_objects(plan: StepPlan) -> Vec<Value> {
    let objects = plan.changes.into_iter().filter_map(|change| match change {
        SetupChange::Object(ObjectChange { write: ObjectWrite::Create(object), .. }) => {
            Some(object)
        }
        _ => None,
    });
    objects.collect()
}

fn subscription_manifest(
    catalog: &str,
    catalog_namespace: &str,
    channel: &str,
    approval: &str,
) -> Value {
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

/// Plans an installation by OLM v1: a ClusterExtension and its service account (OLM v1, "Cluster
/// extension permissions").
fn plan_cluster_extension(setup: &SetupSession, mut plan: StepPlan) -> StepPlan {
    plan.note(
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
    if let Some(channel) = &setup.options.channel {
        catalog["channels"] = json!([channel]);
    }
    if let Some(name) = &setup.options.catalog {
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
        "bind it to the role cluster-admin, which OLM v1 requires",
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

/// Asks for the controller; for the operator also for channel and approval.
pub(in crate::setup) async fn ask(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    let is_settled = |operator: &Operator| {
        setup.wants_in_cluster()
            || operator.is_installed()
            || runs_without_operator(setup, operator)
    };
    if setup.found.operator.as_ref().map_or(true, is_settled) {
        return Ok(());
    }
    if let Some(Blocker::Blocked { reason, .. }) = plan(setup).blocker {
        ui.warn(&reason);
        return super::controller::ask(setup, ui, false).await;
    }
    if setup.controller_kind().is_none() && !has_operator_options(setup) {
        super::controller::ask(setup, ui, true).await?;
    }
    if matches!(setup.options.controller, Some(ControllerKind::InCluster | ControllerKind::None)) {
        return Ok(());
    }
    let packages = setup.found.packages.clone().unwrap_or_default();
    let Some(package) = select_package(setup, &packages) else { return Ok(()) };
    if setup.options.channel.is_none() {
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
        setup.options.channel = package.channels.get(chosen).map(|channel| channel.name.clone());
    }
    if setup.options.approval.is_none() {
        let options = [
            ("Automatic", "OLM installs updates automatically"),
            ("Manual", "an administrator approves each update; the first one is approved now"),
        ];
        let chosen = ui.select("Approval of its updates:", &options, 0)?;
        setup.options.approval =
            Some(if chosen == 0 { Approval::Automatic } else { Approval::Manual });
    }
    Ok(())
}

/// Waits for OLM, and approves the first InstallPlan if that is requested.
pub(in crate::setup) async fn wait_until_ready(
    setup: &mut SetupSession,
    ui: &Ui,
) -> Result<(), Error> {
    if setup.wants_in_cluster() {
        return super::controller::wait_until_ready(setup, ui).await;
    }
    let deadline = Instant::now() + setup.options.operator_timeout;
    let waiting = ui.waiting("Waiting for the operator");
    loop {
        setup.discover_operator().await;
        let operator = match &setup.found.operator {
            Ok(operator) => operator,
            // Read errors are retried, except for a missing permission.
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
            || (!operator.is_installed()
                && runs_without_operator(setup, operator)
                && is_established)
        {
            return Ok(());
        }
        if let Some(change) = plan_approval(setup, operator) {
            ui.status(&printable(&change.summary()));
            // OLM updates it often; conflicts are retried.
            match Box::pin(setup.apply(ui, &change)).await {
                Err(error) if Instant::now() + POLL_INTERVAL > deadline => return Err(error),
                _ => backoff::sleep(POLL_INTERVAL).await,
            }
            continue;
        }
        if let Some(Blocker::Blocked { reason, hints }) =
            plan(setup).blocker.filter(|_| pending_install_plan(operator).is_some())
        {
            return Err(hints.into_iter().fold(Error::new(reason), Error::hint));
        }
        let problems = operator.problems();
        if operator.has_failed() || Instant::now() + POLL_INTERVAL > deadline {
            let what = if operator.has_failed() {
                "failed to install the operator"
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
                    "inspect it: oc describe subscription,csv,installplan -n {OPERATOR_NAMESPACE}"
                ))
                .hint("run the same command again to resume, or increase --operator-timeout"));
        }
        waiting.say(&operator.progress());
        backoff::sleep(POLL_INTERVAL).await;
    }
}
