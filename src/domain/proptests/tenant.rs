//! Input from a user with the role `admin` or `edit` in one namespace never affects other
//! namespaces.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::generators::{
    HOST, NAMESPACE, SECRET_TYPE, any_namespace, golden, integration, options, secret, token,
};
use super::with_subject;
use crate::domain::builds::{CommonSpec, Output, Strategy as BuildStrategy, Target};
use crate::domain::change::Change;
use crate::domain::deletion_policy::DeletionPolicy;
use crate::domain::imports;
use crate::domain::names;
use crate::domain::plan::{self, UnlinkOptions};
use crate::domain::snapshot::*;

const ORGANIZATION: &str = "parity_golden";

/// Names of other tenants, paths and registries, and characters that end a line or a shell
/// argument.
const HOSTILE: [&str; 21] = [
    "",
    "-rf",
    "..",
    "../../parity_victim",
    "a;id",
    "$(id)",
    "x\nlocalhost:18443/parity_victim/app=y",
    "\u{1b}[2J",
    "\u{9b}2J\u{7}",
    "\u{202e}ppa",
    "o'neil",
    "app:latest",
    "app@sha256:0",
    "victim",
    "victim/app",
    "builder+victim",
    "parity_victim",
    "parity_victim+builder",
    "localhost:18443/parity_victim/app:latest",
    "localhost:18443/parity_golden/../parity_victim/app:latest",
    "image-registry.openshift-image-registry.svc:5000/victim/app@sha256:0",
];

fn text() -> impl Strategy<Value = String> {
    let usual = select(vec!["app", "base", "web", "pipeline", "latest"]).prop_map(str::to_owned);
    prop_oneof![3 => select(HOSTILE.to_vec()).prop_map(str::to_owned), 3 => usual, 1 => any::<String>()]
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..4)
}

prop_compose! {
    fn service_account()(name in text(), mountable in texts(), pull in texts(), role in option::of(text())) -> ServiceAccount {
        let role = role.map(|role| if role.len() % 2 == 0 { "admin".to_owned() } else { role });
        ServiceAccount { name, mountable, pull, role, ..ServiceAccount::default() }
    }
}

prop_compose! {
    fn tag()(name in text(), kind in select(vec!["DockerImage", "ImageStreamTag", ""]), from in option::of(text()),
             reference in any::<bool>(), image in option::of(text())) -> StreamTag {
        StreamTag {
            name,
            reference,
            from: from.map(|name| TagSource { kind: kind.into(), name }),
            image: image.map(|reference| TagImage { digest: "sha256:0".into(), reference, ..TagImage::default() }),
            ..StreamTag::default()
        }
    }
}

prop_compose! {
    fn image_stream()(name in text(), tags in vec(tag(), 0..4), wants in option::of(any::<bool>())) -> ImageStream {
        ImageStream { name, tags, wants_repository: wants, ..ImageStream::default() }
    }
}

prop_compose! {
    fn spec()(kind in select(vec!["DockerImage", "ImageStreamTag", "ImageStream", ""]), namespace in option::of(text()),
              name in text(), push_secret in option::of(text()), service_account in option::of(text())) -> CommonSpec {
        let to = Some(Target { kind: kind.into(), namespace, name });
        let output = Output { to, push_secret };
        CommonSpec { strategy: Some(BuildStrategy::Docker), output, service_account }
    }
}

prop_compose! {
    /// A waiting pod with an owner that the tenant chooses.
    fn pod()(name in text(), kind in prop_oneof![3 => Just("Deployment".to_owned()), 1 => text()], owner in text(),
             service_account in prop_oneof![4 => Just("default".to_owned()), 1 => text()],
             pull_secrets in prop_oneof![Just(vec![]), texts()], message in text())
        -> WaitingPod {
        let image = format!("{HOST}/{ORGANIZATION}/app:1");
        let waits_for = vec![WaitingImage { image, reason: "ErrImagePull".into(), message }];
        WaitingPod { name, workload: Some((kind, owner)), service_account, pull_secrets, waits_for }
    }
}

prop_compose! {
    /// A secret with credentials that the tenant chooses.
    fn credentials_secret()(account in text(), host in prop_oneof![Just(HOST.to_owned()), text()], username in text(), managed in any::<bool>())
        -> Secret {
        Secret { managed, ..secret(&account, SECRET_TYPE, &host, &username, token("builder", 0)) }
    }
}

prop_compose! {
    /// A namespace whose organization is in any state, and whose other objects the tenant chooses.
    pub(crate) fn tenants_namespace()(
        before in prop_oneof![2 => any_namespace(), 1 => Just(golden())],
        accounts in vec(service_account(), 0..6),
        streams in vec(image_stream(), 0..6),
        secrets in vec(credentials_secret(), 0..4),
        specs in vec((text(), text(), spec()), 0..6),
        pods in vec(pod(), 0..3),
        annotation in option::of(prop_oneof![Just("delete".to_owned()), text()]),
        terminating in any::<bool>(),
    ) -> NamespaceSnapshot {
        let config = |(number, (name, owner, spec)): (usize, &(String, String, CommonSpec))| BuildConfig {
            name: if number % 2 == 0 { name.clone() } else { format!("config-{number}") },
            spec: spec.clone(),
            owner: (number % 3 == 0).then(|| owner.clone()),
            ..BuildConfig::default()
        };
        let build = |(name, reason, spec): &(String, String, CommonSpec)| Build {
            name: name.clone(),
            phase: if name.len() % 2 == 0 { Phase::Complete } else { Phase::New },
            reason: if name.len() % 3 == 0 { "InvalidOutputReference".to_owned() } else { reason.clone() },
            message: reason.clone(),
            spec: spec.clone(),
            ..Build::default()
        };
        let more = |known: Observed<Vec<ServiceAccount>>| known.map(|known| known.into_iter().chain(accounts).collect());
        let namespace = before.namespace.clone().map(|found| found.map(|namespace| Namespace {
            deletion_policy: annotation,
            terminating,
            finalizers: terminating.then(|| names::FINALIZER.to_owned()).into_iter().collect(),
            ..namespace
        }));
        NamespaceSnapshot {
            namespace,
            service_accounts: more(before.service_accounts.clone()),
            secrets: before.secrets.clone().map(|known| known.into_iter().chain(secrets).collect()),
            image_streams: Ok(streams),
            build_configs: Ok(specs.iter().enumerate().map(config).collect()),
            builds: Ok(specs.iter().map(build).collect()),
            pods: Ok(pods),
            ..before
        }
    }
}

/// Whether a change is to the namespace, to its organization or to the contents of these.
fn is_own(change: &Change) -> bool {
    let object = change.object();
    let in_organization =
        |separator: char| object.name.strip_prefix(ORGANIZATION)?.strip_prefix(separator);
    match object.kind {
        "Namespace" => object.name == NAMESPACE,
        "Organization" => object.name == ORGANIZATION,
        "Repository" => {
            in_organization('/').is_some_and(|name| names::validate_repository(name).is_ok())
        }
        "RobotAccount" | "DefaultPermission" => in_organization('+')
            .is_some_and(|name| names::validate_robot(ORGANIZATION, name).is_ok()),
        "QuayIntegration" => false,
        _ => object.namespace.as_deref() == Some(NAMESPACE),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn tenant_reaches_only_its_own_namespace(snapshot in tenants_namespace(), options in options(), deletes in any::<bool>()) {
        let integration = integration();
        let all = if deletes { DeletionPolicy::Delete } else { DeletionPolicy::Retain };
        let unlink = UnlinkOptions { delete_robots: true, delete_organization: true };
        let (plans, cleanup) = with_subject(&snapshot, |subject| {
            let rewritten = plan::rewrite_builds(subject, &[]).plan;
            let plans = [plan::repair(subject, options), plan::unlink(subject, unlink), rewritten];
            (plans, plan::plan_cleanup(subject, all).plan)
        });
        let prefix = format!("{HOST}/{ORGANIZATION}/");
        for change in plans.iter().chain([&cleanup]).flat_map(|plan| &plan.changes) {
            prop_assert!(is_own(change), "{:?}", change);
            if let Change::RewriteBuildConfig { former, .. } = change {
                prop_assert!(former.image.starts_with(&prefix), "{:?}", change);
            }
        }
        let is_created_by_us = snapshot.organization().is_some_and(|organization| {
            let marked = organization.robots.iter().flatten().filter_map(|robot| robot.mark.as_ref());
            organization.adopted_by.is_some() || marked.into_iter().any(|mark| mark.created)
        });
        for change in &cleanup.changes {
            prop_assert!(!matches!(change, Change::DeleteOrganization { .. }) || is_created_by_us, "{:?}", change);
        }
        for destination in imports::latest_builds(&integration, NAMESPACE, snapshot.builds.iter().flatten()).into_keys() {
            prop_assert_eq!(&destination.namespace, NAMESPACE);
            prop_assert!(destination.image(&integration).starts_with(&prefix), "{:?}", destination);
        }
    }
}
