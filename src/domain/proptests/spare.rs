//! Copies that interrupted replacements of secrets leave. The only copy of foreign credentials is
//! never deleted.

use std::collections::BTreeMap;

use super::generators::{HOST, SECRET_TYPE, golden, secret, token};
use super::{repair, with_subject};
use crate::domain::change::Change;
use crate::domain::checks;
use crate::domain::dockerconfig::Item;
use crate::domain::finding::{Code, Finding};
use crate::domain::plan::{self, Options, UnlinkOptions};
use crate::domain::snapshot::Secret;

const SPARE: &str = "default-quay-parity-spare";

/// Entries of a docker configuration, with their fingerprints.
type Entries<'a> = &'a [(&'a str, u64)];

fn ours(kind: &str, entries: Entries) -> Secret {
    let items: BTreeMap<_, _> = entries
        .iter()
        .map(|(registry, value)| (Item::Registry((*registry).into()), *value))
        .collect();
    let written = secret("default", kind, HOST, "parity_golden+default", token("default", 0));
    Secret { managed: true, is_plain: false, items, ..written }
}

/// The effect of a plan on the copy.
fn outcome(changes: &[Change], findings: &[Finding]) -> &'static str {
    let is_deleted =
        |change: &Change| matches!(change, Change::DeleteSecret { secret, .. } if secret == SPARE);
    if changes.iter().any(is_deleted) {
        "deleted"
    } else if changes.iter().any(|change| matches!(change, Change::ReplaceSecret { .. })) {
        "used"
    } else if findings
        .iter()
        .any(|finding| finding.code == Code::SecretKept && finding.object.name == SPARE)
    {
        "kept"
    } else {
        "left"
    }
}

#[test]
fn keeps_only_copy_of_foreign_credentials() {
    const OURS: (&str, u64) = (HOST, 1);
    const THEIRS: (&str, u64) = ("quay.io", 2);
    const NEWER: (&str, u64) = ("quay.io", 3);
    let right = |entries| Some(ours(SECRET_TYPE, entries));
    let wrong = |entries| Some(ours("Opaque", entries));
    // The secret, the entries of the copy, and the outcome for the copy of a repair and of an
    // unlink.
    let table: [(Option<Secret>, Entries, &str, &str); 9] = [
        (right(&[OURS]), &[OURS], "deleted", "deleted"),
        (right(&[(HOST, 4)]), &[OURS], "deleted", "deleted"),
        (right(&[OURS, THEIRS]), &[OURS, THEIRS], "deleted", "deleted"),
        (right(&[OURS]), &[OURS, THEIRS], "kept", "kept"),
        (right(&[OURS, NEWER]), &[OURS, THEIRS], "kept", "kept"),
        (None, &[OURS], "used", "deleted"),
        (None, &[OURS, THEIRS], "used", "kept"),
        (wrong(&[OURS, THEIRS]), &[OURS, THEIRS], "used", "kept"),
        (wrong(&[OURS]), &[OURS, THEIRS], "kept", "kept"),
    ];
    for (secret, copied, after_repair, after_unlink) in table {
        let mut snapshot = golden();
        let secrets = snapshot.secrets.as_mut().unwrap();
        secrets.retain(|secret| secret.name != "default-quay-parity");
        secrets.extend(secret.clone());
        secrets.push(Secret { name: SPARE.into(), ..ours(SECRET_TYPE, copied) });
        let plan = repair(&snapshot, Options::default());
        let found = with_subject(&snapshot, checks::namespace)
            .into_iter()
            .flat_map(|check| check.findings)
            .chain(plan.blocked);
        assert_eq!(
            outcome(&plan.changes, &found.collect::<Vec<_>>()),
            after_repair,
            "{secret:?}, {copied:?}"
        );
        let plan =
            with_subject(&snapshot, |subject| plan::unlink(subject, UnlinkOptions::default()));
        assert_eq!(outcome(&plan.changes, &plan.blocked), after_unlink, "{secret:?}, {copied:?}");

        snapshot.secrets.as_mut().unwrap().last_mut().unwrap().managed = false;
        let plan =
            with_subject(&snapshot, |subject| plan::unlink(subject, UnlinkOptions::default()));
        assert_eq!(outcome(&plan.changes, &plan.blocked), "left", "a copy without our label");
    }
}
