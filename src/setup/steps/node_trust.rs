//! Node trust: the ConfigMap that `image.config.openshift.io/cluster` references (OpenShift, "Image
//! configuration resources").

use serde_json::{Value, json};

use crate::cluster::{NodeTrust as ClusterTrust, ObjectKind, TRUST_NAMESPACE};
use crate::domain::finding::Severity;
use crate::domain::names::{MANAGED_BY, MANAGED_BY_LABEL, QuayUrl};
use crate::error::Error;
use crate::setup::{NodeTrust, ObjectChange, ObjectWrite, SetupChange, SetupSession, StepPlan};
use crate::ui::Ui;

/// ConfigMap to create if none is configured.
pub(in crate::setup) const CONFIG_MAP: &str = "oc-quay-registry-cas";

pub(in crate::setup) const IMAGE_CONFIG: &str = "cluster";

pub(in crate::setup) fn plan(setup: &SetupSession) -> StepPlan {
    let mut plan = match plan_changes(setup) {
        Ok(plan) => plan,
        Err(plan) => return *plan,
    };
    if plan.changes.is_empty() {
        return plan;
    }
    plan.note(
        Severity::Warning,
        "nodes do not trust Quay's certificate authority yet, so pods cannot pull from it",
    );
    plan.note(
        Severity::Warning,
        "writing this makes OpenShift update its nodes one after the other",
    );
    match setup.options.node_trust {
        Some(NodeTrust::Apply) => plan,
        Some(NodeTrust::Print) => {
            plan.skipped("--node-trust print: apply the manifests that --dry-run -o yaml prints")
        }
        Some(NodeTrust::Skip) => plan.skipped("--node-trust skip"),
        None => plan.skipped("not requested (use --node-trust apply)"),
    }
}

/// Plans node trust, whether or not it is requested.
pub(in crate::setup) fn plan_changes(setup: &SetupSession) -> Result<StepPlan, Box<StepPlan>> {
    let plan = StepPlan::default();
    let (Some(ca), Some(url)) = (setup.ca(), setup.url()) else {
        return Err(Box::new(match setup.insecure() {
            true if is_insecure_registry(setup) => {
                let mut plan = plan;
                plan.note(Severity::Ok, "nodes do not verify its certificate either (registrySources.insecureRegistries)");
                plan
            }
            true => {
                let mut plan = plan;
                plan.note(Severity::Warning, "nodes still verify Quay's certificate; pods cannot pull until the nodes trust it");
                plan.skipped("there is no certificate authority to trust")
            }
            false if is_locally_trusted(setup) => plan.skipped(
                "this machine trusts Quay's certificate, but nodes were not checked; if its authority is private, pass it with --quay-ca-file",
            ),
            false => plan.skipped(
                "cannot determine whether nodes trust Quay: the connection was not verified and no certificate authority was given",
            ),
        }));
    };
    let trust = match &setup.found.trust {
        Ok(trust) => trust,
        Err(unread) => return Err(Box::new(plan.blocked(unread.to_string()))),
    };
    let Some(image_config) = &trust.image_config else {
        return Err(Box::new(
            plan.skipped("the cluster has no image configuration (image.config.openshift.io)"),
        ));
    };
    let mut plan = plan;
    let key = config_map_key(&url.host());
    let ca = String::from_utf8_lossy(ca);
    if setup.found.platform.as_ref().is_ok_and(|platform| platform.is_hosted) {
        return Err(Box::new(plan_hosted_cluster(trust, &key, &ca)));
    }
    match &trust.config_map {
        Some(config_map) if config_map.data.get(&key).is_some_and(|known| holds(known, &ca)) => {
            if image_config.config_map.is_some() {
                plan.note(Severity::Ok, format!("nodes are configured to trust it: ConfigMap {} in {TRUST_NAMESPACE}, key {key}", config_map.name));
            }
        }
        Some(config_map) => plan.changes.push(plan_config_map(
            &config_map.name,
            ObjectWrite::Merge(json!({ "metadata": { "resourceVersion": config_map.resource_version }, "data": { key.clone(): merge_certificates(config_map.data.get(&key), &ca) } })),
            format!("add Quay's certificate authority to ConfigMap {} in {TRUST_NAMESPACE}, key {key}", config_map.name),
        )),
        None => {
            let name = image_config.config_map.as_deref().unwrap_or(CONFIG_MAP);
            let summary = format!("create ConfigMap {name} in {TRUST_NAMESPACE} with Quay's certificate authority, key {key}");
            plan.changes.push(plan_config_map(name, ObjectWrite::Create(config_map(name, &key, &ca)), summary));
        }
    }
    if image_config.config_map.is_none() {
        let patch = json!({
            "metadata": { "resourceVersion": image_config.resource_version },
            "spec": { "additionalTrustedCA": { "name": CONFIG_MAP } },
        });
        plan.changes.push(SetupChange::Object(ObjectChange {
            kind: ObjectKind::ImageConfig,
            namespace: None,
            name: IMAGE_CONFIG.into(),
            write: ObjectWrite::Merge(patch),
            summary: format!(
                "set additionalTrustedCA of the image configuration to ConfigMap {CONFIG_MAP}"
            ),
        }));
    }
    Ok(plan)
}

/// With a hosted control plane, the HostedCluster of the management cluster configures node trust
/// (HyperShift `api/hypershift/v1beta1/hostedcluster_types.go`, `spec.configuration.image`);
/// changes in this cluster are rejected.
fn plan_hosted_cluster(trust: &ClusterTrust, key: &str, ca: &str) -> StepPlan {
    let mut plan = StepPlan::default();
    let is_named = trust.image_config.as_ref().is_some_and(|config| config.config_map.is_some());
    let known =
        trust.config_map.as_ref().filter(|_| is_named).and_then(|found| found.data.get(key));
    if known.is_some_and(|known| holds(known, ca)) {
        plan.note(
            Severity::Ok,
            format!("nodes trust it: the HostedCluster names a ConfigMap with key {key}"),
        );
        return plan;
    }
    plan.note(
        Severity::Warning,
        "nodes do not trust Quay's certificate authority yet, so pods cannot pull from it",
    );
    plan.note(Severity::Info, "the control plane is hosted: the HostedCluster in the management cluster configures what nodes trust");
    plan.skipped(format!(
        "in the management cluster, put the certificate authority under key {key} of a ConfigMap in the namespace of the \
         HostedCluster, and its name into spec.configuration.image.additionalTrustedCA.name of the HostedCluster"
    ))
}

/// The manifests, including existing entries of others.
pub(in crate::setup) fn manifests(setup: &SetupSession) -> Vec<Value> {
    let (Some(ca), Some(url), Ok(trust)) = (setup.ca(), setup.url(), &setup.found.trust) else {
        return vec![];
    };
    if setup.found.platform.as_ref().is_ok_and(|platform| platform.is_hosted) {
        return vec![];
    }
    let Some(image_config) = &trust.image_config else { return vec![] };
    let name = image_config.config_map.as_deref().unwrap_or(CONFIG_MAP);
    let (key, ca) = (config_map_key(&url.host()), String::from_utf8_lossy(ca));
    let mut object = config_map(name, &key, &ca);
    if let Some(found) = &trust.config_map {
        object["data"] = json!(found.data);
        if !found.data.get(&key).is_some_and(|known| holds(known, &ca)) {
            object["data"][&key] = json!(merge_certificates(found.data.get(&key), &ca));
        }
        if !found.ours {
            object["metadata"] = json!({ "name": name, "namespace": TRUST_NAMESPACE });
        }
    }
    let image = json!({
        "apiVersion": ObjectKind::ImageConfig.api_version(),
        "kind": ObjectKind::ImageConfig.as_str(),
        "metadata": { "name": IMAGE_CONFIG },
        "spec": { "additionalTrustedCA": { "name": name } },
    });
    vec![object, image]
}

/// Whether a bundle contains all certificates of another.
fn holds(bundle: &str, ca: &str) -> bool {
    let known = certificates(bundle);
    certificates(ca).iter().all(|certificate| known.contains(certificate))
}

/// Certificates of a PEM text without white space, for comparison.
fn certificates(pem: &str) -> Vec<String> {
    let bodies = pem.split("-----BEGIN CERTIFICATE-----").skip(1);
    bodies
        .filter_map(|body| Some(body.split_once("-----END")?.0.split_whitespace().collect()))
        .collect()
}

/// Appends a certificate: an authority that is being replaced is needed until then.
fn merge_certificates(known: Option<&String>, ca: &str) -> String {
    match known {
        Some(known) if !known.trim().is_empty() => format!("{}\n{ca}", known.trim_end()),
        _ => ca.to_owned(),
    }
}

fn is_locally_trusted(setup: &SetupSession) -> bool {
    setup.found.quay.as_ref().is_some_and(|quay| quay.server_info.is_ok())
        && setup.url().is_some_and(|url| !url.is_plain_http())
}

fn is_insecure_registry(setup: &SetupSession) -> bool {
    let image_config =
        setup.found.trust.as_ref().ok().and_then(|trust| trust.image_config.as_ref());
    let is_named = |url: QuayUrl| {
        image_config.is_some_and(|config| config.insecure_registries.contains(&url.host()))
    };
    setup.url().is_some_and(is_named)
}

fn plan_config_map(name: &str, write: ObjectWrite, summary: String) -> SetupChange {
    SetupChange::Object(ObjectChange {
        kind: ObjectKind::ConfigMap,
        namespace: Some(TRUST_NAMESPACE.into()),
        name: name.into(),
        write,
        summary,
    })
}

fn config_map(name: &str, key: &str, ca: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": name, "namespace": TRUST_NAMESPACE, "labels": { MANAGED_BY_LABEL: MANAGED_BY } },
        "data": { key: ca },
    })
}

/// `host`, or `host..port`: a ConfigMap's key cannot contain a colon.
pub(in crate::setup) fn config_map_key(host: &str) -> String {
    host.replace(':', "..")
}

pub(in crate::setup) fn ask(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    let has_work = plan_changes(setup).is_ok_and(|plan| !plan.changes.is_empty());
    if setup.options.node_trust.is_some() || !has_work {
        return Ok(());
    }
    let options = [
        (
            "Configure the nodes to trust it",
            "OpenShift updates them one after the other, which can take a while",
        ),
        ("Print the manifests", "for another administrator, or for later"),
        ("Skip", "pods cannot pull from Quay until the nodes trust it"),
    ];
    let chosen =
        ui.select("Nodes do not trust Quay's CA. How do you want to proceed?", &options, 0)?;
    setup.options.node_trust =
        Some([NodeTrust::Apply, NodeTrust::Print, NodeTrust::Skip][chosen.min(2)]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_map_key_separates_port_with_two_dots() {
        assert_eq!(config_map_key("quay.example.com"), "quay.example.com");
        assert_eq!(config_map_key("quay.example.com:8443"), "quay.example.com..8443");
    }
}
