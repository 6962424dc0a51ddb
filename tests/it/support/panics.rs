//! Detects panics of the program in runs within the test's own process. Tokio catches those of
//! spawned tasks, and a run that does not wait for such a task continues.

use std::panic;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;

/// Name of the program's threads: the runtime's, and the one of the caller.
pub(super) const THREAD_NAME: &str = "oc-quay";

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Number of panics of the program, recorded from the first call on.
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

pub(super) fn after(count: usize) -> Vec<String> {
    seen()[count..].to_vec()
}

fn seen() -> MutexGuard<'static, Vec<String>> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Threads of a failed test and of its fakes panic, too.
fn is_of_program(thread: Option<&str>, file: &str) -> bool {
    thread == Some(THREAD_NAME) || file.starts_with("src")
}

#[test]
fn detects_panic_in_a_detached_task() {
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
    assert!(is_of_program(None, "src/cluster/access/authorization.rs"));
    assert!(
        !is_of_program(Some("support::panics"), file!())
            && !is_of_program(None, "tests/sandbox/src/lib.rs")
    );
}
