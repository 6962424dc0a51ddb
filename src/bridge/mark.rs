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

    /// Whose it is that carries `self`, seen from `ours`.
    ///
    /// The same uid is the same namespace whatever the address. Another uid under the same address is a namespace of that
    /// name that was deleted: who makes one of that name now may be anybody, and has no right to what the other one left.
    /// Where our own uid could not be read, the name in this cluster has to do.
    pub fn owner(&self, ours: &Mark) -> Owner {
        let is_unknown = ours.uid.is_empty();
        let is_here = self.cluster == ours.cluster;
        match self.namespace == ours.namespace {
            true if (is_unknown && is_here) || (!is_unknown && self.uid == ours.uid) => Owner::Ours,
            true if is_here => Owner::Former,
            _ => Owner::Foreign,
        }
    }
}

/// Whose something in Quay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This very namespace's.
    Ours,
    /// That of an earlier namespace of this name in this cluster.
    Former,
    /// Another cluster's, or another namespace's.
    Foreign,
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
    fn a_namespace_is_known_by_its_uid_and_a_name_may_be_anybodys() {
        let (here, service, there) = ("api.a:6443", "kubernetes.default.svc", "api.b:6443");
        let rows = [
            (here, "ns", "1", "1", Owner::Ours),
            (service, "ns", "1", "1", Owner::Ours),
            (here, "ns", "0", "1", Owner::Former),
            // Made by somebody who could not read the uid.
            (here, "ns", "", "1", Owner::Former),
            (here, "ns", "1", "", Owner::Ours),
            (here, "ns", "", "", Owner::Ours),
            (there, "ns", "", "", Owner::Foreign),
            (there, "ns", "2", "1", Owner::Foreign),
            (here, "other", "1", "1", Owner::Foreign),
        ];
        for (cluster, namespace, theirs, ours, owner) in rows {
            let found = Mark::new(cluster, namespace, theirs).owner(&Mark::new(here, "ns", ours));
            assert_eq!(found, owner, "{cluster} {namespace} {theirs:?} seen from {ours:?}");
        }
    }
}
