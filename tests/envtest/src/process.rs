//! Server processes that never outlive the process that started them.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs its arguments as a command and kills that command as soon as standard input ends. The other end of standard
/// input is ours: the kernel closes it however we go, by a panic or SIGKILL too, and no code of ours need run for it.
const LEASH: &str = r#"
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

/// How much of a server's log an error quotes, in lines.
const QUOTED_LOG_LINES: usize = 15;

/// A running server. It is killed when this is dropped, and when this process ends in any other way.
pub(crate) struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    leash: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `program`; what it prints goes to `<dir>/<program's name>.log`.
    ///
    /// # Errors
    /// When the log cannot be created or there is no `sh`. A program that ends at once shows in [`Server::check`].
    pub(crate) fn start(program: &Path, arguments: &[String], dir: &Path) -> Result<Server> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let log = dir.join(format!("{name}.log"));
        let leash = start(program, arguments, &log)?;
        Ok(Server { program: program.to_owned(), arguments: arguments.to_vec(), leash, log })
    }

    /// Kills it and starts it anew, with a new log.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.kill();
        self.leash = start(&self.program, &self.arguments, &self.log)?;
        Ok(())
    }

    fn kill(&mut self) {
        // Waiting closes our end of the leash first.
        let _ = self.leash.wait();
    }

    /// Fails, with the end of its log, when the server is no longer running.
    ///
    /// # Errors
    /// As said.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.leash.try_wait()? {
            None => Ok(()),
            Some(status) => {
                bail!("{} ended ({status}):\n{}", self.program.display(), self.end_of_log())
            }
        }
    }

    /// The last lines the server printed.
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
        .args(["-c", LEASH, "leash"])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}

/// `N` different TCP ports on loopback that nobody listens on.
///
/// # Errors
/// When the machine has no free port.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // All are held until all are known, else the same one could come twice.
    let mut held = Vec::new();
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
