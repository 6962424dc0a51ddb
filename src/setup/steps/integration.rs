//! The QuayIntegration: which cluster ID, which namespaces.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::cluster::{Cluster, ObjectKind};
use crate::domain::finding::Severity;
use crate::domain::integration::QuayIntegration;
use crate::domain::names::{
    CONTROLLER_ANNOTATION, ClusterId, MANAGED_BY, MANAGED_BY_LABEL, QuayUrl, UrlProblem,
    kubernetes_name,
};
use crate::domain::ownership_mark::{ClusterIdentity, Owner, OwnershipMark};
use crate::domain::scope::Scope;
use crate::error::Error;
use crate::report::NamespacePreview;
use crate::setup::{CLUSTER_ID, ObjectChange, ObjectWrite, SetupChange, SetupSession, StepPlan};
use crate::ui::Ui;

/// The name of a new one; there is only one, so nobody has to type it.
const NAME: &str = "quay";

/// An allowlist is suggested for more organizations than this.
const PREVIEW_LIMIT: usize = 50;

/// Organizations that are looked into for another cluster's mark, each of which costs Quay a call.
const MAX_PREVIEW_NAMESPACES: usize = 3;

pub(in crate::setup) fn plan(setup: &SetupSession) -> StepPlan {
    let mut plan = StepPlan::default();
    if let Err(unread) = &setup.found.integrations {
        return plan.blocked(unread.to_string());
    }
    if setup.found.integrations.as_ref().is_ok_and(|found| found.len() > 1) {
        return plan.blocked("there is more than one QuayIntegration");
    }
    let Some(wanted) = wanted(setup) else {
        return plan.skipped("it is not known yet which Quay is meant");
    };
    let id = ClusterId::new(&wanted.cluster_id);
    if let Some(problem) = id.problem() {
        return plan.blocked(format!("cluster ID `{id}` cannot be used: {problem}")).hint(
            "--cluster-id takes lower-case letters and digits, with single hyphens between them",
        );
    }
    for name in wanted.allow.iter().chain(&wanted.deny) {
        if let Err(problem) = kubernetes_name(name) {
            return plan.blocked(format!("no namespace can be called that: {problem}"));
        }
    }
    if let Some(problem) = collisions(&mut plan, setup, &id) {
        return plan
            .blocked(problem)
            .hint(format!(
                "give this cluster an ID of its own: --cluster-id {id}-2, or any other name"
            ))
            .hint("or, if that cluster is gone and this one takes its place: --adopt");
    }
    if let Some(problem) = renamed(setup, &wanted) {
        return plan.blocked(problem).hint(
            "leave --cluster-id out; or unlink first (oc quay unlink -A), then oc quay teardown",
        );
    }
    scope(&mut plan, setup, &id);
    match setup.existing() {
        Some(existing) => edit(&mut plan, existing, &wanted),
        None => plan.changes.push(create(&wanted)),
    }
    plan
}

/// Why another cluster ID would lose what is linked under the one that is there.
fn renamed(setup: &SetupSession, wanted: &QuayIntegration) -> Option<String> {
    let before = ClusterId::new(&setup.existing()?.cluster_id);
    if before.as_str() == wanted.cluster_id || before.problem().is_some() {
        return None;
    }
    let organizations = setup.trial().and_then(|trial| trial.organizations.as_ref());
    let is_in_use = organizations
        .is_none_or(|known| known.iter().any(|name| name.starts_with(&before.organization(""))));
    is_in_use.then(|| {
        format!(
            "the cluster ID is {before}, and organizations and secrets carry it: with {} every namespace would begin anew, \
             without its images",
            wanted.cluster_id
        )
    })
}

/// The QuayIntegration as it is to be: what was said, else what is there, else the documentation's defaults.
fn wanted(setup: &SetupSession) -> Option<QuayIntegration> {
    let existing = setup.existing().cloned();
    let answers = &setup.answers;
    let before = existing.clone().unwrap_or_else(|| QuayIntegration {
        name: NAME.into(),
        cluster_id: CLUSTER_ID.into(),
        ..Default::default()
    });
    Some(QuayIntegration {
        cluster_id: answers.cluster_id.clone().unwrap_or(before.cluster_id),
        hostname: hostname(&before.hostname, &setup.url()?),
        insecure: setup.insecure(),
        scheduled: answers.scheduled.unwrap_or(before.scheduled),
        allow: with_linked(
            answers.allow.clone().unwrap_or(before.allow),
            answers.link.as_deref().unwrap_or_default(),
        ),
        deny: answers.deny.clone().unwrap_or(before.deny),
        credentials: Some(setup.secret()),
        controller: answers
            .controller
            .map(|bridge| bridge.as_str().to_owned())
            .or(before.controller),
        name: before.name,
        uid: before.uid,
        resource_version: before.resource_version,
    })
}

/// An allowlist with the namespaces that are to be linked; without any, none is started.
fn with_linked(mut allow: Vec<String>, link: &[String]) -> Vec<String> {
    if !allow.is_empty() {
        allow.extend(link.iter().filter(|name| !allow.contains(name)).cloned().collect::<Vec<_>>());
    }
    allow
}

/// The address as the operator takes it. One that is written in another way but means the same is left alone.
fn hostname(written: &str, url: &QuayUrl) -> String {
    match QuayUrl::parse(written) {
        Ok((same, problems)) if same == *url && !problems.contains(&UrlProblem::NoScheme) => {
            written.to_owned()
        }
        _ => url.to_string(),
    }
}

fn create(wanted: &QuayIntegration) -> SetupChange {
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

/// Refuses to add to one that somebody has made since it was looked, under whatever name: with two of them the operator
/// does nothing. One of our own that an earlier try made is told apart by the create itself.
pub(in crate::setup) async fn refuse_second(cluster: &Cluster) -> Result<(), Error> {
    let known = cluster.integrations().await.map_err(|unread| Error::new(unread.to_string()))?;
    match known.iter().find(|one| one.name != NAME) {
        Some(other) => Err(Error::new(format!(
            "QuayIntegration {} was made meanwhile, and there may be only one",
            other.name
        ))
        .hint("run it again: it starts from the one that is there")),
        None => Ok(()),
    }
}

/// The whole object as it is to be.
pub(in crate::setup) fn manifest(setup: &SetupSession) -> Option<Value> {
    Some(object(&wanted(setup)?))
}

fn object(wanted: &QuayIntegration) -> Value {
    let is_said = |value: &Value| *value != json!([]) && *value != json!(false);
    let spec: Map<_, _> = fields(wanted).into_iter().filter(|(_, value)| is_said(value)).collect();
    let mut metadata = json!({ "name": wanted.name, "labels": { MANAGED_BY_LABEL: MANAGED_BY } });
    if let Some(controller) = &wanted.controller {
        metadata["annotations"] = json!({ CONTROLLER_ANNOTATION: controller });
    }
    json!({ "apiVersion": "quay.redhat.com/v1", "kind": "QuayIntegration", "metadata": metadata, "spec": spec })
}

/// Shows and plans what is different, guarded by the version that was read.
fn edit(plan: &mut StepPlan, existing: &QuayIntegration, wanted: &QuayIntegration) {
    let different: Map<_, _> = fields(wanted)
        .into_iter()
        .zip(fields(existing))
        .filter(|((_, wanted), (_, existing))| wanted != existing)
        .map(|(wanted, (name, existing))| {
            plan.fact(Severity::Info, format!("{name}: {existing} becomes {}", wanted.1));
            wanted
        })
        .collect();
    let controller =
        wanted.controller.as_ref().filter(|_| wanted.controller != existing.controller);
    if different.is_empty() && controller.is_none() {
        plan.fact(
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
        plan.fact(
            Severity::Info,
            format!("annotation {CONTROLLER_ANNOTATION}: {before} becomes {controller}"),
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

/// The fields as the operator's resource has them (QBO `api/v1/quayintegration_types.go`).
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

/// What will become of each namespace.
pub fn preview(setup: &SetupSession) -> Vec<NamespacePreview> {
    let (Ok(namespaces), Some(wanted)) = (&setup.found.namespaces, wanted(setup)) else {
        return vec![];
    };
    let preview = namespaces.iter().map(|(name, namespace)| {
        let scope = Scope::of(name, namespace.linked_on_request, Some(&wanted));
        NamespacePreview { name: name.clone(), in_scope: scope.is_in(), why: scope.to_string() }
    });
    preview.collect()
}

fn scope(plan: &mut StepPlan, setup: &SetupSession, id: &ClusterId) {
    if let Err(unread) = &setup.found.namespaces {
        plan.fact(Severity::Unknown, unread.to_string());
        return;
    }
    let preview = preview(setup);
    let (within, without): (Vec<_>, Vec<_>) =
        preview.iter().partition(|namespace| namespace.in_scope);
    let organizations: BTreeSet<_> =
        within.iter().map(|namespace| id.organization(&namespace.name)).collect();
    let known = setup.trial().and_then(|trial| trial.organizations.as_ref());
    let new = known.map(|known| organizations.difference(known).count());
    let count = match new {
        Some(new) => format!("organizations still to be made: {new}"),
        None => "each gets an organization".to_owned(),
    };
    plan.fact(
        Severity::Info,
        format!("{} in scope, {} not; {count}", number(within.len()), without.len()),
    );
    for (names, fate) in [(within, "in"), (without, "out")] {
        let mut reasons: Vec<_> = names.iter().map(|namespace| namespace.why.as_str()).collect();
        reasons.sort_unstable();
        reasons.dedup();
        for why in reasons {
            let with_it: Vec<_> = names
                .iter()
                .filter(|namespace| namespace.why == why)
                .map(|namespace| namespace.name.as_str())
                .collect();
            plan.fact(Severity::Info, format!("{fate}, since {why}: {}", shortened(&with_it)));
        }
    }
    if organizations.len() > PREVIEW_LIMIT {
        plan.fact(
            Severity::Warning,
            format!(
                "that makes {} organizations; --allow starts with a few namespaces",
                organizations.len()
            ),
        );
    }
}

fn number(namespaces: usize) -> String {
    if namespaces == 1 { "1 namespace is".into() } else { format!("{namespaces} namespaces are") }
}

/// As many names as a person reads.
fn shortened(names: &[&str]) -> String {
    const READ: usize = 20;
    match names.len() {
        count if count > READ => {
            format!(
                "{} and {} more (all of them: --dry-run -o wide)",
                names[..READ].join(", "),
                count - READ
            )
        }
        _ => names.join(", "),
    }
}

/// Organizations of the wanted cluster ID that are there already: they may be another cluster's. One that carries
/// another cluster's mark is; others may be those of namespaces that were deleted.
fn collisions(plan: &mut StepPlan, setup: &SetupSession, id: &ClusterId) -> Option<String> {
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
            plan.fact(Severity::Warning, text);
            if !setup.answers.adopt {
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
            shortened(&names)
        );
        plan.fact(Severity::Warning, text);
    }
    None
}

/// Organizations of the cluster ID for which this cluster has no namespace.
fn orphans(setup: &SetupSession, id: &ClusterId) -> BTreeSet<String> {
    let (Some(organizations), Ok(namespaces)) =
        (setup.trial().and_then(|trial| trial.organizations.as_ref()), &setup.found.namespaces)
    else {
        return BTreeSet::new();
    };
    let ours: BTreeSet<_> = namespaces.iter().map(|(name, _)| id.organization(name)).collect();
    let of_id = organizations.iter().filter(|name| name.starts_with(&id.organization("")));
    of_id.filter(|name| !ours.contains(*name)).cloned().collect()
}

/// The organizations that are looked into for marks, unless the cluster ID is in use here already.
pub(in crate::setup) fn worth_a_look(setup: &SetupSession) -> Vec<String> {
    let Some(wanted) = wanted(setup) else { return vec![] };
    let id = ClusterId::new(&wanted.cluster_id);
    if setup.existing().is_some_and(|existing| existing.cluster_id == wanted.cluster_id) {
        return vec![];
    }
    let Some(organizations) = setup.trial().and_then(|trial| trial.organizations.as_ref()) else {
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
    if setup.existing().is_some() && setup.answers.cluster_id.is_none() {
        return Ok(());
    }
    ask_cluster_id(setup, ui).await?;
    let within = preview(setup).into_iter().filter(|namespace| namespace.in_scope).count();
    if setup.existing().is_none() && setup.answers.allow.is_none() && within > PREVIEW_LIMIT {
        ui.warn(&format!(
            "{within} namespaces would be linked, each with an organization of its own"
        ));
        let good = |text: &str| names(text).iter().try_for_each(|name| kubernetes_name(name));
        let answer =
            ui.text("Only these instead (such as a,b; Enter for all):", Some(""), &good)?;
        setup.answers.allow = Some(names(&answer)).filter(|names| !names.is_empty());
    }
    Ok(())
}

/// Asks for a cluster ID until it is one that no other cluster uses. The one that was said is not asked for.
async fn ask_cluster_id(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    let good = |text: &str| ClusterId::new(text).problem().map_or(Ok(()), Err);
    let mut default = CLUSTER_ID.to_owned();
    let mut said = setup.answers.cluster_id.take();
    loop {
        let id = match said.take() {
            Some(id) => id,
            None => {
                ui.text("Cluster ID, the start of organization names:", Some(&default), &good)?
            }
        };
        setup.answers.cluster_id = Some(id.clone());
        setup.discover_marks().await;
        match collisions(&mut StepPlan::default(), setup, &ClusterId::new(&id)) {
            None => return Ok(()),
            Some(problem) => ui.warn(&problem),
        }
        default = format!("{id}-2");
    }
}

/// Names separated by commas or spaces.
pub fn names(text: &str) -> Vec<String> {
    text.split([',', ' '])
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}
