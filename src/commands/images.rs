//! `images`: lists images in the internal registry and how to copy them to Quay.

use futures::StreamExt as _;

use super::{CommandContext, image_streams, namespace};
use crate::cli::Images;
use crate::domain::builds::Destination;
use crate::domain::internal_registry::{Layers, tags_in_registry, validate_copy};
use crate::domain::snapshot::{StreamTag, TagImage};
use crate::error::{Error, ExitStatus};
use crate::ops::settings::Settings;
use crate::ops::{self, App};
use crate::report::{ImageReport, ImagesReport};

pub(super) async fn run(context: &CommandContext<'_>, args: &Images) -> Result<ExitStatus, Error> {
    let settings = Settings::read(&context.connection)?;
    let cluster = ops::connect(&context.connection).await?;
    let namespace = &namespace(context, &cluster)?;
    let (app, streams) = tokio::join!(
        App::open(context.ui, &context.connection, cluster.clone(), settings),
        image_streams(&cluster, namespace)
    );
    let app = app?;
    let integration = &app.settings()?.integration;
    let streams = streams?;

    let cluster = &app.cluster;
    let quay = &integration.url.value.host();
    let mut is_complete = true;
    for stream in &streams {
        for (tag, image) in tags_in_registry(stream, quay) {
            if let Err(rule) = validate_copy(tag, image) {
                // Escape line breaks, which could imitate another message.
                context.ui.warn(&format!(
                    "tag {:?} of image stream {} skipped: {rule}",
                    tag.name, stream.name
                ));
                is_complete = false;
            }
        }
    }
    let affected = streams.iter().filter(|stream| tags_in_registry(stream, quay).next().is_some());
    let reports = affected.map(|stream| async move {
        // Sizes are optional.
        let layers = cluster.layers(namespace, &stream.name).await.unwrap_or_else(|unread| {
            context.ui.warn(&format!("sizes of image stream {} unknown: {unread}", stream.name));
            Layers::default()
        });
        let report = |(tag, image): (&StreamTag, &TagImage)| {
            let name = Destination {
                namespace: namespace.clone(),
                stream: stream.name.clone(),
                tag: tag.name.clone(),
            };
            ImageReport {
                tag: name.name(),
                image: image.reference.clone(),
                size: layers.size(&image.digest),
                target: name.image(integration),
            }
        };
        let copyable =
            tags_in_registry(stream, quay).filter(|(tag, image)| validate_copy(tag, image).is_ok());
        copyable.map(report).collect::<Vec<_>>()
    });
    let images =
        futures::stream::iter(reports).buffered(app.concurrency).collect::<Vec<_>>().await.concat();
    let report = ImagesReport::new(context.program, namespace, images);
    context.ui.out(&report.render(args.output, &context.style())?)?;
    Ok(if is_complete { ExitStatus::Success } else { ExitStatus::Findings })
}
