//! Plans that rewrite BuildConfigs to push to Quay, and that restore them.

use super::Plan;
use crate::domain::Role;
use crate::domain::builds::{BUILDER, CommonSpec, RewriteOutcome, Rewritten, SkipReason};
use crate::domain::change::Change;
use crate::domain::checks::Assessed;
use crate::domain::dockerconfig::RegistryScope;
use crate::domain::finding::{Code, Finding, ObjectRef};
use crate::domain::snapshot::{BuildConfig, NamespaceSnapshot, OriginalOutput};

const KIND: &str = "BuildConfig";

/// Changes to BuildConfigs, and the BuildConfigs that need none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildsPlan {
    /// The changes, and the BuildConfigs that cannot be changed.
    pub plan: Plan,
    /// The reason for each BuildConfig that needs no change.
    pub skipped: Vec<Finding>,
}

/// Plans to rewrite the named BuildConfigs, or all if `names` is empty, to push to Quay.
pub fn rewrite_builds(subject: &Assessed, names: &[String]) -> BuildsPlan {
    let snapshot = subject.snapshot;
    plan_each(snapshot, names, |config| match desired_output(subject, config)? {
        former if is_up_to_date(config, &former) => Err(NotPlanned::UpToDate),
        former => Ok(Change::RewriteBuildConfig {
            namespace: snapshot.name.clone(),
            build_config: config.name.clone(),
            version: config.resource_version.clone(),
            former,
        }),
    })
}

/// Plans to restore the original output of the named BuildConfigs, or of all if `names` is empty.
pub fn restore_builds(subject: &Assessed, names: &[String]) -> BuildsPlan {
    let snapshot = subject.snapshot;
    plan_each(snapshot, names, |config| {
        let replaces = match &config.former {
            None if names.is_empty() => return Err(NotPlanned::UpToDate),
            None => return Err(NotPlanned::Skipped("it was not rewritten".into())),
            Some(Err(problem)) => {
                return Err(NotPlanned::Rejected(format!(
                    "the saved original output is invalid ({problem})"
                )));
            }
            Some(Ok(former)) => restore_change(subject, config, former)?,
        };
        Ok(Change::RestoreBuildConfig {
            namespace: snapshot.name.clone(),
            build_config: config.name.clone(),
            version: config.resource_version.clone(),
            output: config.original_output(is_our_secret(subject)),
            replaces,
        })
    })
}

/// The text for `replaces` of [`Change::RestoreBuildConfig`], if the BuildConfig can be restored.
fn restore_change(
    subject: &Assessed,
    config: &BuildConfig,
    former: &OriginalOutput,
) -> Result<String, NotPlanned> {
    match (
        config.still_rewritten(),
        config.stale_original_output(is_our_secret(subject)),
        &config.owner,
    ) {
        // With another output at its owner, that output would already be restored.
        (Some(_), _, Some(owner)) => Err(NotPlanned::Rejected(format!("{owner} would revert it"))),
        (Some(_), _, None) => Ok(format!("was {}", former.image)),
        (None, Some(secret), _) => Ok(format!("removes push secret {secret}")),
        (None, None, _) if config.output == former.output => Err(NotPlanned::UpToDate),
        (None, None, _) => {
            Err(NotPlanned::Rejected("its output was changed since it was rewritten".into()))
        }
    }
}

fn is_our_secret(subject: &Assessed) -> impl Fn(&str) -> bool {
    |secret| subject.integration.cluster_id.value.names_secret(secret)
}

/// Why nothing is planned for a BuildConfig.
enum NotPlanned {
    UpToDate,
    /// It does not need a change.
    Skipped(String),
    /// It needs a change that is not possible.
    Rejected(String),
}

fn plan_each(
    snapshot: &NamespaceSnapshot,
    names: &[String],
    plan: impl Fn(&BuildConfig) -> Result<Change, NotPlanned>,
) -> BuildsPlan {
    let finding = |code, name: &str, message: String| {
        Finding::new(code, ObjectRef::namespaced(KIND, &snapshot.name, name), message)
            .in_namespace(&snapshot.name)
    };
    let mut builds = BuildsPlan::default();
    let configs = match &snapshot.build_configs {
        Ok(configs) => configs,
        Err(unread) => {
            let message = format!("Could not {}: {}", unread.call, unread.reason);
            builds.plan.blocked.push(finding(Code::CouldNotRead, "", message));
            return builds;
        }
    };
    for config in configs.iter().filter(|config| names.is_empty() || names.contains(&config.name)) {
        let name = &config.name;
        match plan(config) {
            Ok(change) => builds.plan.changes.push(change),
            Err(NotPlanned::UpToDate) => {}
            Err(NotPlanned::Skipped(why)) => {
                builds.skipped.push(finding(
                    Code::OutputUnchanged,
                    name,
                    format!("BuildConfig {name} not changed: {why}"),
                ));
            }
            Err(NotPlanned::Rejected(why)) => {
                builds.plan.blocked.push(finding(
                    Code::OutputNotOurs,
                    name,
                    format!("BuildConfig {name} cannot be changed: {why}"),
                ));
            }
        }
    }
    builds
}

/// The desired output and push secret, with the original output to save.
fn desired_output(subject: &Assessed, config: &BuildConfig) -> Result<OriginalOutput, NotPlanned> {
    let output = config.original_output(is_our_secret(subject));
    let spec = output.spec(&config.spec);
    let rewritten = match subject.rewriting(&spec) {
        RewriteOutcome::Rewritten(rewritten) => rewritten,
        RewriteOutcome::Unchanged(
            why @ (SkipReason::OutOfScope { .. }
            | SkipReason::UnknownNamespace(_)
            | SkipReason::OtherOrganization(_)
            | SkipReason::InvalidName(_)),
        ) => return Err(NotPlanned::Rejected(why.to_string())),
        RewriteOutcome::Unchanged(why) => return Err(NotPlanned::Skipped(why.to_string())),
    };
    let secret = push_secret(subject, &spec, &rewritten)?;
    let former = OriginalOutput { output, image: rewritten.image, secret };
    if let Some(owner) = config.owner.as_ref().filter(|_| !is_up_to_date(config, &former)) {
        return Err(NotPlanned::Rejected(format!(
            "{owner} would revert it; set in its source spec.output: {{to: {{kind: DockerImage, name: {}}}, pushSecret: {{name: {}}}}}",
            former.image, former.secret
        )));
    }
    Ok(former)
}

/// The secret of the build's service account if that has a role to push, else the builder's. For
/// the organization of another namespace it is the named secret, if its credentials are for that
/// organization.
fn push_secret(
    subject: &Assessed,
    spec: &CommonSpec,
    rewritten: &Rewritten,
) -> Result<String, NotPlanned> {
    let named = spec
        .output
        .push_secret
        .clone()
        .filter(|_| rewritten.destination.namespace != subject.snapshot.name);
    let has_push_role = |name: &str| {
        subject.desired.account(name).is_some_and(|account| account.role >= Role::Write)
    };
    let account = if has_push_role(spec.pusher()) { spec.pusher() } else { BUILDER };
    let is_foreign = named.is_some();
    let secret = named.unwrap_or_else(|| subject.integration.cluster_id.value.secret(account));
    let Ok(_) = &subject.snapshot.secrets else { return Ok(secret) };
    let Some(found) = subject.snapshot.secret(&secret) else {
        return Err(NotPlanned::Rejected(format!(
            "secret {secret} with credentials for Quay does not exist"
        )));
    };
    let organization =
        subject.integration.cluster_id.value.organization(&rewritten.destination.namespace);
    let can_push =
        |username: &str| username.split_once('+').is_none_or(|(owner, _)| owner == organization);
    match found
        .credentials_for(RegistryScope { host: &subject.desired.host, organization: &organization })
    {
        None => Err(NotPlanned::Rejected(format!(
            "secret {secret} has no credentials for {}",
            subject.desired.host
        ))),
        Some(entry) if is_foreign && !can_push(&entry.username) => {
            Err(NotPlanned::Rejected(format!(
                "secret {secret} holds credentials of {}, which cannot push to organization {organization}",
                entry.username
            )))
        }
        Some(_) => Ok(secret),
    }
}

fn is_up_to_date(config: &BuildConfig, desired: &OriginalOutput) -> bool {
    let output = &config.spec.output;
    config.still_rewritten().is_some()
        && output.to.as_ref().is_some_and(|to| to.name == desired.image)
        && output.push_secret.as_ref() == Some(&desired.secret)
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
    use crate::domain::snapshot::{RawOutput, RegistryCredentials, Secret};

    const HOST: &str = "quay.example.com:8443";

    fn secret(name: &str, username: &str) -> Secret {
        let entry = RegistryCredentials { username: username.into(), password: "hidden".into() };
        let kind = "kubernetes.io/dockerconfigjson".to_owned();
        let credentials = Ok(vec![(HOST.to_owned(), entry)]);
        Secret {
            name: name.into(),
            resource_version: "1".into(),
            kind,
            managed: true,
            is_plain: true,
            uid: String::new(),
            items: BTreeMap::new(),
            credentials,
            undecodable: vec![],
        }
    }

    /// The image and the secret of a rewritten BuildConfig in namespace `golden`, or the reason why
    /// it was not.
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
        let subject = Assessed::new(&integration, &snapshot, &desired);
        let builds = rewrite_builds(&subject, &[]);
        match builds.plan.changes.as_slice() {
            [Change::RewriteBuildConfig { former, .. }] => {
                Ok((former.image.clone(), former.secret.clone()))
            }
            _ => Err(builds
                .plan
                .blocked
                .iter()
                .chain(&builds.skipped)
                .map(|finding| finding.message.clone())
                .collect()),
        }
    }

    #[test]
    fn plans_by_strategy_and_output() {
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
                .contains("not changed: a Jenkins pipeline")
        );
        assert!(why(spec("dockerStrategy", Value::Null)).contains("it has no output"));
        let there = json!({ "kind": "DockerImage", "name": format!("{HOST}/prod_golden/app:1") });
        assert!(why(spec("dockerStrategy", there)).contains("it already pushes to this Quay"));
        let platform =
            json!({ "kind": "ImageStreamTag", "namespace": "openshift", "name": "app:1" });
        assert!(
            why(spec("dockerStrategy", platform))
                .contains("cannot be changed: namespace openshift is not in the integration")
        );
    }

    /// Restores, and rewrites again, BuildConfig `app`: its output `app:1` with a push secret was
    /// rewritten, and then replaced by this output.
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
        let subject = Assessed::new(&integration, &snapshot, &desired);
        [restore_builds(&subject, &[]), rewrite_builds(&subject, &[])].map(|builds| {
            let output = |output: &RawOutput| {
                format!("{output} {}", output.push_secret["name"].as_str().unwrap_or_default())
            };
            let BuildsPlan { plan, skipped } = &builds;
            match (plan.changes.as_slice(), plan.blocked.as_slice(), skipped.as_slice()) {
                ([Change::RewriteBuildConfig { former, .. }], ..) => output(&former.output),
                ([Change::RestoreBuildConfig { output: restored, replaces, .. }], ..) => {
                    format!("{}, {replaces}", output(restored))
                }
                (_, [blocked], _) => blocked.message.clone(),
                (_, _, [skipped]) => skipped.message.clone(),
                _ => "nothing".into(),
            }
        })
    }

    #[test]
    fn restores_only_rewritten_outputs() {
        let image = json!({ "kind": "DockerImage", "name": format!("{HOST}/prod_golden/app:1") });
        let tag = |name: &str| json!({ "kind": "ImageStreamTag", "name": name });
        let ours = "builder-quay-Prod";
        let rejected = |why: &str| format!("BuildConfig app cannot be changed: {why}");
        let skipped = "BuildConfig app not changed: it already pushes to this Quay".to_owned();

        let restored = format!("ImageStreamTag app:1 mine, was {HOST}/prod_golden/app:1");
        assert_eq!(after_rewriting(&image, ours, None), [restored, "nothing".into()]);
        assert_eq!(
            after_rewriting(&image, ours, Some("Argo CD")),
            [rejected("Argo CD would revert it"), "nothing".into()]
        );
        // The user has named another secret since.
        assert_eq!(
            after_rewriting(&image, "new", None),
            [rejected("its output was changed since it was rewritten"), skipped]
        );
        // `oc apply` of the original manifest, or of a newer one, where the secret was set
        // manually.
        for name in ["app:1", "app:2"] {
            let was = format!("ImageStreamTag {name} mine");
            let restored = format!("{was}, removes push secret {ours}");
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
                rejected("its output was changed since it was rewritten"),
                "ImageStreamTag app:2 mine".into()
            )
        );
    }

    #[test]
    fn needs_named_secret_for_another_organization() {
        let spec = |push_secret: Value| {
            let to = json!({ "kind": "ImageStreamTag", "namespace": "images", "name": "app:1" });
            json!({ "strategy": { "dockerStrategy": {} }, "output": { "to": to, "pushSecret": push_secret } })
        };
        assert_eq!(
            rewritten(spec(json!({ "name": "images" }))),
            Ok((format!("{HOST}/prod_images/app:1"), "images".into()))
        );
        let why = |push_secret: Value| rewritten(spec(push_secret)).unwrap_err();
        assert!(why(Value::Null).contains("no robot account of this namespace can push"));
        assert!(
            why(json!({ "name": "builder-quay-Prod" }))
                .contains("no robot account of this namespace can push")
        );
        assert!(
            why(json!({ "name": "gone" }))
                .contains("secret gone with credentials for Quay does not exist")
        );
    }
}
