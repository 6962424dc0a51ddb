//! `images`: what is still in OpenShift's own registry, and how it gets to Quay.

use futures::StreamExt as _;

use super::{CommandContext, image_streams, namespace};
use crate::cli::Images;
use crate::domain::builds::Destination;
use crate::domain::internal_registry::{Layers, is_copyable, tags_in_registry};
use crate::domain::snapshot::{StreamTag, TagImage};
use crate::error::{Error, ExitStatus};
use crate::ops::settings::Settings;
use crate::ops::{self, App};
use crate::report::{ImageReport, ImagesReport};

pub(super) async fn run(context: &CommandContext<'_>, args: &Images) -> Result<ExitStatus, Error> {
    let settings = Settings::read(context.global)?;
    let cluster = ops::connect(context.global).await?;
    let namespace = &namespace(context.global, &cluster)?;
    let (session, streams) = tokio::join!(
        App::open(context.ui, context.global, cluster.clone(), settings),
        image_streams(&cluster, namespace)
    );
    let session = session?;
    let integration = &session.settings()?.integration;
    let streams = streams?;

    let cluster = &session.cluster;
    let quay = &integration.url.value.host();
    let mut is_complete = true;
    for stream in &streams {
        for (tag, image) in tags_in_registry(stream, quay) {
            if let Err(rule) = is_copyable(tag, image) {
                // Escaped: a line break in it would look like another line of ours.
                context.ui.warn(&format!(
                    "tag {:?} of image stream {} is left out: {rule}",
                    tag.name, stream.name
                ));
                is_complete = false;
            }
        }
    }
    let concerned = streams.iter().filter(|stream| tags_in_registry(stream, quay).next().is_some());
    let reports = concerned.map(|stream| async move {
        // A size that cannot be read is not worth a failure.
        let layers = cluster.layers(namespace, &stream.name).await.unwrap_or_else(|unread| {
            context
                .ui
                .warn(&format!("the sizes of image stream {} are unknown: {unread}", stream.name));
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
            tags_in_registry(stream, quay).filter(|(tag, image)| is_copyable(tag, image).is_ok());
        copyable.map(report).collect::<Vec<_>>()
    });
    let images = futures::stream::iter(reports)
        .buffered(session.concurrency)
        .collect::<Vec<_>>()
        .await
        .concat();
    let report = ImagesReport::new(context.program, namespace, images);
    let text = if args.oc_adm {
        report.commands()
    } else {
        report.render(context.global.output, &context.style())?
    };
    context.ui.out(&text)?;
    Ok(if is_complete { ExitStatus::Success } else { ExitStatus::Findings })
}
