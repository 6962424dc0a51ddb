//! `import`: imports tags from Quay into image streams.

use std::collections::BTreeMap;

use futures::StreamExt as _;

use super::changes::{confirm, finish};
use super::{CommandContext, image_streams, namespace};
use crate::cli::Import;
use crate::domain::builds::Destination;
use crate::domain::change::Verb;
use crate::domain::desired::wants_repository;
use crate::domain::dockerconfig::RegistryScope;
use crate::domain::finding::{Code, Finding, ObjectRef};
use crate::domain::imports::{
    ImportFailure, ImportRequest, Outcome, SelectedTag, Since, SkippedTag, StreamImport, TagImport,
    describe_with_secrets, is_rejected, latest_builds,
};
use crate::domain::names;
use crate::domain::shell_quote::quoted;
use crate::domain::snapshot::{Build, ImageStream, ReadError, RepositoryTag, Secret};
use crate::error::{Error, ExitStatus};
use crate::ops::settings::Settings;
use crate::ops::{self, App, QuayConnection};
use crate::printable::printable_line;
use crate::report::{ChangeEntry, ChangeReport};
use crate::ui::Ui;

const COMMAND: &str = "import";

pub(super) async fn run(context: &CommandContext<'_>, args: &Import) -> Result<ExitStatus, Error> {
    let settings = Settings::read(&context.connection)?;
    let cluster = ops::connect(&context.connection).await?;
    let namespace = namespace(context, &cluster)?;
    let has_only_tags =
        !args.named.is_empty() && args.named.iter().all(|named| named.tag.is_some());
    let settings = match has_only_tags {
        true => settings,
        false => settings.for_administrator(for_administrator(context, args, &namespace)),
    };
    let (app, streams, builds) = tokio::join!(
        App::open(context.ui, &context.connection, cluster.clone(), settings),
        image_streams(&cluster, &namespace),
        async {
            // Only needed for tags that are not named.
            if has_only_tags { Ok(vec![]) } else { cluster.builds(&namespace).await }
        },
    );
    let app = app?;
    let streams = streams?;
    let import_run = ImportRun { app: &app, target: app.settings()?, namespace: &namespace, args };

    let built = import_run.pushed_images(builds.iter().flatten());
    let wanted = ImportRequest { named: &args.named, missing: args.missing, built: &built };
    let tags = import_run.read_tags(&wanted, &streams).await?;
    let choice = wanted.select(&streams, &tags, |stream, tag| import_run.image(stream, tag));
    let findings: Vec<Finding> =
        choice.skipped.iter().map(|skipped| import_run.finding(skipped)).collect();
    let entries: Vec<_> = choice.selected.iter().map(|chosen| import_run.entry(chosen)).collect();
    let planned = ChangeReport::new(
        context.invocation,
        super::endpoints(&app),
        COMMAND,
        args.changing.dry_run,
        entries.clone(),
        findings.clone(),
    );
    if args.changing.dry_run {
        return finish(context, &planned, context.output);
    }
    let format = confirm(context, &app, args.changing, &planned)?;
    let outcomes = import_run.import(context.ui, &choice.selected).await;
    let entries = entries.into_iter().zip(outcomes).map(|(entry, outcome)| match outcome {
        Ok(()) => entry.done(),
        Err(error) => entry.failed(error),
    });
    finish(
        context,
        &ChangeReport::new(
            context.invocation,
            super::endpoints(&app),
            COMMAND,
            false,
            entries.collect(),
            findings,
        ),
        format,
    )
}

fn for_administrator(context: &CommandContext<'_>, args: &Import, namespace: &str) -> String {
    let named = args.named.iter().map(|named| quoted(&printable_line(&named.to_string())));
    let arguments: Vec<_> = named.chain([format!("-n {namespace}")]).collect();
    context.for_administrator(
        COMMAND,
        &arguments,
        &[("--missing", args.missing), ("--scheduled", args.scheduled)],
    )
}

struct ImportRun<'a> {
    app: &'a App,
    target: &'a QuayConnection,
    namespace: &'a str,
    args: &'a Import,
}

impl ImportRun<'_> {
    fn organization(&self) -> String {
        self.target.integration.cluster_id.value.organization(self.namespace)
    }

    fn host(&self) -> String {
        self.target.integration.url.value.host()
    }

    fn image(&self, stream: &str, tag: &str) -> String {
        let destination = Destination {
            namespace: self.namespace.to_owned(),
            stream: stream.to_owned(),
            tag: tag.to_owned(),
        };
        destination.image(&self.target.integration)
    }

    /// The images that builds pushed to Quay, with the completion time of the newest build in Unix seconds.
    fn pushed_images<'b>(
        &self,
        builds: impl IntoIterator<Item = &'b Build>,
    ) -> BTreeMap<String, i64> {
        let integration = &self.target.integration;
        let built = latest_builds(integration, self.namespace, builds);
        built
            .into_iter()
            .filter_map(|(to, build)| Some((to.image(integration), build.completed?.as_second())))
            .collect()
    }

    /// The tags in Quay, by repository, as far as `wanted` needs them. Empty repositories are skipped.
    async fn read_tags(
        &self,
        wanted: &ImportRequest<'_>,
        streams: &[ImageStream],
    ) -> Result<BTreeMap<String, Vec<RepositoryTag>>, Error> {
        let has_repository = |stream: &&ImageStream| {
            wants_repository(stream, &self.host())
                && names::validate_repository(&stream.name).is_ok()
        };
        let all = streams.iter().filter(has_repository).map(|stream| stream.name.clone()).collect();
        let mut repositories = wanted.repositories_to_read(&all);
        if repositories.is_empty() {
            return Ok(BTreeMap::new());
        }
        let quay = &self
            .app
            .target()
            .map_err(|error| error.hint("name the tags to import them without a token"))?
            .quay;
        let organization = &self.organization();
        let unread = |unread: ReadError| Error::new(unread.to_string());
        let pushed = quay.last_pushes(organization).await.map_err(unread)?;
        if let Some(missing) = repositories
            .iter()
            .find(|name| !self.args.named.is_empty() && !pushed.contains_key(*name))
        {
            return Err(Error::new(format!(
                "repository {organization}/{missing} not found in Quay"
            ))
            .hint(format!("oc quay status -n {}", self.namespace)));
        }
        // Quay lists public repositories with any token, private ones only with a valid one (wire/104). A request for a
        // repository that is not listed shows whether the token is valid.
        let missing = repositories.iter().find(|name| !pushed.contains_key(*name)).cloned();
        repositories.retain(|name| {
            Some(name) == missing.as_ref() || pushed.get(name).is_some_and(Option::is_some)
        });
        let work = repositories.into_iter().map(|name| async move {
            let tags = quay.tags(organization, &name).await.map_err(unread)?;
            Ok((name, tags.unwrap_or_default()))
        });
        let found: Vec<Result<_, Error>> =
            futures::stream::iter(work).buffered(self.app.concurrency).collect().await;
        found.into_iter().collect()
    }

    fn finding(&self, skipped: &SkippedTag) -> Finding {
        let SkippedTag { stream, tag, why } = skipped;
        let message = format!("skipped {stream}:{tag}: {why} (name the tag to import it)");
        Finding::new(Code::TagOfOthers, self.object(stream, tag), message)
            .in_namespace(self.namespace)
    }

    fn entry(&self, chosen: &SelectedTag) -> ChangeEntry {
        let SelectedTag { stream, tag, seen, instead_of } = chosen;
        let verb = if seen.is_some() { Verb::Update } else { Verb::Create };
        let instead = instead_of
            .as_ref()
            .map(|other| format!(", which follows {other} now"))
            .unwrap_or_default();
        let summary = format!("import {stream}:{tag} from {}{instead}", self.image(stream, tag));
        ChangeEntry::planned(verb, self.object(stream, tag), summary).in_namespace(self.namespace)
    }

    fn object(&self, stream: &str, tag: &str) -> ObjectRef {
        ObjectRef::namespaced("ImageStreamTag", self.namespace, &format!("{stream}:{tag}"))
    }

    /// Imports the tags, with one request per image stream. The results have the order of `chosen`.
    async fn import(&self, ui: &Ui, chosen: &[SelectedTag]) -> Vec<Result<(), String>> {
        let progress = &ui.progress("Importing", chosen.len());
        let work = chosen.chunk_by(|a, b| a.stream == b.stream).map(|tags| async move {
            let stream = tags.first().map(|chosen| chosen.stream.as_str()).unwrap_or_default();
            progress.at(stream);
            let mut since = vec![];
            let choose = |found: Option<&ImageStream>| {
                let now = |chosen: &SelectedTag| found.and_then(|found| found.tag(&chosen.tag));
                since = tags
                    .iter()
                    .map(|chosen| chosen.since(now(chosen), &self.image(stream, &chosen.tag)))
                    .collect();
                self.request(
                    tags.iter()
                        .zip(&since)
                        .filter(|(_, since)| **since == Since::Unchanged)
                        .map(|(chosen, _)| chosen),
                )
            };
            let outcomes =
                match self.app.cluster.import_image_stream(self.namespace, stream, choose).await {
                    Ok(imported) => outcomes(&since, imported),
                    Err(error) => vec![Err(ImportProblem::Request(error.to_string())); tags.len()],
                };
            tags.iter().for_each(|_| progress.tick());
            outcomes
        });
        let work = futures::stream::iter(work).buffered(self.app.concurrency).collect::<Vec<_>>();
        let outcomes = progress.track(work).await.concat();
        let has_rejected = |outcome: &Result<(), ImportProblem>| matches!(outcome, Err(ImportProblem::Tag(failure)) if is_rejected(&failure.message));
        // The secrets explain only rejected credentials.
        let secrets = match outcomes.iter().any(has_rejected) {
            true => self.app.cluster.registry_secrets(self.namespace).await.ok(),
            false => None,
        };
        outcomes
            .into_iter()
            .map(|outcome| outcome.map_err(|problem| self.describe(problem, secrets.as_deref())))
            .collect()
    }

    fn request<'c>(&self, tags: impl Iterator<Item = &'c SelectedTag>) -> StreamImport {
        let resource = self.target.integration.resource.as_ref();
        let scheduled = self.args.scheduled || resource.is_some_and(|resource| resource.scheduled);
        let tag = |chosen: &SelectedTag| TagImport {
            tag: chosen.tag.clone(),
            from: self.image(&chosen.stream, &chosen.tag),
            policy: chosen
                .seen
                .as_ref()
                .map(|seen| seen.policy)
                .unwrap_or_default()
                .or_scheduled(scheduled),
        };
        StreamImport {
            tags: tags.map(tag).collect(),
            // `--insecure` is only for this client.
            insecure: resource.is_some_and(|resource| resource.insecure),
        }
    }

    fn describe(&self, problem: ImportProblem, secrets: Option<&[Secret]>) -> String {
        match (problem, secrets) {
            (ImportProblem::Request(reason), _) => reason,
            (ImportProblem::Tag(failure), Some(secrets)) => {
                let scope =
                    RegistryScope { host: &self.host(), organization: &self.organization() };
                describe_with_secrets(&failure.message, scope, secrets)
            }
            (ImportProblem::Tag(failure), None) => failure.to_string(),
        }
    }
}

/// The results of all tags; `imported` has those of unchanged tags.
fn outcomes(since: &[Since], imported: Vec<Outcome>) -> Vec<Result<(), ImportProblem>> {
    let mut imported =
        imported.into_iter().map(|outcome| outcome.map(drop).map_err(ImportProblem::Tag));
    let changed = || Err(ImportProblem::Request("the tag was changed after planning".to_owned()));
    let outcome = |since: &Since| match since {
        Since::Unchanged => imported.next().unwrap_or_else(changed),
        Since::Imported => Ok(()),
        Since::Changed => changed(),
    };
    since.iter().map(outcome).collect()
}

#[derive(Clone)]
enum ImportProblem {
    /// The tag was not requested, or the request for its image stream failed.
    Request(String),
    Tag(ImportFailure),
}
