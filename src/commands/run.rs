//! `run`: the bridge, in the foreground, or what makes it run in the cluster.

use tokio::sync::watch;

use super::Context;
use crate::cli::Run;
use crate::controller::telemetry::{Event, Verdict};
use crate::controller::{Engine, Options};
use crate::error::{Error, ExitStatus};
use crate::report;
use crate::session;
use crate::session::settings::Settings;
use crate::setup::built_in::BuiltIn;
use crate::ui::Ui;

pub(super) async fn run(context: &Context<'_>, args: &Run) -> Result<ExitStatus, Error> {
    if args.manifests {
        let bridge = BuiltIn::new(context.global.namespace.as_deref(), args.image.as_deref());
        return manifests(context, &bridge);
    }
    let settings = Settings::read(context.global)?;
    let cluster = session::connect(context.global).await?;
    let options = Options { full_pass: args.full_pass, on_deletion: args.on_deletion };
    let told = |event: &Event| tell(context.ui, event);
    let engine = Engine::new(context.ui, context.global, cluster, settings, options, &told);
    let (_lead, leads) = watch::channel(true);
    engine.run(leads).await;
    Ok(ExitStatus::Success)
}

fn manifests(context: &Context<'_>, bridge: &BuiltIn) -> Result<ExitStatus, Error> {
    context.ui.out(&report::stream(bridge.manifests())?)?;
    Ok(ExitStatus::Success)
}

/// What a person at a terminal wants to know: what was done, and what went wrong.
fn tell(ui: &Ui, event: &Event) {
    let is_silence = match event {
        Event::Reconciled { verdict, changes, .. } => changes.is_empty() && !matches!(verdict, Verdict::Failed(_)),
        _ => false,
    };
    if !is_silence {
        ui.status(&event.to_string());
    }
}
