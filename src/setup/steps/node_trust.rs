//! Whether nodes trust Quay: the ConfigMap that `image.config.openshift.io/cluster` names (OpenShift, "Image configuration
//! resources").

use serde_json::{Value, json};

use crate::cluster::{NodeTrust as ClusterTrust, ObjectKind, TRUST_NAMESPACE};
use crate::domain::finding::Severity;
use crate::domain::names::{MANAGED_BY, MANAGED_BY_LABEL, QuayUrl};
use crate::error::Error;
use crate::setup::{NodeTrust, ObjectChange, ObjectWrite, SetupChange, SetupSession, StepPlan};
use crate::ui::Ui;

/// The ConfigMap that we make where there is none.
pub(in crate::setup) const CONFIG_MAP: &str = "oc-quay-registry-cas";

/// The name of the one image configuration.
pub(in crate::setup) const IMAGE_CONFIG: &str = "cluster";

pub(in crate::setup) fn plan(setup: &SetupSession) -> StepPlan {
    let mut plan = match changes(setup) {
        Ok(plan) => plan,
        Err(plan) => return *plan,
    };
    if plan.changes.is_empty() {
        return plan;
    }
    plan.fact(
        Severity::Warning,
        "nodes do not trust Quay's certificate authority yet, so pods cannot pull from it",
    );
    plan.fact(
        Severity::Warning,
        "writing this makes OpenShift update its nodes one after the other",
    );
    match setup.answers.node_trust {
        Some(NodeTrust::Apply) => plan,
        Some(NodeTrust::Print) => {
            plan.skipped("it was asked to be printed: oc apply what -o yaml --dry-run shows")
        }
        Some(NodeTrust::Skip) => plan.skipped("it was asked to be left"),
        None => {
            plan.skipped("nodes are not updated unless somebody asks for it: --node-trust apply")
        }
    }
}

/// What has to be written for nodes to trust Quay, whether or not it is wanted.
pub(in crate::setup) fn changes(setup: &SetupSession) -> Result<StepPlan, Box<StepPlan>> {
    let plan = StepPlan::default();
    let (Some(ca), Some(url)) = (setup.ca(), setup.url()) else {
        return Err(Box::new(match setup.insecure() {
            true if takes_anything(setup) => {
                let mut plan = plan;
                plan.fact(Severity::Ok, "nodes do not verify its certificate either (registrySources.insecureRegistries)");
                plan
            }
            true => {
                let mut plan = plan;
                plan.fact(Severity::Warning, "nodes verify Quay's certificate all the same; pods can pull only if they trust it");
                plan.skipped("there is no certificate authority to trust")
            }
            false if is_trusted_here(setup) => plan.skipped(
                "this machine trusts Quay's certificate, and nodes were not asked; if its authority is private, name it: --quay-ca-file",
            ),
            false => plan.skipped(
                "whether nodes trust Quay is not known: no connection here was trusted, and no certificate authority was given",
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
    let key = key(&url.host());
    let ca = String::from_utf8_lossy(ca);
    if setup.found.platform.as_ref().is_ok_and(|platform| platform.is_hosted) {
        return Err(Box::new(on_hosted_cluster(trust, &key, &ca)));
    }
    match &trust.config_map {
        Some(config_map) if config_map.data.get(&key).is_some_and(|known| holds(known, &ca)) => {
            if image_config.config_map.is_some() {
                plan.fact(Severity::Ok, format!("nodes are to trust it: ConfigMap {} in {TRUST_NAMESPACE}, key {key}", config_map.name));
            }
        }
        Some(config_map) => plan.changes.push(write(
            &config_map.name,
            ObjectWrite::Merge(json!({ "metadata": { "resourceVersion": config_map.resource_version }, "data": { key.clone(): beside(config_map.data.get(&key), &ca) } })),
            format!("add Quay's certificate authority to ConfigMap {} in {TRUST_NAMESPACE}, key {key}", config_map.name),
        )),
        None => {
            let name = image_config.config_map.as_deref().unwrap_or(CONFIG_MAP);
            let summary = format!("create ConfigMap {name} in {TRUST_NAMESPACE} with Quay's certificate authority, key {key}");
            plan.changes.push(write(name, ObjectWrite::Create(config_map(name, &key, &ca)), summary));
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
            summary: format!("have the cluster's image configuration trust ConfigMap {CONFIG_MAP}"),
        }));
    }
    Ok(plan)
}

/// Where the control plane is hosted in another cluster, the HostedCluster there says what nodes trust (HyperShift
/// `api/hypershift/v1beta1/hostedcluster_types.go`, `spec.configuration.image`); what is written here is refused.
fn on_hosted_cluster(trust: &ClusterTrust, key: &str, ca: &str) -> StepPlan {
    let mut plan = StepPlan::default();
    let is_named = trust.image_config.as_ref().is_some_and(|config| config.config_map.is_some());
    let known =
        trust.config_map.as_ref().filter(|_| is_named).and_then(|found| found.data.get(key));
    if known.is_some_and(|known| holds(known, ca)) {
        plan.fact(
            Severity::Ok,
            format!("nodes trust it: the HostedCluster names a ConfigMap with key {key}"),
        );
        return plan;
    }
    plan.fact(
        Severity::Warning,
        "nodes do not trust Quay's certificate authority yet, so pods cannot pull from it",
    );
    plan.fact(Severity::Info, "the control plane is hosted: the HostedCluster in the management cluster says what nodes trust");
    plan.skipped(format!(
        "in the management cluster, put the certificate authority under key {key} of a ConfigMap in the namespace of the \
         HostedCluster, and its name into spec.configuration.image.additionalTrustedCA.name of the HostedCluster"
    ))
}

/// The objects as they are to be, with what others have put into them: whoever applies them takes nothing away.
pub(in crate::setup) fn manifests(setup: &SetupSession) -> Vec<Value> {
    let (Some(ca), Some(url), Ok(trust)) = (setup.ca(), setup.url(), &setup.found.trust) else {
        return vec![];
    };
    if setup.found.platform.as_ref().is_ok_and(|platform| platform.is_hosted) {
        return vec![];
    }
    let Some(image_config) = &trust.image_config else { return vec![] };
    let name = image_config.config_map.as_deref().unwrap_or(CONFIG_MAP);
    let (key, ca) = (key(&url.host()), String::from_utf8_lossy(ca));
    let mut object = config_map(name, &key, &ca);
    if let Some(found) = &trust.config_map {
        object["data"] = json!(found.data);
        if !found.data.get(&key).is_some_and(|known| holds(known, &ca)) {
            object["data"][&key] = json!(beside(found.data.get(&key), &ca));
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

/// Whether a bundle holds every certificate of another, however they are wrapped.
fn holds(bundle: &str, ca: &str) -> bool {
    let known = certificates(bundle);
    certificates(ca).iter().all(|certificate| known.contains(certificate))
}

/// The certificates of a PEM text, without white space.
fn certificates(pem: &str) -> Vec<String> {
    let bodies = pem.split("-----BEGIN CERTIFICATE-----").skip(1);
    bodies
        .filter_map(|body| Some(body.split_once("-----END")?.0.split_whitespace().collect()))
        .collect()
}

/// An authority beside those that are trusted already: one that is about to be replaced signs until then.
fn beside(known: Option<&String>, ca: &str) -> String {
    match known {
        Some(known) if !known.trim().is_empty() => format!("{}\n{ca}", known.trim_end()),
        _ => ca.to_owned(),
    }
}

/// Whether Quay was reached with a certificate that this machine trusts.
fn is_trusted_here(setup: &SetupSession) -> bool {
    setup.found.quay.as_ref().is_some_and(|quay| quay.about.is_ok())
        && setup.url().is_some_and(|url| !url.is_plain_http())
}

/// Whether nodes take any certificate from this Quay.
fn takes_anything(setup: &SetupSession) -> bool {
    let image_config =
        setup.found.trust.as_ref().ok().and_then(|trust| trust.image_config.as_ref());
    let is_named = |url: QuayUrl| {
        image_config.is_some_and(|config| config.insecure_registries.contains(&url.host()))
    };
    setup.url().is_some_and(is_named)
}

fn write(name: &str, write: ObjectWrite, summary: String) -> SetupChange {
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

/// The key of a registry: `host`, or `host..port`, since a colon cannot stand in a ConfigMap's key.
pub(in crate::setup) fn key(host: &str) -> String {
    host.replace(':', "..")
}

pub(in crate::setup) fn ask(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    let has_work = changes(setup).is_ok_and(|plan| !plan.changes.is_empty());
    if setup.answers.node_trust.is_some() || !has_work {
        return Ok(());
    }
    let options = [
        (
            "Have them trust it",
            "OpenShift updates them one after the other, which can take a while",
        ),
        ("Print what to write", "for somebody else, or for later"),
        ("Leave it", "pods cannot pull from Quay until it is done"),
    ];
    let chosen = ui.select("Nodes do not trust Quay yet. What now?", &options, 0)?;
    setup.answers.node_trust =
        Some([NodeTrust::Apply, NodeTrust::Print, NodeTrust::Skip][chosen.min(2)]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_set_off_with_two_dots() {
        assert_eq!(key("quay.example.com"), "quay.example.com");
        assert_eq!(key("quay.example.com:8443"), "quay.example.com..8443");
    }
}
