//! `link`: a fresh namespace, again, others' service accounts, and what it refuses.

use crate::support::World;

#[test]
fn a_fresh_namespace_is_linked_with_the_least_calls_and_a_second_time_with_none_that_write() {
    let world = World::new();
    let run = world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    assert!(run.stdout.ends_with("Linked shop: 16 changes\n"), "{}", run.stdout);
    world.assert_linked("shop", &["app", "base", "web"]);
    assert_eq!(world.quay_traffic().writes().len(), 10);
    assert_eq!(world.quay_traffic().reads().len(), 2);
    assert_eq!(world.cluster_traffic().writes().len(), 6);
    assert_eq!(world.cluster_traffic().reads().len(), 5);

    world.forget_traffic();
    let run = world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    assert_eq!(run.stdout, "Nothing to do\n");
    world.assert_nothing_written();
    assert!(world.quay_traffic().reads().len() <= 3);
}
