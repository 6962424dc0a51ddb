//! The ownership mark: the cluster and namespace for which an object in Quay was created.
//!
//! It is the description of each robot account that we create, since one list call returns all of
//! these, but robot account metadata must be read one by one (`wire/231`). A robot account's
//! description is immutable (`wire/203`), so an adopted organization gets a team whose mark takes
//! precedence. Its robot accounts become members, since their list names their teams (`wire/728b`)
//! and so shows that the team must be read.
//!
//! Version 0 identifies the cluster only by its API server, and its team has no members. Both
//! versions are read.

/// Names for the team, without permissions, whose description is the mark of an adopted
/// organization. The second is for organizations in which others use the first.
pub const OWNER_TEAMS: [&str; 2] = ["oc-quay", "oc-quay-owner"];

/// Quay's limit in characters (`wire/221`).
const MAX_DESCRIPTION_LENGTH: usize = 255;

/// The identity of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterIdentity {
    /// The uid of its QuayIntegration; empty if unknown.
    pub id: String,
    /// The API server, `host:port`. Not unique: clusters can share an address, and one can have
    /// several.
    pub server: String,
}

impl From<&str> for ClusterIdentity {
    /// A cluster of which only the API server is known.
    fn from(server: &str) -> Self {
        Self { id: String::new(), server: server.into() }
    }
}

/// The owner of an object in Quay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnershipMark {
    /// Version 0 has no id.
    pub cluster: ClusterIdentity,
    pub namespace: String,
    /// The namespace's uid.
    pub uid: String,
    /// We created the organization.
    pub created: bool,
}

impl OwnershipMark {
    /// A mark that does not claim that we created the organization.
    pub fn new(cluster: &ClusterIdentity, namespace: &str, uid: &str) -> Self {
        Self {
            cluster: cluster.clone(),
            namespace: namespace.into(),
            uid: uid.into(),
            created: false,
        }
    }

    /// Parses a description; `None` if it is not a mark. A mark of a newer version without the
    /// fields that we know has an unknown owner.
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

    /// The owner of an object with this mark, as seen from `ours`.
    ///
    /// An equal uid means the same namespace, whatever the cluster is called. Another uid in the same
    /// cluster is a deleted namespace of that name, whose organization must not be given to the new
    /// one: anyone can create a namespace of that name. If our own uid could not be read, the name
    /// in this cluster decides.
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

/// The owner of an object in Quay, ordered by severity: another cluster might still use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// This namespace.
    Current,
    /// A previous namespace of this name in this cluster.
    Previous,
    /// A previous namespace of this name, or one of another cluster at the same address.
    Unclear,
    /// Another namespace or cluster.
    Other,
}

impl std::fmt::Display for OwnershipMark {
    /// Version 1. The server is last and is truncated, so that a mark always fits.
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
    fn mark_round_trips_and_fits() {
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
    fn parses_marks_of_other_versions() {
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
    fn identifies_owner_by_uid_not_by_name() {
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
            // Created without permission to read the uid.
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
