//! Builds and BuildConfigs: conversion from the API, reads and edits.

use kube::api::ListParams;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::access::client::Cluster;
use crate::cluster::access::error::ClusterError;
use crate::cluster::resources::dynamic::ObjectKind;
use crate::cluster::resources::{BUILD_CONFIGS, BUILDS, Meta, Reference};
use crate::domain::builds::{CommonSpec, IMPORTED_ANNOTATION, MANAGED, MANAGED_ANNOTATION};
use crate::domain::names::{IMPORT_ANNOTATION, ORIGINAL_OUTPUT_ANNOTATION};
use crate::domain::snapshot::{
    Build, BuildConfig, ImportNote, Observed, OriginalOutput, Phase, RawOutput,
};

#[derive(Clone, Deserialize)]
pub(in crate::cluster) struct StoredBuildConfig {
    pub(in crate::cluster) metadata: Meta,
    #[serde(default)]
    spec: Value,
}

#[derive(Clone, Deserialize)]
pub(in crate::cluster) struct StoredBuild {
    pub(in crate::cluster) metadata: Meta,
    #[serde(default)]
    spec: CommonSpec,
    #[serde(default)]
    status: BuildStatus,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BuildStatus {
    phase: Phase,
    reason: String,
    message: String,
    config: Option<Reference>,
    completion_timestamp: Option<String>,
    output: BuildStatusOutput,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct BuildStatusOutput {
    to: Option<Pushed>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Pushed {
    image_digest: String,
}

impl From<StoredBuildConfig> for BuildConfig {
    fn from(StoredBuildConfig { metadata, spec }: StoredBuildConfig) -> Self {
        let parse = |text: &String| serde_json::from_str(text).map_err(|error| error.to_string());
        Self {
            former: metadata.annotation(ORIGINAL_OUTPUT_ANNOTATION).map(parse),
            owner: metadata.owner(),
            name: metadata.name,
            resource_version: metadata.resource_version,
            output: RawOutput::deserialize(&spec["output"]).unwrap_or_default(),
            // An invalid spec has no known strategy, so the rewrite rule skips it.
            spec: CommonSpec::deserialize(&spec).unwrap_or_default(),
        }
    }
}

impl From<StoredBuild> for Build {
    fn from(StoredBuild { metadata, spec, status }: StoredBuild) -> Self {
        let time = |text: Option<String>| text.and_then(|text| text.parse().ok());
        let is_set = |annotation: &str| {
            metadata.annotation(annotation).is_some_and(|value| value == MANAGED)
        };
        let note = |text: &String| ImportNote::parse(text, &metadata.uid);
        Self {
            managed: is_set(MANAGED_ANNOTATION),
            imported: is_set(IMPORTED_ANNOTATION),
            import_note: metadata
                .annotation(IMPORT_ANNOTATION)
                .map_or_else(ImportNote::default, note),
            config: status.config.map(|config| config.name),
            name: metadata.name,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            created: time(metadata.creation_timestamp),
            spec,
            phase: status.phase,
            reason: status.reason,
            message: status.message,
            completed: time(status.completion_timestamp),
            digest: status
                .output
                .to
                .map(|pushed| pushed.image_digest)
                .filter(|digest| !digest.is_empty()),
        }
    }
}

impl Cluster {
    pub(in crate::cluster) async fn build_configs(
        &self,
        namespace: &str,
    ) -> Observed<Vec<BuildConfig>> {
        Ok(self
            .list::<StoredBuildConfig, _>(&BUILD_CONFIGS, Some(namespace), ListParams::default())
            .await?)
    }

    /// Annotates a build as imported and returns it; none if it was deleted. The `uid`
    /// distinguishes builds of the same name after a BuildConfig is recreated.
    ///
    /// # Errors
    /// Also if the build was recreated, or if the user is not allowed to create builds of its
    /// strategy: OpenShift checks that permission at every update.
    pub async fn annotate_imported(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
    ) -> Result<Option<Build>, ClusterError> {
        self.annotate_build(
            namespace,
            name,
            uid,
            &json!({ IMPORTED_ANNOTATION: MANAGED, IMPORT_ANNOTATION: null }),
        )
        .await
    }

    /// Annotates a build with the progress of its import and returns it; none if it was deleted.
    ///
    /// # Errors
    /// As [`Cluster::annotate_imported`].
    pub async fn annotate_import(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        note: ImportNote,
    ) -> Result<Option<Build>, ClusterError> {
        self.annotate_build(
            namespace,
            name,
            uid,
            &json!({ IMPORT_ANNOTATION: note.to_annotation(uid) }),
        )
        .await
    }

    async fn annotate_build(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        annotations: &Value,
    ) -> Result<Option<Build>, ClusterError> {
        let patch = json!({ "metadata": { "uid": uid, "annotations": annotations } });
        match self.merge_as::<StoredBuild>(&BUILDS, Some(namespace), name, &patch).await {
            Err(error) if error.is_not_found() => Ok(None),
            noted => Ok(Some(noted?.into())),
        }
    }

    /// Sets the output of a BuildConfig and saves the original output in an annotation.
    ///
    /// # Errors
    /// Also on a conflict.
    pub async fn rewrite_build_config(
        &self,
        namespace: &str,
        name: &str,
        version: &str,
        former: &OriginalOutput,
    ) -> Result<(), ClusterError> {
        let original = json!(former).to_string();
        let to = replacement_patch(
            &former.output.to,
            json!({ "kind": "DockerImage", "name": former.image }),
        );
        let push_secret =
            replacement_patch(&former.output.push_secret, json!({ "name": former.secret }));
        let patch = output_patch(version, &json!(original), &to, &push_secret);
        self.merge_object(ObjectKind::BuildConfig, Some(namespace), name, &patch).await
    }

    /// Restores the original output of a BuildConfig.
    ///
    /// # Errors
    /// Also on a conflict.
    pub async fn restore_build_config(
        &self,
        namespace: &str,
        name: &str,
        version: &str,
        output: &RawOutput,
    ) -> Result<(), ClusterError> {
        let to = replacement_patch(&json!({ "kind": "", "name": "" }), output.to.clone());
        let push_secret = replacement_patch(&json!({ "name": "" }), output.push_secret.clone());
        let patch = output_patch(version, &Value::Null, &to, &push_secret);
        self.merge_object(ObjectKind::BuildConfig, Some(namespace), name, &patch).await
    }

    /// Empty if the cluster does not serve builds.
    ///
    /// # Errors
    pub async fn builds(&self, namespace: &str) -> Observed<Vec<Build>> {
        Ok(self.list::<StoredBuild, _>(&BUILDS, Some(namespace), ListParams::default()).await?)
    }
}

fn output_patch(version: &str, original: &Value, to: &Value, push_secret: &Value) -> Value {
    json!({
        "metadata": { "resourceVersion": version, "annotations": { ORIGINAL_OUTPUT_ANNOTATION: original } },
        "spec": { "output": { "to": to, "pushSecret": push_secret } },
    })
}

/// A merge patch (RFC 7396) that replaces the object `before`, including its other keys.
fn replacement_patch(before: &Value, after: Value) -> Value {
    let Value::Object(mut after) = after else { return after };
    for key in before.as_object().into_iter().flat_map(|before| before.keys()) {
        after.entry(key).or_insert(Value::Null);
    }
    Value::Object(after)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::builds::{DESTINATION_ANNOTATION, Strategy};

    fn config(object: Value) -> BuildConfig {
        serde_json::from_value::<StoredBuildConfig>(object).unwrap().into()
    }

    fn build(object: Value) -> Build {
        serde_json::from_value::<StoredBuild>(object).unwrap().into()
    }

    #[test]
    fn keeps_raw_output_of_build_config() {
        let to = json!({ "kind": "ImageStreamTag", "name": "app:latest", "uid": "odd" });
        let found = config(json!({
            "metadata": { "name": "app", "namespace": "shop", "resourceVersion": "7" },
            "spec": {
                "strategy": { "type": "Source", "sourceStrategy": { "from": { "kind": "ImageStreamTag", "name": "nodejs" } } },
                "output": { "to": to }, "nodeSelector": null, "triggers": [{ "type": "ConfigChange" }],
            },
            "status": { "lastVersion": 3 },
        }));
        assert_eq!((found.name.as_str(), found.resource_version.as_str()), ("app", "7"));
        assert_eq!(found.spec.strategy, Some(Strategy::Source));
        assert_eq!(found.spec.output.to.unwrap().name, "app:latest");
        assert_eq!(found.output, RawOutput { to, push_secret: Value::Null });
        assert_eq!((found.former, found.owner), (None, None));
        assert_eq!(
            config(json!({ "metadata": {}, "spec": { "output": 7 } })),
            BuildConfig::default()
        );
    }

    #[test]
    fn parses_original_output_annotation() {
        let former = |text: &str| {
            config(json!({ "metadata": { "annotations": { ORIGINAL_OUTPUT_ANNOTATION: text } } }))
                .former
        };
        let output = RawOutput {
            to: json!({ "kind": "ImageStreamTag", "name": "app:1" }),
            push_secret: Value::Null,
        };
        let kept = |secret: &str| OriginalOutput {
            output: output.clone(),
            image: "q/o/app:1".into(),
            secret: secret.into(),
        };
        for kept in [kept("builder-quay-openshift"), kept("")] {
            assert_eq!(former(&serde_json::to_string(&kept).unwrap()), Some(Ok(kept)));
        }
        let without_secret = r#"{"to":{"kind":"ImageStreamTag","name":"app:1"},"pushSecret":null,"image":"q/o/app:1"}"#;
        assert_eq!(former(without_secret), Some(Ok(kept(""))));
        assert!(former("invalid").unwrap().is_err());
    }

    #[test]
    fn names_gitops_or_controller_owner() {
        let owner = |metadata: Value| config(json!({ "metadata": metadata })).owner;
        let key = "argocd.argoproj.io/tracking-id";
        assert_eq!(
            owner(
                json!({ "annotations": { key: "shop:build.openshift.io/BuildConfig:shop/app" } })
            )
            .unwrap(),
            "Argo CD"
        );
        assert_eq!(
            owner(json!({ "labels": { "kustomize.toolkit.fluxcd.io/name": "apps" } })).unwrap(),
            "Flux"
        );
        let reference = |controller: bool| json!({ "ownerReferences": [{ "kind": "App", "name": "shop", "controller": controller }] });
        assert_eq!(owner(reference(true)).unwrap(), "App shop");
        assert_eq!(owner(reference(false)), None);
        assert_eq!(owner(json!({ "labels": { "app.kubernetes.io/instance": "shop" } })), None);
    }

    /// A build that the operator's webhook rewrote, recorded on OpenShift 4.21.
    #[test]
    fn converts_build_status() {
        let found = build(json!({
            "metadata": {
                "name": "app-3", "creationTimestamp": "2026-11-22T10:00:00Z",
                "annotations": {
                    "openshift.io/build-config.name": "app", "openshift.io/build.number": "3",
                    MANAGED_ANNOTATION: "true", DESTINATION_ANNOTATION: "shop/app:latest", IMPORTED_ANNOTATION: "true",
                },
            },
            "spec": {
                "serviceAccount": "builder", "strategy": { "type": "Docker", "dockerStrategy": {} },
                "output": { "to": { "kind": "DockerImage", "name": "quay.example.com/openshift_shop/app:latest" } },
            },
            "status": {
                "phase": "Complete", "completionTimestamp": "2026-11-22T10:02:00Z",
                "config": { "kind": "BuildConfig", "namespace": "shop", "name": "app" },
                "output": { "to": { "imageDigest": "sha256:0a" } },
                "outputDockerImageReference": "quay.example.com/openshift_shop/app:latest",
            },
        }));
        assert_eq!(
            (found.phase, found.config.as_deref(), found.digest.as_deref()),
            (Phase::Complete, Some("app"), Some("sha256:0a"))
        );
        assert!(found.managed && found.imported && found.created < found.completed);

        let fresh = build(
            json!({ "metadata": { "name": "app-4", "annotations": { MANAGED_ANNOTATION: "no" } }, "status": {} }),
        );
        assert_eq!(fresh, Build { name: "app-4".into(), ..Build::default() });
        let waits = build(
            json!({ "metadata": {}, "status": { "phase": "New", "reason": "InvalidOutputReference" } }),
        );
        assert_eq!((waits.phase, waits.reason.as_str()), (Phase::New, "InvalidOutputReference"));
        assert_eq!(
            build(json!({ "metadata": {}, "status": { "phase": "Sleeping" } })).phase,
            Phase::Unknown
        );
    }
}
