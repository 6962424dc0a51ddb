//! The bridge: what it spends on an event, and what it holds of a large cluster.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sandbox::{Sandbox, manifests};
use serde_json::json;

use super::{ACCOUNTS, LATENCY, Requests, STREAMS, World, names};

/// Watches that the bridge keeps: namespaces, service accounts, secrets, image streams, BuildConfigs, builds,
/// QuayIntegrations, and the Secret with the token.
const WATCHES: usize = 8;

/// The bridge, running. It is killed when dropped.
struct Bridge<'a> {
    world: &'a World,
    child: Child,
}

impl<'a> Bridge<'a> {
    /// Starts it and waits until it has looked at everything.
    fn start(world: &'a World) -> Result<Self> {
        world.forget();
        let child = world.oc_quay(&["run"]).stderr(Stdio::null()).spawn()?;
        let bridge = Self { world, child };
        let watches = || world.sandbox.openshift.traffic().count("watch");
        while watches() < WATCHES {
            std::thread::sleep(Duration::from_millis(20));
        }
        bridge.settles();
        Ok(bridge)
    }

    /// Waits until it has asked nobody for a while.
    fn settles(&self) {
        let asked = || {
            self.world.sandbox.quay_traffic().entries().len()
                + self.world.sandbox.openshift.traffic().entries().len()
        };
        let (mut before, mut since) = (asked(), Instant::now());
        while since.elapsed() < Duration::from_secs(2) {
            std::thread::sleep(Duration::from_millis(50));
            if asked() != before {
                (before, since) = (asked(), Instant::now());
            }
        }
    }

    /// The most memory that it ever had, in MiB.
    fn peak(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no peak")?;
        let kilobytes: f64 = line.split_whitespace().next().context("no number")?.parse()?;
        Ok(kilobytes / 1024.0)
    }
}

impl Drop for Bridge<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the bridge spends on an event.
pub(super) fn requests() -> Result<()> {
    println!("\nRequests of the bridge per event: reads + writes, and in all (at most)\n");
    let world = World::new()?;
    let bridge = Bridge::start(&world)?;
    let Sandbox { openshift, .. } = &world.sandbox;
    let count = |event: &str, most: usize, happens: &dyn Fn() -> Result<()>| -> Result<()> {
        world.forget();
        happens()?;
        bridge.settles();
        let [to_quay, to_cluster] =
            [world.sandbox.quay_traffic(), openshift.traffic()].map(Requests::of);
        let all = to_quay.reads + to_quay.writes;
        let to_quay = format!("{} + {} = {all} ({most})", to_quay.reads, to_quay.writes);
        println!("{event:34}{to_quay:24}{} + {}", to_cluster.reads, to_cluster.writes);
        ensure!(
            all <= most,
            "{event} is over its budget: {:#?}",
            world.sandbox.quay_traffic().entries()
        );
        Ok(())
    };
    count("namespace with 3 image streams", 13, &|| world.namespaces(&names(1)))?;
    count("image stream", 1, &|| {
        openshift.create(manifests::image_stream("shop-1", "cron"));
        Ok(())
    })?;
    count("secret lost", 2, &|| {
        openshift.delete("Secret", "shop-1", "builder-quay-openshift");
        Ok(())
    })?;
    count("nothing", 0, &|| Ok(()))?;
    count("something of others", 0, &|| {
        let mut namespace = openshift.get("Namespace", "", "shop-1").context("no namespace")?;
        namespace["metadata"]["labels"]["team"] = json!("red");
        openshift.put(namespace);
        Ok(())
    })?;
    drop(bridge);
    let bridge = Bridge::start(&world)?;
    let [to_quay, to_cluster] =
        [world.sandbox.quay_traffic(), openshift.traffic()].map(Requests::of);
    let of_quay = format!("{} + {}", to_quay.reads, to_quay.writes);
    println!("{:34}{of_quay:24}{} + {}", "restart", to_cluster.reads, to_cluster.writes);
    ensure!(
        to_quay.writes + to_cluster.writes == 0,
        "a restart wrote something: {:#?}",
        openshift.traffic().writes()
    );
    drop(bridge);
    Ok(())
}

/// How long a namespace waits for the bridge. OpenShift furnishes it while the bridge takes its first look.
pub(super) fn waiting() -> Result<()> {
    // A look at the organization, then making it, a robot account and its default permission, of which the answers are
    // needed; the repository, which takes its rights from that, is there before its answer is.
    const LEAST: u32 = 4;
    let world = World::new()?;
    let _bridge = Bridge::start(&world)?;
    world.set_latency(LATENCY);
    let made = Instant::now();
    world.namespaces(&names(1))?;
    while !is_linked(&world, "shop-1") {
        ensure!(made.elapsed() < Duration::from_secs(120), "the namespace was not linked");
        std::thread::sleep(Duration::from_millis(5));
    }
    super::print_waiting("a namespace until run has linked it", made.elapsed(), LATENCY * LEAST);
    Ok(())
}

fn is_linked(world: &World, namespace: &str) -> bool {
    let Sandbox { openshift, quay, .. } = &world.sandbox;
    let refers = |account: &str| {
        let object = openshift.get("ServiceAccount", namespace, account).unwrap_or_default();
        let secret = json!({ "name": format!("{account}-quay-openshift") });
        object["imagePullSecrets"].as_array().is_some_and(|list| list.contains(&secret))
    };
    ACCOUNTS.iter().all(|(account, _)| refers(account))
        && quay.repositories(&format!("openshift_{namespace}")).len() == STREAMS.len()
}

/// What the bridge holds of a large cluster.
pub(super) fn memory() -> Result<()> {
    const NAMESPACES: usize = 5000;
    const STREAMS_EACH: usize = 10;
    let world = World::new()?;
    let names = names(NAMESPACES);
    world.namespaces(&names)?;
    for name in &names {
        world.link(name)?;
        for number in STREAMS.len()..STREAMS_EACH {
            let stream = format!("stream-{number}");
            world.sandbox.openshift.create(manifests::image_stream(name, &stream));
            world.sandbox.quay.add_repository(&format!("openshift_{name}"), &stream, "quayadmin");
        }
    }
    let bridge = Bridge::start(&world)?;
    ensure!(world.sandbox.quay_traffic().writes().is_empty(), "the namespaces were not linked");
    let work = format!("run, {NAMESPACES} namespaces, {} streams", NAMESPACES * STREAMS_EACH);
    println!("{work:34}{:6.1} MiB (at most 200)", bridge.peak()?);
    Ok(())
}
