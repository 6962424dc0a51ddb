//! Server processes that end with the process that started them.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs its arguments as a command and kills it when standard input closes. The kernel closes our
/// end even after a panic or SIGKILL.
const WATCHDOG: &str = r#"
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
(read -r _; kill -9 "$server") <&3 &
watcher=$!
wait "$server"
status=$?
kill "$watcher" 2>/dev/null
exit "$status"
"#;

const QUOTED_LOG_LINES: usize = 15;

/// Killed on drop and when this process ends.
pub(crate) struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    watchdog: Child,
    log: PathBuf,
}

impl Server {
    /// Output goes to `<dir>/<program's name>.log`.
    ///
    /// # Errors
    /// If the log cannot be created or `sh` is missing. [`Server::check`] reports a program that
    /// ends early.
    pub(crate) fn start(program: &Path, arguments: &[String], dir: &Path) -> Result<Server> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let log = dir.join(format!("{name}.log"));
        let watchdog = start(program, arguments, &log)?;
        Ok(Server { program: program.to_owned(), arguments: arguments.to_vec(), watchdog, log })
    }

    /// Kills and restarts the server with a new log.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.kill();
        self.watchdog = start(&self.program, &self.arguments, &self.log)?;
        Ok(())
    }

    fn kill(&mut self) {
        // Waiting closes our end of standard input first.
        let _ = self.watchdog.wait();
    }

    /// Fails with the end of the log if the server has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.watchdog.try_wait()? {
            None => Ok(()),
            Some(status) => {
                bail!("{} ended ({status}):\n{}", self.program.display(), self.end_of_log())
            }
        }
    }

    pub(crate) fn end_of_log(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(QUOTED_LOG_LINES)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn start(program: &Path, arguments: &[String], log: &Path) -> Result<Child> {
    let output = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    Command::new("sh")
        .args(["-c", WATCHDOG, "watchdog"])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}

/// Unused TCP ports on loopback.
///
/// # Errors
/// When the machine has no free port.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // Keeps all listeners open, so that the ports differ.
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
