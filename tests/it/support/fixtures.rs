//! Runs the cases of a test, each in a namespace of its own.

use std::sync::{Condvar, Mutex};
use std::thread;

use sandbox::traffic::Traffic;

use super::TestEnv;
use super::envtest;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Cluster,
    Quay,
}

impl Side {
    pub(crate) fn traffic(self, env: &TestEnv) -> &Traffic {
        match self {
            Side::Cluster => env.cluster_traffic(),
            Side::Quay => env.quay_traffic(),
        }
    }
}

/// Concurrent envs of one test, which mostly wait.
const MAX_WORLDS: usize = 4;

/// Concurrent cases of all tests: with more, responses would miss their deadlines.
const MAX_CASES: usize = 8;

static LEFT: (Mutex<usize>, Condvar) = (Mutex::new(MAX_CASES), Condvar::new());

#[derive(Clone, Copy)]
pub(crate) enum Stage {
    /// A new one for each case.
    Fresh,
    /// One for all cases of an env, prepared once; each case restores its state.
    Reused(fn(&TestEnv, &str)),
}

impl Stage {
    fn set(self, env: &TestEnv, number: usize, is_first: bool) -> String {
        match self {
            Stage::Fresh => {
                let namespace = format!("case-{number}");
                env.shared_namespace(&namespace);
                namespace
            }
            Stage::Reused(prepare) => {
                if is_first {
                    env.shared_namespace("shop");
                    prepare(env, "shop");
                }
                "shop".to_owned()
            }
        }
    }
}

/// Runs every case, several concurrently in envs of their own. Real API servers run every
/// `sample`th case.
pub(crate) fn play<T: Sync>(
    cases: &[T],
    sample: usize,
    stage: Stage,
    act: impl Fn(&TestEnv, &str, &T) + Sync,
) {
    share(cases, [1, sample], |mine| {
        let env = TestEnv::bare();
        env.integration();
        for (place, (number, case)) in mine.into_iter().enumerate() {
            let _turn = Turn::take();
            let namespace = stage.set(&env, number, place == 0);
            act(&env, &namespace, case);
            env.forget_traffic();
        }
    });
}

/// Runs cases in new envs of `make`, for objects that exist once in a cluster. Only a sample of
/// the cases runs, on the fake and on the real API server.
pub(crate) fn run_in_new_envs<T: Sync>(
    cases: &[T],
    samples: [usize; 2],
    make: fn() -> TestEnv,
    act: impl Fn(&TestEnv, &T) + Sync,
) {
    share(cases, samples, |mine| {
        for (_, case) in mine {
            let _turn = Turn::take();
            act(&make(), case);
        }
    });
}

/// The permission to run a case now.
struct Turn;

impl Turn {
    fn take() -> Self {
        *LEFT.1.wait_while(LEFT.0.lock().unwrap(), |left| *left == 0).unwrap() -= 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *LEFT.0.lock().unwrap() += 1;
        LEFT.1.notify_one();
    }
}

/// Distributes the numbered cases to workers.
fn share<T: Sync>(cases: &[T], samples: [usize; 2], play_some: impl Fn(Vec<(usize, &T)>) + Sync) {
    let (envs, step) =
        if envtest::is_real() { (envtest::SERVERS, samples[1]) } else { (MAX_WORLDS, samples[0]) };
    let sampled: Vec<_> = cases.iter().step_by(step).enumerate().collect();
    let play_share =
        |first: usize| play_some(sampled.iter().skip(first).step_by(envs).copied().collect());
    thread::scope(|scope| {
        (1..envs).for_each(|first| drop(scope.spawn(move || play_share(first))));
        play_share(0);
    });
    println!("{} of {} cases run", sampled.len(), cases.len());
}
