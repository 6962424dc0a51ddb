//! `manifests`.

use super::{CommandContext, validate_namespace};
use crate::cli::{Manifests, ManifestsFormat};
use crate::error::{Error, ExitStatus};
use crate::report;
use crate::setup::controller_manifests::ControllerManifests;

pub(super) fn run(context: &CommandContext<'_>, args: &Manifests) -> Result<ExitStatus, Error> {
    let namespace = context.connection.namespace.as_deref();
    namespace.map_or(Ok(()), validate_namespace)?;
    let controller = ControllerManifests::new(namespace, args.image.as_deref());
    let objects = controller.manifests();
    let text = match args.output {
        ManifestsFormat::Yaml => report::stream(objects)?,
        ManifestsFormat::Json => report::list(objects)?,
    };
    context.ui.out(&text)?;
    Ok(ExitStatus::Success)
}
