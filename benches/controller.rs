//! Requests, latency and memory of the controller.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sandbox::{Sandbox, manifests};
use serde_json::json;

use super::{ACCOUNTS, LATENCY, Requests, STREAMS, TestEnv, names};

/// Watches of the controller: namespaces, service accounts, secrets, image streams, BuildConfigs,
/// builds, QuayIntegrations, and the token Secret.
const WATCHES: usize = 8;

/// A running controller, killed on drop.
struct Controller<'a> {
    env: &'a TestEnv,
    child: Child,
}

impl<'a> Controller<'a> {
    /// Waits until the first resync is done.
    fn start(env: &'a TestEnv) -> Result<Self> {
        env.forget();
        let child = env.oc_quay(&["run"]).stderr(Stdio::null()).spawn()?;
        let controller = Self { env, child };
        let watches = || env.sandbox.openshift.traffic().count("watch");
        while watches() < WATCHES {
            std::thread::sleep(Duration::from_millis(20));
        }
        controller.wait_until_idle();
        Ok(controller)
    }

    /// Waits until it sends no requests.
    fn wait_until_idle(&self) {
        let requests = || {
            self.env.sandbox.quay_traffic().entries().len()
                + self.env.sandbox.openshift.traffic().entries().len()
        };
        let (mut before, mut since) = (requests(), Instant::now());
        while since.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(50));
            if requests() != before {
                (before, since) = (requests(), Instant::now());
            }
        }
    }

    /// Peak memory in MiB.
    fn peak_memory(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no peak")?;
        let kilobytes: f64 = line.split_whitespace().next().context("no number")?.parse()?;
        Ok(kilobytes / 1024.0)
    }
}

impl Drop for Controller<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn requests() -> Result<()> {
    println!("\nRequests of the controller per event: reads + writes = total (maximum)\n");
    let env = TestEnv::new()?;
    let controller = Controller::start(&env)?;
    let Sandbox { openshift, .. } = &env.sandbox;
    let count = |event: &str, budget: usize, happens: &dyn Fn() -> Result<()>| -> Result<()> {
        env.forget();
        happens()?;
        controller.wait_until_idle();
        let [to_quay, to_cluster] =
            [env.sandbox.quay_traffic(), openshift.traffic()].map(Requests::from);
        let all = to_quay.reads + to_quay.writes;
        let to_quay = format!("{} + {} = {all} ({budget})", to_quay.reads, to_quay.writes);
        println!("{event:34}{to_quay:24}{} + {}", to_cluster.reads, to_cluster.writes);
        ensure!(
            all <= budget,
            "{event} exceeds its budget: {:#?}",
            env.sandbox.quay_traffic().entries()
        );
        Ok(())
    };
    count("namespace with 3 image streams", 13, &|| env.namespaces(&names(1)))?;
    count("image stream", 1, &|| {
        openshift.create(manifests::image_stream("shop-1", "cron"));
        Ok(())
    })?;
    count("deleted secret", 2, &|| {
        openshift.delete("Secret", "shop-1", "builder-quay-openshift");
        Ok(())
    })?;
    count("no change", 0, &|| Ok(()))?;
    count("unrelated change", 0, &|| {
        let mut namespace = openshift.get("Namespace", "", "shop-1").context("no namespace")?;
        namespace["metadata"]["labels"]["team"] = json!("red");
        openshift.put(namespace);
        Ok(())
    })?;
    drop(controller);
    let controller = Controller::start(&env)?;
    let [to_quay, to_cluster] =
        [env.sandbox.quay_traffic(), openshift.traffic()].map(Requests::from);
    let to_quay_text = format!("{} + {}", to_quay.reads, to_quay.writes);
    println!("{:34}{to_quay_text:24}{} + {}", "restart", to_cluster.reads, to_cluster.writes);
    ensure!(
        to_quay.writes + to_cluster.writes == 0,
        "a restart wrote: {:#?}",
        openshift.traffic().writes()
    );
    drop(controller);
    Ok(())
}

/// Time until a namespace is linked. OpenShift creates its service accounts meanwhile.
pub(super) fn latency() -> Result<()> {
    // The sequence of requests that depend on each other: read and create the organization, create
    // a robot account and its default permission. The repository inherits its permissions from
    // that, and exists before the response.
    const MIN_SEQUENCE: u32 = 4;
    let env = TestEnv::new()?;
    let _controller = Controller::start(&env)?;
    env.set_latency(LATENCY);
    let created = Instant::now();
    env.namespaces(&names(1))?;
    while !is_linked(&env, "shop-1") {
        ensure!(created.elapsed() < Duration::from_secs(120), "the namespace was not linked");
        std::thread::sleep(Duration::from_millis(5));
    }
    super::print_latency("link of a namespace by run", created.elapsed(), LATENCY * MIN_SEQUENCE);
    Ok(())
}

fn is_linked(env: &TestEnv, namespace: &str) -> bool {
    let Sandbox { openshift, quay, .. } = &env.sandbox;
    let refers = |account: &str| {
        let object = openshift.get("ServiceAccount", namespace, account).unwrap_or_default();
        let secret = json!({ "name": format!("{account}-quay-openshift") });
        object["imagePullSecrets"].as_array().is_some_and(|list| list.contains(&secret))
    };
    ACCOUNTS.iter().all(|(account, _)| refers(account))
        && quay.repositories(&format!("openshift_{namespace}")).len() == STREAMS.len()
}

pub(super) fn memory() -> Result<()> {
    const NAMESPACES: usize = 5000;
    const STREAMS_EACH: usize = 10;
    let env = TestEnv::new()?;
    let names = names(NAMESPACES);
    env.namespaces(&names)?;
    for name in &names {
        env.link(name)?;
        for number in STREAMS.len()..STREAMS_EACH {
            let stream = format!("stream-{number}");
            env.sandbox.openshift.create(manifests::image_stream(name, &stream));
            env.sandbox.quay.add_repository(&format!("openshift_{name}"), &stream, "quayadmin");
        }
    }
    let controller = Controller::start(&env)?;
    ensure!(env.sandbox.quay_traffic().writes().is_empty(), "the namespaces were not linked");
    let work = format!("run, {NAMESPACES} namespaces, {} streams", NAMESPACES * STREAMS_EACH);
    println!("{work:34}{:6.1} MiB (at most 200)", controller.peak_memory()?);
    Ok(())
}
