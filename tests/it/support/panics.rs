//! Panics of the program in runs within the test's own process. Tokio keeps those of spawned tasks to itself, and a run that
//! does not wait for such a task goes on as if nothing had happened.

use std::panic;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;

/// What the threads of the program are called: its runtime names them so, and the harness the one that calls it.
pub(super) const THREAD_NAME: &str = "oc-quay";

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How many panics of the program were seen so far. From the first call on they are.
pub(super) fn count() -> usize {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let file = info.location().map_or("", |location| location.file());
            if is_of_program(thread::current().name(), file) {
                seen().push(info.to_string());
            }
            report(info);
        }));
    });
    seen().len()
}

/// The panics of the program after the first so many.
pub(super) fn after(count: usize) -> Vec<String> {
    seen()[count..].to_vec()
}

fn seen() -> MutexGuard<'static, Vec<String>> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A test's own threads panic when it fails, and those of the stand-ins with it.
fn is_of_program(thread: Option<&str>, file: &str) -> bool {
    thread == Some(THREAD_NAME) || file.starts_with("src")
}

#[test]
fn notices_a_panic_in_a_task_that_nothing_waits_for() {
    let before = count();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(THREAD_NAME)
        .build()
        .unwrap();
    let task = runtime.spawn(async { panic!("in a task") });
    while !task.is_finished() {
        thread::yield_now();
    }
    let after = after(before);
    assert!(after.len() == 1 && after[0].contains("in a task"), "{after:?}");
    assert!(is_of_program(None, "src/cluster/authorization.rs"));
    assert!(
        !is_of_program(Some("support::panics"), file!())
            && !is_of_program(None, "tests/sandbox/src/lib.rs")
    );
}
