//! `run`: the controller in the foreground.

use super::changes::finish;
use super::{CommandContext, repair};
use crate::cli::Run;
use crate::controller;
use crate::error::{Cancelled, Error, ExitStatus};
use crate::ops;
use crate::ops::settings::Settings;
use crate::report::Format;

pub(super) async fn run(context: &CommandContext<'_>, args: &Run) -> Result<ExitStatus, Error> {
    let settings = Settings::read(&context.connection)?;
    let cluster = ops::connect(&context.connection).await?;
    let must_confirm = context.ui.can_prompt() && !cluster.is_in_pod() && !args.changing.yes;
    if args.changing.dry_run || must_confirm {
        let (place, planned) =
            repair::plan_all(context, &cluster, settings.clone(), args.changing.dry_run).await?;
        if args.changing.dry_run {
            return finish(context, &planned, context.output);
        }
        context.ui.status(&planned.render(Format::Text, &context.style())?);
        context.ui.status(&place);
        if !context.ui.confirm("Apply these changes and keep reconciling until Ctrl-C?", false)? {
            return Err(Cancelled.into());
        }
    }
    controller::run(config(context, args, settings), &cluster).await?;
    Ok(ExitStatus::Success)
}

fn config(context: &CommandContext<'_>, args: &Run, settings: Settings) -> controller::Config {
    controller::Config {
        connection: context.connection.clone(),
        settings,
        resync_interval: args.resync_interval,
        deletion_policy: args.deletion_policy,
        leader_elect: args.leader_elect,
        metrics_bind_address: args.metrics_bind_address,
        webhook_bind_address: args.webhook_bind_address,
        webhook_cert_dir: args.webhook_cert_dir.clone(),
    }
}
