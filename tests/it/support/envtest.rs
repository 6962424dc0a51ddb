//! The real API servers of the suite. Tests take turns on them, each from the initial state.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::thread;

use envtest::Envtest;

/// Number of servers. A test mostly waits for controllers.
pub(super) const SERVERS: usize = 3;

static POOL: OnceLock<Option<Pool>> = OnceLock::new();

struct Pool {
    idle: Mutex<Vec<Envtest>>,
    returned: Condvar,
}

thread_local! {
    /// True while this thread has its turn: waiting for a second one might never end.
    static HAS_TURN: Cell<bool> = const { Cell::new(false) };
}

pub(super) struct Turn {
    pool: &'static Pool,
    /// `None` once it is returned.
    server: Option<Envtest>,
}

pub(super) fn is_real() -> bool {
    pool().is_some()
}

impl Turn {
    /// Waits for a turn; `None` without real servers.
    pub(super) fn take() -> Option<Self> {
        let pool = pool()?;
        assert!(
            !HAS_TURN.replace(true),
            "on a real API server a test has one env at a time: drop the first one"
        );
        let idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut idle = pool
            .returned
            .wait_while(idle, |idle| idle.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let turn = Self { pool, server: idle.pop() };
        drop(idle);
        turn.reset().unwrap();
        Some(turn)
    }
}

impl Deref for Turn {
    type Target = Envtest;

    fn deref(&self) -> &Envtest {
        self.server.as_ref().expect("it is there until it is given back")
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        HAS_TURN.set(false);
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(self.server.take());
        self.pool.returned.notify_one();
    }
}

fn pool() -> Option<&'static Pool> {
    POOL.get_or_init(start).as_ref()
}

fn start() -> Option<Pool> {
    let idle: Vec<Envtest> = thread::scope(|scope| {
        let starting: Vec<_> =
            (0..SERVERS).map(|_| scope.spawn(|| Envtest::from_env().unwrap())).collect();
        starting.into_iter().filter_map(|server| server.join().unwrap()).collect()
    });
    (!idle.is_empty()).then(|| Pool { idle: Mutex::new(idle), returned: Condvar::new() })
}
