//! The playground's folder: commands for a shell, and the file that puts them on the PATH.

use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use anyhow::{Context as _, ensure};
use sandbox::Sandbox;

use super::{SHOP, SUPERUSER};

/// The names of the playground's executable that a shell finds.
const COMMANDS: [&str; 3] = ["oc", "oc-quay", "kubectl-quay"];

/// The folder of a running sandbox.
pub(crate) struct Folder<'a> {
    pub(crate) sandbox: &'a Sandbox,
}

impl<'a> Folder<'a> {
    /// Removes the `env` of an earlier playground, so that a script can wait for the file of this one.
    pub(crate) fn clear(dir: &Path) -> io::Result<()> {
        remove_if_exists(&dir.join("env"))
    }

    /// Creates the commands and the file with the password of Quay's superuser.
    pub(crate) fn create(sandbox: &'a Sandbox) -> anyhow::Result<Self> {
        let folder = Self { sandbox };
        fs::write(folder.path("password"), folder.password()?)?;
        fs::create_dir_all(folder.path("bin"))?;
        let executable = std::env::current_exe()?;
        for command in COMMANDS {
            let file = folder.command(command);
            remove_if_exists(&file)?;
            link(&executable, &file)
                .with_context(|| format!("failed to create {}", file.display()))?;
        }
        Ok(folder)
    }

    /// The path of a file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.sandbox.dir().join(name)
    }

    /// The file for a shell to read, see [`Folder::write_env`].
    pub(crate) fn env_file(&self) -> PathBuf {
        self.path("env")
    }

    /// Shows `oc quay` with arguments, runs it, shows its output, and checks its exit code.
    pub(crate) fn run(&self, arguments: &[&str], expected: i32) -> anyhow::Result<()> {
        let line = format!("oc quay {}", arguments.join(" "));
        println!("\n$ {line}");
        let mut command = Command::new(self.command("oc-quay"));
        command
            .args(arguments)
            .env("KUBECONFIG", self.sandbox.kubeconfig())
            .env("LC_ALL", "C.UTF-8");
        let output = command.output()?;
        print!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        println!("[{}]\n", output.status);
        ensure!(
            output.status.code() == Some(expected),
            "expected exit code {expected} of `{line}`"
        );
        Ok(())
    }

    /// Commands to try, and the answers to the questions of `oc quay setup`.
    pub(crate) fn guide(&self) -> anyhow::Result<String> {
        let (url, ca, password) =
            (self.sandbox.quay.url(), self.sandbox.ca_file(), self.password()?);
        Ok(format!(
            "Commands to try:\n\n  \
             oc quay status -n {SHOP}\n  \
             oc delete secret default-quay-openshift -n {SHOP}\n  \
             oc quay status -n {SHOP}\n\n\
             To see the questions of the setup, remove the integration first:\n\n  \
             oc quay teardown\n  \
             oc quay setup\n\n\
             The setup asks for:\n\n  \
             Address of Quay  {url}\n  \
             CA file          {}\n  \
             User name        {SUPERUSER}\n  \
             Password         {password}\n  \
             Namespaces       {SHOP}\n\n\
             Press Enter at all other questions. Use the same user on the web page of this Quay.\n",
            ca.display()
        ))
    }

    /// Writes the file `env`, in one step and last of all files: once it exists, everything is set up.
    pub(crate) fn write_env(&self) -> anyhow::Result<()> {
        let guide = self.path("guide");
        fs::write(&guide, self.guide()?)?;
        let text = format!(
            "export KUBECONFIG={}\nexport PATH={}:\"$PATH\"\nif [ -t 1 ]; then cat {}; fi\n",
            quoted(&self.sandbox.kubeconfig()),
            quoted(&self.path("bin")),
            quoted(&guide)
        );
        let unfinished = self.path("env.new");
        fs::write(&unfinished, text)?;
        Ok(fs::rename(unfinished, self.env_file())?)
    }

    fn command(&self, name: &str) -> PathBuf {
        self.path("bin").join(format!("{name}{EXE_SUFFIX}"))
    }

    fn password(&self) -> anyhow::Result<String> {
        self.sandbox.quay.password(SUPERUSER).context("Quay has no superuser")
    }
}

#[cfg(unix)]
fn link(executable: &Path, file: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(executable, file)
}

#[cfg(not(unix))]
fn link(executable: &Path, file: &Path) -> io::Result<()> {
    fs::copy(executable, file).map(drop)
}

fn remove_if_exists(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A path as one word of a POSIX shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}
