//! `images`: what is still in OpenShift's own registry, and how it gets to Quay.

use serde_json::json;

use crate::support::World;

#[test]
fn what_is_still_in_openshifts_registry_is_listed_and_moves_to_quay() {
    let Some(world) = World::stand_in("its API server does not tell what images are made of")
    else {
        return;
    };
    world.trust_quay();
    world.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let empty = world.oc_quay(&["images", "-n", "shop"]).succeeds();
    assert_eq!(empty.stdout, "No tag of shop has its image in OpenShift's own registry\n");

    let quay = &world.sandbox.quay;
    let digest = quay.push_tag("openshift_shop", "web", "1").unwrap();
    let inside = format!("image-registry.openshift-image-registry.svc:5000/shop/web@{digest}");
    let item = json!({ "created": "2020-01-01T00:00:00Z", "image": digest, "dockerImageReference": inside, "generation": 1 });
    world.merge(
        "ImageStream",
        "shop",
        "web/status",
        &json!({ "status": { "tags": [{ "tag": "1", "items": [item] }] } }),
    );
    let target = format!("{}/openshift_shop/web:1", quay.host());

    let report = world.oc_quay(&["images", "-n", "shop", "-o", "json"]).succeeds().json();
    assert_eq!(
        report["images"],
        json!([{ "tag": "web:1", "image": inside, "size": 10 << 20, "target": target }])
    );
    let listed = world.oc_quay(&["images", "-n", "shop"]).succeeds().stdout;
    assert!(
        listed.contains("web:1") && listed.contains("10.0 MiB") && listed.contains(&target),
        "{listed}"
    );
    let mapping = world.oc_quay(&["images", "-n", "shop", "-o", "mirror"]).succeeds();
    assert_eq!(mapping.stdout, format!("{inside}={target}\n"));
    let commands = world.oc_quay(&["images", "-n", "shop", "--oc-adm"]).succeeds();
    assert_eq!(
        commands.stdout,
        format!("oc image mirror --keep-manifest-list=true {inside} {target}\n")
    );
    world.oc_quay(&["status", "-n", "shop", "-o", "mirror"]).ends_with(2);

    // It is copied by now, so the import lets the tag follow Quay.
    world.oc_quay(&["import", "-n", "shop", "--missing", "--yes"]).succeeds();
    let after = world.oc_quay(&["images", "-n", "shop", "-o", "name"]).succeeds();
    assert_eq!(after.stdout, "");
}

#[test]
fn leaves_out_tags_that_cannot_be_one_and_says_so() {
    let Some(world) = World::stand_in("its API server has no images") else { return };
    let registry = "image-registry.openshift-image-registry.svc:5000/shop/web";
    let digest = format!("sha256:{}", "0".repeat(64));
    let item = json!({ "created": "2020-01-01T00:00:00Z", "image": digest, "dockerImageReference": format!("{registry}@{digest}"),
        "generation": 1 });
    let spoofed = format!("x\n{registry}/evil={}/victim/app:latest", world.sandbox.quay.host());
    let names = ["good", &spoofed, "x;$(id)", "\u{1b}[2Jx"];
    let tags = names.map(|name| json!({ "tag": name, "items": [item] }));
    world.merge("ImageStream", "shop", "web/status", &json!({ "status": { "tags": tags } }));
    for format in [&["-o", "mirror"][..], &["-o", "name"], &["--oc-adm"], &[]] {
        let run = world.oc_quay(&["images", "-n", "shop"]).args(format).ends_with(1);
        assert_eq!(
            run.stdout.lines().filter(|line| line.contains("web")).count(),
            1,
            "{format:?}: {}",
            run.stdout
        );
        for part in ["evil", "$(id)", "\u{1b}"] {
            assert!(!run.stdout.contains(part), "{format:?}: {}", run.stdout);
        }
        assert_eq!(
            run.stderr.matches("of image stream web is left out").count(),
            3,
            "{}",
            run.stderr
        );
        assert_eq!(run.stderr.lines().count(), 3, "{}", run.stderr);
    }
}

#[test]
fn says_why_a_size_is_unknown() {
    let Some(world) = World::stand_in("its API server does not tell what images are made of")
    else {
        return;
    };
    let digest = format!("sha256:{}", "0".repeat(64));
    let inside = format!("image-registry.openshift-image-registry.svc:5000/shop/web@{digest}");
    let item = json!({ "created": "2020-01-01T00:00:00Z", "image": digest, "dockerImageReference": inside, "generation": 1 });
    world.merge(
        "ImageStream",
        "shop",
        "web/status",
        &json!({ "status": { "tags": [{ "tag": "1", "items": [item] }] } }),
    );
    world.cluster_traffic().fault(sandbox::traffic::Fault::on("GET", "/layers").status(403));
    let run = world.oc_quay(&["images", "-n", "shop"]).succeeds();
    assert!(run.stderr.contains("the sizes of image stream web are unknown"), "{}", run.stderr);
    assert!(run.stdout.contains("web:1"), "{}", run.stdout);
}
