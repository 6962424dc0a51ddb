//! Installation and removal of the operator with OLM v0 and v1.

use std::time::Instant;

use envtest::Envtest;
use sandbox::openshift;
use sandbox::openshift::olm::{self, Trouble};
use serde_json::{Value, json};

use super::{Caller, JSON, MERGE_PATCH};

const CSVS: &str =
    "/apis/operators.coreos.com/v1alpha1/namespaces/openshift-operators/clusterserviceversions";
pub(crate) const SUBSCRIPTIONS: &str =
    "/apis/operators.coreos.com/v1alpha1/namespaces/openshift-operators/subscriptions";
pub(crate) const DEFINITION: &str =
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/quayintegrations.quay.redhat.com";

pub(crate) fn installs_operator_with_olm(caller: &Caller) {
    let started = Instant::now();
    assert_eq!(caller.send("admin", "POST", SUBSCRIPTIONS, JSON, &olm::subscription()).0, 201);
    caller.wait_for("the operator", || {
        let subscription = caller.get(&format!("{SUBSCRIPTIONS}/quay-bridge-operator"))?;
        let csv =
            caller.get(&format!("{CSVS}/{}", subscription["status"]["installedCSV"].as_str()?))?;
        (csv["status"]["phase"] == "Succeeded").then_some(())
    });
    eprintln!("the operator is installed after {:?}", started.elapsed());
    let deployment = caller
        .get("/apis/apps/v1/namespaces/openshift-operators/deployments/quay-bridge-operator")
        .unwrap();
    assert_eq!(deployment["status"]["availableReplicas"], 1);
    let webhooks = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    assert_eq!(caller.names(webhooks).len(), 1);

    // Removes both and their objects, except for the definition.
    assert_eq!(
        caller
            .send(
                "admin",
                "DELETE",
                &format!("{SUBSCRIPTIONS}/quay-bridge-operator"),
                JSON,
                &Value::Null
            )
            .0,
        200
    );
    let csv = caller.names(CSVS).remove(0);
    assert_eq!(caller.send("admin", "DELETE", &format!("{CSVS}/{csv}"), JSON, &Value::Null).0, 200);
    caller.wait_for("everything to be gone", || {
        let plans =
            "/apis/operators.coreos.com/v1alpha1/namespaces/openshift-operators/installplans";
        let paths =
            [CSVS, plans, webhooks, "/apis/apps/v1/namespaces/openshift-operators/deployments"];
        paths.iter().all(|path| caller.names(path).is_empty()).then_some(())
    });
    assert!(caller.get(DEFINITION).is_some());
}

pub(crate) fn reports_olm_problems(caller: &Caller) {
    let catalog = "/apis/operators.coreos.com/v1alpha1/namespaces/openshift-marketplace/catalogsources/redhat-operators";
    let trouble = Trouble::OperatorFails {
        reason: "InstallCheckFailed".to_owned(),
        message: "install timeout".to_owned(),
    };
    assert_eq!(caller.send("admin", "PATCH", catalog, MERGE_PATCH, &trouble.patch()).0, 200);
    let mut manual = olm::subscription();
    manual["spec"]["installPlanApproval"] = json!("Manual");
    assert_eq!(caller.send("admin", "POST", SUBSCRIPTIONS, JSON, &manual).0, 201);
    let plans = "/apis/operators.coreos.com/v1alpha1/namespaces/openshift-operators/installplans";
    let plan = caller.wait_for("a plan to approve", || {
        let list = caller.get(plans)?;
        let plan = list["items"].as_array()?.first()?.clone();
        (plan["status"]["phase"] == "RequiresApproval")
            .then(|| plan["metadata"]["name"].as_str().unwrap().to_owned())
    });
    assert!(caller.names(CSVS).is_empty());
    let approval = json!({ "spec": { "approved": true } });
    assert_eq!(
        caller.send("admin", "PATCH", &format!("{plans}/{plan}"), MERGE_PATCH, &approval).0,
        200
    );
    caller.wait_for("the failure", || {
        let csvs = caller.get(CSVS)?;
        let status = csvs["items"].as_array()?.first()?["status"].clone();
        (status["phase"] == "Failed" && status["message"] == "install timeout").then_some(())
    });
}

pub(crate) fn restores_definition(caller: &Caller) {
    let integrations = "/apis/quay.redhat.com/v1/quayintegrations";
    assert_eq!(caller.send("admin", "DELETE", DEFINITION, JSON, &Value::Null).0, 200);
    // The server returns 429 for a moment: "storage is (re)initializing".
    let answers = |status: u16| {
        (caller.send("admin", "GET", integrations, JSON, &Value::Null).0 == status).then_some(())
    };
    caller.wait_for("the kind to be unknown", || answers(404));
    let definitions = DEFINITION.rsplit_once('/').unwrap().0;
    caller.wait_for("the definition to be taken", || {
        let (status, _) = caller.send(
            "admin",
            "POST",
            definitions,
            JSON,
            &openshift::definitions::quay_integrations(),
        );
        (status == 201).then_some(())
    });
    caller.wait_for("the kind to be known", || answers(200));
    assert!(openshift::definitions::is_established(&caller.get(DEFINITION).unwrap()));
}

pub(crate) fn installs_cluster_extension(envtest: &Envtest, caller: &Caller) {
    envtest.reset().unwrap();
    let extensions = "/apis/olm.operatorframework.io/v1/clusterextensions";
    for object in olm::extension() {
        let path = match object["kind"].as_str().unwrap() {
            "ServiceAccount" => "/api/v1/namespaces/openshift-operators/serviceaccounts",
            "ClusterRoleBinding" => "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            _ => extensions,
        };
        let (status, body) = caller.send("admin", "POST", path, JSON, &object);
        assert_eq!(status, 201, "{body}");
    }
    let progress = |wanted: &str| {
        caller.wait_for(wanted, || {
            let extension = caller.get(&format!("{extensions}/quay-bridge-operator"))?;
            extension["status"]["conditions"].to_string().contains(wanted).then_some(())
        });
    };
    progress("CustomResourceDefinition 'quayintegrations.quay.redhat.com' already exists");
    assert_eq!(caller.send("admin", "DELETE", DEFINITION, JSON, &Value::Null).0, 200);
    progress("Desired state reached");
    let wrong = json!({ "spec": { "namespace": "default" } });
    let (status, _) = caller.send(
        "admin",
        "PATCH",
        &format!("{extensions}/quay-bridge-operator"),
        MERGE_PATCH,
        &wrong,
    );
    assert_eq!(status, 422, "the namespace is immutable");
}
