//! What a namespace's own pull secrets say about the integration, for somebody who is not allowed to read the QuayIntegration.

use std::collections::BTreeSet;

use super::snapshot::Secret;

/// The Quay and the cluster ID that a namespace is linked with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inferred {
    /// The registry's host, with its port if there is one.
    pub host: String,
    /// The cluster ID as written.
    pub cluster_id: String,
}

const INFIX: &str = "-quay-";

impl Inferred {
    /// What the pull secrets say together; none where they say nothing, or not the same. A secret `builder-quay-openshift` of
    /// namespace `shop` tells if it logs in as `openshift_shop+builder`.
    ///
    /// Whoever can create secrets in the namespace can make it say anything: nothing but what is in the namespace may be sent
    /// to that host.
    pub fn of(namespace: &str, secrets: &[Secret]) -> Option<(Self, String)> {
        let told: Vec<_> = secrets.iter().flat_map(|secret| told_by(namespace, secret)).collect();
        let distinct: BTreeSet<_> = told.iter().map(|(inferred, _)| inferred).collect();
        if distinct.len() == 1 { told.into_iter().next() } else { None }
    }
}

fn told_by(namespace: &str, secret: &Secret) -> Vec<(Inferred, String)> {
    let name = &secret.name;
    let mut told = Vec::new();
    for (at, _) in name.match_indices(INFIX) {
        let (account, cluster_id) = (&name[..at], &name[at + INFIX.len()..]);
        let user = format!("{}_{namespace}+{account}", cluster_id.to_lowercase());
        let logins = secret.logins.iter().flatten().filter(|(_, login)| login.username == user);
        let plain = logins.filter(|(registry, _)| !registry.contains('/'));
        told.extend(plain.map(|(host, _)| {
            (Inferred { host: host.clone(), cluster_id: cluster_id.to_owned() }, name.clone())
        }));
    }
    told
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::snapshot::Login;

    fn secret(name: &str, host: &str, username: &str) -> Secret {
        let login = Login { username: username.into(), password: "token".into() };
        Secret {
            is_plain: true,
            uid: String::new(),
            items: BTreeMap::new(),
            undecodable: vec![],
            name: name.into(),
            resource_version: "1".into(),
            kind: "kubernetes.io/dockerconfigjson".into(),
            managed: false,
            logins: Ok(vec![(host.into(), login)]),
        }
    }

    #[test]
    fn takes_quay_and_cluster_id_from_own_pull_secrets() {
        let host = "quay.example.com:8443";
        let says = |secrets: &[Secret]| {
            Inferred::of("shop", secrets)
                .map(|(told, _)| format!("{} {}", told.host, told.cluster_id))
        };
        let builder = secret("builder-quay-openshift", host, "openshift_shop+builder");
        let odd = secret("my-quay-sa-quay-prod", host, "prod_shop+my-quay-sa");
        assert_eq!(
            says(std::slice::from_ref(&builder)).as_deref(),
            Some("quay.example.com:8443 openshift")
        );
        assert_eq!(says(std::slice::from_ref(&odd)).as_deref(), Some("quay.example.com:8443 prod"));
        assert_eq!(says(&[builder.clone(), odd]), None, "two of them");
        assert_eq!(
            says(&[secret("builder-quay-openshift", host, "openshift_other+builder")]),
            None,
            "another namespace's"
        );
        assert_eq!(
            says(&[secret(
                "builder-quay-openshift",
                "quay.example.com/openshift_shop",
                "openshift_shop+builder"
            )]),
            None
        );
        assert_eq!(
            says(&[secret("mine", host, "openshift_shop+builder"), builder]).as_deref(),
            Some("quay.example.com:8443 openshift")
        );
        assert_eq!(says(&[]), None);
    }
}
