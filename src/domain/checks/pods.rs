//! Checks whether pods fail to pull images of the namespace's organization, and why.

use std::collections::BTreeMap;

use super::{Assessed, Check, count};
use crate::domain::dockerconfig::RegistryScope;
use crate::domain::finding::{Code, Finding};
use crate::domain::names::validate_kubernetes_name;
use crate::domain::shell_quote::command;
use crate::domain::snapshot::{ReadErrorKind, WaitingImage, WaitingPod};

const TITLE: &str = "Pods";

/// None if no pod waits, or if pods were not read or the user is not allowed to read them.
pub(super) fn check(subject: &Assessed) -> Option<Check> {
    let pods = match &subject.snapshot.pods {
        Ok(pods) => pods,
        Err(unread) if matches!(unread.kind, ReadErrorKind::Forbidden | ReadErrorKind::Skipped) => {
            return None;
        }
        Err(unread) => return Some(subject.unread(TITLE, subject.object("Pod", ""), unread)),
    };
    let waiting = pods.iter().filter_map(|pod| Some((pod, waiting_image(subject, pod)?)));
    // One finding for all pods of a workload, which have the same cause.
    let by_workload: BTreeMap<_, _> = waiting
        .map(|(pod, image)| {
            (pod.workload.clone().unwrap_or(("Pod".into(), pod.name.clone())), (pod, image))
        })
        .collect();
    if by_workload.is_empty() {
        return None;
    }
    let findings: Vec<_> =
        by_workload.into_values().map(|(pod, image)| finding(subject, pod, image)).collect();
    Some(Check::new(
        TITLE,
        format!("{} waiting for images", count(findings.len(), "workload")),
        findings,
    ))
}

fn waiting_image<'a>(subject: &Assessed, pod: &'a WaitingPod) -> Option<&'a WaitingImage> {
    pod.waits_for
        .iter()
        .find(|waiting| RegistryScope::of_image(&waiting.image) == Some(subject.desired.place()))
}

fn finding(subject: &Assessed, pod: &WaitingPod, image: &WaitingImage) -> Finding {
    let WaitingPod { name, service_account, pull_secrets, .. } = pod;
    let (namespace, host, image_name) =
        (&subject.snapshot.name, &subject.desired.host, &image.image);
    let place = subject.desired.place();
    let has_credentials = |secret: &String| {
        subject
            .snapshot
            .secret(secret)
            .is_some_and(|secret| secret.credentials_for(place).is_some())
    };
    let account = subject.snapshot.service_account(service_account);
    let is_linked = account.is_some_and(|account| account.pull.iter().any(has_credentials));
    let is_from_account =
        |secret: &String| account.is_some_and(|account| account.pull.contains(secret));
    let describe = || command(&["oc", "describe", "pod", name, "-n", namespace]);
    let (why, hint) = if subject.snapshot.secrets.is_err()
        || pull_secrets.iter().any(has_credentials)
    {
        let message = if image.message.is_empty() { &image.reason } else { &image.message };
        (message.clone(), describe())
    } else if !is_linked {
        let hint =
            command(&["oc", "quay", "link", "--service-account", service_account, "-n", namespace]);
        (format!("its service account {service_account} has no credentials for {host}"), hint)
    } else if !pull_secrets.iter().all(is_from_account) {
        let hint = match workload(pod) {
            Some((kind, workload)) => {
                command(&["oc", "edit", &kind.to_lowercase(), workload, "-n", namespace])
            }
            None => describe(),
        };
        (
            format!(
                "its spec has pull secrets of its own, and none of them has credentials for {host}"
            ),
            hint,
        )
    } else {
        ("it was created before its service account was linked".to_owned(), restart(pod, namespace))
    };
    let message = format!("Pod {name} cannot pull {image_name}: {why}");
    Finding { hint, ..subject.finding(Code::PodWaits, subject.object("Pod", name), message) }
}

/// The command that recreates the pods, with the current pull secrets of the service account.
pub fn restart(pod: &WaitingPod, namespace: &str) -> Option<String> {
    let name = pod.name.as_str();
    match workload(pod) {
        Some(("DeploymentConfig", name)) => {
            command(&["oc", "rollout", "latest", &format!("dc/{name}"), "-n", namespace])
        }
        Some((kind @ ("Deployment" | "StatefulSet" | "DaemonSet"), name)) => command(&[
            "oc",
            "rollout",
            "restart",
            &format!("{}/{name}", kind.to_lowercase()),
            "-n",
            namespace,
        ]),
        // The owner creates a new pod.
        Some(_) => command(&["oc", "delete", "pod", name, "-n", namespace]),
        None => command(&["oc", "describe", "pod", name, "-n", namespace]),
    }
}

/// Kind and name of the pod's owner, if valid: they are chosen by the pod's creator, and the API server does not validate them
/// (kubernetes `apimachinery/pkg/api/validation/objectmeta.go`).
fn workload(pod: &WaitingPod) -> Option<(&str, &str)> {
    let (kind, name) = pod.workload.as_ref()?;
    let is_kind = kind.chars().all(|c| c.is_ascii_alphanumeric());
    (is_kind && validate_kubernetes_name(name).is_ok()).then_some((kind, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::proptests::{HOST, golden, with_subject};

    fn found(arrange: impl Fn(&mut WaitingPod)) -> Option<(String, String)> {
        let mut snapshot = golden();
        let image = WaitingImage {
            image: format!("{HOST}/parity_golden/app:1"),
            reason: "ErrImagePull".into(),
            message: "manifest unknown".into(),
        };
        let mut pod = WaitingPod {
            name: "app-1".into(),
            workload: Some(("Deployment".into(), "app".into())),
            service_account: "default".into(),
            pull_secrets: vec!["default-dockercfg-h5hq5".into()],
            waits_for: vec![image],
        };
        arrange(&mut pod);
        snapshot.pods = Ok(vec![pod]);
        let finding = with_subject(&snapshot, check)?.findings.remove(0);
        Some((finding.message, finding.hint.unwrap_or_default()))
    }

    #[test]
    fn explains_why_pod_waits_and_hints_the_fix() {
        let assert_found = |arrange: &dyn Fn(&mut WaitingPod), why: &str, hint: &str| {
            let (message, command) = found(arrange).unwrap_or_default();
            assert!(message.contains(why), "{message}");
            assert_eq!(command, hint);
        };
        assert_found(
            &|_| (),
            "before its service account was linked",
            "oc rollout restart deployment/app -n golden",
        );
        assert_found(
            &|pod| pod.pull_secrets = vec!["mine".into()],
            "has pull secrets of its own",
            "oc edit deployment app -n golden",
        );
        assert_found(
            &|pod| pod.service_account = "web".into(),
            "service account web has no credentials",
            "oc quay link --service-account web -n golden",
        );
        assert_found(
            &|pod| pod.workload = Some(("Deployment".into(), "app; id".into())),
            "before its service account was linked",
            "oc describe pod app-1 -n golden",
        );
        assert_found(
            &|pod| {
                (pod.workload, pod.pull_secrets) =
                    (Some(("$(id)".into(), "app".into())), vec!["mine".into()])
            },
            "has pull secrets of its own",
            "oc describe pod app-1 -n golden",
        );
        assert_found(
            &|pod| pod.pull_secrets = vec!["default-quay-parity".into()],
            "manifest unknown",
            "oc describe pod app-1 -n golden",
        );
        assert_eq!(found(|pod| pod.waits_for[0].image = "docker.io/library/app:1".into()), None);
        assert_eq!(found(|pod| pod.waits_for.clear()), None);
    }
}
