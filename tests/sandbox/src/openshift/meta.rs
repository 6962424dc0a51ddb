//! Object metadata: reading it, and the values only a server hands out.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// `metadata.name`, empty when absent.
pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// `metadata.namespace`, empty for cluster-scoped objects.
pub(crate) fn namespace(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap_or_default()
}

/// `metadata.resourceVersion`, empty when absent.
pub(crate) fn resource_version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default()
}

/// `metadata.finalizers`.
pub(crate) fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// True if deletion was asked for.
pub(crate) fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// True without finalizers: a namespace also has `spec.finalizers`, until its content is deleted.
pub(crate) fn is_finalized(object: &Value) -> bool {
    let of_namespace = object["kind"] == "Namespace"
        && object["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    finalizers(object).next().is_none() && !of_namespace
}

/// The present moment, RFC 3339 in whole seconds, as Kubernetes writes timestamps.
pub(crate) fn now() -> String {
    timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn timestamp(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's civil_from_days, for dates after the epoch.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// An unpredictable number.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A fresh `metadata.uid`.
pub(crate) fn uid() -> String {
    let hex = format!("{:016x}{:016x}", random(), random());
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// `length` random characters of the alphabet that `generateName` uses (k8s.io/apimachinery `pkg/util/rand`).
pub(crate) fn suffix(length: usize) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let character = |_| char::from(ALPHABET[usize::try_from(random() % 27).unwrap_or_default()]);
    (0..length).map(character).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[test]
    fn formats_leap_days_and_turns_of_the_year() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(super::timestamp(Duration::from_secs(seconds)), text);
        }
    }
}
