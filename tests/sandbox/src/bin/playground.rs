//! The playground: a cluster and a Quay on this computer, and `oc quay` at work on them.
//!
//! It runs the real program through setup, link, status, some accidents, status, repair and status, shows each command
//! with its output, and fails if one does not end as it should.
#![allow(clippy::print_stdout, reason = "it is a demonstration on a terminal")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Parser;
use sandbox::openshift::Cluster;
use sandbox::{Options, Sandbox, manifests};

/// Try oc quay without a cluster and without a Quay
#[derive(Parser)]
struct Args {
    /// Keep the sandbox up afterwards, until Ctrl-C
    #[arg(long)]
    serve: bool,
    /// Put the kubeconfig, the certificate authority and an env file there
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How many namespaces to make
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    namespaces: u16,
    /// How many image streams each of them has
    #[arg(long, value_name = "M", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    image_streams: u16,
}

/// The namespace that the story is about.
const SHOP: &str = "shop";

/// The superuser of the sandbox's Quay.
const SUPERUSER: &str = "quayadmin";

fn main() -> ExitCode {
    match play(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("The playground failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn play(args: &Args) -> anyhow::Result<()> {
    let program = build()?;
    // Nothing is set up yet, not even the operator's resources.
    let cluster = Cluster { without: vec!["quay.redhat.com".into()], ..Cluster::default() };
    let sandbox = Sandbox::start(Options { dir: args.dir.clone(), cluster, ..Options::default() })?;
    fill(&sandbox, args.namespaces, args.image_streams)?;
    let shell = Shell { program, sandbox: &sandbox };
    shell.write_files()?;
    println!("An OpenShift API at {} and a Quay at {}.\n", sandbox.openshift.url(), sandbox.quay.url());
    story(&shell)?;
    if args.serve {
        invite(&shell)?;
        std::thread::park();
    } else {
        println!("That was all. Run it with `-- --serve` to keep the sandbox and play yourself.");
    }
    Ok(())
}

/// Says how to go on in the sandbox.
fn invite(shell: &Shell) -> anyhow::Result<()> {
    let quay = &shell.sandbox.quay;
    println!("The sandbox stays up. In another shell:\n\n  . {}", shell.env_file().display());
    println!("  oc-quay status -n {SHOP}\n\nTo be asked step by step, take the integration back first:\n");
    println!("  oc-quay teardown\n  oc-quay setup\n\nQuay is at {}, and its certificate authority in", quay.url());
    println!("{}. Sign in to it as {SUPERUSER} with the password", shell.sandbox.ca_file().display());
    println!("{}. Ctrl-C ends the sandbox.", quay.password(SUPERUSER).context("Quay has no superuser")?);
    Ok(())
}

fn story(shell: &Shell) -> anyhow::Result<()> {
    let Sandbox { openshift, quay, .. } = shell.sandbox;
    let organization = format!("openshift_{SHOP}");
    say("A cluster and a Quay that know nothing of each other. This connects them: a user of Quay signs in, and all else");
    say("is made, the operator included.");
    let (url, ca, password) = (quay.url(), shell.file("ca.crt"), shell.file("password"));
    let sign_in = ["--quay-username", SUPERUSER, "--quay-password-file", &password];
    let setup = ["setup", "--yes", "--quay-url", &url, "--quay-ca-file", &ca, "--node-trust", "apply"];
    shell.run(&[&setup[..], &sign_in[..]].concat(), 0)?;
    shell.run(&["setup", "--check"], 0)?;

    say("A namespace with image streams, not linked yet: this is what linking it does.");
    shell.run(&["link", "-n", SHOP, "--yes"], 0)?;
    shell.run(&["status", "-n", SHOP], 0)?;

    say("Now some accidents. Somebody deletes a pull secret,");
    openshift.delete("Secret", SHOP, "default-quay-openshift");
    say("renews a robot account's token in Quay,");
    quay.regenerate(&organization, "builder").context("no robot account builder")?;
    say("replaces the list of a service account,");
    let mut deployer = openshift.get("ServiceAccount", SHOP, "deployer").context("no service account deployer")?;
    if let Some(list) = deployer["imagePullSecrets"].as_array_mut() {
        list.retain(|entry| entry["name"] != "deployer-quay-openshift");
    }
    openshift.put(deployer);
    say("and takes a robot account's right on a repository away.");
    quay.set_permission(&organization, "app-1", &format!("{organization}+builder"), None);

    shell.run(&["status", "-n", SHOP], 1)?;
    shell.run(&["repair", "-n", SHOP, "--yes"], 0)?;
    shell.run(&["status", "-n", SHOP, "--probe"], 0)?;
    say("Nothing is left to do, and the way back is open:");
    shell.run(&["repair", "-n", SHOP, "--yes"], 0)?;
    shell.run(&["unlink", "-n", SHOP, "--dry-run"], 0)?;
    shell.run(&["teardown", "--dry-run"], 0)
}

/// Namespaces `shop`, `shop-2`, ... with image streams `app-1`, `app-2`, ...
fn fill(sandbox: &Sandbox, namespaces: u16, image_streams: u16) -> anyhow::Result<()> {
    let openshift = &sandbox.openshift;
    let names: Vec<_> =
        (1..=namespaces).map(|number| if number == 1 { SHOP.to_owned() } else { format!("{SHOP}-{number}") }).collect();
    for name in &names {
        openshift.create(manifests::namespace(name));
        for number in 1..=image_streams {
            openshift.create(manifests::image_stream(name, &format!("app-{number}")));
        }
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while !names.iter().all(|name| openshift.get("ServiceAccount", name, "deployer").is_some()) {
        ensure!(Instant::now() < deadline, "the service accounts did not appear");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The program under demonstration, built as `cargo run` would.
fn build() -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--package", "oc-quay"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    ensure!(built.success(), "oc-quay could not be built");
    let this = std::env::current_exe()?;
    let program = this.with_file_name(format!("oc-quay{}", std::env::consts::EXE_SUFFIX));
    ensure!(program.exists(), "{} is not there", program.display());
    Ok(program)
}

fn say(text: &str) {
    println!("# {text}");
}

struct Shell<'a> {
    program: PathBuf,
    sandbox: &'a Sandbox,
}

impl Shell<'_> {
    /// Shows a command, runs it, shows its output, and insists on its exit code.
    fn run(&self, arguments: &[&str], expected: i32) -> anyhow::Result<()> {
        println!("\n$ oc quay {}", arguments.join(" "));
        let output = Command::new(&self.program)
            .args(arguments)
            .env("KUBECONFIG", self.sandbox.kubeconfig())
            .env("LC_ALL", "C.UTF-8")
            .output()?;
        print!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let code = output.status.code();
        println!("[exit {}]\n", code.map_or("by a signal".into(), |code| code.to_string()));
        if code != Some(expected) {
            bail!("`oc quay {}` should have ended with {expected}", arguments.join(" "));
        }
        Ok(())
    }

    /// The path of a file of the sandbox.
    fn file(&self, name: &str) -> String {
        self.sandbox.dir().join(name).display().to_string()
    }

    fn env_file(&self) -> PathBuf {
        self.sandbox.dir().join("env")
    }

    /// What a shell needs to use the sandbox, and the password of Quay's superuser.
    fn write_files(&self) -> anyhow::Result<()> {
        let program = self.program.parent().map(Path::display).context("the program is nowhere")?;
        let kubeconfig = self.sandbox.kubeconfig();
        let text = format!("export KUBECONFIG='{}'\nexport PATH='{program}':\"$PATH\"\n", kubeconfig.display());
        std::fs::write(self.env_file(), text)?;
        Ok(std::fs::write(self.file("password"), self.sandbox.quay.password(SUPERUSER).context("Quay has no superuser")?)?)
    }
}
