//! Infers Quay and cluster ID from the pull secrets of a namespace, for users who cannot read the QuayIntegration.

use std::collections::BTreeSet;

use super::snapshot::Secret;

/// The Quay and the cluster ID that a namespace is linked with, and the pull secret that shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inferred {
    /// `host` or `host:port`.
    pub host: String,
    /// The cluster ID as written.
    pub cluster_id: String,
}

const INFIX: &str = "-quay-";

impl Inferred {
    /// The value that the pull secrets agree on, with the name of the first secret that has it. A secret
    /// `builder-quay-openshift` of namespace `shop` counts if its user is `openshift_shop+builder`.
    ///
    /// Every user with permission to create secrets in the namespace controls the result: send only credentials from the
    /// namespace itself to that host.
    pub fn from_secrets(namespace: &str, secrets: &[Secret]) -> Option<(Self, String)> {
        let all: Vec<_> = secrets.iter().flat_map(|secret| infer(namespace, secret)).collect();
        let distinct: BTreeSet<_> = all.iter().map(|(inferred, _)| inferred).collect();
        if distinct.len() == 1 { all.into_iter().next() } else { None }
    }
}

fn infer(namespace: &str, secret: &Secret) -> Vec<(Inferred, String)> {
    let name = &secret.name;
    let mut found = Vec::new();
    for (at, _) in name.match_indices(INFIX) {
        let (account, cluster_id) = (&name[..at], &name[at + INFIX.len()..]);
        let user = format!("{}_{namespace}+{account}", cluster_id.to_lowercase());
        let entries = secret.credentials.iter().flatten();
        let own = entries.filter(|(_, credentials)| credentials.username == user);
        let plain = own.filter(|(registry, _)| !registry.contains('/'));
        found.extend(plain.map(|(host, _)| {
            (Inferred { host: host.clone(), cluster_id: cluster_id.to_owned() }, name.clone())
        }));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::snapshot::RegistryCredentials;

    fn secret(name: &str, host: &str, username: &str) -> Secret {
        let credentials =
            RegistryCredentials { username: username.into(), password: "token".into() };
        Secret {
            is_plain: true,
            uid: String::new(),
            items: BTreeMap::new(),
            undecodable: vec![],
            name: name.into(),
            resource_version: "1".into(),
            kind: "kubernetes.io/dockerconfigjson".into(),
            managed: false,
            credentials: Ok(vec![(host.into(), credentials)]),
        }
    }

    #[test]
    fn infers_quay_and_cluster_id_from_own_pull_secrets() {
        let host = "quay.example.com:8443";
        let infer = |secrets: &[Secret]| {
            Inferred::from_secrets("shop", secrets)
                .map(|(inferred, _)| format!("{} {}", inferred.host, inferred.cluster_id))
        };
        let builder = secret("builder-quay-openshift", host, "openshift_shop+builder");
        let odd = secret("my-quay-sa-quay-prod", host, "prod_shop+my-quay-sa");
        assert_eq!(
            infer(std::slice::from_ref(&builder)).as_deref(),
            Some("quay.example.com:8443 openshift")
        );
        assert_eq!(
            infer(std::slice::from_ref(&odd)).as_deref(),
            Some("quay.example.com:8443 prod")
        );
        assert_eq!(infer(&[builder.clone(), odd]), None, "two of them");
        assert_eq!(
            infer(&[secret("builder-quay-openshift", host, "openshift_other+builder")]),
            None,
            "another namespace's"
        );
        assert_eq!(
            infer(&[secret(
                "builder-quay-openshift",
                "quay.example.com/openshift_shop",
                "openshift_shop+builder"
            )]),
            None
        );
        assert_eq!(
            infer(&[secret("mine", host, "openshift_shop+builder"), builder]).as_deref(),
            Some("quay.example.com:8443 openshift")
        );
        assert_eq!(infer(&[]), None);
    }
}
