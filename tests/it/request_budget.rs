//! What the commands may cost, in requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sandbox::traffic::{Fault, Traffic};

use crate::support::{Command, STREAMS, Side, World};

/// The most requests that a run may send: to Quay, and to the cluster.
struct Budget {
    quay: Requests,
    cluster: Requests,
}

#[derive(Clone, Copy)]
struct Requests {
    reads: usize,
    writes: usize,
}

/// What a status may cost, and anything that finds nothing to do. Where there is a Build API, three lists tell about builds.
const LOOK: Budget =
    Budget { quay: Requests { reads: 3, writes: 0 }, cluster: Requests { reads: 9, writes: 0 } };

/// A status also looks at pods that wait for images, and at the cluster's image policy.
const STATUS: Budget =
    Budget { cluster: Requests { reads: LOOK.cluster.reads + 2, writes: 0 }, ..LOOK };

impl Requests {
    /// Writes have to be as many, so that a test of a command that does nothing fails; reads may be fewer.
    #[track_caller]
    fn assert_suffice(self, side: &str, traffic: &Traffic) {
        let sent: Vec<_> = traffic
            .entries()
            .into_iter()
            .map(|entry| format!("{} {}", entry.method, entry.path))
            .collect();
        assert!(traffic.reads().len() <= self.reads, "too many reads of {side}: {sent:#?}");
        assert_eq!(traffic.writes().len(), self.writes, "writes to {side}: {sent:#?}");
    }
}

impl Budget {
    /// Runs a command and counts.
    #[track_caller]
    fn holds(&self, world: &World, arguments: &[&str]) {
        world.forget_traffic();
        world.oc_quay(arguments).succeeds();
        self.quay.assert_suffice("Quay", world.quay_traffic());
        self.cluster.assert_suffice("the cluster", world.cluster_traffic());
    }
}

#[test]
fn every_command_keeps_to_its_budget() {
    let world = World::new();
    let link = Budget {
        quay: Requests { reads: 2, writes: 10 },
        cluster: Requests { reads: 5, writes: 6 },
    };
    link.holds(&world, &["link", "-n", "shop", "--yes"]);
    STATUS.holds(&world, &["status", "-n", "shop"]);
    LOOK.holds(&world, &["link", "-n", "shop", "--yes"]);
    LOOK.holds(&world, &["repair", "-n", "shop", "--yes"]);
    // The list of denied namespaces is read again right before it is edited. BuildConfigs are read, since rewritten ones name
    // a secret that goes.
    let unlink = Budget {
        quay: Requests { reads: 0, writes: 0 },
        cluster: Requests { reads: 8, writes: 7 },
    };
    unlink.holds(&world, &["unlink", "-n", "shop", "--yes"]);
}

#[test]
fn what_is_local_asks_nobody() {
    let world = World::new();
    let nothing = Budget {
        quay: Requests { reads: 0, writes: 0 },
        cluster: Requests { reads: 0, writes: 0 },
    };
    for arguments in [
        &["version", "--client"][..],
        &["explain"],
        &["explain", "OQ306"],
        &["--help"],
        &["link", "--help"],
    ] {
        nothing.holds(&world, arguments);
    }
}

#[test]
fn all_namespaces_cost_two_requests_each_to_quay_and_pages_of_lists_to_the_cluster() {
    const NAMESPACES: usize = 12;
    let world = World::new();
    let names: Vec<_> = (1..NAMESPACES).map(|number| format!("shop-{number}")).collect();
    names.iter().for_each(|name| world.shared_namespace(name));
    let link = [
        &["link", "shop", "--yes"],
        names.iter().map(String::as_str).collect::<Vec<_>>().as_slice(),
    ]
    .concat();
    world.oc_quay(&link).succeeds();
    let report = world.oc_quay(&["status", "-A", "-o", "json"]).succeeds().json();
    assert_eq!(report["summary"]["linked"], NAMESPACES, "{}", report["summary"]);

    for arguments in [&["status", "-A"][..], &["repair", "-A", "--yes"]] {
        // All of them fit on one page of Quay's organizations and of each of the cluster's lists.
        let quay = Requests { reads: 2 * NAMESPACES + 1, writes: 0 };
        let reads =
            if arguments.contains(&"status") { STATUS.cluster.reads } else { LOOK.cluster.reads };
        Budget { quay, cluster: Requests { reads, writes: 0 } }.holds(&world, arguments);
        for entry in world.cluster_traffic().entries() {
            assert!(!entry.path.contains("/namespaces/shop"), "{} {}", entry.method, entry.path);
        }
    }
}

#[test]
fn no_more_requests_are_under_way_than_was_allowed() {
    let Some(world) = World::stand_in(
        "how many requests are under way at once shows only where each takes its time",
    ) else {
        return;
    };
    let names: Vec<_> = (0..8).map(|number| format!("shop-{number}")).collect();
    names.iter().for_each(|name| world.shared_namespace(name));
    for traffic in [world.cluster_traffic(), world.quay_traffic()] {
        traffic.set_latency(std::time::Duration::from_millis(60));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (parallel, command) in
        [("1", &["link"][..]), ("3", &["repair", "--rotate"]), ("8", &["repair", "--rotate"])]
    {
        world.forget_traffic();
        world
            .oc_quay(&[command, &["--yes", "--concurrency", parallel], &names].concat())
            .succeeds();
        let allowed: usize = parallel.parse().unwrap();
        for traffic in [world.cluster_traffic(), world.quay_traffic()] {
            assert_eq!(traffic.max_in_flight(), allowed, "with --concurrency {parallel}");
        }
    }
    names.iter().for_each(|name| world.assert_linked(name, &STREAMS));
}

/// The requests that a run sent to Quay.
fn requests_to_quay(world: &World, command: Command<'_>) -> usize {
    world.forget_traffic();
    command.succeeds();
    let sent: Vec<_> = world
        .quay_traffic()
        .entries()
        .iter()
        .map(|entry| format!("{} {}", entry.method, entry.path))
        .collect();
    println!("{} requests to Quay: {sent:#?}", sent.len());
    sent.len()
}

#[test]
fn a_set_up_costs_quay_twenty_requests_at_the_most_and_eight_where_all_is_done() {
    const FRESH: usize = 20;
    const DONE: usize = 8;
    let world = World::bare();
    world.namespace("shop");
    let with_token = || world.setup(&["--controller=none", "--link", "shop"]);
    assert!(requests_to_quay(&world, with_token()) <= FRESH);
    assert!(requests_to_quay(&world, with_token()) <= DONE);
    world.assert_nothing_written();
    assert!(
        requests_to_quay(
            &world,
            world.oc_quay(&["setup", "--yes", "--controller=none", "--link", "shop"])
        ) <= DONE
    );
    world.assert_nothing_written();
    drop(world);

    let world = World::bare();
    let sign_in = || {
        let setup = world
            .setup(&["--controller=none", "--quay-username", "quayadmin"])
            .without_env("OC_QUAY_TOKEN");
        setup.env("OC_QUAY_PASSWORD", world.sandbox.quay.password("quayadmin").unwrap())
    };
    // Two looks, one to sign in, organization, application and token, two to try the token.
    assert_eq!(requests_to_quay(&world, sign_in()), 10);
    assert!(requests_to_quay(&world, sign_in()) <= DONE);
    world.assert_nothing_written();
}

#[test]
fn a_set_up_asks_both_sides_at_the_same_time() {
    let pairs = [
        (Side::Cluster, "/api/v1/namespaces", Side::Quay, "/config"),
        (Side::Quay, "/health/instance", Side::Cluster, "/apis/config.openshift.io"),
        (Side::Quay, "/config", Side::Quay, "/api/v1/user/"),
    ];
    for (slow_side, slow, other_side, other) in pairs {
        let world = World::bare();
        let (is_answered, traffic) =
            (Arc::<AtomicBool>::default(), slow_side.traffic(&world).clone());
        let look = {
            let is_answered = Arc::clone(&is_answered);
            move || {
                let answered = traffic
                    .entries()
                    .iter()
                    .any(|entry| entry.path.contains(slow) && entry.status.is_some());
                is_answered.store(answered, Ordering::Relaxed);
            }
        };
        slow_side.traffic(&world).fault(Fault::on("GET", slow).delay(Duration::from_secs(1)));
        other_side.traffic(&world).fault(Fault::on("GET", other).times(1).before(look));
        world.setup(&["--controller=none"]).succeeds();
        assert!(
            !is_answered.load(Ordering::Relaxed),
            "{other} was only asked for after the answer to {slow}"
        );
    }
}
