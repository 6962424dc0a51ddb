//! `cargo bench`: costs of the commands, the controller and the webhook. Requests over budget fail;
//! times and memory depend on the computer, so they are only printed beside their goals.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod controller;
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

/// Linked service accounts of every namespace, with the roles of their robot accounts.
const ACCOUNTS: [(&str, RepoRole); 3] =
    [("builder", RepoRole::Write), ("default", RepoRole::Read), ("deployer", RepoRole::Read)];

const STREAMS: [&str; 3] = ["app", "base", "web"];

/// Delay of each response where latency is measured.
const LATENCY: Duration = Duration::from_millis(200);

/// Default of `--concurrency`.
const CONCURRENCY: usize = 8;

fn main() -> Result<()> {
    requests()?;
    controller::requests()?;
    if cfg!(debug_assertions) {
        println!("\nLatency and memory are measured in a release build only");
        return Ok(());
    }
    latency()?;
    controller::latency()?;
    memory()?;
    controller::memory()?;
    webhook::latency()?;
    start_up()
}

struct TestEnv {
    sandbox: Sandbox,
}

impl TestEnv {
    fn new() -> Result<Self> {
        let sandbox = Sandbox::start(Options::default())?;
        sandbox.openshift.create(manifests::credentials(&sandbox.quay.admin_token()));
        sandbox.openshift.create(manifests::quay_integration(&sandbox.quay.url()));
        Ok(Self { sandbox })
    }

    /// Creates namespaces with image streams, and waits for their service accounts.
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

    /// Creates the objects of `link` directly.
    fn link(&self, namespace: &str) -> Result<()> {
        let Sandbox { openshift, quay, .. } = &self.sandbox;
        let organization = format!("openshift_{namespace}");
        quay.add_organization(&organization, "quayadmin");
        for (account, role) in ACCOUNTS {
            let token = quay.add_robot(&organization, account, "").context("no organization")?;
            quay.add_prototype(&organization, &format!("{organization}+{account}"), role);
            let auth = STANDARD.encode(format!("{organization}+{account}:{token}"));
            let config = json!({ "auths": { quay.host(): { "auth": auth } } }).to_string();
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

    /// Clears the recorded traffic.
    fn forget(&self) {
        self.sandbox.openshift.traffic().clear();
        self.sandbox.quay_traffic().clear();
    }

    /// Runs a command, which must succeed, with cleared traffic.
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

/// Number or budget of requests to one server.
#[derive(Clone, Copy)]
struct Requests {
    reads: usize,
    writes: usize,
}

impl From<&Traffic> for Requests {
    fn from(traffic: &Traffic) -> Self {
        Self { reads: traffic.reads().len(), writes: traffic.writes().len() }
    }
}

impl Requests {
    /// `2 + 10 (2 + 10)`: reads and writes, and the budget.
    fn with_budget(self, budget: Self) -> String {
        format!("{} + {} ({} + {})", self.reads, self.writes, budget.reads, budget.writes)
    }

    fn is_within(self, budget: Self) -> bool {
        self.reads <= budget.reads && self.writes <= budget.writes
    }
}

fn requests() -> Result<()> {
    const NAMESPACES: usize = 40;
    println!("Requests: reads + writes (at most), with 3 service accounts and 3 image streams\n");
    println!("{:34}{:24}cluster", "", "Quay");
    let env = TestEnv::new()?;
    env.namespaces(&names(1))?;
    let read_only = [Requests { reads: 3, writes: 0 }, Requests { reads: 9, writes: 0 }];
    let all = [Requests { reads: 2 * NAMESPACES + 1, writes: 0 }, Requests { reads: 9, writes: 0 }];
    // `status` also reads pods that wait for images, and the image policy.
    let status =
        |[quay, cluster]: [Requests; 2]| [quay, Requests { reads: cluster.reads + 2, ..cluster }];
    let count = |work: &str, arguments: &[&str], [quay, cluster]: [Requests; 2]| -> Result<()> {
        env.run(arguments)?;
        let [to_quay, to_cluster] =
            [env.sandbox.quay_traffic(), env.sandbox.openshift.traffic()].map(Requests::from);
        println!("{work:34}{:24}{}", to_quay.with_budget(quay), to_cluster.with_budget(cluster));
        ensure!(
            to_quay.is_within(quay) && to_cluster.is_within(cluster),
            "{work} exceeds its budget"
        );
        Ok(())
    };
    let link = [Requests { reads: 2, writes: 10 }, Requests { reads: 5, writes: 6 }];
    count("link of a fresh namespace", &["link", "-n", "shop-1", "--yes"], link)?;
    count("status of a healthy namespace", &["status", "-n", "shop-1"], status(read_only))?;
    count("second link", &["link", "-n", "shop-1", "--yes"], read_only)?;
    count("repair of a healthy namespace", &["repair", "-n", "shop-1", "--yes"], read_only)?;
    env.namespaces(&names(NAMESPACES)[1..])?;
    names(NAMESPACES)[1..].iter().try_for_each(|name| env.link(name))?;
    count(&format!("status -A of {NAMESPACES} namespaces"), &["status", "-A"], status(all))?;
    count(&format!("repair -A of {NAMESPACES} namespaces"), &["repair", "-A", "--yes"], all)
}

fn latency() -> Result<()> {
    const NAMESPACES: usize = 40;
    println!("\nTime with {LATENCY:?} per response: measured, minimum, ratio (goal: 1.15)\n");
    let env = TestEnv::new()?;
    env.namespaces(&names(1))?;
    env.set_latency(LATENCY);
    let measure = |work: &str, arguments: &[&str], minimum: u32| -> Result<()> {
        print_latency(work, env.run(arguments)?, LATENCY * minimum);
        Ok(())
    };
    // Sequence of requests that depend on each other: QuayIntegration, token, organization, user,
    // create organization, robot account, default permission, and a repository that inherits
    // permissions from it.
    measure("link of a fresh namespace", &["link", "-n", "shop-1", "--yes"], 8)?;
    // QuayIntegration, token, and all lists of Quay concurrently.
    measure("status of a healthy namespace", &["status", "-n", "shop-1"], 3)?;
    env.set_latency(Duration::ZERO);
    env.namespaces(&names(NAMESPACES)[1..])?;
    names(NAMESPACES)[1..].iter().try_for_each(|name| env.link(name))?;
    env.set_latency(LATENCY);
    // QuayIntegration, token, list of organizations, and two requests for each of them, at most
    // `CONCURRENCY` at a time.
    let rounds = u32::try_from((2 * NAMESPACES).div_ceil(CONCURRENCY))?;
    measure(&format!("status -A of {NAMESPACES} namespaces"), &["status", "-A"], 3 + rounds)
}

fn print_latency(work: &str, time: Duration, minimum: Duration) {
    let (time, minimum) = (time.as_secs_f64(), minimum.as_secs_f64());
    println!("{work:36}{time:6.2} s {minimum:8.2} s {:8.2}", time / minimum);
}

fn memory() -> Result<()> {
    const NAMESPACES: usize = 5000;
    println!("\nPeak memory\n");
    let env = TestEnv::new()?;
    let names = names(NAMESPACES);
    env.namespaces(&names)?;
    names.iter().try_for_each(|name| env.link(name))?;
    let mut child = env.oc_quay(&["status", "-A"]).spawn()?;
    let file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    // The kernel reports the peak until the process ends.
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
    let work = format!("status -A of {NAMESPACES} namespaces");
    println!("{work:34}{:6.1} MiB (at most 64)", f64::from(peak) / 1024.0);
    Ok(())
}

fn start_up() -> Result<()> {
    const RUNS: usize = 21;
    println!("\nStart-up, the median of {RUNS} runs (a few milliseconds)\n");
    let env = TestEnv::new()?;
    for arguments in [&["--help"][..], &["version", "--client"]] {
        let mut times = (0..RUNS).map(|_| env.run(arguments)).collect::<Result<Vec<_>>>()?;
        times.sort();
        println!("{:34}{:6.1} ms", arguments.join(" "), times[RUNS / 2].as_secs_f64() * 1000.0);
        let requests = env.sandbox.openshift.traffic().entries().len()
            + env.sandbox.quay_traffic().entries().len();
        ensure!(requests == 0, "{} sent requests", arguments.join(" "));
    }
    Ok(())
}
