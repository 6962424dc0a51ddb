//! Runs that are killed in the middle.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, OnceLock};

use sandbox::traffic::{Entry, Fault};

use super::{Command, Side, World};

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
        sides.flat_map(|side| side.traffic(world).entries().into_iter().enumerate().flat_map(move |it| at(side, it))).collect()
    }

    /// Runs a command and kills it where it is to die. Some are over before: the exit code.
    #[track_caller]
    pub(crate) fn strike(&self, world: &World, command: Command<'_>) -> Option<i32> {
        let status = self.meet(world, command, |victim| victim.kill().unwrap());
        assert!(status.code().is_some() || status.signal() == Some(9), "{self:?}: {status}");
        status.code()
    }

    /// Runs a command and interrupts it there, as Ctrl-C does; the exit code.
    #[track_caller]
    pub(crate) fn interrupt(&self, world: &World, command: Command<'_>) -> Option<i32> {
        let interrupt = |victim: &mut Child| {
            let line = format!("kill -INT {}", victim.id());
            assert!(std::process::Command::new("sh").args(["-c", &line]).status().unwrap().success());
        };
        self.meet(world, command, interrupt).code()
    }

    fn meet(&self, world: &World, command: Command<'_>, end: fn(&mut Child)) -> ExitStatus {
        let child: Arc<OnceLock<Mutex<Child>>> = Arc::default();
        let victim = Arc::clone(&child);
        let end = move || {
            let mut victim = victim.wait().lock().unwrap();
            end(&mut victim);
            victim.wait().unwrap();
        };
        let fault = Fault::on("*", "/").nth(self.request);
        let fault = if self.applied { fault.after(end) } else { fault.before(end).drop_before() };
        self.side.traffic(world).fault(fault);
        child.set(Mutex::new(command.spawn())).unwrap();
        let ended = || child.wait().lock().unwrap().try_wait().unwrap();
        world.wait_for("the end of the run", || ended().is_some());
        world.clear_faults();
        ended().unwrap()
    }
}
