//! `unlink`: the reverse of a link. Organization and images stay unless they are named.

use std::collections::BTreeMap;

use super::CommandContext;
use super::changes::{ChangeSet, finish};
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
use crate::quay::ReadStrategy;
use crate::report::ChangeReport;
use crate::ui::printable_line;

pub(super) async fn run(context: &CommandContext<'_>, args: &Unlink) -> Result<ExitStatus, Error> {
    let global = context.global;
    let settings = Settings::read(global)?;
    let cluster = ops::connect(global).await?;
    let which = NamespaceSelector::of(&args.target, global, &cluster)?;
    if args.delete_organization && which.is_many() {
        return Err(Error::new("--delete-organization works on one namespace at a time"));
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
    let concurrency = usize::from(global.concurrency);
    let (session, parts) = tokio::join!(
        App::open(context.ui, global, cluster.clone(), settings),
        collect::parts(&cluster, &which, SecretsMode::Always, BuildsMode::Configs, concurrency)
    );
    let session = session?;
    let touches_quay = args.delete_robots || args.delete_organization;
    // Without the token, the namespace cannot be linked again. One that is known to be missing does not matter: the Quay may be
    // gone for good.
    let needs_token = touches_quay || session.snapshot.token_unread().is_some();
    let target = if needs_token { session.target()? } else { session.settings()? };
    if touches_quay && target.integration.lists_unread {
        // The namespaces would stay in scope, and be linked again without their images.
        context.ui.warn("nothing is deleted in Quay, since the namespace lists could not be read");
    }
    let deletes = |asked: bool| asked && !target.integration.lists_unread;
    let options = UnlinkOptions {
        delete_robots: deletes(args.delete_robots),
        delete_organization: deletes(args.delete_organization),
    };
    let look = ReadOptions {
        quay: touches_quay.then_some(ReadStrategy::Owner),
        tags: false,
        probe: false,
        beyond_scope: true,
    };
    let mut set = ChangeSet::new("unlink");
    let mut resource = target.integration.resource.clone();
    for judged in session
        .assess_each(context.ui, target, parts?, look, &BTreeMap::new(), |judged| judged)
        .await
    {
        add(&mut set, &which, target, &mut resource, judged, options)?;
    }
    if !set.plans.is_empty() {
        // Without its edit, the next resync links the namespaces again.
        set.scope_obstacle = session.scope_obstacle();
    }
    if args.changing.dry_run {
        return Ok(set.unfinished_or_refused_or(finish(
            context,
            &set.planned(context, &session, true),
            global.output,
        )?));
    }
    if args.delete_organization {
        confirm_deletion(context, &session, target, &set, args).await?;
    }
    let format = set.confirm(context, &session, args.changing)?;
    let entries = set.apply(context, &session, target).await;
    let report = ChangeReport::new(
        context.invocation,
        session.endpoints(),
        "unlink",
        false,
        entries,
        set.blocked(),
    );
    Ok(set.unfinished_or_refused_or(finish(context, &report, format)?))
}

/// Plans a namespace. `resource` is the QuayIntegration as the namespaces before it leave it.
fn add(
    set: &mut ChangeSet,
    which: &NamespaceSelector,
    target: &QuayConnection,
    resource: &mut Option<QuayIntegration>,
    judged: NamespaceAssessment,
    options: UnlinkOptions,
) -> Result<(), Error> {
    let name = &judged.snapshot.name;
    if matches!(judged.snapshot.namespace, Ok(None)) {
        return Err(Error::new(format!("there is no namespace {name}"))
            .hint("check the name and the context"));
    }
    if matches!(which, NamespaceSelector::All) && !judged.is_to_be_linked(target) {
        return Ok(());
    }
    let scope = deny_namespace(name, judged.is_on_request(), resource.as_ref());
    apply_edits(&scope, resource.as_mut());
    let subject = Assessed {
        integration: &target.integration,
        troubles: &[],
        snapshot: &judged.snapshot,
        desired: &judged.desired,
    };
    let plan = plan::unlink(&subject, options);
    set.add(judged, scope, plan);
    Ok(())
}

/// Shows what would be lost and has the organization named.
async fn confirm_deletion(
    context: &CommandContext<'_>,
    session: &App,
    target: &QuayConnection,
    set: &ChangeSet,
    args: &Unlink,
) -> Result<(), Error> {
    let deletes = |plan: &Plan| {
        plan.changes.iter().any(|change| matches!(change, Change::DeleteOrganization { .. }))
    };
    let Some((judged, _)) = set.plans.first().filter(|(_, plan)| deletes(plan)) else {
        return Ok(());
    };
    let organization = &judged.desired.organization;
    let contents = target.quay.contents(organization).await.map_err(anyhow::Error::from)?;
    let tags: usize = contents.iter().map(|(_, tags)| tags).sum();
    context.ui.warn(&format!(
        "deleting organization {organization} deletes all its repositories ({}) and tags ({tags}); there is no way back",
        contents.len()
    ));
    for (repository, tags) in &contents {
        context.ui.status(&printable_line(&format!("  {organization}/{repository}: {tags} tags")));
    }
    let named = match &args.confirm_organization {
        Some(name) => name.clone(),
        None if context.ui.can_prompt() => {
            context.ui.status(&session.place());
            context.ui.text("Name of the organization to delete:", None, &|_| Ok(()))?
        }
        None => {
            return Err(Error::new("deleting an organization must be confirmed with its name")
                .hint(format!("--confirm-organization {organization}")));
        }
    };
    if named != *organization {
        return Err(Error::new(format!(
            "`{named}` is not the organization of namespace {}, nothing was changed",
            judged.snapshot.name
        )));
    }
    Ok(())
}
