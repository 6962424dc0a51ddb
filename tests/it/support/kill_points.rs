//! Runs that are killed at one of their requests.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, OnceLock, mpsc};

use sandbox::traffic::{Entry, Fault};

use super::{Command, Side, TestEnv};

const INTERRUPTED: i32 = 130;

/// The request at which a run is killed, and whether that request was still applied.
#[derive(Debug)]
pub(crate) struct KillPoint {
    side: Side,
    request: usize,
    applied: bool,
}

impl KillPoint {
    /// Every kill point of the run that this env has logged: each write before and after it was
    /// applied, each read once, since a read changes nothing.
    pub(crate) fn all(env: &TestEnv) -> Vec<Self> {
        let at = |side, (place, entry): (usize, Entry)| {
            let outcomes: &[bool] = if entry.is_write() { &[false, true] } else { &[false] };
            outcomes.iter().map(move |&applied| KillPoint { side, request: place + 1, applied })
        };
        let sides = [Side::Cluster, Side::Quay].into_iter();
        sides
            .flat_map(|side| {
                side.traffic(env).entries().into_iter().enumerate().flat_map(move |it| at(side, it))
            })
            .collect()
    }

    /// Runs a command and ends it at this point; the exit code if it ended earlier. Every tenth is
    /// a killed process, the others are interrupted calls.
    #[track_caller]
    pub(crate) fn kill(&self, env: &TestEnv, command: Command<'_>) -> Option<i32> {
        if !self.request.is_multiple_of(10) {
            return self.interrupt_call(env, &command).filter(|code| *code != INTERRUPTED);
        }
        let status = self.run_until(env, command, |victim| victim.kill().unwrap());
        assert!(status.code().is_some() || status.signal() == Some(9), "{self:?}: {status}");
        status.code()
    }

    /// Runs a command as a process and interrupts it at this point, as Ctrl-C does; the exit code.
    #[track_caller]
    pub(crate) fn interrupt(&self, env: &TestEnv, command: Command<'_>) -> Option<i32> {
        let interrupt = |victim: &mut Child| {
            let line = format!("kill -INT {}", victim.id());
            assert!(
                std::process::Command::new("sh").args(["-c", &line]).status().unwrap().success()
            );
        };
        self.run_until(env, command, interrupt).code()
    }

    fn interrupt_call(&self, env: &TestEnv, command: &Command<'_>) -> Option<i32> {
        let (interruption, interrupted) = tokio::sync::oneshot::channel();
        let (end, ended) = mpsc::channel::<()>();
        let signals = Mutex::new(Some((interruption, ended)));
        self.set(env, move || {
            let (interruption, ended) = signals.lock().unwrap().take().unwrap();
            // A call that has ended has dropped its receiver.
            let _ = interruption.send(());
            let _ = ended.recv();
        });
        let run = command.call(async {
            if interrupted.await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        drop(end);
        env.clear_faults();
        run.code
    }

    /// Calls `end` at this request.
    fn set(&self, env: &TestEnv, end: impl Fn() + Send + Sync + 'static) {
        let fault = Fault::on("*", "/").nth(self.request);
        let fault = if self.applied { fault.after(end) } else { fault.before(end).drop_before() };
        self.side.traffic(env).fault(fault);
    }

    fn run_until(&self, env: &TestEnv, command: Command<'_>, end: fn(&mut Child)) -> ExitStatus {
        let child: Arc<OnceLock<Mutex<Child>>> = Arc::default();
        let victim = Arc::clone(&child);
        self.set(env, move || {
            let mut victim = victim.wait().lock().unwrap();
            end(&mut victim);
            victim.wait().unwrap();
        });
        child.set(Mutex::new(command.spawn())).unwrap();
        let ended = || child.wait().lock().unwrap().try_wait().unwrap();
        env.wait_for("the end of the run", || ended().is_some());
        env.clear_faults();
        ended().unwrap()
    }
}
