//! `version`.

use super::CommandContext;
use crate::cli::Version;
use crate::error::{Error, ExitStatus};
use crate::ops::settings::Settings;
use crate::ops::{self, App};
use crate::report::VersionReport;

pub(super) async fn run(context: &CommandContext<'_>, args: &Version) -> Result<ExitStatus, Error> {
    let mut report = VersionReport::new(env!("CARGO_PKG_VERSION"));
    if !args.client {
        let cluster = ops::connect(&context.connection).await?;
        let settings = Settings::read(&context.connection)?;
        let (version, app) = tokio::join!(
            cluster.version(),
            App::open(context.ui, &context.connection, cluster.clone(), settings)
        );
        report.cluster = Some(version.unwrap_or_else(|unread| {
            format!("unknown: failed to {}: {}", unread.call, unread.reason)
        }));
        report.quay = Some(match app {
            Ok(App { target: Some(target), .. }) => {
                let url = &target.integration.url.value;
                match target.quay.server_info().await {
                    Ok(about) => format!("{} at {url}", version_number(about.version.as_deref())),
                    Err(error) => format!("unknown version at {url}: {error}"),
                }
            }
            Ok(_) => "unknown (no QuayIntegration, --quay-url not set)".to_owned(),
            Err(error) => format!("unknown: {}", error.messages().join(": ")),
        });
    }
    context.ui.out(&report.render(args.output)?)?;
    Ok(ExitStatus::Success)
}

/// `v3.17.4` of `Quay v3.17.4`; Quay 3.12 does not report a version.
fn version_number(version: Option<&str>) -> &str {
    version.map_or("unknown version", |version| version.trim_start_matches("Quay "))
}
