//! The Operator Lifecycle Manager, classic and successor, with the one operator that its catalogs hold.
//!
//! [`step`] returns the next write of OLM for the objects; the caller applies it and asks
//! again. So it plays the same on the stand-in and on a real API server. Names, reasons and messages are those of
//! operator-framework/operator-lifecycle-manager 992bb0977 and operator-controller 1bbe7886^ (the last that heeds the
//! service account). Upgrades from one version to the next are not simulated.

mod bundle;
mod catalogs;
mod extensions;
mod install_plans;
mod operators;
mod subscriptions;
mod trouble;
mod view;

use serde_json::Value;

pub use bundle::{DEFAULT_CHANNEL, DEPLOYMENT, PACKAGE, csv_name};
pub use catalogs::{v0_fixtures, v1_fixtures};
pub use extensions::extension;
pub use subscriptions::subscription;
pub use trouble::Trouble;
use view::View;

/// The kinds of the objects that [`step`] wants to see: their apiVersion, their name, and where all of them are listed.
pub const KINDS: [(&str, &str, &str); 12] = [
    (
        "operators.coreos.com/v1alpha1",
        "CatalogSource",
        "/apis/operators.coreos.com/v1alpha1/catalogsources",
    ),
    (
        "packages.operators.coreos.com/v1",
        "PackageManifest",
        "/apis/packages.operators.coreos.com/v1/packagemanifests",
    ),
    ("operators.coreos.com/v1", "OperatorGroup", "/apis/operators.coreos.com/v1/operatorgroups"),
    (
        "operators.coreos.com/v1alpha1",
        "Subscription",
        "/apis/operators.coreos.com/v1alpha1/subscriptions",
    ),
    (
        "operators.coreos.com/v1alpha1",
        "InstallPlan",
        "/apis/operators.coreos.com/v1alpha1/installplans",
    ),
    (
        "operators.coreos.com/v1alpha1",
        "ClusterServiceVersion",
        "/apis/operators.coreos.com/v1alpha1/clusterserviceversions",
    ),
    (
        "olm.operatorframework.io/v1",
        "ClusterCatalog",
        "/apis/olm.operatorframework.io/v1/clustercatalogs",
    ),
    (
        "olm.operatorframework.io/v1",
        "ClusterExtension",
        "/apis/olm.operatorframework.io/v1/clusterextensions",
    ),
    ("apps/v1", "Deployment", "/apis/apps/v1/deployments"),
    (
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    ),
    (
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?fieldSelector=metadata.name%3Dquayintegrations.quay.redhat.com",
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    ),
];

/// The service accounts, which are many: [`step`] wants them too if [`needs_accounts`] says so.
pub const ACCOUNTS: (&str, &str, &str) = ("v1", "ServiceAccount", "/api/v1/serviceaccounts");

/// True if an object is installed with a service account.
pub fn needs_accounts(objects: &[Value]) -> bool {
    objects.iter().any(|object| object["kind"] == "ClusterExtension")
}

/// Something that OLM does.
#[derive(Debug)]
pub enum Write {
    /// Creates an object, with the status it has.
    Create(Value),
    /// Replaces the status of an object.
    Status(Value),
    /// Replaces the finalizers of an object.
    Finalizers(Value),
    /// Deletes an object.
    Delete(Value),
}

/// The next writes of OLM and of its controllers for these objects (of the [`KINDS`], each with its
/// `kind` and `apiVersion`). Empty when all is done or blocked.
pub fn step(objects: &[Value]) -> Vec<Write> {
    let view = View::new(objects);
    let mut writes = Vec::new();
    catalogs::step(&view, &mut writes);
    subscriptions::step(&view, &mut writes);
    install_plans::step(&view, &mut writes);
    operators::step(&view, &mut writes);
    extensions::step(&view, &mut writes);
    bundle::step(&view, &mut writes);
    view.collect_garbage(&mut writes);
    writes
}
