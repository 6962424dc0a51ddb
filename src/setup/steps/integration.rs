//! The QuayIntegration: cluster ID and namespaces.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::cluster::{Cluster, ObjectKind};
use crate::domain::finding::Severity;
use crate::domain::integration::QuayIntegration;
use crate::domain::names::{
    CONTROLLER_ANNOTATION, ClusterId, MANAGED_BY, MANAGED_BY_LABEL, QuayUrl, UrlProblem,
    validate_kubernetes_name,
};
use crate::domain::ownership_mark::{ClusterIdentity, Owner, OwnershipMark};
use crate::domain::scope::Scope;
use crate::error::Error;
use crate::setup::{CLUSTER_ID, ObjectChange, ObjectWrite, SetupChange, SetupSession, StepPlan};
use crate::ui::Ui;

/// Name of a new QuayIntegration.
const NAME: &str = "quay";

/// More organizations than this suggest an allowlist.
const PREVIEW_LIMIT: usize = 50;

/// Organizations to check for another cluster's ownership mark; each costs a call to Quay.
const MAX_PREVIEW_NAMESPACES: usize = 3;

pub(in crate::setup) fn plan(setup: &SetupSession) -> StepPlan {
    let mut plan = StepPlan::default();
    if let Err(unread) = &setup.found.integrations {
        return plan.blocked(unread.to_string());
    }
    if setup.found.integrations.as_ref().is_ok_and(|found| found.len() > 1) {
        return plan.blocked("multiple QuayIntegrations found; exactly one is required");
    }
    let Some(wanted) = wanted(setup) else {
        return plan.skipped("the address of Quay is not known yet");
    };
    let id = ClusterId::new(&wanted.cluster_id);
    if let Some(problem) = id.problem() {
        return plan.blocked(format!("invalid cluster ID `{id}`: {problem}")).hint(
            "--cluster-id takes lower-case letters and digits, with single hyphens between them",
        );
    }
    for name in wanted.allow.iter().chain(&wanted.deny) {
        if let Err(problem) = validate_kubernetes_name(name) {
            return plan.blocked(format!("invalid namespace name: {problem}"));
        }
    }
    if let Some(problem) = cluster_id_conflict(&mut plan, setup, &id) {
        return plan
            .blocked(problem)
            .hint(format!("use another ID for this cluster, such as --cluster-id {id}-2"))
            .hint("or, if this cluster replaces that one: --adopt");
    }
    if let Some(problem) = cluster_id_change_problem(setup, &wanted) {
        return plan
            .blocked(problem)
            .hint("omit --cluster-id; or first run oc quay unlink -A, then oc quay teardown");
    }
    add_scope(&mut plan, setup, &id);
    match setup.existing() {
        Some(existing) => plan_edit(&mut plan, existing, &wanted),
        None => plan.changes.push(plan_create(&wanted)),
    }
    plan
}

/// Reason against a change of the cluster ID: linked namespaces would lose their organizations.
fn cluster_id_change_problem(setup: &SetupSession, wanted: &QuayIntegration) -> Option<String> {
    let before = ClusterId::new(&setup.existing()?.cluster_id);
    if before.as_str() == wanted.cluster_id || before.problem().is_some() {
        return None;
    }
    let organizations = setup.token_info().and_then(|info| info.organizations.as_ref());
    let is_in_use = organizations
        .is_none_or(|known| known.iter().any(|name| name.starts_with(&before.organization(""))));
    is_in_use.then(|| {
        format!(
            "the cluster ID is {before}, and organizations and secrets use it: with {}, every namespace would get a new organization, \
             without its images",
            wanted.cluster_id
        )
    })
}

/// The desired QuayIntegration: from the options, else as it exists, else the documentation's
/// defaults.
fn wanted(setup: &SetupSession) -> Option<QuayIntegration> {
    let existing = setup.existing().cloned();
    let options = &setup.options;
    let before = existing.clone().unwrap_or_else(|| QuayIntegration {
        name: NAME.into(),
        cluster_id: CLUSTER_ID.into(),
        ..Default::default()
    });
    Some(QuayIntegration {
        cluster_id: options.cluster_id.clone().unwrap_or(before.cluster_id),
        hostname: hostname(&before.hostname, &setup.url()?),
        insecure: setup.insecure(),
        scheduled: options.scheduled.unwrap_or(before.scheduled),
        allow: with_linked(
            options.allow.clone().unwrap_or(before.allow),
            options.link.as_deref().unwrap_or_default(),
        ),
        deny: options.deny.clone().unwrap_or(before.deny),
        credentials: Some(setup.secret()),
        controller: options
            .controller
            .map(|controller| controller.as_str().to_owned())
            .or(before.controller),
        name: before.name,
        uid: before.uid,
        resource_version: before.resource_version,
    })
}

/// Adds the namespaces to link to an allowlist, if there is one.
fn with_linked(mut allow: Vec<String>, link: &[String]) -> Vec<String> {
    if !allow.is_empty() {
        allow.extend(link.iter().filter(|name| !allow.contains(name)).cloned().collect::<Vec<_>>());
    }
    allow
}

/// The address as the operator accepts it. An equivalent spelling is kept.
fn hostname(written: &str, url: &QuayUrl) -> String {
    match QuayUrl::parse(written) {
        Ok((same, problems)) if same == *url && !problems.contains(&UrlProblem::NoScheme) => {
            written.to_owned()
        }
        _ => url.to_string(),
    }
}

fn plan_create(wanted: &QuayIntegration) -> SetupChange {
    SetupChange::Object(ObjectChange {
        kind: ObjectKind::QuayIntegration,
        namespace: None,
        name: wanted.name.clone(),
        write: ObjectWrite::Create(object(wanted)),
        summary: format!(
            "create QuayIntegration {} with cluster ID {} for {}",
            wanted.name, wanted.cluster_id, wanted.hostname
        ),
    })
}

/// Rejects a second QuayIntegration, with which the operator would ignore both. One with our name,
/// from an earlier attempt, fails on creation.
pub(in crate::setup) async fn ensure_single(cluster: &Cluster) -> Result<(), Error> {
    let known = cluster.integrations().await.map_err(|unread| Error::new(unread.to_string()))?;
    match known.iter().find(|integration| integration.name != NAME) {
        Some(other) => Err(Error::new(format!(
            "QuayIntegration {} was created in the meantime; only one is allowed",
            other.name
        ))
        .hint("run the command again; it starts from the existing one")),
        None => Ok(()),
    }
}

pub(in crate::setup) fn manifest(setup: &SetupSession) -> Option<Value> {
    Some(object(&wanted(setup)?))
}

fn object(wanted: &QuayIntegration) -> Value {
    let is_set = |value: &Value| *value != json!([]) && *value != json!(false);
    let spec: Map<_, _> = fields(wanted).into_iter().filter(|(_, value)| is_set(value)).collect();
    let mut metadata = json!({ "name": wanted.name, "labels": { MANAGED_BY_LABEL: MANAGED_BY } });
    if let Some(controller) = &wanted.controller {
        metadata["annotations"] = json!({ CONTROLLER_ANNOTATION: controller });
    }
    json!({ "apiVersion": "quay.redhat.com/v1", "kind": "QuayIntegration", "metadata": metadata, "spec": spec })
}

/// Plans a merge patch of the differences, with the `resourceVersion` that was read.
fn plan_edit(plan: &mut StepPlan, existing: &QuayIntegration, wanted: &QuayIntegration) {
    let different: Map<_, _> = fields(wanted)
        .into_iter()
        .zip(fields(existing))
        .filter(|((_, wanted), (_, existing))| wanted != existing)
        .map(|(wanted, (name, existing))| {
            plan.note(Severity::Info, format!("{name}: {existing} → {}", wanted.1));
            wanted
        })
        .collect();
    let controller =
        wanted.controller.as_ref().filter(|_| wanted.controller != existing.controller);
    if different.is_empty() && controller.is_none() {
        plan.note(
            Severity::Ok,
            format!(
                "QuayIntegration {}, cluster ID {}, {}",
                existing.name, existing.cluster_id, existing.hostname
            ),
        );
        return;
    }
    let mut names: Vec<_> = different.keys().map(String::as_str).collect();
    let mut patch = json!({ "metadata": { "resourceVersion": existing.resource_version } });
    if !different.is_empty() {
        patch["spec"] = json!(different);
    }
    if let Some(controller) = controller {
        let before = existing.controller.as_deref().unwrap_or("not set");
        plan.note(
            Severity::Info,
            format!("annotation {CONTROLLER_ANNOTATION}: {before} → {controller}"),
        );
        names.push(CONTROLLER_ANNOTATION);
        patch["metadata"]["annotations"] = json!({ CONTROLLER_ANNOTATION: controller });
    }
    plan.changes.push(SetupChange::Object(ObjectChange {
        kind: ObjectKind::QuayIntegration,
        namespace: None,
        name: existing.name.clone(),
        summary: format!("change {} of QuayIntegration {}", names.join(", "), existing.name),
        write: ObjectWrite::Merge(patch),
    }));
}

/// The fields of the custom resource (QBO `api/v1/quayintegration_types.go`).
fn fields(resource: &QuayIntegration) -> [(String, Value); 7] {
    let credentials = resource.credentials.as_ref().map_or(
        Value::Null,
        |key| json!({ "namespace": key.namespace, "name": key.name, "key": key.key }),
    );
    [
        ("clusterID", json!(resource.cluster_id)),
        ("quayHostname", json!(resource.hostname)),
        ("credentialsSecret", credentials),
        ("insecureRegistry", json!(resource.insecure)),
        ("scheduledImageStreamImport", json!(resource.scheduled)),
        ("allowlistNamespaces", json!(resource.allow)),
        ("denylistNamespaces", json!(resource.deny)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

/// Whether each namespace is in scope, and why.
pub fn preview(setup: &SetupSession) -> Vec<(String, Scope)> {
    let (Ok(namespaces), Some(wanted)) = (&setup.found.namespaces, wanted(setup)) else {
        return vec![];
    };
    let preview = namespaces.iter().map(|(name, namespace)| {
        (name.clone(), Scope::of(name, namespace.linked_on_request, Some(&wanted)))
    });
    preview.collect()
}

fn add_scope(plan: &mut StepPlan, setup: &SetupSession, id: &ClusterId) {
    if let Err(unread) = &setup.found.namespaces {
        plan.note(Severity::Unknown, unread.to_string());
        return;
    }
    let preview = preview(setup);
    let (included, excluded): (Vec<_>, Vec<_>) =
        preview.iter().partition(|(_, scope)| scope.is_in());
    let organizations: BTreeSet<_> =
        included.iter().map(|(name, _)| id.organization(name)).collect();
    let known = setup.token_info().and_then(|info| info.organizations.as_ref());
    let new = known.map(|known| organizations.difference(known).count());
    let count = match new {
        Some(new) => format!("organizations to create: {new}"),
        None => "each gets an organization".to_owned(),
    };
    plan.note(
        Severity::Info,
        format!("{} in scope, {} not; {count}", count_namespaces(included.len()), excluded.len()),
    );
    for (names, place) in [(included, "in"), (excluded, "out")] {
        let mut reasons: Vec<_> = names.iter().map(|(_, scope)| scope.to_string()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        for why in reasons {
            let names_with_reason: Vec<_> = names
                .iter()
                .filter(|(_, scope)| scope.to_string() == why)
                .map(|(name, _)| name.as_str())
                .collect();
            plan.note(
                Severity::Info,
                format!("{place}, since {why}: {}", join_shortened(&names_with_reason)),
            );
        }
    }
    if organizations.len() > PREVIEW_LIMIT {
        plan.note(
            Severity::Warning,
            format!(
                "this would create {} organizations; use --allow to start with a few namespaces",
                organizations.len()
            ),
        );
    }
}

fn count_namespaces(namespaces: usize) -> String {
    if namespaces == 1 { "1 namespace is".into() } else { format!("{namespaces} namespaces are") }
}

fn join_shortened(names: &[&str]) -> String {
    const MAX_LISTED: usize = 20;
    match names.len() {
        count if count > MAX_LISTED => {
            format!(
                "{} and {} more (all of them: --dry-run -o wide)",
                names[..MAX_LISTED].join(", "),
                count - MAX_LISTED
            )
        }
        _ => names.join(", "),
    }
}

/// Reports existing organizations of the cluster ID. One with another cluster's ownership mark is a
/// conflict; others might belong to deleted namespaces.
fn cluster_id_conflict(
    plan: &mut StepPlan,
    setup: &SetupSession,
    id: &ClusterId,
) -> Option<String> {
    if setup.existing().is_some_and(|existing| existing.cluster_id == id.as_str()) {
        return None;
    }
    let ours = ClusterIdentity {
        id: setup.existing().map(|existing| existing.uid.clone()).unwrap_or_default(),
        server: setup.cluster.server(),
    };
    let uids = |mark: &OwnershipMark| {
        let namespaces = setup.found.namespaces.as_deref().unwrap_or_default();
        namespaces
            .iter()
            .find(|(name, _)| *name == mark.namespace)
            .map(|(_, namespace)| namespace.uid.clone())
            .unwrap_or_default()
    };
    let is_foreign = |mark: &&OwnershipMark| {
        mark.owner(&OwnershipMark::new(&ours, &mark.namespace, &uids(mark))) == Owner::Other
    };
    for (organization, marks) in
        setup.found.marks.iter().filter(|(name, _)| name.starts_with(&id.organization("")))
    {
        if let Some(mark) = marks.iter().find(is_foreign) {
            let text = format!(
                "organization {organization} belongs to namespace {} of cluster {}",
                mark.namespace, mark.cluster.server
            );
            plan.note(Severity::Warning, text);
            if !setup.options.adopt {
                return Some(format!(
                    "cluster ID {id} is in use by cluster {}: both would write to the same organizations",
                    mark.cluster.server
                ));
            }
        }
    }
    let orphans = orphans(setup, id);
    if !orphans.is_empty() {
        let names: Vec<_> = orphans.iter().map(String::as_str).collect();
        let text = format!(
            "there are organizations of cluster ID {id} without a namespace here: {}; if another cluster uses this ID, choose \
             another one, such as {id}-2",
            join_shortened(&names)
        );
        plan.note(Severity::Warning, text);
    }
    None
}

/// Organizations of the cluster ID without a namespace in this cluster.
fn orphans(setup: &SetupSession, id: &ClusterId) -> BTreeSet<String> {
    let (Some(organizations), Ok(namespaces)) =
        (setup.token_info().and_then(|info| info.organizations.as_ref()), &setup.found.namespaces)
    else {
        return BTreeSet::new();
    };
    let ours: BTreeSet<_> = namespaces.iter().map(|(name, _)| id.organization(name)).collect();
    let existing = organizations.iter().filter(|name| name.starts_with(&id.organization("")));
    existing.filter(|name| !ours.contains(*name)).cloned().collect()
}

/// Organizations to check for ownership marks, unless the cluster ID is in use here already.
pub(in crate::setup) fn ownership_check_candidates(setup: &SetupSession) -> Vec<String> {
    let Some(wanted) = wanted(setup) else { return vec![] };
    let id = ClusterId::new(&wanted.cluster_id);
    if setup.existing().is_some_and(|existing| existing.cluster_id == wanted.cluster_id) {
        return vec![];
    }
    let Some(organizations) = setup.token_info().and_then(|info| info.organizations.as_ref())
    else {
        return vec![];
    };
    organizations
        .iter()
        .filter(|name| name.starts_with(&id.organization("")))
        .take(MAX_PREVIEW_NAMESPACES)
        .cloned()
        .collect()
}

pub(in crate::setup) async fn ask(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    if setup.existing().is_some() && setup.options.cluster_id.is_none() {
        return Ok(());
    }
    ask_cluster_id(setup, ui).await?;
    let within = preview(setup).into_iter().filter(|(_, scope)| scope.is_in()).count();
    if setup.existing().is_none() && setup.options.allow.is_none() && within > PREVIEW_LIMIT {
        ui.warn(&format!("{within} namespaces would be linked, each with its own organization"));
        let good = |text: &str| {
            split_names(text).iter().try_for_each(|name| validate_kubernetes_name(name))
        };
        let answer =
            ui.text("Link only these namespaces (such as a,b; Enter for all):", Some(""), &good)?;
        setup.options.allow = Some(split_names(&answer)).filter(|names| !names.is_empty());
    }
    Ok(())
}

/// Asks until the cluster ID has no conflict. A given one is not asked.
async fn ask_cluster_id(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    let good = |text: &str| ClusterId::new(text).problem().map_or(Ok(()), Err);
    let mut default = CLUSTER_ID.to_owned();
    let mut given = setup.options.cluster_id.take();
    loop {
        let id = match given.take() {
            Some(id) => id,
            None => {
                ui.text("Cluster ID, the start of organization names:", Some(&default), &good)?
            }
        };
        setup.options.cluster_id = Some(id.clone());
        setup.discover_marks().await;
        match cluster_id_conflict(&mut StepPlan::default(), setup, &ClusterId::new(&id)) {
            None => return Ok(()),
            Some(problem) => ui.warn(&problem),
        }
        default = format!("{id}-2");
    }
}

pub fn split_names(text: &str) -> Vec<String> {
    text.split([',', ' '])
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}
