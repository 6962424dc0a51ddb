//! The ownership mark: which namespace of which cluster something in Quay was made for.
//!
//! It stands in the description of each robot account that we make, where one list call shows all of them (Quay gives
//! the metadata of a robot account only one at a time, sample 231). The description of a robot account can never be
//! changed (sample 203), so an organization that is adopted gets a team, whose mark counts before all others. The robot
//! accounts of that moment become its members: their list names their teams (sample 728b), and so tells everybody to look.
//!
//! Version 0 names the cluster by its API server alone, and its team has no members. Both are read.

/// The team whose description says who adopted an organization: the first that is not somebody else's. It has no
/// permissions.
pub const OWNER_TEAMS: [&str; 2] = ["oc-quay", "oc-quay-owner"];

/// The number of characters that Quay takes in a description (sample 221).
const MAX_DESCRIPTION_LENGTH: usize = 255;

/// What tells a cluster from others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterIdentity {
    /// The uid of its QuayIntegration, which no other cluster has; empty where it is not known.
    pub id: String,
    /// Its API server, `host:port`. Several clusters can be reached by one address, and one by several.
    pub server: String,
}

impl From<&str> for ClusterIdentity {
    /// A cluster of which its API server alone is known.
    fn from(server: &str) -> Self {
        Self { id: String::new(), server: server.into() }
    }
}

/// Who an object in Quay belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnershipMark {
    /// The cluster. Version 0 has no id.
    pub cluster: ClusterIdentity,
    /// The namespace.
    pub namespace: String,
    /// The namespace's uid.
    pub uid: String,
    /// We created the organization that it is in.
    pub created: bool,
}

impl OwnershipMark {
    /// A mark in an organization that might not be of our making.
    pub fn new(cluster: &ClusterIdentity, namespace: &str, uid: &str) -> Self {
        Self {
            cluster: cluster.clone(),
            namespace: namespace.into(),
            uid: uid.into(),
            created: false,
        }
    }

    /// Reads the mark out of a description; none if it carries none of ours. A newer version's mark with fields that are
    /// missing here is one of unknown owner.
    pub fn parse(description: &str) -> Option<Self> {
        let text = description.strip_prefix("oc-quay ")?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let field = |key: &str| {
            words.iter().find_map(|word| word.strip_prefix(key)).unwrap_or_default().to_owned()
        };
        if is_version(words.first()?) {
            let cluster = ClusterIdentity { id: field("cluster="), server: field("server=") };
            let created = words.contains(&"created");
            return Some(Self {
                cluster,
                namespace: field("namespace="),
                uid: field("uid="),
                created,
            });
        }
        let is_complete = ["cluster=", "namespace=", "uid="]
            .iter()
            .zip(&words)
            .filter(|(key, word)| word.starts_with(**key));
        (is_complete.count() == 3).then(|| Self {
            cluster: field("cluster=").as_str().into(),
            namespace: field("namespace="),
            uid: field("uid="),
            created: false,
        })
    }

    /// Whose it is that carries `self`, seen from `ours`.
    ///
    /// The same uid is the same namespace whatever the cluster is called. Another uid in the same cluster is a namespace of
    /// that name that was deleted: who makes one of that name now may be anybody, and has no right to what the other one
    /// left. Where our own uid could not be read, the name in this cluster has to do.
    pub fn owner(&self, ours: &OwnershipMark) -> Owner {
        if self.namespace != ours.namespace {
            return Owner::Other;
        }
        let is_identified = !self.cluster.id.is_empty() && !ours.cluster.id.is_empty();
        let is_here = match is_identified {
            true => self.cluster.id == ours.cluster.id,
            false => self.cluster.server == ours.cluster.server,
        };
        match ours.uid.is_empty() {
            true if is_here => Owner::Current,
            false if self.uid == ours.uid => Owner::Current,
            _ if is_here && is_identified => Owner::Previous,
            _ if is_here => Owner::Unclear,
            _ => Owner::Other,
        }
    }
}

fn is_version(word: &str) -> bool {
    word.strip_prefix('v').is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Whose something in Quay is; the later, the worse: another cluster may still be at work in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// This very namespace's.
    Current,
    /// That of an earlier namespace of this name in this cluster.
    Previous,
    /// That of an earlier namespace of this name, or of one in another cluster that is reached by the same address.
    Unclear,
    /// Another cluster's, or another namespace's.
    Other,
}

impl std::fmt::Display for OwnershipMark {
    /// Version 1. The server comes last and is cut, so that a mark always fits.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let created = if self.created { " created" } else { "" };
        let Self { cluster: ClusterIdentity { id, server }, namespace, uid, .. } = self;
        let text = format!(
            "oc-quay v1 cluster={id} namespace={namespace} uid={uid}{created} server={server}"
        );
        text.chars()
            .take(MAX_DESCRIPTION_LENGTH)
            .try_for_each(|character| std::fmt::Write::write_char(f, character))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn cluster(id: &str, server: &str) -> ClusterIdentity {
        ClusterIdentity { id: id.into(), server: server.into() }
    }

    #[test]
    fn a_mark_reads_back_and_fits() {
        let uid = "7b3f2d4e-6c1a-4f5e-9d8c-0a1b2c3d4e5f";
        for created in [true, false] {
            let mark = OwnershipMark {
                created,
                ..OwnershipMark::new(&cluster(uid, &"s".repeat(300)), &"n".repeat(63), uid)
            };
            assert!(mark.to_string().chars().count() <= MAX_DESCRIPTION_LENGTH);
            let read = OwnershipMark::parse(&mark.to_string()).unwrap();
            assert!(read.cluster.server.len() > 40, "{read:?}");
            assert_eq!(OwnershipMark { cluster: mark.cluster.clone(), ..read }, mark);
        }
        for text in [
            "",
            "pull",
            "oc-quay",
            "oc-quay cluster=a",
            "my oc-quay cluster=a namespace=b uid=c",
            "oc-quay vault",
        ] {
            assert_eq!(OwnershipMark::parse(text), None, "{text}");
        }
    }

    #[test]
    fn marks_of_version_0_and_of_later_ones_are_read() {
        let before = OwnershipMark::parse("oc-quay cluster=api.a:6443 namespace=ns uid=1").unwrap();
        assert_eq!(before, OwnershipMark::new(&cluster("", "api.a:6443"), "ns", "1"));
        let later = OwnershipMark::parse(
            "oc-quay v7 uid=1 more=2 namespace=ns cluster=c created server=api.a:6443",
        )
        .unwrap();
        assert_eq!(
            later,
            OwnershipMark {
                created: true,
                ..OwnershipMark::new(&cluster("c", "api.a:6443"), "ns", "1")
            }
        );
        let unknown = OwnershipMark::parse("oc-quay v7 owner=1").unwrap();
        assert_eq!(
            unknown.owner(&OwnershipMark::new(&cluster("c", "api.a:6443"), "ns", "1")),
            Owner::Other
        );
    }

    #[test]
    fn a_namespace_is_known_by_its_uid_and_a_name_may_be_anybodys() {
        let (here, service, there) =
            (("c", "api.a:6443"), ("c", "kubernetes.default.svc"), ("d", "api.b:6443"));
        // Another cluster behind the same address.
        let tunnel = ("d", "api.a:6443");
        // Version 0 has no id.
        let (old, old_service, old_there) =
            (("", "api.a:6443"), ("", "kubernetes.default.svc"), ("", "api.b:6443"));
        let rows = [
            (here, "ns", "1", "1", Owner::Current),
            (service, "ns", "1", "1", Owner::Current),
            (old_service, "ns", "1", "1", Owner::Current),
            (here, "ns", "0", "1", Owner::Previous),
            (service, "ns", "0", "1", Owner::Previous),
            (tunnel, "ns", "0", "1", Owner::Other),
            (old, "ns", "0", "1", Owner::Unclear),
            // Made by somebody who could not read the uid.
            (here, "ns", "", "1", Owner::Previous),
            (old, "ns", "", "1", Owner::Unclear),
            (here, "ns", "1", "", Owner::Current),
            (old, "ns", "1", "", Owner::Current),
            (tunnel, "ns", "1", "", Owner::Other),
            (here, "ns", "", "", Owner::Current),
            (old_there, "ns", "", "", Owner::Other),
            (there, "ns", "2", "1", Owner::Other),
            (here, "other", "1", "1", Owner::Other),
        ];
        for ((id, server), namespace, theirs, ours, owner) in rows {
            let ours = OwnershipMark::new(&cluster("c", "api.a:6443"), "ns", ours);
            let found = OwnershipMark::new(&cluster(id, server), namespace, theirs).owner(&ours);
            assert_eq!(found, owner, "{id} {server} {namespace} {theirs:?} seen from {ours:?}");
        }
    }
}
