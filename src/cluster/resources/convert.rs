//! Conversion of API objects to the domain's types.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use crate::cluster::resources;
use crate::domain::dockerconfig::{self, Item, fingerprint};
use crate::domain::integration::{
    OPERATOR_TOKEN_KEY, QuayIntegration, SecretKey, StoredTokenState,
};
use crate::domain::names::{
    CONTROLLER_ANNOTATION, DELETION_POLICY_ANNOTATION, LINKED_ANNOTATION, REPOSITORY_ANNOTATION,
    ROLE_ANNOTATION,
};
use crate::domain::snapshot::{
    ImageStream, ImportPolicy, Namespace, Secret, ServiceAccount, StreamTag, TagImage, TagSource,
};

/// The type of registry secrets.
pub(in crate::cluster) const DOCKERCONFIGJSON: &str = "kubernetes.io/dockerconfigjson";

pub(in crate::cluster) const DOCKERCONFIGJSON_KEY: &str = ".dockerconfigjson";

/// Keeps manifest lists (openshift/api `image/v1/types.go`).
pub(in crate::cluster) const PRESERVE_ORIGINAL: &str = "PreserveOriginal";

/// The operator waits for these annotations (QBO `pkg/utils/utils.go:86`).
const DISPLAY_NAME: &str = "openshift.io/display-name";
const DESCRIPTION: &str = "openshift.io/description";
const SCC_MCS: &str = "openshift.io/sa.scc.mcs";

impl From<resources::Namespace> for Namespace {
    fn from(resources::Namespace { metadata }: resources::Namespace) -> Self {
        let has = |annotation: &str| metadata.annotation(annotation).is_some();
        Self {
            terminating: metadata.deletion_timestamp.is_some(),
            awaits_annotations: has(DISPLAY_NAME) && has(DESCRIPTION) && !has(SCC_MCS),
            linked_on_request: metadata
                .annotation(LINKED_ANNOTATION)
                .is_some_and(|value| value == "true"),
            deletion_policy: metadata.annotation(DELETION_POLICY_ANNOTATION).cloned(),
            created: metadata.creation_timestamp.as_ref().and_then(|created| created.parse().ok()),
            uid: metadata.uid,
            finalizers: metadata.finalizers.unwrap_or_default(),
        }
    }
}

impl From<resources::ServiceAccount> for ServiceAccount {
    fn from(account: resources::ServiceAccount) -> Self {
        let names = |list: Option<Vec<resources::Reference>>| {
            list.into_iter().flatten().map(|reference| reference.name).collect()
        };
        Self {
            role: account.metadata.annotation(ROLE_ANNOTATION).cloned(),
            owner: account.metadata.owner(),
            name: account.metadata.name,
            resource_version: account.metadata.resource_version,
            mountable: names(account.secrets),
            pull: names(account.image_pull_secrets),
        }
    }
}

impl From<resources::Secret> for Secret {
    fn from(secret: resources::Secret) -> Self {
        let (credentials, undecodable) = match parse_entries(&secret) {
            Ok(parsed) => (Ok(parsed.credentials), parsed.undecodable),
            Err(reason) => (Err(reason), vec![]),
        };
        Self {
            is_plain: is_plain(&secret),
            items: items(&secret),
            credentials,
            undecodable,
            managed: secret.metadata.is_ours(),
            name: secret.metadata.name,
            uid: secret.metadata.uid,
            resource_version: secret.metadata.resource_version,
            kind: secret.kind,
        }
    }
}

/// Whether a secret contains one entry and nothing else, as we write it.
fn is_plain(secret: &resources::Secret) -> bool {
    let is_alone = secret.data.as_ref().is_some_and(|data| data.len() == 1);
    let content = secret.value(DOCKERCONFIGJSON_KEY).ok().flatten();
    is_alone && content.is_some_and(|content| dockerconfig::is_plain(&content))
}

fn items(secret: &resources::Secret) -> BTreeMap<Item, u64> {
    let content = secret.value(DOCKERCONFIGJSON_KEY).ok().flatten();
    let keys = secret.data.iter().flatten().filter(|(key, _)| *key != DOCKERCONFIGJSON_KEY);
    let keys =
        keys.map(|(key, value)| (Item::Key(key.clone()), fingerprint(value.expose_secret())));
    keys.chain(content.iter().flat_map(dockerconfig::items)).collect()
}

fn parse_entries(secret: &resources::Secret) -> Result<dockerconfig::Parsed, String> {
    let content = secret
        .value(DOCKERCONFIGJSON_KEY)?
        .ok_or_else(|| format!("it has no key {DOCKERCONFIGJSON_KEY}"))?;
    dockerconfig::parse(content.expose_secret().as_bytes())
}

impl resources::Secret {
    /// The decoded text under a key.
    ///
    /// # Errors
    /// Never quotes the content.
    pub(in crate::cluster) fn value(&self, key: &str) -> Result<Option<SecretString>, String> {
        let Some(encoded) = self.data.as_ref().and_then(|data| data.get(key)) else {
            return Ok(None);
        };
        let decoded = STANDARD
            .decode(encoded.expose_secret())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        decoded
            .map(|text| Some(text.into()))
            .ok_or_else(|| format!("the value of its key {key} is not text"))
    }

    /// The token under a key, trimmed: files and `echo` add line breaks.
    ///
    /// # Errors
    /// As [`resources::Secret::value`].
    pub(in crate::cluster) fn token(
        &self,
        key: &str,
    ) -> Result<(StoredTokenState, Option<SecretString>), String> {
        let Some(value) = self.value(key)? else { return Ok((StoredTokenState::KeyMissing, None)) };
        Ok(match value.expose_secret().trim() {
            "" => (StoredTokenState::Empty, None),
            token => (StoredTokenState::Present, Some(token.into())),
        })
    }
}

impl From<resources::ImageStream> for ImageStream {
    fn from(stream: resources::ImageStream) -> Self {
        let mut tags: BTreeMap<String, StreamTag> = BTreeMap::new();
        for tag in stream.spec.tags.into_iter().flatten() {
            let from = tag.from.map(|from| TagSource { kind: from.kind, name: from.name });
            let policy = ImportPolicy::from(tag.import_policy);
            let (reference, generation) = (tag.reference, tag.generation.unwrap_or_default());
            let known = StreamTag {
                name: tag.name.clone(),
                from,
                policy,
                reference,
                generation,
                ..StreamTag::default()
            };
            tags.insert(tag.name, known);
        }
        for tag in stream.status.tags.into_iter().flatten() {
            let image = tag.items.and_then(|items| items.0).map(TagImage::from);
            let failure = failure(tag.conditions);
            // A status without an image or failure has no information.
            if image.is_some() || failure.is_some() {
                let known = tags
                    .entry(tag.tag.clone())
                    .or_insert_with(|| StreamTag { name: tag.tag, ..StreamTag::default() });
                (known.image, known.failure) = (image, failure);
            }
        }
        Self {
            wants_repository: stream
                .metadata
                .annotation(REPOSITORY_ANNOTATION)
                .and_then(|value| value.parse().ok()),
            name: stream.metadata.name,
            resource_version: stream.metadata.resource_version,
            in_registry: !stream.status.docker_image_repository.is_empty(),
            tags: tags.into_values().collect(),
        }
    }
}

impl From<resources::TagImportPolicy> for ImportPolicy {
    fn from(policy: resources::TagImportPolicy) -> Self {
        Self { scheduled: policy.scheduled, keeps_lists: policy.import_mode == PRESERVE_ORIGINAL }
    }
}

impl From<resources::TagEvent> for TagImage {
    fn from(event: resources::TagEvent) -> Self {
        let created = event.created.and_then(|created| created.parse::<Timestamp>().ok());
        Self {
            digest: event.image,
            reference: event.docker_image_reference,
            created: created.map(Timestamp::as_second),
            generation: event.generation.unwrap_or_default(),
        }
    }
}

fn failure(conditions: Option<Vec<resources::TagCondition>>) -> Option<String> {
    let mut conditions = conditions.into_iter().flatten();
    conditions
        .find(|condition| condition.kind == "ImportSuccess" && condition.status == "False")
        .map(|failed| failed.message)
}

impl From<resources::QuayIntegration> for QuayIntegration {
    fn from(resources::QuayIntegration { metadata, spec }: resources::QuayIntegration) -> Self {
        Self {
            controller: metadata.annotation(CONTROLLER_ANNOTATION).cloned(),
            name: metadata.name,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            cluster_id: spec.cluster_id,
            hostname: spec.quay_hostname,
            insecure: spec.insecure_registry,
            scheduled: spec.scheduled_image_stream_import,
            allow: spec.allowlist_namespaces.unwrap_or_default(),
            deny: spec.denylist_namespaces.unwrap_or_default(),
            credentials: spec.credentials_secret.and_then(secret_key),
        }
    }
}

/// None without a namespace and a name.
fn secret_key(secret: resources::CredentialsSecret) -> Option<SecretKey> {
    let resources::CredentialsSecret { namespace, name, key } = secret;
    let key = if key.is_empty() { OPERATOR_TOKEN_KEY.to_owned() } else { key };
    (!namespace.is_empty() && !name.is_empty()).then_some(SecretKey { namespace, name, key })
}

impl resources::ClusterVersion {
    /// The latest completed update.
    pub(in crate::cluster) fn current(&self) -> Option<&str> {
        let mut history = self.status.history.iter().flatten();
        Some(&history.find(|update| update.state == "Completed")?.version)
    }

    /// Disabled capabilities; empty before OpenShift 4.11, which has none.
    pub(in crate::cluster) fn disabled(self) -> BTreeSet<String> {
        let Some(capabilities) = self.status.capabilities else { return BTreeSet::new() };
        let enabled = capabilities.enabled_capabilities.unwrap_or_default();
        let known = capabilities.known_capabilities.into_iter().flatten();
        known.filter(|capability| !enabled.contains(capability)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::names::{MANAGED_BY, MANAGED_BY_LABEL};

    fn reduced<T: DeserializeOwned, U: From<T>>(object: Value) -> U {
        serde_json::from_value::<T>(object).unwrap().into()
    }

    /// A namespace as the operator leaves it, recorded on OpenShift 4.21.
    #[test]
    fn what_the_operator_leaves() {
        let namespace: Namespace = reduced::<resources::Namespace, _>(json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": "golden", "uid": "b7c2", "resourceVersion": "1482",
                "annotations": {
                    "openshift.io/description": "", "openshift.io/display-name": "", "openshift.io/requester": "admin",
                    "openshift.io/sa.scc.mcs": "s0:c26,c5", "openshift.io/sa.scc.supplemental-groups": "1000660000/10000",
                    "openshift.io/sa.scc.uid-range": "1000660000/10000",
                },
                "finalizers": ["quay.redhat.com/quayintegrations"],
                "managedFields": [{ "manager": "openshift-controller-manager", "fieldsV1": { "f:metadata": {} } }],
            },
            "spec": { "finalizers": ["kubernetes"] }, "status": { "phase": "Active" },
        }));
        let finalizers = vec!["quay.redhat.com/quayintegrations".to_owned()];
        assert_eq!(namespace, Namespace { uid: "b7c2".into(), finalizers, ..Default::default() });

        let account: ServiceAccount = reduced::<resources::ServiceAccount, _>(json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {
                "name": "builder", "namespace": "golden", "resourceVersion": "1502",
                "annotations": { "openshift.io/internal-registry-pull-secret-ref": "builder-dockercfg-h5hq5" },
            },
            "imagePullSecrets": [{ "name": "builder-dockercfg-h5hq5" }, { "name": "builder-quay-parity" }],
            "secrets": [{ "name": "builder-dockercfg-h5hq5" }, { "name": "builder-quay-parity" }],
        }));
        let lists = ["builder-dockercfg-h5hq5", "builder-quay-parity"].map(str::to_owned).to_vec();
        let (name, resource_version) = ("builder".to_owned(), "1502".to_owned());
        assert_eq!(
            account,
            ServiceAccount {
                name,
                resource_version,
                mountable: lists.clone(),
                pull: lists,
                ..Default::default()
            }
        );

        let secret: Secret = reduced::<resources::Secret, _>(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": "builder-quay-parity", "namespace": "golden", "resourceVersion": "1499" },
            "type": "kubernetes.io/dockerconfigjson",
            "data": { ".dockerconfigjson": STANDARD.encode(
                r#"{"auths":{"localhost:18443":{"auth":"cGFyaXR5X2dvbGRlbitidWlsZGVyOlRPS0VO"}}}"#
            ) },
        }));
        let credentials = secret.credentials.unwrap();
        let (registry, entry) = &credentials[0];
        assert_eq!(registry, "localhost:18443");
        assert_eq!(
            (entry.username.as_str(), entry.password.expose_secret()),
            ("parity_golden+builder", "TOKEN")
        );
        assert_eq!(
            (secret.kind.as_str(), secret.managed, secret.resource_version.as_str()),
            (DOCKERCONFIGJSON, false, "1499")
        );

        let resource: QuayIntegration = reduced::<resources::QuayIntegration, _>(json!({
            "apiVersion": "quay.redhat.com/v1", "kind": "QuayIntegration",
            "metadata": { "name": "quay", "resourceVersion": "7", "generation": 1 },
            "spec": {
                "clusterID": "parity", "quayHostname": "https://localhost:18443", "insecureRegistry": true,
                "scheduledImageStreamImport": true,
                "credentialsSecret": { "namespace": "openshift-operators", "name": "quay-integration" },
            },
        }));
        let credentials = SecretKey {
            namespace: "openshift-operators".into(),
            name: "quay-integration".into(),
            key: "token".into(),
        };
        let expected = QuayIntegration {
            name: "quay".into(),
            resource_version: "7".into(),
            cluster_id: "parity".into(),
            hostname: "https://localhost:18443".into(),
            insecure: true,
            scheduled: true,
            credentials: Some(credentials),
            ..Default::default()
        };
        assert_eq!(resource, expected);
    }

    #[test]
    fn project_awaits_scc_annotations() {
        let namespace = |annotations: &[&str]| {
            let annotations: std::collections::BTreeMap<_, _> =
                annotations.iter().map(|name| (*name, "true")).collect();
            reduced::<resources::Namespace, Namespace>(
                json!({ "metadata": { "name": "a", "annotations": annotations } }),
            )
        };
        assert!(namespace(&[DISPLAY_NAME, DESCRIPTION]).awaits_annotations);
        assert!(!namespace(&[DISPLAY_NAME, DESCRIPTION, SCC_MCS]).awaits_annotations);
        assert!(!namespace(&[DISPLAY_NAME]).awaits_annotations);
        assert!(!namespace(&[]).awaits_annotations);
        assert!(namespace(&[LINKED_ANNOTATION]).linked_on_request);
        let annotated =
            json!({ "metadata": { "name": "a", "annotations": { LINKED_ANNOTATION: "false" } } });
        assert!(!reduced::<resources::Namespace, Namespace>(annotated).linked_on_request);
        let created =
            json!({ "metadata": { "name": "a", "creationTimestamp": "2026-11-22T10:00:00Z" } });
        let created = reduced::<resources::Namespace, Namespace>(created).created;
        assert_eq!(created, "2026-11-22T10:00:00Z".parse().ok());
        let dying =
            json!({ "metadata": { "name": "a", "deletionTimestamp": "2026-11-22T10:00:00Z" } });
        assert!(reduced::<resources::Namespace, Namespace>(dying).terminating);
    }

    #[test]
    fn explains_unusable_secret_without_quoting_it() {
        let problem = |data: Value| {
            let secret = json!({ "metadata": { "name": "a" }, "type": "Opaque", "data": data });
            reduced::<resources::Secret, Secret>(secret).credentials.unwrap_err()
        };
        let encoded = |text: &[u8]| STANDARD.encode(text);
        assert_eq!(problem(Value::Null), "it has no key .dockerconfigjson");
        assert_eq!(problem(json!({ "token": encoded(b"x") })), "it has no key .dockerconfigjson");
        assert_eq!(
            problem(json!({ DOCKERCONFIGJSON_KEY: encoded(b"\xff") })),
            "the value of its key .dockerconfigjson is not text"
        );
        assert!(!problem(json!({ DOCKERCONFIGJSON_KEY: encoded(b"HIDDEN") })).contains("HIDDEN"));
        let labels =
            json!({ "metadata": { "name": "a", "labels": { MANAGED_BY_LABEL: MANAGED_BY } } });
        assert!(reduced::<resources::Secret, Secret>(labels).managed);
    }

    #[test]
    fn trims_token_and_distinguishes_missing_ones() {
        let token = |data: Value, key: &str| {
            let secret: resources::Secret =
                serde_json::from_value(json!({ "metadata": { "name": "a" }, "data": data }))
                    .unwrap();
            secret.token(key).map(|(stored, token)| {
                (stored, token.map(|token| token.expose_secret().to_owned()))
            })
        };
        let data = json!({ "token": STANDARD.encode("T0KEN\n"), "blank": STANDARD.encode(" \n"), "image": STANDARD.encode(b"\xff") });
        assert_eq!(
            token(data.clone(), "token"),
            Ok((StoredTokenState::Present, Some("T0KEN".into())))
        );
        assert_eq!(token(data.clone(), "blank"), Ok((StoredTokenState::Empty, None)));
        assert_eq!(token(data.clone(), "other"), Ok((StoredTokenState::KeyMissing, None)));
        assert_eq!(token(Value::Null, "token"), Ok((StoredTokenState::KeyMissing, None)));
        assert!(token(data, "image").is_err());
    }

    #[test]
    fn distinguishes_followed_from_own_tags() {
        let stream = |spec: Value, status: Value| {
            let stream = json!({ "metadata": { "name": "app" }, "spec": { "tags": spec }, "status": { "tags": status } });
            reduced::<resources::ImageStream, ImageStream>(stream)
        };
        let outside = json!({ "name": "1", "from": { "kind": "DockerImage", "name": "docker.io/library/app:1" } });
        let inside =
            json!({ "name": "2", "from": { "kind": "ImageStreamTag", "name": "other:2" } });
        let image = |tag: &str| json!({ "tag": tag, "items": [{ "image": "sha256:0" }] });

        assert!(stream(Value::Null, Value::Null).holds_own_tags());
        assert!(stream(json!([]), json!([image("latest")])).holds_own_tags());
        assert!(stream(json!([outside, inside]), Value::Null).holds_own_tags());
        assert!(stream(json!([{ "name": "3" }]), Value::Null).holds_own_tags());
        assert!(stream(json!([outside]), json!([image("1"), image("pushed")])).holds_own_tags());
        let follower =
            stream(json!([outside]), json!([image("1"), { "tag": "tried", "items": null }]));
        assert!(!follower.holds_own_tags());
        assert_eq!(
            follower.tags.iter().map(StreamTag::follows).collect::<Vec<_>>(),
            [Some("docker.io/library/app:1")]
        );
    }

    #[test]
    fn converts_newest_image_and_import_failure() {
        let condition = |kind: &str, status: &str| json!([{ "type": kind, "status": status, "message": "not found" }]);
        let stream: ImageStream = reduced::<resources::ImageStream, _>(json!({
            "metadata": { "name": "app" },
            "spec": { "tags": [{
                "name": "good", "from": { "kind": "DockerImage", "name": "q/org/app:good" },
                "importPolicy": { "importMode": "PreserveOriginal", "insecure": true, "scheduled": true },
                "reference": true, "generation": 2,
            }] },
            "status": { "tags": [
                { "tag": "bad", "items": null, "conditions": condition("ImportSuccess", "False") },
                { "tag": "good", "conditions": condition("ImportSuccess", "True"), "items": [
                    {
                        "created": "2026-11-22T10:00:00Z", "dockerImageReference": "q/org/app@sha256:2",
                        "image": "sha256:2", "generation": 3,
                    },
                    { "created": "2026-11-21T10:00:00Z", "dockerImageReference": "q/org/app@sha256:1", "image": "sha256:1" },
                ] },
                { "tag": "else", "items": null, "conditions": condition("Other", "False") },
            ] },
        }));
        let image = TagImage {
            digest: "sha256:2".into(),
            reference: "q/org/app@sha256:2".into(),
            created: Some(1_795_341_600),
            generation: 3,
        };
        let from = TagSource { kind: "DockerImage".into(), name: "q/org/app:good".into() };
        let tag = |name: &str| StreamTag { name: name.into(), ..StreamTag::default() };
        let policy = ImportPolicy { scheduled: true, keeps_lists: true };
        let expected = [
            StreamTag { failure: Some("not found".into()), ..tag("bad") },
            StreamTag {
                from: Some(from),
                policy,
                reference: true,
                generation: 2,
                image: Some(image),
                ..tag("good")
            },
        ];
        assert_eq!(stream.tags, expected);
    }

    #[test]
    fn parses_repository_annotation() {
        let wants = |value: &str| {
            let annotations = json!({ REPOSITORY_ANNOTATION: value });
            let stream = json!({ "metadata": { "name": "app", "annotations": annotations } });
            reduced::<resources::ImageStream, ImageStream>(stream).wants_repository
        };
        assert_eq!(
            [wants("true"), wants("false"), wants("maybe")],
            [Some(true), Some(false), None]
        );
    }

    #[test]
    fn converts_incomplete_integration() {
        let resource: QuayIntegration =
            reduced::<resources::QuayIntegration, _>(json!({ "metadata": { "name": "bare" } }));
        assert_eq!(resource, QuayIntegration { name: "bare".into(), ..Default::default() });
        let key = |secret: Value| {
            let resource =
                json!({ "metadata": { "name": "a" }, "spec": { "credentialsSecret": secret } });
            reduced::<resources::QuayIntegration, QuayIntegration>(resource)
                .credentials
                .map(|key| key.key)
        };
        assert_eq!(
            key(json!({ "namespace": "n", "name": "s", "key": "secret" })).as_deref(),
            Some("secret")
        );
        // The operator's own sample names no namespace.
        assert_eq!(key(json!({ "name": "s", "key": "token" })), None);
    }
}
