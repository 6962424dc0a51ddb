//! The ownership mark: which namespace of which cluster a robot account was made for.
//!
//! It stands in the robot account's description, where one list call shows all of them (Quay gives the metadata of
//! a robot account only one at a time, sample 231), and in the description of the team `oc-quay` once an
//! organization was adopted, since a robot account's description can never be changed (sample 203).

/// The team that says who adopted an organization. It has no members.
pub const ADOPTION_TEAM: &str = "oc-quay";

/// Quay takes at most 255 characters (sample 221); this much is left for the cluster's name.
const CLUSTER_LENGTH: usize = 120;

/// Who an object in Quay belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The cluster's API server, `host:port` as the kubeconfig names it.
    pub cluster: String,
    /// The namespace.
    pub namespace: String,
    /// The namespace's uid: it tells clusters apart that are reached under changing addresses.
    pub uid: String,
}

impl Mark {
    /// A mark; an overlong cluster name is cut so that the mark fits into a description.
    pub fn new(cluster: &str, namespace: &str, uid: &str) -> Self {
        Self { cluster: cluster.chars().take(CLUSTER_LENGTH).collect(), namespace: namespace.into(), uid: uid.into() }
    }

    /// Reads the mark out of a description; none if it carries none of ours.
    pub fn parse(description: &str) -> Option<Self> {
        let mut fields = description.strip_prefix("oc-quay ")?.split_whitespace();
        let mut field = |key: &str| fields.next()?.strip_prefix(key).map(str::to_owned);
        Some(Self { cluster: field("cluster=")?, namespace: field("namespace=")?, uid: field("uid=")? })
    }

    /// Whether what carries `self` is another cluster's, seen from `ours`.
    ///
    /// The same uid is the same namespace whatever the address; another uid under the same address is a former
    /// namespace of that name in this cluster, whose organization was kept.
    pub fn is_foreign_to(&self, ours: &Mark) -> bool {
        self.namespace != ours.namespace || (self.uid != ours.uid && self.cluster != ours.cluster)
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "oc-quay cluster={} namespace={} uid={}", self.cluster, self.namespace, self.uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_fits() {
        let mark = Mark::new(&"c".repeat(300), &"n".repeat(63), "7b3f2d4e-6c1a-4f5e-9d8c-0a1b2c3d4e5f");
        assert!(mark.to_string().len() <= 255);
        assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        for text in ["", "pull", "oc-quay", "oc-quay cluster=a", "my oc-quay cluster=a namespace=b uid=c"] {
            assert_eq!(Mark::parse(text), None, "{text}");
        }
    }

    #[test]
    fn foreign_is_another_cluster_not_another_address_or_a_former_namespace() {
        let ours = Mark::new("api.a:6443", "ns", "1");
        assert!(!Mark::new("api.a:6443", "ns", "1").is_foreign_to(&ours));
        assert!(!Mark::new("kubernetes.default.svc", "ns", "1").is_foreign_to(&ours));
        assert!(!Mark::new("api.a:6443", "ns", "0").is_foreign_to(&ours));
        assert!(Mark::new("api.b:6443", "ns", "2").is_foreign_to(&ours));
        assert!(Mark::new("api.a:6443", "other", "3").is_foreign_to(&ours));
    }
}
