//! Concurrent runs for one namespace or several: no entry is lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::{ACCOUNTS, STREAMS, TestEnv};

fn fresh(namespace: &str) -> TestEnv {
    let env = TestEnv::bare();
    env.integration();
    env.shared_namespace(namespace);
    env
}

/// Runs a command twice concurrently; both must succeed.
fn twice(env: &TestEnv, arguments: &[&str]) {
    thread::scope(|scope| {
        let other = scope.spawn(|| env.oc_quay(arguments).succeeds());
        env.oc_quay(arguments).succeeds();
        other.join().unwrap();
    });
}

/// Two concurrent runs can each add a default permission, which Quay accepts. There is no other
/// finding, and one repair removes it.
fn is_healthy_after_repair(env: &TestEnv, namespace: &str) {
    env.oc_quay(&["status", "-n", namespace]).succeeds();
    env.oc_quay(&["repair", "-n", namespace, "--yes"]).succeeds();
    env.assert_linked(namespace, &STREAMS);
    env.assert_foreign_references(namespace);
    env.oc_quay(&["status", "-n", namespace, "--fail-on", "warning"]).succeeds();
}

#[test]
fn two_concurrent_links_of_a_namespace_succeed() {
    let env = fresh("shop-0");
    for round in 0..5 {
        let namespace = format!("shop-{round}");
        if round > 0 {
            env.shared_namespace(&namespace);
        }
        twice(&env, &["link", "-n", &namespace, "--yes"]);
        is_healthy_after_repair(&env, &namespace);
    }
}

#[test]
fn two_concurrent_repairs_of_a_namespace_succeed() {
    let env = fresh("shop");
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    for _ in 0..5 {
        env.damage("shop");
        twice(&env, &["repair", "-n", "shop", "--yes"]);
        is_healthy_after_repair(&env, "shop");
    }
}

#[test]
fn keeps_references_that_others_add_concurrently() {
    let env = fresh("shop");
    let is_linked = AtomicBool::new(false);
    let added = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut added = Vec::new();
            // At least three, even if the link ends before the first.
            while !is_linked.load(Ordering::Relaxed) || added.len() < 3 {
                let name = format!("others-{}", added.len());
                ACCOUNTS.iter().for_each(|account| env.add_reference("shop", account, &name));
                added.push(name);
            }
            added
        });
        env.wait_for("the writer's first secret", || {
            env.references("shop", "deployer", "imagePullSecrets").contains(&"others-0".to_owned())
        });
        for _ in 0..3 {
            env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
            env.oc_quay(&["unlink", "-n", "shop", "--yes"]).succeeds();
        }
        env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
        is_linked.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    println!("{} pull secrets added meanwhile", added.len());
    for (account, list) in
        ACCOUNTS.iter().flat_map(|account| [(account, "secrets"), (account, "imagePullSecrets")])
    {
        let references = env.references("shop", account, list);
        let lost: Vec<_> = added.iter().filter(|name| !references.contains(name)).collect();
        assert!(lost.is_empty(), "{account} {list} lost {lost:?}");
    }
    env.assert_linked("shop", &STREAMS);
    env.assert_foreign_references("shop");
}

#[test]
fn links_eight_namespaces_in_one_or_eight_concurrent_runs() {
    let env = TestEnv::bare();
    env.integration();
    let names = |first: usize| -> Vec<String> {
        (first..first + 8).map(|number| format!("shop-{number}")).collect()
    };
    for name in names(0).iter().chain(&names(8)) {
        env.shared_namespace(name);
    }
    let (together, apart) = (names(0), names(8));
    let mut arguments = vec!["link", "--yes"];
    arguments.extend(together.iter().map(String::as_str));
    env.oc_quay(&arguments).succeeds();
    thread::scope(|scope| {
        for name in &apart {
            let env = &env;
            scope.spawn(move || env.oc_quay(&["link", "-n", name, "--yes"]).succeeds());
        }
    });
    for name in together.iter().chain(&apart) {
        env.assert_linked(name, &STREAMS);
        env.assert_foreign_references(name);
    }
}
