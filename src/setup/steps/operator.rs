//! The Quay Bridge Operator: whether it is there and healthy, or how to get it.

use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::bridge::finding::Level;
use crate::bridge::names::{MANAGED_BY, MANAGED_BY_LABEL};
use crate::cluster::{
    OPERATOR_NAMESPACE, ObjectKind, Operator, PACKAGE, Package, QUAY_INTEGRATION_CRD_NAME, quay_integration_crd,
};
use crate::error::Error;
use crate::setup::{Approval, Change, ObjectChange, Obstacle, Plan, Setup, Write};
use crate::ui::Ui;

/// OLM v1 installs on behalf of this service account.
pub(in crate::setup) const INSTALLER: &str = "quay-bridge-operator-installer";

/// How often it is looked whether OLM is done.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(in crate::setup) fn plan(setup: &Setup) -> Plan {
    let plan = Plan::default();
    let operator = match &setup.found.operator {
        Ok(operator) => operator,
        Err(unread) => return plan.blocked(format!("could not {}: {}", unread.call, unread.reason)),
    };
    if operator.is_installed() {
        return there(setup, operator, plan);
    }
    if setup.answers.without_operator {
        return without(operator, plan);
    }
    if setup.serves("operators.coreos.com") {
        subscribe(setup, plan)
    } else if setup.serves("olm.operatorframework.io") {
        extend(setup, plan)
    } else {
        plan.blocked("the cluster has no Operator Lifecycle Manager, so the operator cannot be installed")
            .hint("--without-operator goes on without it: the commands of this plugin need no operator")
    }
}

fn there(setup: &Setup, operator: &Operator, mut plan: Plan) -> Plan {
    let version = operator.version().unwrap_or("of unknown version").to_owned();
    let through = match &operator.subscription {
        Some(subscription) => {
            let approval = subscription.approval.to_lowercase();
            format!(", channel {} of catalog {}, {approval} approval", subscription.channel, subscription.catalog)
        }
        None if operator.extension.is_some() => ", through OLM v1".to_owned(),
        None => String::new(),
    };
    if operator.is_healthy() {
        plan.fact(Level::Ok, format!("the Quay Bridge Operator is running ({version}{through})"));
        if let Some(pending) = pending(operator) {
            let text = format!("an update waits for approval: InstallPlan {pending} in namespace {OPERATOR_NAMESPACE}");
            plan.fact(Level::Info, text);
        }
        if !matches!(operator.webhook, Ok(Some(_))) {
            plan.fact(Level::Info, "its webhook for builds is not there, or may not be read");
        }
        if setup.answers.without_operator {
            plan.fact(Level::Info, "it stays, although you asked to do without it: this command removes nothing");
        }
        return plan;
    }
    plan.fact(Level::Info, format!("the Quay Bridge Operator is being installed ({version}{through})"));
    for problem in operator.problems() {
        plan.fact(Level::Warning, problem);
    }
    if let Some(approval) = approval(setup, operator) {
        plan.changes.push(approval);
    } else if operator.has_failed() {
        return plan
            .blocked("the operator is there, but not healthy")
            .hint(format!("look at it: oc describe subscription,csv,installplan -n {OPERATOR_NAMESPACE}"))
            .hint("--without-operator cannot replace it: remove it first, or repair it");
    } else {
        plan.changes.push(Change::Wait("wait until the operator is running".into()));
    }
    plan
}

/// The approval of the first InstallPlan, which somebody has to give where approval is manual. Updates of an operator
/// that was installed before are nobody's business here.
fn approval(setup: &Setup, operator: &Operator) -> Option<Change> {
    let subscription = operator.subscription.as_ref()?;
    let install = subscription.install_plan.as_ref().filter(|install| install.needs_approval())?;
    let is_asked_for = subscription.ours || setup.answers.approval == Some(Approval::Manual);
    let is_first = operator.csv.as_ref().is_none_or(|csv| !csv.has_succeeded());
    (is_asked_for && is_first).then(|| {
        let patch = json!({ "metadata": { "resourceVersion": install.resource_version }, "spec": { "approved": true } });
        Change::Object(ObjectChange {
            kind: ObjectKind::InstallPlan,
            namespace: Some(install.namespace.clone()),
            name: install.name.clone(),
            write: Write::Merge(patch),
            summary: format!("approve InstallPlan {} ({}), just this one", install.name, install.csvs.join(", ")),
        })
    })
}

/// The InstallPlan that waits, beside a version that runs.
fn pending(operator: &Operator) -> Option<&str> {
    let install = operator.subscription.as_ref()?.install_plan.as_ref()?;
    install.needs_approval().then_some(install.name.as_str())
}

fn without(operator: &Operator, mut plan: Plan) -> Plan {
    plan.fact(Level::Info, "without the operator namespaces are linked by oc quay link and kept right by oc quay repair");
    match &operator.crd {
        Some(crd) if crd.established => plan.fact(Level::Ok, "the QuayIntegration resource is installed"),
        Some(_) => plan.changes.push(Change::Wait("wait until the cluster serves the QuayIntegration resource".into())),
        None => plan.changes.push(Change::Object(ObjectChange {
            kind: ObjectKind::CustomResourceDefinition,
            namespace: None,
            name: QUAY_INTEGRATION_CRD_NAME.to_owned(),
            write: Write::Create(crd()),
            summary: "install the QuayIntegration resource (CustomResourceDefinition)".into(),
        })),
    }
    plan
}

/// The operator's CustomResourceDefinition, with our label.
fn crd() -> Value {
    let mut crd = quay_integration_crd();
    crd["metadata"]["labels"] = json!({ MANAGED_BY_LABEL: MANAGED_BY });
    crd
}

fn subscribe(setup: &Setup, mut plan: Plan) -> Plan {
    let packages = match &setup.found.packages {
        Ok(packages) => packages,
        Err(unread) => return plan.blocked(format!("could not {}: {}", unread.call, unread.reason)),
    };
    let Some(package) = package(setup, packages) else {
        let known: Vec<_> = packages.iter().map(|package| package.catalog.as_str()).collect();
        let reason = match (&setup.answers.catalog, known.is_empty()) {
            (Some(catalog), false) => format!("catalog {catalog} does not have the operator; these do: {}", known.join(", ")),
            (Some(catalog), true) => format!("catalog {catalog} does not have the operator ({PACKAGE})"),
            (None, _) => format!("no catalog of this cluster has the operator ({PACKAGE})"),
        };
        return plan
            .blocked(reason)
            .hint("in a disconnected cluster, mirror the package and name its catalog with --operator-catalog")
            .hint("--without-operator goes on without it: the commands of this plugin need no operator");
    };
    let channel = setup.answers.channel.as_ref().unwrap_or(&package.default_channel);
    let Some(offered) = package.channels.iter().find(|offered| offered.name == *channel) else {
        let known: Vec<_> = package.channels.iter().map(|channel| channel.name.as_str()).collect();
        return plan.blocked(format!("the operator has no channel {channel}; it has {}", known.join(", ")));
    };
    let approval = setup.answers.approval.unwrap_or(Approval::Automatic);
    plan.fact(Level::Info, "the Quay Bridge Operator is not installed");
    plan.changes.push(Change::Object(ObjectChange {
        kind: ObjectKind::Subscription,
        namespace: Some(OPERATOR_NAMESPACE.into()),
        name: PACKAGE.into(),
        write: Write::Create(subscription(package, channel, approval)),
        summary: format!(
            "install the operator {} from catalog {}, channel {channel}, {} approval",
            offered.version,
            package.catalog,
            approval.as_str().to_lowercase()
        ),
    }));
    plan
}

fn package<'a>(setup: &Setup, packages: &'a [Package]) -> Option<&'a Package> {
    match &setup.answers.catalog {
        Some(catalog) => packages.iter().find(|package| package.catalog == *catalog),
        None => packages.iter().find(|package| package.catalog == "redhat-operators").or_else(|| packages.first()),
    }
}

fn subscription(package: &Package, channel: &str, approval: Approval) -> Value {
    json!({
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "Subscription",
        "metadata": { "name": PACKAGE, "namespace": OPERATOR_NAMESPACE, "labels": { MANAGED_BY_LABEL: MANAGED_BY } },
        "spec": {
            "name": PACKAGE,
            "channel": channel,
            "source": package.catalog,
            "sourceNamespace": package.catalog_namespace,
            "installPlanApproval": approval.as_str(),
        },
    })
}

/// OLM v1: a ClusterExtension, and the service account that installs on its behalf (OLM v1, "Cluster extension
/// permissions").
fn extend(setup: &Setup, mut plan: Plan) -> Plan {
    plan.fact(Level::Info, "the Quay Bridge Operator is not installed; the cluster has OLM v1 only");
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
        catalog["selector"] = json!({ "matchLabels": { "olm.operatorframework.io/metadata.name": name } });
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
        plan.changes.push(Change::Object(ObjectChange {
            kind,
            namespace: namespace.map(str::to_owned),
            name: name.into(),
            write: Write::Create(object),
            summary: summary.into(),
        }));
    };
    let in_operators = Some(OPERATOR_NAMESPACE);
    create(ObjectKind::ServiceAccount, in_operators, INSTALLER, account, "create the service account that installs the operator");
    create(
        ObjectKind::ClusterRoleBinding,
        None,
        INSTALLER,
        binding,
        "give it the role cluster-admin, which OLM v1 needs to install",
    );
    create(ObjectKind::ClusterExtension, None, PACKAGE, extension, "install the operator (ClusterExtension)");
    plan
}

/// Asks from which catalog and channel, with whose approval; or whether to go on without the operator.
pub(in crate::setup) fn ask(setup: &mut Setup, ui: &Ui) -> Result<(), Error> {
    let is_there = setup.found.operator.as_ref().map_or(true, Operator::is_installed);
    if is_there || setup.answers.without_operator {
        return Ok(());
    }
    if let Some(Obstacle::Blocked { reason, .. }) = plan(setup).obstacle {
        ui.warn(&reason);
        setup.answers.without_operator = ui.confirm("Go on without the operator?", true)?;
        return Ok(());
    }
    let packages = setup.found.packages.clone().unwrap_or_default();
    let Some(package) = package(setup, &packages) else { return Ok(()) };
    if setup.answers.channel.is_none() {
        let options: Vec<_> = package.channels.iter().map(|channel| (channel.name.as_str(), channel.version.as_str())).collect();
        let default = package.channels.iter().position(|channel| channel.name == package.default_channel).unwrap_or_default();
        let chosen = ui.select("Channel of the operator", &options, default)?;
        setup.answers.channel = package.channels.get(chosen).map(|channel| channel.name.clone());
    }
    if setup.answers.approval.is_none() {
        let options = [
            ("Automatic", "OLM installs updates by itself"),
            ("Manual", "somebody approves each update; this first one is approved now"),
        ];
        let chosen = ui.select("Approval of its updates", &options, 0)?;
        setup.answers.approval = Some(if chosen == 0 { Approval::Automatic } else { Approval::Manual });
    }
    Ok(())
}

/// Waits until OLM is done, approving the one InstallPlan that is ours to approve.
pub(in crate::setup) async fn settle(setup: &mut Setup, ui: &Ui) -> Result<(), Error> {
    let deadline = Instant::now() + setup.answers.operator_wait;
    let waiting = ui.waiting("Waiting for the operator");
    loop {
        setup.find_operator().await;
        let operator = match &setup.found.operator {
            Ok(operator) => operator,
            Err(unread) => return Err(Error::new(format!("could not {}: {}", unread.call, unread.reason))),
        };
        let is_established = operator.crd.as_ref().is_some_and(|crd| crd.established);
        if operator.is_healthy() || (setup.answers.without_operator && !operator.is_installed() && is_established) {
            return Ok(());
        }
        if let Some(change) = approval(setup, operator) {
            ui.status(&change.summary());
            Box::pin(setup.apply(ui, &change)).await?;
            continue;
        }
        let problems = operator.problems();
        if operator.has_failed() || Instant::now() + LOOK_AGAIN > deadline {
            let what =
                if operator.has_failed() { "the operator could not be installed" } else { "the operator is still not running" };
            let what = if problems.is_empty() { what.to_owned() } else { format!("{what}: {}", problems.join("; ")) };
            return Err(Error::new(what)
                .hint(format!("look at it: oc describe subscription,csv,installplan -n {OPERATOR_NAMESPACE}"))
                .hint("the same command goes on where it stopped; --operator-wait waits longer"));
        }
        waiting.say(&operator.progress());
        sleep(LOOK_AGAIN).await;
    }
}
