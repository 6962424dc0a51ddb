//! `unlink`: reverses `link`; keeps organization and images unless requested otherwise.

use std::collections::BTreeMap;

use super::changes::{ChangeSet, finish};
use super::{CommandContext, require_namespace, select_namespaces};
use crate::cli::Unlink;
use crate::cluster::{BuildsMode, SecretsMode};
use crate::domain::change::Change;
use crate::domain::checks::Assessed;
use crate::domain::integration::QuayIntegration;
use crate::domain::plan::{self, Plan, UnlinkOptions};
use crate::domain::scope::{apply_edits, deny_namespace};
use crate::error::{Error, ExitStatus};
use crate::ops::collect::{self, NamespaceAssessment, NamespaceSelector, ReadOptions};
use crate::ops::settings::Settings;
use crate::ops::{self, App, QuayConnection};
use crate::printable::printable_line;
use crate::quay::ReadStrategy;
use crate::report::ChangeReport;

pub(super) async fn run(context: &CommandContext<'_>, args: &Unlink) -> Result<ExitStatus, Error> {
    let settings = Settings::read(&context.connection)?;
    let cluster = ops::connect(&context.connection).await?;
    let which = select_namespaces(context, &args.target, &cluster)?;
    if args.delete_organization && which.is_many() {
        return Err(Error::new("--delete-organization works on one namespace"));
    }
    let switches = [
        ("--delete-robots", args.delete_robots),
        ("--delete-organization", args.delete_organization),
    ];
    let settings = settings.for_namespaces(&which).for_administrator(context.for_administrator(
        "unlink",
        &[which.to_string()],
        &switches,
    ));
    let concurrency = context.connection.cluster.concurrency;
    let (app, snapshots) = tokio::join!(
        App::open(context.ui, &context.connection, cluster.clone(), settings),
        collect::read_namespaces(
            &cluster,
            &which,
            SecretsMode::Always,
            BuildsMode::Configs,
            concurrency
        )
    );
    let app = app?;
    let touches_quay = args.delete_robots || args.delete_organization;
    // Linking again needs the token. A token known to be missing is accepted: that Quay might not exist any more.
    let needs_token = touches_quay || app.snapshot.token_unread().is_some();
    let target = if needs_token { app.target()? } else { app.settings()? };
    if touches_quay && target.integration.lists_unread {
        // The namespaces would be kept in scope, and be linked again without their images.
        context.ui.warn("nothing is deleted in Quay: the namespace lists could not be read");
    }
    let can_delete = |requested: bool| requested && !target.integration.lists_unread;
    let options = UnlinkOptions {
        delete_robots: can_delete(args.delete_robots),
        delete_organization: can_delete(args.delete_organization),
    };
    let read = ReadOptions {
        quay: touches_quay.then_some(ReadStrategy::Owner),
        tags: false,
        probe: false,
        beyond_scope: true,
    };
    let mut set = ChangeSet::new("unlink");
    let mut resource = target.integration.resource.clone();
    for assessment in app
        .assess_each(context.ui, target, snapshots?, read, &BTreeMap::new(), |assessment| {
            assessment
        })
        .await
    {
        plan_namespace(&mut set, &which, target, &mut resource, assessment, options)?;
    }
    if !set.plans.is_empty() {
        // Without this edit, the next resync links the namespaces again.
        set.scope_obstacle = app.scope_obstacle();
    }
    if args.changing.dry_run {
        return Ok(set.exit_status_unless_unread(finish(
            context,
            &set.planned(context, &app, true),
            context.output,
        )?));
    }
    if args.delete_organization {
        confirm_deletion(context, &app, target, &set, args).await?;
    }
    let format = set.confirm(context, &app, args.changing)?;
    let entries = set.apply(context, &app, target).await;
    let report = ChangeReport::new(
        context.invocation,
        super::endpoints(&app),
        "unlink",
        false,
        entries,
        set.blocked(),
    );
    Ok(set.exit_status_unless_unread(finish(context, &report, format)?))
}

/// `resource` is the QuayIntegration with the edits for the namespaces before this one.
fn plan_namespace(
    set: &mut ChangeSet,
    which: &NamespaceSelector,
    target: &QuayConnection,
    resource: &mut Option<QuayIntegration>,
    assessment: NamespaceAssessment,
    options: UnlinkOptions,
) -> Result<(), Error> {
    let name = &assessment.snapshot.name;
    require_namespace(name, &assessment.snapshot.namespace)?;
    if matches!(which, NamespaceSelector::All) && !assessment.is_to_be_linked(target) {
        return Ok(());
    }
    let scope = deny_namespace(name, assessment.is_on_request(), resource.as_ref());
    apply_edits(&scope, resource.as_mut());
    let subject = Assessed::new(&target.integration, &assessment.snapshot, &assessment.desired);
    let plan = plan::unlink(&subject, options);
    set.add(assessment, scope, plan);
    Ok(())
}

/// Lists the repositories to delete and asks for the organization's name.
async fn confirm_deletion(
    context: &CommandContext<'_>,
    app: &App,
    target: &QuayConnection,
    set: &ChangeSet,
    args: &Unlink,
) -> Result<(), Error> {
    let deletes = |plan: &Plan| {
        plan.changes.iter().any(|change| matches!(change, Change::DeleteOrganization { .. }))
    };
    let Some((assessment, _)) = set.plans.first().filter(|(_, plan)| deletes(plan)) else {
        return Ok(());
    };
    let organization = &assessment.desired.organization;
    let contents = target.quay.tag_counts(organization).await.map_err(anyhow::Error::from)?;
    let tags: usize = contents.iter().map(|(_, tags)| tags).sum();
    context.ui.warn(&format!(
        "deleting organization {organization} deletes all its repositories ({}) and tags ({tags}); this cannot be undone",
        contents.len()
    ));
    for (repository, tags) in &contents {
        context.ui.status(&printable_line(&format!("  {organization}/{repository}: {tags} tags")));
    }
    let named = match &args.confirm_organization {
        Some(name) => name.clone(),
        None if context.ui.can_prompt() => {
            context.ui.status(&app.endpoint_lines());
            context.ui.text("Name of the organization to delete:", None, &|_| Ok(()))?
        }
        None => {
            return Err(Error::new(
                "the deletion of an organization must be confirmed with its name",
            )
            .hint(format!("--confirm-organization {organization}")));
        }
    };
    if named != *organization {
        return Err(Error::new(format!(
            "`{named}` is not the organization of namespace {}; nothing was changed",
            assessment.snapshot.name
        )));
    }
    Ok(())
}
