//! `cargo bench`: what the commands cost. Requests are counted and have to keep to their budget; times and memory are
//! printed beside what they should be, and fail nothing, since they depend on the computer.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod bridge;
mod webhook;

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::quay::RepoRole;
use sandbox::traffic::Traffic;
use sandbox::{Options, Sandbox, manifests};
use serde_json::json;

/// Service accounts that are linked in every namespace, with the roles of their robot accounts.
const ACCOUNTS: [(&str, RepoRole); 3] =
    [("builder", RepoRole::Write), ("default", RepoRole::Read), ("deployer", RepoRole::Read)];

/// Image streams of every namespace.
const STREAMS: [&str; 3] = ["app", "base", "web"];

/// What each side takes for an answer where waiting is measured.
const LATENCY: Duration = Duration::from_millis(200);

/// Requests in flight to each side, unless told otherwise.
const PARALLEL: usize = 8;

fn main() -> Result<()> {
    requests()?;
    bridge::requests()?;
    if cfg!(debug_assertions) {
        println!("\nWaiting, memory and latency are measured in a release build only");
        return Ok(());
    }
    waiting()?;
    bridge::waiting()?;
    memory()?;
    bridge::memory()?;
    webhook::latency()?;
    start_up()
}

/// A cluster with the integration, and a Quay.
struct World {
    sandbox: Sandbox,
}

impl World {
    fn new() -> Result<Self> {
        let sandbox = Sandbox::start(Options::default())?;
        sandbox.openshift.create(manifests::credentials(&sandbox.quay.admin_token()));
        sandbox.openshift.create(manifests::quay_integration(&sandbox.quay.url()));
        Ok(Self { sandbox })
    }

    /// Namespaces with their image streams, as soon as they have their service accounts.
    fn namespaces(&self, names: &[String]) -> Result<()> {
        let openshift = &self.sandbox.openshift;
        for name in names {
            openshift.create(manifests::namespace(name));
            STREAMS
                .iter()
                .for_each(|stream| drop(openshift.create(manifests::image_stream(name, stream))));
        }
        let deadline = Instant::now() + Duration::from_secs(120);
        let is_ready = |name: &String| openshift.get("ServiceAccount", name, "deployer").is_some();
        while !names.iter().all(is_ready) {
            ensure!(Instant::now() < deadline, "the service accounts did not appear");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// What `link` makes, without its requests.
    fn link(&self, namespace: &str) -> Result<()> {
        let Sandbox { openshift, quay, .. } = &self.sandbox;
        let organization = format!("openshift_{namespace}");
        quay.add_organization(&organization, "quayadmin");
        for (account, role) in ACCOUNTS {
            let token = quay.add_robot(&organization, account, "").context("no organization")?;
            quay.add_prototype(&organization, &format!("{organization}+{account}"), role);
            let login = STANDARD.encode(format!("{organization}+{account}:{token}"));
            let config = json!({ "auths": { quay.host(): { "auth": login } } }).to_string();
            let secret = format!("{account}-quay-openshift");
            openshift.create(json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": { "name": secret, "namespace": namespace },
                "type": "kubernetes.io/dockerconfigjson",
                "data": { ".dockerconfigjson": STANDARD.encode(config) },
            }));
            let mut object = openshift
                .get("ServiceAccount", namespace, account)
                .context("no service account")?;
            for list in ["secrets", "imagePullSecrets"] {
                object[list].as_array_mut().context("no list")?.push(json!({ "name": secret }));
            }
            openshift.put(object);
        }
        STREAMS.iter().for_each(|stream| quay.add_repository(&organization, stream, "quayadmin"));
        Ok(())
    }

    fn oc_quay(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oc-quay"));
        command
            .args(arguments)
            .env_clear()
            .env("KUBECONFIG", self.sandbox.kubeconfig())
            .env("OC_QUAY_CA_FILE", self.sandbox.ca_file())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Forgets what either side was asked.
    fn forget(&self) {
        self.sandbox.openshift.traffic().clear();
        self.sandbox.quay_traffic().clear();
    }

    /// Runs a command, which has to succeed, with empty logs.
    fn run(&self, arguments: &[&str]) -> Result<Duration> {
        self.forget();
        let started = Instant::now();
        let status = self.oc_quay(arguments).status()?;
        ensure!(status.success(), "oc quay {}: {status}", arguments.join(" "));
        Ok(started.elapsed())
    }

    fn set_latency(&self, latency: Duration) {
        self.sandbox.openshift.traffic().set_latency(latency);
        self.sandbox.quay_traffic().set_latency(latency);
    }
}

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("shop-{number}")).collect()
}

/// Requests that were sent to one side, or that may be.
#[derive(Clone, Copy)]
struct Requests {
    reads: usize,
    writes: usize,
}

impl Requests {
    fn of(traffic: &Traffic) -> Self {
        Self { reads: traffic.reads().len(), writes: traffic.writes().len() }
    }

    /// `2 + 10 (2 + 10)`: reads and writes, and how many they may be.
    fn beside(self, most: Self) -> String {
        format!("{} + {} ({} + {})", self.reads, self.writes, most.reads, most.writes)
    }

    fn fit(self, most: Self) -> bool {
        self.reads <= most.reads && self.writes <= most.writes
    }
}

fn requests() -> Result<()> {
    const MANY: usize = 40;
    println!("Requests: reads + writes (at most), with 3 service accounts and 3 image streams\n");
    println!("{:34}{:24}cluster", "", "Quay");
    let world = World::new()?;
    world.namespaces(&names(1))?;
    let look = [Requests { reads: 3, writes: 0 }, Requests { reads: 9, writes: 0 }];
    let all = [Requests { reads: 2 * MANY + 1, writes: 0 }, Requests { reads: 9, writes: 0 }];
    // A status also looks at pods that wait for images, and at the cluster's image policy.
    let status =
        |[quay, cluster]: [Requests; 2]| [quay, Requests { reads: cluster.reads + 2, ..cluster }];
    let count = |work: &str, arguments: &[&str], [quay, cluster]: [Requests; 2]| -> Result<()> {
        world.run(arguments)?;
        let [to_quay, to_cluster] =
            [world.sandbox.quay_traffic(), world.sandbox.openshift.traffic()].map(Requests::of);
        println!("{work:34}{:24}{}", to_quay.beside(quay), to_cluster.beside(cluster));
        ensure!(to_quay.fit(quay) && to_cluster.fit(cluster), "{work} is over its budget");
        Ok(())
    };
    let link = [Requests { reads: 2, writes: 10 }, Requests { reads: 5, writes: 6 }];
    count("link of a fresh namespace", &["link", "-n", "shop-1", "--yes"], link)?;
    count("status of a healthy namespace", &["status", "-n", "shop-1"], status(look))?;
    count("second link", &["link", "-n", "shop-1", "--yes"], look)?;
    count("repair of a healthy namespace", &["repair", "-n", "shop-1", "--yes"], look)?;
    world.namespaces(&names(MANY)[1..])?;
    names(MANY)[1..].iter().try_for_each(|name| world.link(name))?;
    count(&format!("status -A of {MANY} namespaces"), &["status", "-A"], status(all))?;
    count(&format!("repair -A of {MANY} namespaces"), &["repair", "-A", "--yes"], all)
}

fn waiting() -> Result<()> {
    const MANY: usize = 40;
    println!(
        "\nWaiting at {LATENCY:?} an answer: time, the least possible, and the ratio (goal: 1.15)\n"
    );
    let world = World::new()?;
    world.namespaces(&names(1))?;
    world.set_latency(LATENCY);
    let measure = |work: &str, arguments: &[&str], least: u32| -> Result<()> {
        print_waiting(work, world.run(arguments)?, LATENCY * least);
        Ok(())
    };
    // The longest chain of requests that each need the answer of the one before: QuayIntegration, token, organization,
    // the token's user, then creating the organization, a robot account, its default permission, a repository that takes its rights
    // from that.
    measure("link of a fresh namespace", &["link", "-n", "shop-1", "--yes"], 8)?;
    // QuayIntegration, token, and then all of Quay's lists at once.
    measure("status of a healthy namespace", &["status", "-n", "shop-1"], 3)?;
    world.set_latency(Duration::ZERO);
    world.namespaces(&names(MANY)[1..])?;
    names(MANY)[1..].iter().try_for_each(|name| world.link(name))?;
    world.set_latency(LATENCY);
    // QuayIntegration, token, the list of organizations, and then two requests for each of them, so many at a time.
    let rounds = u32::try_from((2 * MANY).div_ceil(PARALLEL))?;
    measure(&format!("status -A of {MANY} namespaces"), &["status", "-A"], 3 + rounds)
}

fn print_waiting(work: &str, time: Duration, least: Duration) {
    let (time, least) = (time.as_secs_f64(), least.as_secs_f64());
    println!("{work:36}{time:6.2} s {least:8.2} s {:8.2}", time / least);
}

fn memory() -> Result<()> {
    const MANY: usize = 5000;
    println!("\nPeak memory\n");
    let world = World::new()?;
    let names = names(MANY);
    world.namespaces(&names)?;
    names.iter().try_for_each(|name| world.link(name))?;
    let mut child = world.oc_quay(&["status", "-A"]).spawn()?;
    let file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    // The kernel keeps the peak until the process ends; the last look is close enough.
    let status = loop {
        let status = fs::read_to_string(&file).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(peak);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    ensure!(status.success(), "status -A: {status}");
    let work = format!("status -A of {MANY} namespaces");
    println!("{work:34}{:6.1} MiB (at most 64)", f64::from(peak) / 1024.0);
    Ok(())
}

fn start_up() -> Result<()> {
    const RUNS: usize = 21;
    println!("\nStart-up, the median of {RUNS} runs (a few milliseconds)\n");
    let world = World::new()?;
    for arguments in [&["--help"][..], &["version", "--client"]] {
        let mut times = (0..RUNS).map(|_| world.run(arguments)).collect::<Result<Vec<_>>>()?;
        times.sort();
        println!("{:34}{:6.1} ms", arguments.join(" "), times[RUNS / 2].as_secs_f64() * 1000.0);
        let asked = world.sandbox.openshift.traffic().entries().len()
            + world.sandbox.quay_traffic().entries().len();
        ensure!(asked == 0, "{} asked somebody", arguments.join(" "));
    }
    Ok(())
}
