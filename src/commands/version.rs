//! `version`: the plugin's, and the cluster's and Quay's when they can be reached.

use super::CommandContext;
use crate::cli::Version;
use crate::error::{Error, ExitStatus};
use crate::ops::settings::Settings;
use crate::ops::{self, App};
use crate::report::VersionReport;

pub(super) async fn run(context: &CommandContext<'_>, args: &Version) -> Result<ExitStatus, Error> {
    let mut report = VersionReport::new(env!("CARGO_PKG_VERSION"));
    if !args.client {
        let cluster = ops::connect(context.global).await?;
        let settings = Settings::read(context.global)?;
        let (version, session) = tokio::join!(
            cluster.version(),
            App::open(context.ui, context.global, cluster.clone(), settings)
        );
        report.cluster = Some(version.unwrap_or_else(|unread| {
            format!("unknown: could not {}: {}", unread.call, unread.reason)
        }));
        report.quay = Some(match session {
            Ok(App { target: Some(target), .. }) => {
                let url = &target.integration.url.value;
                match target.quay.about().await {
                    Ok(about) => format!("{} at {url}", number(about.version.as_deref())),
                    Err(error) => format!("unknown version at {url}: {error}"),
                }
            }
            Ok(_) => "unknown: nobody says which Quay to use".to_owned(),
            Err(error) => format!("unknown: {}", error.messages().join(": ")),
        });
    }
    context.ui.out(&report.render(context.global.output)?)?;
    Ok(ExitStatus::Success)
}

/// The number in what Quay calls its version, `Quay v3.17.4`; 3.12 does not say.
fn number(version: Option<&str>) -> &str {
    version.map_or("unknown version", |version| version.trim_start_matches("Quay "))
}
