//! Checks the quota of the organization.

use super::{Assessed, Check};
use crate::domain::finding::Code;

const TITLE: &str = "Quota";

/// None without a quota, or if less than four fifths of it are used.
pub(super) fn check(subject: &Assessed) -> Option<Check> {
    let quota = subject.snapshot.organization()?.quota?;
    let name = &subject.desired.organization;
    let fact = format!("{} of {} used", size(quota.used), size(quota.limit));
    let object = subject.remote("Organization", name);
    let finding = if quota.is_used_up() {
        let message =
            format!("Quay rejects pushes to organization {name}: its quota is used up ({fact})");
        subject.finding(Code::QuotaUsedUp, object, message)
    } else {
        subject.finding(
            Code::QuotaNearlyUsedUp,
            object,
            format!("The quota of organization {name} is nearly used up ({fact})"),
        )
    };
    Some(Check::new(TITLE, fact, vec![finding]))
}

/// As Quay shows it: `2.9 MiB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut whole = bytes;
    let mut rest = 0;
    while whole >= 1024 && unit + 1 < UNITS.len() {
        rest = whole % 1024;
        whole /= 1024;
        unit += 1;
    }
    match unit {
        0 => format!("{whole} B"),
        _ => format!("{whole}.{} {}", rest * 10 / 1024, UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::proptests::{golden, with_subject};
    use crate::domain::snapshot::Quota;

    #[test]
    fn distinguishes_nearly_used_from_used_up_quota() {
        let found = |used| {
            let mut snapshot = golden();
            if let Ok(Some(organization)) = &mut snapshot.organization {
                organization.quota = Some(Quota { used, limit: 3_000_000 });
            }
            with_subject(&snapshot, check).map(|check| (check.findings[0].code, check.fact))
        };
        assert_eq!(
            found(2_500_000),
            Some((Code::QuotaNearlyUsedUp, "2.3 MiB of 2.8 MiB used".into()))
        );
        assert_eq!(found(4_002_116), Some((Code::QuotaUsedUp, "3.8 MiB of 2.8 MiB used".into())));
    }
}
