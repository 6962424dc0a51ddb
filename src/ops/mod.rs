//! The connections that a command works with, and the operations on them.

pub(crate) mod apply;
pub(crate) mod collect;
pub(crate) mod settings;

use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt as _;
use secrecy::{ExposeSecret, SecretString};

use crate::cluster::{self, CA_KEY, Cluster, Credentials};
use crate::domain::checks;
use crate::domain::finding::{Code, Finding, ObjectRef};
use crate::domain::image_policy::ImagePolicy;
use crate::domain::inferred::Inferred;
use crate::domain::integration::{
    Integration, IntegrationSnapshot, SecretKey, Source, Sourced, StoredTokenState,
};
use crate::domain::names::QuayUrl;
use crate::domain::rbac::grant_command;
use crate::domain::snapshot::{BuildWebhookOwners, Observed, ReadError, ReadErrorKind};
use crate::error::Error;
use crate::printable::printable_line;
use crate::quay::{self, OptionsError, Quay};
use crate::ui::Ui;
use collect::WaitingPods;
use settings::Settings;

const QUAY_FLAGS_HINT: &str = "or specify Quay with --quay-url, --cluster-id and --quay-token-file";

/// For users whose Quay is unknown, or inferred from a pull secret, to whose host no token is sent.
const OWN_TOKEN: &str =
    "with your own token, also specify Quay: --quay-token-file, --quay-url and --cluster-id";

/// `--request-timeout 0`, as kubectl has it.
const NO_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs up to `concurrency` futures at a time and returns their outputs in order. Unlike with
/// `buffered`, a slow one does not delay the others.
pub(crate) async fn join_concurrently<T>(
    work: impl IntoIterator<Item: Future<Output = T>>,
    concurrency: usize,
) -> Vec<T> {
    let numbered =
        work.into_iter().enumerate().map(|(index, work)| async move { (index, work.await) });
    let mut done: Vec<_> =
        futures::stream::iter(numbered).buffer_unordered(concurrency).collect().await;
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

/// The clients and the state of the integration for one command.
pub(crate) struct App {
    pub cluster: Cluster,
    pub snapshot: IntegrationSnapshot,
    /// `None` if the integration is incomplete.
    pub target: Option<QuayConnection>,
    /// The maximum number of concurrent requests per server.
    pub concurrency: usize,
    pub pods: WaitingPods,
    /// Not printed yet.
    pub warnings: Vec<String>,
    /// The equivalent command for a cluster administrator, if the command needs the token for Quay.
    for_administrator: Option<String>,
}

/// The integration and a client for its Quay.
pub(crate) struct QuayConnection {
    pub integration: Integration,
    pub quay: Quay,
    pub has_token: bool,
}

/// Which cluster and which Quay, as given by the flags of every command.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionOptions {
    pub cluster: cluster::Options,
    /// `-n`.
    pub namespace: Option<String>,
    pub quay_url: Option<String>,
    /// `-` for stdin.
    pub quay_token_file: Option<PathBuf>,
    pub quay_ca_file: Option<PathBuf>,
    pub cluster_id: Option<String>,
    /// Skip verification of Quay's certificate and allow plain HTTP.
    pub insecure: bool,
}

impl ConnectionOptions {
    /// The timeout of one request to Quay.
    pub(crate) fn quay_timeout(&self) -> Duration {
        if self.cluster.timeout.is_zero() { NO_LIMIT } else { self.cluster.timeout }
    }
}

/// Creates a client from the kubeconfig, without a request.
pub(crate) async fn connect(options: &ConnectionOptions) -> Result<Cluster, Error> {
    Ok(Cluster::connect(&options.cluster).await?)
}

/// Describes the cluster and Quay for a confirmation, with a line for each.
pub(crate) fn endpoint_lines(cluster: &Cluster, quay: Option<&QuayUrl>) -> String {
    let context = printable_line(cluster.context());
    let quay = quay.map(|url| format!("\nQuay     {url}")).unwrap_or_default();
    format!("Cluster  {} (context {context}){quay}", cluster.server())
}

impl App {
    /// Determines the Quay to work with, and prints the warnings.
    ///
    /// # Errors
    /// If a setting is invalid, or the Quay is unknown.
    pub(crate) async fn open(
        ui: &Ui,
        options: &ConnectionOptions,
        cluster: Cluster,
        settings: Settings,
    ) -> Result<Self, Error> {
        let app = Self::read(options, cluster, settings).await?;
        app.warnings.iter().for_each(|warning| ui.warn(warning));
        app.target.iter().for_each(|target| target.quay.set_wait_notice(ui.teller()));
        if let Some(warning) = unused_lists(&app.snapshot) {
            ui.warn(&warning);
        }
        match &app.snapshot.resources {
            Err(unread) if app.target.is_none() => Err(app.unknown_quay(unread)),
            _ => Ok(app),
        }
    }

    /// Like [`App::open`], but returns the warnings, and an unknown Quay is not an error.
    ///
    /// # Errors
    /// If a setting is invalid.
    pub(crate) async fn read(
        options: &ConnectionOptions,
        cluster: Cluster,
        settings: Settings,
    ) -> Result<Self, Error> {
        let mut warnings = settings.warnings;
        let resources = cluster.integrations().await;
        let mut snapshot = IntegrationSnapshot {
            given: settings.given,
            resources,
            stored_token: None,
            rewriters: None,
            image_policy: None,
            server: cluster.server(),
        };
        if settings.token.is_none()
            && snapshot
                .resources
                .as_ref()
                .is_err_and(|unread| unread.kind == ReadErrorKind::Forbidden)
        {
            let namespace = settings.namespace.as_deref().unwrap_or_else(|| cluster.namespace());
            infer(&mut snapshot, namespace, &cluster).await;
        }
        let mut token = settings.token;
        let mut stored_ca = None;
        // The stored CA is used with any token, since it belongs to Quay.
        if (token.is_none() || settings.ca.is_none())
            && let Some(key) = snapshot.secret()
        {
            let mut found = cluster.credentials(&key).await;
            stored_ca = found.as_mut().ok().and_then(|credentials| credentials.ca.take());
            if token.is_none() {
                let (stored, found) = usable_token(found);
                snapshot.stored_token = Some(stored);
                token = found;
            }
        }
        let concurrency = options.cluster.concurrency;
        let target = match snapshot.resolve() {
            // A plain http URL in the settings is rejected earlier; in the QuayIntegration it is a
            // finding.
            Some(integration) if integration.url.value.is_plain_http() && !integration.insecure => {
                None
            }
            Some(integration) => {
                if integration.insecure {
                    warnings.push(format!(
                        "the certificate of {} is not verified",
                        integration.url.value
                    ));
                }
                let has_token = token.is_some();
                let options = quay::Options {
                    url: integration.url.value.clone(),
                    token,
                    ca: settings.ca,
                    insecure: integration.insecure,
                    concurrency,
                    timeout: options.quay_timeout(),
                };
                let quay =
                    client(options, stored_ca, &mut warnings).map_err(anyhow::Error::from)?;
                Some(QuayConnection { integration, quay, has_token })
            }
            None => None,
        };
        let pods = WaitingPods::not_requested();
        Ok(Self {
            cluster,
            snapshot,
            target,
            concurrency,
            pods,
            warnings,
            for_administrator: settings.for_administrator,
        })
    }

    /// The [`endpoint_lines`] of this command.
    pub(crate) fn endpoint_lines(&self) -> String {
        endpoint_lines(
            &self.cluster,
            self.target.as_ref().map(|target| &target.integration.url.value),
        )
    }

    pub(crate) fn with_rewriters(mut self, rewriters: BuildWebhookOwners) -> Self {
        self.snapshot.rewriters = Some(rewriters);
        self
    }

    pub(crate) fn with_pods(mut self, pods: WaitingPods) -> Self {
        self.pods = pods;
        self
    }

    pub(crate) fn with_image_policy(mut self, policy: Observed<Option<ImagePolicy>>) -> Self {
        self.snapshot.image_policy = policy.transpose();
        self
    }

    /// The findings about the integration that prevent changes in Quay.
    pub(crate) fn obstacles(&self, target: &QuayConnection) -> Vec<Finding> {
        let checks = checks::integration(&self.snapshot, Some(&target.quay.problems()));
        checks
            .into_iter()
            .flat_map(|check| check.findings)
            .filter(|finding| finding.code.stops_changes())
            .collect()
    }

    /// The connection with a valid cluster ID, but possibly without a token.
    ///
    /// # Errors
    /// With the missing setting, and hints.
    pub(crate) fn settings(&self) -> Result<&QuayConnection, Error> {
        let Some(target) = &self.target else {
            if let Some(integration) = self.snapshot.resolve() {
                settings::reject_plain_http(&integration.url.value, integration.insecure)?;
            }
            let error = match self.snapshot.resources.as_deref() {
                Ok([]) => Error::new("no QuayIntegration found"),
                Ok([_]) => Error::new("the QuayIntegration has no valid quayHostname or clusterID"),
                Ok(several) => {
                    let names: Vec<_> = several.iter().map(|found| found.name.as_str()).collect();
                    Error::new(format!(
                        "multiple QuayIntegrations found ({}); exactly one is required",
                        names.join(", ")
                    ))
                }
                Err(unread) => Error::new(unread.to_string()),
            };
            return Err(error.hint("check the integration: oc quay status").hint(QUAY_FLAGS_HINT));
        };
        if let Some(problem) = target.integration.cluster_id.value.problem() {
            let id = &target.integration.cluster_id;
            return Err(Error::new(format!(
                "invalid cluster ID `{}` ({}): {problem}",
                id.value, id.source
            )));
        }
        Ok(target)
    }

    /// The reason why the namespace lists, and so the scope of namespaces, are unknown.
    pub(crate) fn scope_obstacle(&self) -> Option<Finding> {
        let object = ObjectRef::cluster("QuayIntegration", "");
        match self.snapshot.resources.as_deref() {
            Ok([] | [_]) => None,
            Ok(several) => {
                let message = format!(
                    "{} QuayIntegrations found: their namespace lists are neither read nor changed",
                    several.len()
                );
                Some(Finding::new(Code::MultipleIntegrations, object, message))
            }
            Err(unread) => {
                let message = format!("The namespace lists are not changed: {unread}");
                Some(Finding::new(Code::CouldNotRead, object, message))
            }
        }
    }

    /// The connection, if it has a token.
    ///
    /// # Errors
    /// With the missing setting, and hints.
    pub(crate) fn target(&self) -> Result<&QuayConnection, Error> {
        let target = self.settings()?;
        if target.has_token {
            return Ok(target);
        }
        let error =
            Error::new(format!("there is no token for Quay: {}", self.snapshot.token_obstacle()));
        let error = match &self.for_administrator {
            Some(command) if self.snapshot.is_for_administrators() => error.ask(command),
            _ => error.hint("check the integration: oc quay status"),
        };
        let is_inferred = |source: &Source| matches!(source, Source::Secret(_));
        let Integration { url, cluster_id, .. } = &target.integration;
        Err(error.hint(match is_inferred(&url.source) || is_inferred(&cluster_id.source) {
            true => OWN_TOKEN,
            false => "or provide a token: --quay-token-file FILE, or OC_QUAY_TOKEN",
        }))
    }

    /// The error for an unknown Quay, with hints for users without permissions, or for an
    /// unavailable cluster.
    fn unknown_quay(&self, unread: &ReadError) -> Error {
        let error = Error::new(unread.to_string());
        match (unread.kind, &self.for_administrator) {
            (ReadErrorKind::Forbidden, Some(command)) => error.ask(command).hint(OWN_TOKEN),
            (ReadErrorKind::Forbidden, None) => error
                .hint("specify Quay with --quay-url, --cluster-id and, to read from Quay, --quay-token-file")
                .hint(match grant_command(unread) {
                    Some(command) => {
                        format!("or ask a cluster administrator for permission to read the QuayIntegration: {command}")
                    }
                    None => "or ask a cluster administrator for permission to list quayintegrations.quay.redhat.com".to_owned(),
                }),
            (ReadErrorKind::Unreachable, _) if self.cluster.is_behind_proxy() => {
                error.hint("to bypass the proxy, add the host to NO_PROXY")
            }
            (ReadErrorKind::Unreachable, _) => {
                let context = self.cluster.context();
                error.hint(format!(
                    "context {context} uses this server: list contexts with `oc config get-contexts`, and select another with --context"
                ))
            }
            (ReadErrorKind::Failed | ReadErrorKind::Skipped, _) => error,
        }
    }
}

/// Infers missing settings from the namespace's pull secrets. The caller has no token that could be
/// sent to an inferred host.
async fn infer(snapshot: &mut IntegrationSnapshot, namespace: &str, cluster: &Cluster) {
    if snapshot.given.url.is_some() && snapshot.given.cluster_id.is_some() {
        return;
    }
    let Ok(secrets) = cluster.registry_secrets(namespace).await else { return };
    let Some((inferred, secret)) = Inferred::from_secrets(namespace, &secrets) else { return };
    let url = format!("https://{}", inferred.host);
    let is_given = |given: &Sourced<String>| {
        QuayUrl::parse(&given.value).is_ok_and(|(url, _)| url.host() == inferred.host)
    };
    if QuayUrl::parse(&url).is_err() || !snapshot.given.url.as_ref().is_none_or(is_given) {
        return;
    }
    let source = Source::Secret(SecretKey {
        namespace: namespace.to_owned(),
        name: secret,
        key: ".dockerconfigjson".to_owned(),
    });
    let given = &mut snapshot.given;
    given.url.get_or_insert_with(|| Sourced { value: url, source: source.clone() });
    given.cluster_id.get_or_insert(Sourced { value: inferred.cluster_id, source });
}

/// The warning that the namespace lists belong to another Quay or cluster ID.
fn unused_lists(snapshot: &IntegrationSnapshot) -> Option<String> {
    let sources: Vec<_> = snapshot.differing().iter().map(ToString::to_string).collect();
    let name = &snapshot.resource()?.name;
    let verb = match sources.as_slice() {
        [] => return None,
        [_] => "differs",
        _ => "differ",
    };
    let sources = sources.join(" and ");
    Some(format!(
        "{sources} {verb} from QuayIntegration {name}: its namespace lists are neither read nor changed"
    ))
}

/// Creates a client for Quay. A CA from the settings takes precedence over the stored one. An
/// invalid stored CA is only a warning, since the user of a command cannot repair it.
fn client(
    options: quay::Options,
    stored_ca: Option<Vec<u8>>,
    warnings: &mut Vec<String>,
) -> Result<Quay, OptionsError> {
    if options.ca.is_none() && stored_ca.is_some() {
        match Quay::new(quay::Options { ca: stored_ca, ..options.clone() }) {
            Err(OptionsError::Ca(problem)) => {
                warnings
                    .push(format!("{CA_KEY} in the Secret with the token is ignored: {problem}"));
            }
            made => return made,
        }
    }
    Quay::new(options)
}

/// The stored token, if it is valid.
fn usable_token(
    found: Observed<Credentials>,
) -> (Observed<StoredTokenState>, Option<SecretString>) {
    match found {
        Ok(Credentials { token: Some(content), .. }) => {
            match settings::parse_token(content.expose_secret()) {
                Ok(token) => (Ok(StoredTokenState::Present), Some(token)),
                Err(_) => (Ok(StoredTokenState::Unusable), None),
            }
        }
        Ok(credentials) => (Ok(credentials.stored), None),
        Err(unread) => (Err(unread), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn slow_task_does_not_block_others() {
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let (mut end, mut ended) = (Some(end), Some(ended));
        let work = (0..20).map(|index| {
            // The first future waits for the last one.
            let (ended, end) = (ended.take(), if index == 19 { end.take() } else { None });
            async move {
                if let Some(ended) = ended {
                    let _ = ended.await;
                }
                let _ = end.map(|end| end.send(()));
                index
            }
        });
        assert_eq!(join_concurrently(work, 2).await, (0..20).collect::<Vec<_>>());
    }
}
