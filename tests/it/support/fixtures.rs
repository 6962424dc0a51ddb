//! Many cases of one test, each in a namespace of its own.

use std::sync::{Condvar, Mutex};
use std::thread;

use sandbox::traffic::Traffic;

use super::World;
use super::envtest;

/// One of the two servers that the program talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The cluster's API server.
    Cluster,
    /// Quay.
    Quay,
}

impl Side {
    /// What that side was asked.
    pub(crate) fn traffic(self, world: &World) -> &Traffic {
        match self {
            Side::Cluster => world.cluster_traffic(),
            Side::Quay => world.quay_traffic(),
        }
    }
}

/// So many worlds at once in one test; most of the time each of them waits.
const WORLDS: usize = 4;

/// So many cases at once, of all tests together: where more compete, what is meant to come in time comes late.
const TURNS: usize = 8;

/// The turns that are left.
static LEFT: (Mutex<usize>, Condvar) = (Mutex::new(TURNS), Condvar::new());

/// The namespace that a case is played in.
#[derive(Clone, Copy)]
pub(crate) enum Stage {
    /// One that was just made.
    Fresh,
    /// One for all cases of a world, prepared once: each case leaves it as it found it.
    Reused(fn(&World, &str)),
}

impl Stage {
    /// The namespace for the next case of a world.
    fn set(self, world: &World, number: usize, is_first: bool) -> String {
        match self {
            Stage::Fresh => {
                let namespace = format!("case-{number}");
                world.shared_namespace(&namespace);
                namespace
            }
            Stage::Reused(prepare) => {
                if is_first {
                    world.shared_namespace("shop");
                    prepare(world, "shop");
                }
                "shop".to_owned()
            }
        }
    }
}

/// Plays every case, several at once in worlds of their own. On real API servers there is time for a sample only: every
/// `sample`th case.
pub(crate) fn play<T: Sync>(
    cases: &[T],
    sample: usize,
    stage: Stage,
    act: impl Fn(&World, &str, &T) + Sync,
) {
    share(cases, [1, sample], |mine| {
        let world = World::bare();
        world.integration();
        for (place, (number, case)) in mine.into_iter().enumerate() {
            let _turn = Turn::take();
            let namespace = stage.set(&world, number, place == 0);
            act(&world, &namespace, case);
            world.forget_traffic();
        }
    });
}

/// Plays cases in fresh worlds, for what there is one of in a cluster. `make` makes the world. That takes time, so only every
/// so manyth case is played, on the stand-in and on the real API server.
pub(crate) fn play_apart<T: Sync>(
    cases: &[T],
    samples: [usize; 2],
    make: fn() -> World,
    act: impl Fn(&World, &T) + Sync,
) {
    share(cases, samples, |mine| {
        for (_, case) in mine {
            let _turn = Turn::take();
            act(&make(), case);
        }
    });
}

/// The right to play a case now.
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

/// Shares the cases, numbered, among those who play them.
fn share<T: Sync>(cases: &[T], samples: [usize; 2], play_some: impl Fn(Vec<(usize, &T)>) + Sync) {
    let (worlds, step) =
        if envtest::is_real() { (envtest::SERVERS, samples[1]) } else { (WORLDS, samples[0]) };
    let sampled: Vec<_> = cases.iter().step_by(step).enumerate().collect();
    let play_share =
        |first: usize| play_some(sampled.iter().skip(first).step_by(worlds).copied().collect());
    thread::scope(|scope| {
        (1..worlds).for_each(|first| drop(scope.spawn(move || play_share(first))));
        play_share(0);
    });
    println!("{} of {} cases played", sampled.len(), cases.len());
}
