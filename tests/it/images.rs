//! `images`: images in the internal registry, and how to copy them to Quay.

use serde_json::json;

use crate::support::TestEnv;

#[test]
fn lists_internal_registry_images_and_copies_them_to_quay() {
    let Some(env) = TestEnv::stand_in("its API server has no layers of images") else {
        return;
    };
    env.trust_quay();
    env.oc_quay(&["link", "-n", "shop", "--yes"]).succeeds();
    let empty = env.oc_quay(&["images", "-n", "shop"]).succeeds();
    assert_eq!(empty.stdout, "No images of shop are in the internal registry\n");

    let quay = &env.sandbox.quay;
    let digest = quay.push_tag("openshift_shop", "web", "1").unwrap();
    let inside = format!("image-registry.openshift-image-registry.svc:5000/shop/web@{digest}");
    let item = json!({ "created": "2020-01-01T00:00:00Z", "image": digest, "dockerImageReference": inside, "generation": 1 });
    env.merge(
        "ImageStream",
        "shop",
        "web/status",
        &json!({ "status": { "tags": [{ "tag": "1", "items": [item] }] } }),
    );
    let target = format!("{}/openshift_shop/web:1", quay.host());

    let report = env.oc_quay(&["images", "-n", "shop", "-o", "json"]).succeeds().json();
    assert_eq!(
        report["images"],
        json!([{ "tag": "web:1", "image": inside, "size": 10 << 20, "target": target }])
    );
    let listed = env.oc_quay(&["images", "-n", "shop"]).succeeds().stdout;
    assert!(
        listed.contains("web:1") && listed.contains("10.0 MiB") && listed.contains(&target),
        "{listed}"
    );
    let mapping = env.oc_quay(&["images", "-n", "shop", "-o", "mirror"]).succeeds();
    assert_eq!(mapping.stdout, format!("{inside}={target}\n"));
    let commands = env.oc_quay(&["images", "-n", "shop", "-o", "commands"]).succeeds();
    assert_eq!(
        commands.stdout,
        format!("oc image mirror --keep-manifest-list=true {inside} {target}\n")
    );
    env.oc_quay(&["status", "-n", "shop", "-o", "mirror"]).ends_with(2);

    // The image is copied, so the import makes the tag follow Quay.
    env.oc_quay(&["import", "-n", "shop", "--missing", "--yes"]).succeeds();
    let after = env.oc_quay(&["images", "-n", "shop", "-o", "name"]).succeeds();
    assert_eq!(after.stdout, "");
}

#[test]
fn skips_and_reports_invalid_tags() {
    let Some(env) = TestEnv::stand_in("its API server has no images") else { return };
    let registry = "image-registry.openshift-image-registry.svc:5000/shop/web";
    let digest = format!("sha256:{}", "0".repeat(64));
    let item = json!({ "created": "2020-01-01T00:00:00Z", "image": digest, "dockerImageReference": format!("{registry}@{digest}"),
        "generation": 1 });
    let spoofed = format!("x\n{registry}/evil={}/victim/app:latest", env.sandbox.quay.host());
    let names = ["good", &spoofed, "x;$(id)", "\u{1b}[2Jx"];
    let tags = names.map(|name| json!({ "tag": name, "items": [item] }));
    env.merge("ImageStream", "shop", "web/status", &json!({ "status": { "tags": tags } }));
    for format in [&["-o", "mirror"][..], &["-o", "name"], &["-o", "commands"], &[]] {
        let run = env.oc_quay(&["images", "-n", "shop"]).args(format).ends_with(1);
        assert_eq!(
            run.stdout.lines().filter(|line| line.contains("web")).count(),
            1,
            "{format:?}: {}",
            run.stdout
        );
        for part in ["evil", "$(id)", "\u{1b}"] {
            assert!(!run.stdout.contains(part), "{format:?}: {}", run.stdout);
        }
        assert_eq!(run.stderr.matches("of image stream web skipped").count(), 3, "{}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 3, "{}", run.stderr);
    }
}

#[test]
fn reports_why_a_size_is_unknown() {
    let Some(env) = TestEnv::stand_in("its API server has no layers of images") else {
        return;
    };
    let digest = format!("sha256:{}", "0".repeat(64));
    let inside = format!("image-registry.openshift-image-registry.svc:5000/shop/web@{digest}");
    let item = json!({ "created": "2020-01-01T00:00:00Z", "image": digest, "dockerImageReference": inside, "generation": 1 });
    env.merge(
        "ImageStream",
        "shop",
        "web/status",
        &json!({ "status": { "tags": [{ "tag": "1", "items": [item] }] } }),
    );
    env.cluster_traffic().fault(sandbox::traffic::Fault::on("GET", "/layers").status(403));
    let run = env.oc_quay(&["images", "-n", "shop"]).succeeds();
    assert!(run.stderr.contains("sizes of image stream web unknown"), "{}", run.stderr);
    assert!(run.stdout.contains("web:1"), "{}", run.stdout);
}
