//! What the commands may cost, in requests.

use sandbox::traffic::Traffic;

use crate::support::{STREAMS, World};

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

/// What a status may cost, and anything that finds nothing to do.
const LOOK: Budget = Budget { quay: Requests { reads: 3, writes: 0 }, cluster: Requests { reads: 6, writes: 0 } };

impl Requests {
    /// Writes have to be as many, so that a test of a command that does nothing fails; reads may be fewer.
    #[track_caller]
    fn assert_suffice(self, side: &str, traffic: &Traffic) {
        let sent: Vec<_> = traffic.entries().into_iter().map(|entry| format!("{} {}", entry.method, entry.path)).collect();
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
    let link = Budget { quay: Requests { reads: 2, writes: 10 }, cluster: Requests { reads: 5, writes: 6 } };
    link.holds(&world, &["link", "-n", "shop", "--yes"]);
    LOOK.holds(&world, &["status", "-n", "shop"]);
    LOOK.holds(&world, &["link", "-n", "shop", "--yes"]);
    LOOK.holds(&world, &["repair", "-n", "shop", "--yes"]);
    // The list of denied namespaces is read again right before it is edited.
    let unlink = Budget { quay: Requests { reads: 0, writes: 0 }, cluster: Requests { reads: 7, writes: 7 } };
    unlink.holds(&world, &["unlink", "-n", "shop", "--yes"]);
}

#[test]
fn what_is_local_asks_nobody() {
    let world = World::new();
    let nothing = Budget { quay: Requests { reads: 0, writes: 0 }, cluster: Requests { reads: 0, writes: 0 } };
    for arguments in [&["version", "--client"][..], &["explain"], &["explain", "OQ306"], &["--help"], &["link", "--help"]] {
        nothing.holds(&world, arguments);
    }
}

#[test]
fn all_namespaces_cost_two_requests_each_to_quay_and_pages_of_lists_to_the_cluster() {
    const NAMESPACES: usize = 12;
    let world = World::new();
    let names: Vec<_> = (1..NAMESPACES).map(|number| format!("shop-{number}")).collect();
    names.iter().for_each(|name| world.shared_namespace(name));
    let link = [&["link", "shop", "--yes"], names.iter().map(String::as_str).collect::<Vec<_>>().as_slice()].concat();
    world.oc_quay(&link).succeeds();
    let report = world.oc_quay(&["status", "-A", "-o", "json"]).succeeds().json();
    assert_eq!(report["summary"]["linked"], NAMESPACES, "{}", report["summary"]);

    for arguments in [&["status", "-A"][..], &["repair", "-A", "--yes"]] {
        // All of them fit on one page of Quay's organizations and of each of the cluster's lists.
        let quay = Requests { reads: 2 * NAMESPACES + 1, writes: 0 };
        Budget { quay, cluster: Requests { reads: 6, writes: 0 } }.holds(&world, arguments);
        for entry in world.cluster_traffic().entries() {
            assert!(!entry.path.contains("/namespaces/shop"), "{} {}", entry.method, entry.path);
        }
    }
}

#[test]
fn no_more_requests_are_under_way_than_was_allowed() {
    let Some(world) = World::stand_in("how many requests are under way at once shows only where each takes its time") else {
        return;
    };
    let names: Vec<_> = (0..8).map(|number| format!("shop-{number}")).collect();
    names.iter().for_each(|name| world.shared_namespace(name));
    for traffic in [world.cluster_traffic(), world.quay_traffic()] {
        traffic.set_latency(std::time::Duration::from_millis(20));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (parallel, command) in [("1", &["link"][..]), ("3", &["repair", "--rotate"]), ("8", &["repair", "--rotate"])] {
        world.forget_traffic();
        world.oc_quay(&[command, &["--yes", "--parallel", parallel], &names].concat()).succeeds();
        let allowed: usize = parallel.parse().unwrap();
        for traffic in [world.cluster_traffic(), world.quay_traffic()] {
            assert_eq!(traffic.max_in_flight(), allowed, "with --parallel {parallel}");
        }
    }
    names.iter().for_each(|name| world.assert_linked(name, &STREAMS));
}
