//! A session: the cluster, the integration and the Quay that a command works with.

pub(crate) mod apply;
pub(crate) mod collect;
pub(crate) mod settings;

use std::time::Duration;

use futures::StreamExt as _;
use secrecy::{ExposeSecret, SecretString};

use crate::cli::GlobalArgs;
use crate::cluster::{self, CA_KEY, Cluster, Credentials};
use crate::domain::checks;
use crate::domain::finding::{Code, Finding, ObjectRef};
use crate::domain::image_policy::ImagePolicy;
use crate::domain::inferred::Inferred;
use crate::domain::integration::{
    Integration, IntegrationSnapshot, SecretKey, Source, Sourced, StoredTokenState,
};
use crate::domain::names::QuayUrl;
use crate::domain::rbac::grant;
use crate::domain::snapshot::{BuildWebhookOwners, Observed, ReadError, ReadErrorKind};
use crate::error::Error;
use crate::quay::{self, OptionsError, Quay};
use crate::report::Endpoints;
use crate::ui::{Ui, printable_line};
use collect::WaitingPods;
use settings::Settings;

const QUAY_FLAGS_HINT: &str =
    "name the Quay yourself: --quay-url, --cluster-id and --quay-token-file";

/// For users whose Quay is not known, or known from a pull secret: no token is sent where a pull secret says.
const OWN_TOKEN: &str =
    "with a token of your own, name the Quay too: --quay-token-file, --quay-url and --cluster-id";

/// `--request-timeout 0`, as kubectl has it.
const NO_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Does so many pieces of work at a time and gives what came of each, in their order. One that takes long holds up none but
/// itself, unlike with `buffered`.
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

/// What a command works with once it knows where.
pub(crate) struct App {
    /// The cluster.
    pub cluster: Cluster,
    /// What is known of the integration.
    pub snapshot: IntegrationSnapshot,
    /// The settings, if what is known suffices to work with.
    pub target: Option<QuayConnection>,
    /// Requests in flight at once.
    pub concurrency: usize,
    /// Pods that wait for an image.
    pub pods: WaitingPods,
    /// What somebody should know about it.
    pub warnings: Vec<String>,
    /// The command as a cluster administrator runs it, if it is one that needs the token for Quay.
    for_administrator: Option<String>,
}

/// The integration and a client for its Quay.
pub(crate) struct QuayConnection {
    /// The settings.
    pub integration: Integration,
    /// The Quay.
    pub quay: Quay,
    /// There is a token for it.
    pub has_token: bool,
}

/// Reads the kubeconfig; nothing is connected to.
pub(crate) async fn connect(global: &GlobalArgs) -> Result<Cluster, Error> {
    let options = cluster::Options {
        kubeconfig: global.kubeconfig.clone(),
        context: global.context.clone(),
        cluster: global.cluster.clone(),
        user: global.user.clone(),
        impersonate: global.impersonate.clone(),
        impersonate_groups: global.impersonate_groups.clone(),
        impersonate_uid: global.impersonate_uid.clone(),
        timeout: global.request_timeout,
        concurrency: usize::from(global.concurrency),
    };
    Ok(Cluster::connect(&options).await?)
}

/// Which cluster it is, by its API server and the context that names it, and which Quay: a line for each.
pub(crate) fn place(cluster: &Cluster, quay: Option<&QuayUrl>) -> String {
    let context = printable_line(cluster.context());
    let quay = quay.map(|url| format!("\nQuay     {url}")).unwrap_or_default();
    format!("Cluster  {} (context {context}){quay}", cluster.server())
}

/// How long one request to Quay may take.
pub(crate) fn timeout(global: &GlobalArgs) -> Duration {
    if global.request_timeout.is_zero() { NO_LIMIT } else { global.request_timeout }
}

impl App {
    /// Finds out which Quay to work with, and warns of what there is to know about it.
    ///
    /// # Errors
    /// If a given setting cannot be used, or nobody can say which Quay is meant.
    pub(crate) async fn open(
        ui: &Ui,
        global: &GlobalArgs,
        cluster: Cluster,
        settings: Settings,
    ) -> Result<Self, Error> {
        let session = Self::read(global, cluster, settings).await?;
        session.warnings.iter().for_each(|warning| ui.warn(warning));
        session.target.iter().for_each(|target| target.quay.tell(ui.teller()));
        if let Some(warning) = unused_lists(&session.snapshot) {
            ui.warn(&warning);
        }
        match &session.snapshot.resources {
            Err(unread) if session.target.is_none() => Err(session.unknown_quay(unread)),
            _ => Ok(session),
        }
    }

    /// The same for who deals with what could not be read by themselves.
    ///
    /// # Errors
    /// If a setting cannot be used.
    pub(crate) async fn read(
        global: &GlobalArgs,
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
        // The authority is the Quay's, and does not depend on the token.
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
        let concurrency = usize::from(global.concurrency);
        let target = match snapshot.resolve() {
            // One that was given is refused before; another one is a finding, and nothing is sent there.
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
                    timeout: timeout(global),
                };
                let quay =
                    client(options, stored_ca, &mut warnings).map_err(anyhow::Error::from)?;
                Some(QuayConnection { integration, quay, has_token })
            }
            None => None,
        };
        let pods = WaitingPods::not_wanted();
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

    /// Where a change is made, for who is asked whether to make it: a line for each side.
    pub(crate) fn place(&self) -> String {
        place(&self.cluster, self.target.as_ref().map(|target| &target.integration.url.value))
    }

    /// The cluster and the Quay, for a report.
    pub(crate) fn endpoints(&self) -> Endpoints {
        Endpoints::new(&self.snapshot, &self.cluster.server(), self.cluster.context())
    }

    /// The same, knowing who rewrites builds.
    pub(crate) fn with_rewriters(mut self, rewriters: BuildWebhookOwners) -> Self {
        self.snapshot.rewriters = Some(rewriters);
        self
    }

    /// The same, knowing which pods wait for an image.
    pub(crate) fn with_pods(mut self, pods: WaitingPods) -> Self {
        self.pods = pods;
        self
    }

    /// The same, knowing which registries the cluster uses.
    pub(crate) fn with_image_policy(mut self, policy: Observed<Option<ImagePolicy>>) -> Self {
        self.snapshot.image_policy = policy.transpose();
        self
    }

    /// What stands in the way of changes in Quay, as far as is known: what the integration's checks say of it.
    pub(crate) fn obstacles(&self, target: &QuayConnection) -> Vec<Finding> {
        let checks = checks::integration(&self.snapshot, Some(&target.quay.troubles()));
        checks
            .into_iter()
            .flat_map(|check| check.findings)
            .filter(|finding| finding.code.stops_changes())
            .collect()
    }

    /// The settings, with possible names.
    ///
    /// # Errors
    /// What is missing and how to give it.
    pub(crate) fn settings(&self) -> Result<&QuayConnection, Error> {
        let Some(target) = &self.target else {
            if let Some(integration) = self.snapshot.resolve() {
                settings::refuse_plain_http(&integration.url.value, integration.insecure)?;
            }
            let error = match self.snapshot.resources.as_deref() {
                Ok([]) => Error::new(
                    "the cluster has no QuayIntegration, so nobody says which Quay to use",
                ),
                Ok([_]) => {
                    Error::new("the QuayIntegration has no usable quayHostname or clusterID")
                }
                Ok(_) => Error::new(
                    "the cluster has more than one QuayIntegration, so nobody can say which one is meant",
                ),
                Err(unread) => Error::new(unread.to_string()),
            };
            return Err(error
                .hint("oc quay status says what is wrong with the integration")
                .hint(QUAY_FLAGS_HINT));
        };
        if let Some(problem) = target.integration.cluster_id.value.problem() {
            let id = &target.integration.cluster_id;
            return Err(Error::new(format!(
                "cluster ID `{}` ({}) cannot be used: {problem}",
                id.value, id.source
            )));
        }
        Ok(target)
    }

    /// Why the namespace lists are unknown, if they are: then it is unknown whether a namespace is in scope.
    pub(crate) fn scope_obstacle(&self) -> Option<Finding> {
        let object = ObjectRef::cluster("QuayIntegration", "");
        match self.snapshot.resources.as_deref() {
            Ok([] | [_]) => None,
            Ok(several) => {
                let message = format!(
                    "There are {} QuayIntegrations: their namespace lists are neither read nor changed",
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

    /// The settings and a token to act with.
    ///
    /// # Errors
    /// What is missing and how to give it.
    pub(crate) fn target(&self) -> Result<&QuayConnection, Error> {
        let target = self.settings()?;
        if target.has_token {
            return Ok(target);
        }
        let error =
            Error::new(format!("there is no token for Quay: {}", self.snapshot.token_obstacle()));
        let error = match &self.for_administrator {
            Some(command) if self.snapshot.is_for_administrators() => error.ask(command),
            _ => error.hint("oc quay status says what is wrong with the integration"),
        };
        let is_inferred = |source: &Source| matches!(source, Source::Secret(_));
        let Integration { url, cluster_id, .. } = &target.integration;
        Err(error.hint(match is_inferred(&url.source) || is_inferred(&cluster_id.source) {
            true => OWN_TOKEN,
            false => "give one yourself: --quay-token-file FILE, or OC_QUAY_TOKEN",
        }))
    }

    /// Why the Quay is unknown, with the ways out for a user without permissions in the cluster, or the likeliest reason
    /// where the cluster does not answer.
    fn unknown_quay(&self, unread: &ReadError) -> Error {
        let error = Error::new(unread.to_string());
        match (unread.kind, &self.for_administrator) {
            (ReadErrorKind::Forbidden, Some(command)) => error.ask(command).hint(OWN_TOKEN),
            (ReadErrorKind::Forbidden, None) => error
                .hint("name the Quay yourself: --quay-url, --cluster-id and, to look into Quay, --quay-token-file")
                .hint(match grant(unread) {
                    Some(command) => {
                        format!("or ask a cluster administrator to let you read which Quay the cluster uses: {command}")
                    }
                    None => "or ask a cluster administrator to let you list quayintegrations.quay.redhat.com".to_owned(),
                }),
            (ReadErrorKind::Unreachable, _) if self.cluster.is_behind_proxy() => {
                error.hint("if it is to be reached without the proxy, put its name into NO_PROXY")
            }
            (ReadErrorKind::Unreachable, _) => {
                let context = self.cluster.context();
                error.hint(format!(
                    "context {context} leads there: choose another with --context; `oc config get-contexts` lists them"
                ))
            }
            (ReadErrorKind::Failed | ReadErrorKind::Skipped, _) => error,
        }
    }
}

/// Takes what was not given from the namespace's own pull secrets. A token that was given is never sent where they say.
async fn infer(snapshot: &mut IntegrationSnapshot, namespace: &str, cluster: &Cluster) {
    if snapshot.given.url.is_some() && snapshot.given.cluster_id.is_some() {
        return;
    }
    let Ok(secrets) = cluster.login_secrets(namespace).await else { return };
    let Some((told, secret)) = Inferred::of(namespace, &secrets) else { return };
    let url = format!("https://{}", told.host);
    let is_given = |given: &Sourced<String>| {
        QuayUrl::parse(&given.value).is_ok_and(|(url, _)| url.host() == told.host)
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
    given.cluster_id.get_or_insert(Sourced { value: told.cluster_id, source });
}

/// That the namespace lists are neither read nor written, as they are about another Quay or cluster ID.
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

/// A client for Quay. The authority that is stored beside the token counts where none was given; one that cannot be
/// used is nobody's fault who runs a command, so it only means that it is not trusted.
fn client(
    options: quay::Options,
    stored_ca: Option<Vec<u8>>,
    warnings: &mut Vec<String>,
) -> Result<Quay, OptionsError> {
    if options.ca.is_none() && stored_ca.is_some() {
        match Quay::new(quay::Options { ca: stored_ca, ..options.clone() }) {
            Err(OptionsError::Ca(problem)) => {
                warnings.push(format!(
                    "{CA_KEY} in the Secret with the token is not used, as it cannot be: {problem}"
                ));
            }
            made => return made,
        }
    }
    Quay::new(options)
}

/// The token that was found, if it is one that can be sent.
fn usable_token(
    found: Observed<Credentials>,
) -> (Observed<StoredTokenState>, Option<SecretString>) {
    match found {
        Ok(Credentials { token: Some(content), .. }) => {
            match settings::token(content.expose_secret()) {
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
    async fn what_takes_long_holds_up_nothing_else() {
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let (mut end, mut ended) = (Some(end), Some(ended));
        let work = (0..20).map(|index| {
            // The first one waits for the last one.
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
