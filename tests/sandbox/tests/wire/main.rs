//! Conformance: every recorded sample in `wire/` is sent to the stand-in, in the state it was recorded in, and the
//! answer compared with the recorded one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod browser;
mod compare;
mod edge_cases;
mod env;
mod pushing;
mod releases;
mod samples;
mod scenarios;
mod scopes;
mod sign_in;

use std::collections::BTreeMap;

use axum::http::StatusCode;

use env::TestEnv;
use samples::Sample;
use scenarios::{CHAPTERS, Chapter};

/// Samples that are kept but cannot be replayed, with the reason.
const SKIPPED: &[(&str, &str)] = &[];

#[test]
fn fake_quay_answers_as_recorded() {
    let samples = samples::all();
    let mut covered = Vec::new();
    let mut differences = Vec::new();
    for chapter in CHAPTERS {
        let mut env = TestEnv::new();
        (chapter.setup)(&mut env);
        for sample in samples.iter().filter(|sample| is_in(chapter, sample)) {
            if let Some((_, prepare)) =
                chapter.before.iter().find(|(number, _)| *number == sample.number())
            {
                prepare(&mut env);
            }
            if let Err(difference) = replay(&mut env, sample) {
                differences.push(format!("{}: {difference}", sample.name));
            }
            covered.push(sample.name.as_str());
        }
    }
    println!("{} of {} samples covered, {} skipped", covered.len(), samples.len(), SKIPPED.len());
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        differences.join("\n")
    );
    for sample in &samples {
        let skipped = SKIPPED.iter().filter(|(name, _)| *name == sample.name).count();
        let count = covered.iter().filter(|name| **name == sample.name).count() + skipped;
        assert_eq!(count, 1, "{} must be in one chapter or in SKIPPED", sample.name);
    }
}

fn is_in(chapter: &Chapter, sample: &Sample) -> bool {
    let (from, to) = chapter.numbers;
    (from..to).contains(&sample.number())
}

fn replay(env: &mut TestEnv, sample: &Sample) -> Result<(), String> {
    if let Some(count) = sample.parallel() {
        return compare_race(sample, &env.race(sample, count));
    }
    let answer = env.replay(sample);
    env.note(&answer);
    compare::answer(sample, &answer, &mut env.learned)
}

/// In a race each answer is one that was recorded, and as many succeed as must: the one that creates or
/// deletes, or nearly all where every one may.
fn compare_race(sample: &Sample, statuses: &[StatusCode]) -> Result<(), String> {
    let mut recorded: BTreeMap<u64, u64> = BTreeMap::new();
    for outcome in sample.response["outcomes"].as_array().unwrap() {
        *recorded.entry(outcome["status"].as_u64().unwrap()).or_default() +=
            outcome["count"].as_u64().unwrap();
    }
    let mut found: BTreeMap<u64, u64> = BTreeMap::new();
    for status in statuses {
        *found.entry(u64::from(status.as_u16())).or_default() += 1;
    }
    let succeeded =
        |counts: &BTreeMap<u64, u64>| counts.range(200..300).map(|(_, count)| count).sum::<u64>();
    let all_known = found.keys().all(|status| recorded.contains_key(status));
    // Where the database let two through (wire/627, wire/633a, wire/633b) one is right as well, where it let one fail (wire/634e) none.
    let plausible = match succeeded(&recorded) {
        1 | 2 => succeeded(&found) == 1,
        most => succeeded(&found) >= most,
    };
    if all_known && plausible { Ok(()) } else { Err(format!("{found:?} instead of {recorded:?}")) }
}
