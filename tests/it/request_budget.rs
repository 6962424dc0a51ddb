//! Limits for the number of requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sandbox::traffic::{Fault, Traffic};

use crate::support::{Command, STREAMS, Side, TestEnv};

/// The maximum of requests in a run: to Quay, and to the cluster.
struct Budget {
    quay: Requests,
    cluster: Requests,
}

#[derive(Clone, Copy)]
struct Requests {
    reads: usize,
    writes: usize,
}

/// The limit of a status, and of runs without changes. Clusters with a Build API need three more
/// lists.
const LOOK: Budget =
    Budget { quay: Requests { reads: 3, writes: 0 }, cluster: Requests { reads: 9, writes: 0 } };

/// A status also reads pods that wait for images, and the cluster's image policy.
const STATUS: Budget =
    Budget { cluster: Requests { reads: LOOK.cluster.reads + 2, writes: 0 }, ..LOOK };

impl Requests {
    /// Writes must match exactly, so that a command without effect fails; reads might be fewer.
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
    #[track_caller]
    fn holds(&self, env: &TestEnv, arguments: &[&str]) {
        env.forget_traffic();
        env.oc_quay(arguments).succeeds();
        self.quay.assert_suffice("Quay", env.quay_traffic());
        self.cluster.assert_suffice("the cluster", env.cluster_traffic());
    }
}

#[test]
fn every_command_is_within_its_request_budget() {
    let env = TestEnv::new();
    let link = Budget {
        quay: Requests { reads: 2, writes: 10 },
        cluster: Requests { reads: 5, writes: 6 },
    };
    link.holds(&env, &["link", "-n", "shop", "--yes"]);
    STATUS.holds(&env, &["status", "-n", "shop"]);
    LOOK.holds(&env, &["link", "-n", "shop", "--yes"]);
    LOOK.holds(&env, &["repair", "-n", "shop", "--yes"]);
    // The denylist is read again right before it is edited. BuildConfigs are read, since rewritten
    // ones use a secret that is deleted.
    let unlink = Budget {
        quay: Requests { reads: 0, writes: 0 },
        cluster: Requests { reads: 8, writes: 7 },
    };
    unlink.holds(&env, &["unlink", "-n", "shop", "--yes"]);
}

#[test]
fn local_commands_send_no_requests() {
    let env = TestEnv::new();
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
        nothing.holds(&env, arguments);
    }
}

#[test]
fn all_namespaces_cost_two_quay_requests_each_and_paged_lists() {
    const NAMESPACES: usize = 12;
    let env = TestEnv::new();
    let names: Vec<_> = (1..NAMESPACES).map(|number| format!("shop-{number}")).collect();
    names.iter().for_each(|name| env.shared_namespace(name));
    let link = [
        &["link", "shop", "--yes"],
        names.iter().map(String::as_str).collect::<Vec<_>>().as_slice(),
    ]
    .concat();
    env.oc_quay(&link).succeeds();
    let report = env.oc_quay(&["status", "-A", "-o", "json"]).succeeds().json();
    assert_eq!(report["summary"]["linked"], NAMESPACES, "{}", report["summary"]);

    for arguments in [&["status", "-A"][..], &["repair", "-A", "--yes"]] {
        // All of them fit on one page of Quay's organizations and of each of the cluster's lists.
        let quay = Requests { reads: 2 * NAMESPACES + 1, writes: 0 };
        let reads =
            if arguments.contains(&"status") { STATUS.cluster.reads } else { LOOK.cluster.reads };
        Budget { quay, cluster: Requests { reads, writes: 0 } }.holds(&env, arguments);
        for entry in env.cluster_traffic().entries() {
            assert!(!entry.path.contains("/namespaces/shop"), "{} {}", entry.method, entry.path);
        }
    }
}

#[test]
fn limits_concurrent_requests() {
    let Some(env) = TestEnv::stand_in(
        "how many requests are under way at once shows only where each takes its time",
    ) else {
        return;
    };
    let names: Vec<_> = (0..8).map(|number| format!("shop-{number}")).collect();
    names.iter().for_each(|name| env.shared_namespace(name));
    for traffic in [env.cluster_traffic(), env.quay_traffic()] {
        traffic.set_latency(std::time::Duration::from_millis(60));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (parallel, command) in
        [("1", &["link"][..]), ("3", &["repair", "--rotate"]), ("8", &["repair", "--rotate"])]
    {
        env.forget_traffic();
        env.oc_quay(&[command, &["--yes", "--concurrency", parallel], &names].concat()).succeeds();
        let allowed: usize = parallel.parse().unwrap();
        for traffic in [env.cluster_traffic(), env.quay_traffic()] {
            assert_eq!(traffic.max_in_flight(), allowed, "with --concurrency {parallel}");
        }
    }
    names.iter().for_each(|name| env.assert_linked(name, &STREAMS));
}

fn requests_to_quay(env: &TestEnv, command: Command<'_>) -> usize {
    env.forget_traffic();
    command.succeeds();
    let sent: Vec<_> = env
        .quay_traffic()
        .entries()
        .iter()
        .map(|entry| format!("{} {}", entry.method, entry.path))
        .collect();
    println!("{} requests to Quay: {sent:#?}", sent.len());
    sent.len()
}

#[test]
fn setup_sends_quay_at_most_20_requests_and_8_when_complete() {
    const FRESH: usize = 20;
    const DONE: usize = 8;
    let env = TestEnv::bare();
    env.namespace("shop");
    let with_token = || env.setup(&["--controller=none", "--link", "shop"]);
    assert!(requests_to_quay(&env, with_token()) <= FRESH);
    assert!(requests_to_quay(&env, with_token()) <= DONE);
    env.assert_nothing_written();
    assert!(
        requests_to_quay(
            &env,
            env.oc_quay(&["setup", "--yes", "--controller=none", "--link", "shop"])
        ) <= DONE
    );
    env.assert_nothing_written();
    drop(env);

    let env = TestEnv::bare();
    let sign_in = || {
        let setup = env
            .setup(&["--controller=none", "--quay-username", "quayadmin"])
            .without_env("OC_QUAY_TOKEN");
        setup.env("OC_QUAY_PASSWORD", env.sandbox.quay.password("quayadmin").unwrap())
    };
    // Two reads, the sign-in, organization, application and token, and two tests of the token.
    assert_eq!(requests_to_quay(&env, sign_in()), 10);
    assert!(requests_to_quay(&env, sign_in()) <= DONE);
    env.assert_nothing_written();
}

#[test]
fn setup_reads_cluster_and_quay_concurrently() {
    let pairs = [
        (Side::Cluster, "/api/v1/namespaces", Side::Quay, "/config"),
        (Side::Quay, "/health/instance", Side::Cluster, "/apis/config.openshift.io"),
        (Side::Quay, "/config", Side::Quay, "/api/v1/user/"),
    ];
    for (slow_side, slow, other_side, other) in pairs {
        let env = TestEnv::bare();
        let (is_answered, traffic) =
            (Arc::<AtomicBool>::default(), slow_side.traffic(&env).clone());
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
        slow_side.traffic(&env).fault(Fault::on("GET", slow).delay(Duration::from_secs(1)));
        other_side.traffic(&env).fault(Fault::on("GET", other).times(1).before(look));
        env.setup(&["--controller=none"]).succeeds();
        assert!(
            !is_answered.load(Ordering::Relaxed),
            "{other} was only asked for after the answer to {slow}"
        );
    }
}
