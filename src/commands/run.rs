//! `run`: the bridge, in the foreground, or what makes it run in the cluster.

use super::Context;
use crate::cli::Run;
use crate::error::{Error, ExitStatus};
use crate::report;
use crate::setup::built_in::BuiltIn;

pub(super) async fn run(context: &Context<'_>, args: &Run) -> Result<ExitStatus, Error> {
    if args.manifests {
        let bridge = BuiltIn::new(context.global.namespace.as_deref(), args.image.as_deref());
        return manifests(context, &bridge);
    }
    Err(Error::new("the bridge is not there yet"))
}

fn manifests(context: &Context<'_>, bridge: &BuiltIn) -> Result<ExitStatus, Error> {
    context.ui.out(&report::stream(bridge.manifests().into_iter())?)?;
    Ok(ExitStatus::Success)
}
