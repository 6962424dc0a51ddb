//! `run`: the bridge keeps namespaces linked by itself.

use serde_json::json;

use crate::support::{Bridge, World};

#[test]
fn a_new_namespace_is_linked_and_what_is_lost_is_put_back_at_the_least_cost_to_quay() {
    let world = World::bare();
    world.integration();
    let bridge = Bridge::start(&world, &[]);
    world.forget_traffic();
    world.namespace("shop");
    for stream in ["app", "base", "web"] {
        world.image_stream("shop", stream);
    }
    bridge.waits_until("shop is linked", || world.is_linked("shop", &["app", "base", "web"]));
    world.assert_linked("shop", &["app", "base", "web"]);
    assert!(bridge.requests_to_quay() <= 13, "{:#?}", world.quay_traffic().entries());

    world.forget_traffic();
    world.image_stream("shop", "cron");
    bridge.waits_until("the repository", || world.sandbox.quay.repositories("openshift_shop").contains(&"cron".to_owned()));
    bridge.settles();
    assert_eq!(bridge.requests_to_quay(), 1, "{:#?}", world.quay_traffic().entries());

    world.forget_traffic();
    world.delete("Secret", "shop", "builder-quay-openshift");
    bridge.waits_until("the secret", || world.get("Secret", "shop", "builder-quay-openshift").is_some());
    bridge.settles();
    assert!(bridge.requests_to_quay() <= 2, "{:#?}", world.quay_traffic().entries());
    world.assert_linked("shop", &["app", "base", "cron", "web"]);

    // What is none of its business costs nothing.
    world.forget_traffic();
    world.merge("Namespace", "", "shop", &json!({ "metadata": { "labels": { "team": "red" } } }));
    world.merge("ServiceAccount", "shop", "builder", &json!({ "metadata": { "labels": { "team": "red" } } }));
    bridge.settles();
    assert_eq!(bridge.requests_to_quay(), 0, "{:#?}", world.quay_traffic().entries());
    world.assert_nothing_written();
}
