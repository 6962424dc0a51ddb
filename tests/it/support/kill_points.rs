//! Runs that are killed in the middle.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, OnceLock, mpsc};

use sandbox::traffic::{Entry, Fault};

use super::{Command, Side, World};

/// The exit code of a run that is interrupted.
const INTERRUPTED: i32 = 130;

/// Where a run is killed: at which request to which side, and whether that one was still applied.
#[derive(Debug)]
pub(crate) struct Death {
    side: Side,
    request: usize,
    applied: bool,
}

impl Death {
    /// Every death of a run that made the requests which this world has logged: at each write before and after it was
    /// applied, at each read once, since a read leaves nothing behind.
    pub(crate) fn all(world: &World) -> Vec<Self> {
        let at = |side, (place, entry): (usize, Entry)| {
            let outcomes: &[bool] = if entry.is_write() { &[false, true] } else { &[false] };
            outcomes.iter().map(move |&applied| Death { side, request: place + 1, applied })
        };
        let sides = [Side::Cluster, Side::Quay].into_iter();
        sides
            .flat_map(|side| {
                side.traffic(world)
                    .entries()
                    .into_iter()
                    .enumerate()
                    .flat_map(move |it| at(side, it))
            })
            .collect()
    }

    /// Runs a command and ends it where it is to die; the exit code of one that was over before. Every tenth is a process that
    /// is killed, the others are calls that are interrupted.
    #[track_caller]
    pub(crate) fn strike(&self, world: &World, command: Command<'_>) -> Option<i32> {
        if !self.request.is_multiple_of(10) {
            return self.interrupt_call(world, &command).filter(|code| *code != INTERRUPTED);
        }
        let status = self.meet(world, command, |victim| victim.kill().unwrap());
        assert!(status.code().is_some() || status.signal() == Some(9), "{self:?}: {status}");
        status.code()
    }

    /// Runs a command as a process and interrupts it there, as Ctrl-C does; the exit code.
    #[track_caller]
    pub(crate) fn interrupt(&self, world: &World, command: Command<'_>) -> Option<i32> {
        let interrupt = |victim: &mut Child| {
            let line = format!("kill -INT {}", victim.id());
            assert!(
                std::process::Command::new("sh").args(["-c", &line]).status().unwrap().success()
            );
        };
        self.meet(world, command, interrupt).code()
    }

    fn interrupt_call(&self, world: &World, command: &Command<'_>) -> Option<i32> {
        let (interruption, interrupted) = tokio::sync::oneshot::channel();
        let (end, ended) = mpsc::channel::<()>();
        let signals = Mutex::new(Some((interruption, ended)));
        self.set(world, move || {
            let (interruption, ended) = signals.lock().unwrap().take().unwrap();
            // A call that is just over, or over now, hears nothing and drops its end.
            let _ = interruption.send(());
            let _ = ended.recv();
        });
        let run = command.call(async {
            if interrupted.await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        drop(end);
        world.clear_faults();
        run.code
    }

    /// Lets the request that the run dies at do this.
    fn set(&self, world: &World, end: impl Fn() + Send + Sync + 'static) {
        let fault = Fault::on("*", "/").nth(self.request);
        let fault = if self.applied { fault.after(end) } else { fault.before(end).drop_before() };
        self.side.traffic(world).fault(fault);
    }

    fn meet(&self, world: &World, command: Command<'_>, end: fn(&mut Child)) -> ExitStatus {
        let child: Arc<OnceLock<Mutex<Child>>> = Arc::default();
        let victim = Arc::clone(&child);
        self.set(world, move || {
            let mut victim = victim.wait().lock().unwrap();
            end(&mut victim);
            victim.wait().unwrap();
        });
        child.set(Mutex::new(command.spawn())).unwrap();
        let ended = || child.wait().lock().unwrap().try_wait().unwrap();
        world.wait_for("the end of the run", || ended().is_some());
        world.clear_faults();
        ended().unwrap()
    }
}
