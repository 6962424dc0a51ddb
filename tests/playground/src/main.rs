//! An OpenShift API and a Quay on this computer, and `oc quay` at work on them.
//!
//! This is one executable with several names, so that one build makes all of them. As `oc-quay` and `kubectl-quay` it
//! is the plugin, as `oc` it runs the plugin or the installed client, and otherwise it is the playground.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is a demonstration on a terminal"
)]

mod folder;
mod oc;
mod story;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use sandbox::openshift::Cluster;
use sandbox::{Options, Sandbox, manifests};

use folder::Folder;

/// The namespace of the story.
const SHOP: &str = "shop";

/// The superuser of the sandbox's Quay.
const SUPERUSER: &str = "quayadmin";

/// How long the controllers may take to create the service accounts.
const SERVICE_ACCOUNTS_TIMEOUT: Duration = Duration::from_secs(60);

/// Try oc quay without a cluster and without a Quay
#[derive(Parser)]
struct Args {
    /// Keep the servers running after the story, until Ctrl-C
    #[arg(long)]
    serve: bool,
    /// Folder for the kubeconfig, the CA certificate, the commands and the file `env`
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Number of namespaces
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    namespaces: u16,
    /// Number of image streams per namespace
    #[arg(long, value_name = "M", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    image_streams: u16,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let name =
        arguments.first().and_then(|path| Path::new(path).file_stem()).and_then(OsStr::to_str);
    match name {
        Some("oc-quay" | "kubectl-quay") => oc_quay::run(arguments).into(),
        Some("oc") => oc::run(arguments),
        _ => match play(Args::parse()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: the playground failed: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

fn play(args: Args) -> anyhow::Result<()> {
    println!("Starting an OpenShift API and a Quay on this computer");
    let dir = args.dir.map(std::path::absolute).transpose()?;
    dir.as_deref().map(Folder::clear).transpose()?;
    // Nothing is set up yet, not even the operator's resources.
    let cluster = Cluster { without: vec!["quay.redhat.com".into()], ..Cluster::default() };
    let sandbox = Sandbox::start(Options { dir, cluster, ..Options::default() })?;
    println!(
        "  OpenShift API  {}\n  Quay           {}",
        sandbox.openshift.url(),
        sandbox.quay.url()
    );
    println!(
        "Creating namespaces: {}, image streams per namespace: {}",
        args.namespaces, args.image_streams
    );
    create_namespaces(&sandbox, args.namespaces, args.image_streams)?;
    let folder = Folder::create(&sandbox)?;
    println!("Running oc quay\n");
    story::run(&folder)?;
    if args.serve {
        folder.write_env()?;
        println!(
            "The playground runs until Ctrl-C. In another shell, run:\n\n  . {}\n",
            folder.env_file().display()
        );
        print!("{}", folder.guide()?);
        std::thread::park();
    } else {
        println!(
            "To try commands yourself, run the playground with `-- --serve --dir /tmp/playground`"
        );
    }
    Ok(())
}

/// Creates namespaces `shop`, `shop-2`, ... with image streams `app-1`, `app-2`, ...
fn create_namespaces(sandbox: &Sandbox, namespaces: u16, image_streams: u16) -> anyhow::Result<()> {
    let openshift = &sandbox.openshift;
    let name = |number| if number == 1 { SHOP.to_owned() } else { format!("{SHOP}-{number}") };
    let names: Vec<_> = (1..=namespaces).map(name).collect();
    for name in &names {
        openshift.create(manifests::namespace(name));
        for number in 1..=image_streams {
            openshift.create(manifests::image_stream(name, &format!("app-{number}")));
        }
    }
    let deadline = Instant::now() + SERVICE_ACCOUNTS_TIMEOUT;
    while !names.iter().all(|name| openshift.get("ServiceAccount", name, "deployer").is_some()) {
        ensure!(Instant::now() < deadline, "the service accounts did not appear");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
