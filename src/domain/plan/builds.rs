//! BuildConfigs that push to Quay by themselves, and the way back.

use super::Plan;
use crate::domain::Role;
use crate::domain::builds::{BUILDER, CommonSpec, RewriteOutcome, Rewritten, SkipReason};
use crate::domain::change::Change;
use crate::domain::checks::Assessed;
use crate::domain::dockerconfig::RegistryScope;
use crate::domain::finding::{Code, Finding, ObjectRef};
use crate::domain::snapshot::{BuildConfig, NamespaceSnapshot, OriginalOutput};

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
pub fn rewrite_builds(subject: &Assessed, names: &[String]) -> BuildsPlan {
    let snapshot = subject.snapshot;
    each(snapshot, names, |config| match rewriting(subject, config)? {
        former if is_so(config, &former) => Err(BuildPlanResult::Nothing),
        former => Ok(Change::RewriteBuildConfig {
            namespace: snapshot.name.clone(),
            build_config: config.name.clone(),
            version: config.resource_version.clone(),
            former,
        }),
    })
}

/// Plans that the BuildConfigs of these names, or all of them without any, push where they did before.
pub fn restore_builds(subject: &Assessed, names: &[String]) -> BuildsPlan {
    let snapshot = subject.snapshot;
    each(snapshot, names, |config| {
        let undoes = match &config.former {
            None if names.is_empty() => return Err(BuildPlanResult::Nothing),
            None => return Err(BuildPlanResult::Left("it was not rewritten".into())),
            Some(Err(problem)) => {
                return Err(BuildPlanResult::Refused(format!(
                    "what was kept of its output cannot be understood ({problem})"
                )));
            }
            Some(Ok(former)) => restore_change(subject, config, former)?,
        };
        Ok(Change::RestoreBuildConfig {
            namespace: snapshot.name.clone(),
            build_config: config.name.clone(),
            version: config.resource_version.clone(),
            output: config.original_output(is_ours(subject)),
            undoes,
        })
    })
}

/// What putting a BuildConfig back undoes, in words, if it may be put back.
fn restore_change(
    subject: &Assessed,
    config: &BuildConfig,
    former: &OriginalOutput,
) -> Result<String, BuildPlanResult> {
    match (config.still_rewritten(), config.stale_original_output(is_ours(subject)), &config.owner)
    {
        // Had it another output where its owner keeps it, that would be back already.
        (Some(_), _, Some(owner)) => {
            Err(BuildPlanResult::Refused(format!("{owner} would undo it")))
        }
        (Some(_), _, None) => Ok(format!("instead of {}", former.image)),
        (None, Some(secret), _) => Ok(format!("without secret {secret}")),
        (None, None, _) if config.output == former.output => Err(BuildPlanResult::Nothing),
        (None, None, _) => {
            Err(BuildPlanResult::Refused("its output was changed since by somebody else".into()))
        }
    }
}

/// Knows the secrets of our making by their names.
fn is_ours(subject: &Assessed) -> impl Fn(&str) -> bool {
    |secret| subject.integration.cluster_id.value.names_secret(secret)
}

/// Why nothing is planned for a BuildConfig.
enum BuildPlanResult {
    /// It is as it should be.
    Nothing,
    /// It is no business of ours.
    Left(String),
    /// It should be changed and cannot be.
    Refused(String),
}

fn each(
    snapshot: &NamespaceSnapshot,
    names: &[String],
    plan: impl Fn(&BuildConfig) -> Result<Change, BuildPlanResult>,
) -> BuildsPlan {
    let finding = |code, name: &str, message: String| {
        Finding::new(code, ObjectRef::namespaced(KIND, &snapshot.name, name), message)
            .in_namespace(&snapshot.name)
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
            Err(BuildPlanResult::Nothing) => {}
            Err(BuildPlanResult::Left(why)) => {
                made.left.push(finding(
                    Code::OutputLeft,
                    name,
                    format!("BuildConfig {name} is left as it is: {why}"),
                ));
            }
            Err(BuildPlanResult::Refused(why)) => {
                made.plan.blocked.push(finding(
                    Code::OutputNotOurs,
                    name,
                    format!("BuildConfig {name} stays as it is: {why}"),
                ));
            }
        }
    }
    made
}

/// The output that a BuildConfig is to have, with the secret for it, beside the one to keep.
fn rewriting(subject: &Assessed, config: &BuildConfig) -> Result<OriginalOutput, BuildPlanResult> {
    let output = config.original_output(is_ours(subject));
    let spec = output.spec(&config.spec);
    let right = match subject.rewriting(&spec) {
        RewriteOutcome::Rewritten(right) => right,
        RewriteOutcome::Unchanged(
            why @ (SkipReason::OutOfScope { .. }
            | SkipReason::UnknownNamespace(_)
            | SkipReason::OtherOrganization(_)
            | SkipReason::Impossible(_)),
        ) => return Err(BuildPlanResult::Refused(why.to_string())),
        RewriteOutcome::Unchanged(why) => return Err(BuildPlanResult::Left(why.to_string())),
    };
    let secret = push_secret(subject, &spec, &right)?;
    let former = OriginalOutput { output, image: right.image, secret };
    if let Some(owner) = config.owner.as_ref().filter(|_| !is_so(config, &former)) {
        return Err(BuildPlanResult::Refused(format!(
            "{owner} would undo it; write there spec.output: {{to: {{kind: DockerImage, name: {}}}, pushSecret: {{name: {}}}}}",
            former.image, former.secret
        )));
    }
    Ok(former)
}

/// The secret of the service account that builds, if that one may push, else the builder's. In another organization only
/// one that was named helps, if its login is for that organization.
fn push_secret(
    subject: &Assessed,
    spec: &CommonSpec,
    right: &Rewritten,
) -> Result<String, BuildPlanResult> {
    let named = spec
        .output
        .push_secret
        .clone()
        .filter(|_| right.destination.namespace != subject.snapshot.name);
    let may_push = |name: &str| {
        subject.desired.account(name).is_some_and(|account| account.role >= Role::Write)
    };
    let account = if may_push(spec.pusher()) { spec.pusher() } else { BUILDER };
    let is_foreign = named.is_some();
    let secret = named.unwrap_or_else(|| subject.integration.cluster_id.value.secret(account));
    let Ok(_) = &subject.snapshot.secrets else { return Ok(secret) };
    let Some(found) = subject.snapshot.secret(&secret) else {
        return Err(BuildPlanResult::Refused(format!(
            "there is no secret {secret} with a login for Quay"
        )));
    };
    let organization =
        subject.integration.cluster_id.value.organization(&right.destination.namespace);
    let opens = |username: &str| username.split_once('+').is_none_or(|(of, _)| of == organization);
    match found
        .login_for(RegistryScope { host: &subject.desired.host, organization: &organization })
    {
        None => Err(BuildPlanResult::Refused(format!(
            "secret {secret} has no login for {}",
            subject.desired.host
        ))),
        Some(login) if is_foreign && !opens(&login.username) => {
            Err(BuildPlanResult::Refused(format!(
                "secret {secret} logs in as {}, which may not push to organization {organization}",
                login.username
            )))
        }
        Some(_) => Ok(secret),
    }
}

fn is_so(config: &BuildConfig, right: &OriginalOutput) -> bool {
    let output = &config.spec.output;
    config.still_rewritten().is_some()
        && output.to.as_ref().is_some_and(|to| to.name == right.image)
        && output.push_secret.as_ref() == Some(&right.secret)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use serde::Deserialize as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::builds::integration;
    use crate::domain::desired::Desired;
    use crate::domain::proptests::golden;
    use crate::domain::snapshot::{Login, RawOutput, Secret};

    const HOST: &str = "quay.example.com:8443";

    fn secret(name: &str, username: &str) -> Secret {
        let login = Login { username: username.into(), password: "hidden".into() };
        let kind = "kubernetes.io/dockerconfigjson".to_owned();
        let logins = Ok(vec![(HOST.to_owned(), login)]);
        Secret {
            name: name.into(),
            resource_version: "1".into(),
            kind,
            managed: true,
            is_plain: true,
            uid: String::new(),
            items: BTreeMap::new(),
            logins,
            undecodable: vec![],
        }
    }

    /// What is made of a BuildConfig with this spec in namespace `golden`: the image and the secret, or why not.
    fn rewritten(spec: Value) -> Result<(String, String), String> {
        let mut snapshot = golden();
        snapshot.secrets = Ok(vec![
            secret("builder-quay-Prod", "prod_golden+builder"),
            secret("images", "prod_images+pusher"),
        ]);
        let config = BuildConfig {
            name: "app".into(),
            output: RawOutput::deserialize(&spec["output"]).unwrap_or_default(),
            spec: CommonSpec::deserialize(&spec).unwrap(),
            ..BuildConfig::default()
        };
        snapshot.build_configs = Ok(vec![config]);
        let integration = integration();
        let desired = Desired::of(&integration, &snapshot, &BTreeMap::new());
        let subject = Assessed {
            integration: &integration,
            troubles: &[],
            snapshot: &snapshot,
            desired: &desired,
        };
        let made = rewrite_builds(&subject, &[]);
        match made.plan.changes.as_slice() {
            [Change::RewriteBuildConfig { former, .. }] => {
                Ok((former.image.clone(), former.secret.clone()))
            }
            _ => Err(made
                .plan
                .blocked
                .iter()
                .chain(&made.left)
                .map(|finding| finding.message.clone())
                .collect()),
        }
    }

    #[test]
    fn every_strategy_and_every_output_has_its_answer() {
        let spec = |strategy: &str, to: Value| json!({ "strategy": { strategy: {} }, "output": { "to": to } });
        let tag = |name: &str| json!({ "kind": "ImageStreamTag", "name": name });
        let own = |image: &str| {
            Ok((format!("{HOST}/prod_golden/{image}"), "builder-quay-Prod".to_owned()))
        };
        for strategy in ["dockerStrategy", "sourceStrategy", "customStrategy"] {
            assert_eq!(rewritten(spec(strategy, tag("app:1"))), own("app:1"), "{strategy}");
        }
        assert_eq!(rewritten(spec("dockerStrategy", tag("app"))), own("app:latest"));
        let why = |spec: Value| rewritten(spec).unwrap_err();
        assert!(
            why(spec("jenkinsPipelineStrategy", tag("app:1")))
                .contains("is left as it is: a Jenkins pipeline")
        );
        assert!(why(spec("dockerStrategy", Value::Null)).contains("it has no output"));
        let there = json!({ "kind": "DockerImage", "name": format!("{HOST}/prod_golden/app:1") });
        assert!(why(spec("dockerStrategy", there)).contains("it pushes to this Quay already"));
        let platform =
            json!({ "kind": "ImageStreamTag", "namespace": "openshift", "name": "app:1" });
        assert!(
            why(spec("dockerStrategy", platform))
                .contains("stays as it is: namespace openshift is not in the integration")
        );
    }

    /// What is made of BuildConfig `app`, whose `app:1` was rewritten while it named a push secret, and which has this output
    /// now: restored, and rewritten. The first word of a refusal stands for it.
    fn after_rewriting(to: &Value, push_secret: &str, owner: Option<&str>) -> [String; 2] {
        let mut snapshot = golden();
        snapshot.secrets = Ok(vec![secret("builder-quay-Prod", "prod_golden+builder")]);
        let output = |to: &Value, secret: &str| RawOutput {
            to: to.clone(),
            push_secret: json!({ "name": secret }),
        };
        let former = OriginalOutput {
            output: output(&json!({ "kind": "ImageStreamTag", "name": "app:1" }), "mine"),
            image: format!("{HOST}/prod_golden/app:1"),
            secret: "builder-quay-Prod".into(),
        };
        let output = output(to, push_secret);
        let spec = json!({ "strategy": { "dockerStrategy": {} }, "output": output });
        snapshot.build_configs = Ok(vec![BuildConfig {
            name: "app".into(),
            spec: CommonSpec::deserialize(&spec).unwrap(),
            output,
            former: Some(Ok(former)),
            owner: owner.map(str::to_owned),
            ..BuildConfig::default()
        }]);
        let integration = integration();
        let desired = Desired::of(&integration, &snapshot, &BTreeMap::new());
        let subject = Assessed {
            integration: &integration,
            troubles: &[],
            snapshot: &snapshot,
            desired: &desired,
        };
        [restore_builds(&subject, &[]), rewrite_builds(&subject, &[])].map(|made| {
            let output = |output: &RawOutput| {
                format!("{output} {}", output.push_secret["name"].as_str().unwrap_or_default())
            };
            match (made.plan.changes.as_slice(), made.plan.blocked.as_slice(), made.left.as_slice())
            {
                ([Change::RewriteBuildConfig { former, .. }], ..) => output(&former.output),
                ([Change::RestoreBuildConfig { output: restored, undoes, .. }], ..) => {
                    format!("{}, {undoes}", output(restored))
                }
                (_, [refused], _) => refused.message.clone(),
                (_, _, [left]) => left.message.clone(),
                _ => "nothing".into(),
            }
        })
    }

    #[test]
    fn only_what_a_rewriting_made_is_undone_and_only_what_was_there_is_kept() {
        let image = json!({ "kind": "DockerImage", "name": format!("{HOST}/prod_golden/app:1") });
        let tag = |name: &str| json!({ "kind": "ImageStreamTag", "name": name });
        let ours = "builder-quay-Prod";
        let refused = |why: &str| format!("BuildConfig app stays as it is: {why}");
        let left = "BuildConfig app is left as it is: it pushes to this Quay already".to_owned();

        let restored = format!("ImageStreamTag app:1 mine, instead of {HOST}/prod_golden/app:1");
        assert_eq!(after_rewriting(&image, ours, None), [restored, "nothing".into()]);
        assert_eq!(
            after_rewriting(&image, ours, Some("Argo CD")),
            [refused("Argo CD would undo it"), "nothing".into()]
        );
        // A secret that somebody named since is theirs.
        assert_eq!(
            after_rewriting(&image, "new", None),
            [refused("its output was changed since by somebody else"), left]
        );
        // `oc apply` of what it was made from, or of something newer, where the secret was named by hand.
        for name in ["app:1", "app:2"] {
            let was = format!("ImageStreamTag {name} mine");
            let restored = format!("{was}, without secret {ours}");
            assert_eq!(after_rewriting(&tag(name), ours, None), [restored, was]);
        }
        assert_eq!(
            after_rewriting(&tag("app:1"), "mine", None),
            ["nothing", "ImageStreamTag app:1 mine"]
        );
        let [restored, rewritten] = after_rewriting(&tag("app:2"), "mine", None);
        assert_eq!(
            (restored, rewritten),
            (
                refused("its output was changed since by somebody else"),
                "ImageStreamTag app:2 mine".into()
            )
        );
    }

    #[test]
    fn into_another_namespace_only_a_login_of_its_organization_helps() {
        let spec = |push_secret: Value| {
            let to = json!({ "kind": "ImageStreamTag", "namespace": "images", "name": "app:1" });
            json!({ "strategy": { "dockerStrategy": {} }, "output": { "to": to, "pushSecret": push_secret } })
        };
        assert_eq!(
            rewritten(spec(json!({ "name": "images" }))),
            Ok((format!("{HOST}/prod_images/app:1"), "images".into()))
        );
        let why = |push_secret: Value| rewritten(spec(push_secret)).unwrap_err();
        assert!(why(Value::Null).contains("no robot account of this namespace may push"));
        assert!(
            why(json!({ "name": "builder-quay-Prod" }))
                .contains("no robot account of this namespace may push")
        );
        assert!(why(json!({ "name": "gone" })).contains("there is no secret gone"));
    }
}
