//! `CommonSpec` as the API server writes it.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Output, Strategy, Target};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CommonSpec {
    #[serde(default)]
    strategy: StrategyFields,
    #[serde(default)]
    output: OutputFields,
    service_account: Option<String>,
}

/// A union: one of the fields is set. Like the operator, we ignore `type`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StrategyFields {
    docker_strategy: Option<IgnoredAny>,
    source_strategy: Option<IgnoredAny>,
    custom_strategy: Option<IgnoredAny>,
    jenkins_pipeline_strategy: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OutputFields {
    to: Option<Target>,
    push_secret: Option<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(default)]
    name: String,
}

impl From<CommonSpec> for super::CommonSpec {
    fn from(CommonSpec { strategy, output, service_account }: CommonSpec) -> Self {
        let named = |name: &String| !name.is_empty();
        let OutputFields { to, push_secret } = output;
        Self {
            strategy: strategy.detect(),
            output: Output {
                to: to.map(|to| Target { namespace: to.namespace.filter(named), ..to }),
                push_secret: push_secret.map(|secret| secret.name).filter(named),
            },
            service_account: service_account.filter(named),
        }
    }
}

impl StrategyFields {
    fn detect(&self) -> Option<Strategy> {
        let fields = [
            (&self.docker_strategy, Strategy::Docker),
            (&self.source_strategy, Strategy::Source),
            (&self.custom_strategy, Strategy::Custom),
            (&self.jenkins_pipeline_strategy, Strategy::JenkinsPipeline),
        ];
        fields.into_iter().find(|(field, _)| field.is_some()).map(|(_, strategy)| strategy)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::super::CommonSpec;
    use super::*;

    fn read(spec: Value) -> CommonSpec {
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn reads_spec_as_openshift_writes_it() {
        let spec = read(json!({
            "nodeSelector": null,
            "output": {
                "to": { "kind": "ImageStreamTag", "namespace": "images", "name": "app:1.0" },
                "pushSecret": { "name": "mine" },
            },
            "resources": {},
            "serviceAccount": "robot",
            "source": { "type": "Dockerfile", "dockerfile": "FROM scratch" },
            "strategy": { "type": "Docker", "dockerStrategy": {} },
            "triggeredBy": [{ "message": "Manually triggered" }],
        }));
        let to = Target {
            kind: "ImageStreamTag".into(),
            namespace: Some("images".into()),
            name: "app:1.0".into(),
        };
        assert_eq!(
            spec,
            CommonSpec {
                strategy: Some(Strategy::Docker),
                output: Output { to: Some(to), push_secret: Some("mine".into()) },
                service_account: Some("robot".into()),
            }
        );
        assert_eq!(spec.pusher(), "robot");
    }

    #[test]
    fn treats_empty_fields_as_missing() {
        assert_eq!(read(json!({})), CommonSpec::default());
        let empty = json!({ "output": { "to": { "namespace": "" }, "pushSecret": {} }, "serviceAccount": "", "strategy": {} });
        assert_eq!(
            read(empty),
            CommonSpec {
                output: Output { to: Some(Target::default()), push_secret: None },
                ..CommonSpec::default()
            }
        );
        assert_eq!(CommonSpec::default().pusher(), "builder");
    }

    #[test]
    fn detects_strategy_by_its_field() {
        let strategy = |field: &str| read(json!({ "strategy": { field: {} } })).strategy;
        assert_eq!(strategy("dockerStrategy"), Some(Strategy::Docker));
        assert_eq!(strategy("sourceStrategy"), Some(Strategy::Source));
        assert_eq!(strategy("customStrategy"), Some(Strategy::Custom));
        assert_eq!(strategy("jenkinsPipelineStrategy"), Some(Strategy::JenkinsPipeline));
        assert_eq!(strategy("magicStrategy"), None);
    }
}
