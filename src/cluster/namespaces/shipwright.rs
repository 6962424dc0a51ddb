//! Builds for OpenShift (Shipwright), which no webhook rewrites.

use kube::api::ListParams;
use serde::Deserialize;

use crate::cluster::access::client::Cluster;
use crate::cluster::resources::{Meta, SHIPWRIGHT_BUILDS, SHIPWRIGHT_GROUP};
use crate::domain::snapshot::{Observed, ReadErrorKind, ShipwrightBuild};

#[derive(Deserialize)]
struct Stored {
    metadata: Meta,
    #[serde(default)]
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    output: Output,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Output {
    image: String,
    push_secret: Option<String>,
}

impl From<Stored> for ShipwrightBuild {
    fn from(Stored { metadata, spec: Spec { output } }: Stored) -> Self {
        Self {
            namespace: metadata.namespace,
            name: metadata.name,
            image: output.image,
            push_secret: output.push_secret,
        }
    }
}

impl Cluster {
    /// Empty if the cluster does not serve them.
    pub async fn shipwright_builds(
        &self,
        namespace: Option<&str>,
    ) -> Observed<Vec<ShipwrightBuild>> {
        let found: Observed<_> = self
            .list::<Stored, _>(&SHIPWRIGHT_BUILDS, namespace, ListParams::default())
            .await
            .map_err(Into::into);
        match found {
            // The API server checks permissions first: a resource that does not exist is forbidden
            // to users without permission.
            Err(unread)
                if unread.kind == ReadErrorKind::Forbidden
                    && !self.serves_group(SHIPWRIGHT_GROUP).await =>
            {
                Ok(vec![])
            }
            found => found,
        }
    }
}
