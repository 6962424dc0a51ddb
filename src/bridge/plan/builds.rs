//! BuildConfigs that push to Quay by themselves, and the way back.

use super::Plan;
use crate::bridge::Role;
use crate::bridge::builds::{BUILDER, CommonSpec, Rewriting, Rewritten, Unchanged};
use crate::bridge::change::Change;
use crate::bridge::checks::Subject;
use crate::bridge::dockerconfig::Place;
use crate::bridge::finding::{Code, Finding, ObjectRef};
use crate::bridge::snapshot::{BuildConfig, FormerOutput, NamespaceSnapshot};

const KIND: &str = "BuildConfig";

/// What is done about BuildConfigs, and those that are left as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildsPlan {
    /// The changes, and what cannot be done.
    pub plan: Plan,
    /// What needs no change, each with the reason.
    pub left: Vec<Finding>,
}

/// Plans that the BuildConfigs of these names, or all of them without any, push to Quay by themselves.
pub fn rewrite_builds(subject: &Subject, names: &[String]) -> BuildsPlan {
    let snapshot = subject.snapshot;
    each(snapshot, names, |config| match rewriting(subject, config)? {
        (former, secret) if is_so(config, &former.image, &secret) => Err(Answer::Nothing),
        (former, secret) => Ok(Change::RewriteBuildConfig {
            namespace: snapshot.name.clone(),
            build_config: config.name.clone(),
            version: config.resource_version.clone(),
            former,
            secret,
        }),
    })
}

/// Plans that the BuildConfigs of these names, or all of them without any, push where they did before.
pub fn restore_builds(snapshot: &NamespaceSnapshot, names: &[String]) -> BuildsPlan {
    each(snapshot, names, |config| match &config.former {
        None if names.is_empty() => Err(Answer::Nothing),
        None => Err(Answer::Left("it was not rewritten".into())),
        Some(Err(problem)) => Err(Answer::Refused(format!("what was kept of its output cannot be understood ({problem})"))),
        Some(Ok(_)) => match config.still_rewritten() {
            None => Err(Answer::Refused("its output was changed since by somebody else".into())),
            Some(former) => Ok(Change::RestoreBuildConfig {
                namespace: snapshot.name.clone(),
                build_config: config.name.clone(),
                version: config.resource_version.clone(),
                former: former.clone(),
            }),
        },
    })
}

/// Why nothing is planned for a BuildConfig.
enum Answer {
    /// It is as it should be.
    Nothing,
    /// It is no business of ours.
    Left(String),
    /// It should be changed and cannot be.
    Refused(String),
}

fn each(snapshot: &NamespaceSnapshot, names: &[String], plan: impl Fn(&BuildConfig) -> Result<Change, Answer>) -> BuildsPlan {
    let finding = |code, name: &str, message: String| {
        Finding::new(code, ObjectRef::namespaced(KIND, &snapshot.name, name), message).in_namespace(&snapshot.name)
    };
    let mut made = BuildsPlan::default();
    let configs = match &snapshot.build_configs {
        Ok(configs) => configs,
        Err(unread) => {
            let message = format!("Could not {}: {}", unread.call, unread.reason);
            made.plan.blocked.push(finding(Code::CouldNotRead, "", message));
            return made;
        }
    };
    for config in configs.iter().filter(|config| names.is_empty() || names.contains(&config.name)) {
        let name = &config.name;
        match plan(config) {
            Ok(change) => made.plan.changes.push(change),
            Err(Answer::Nothing) => {}
            Err(Answer::Left(why)) => {
                made.left.push(finding(Code::OutputLeft, name, format!("BuildConfig {name} is left as it is: {why}")));
            }
            Err(Answer::Refused(why)) => {
                made.plan.blocked.push(finding(Code::OutputNotOurs, name, format!("BuildConfig {name} stays as it is: {why}")));
            }
        }
    }
    made
}

/// The output that a BuildConfig is to have, beside the one to keep, and the secret with the login for it.
fn rewriting(subject: &Subject, config: &BuildConfig) -> Result<(FormerOutput, String), Answer> {
    let kept = config.still_rewritten();
    let spec = kept.map_or_else(|| config.spec.clone(), |former| former.spec(&config.spec));
    let right = match subject.rewriting(&spec) {
        Rewriting::Rewritten(right) => right,
        Rewriting::Unchanged(
            why @ (Unchanged::OutOfScope { .. }
            | Unchanged::UnknownNamespace(_)
            | Unchanged::OtherOrganization(_)
            | Unchanged::Impossible(_)),
        ) => return Err(Answer::Refused(why.to_string())),
        Rewriting::Unchanged(why) => return Err(Answer::Left(why.to_string())),
    };
    let secret = push_secret(subject, &spec, &right)?;
    let former = FormerOutput { output: kept.map_or(&config.output, |former| &former.output).clone(), image: right.image };
    if let Some(owner) = config.owner.as_ref().filter(|_| !is_so(config, &former.image, &secret)) {
        return Err(Answer::Refused(format!(
            "{owner} would undo it; write there spec.output: {{to: {{kind: DockerImage, name: {}}}, pushSecret: {{name: {secret}}}}}",
            former.image
        )));
    }
    Ok((former, secret))
}

/// The secret of the service account that builds, if that one may push, else the builder's. In another organization only
/// one that was named helps, if its login is for that organization.
fn push_secret(subject: &Subject, spec: &CommonSpec, right: &Rewritten) -> Result<String, Answer> {
    let named = spec.output.push_secret.clone().filter(|_| right.destination.namespace != subject.snapshot.name);
    let may_push = |name: &str| subject.desired.account(name).is_some_and(|account| account.role >= Role::Write);
    let account = if may_push(spec.pusher()) { spec.pusher() } else { BUILDER };
    let is_foreign = named.is_some();
    let secret = named.unwrap_or_else(|| subject.integration.cluster_id.value.secret(account));
    let Ok(_) = &subject.snapshot.secrets else { return Ok(secret) };
    let Some(found) = subject.snapshot.secret(&secret) else {
        return Err(Answer::Refused(format!("there is no secret {secret} with a login for Quay")));
    };
    let organization = subject.integration.cluster_id.value.organization(&right.destination.namespace);
    let opens = |username: &str| username.split_once('+').is_none_or(|(of, _)| of == organization);
    match found.login_for(Place { host: &subject.desired.host, organization: &organization }) {
        None => Err(Answer::Refused(format!("secret {secret} has no login for {}", subject.desired.host))),
        Some(login) if is_foreign && !opens(&login.username) => Err(Answer::Refused(format!(
            "secret {secret} logs in as {}, which may not push to organization {organization}",
            login.username
        ))),
        Some(_) => Ok(secret),
    }
}

fn is_so(config: &BuildConfig, image: &str, secret: &str) -> bool {
    let output = &config.spec.output;
    config.still_rewritten().is_some()
        && output.to.as_ref().is_some_and(|to| to.name == image)
        && output.push_secret.as_deref() == Some(secret)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use serde::Deserialize as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::bridge::builds::integration;
    use crate::bridge::desired::Desired;
    use crate::bridge::properties::golden;
    use crate::bridge::snapshot::{Login, Secret, WrittenOutput};

    const HOST: &str = "quay.example.com:8443";

    fn secret(name: &str, username: &str) -> Secret {
        let login = Login { username: username.into(), password: "hidden".into() };
        let kind = "kubernetes.io/dockerconfigjson".to_owned();
        let logins = Ok(vec![(HOST.to_owned(), login)]);
        Secret { name: name.into(), resource_version: "1".into(), kind, managed: true, logins }
    }

    /// What is made of a BuildConfig with this spec in namespace `golden`: the image and the secret, or why not.
    fn rewritten(spec: Value) -> Result<(String, String), String> {
        let mut snapshot = golden();
        snapshot.secrets = Ok(vec![secret("builder-quay-Prod", "prod_golden+builder"), secret("images", "prod_images+pusher")]);
        let config = BuildConfig {
            name: "app".into(),
            output: WrittenOutput::deserialize(&spec["output"]).unwrap_or_default(),
            spec: CommonSpec::deserialize(&spec).unwrap(),
            ..BuildConfig::default()
        };
        snapshot.build_configs = Ok(vec![config]);
        let integration = integration();
        let desired = Desired::of(&integration, &snapshot, &BTreeMap::new());
        let subject = Subject { integration: &integration, troubles: &[], snapshot: &snapshot, desired: &desired };
        let made = rewrite_builds(&subject, &[]);
        match made.plan.changes.as_slice() {
            [Change::RewriteBuildConfig { former, secret, .. }] => Ok((former.image.clone(), secret.clone())),
            _ => Err(made.plan.blocked.iter().chain(&made.left).map(|finding| finding.message.clone()).collect()),
        }
    }

    #[test]
    fn every_strategy_and_every_output_has_its_answer() {
        let spec = |strategy: &str, to: Value| json!({ "strategy": { strategy: {} }, "output": { "to": to } });
        let tag = |name: &str| json!({ "kind": "ImageStreamTag", "name": name });
        let own = |image: &str| Ok((format!("{HOST}/prod_golden/{image}"), "builder-quay-Prod".to_owned()));
        for strategy in ["dockerStrategy", "sourceStrategy", "customStrategy"] {
            assert_eq!(rewritten(spec(strategy, tag("app:1"))), own("app:1"), "{strategy}");
        }
        assert_eq!(rewritten(spec("dockerStrategy", tag("app"))), own("app:latest"));
        let why = |spec: Value| rewritten(spec).unwrap_err();
        assert!(why(spec("jenkinsPipelineStrategy", tag("app:1"))).contains("is left as it is: a Jenkins pipeline"));
        assert!(why(spec("dockerStrategy", Value::Null)).contains("it has no output"));
        let there = json!({ "kind": "DockerImage", "name": format!("{HOST}/prod_golden/app:1") });
        assert!(why(spec("dockerStrategy", there)).contains("it pushes to this Quay already"));
        let platform = json!({ "kind": "ImageStreamTag", "namespace": "openshift", "name": "app:1" });
        assert!(why(spec("dockerStrategy", platform)).contains("stays as it is: namespace openshift is not in the integration"));
    }

    #[test]
    fn into_another_namespace_only_a_login_of_its_organization_helps() {
        let spec = |push_secret: Value| {
            let to = json!({ "kind": "ImageStreamTag", "namespace": "images", "name": "app:1" });
            json!({ "strategy": { "dockerStrategy": {} }, "output": { "to": to, "pushSecret": push_secret } })
        };
        assert_eq!(rewritten(spec(json!({ "name": "images" }))), Ok((format!("{HOST}/prod_images/app:1"), "images".into())));
        let why = |push_secret: Value| rewritten(spec(push_secret)).unwrap_err();
        assert!(why(Value::Null).contains("no robot account of this namespace may push"));
        assert!(why(json!({ "name": "builder-quay-Prod" })).contains("no robot account of this namespace may push"));
        assert!(why(json!({ "name": "gone" })).contains("there is no secret gone"));
    }
}
