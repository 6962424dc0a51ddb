//! Responses, by examples and properties.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::{InvalidReview, ReviewOutcome, review};
use super::{FakeView, admission_review, build, stream_tag};
use crate::domain::builds::{DESTINATION_ANNOTATION, IMPORTED_ANNOTATION, MANAGED_ANNOTATION};

/// Outcome of a review, with the patched object.
struct Reviewed {
    outcome: ReviewOutcome,
    object: Value,
    warning: Option<String>,
}

/// Reviews the creation of an object. The response must match the request, admit it, and have a
/// valid patch.
fn review_creation(view: &FakeView, object: Value) -> Reviewed {
    review_operation(view, "CREATE", object)
}

fn review_operation(view: &FakeView, operation: &str, mut object: Value) -> Reviewed {
    let request = admission_review(operation, "shop", &object);
    let answer = review(request.to_string().as_bytes(), view).unwrap();
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let response = &body["response"];
    assert_eq!((&body["apiVersion"], &body["kind"]), (&request["apiVersion"], &request["kind"]));
    assert_eq!(response["uid"], request["request"]["uid"]);
    assert_eq!(response["allowed"], true);
    assert_eq!(response["patch"].is_string(), response["patchType"] == "JSONPatch");
    if let Some(patch) = response["patch"].as_str() {
        let patch: json_patch::Patch =
            serde_json::from_slice(&STANDARD.decode(patch).unwrap()).unwrap();
        json_patch::patch(&mut object, &patch).unwrap();
    }
    let warning = response["warnings"][0].as_str().map(str::to_owned);
    // The API server might truncate longer warnings.
    assert!(warning.as_ref().is_none_or(|warning| warning.len() <= 256), "{warning:?}");
    Reviewed { outcome: answer.outcome, object, warning }
}

#[test]
fn rewrites_build_like_the_operator() {
    let Reviewed { outcome, object, warning } =
        review_creation(&FakeView::default(), build(stream_tag("app:1.0")));
    let mut expected =
        build(json!({ "kind": "DockerImage", "name": "quay.example.com/openshift_shop/app:1.0" }));
    expected["metadata"]["annotations"][MANAGED_ANNOTATION] = json!("true");
    expected["metadata"]["annotations"][DESTINATION_ANNOTATION] = json!("shop/app:1.0");
    assert_eq!((outcome, object, warning), (ReviewOutcome::Rewritten, expected, None));
}

#[test]
fn rewrites_builds_that_the_operator_rejects() {
    let view = FakeView::default();
    let mut bare =
        build(json!({ "kind": "ImageStreamTag", "namespace": "shop", "name": "app", "uid": "0" }));
    bare["metadata"].as_object_mut().unwrap().remove("annotations");
    let object = review_creation(&view, bare).object;
    let expected = json!({ "to": { "kind": "DockerImage", "name": "quay.example.com/openshift_shop/app:latest" } });
    assert_eq!(object["spec"]["output"], expected);
    assert_eq!(
        object["metadata"]["annotations"],
        json!({ MANAGED_ANNOTATION: "true", DESTINATION_ANNOTATION: "shop/app:latest" })
    );

    let mut with_secret = build(stream_tag("app:1"));
    with_secret["spec"]["output"]["pushSecret"] = json!({ "name": "builder-dockercfg-x" });
    let Reviewed { object, warning, .. } = review_creation(&view, with_secret);
    assert_eq!(object["spec"]["output"]["pushSecret"], json!({ "name": "builder-quay-openshift" }));
    assert!(warning.unwrap().contains("replaces push secret builder-dockercfg-x"));
}

#[test]
fn admits_other_builds_without_warning() {
    let view = FakeView::default();
    let image = |name: &str| build(json!({ "kind": "DockerImage", "name": name }));
    let mut pipeline = build(stream_tag("app:1"));
    pipeline["spec"]["strategy"] = json!({ "jenkinsPipelineStrategy": {} });
    let objects = [
        build(Value::Null),
        image("docker.io/x/y:1"),
        image("quay.example.com/openshift_shop/app:1"),
        pipeline,
    ];
    for object in objects {
        let reviewed = review_creation(&view, object.clone());
        assert_eq!(
            (reviewed.outcome, reviewed.object, reviewed.warning),
            (ReviewOutcome::Unchanged, object, None)
        );
    }
    for operation in ["UPDATE", "DELETE", "CONNECT", ""] {
        let object = build(stream_tag("app:1"));
        let reviewed = review_operation(&view, operation, object.clone());
        assert_eq!(
            (reviewed.outcome, reviewed.object, reviewed.warning),
            (ReviewOutcome::Unchanged, object, None),
            "{operation}"
        );
    }
}

#[test]
fn warns_about_builds_that_are_not_rewritten() {
    let view = FakeView::default();
    let mut by_robot = build(stream_tag("app:1"));
    by_robot["spec"]["serviceAccount"] = json!("robot");
    let mut by_deployer = build(stream_tag("app:1"));
    by_deployer["spec"]["serviceAccount"] = json!("deployer");
    let elsewhere = |namespace: &str| {
        build(json!({ "kind": "ImageStreamTag", "namespace": namespace, "name": "app:1" }))
    };
    let table = [
        (
            elsewhere("kube-system"),
            ReviewOutcome::Unchanged,
            "namespace kube-system is not in the integration",
        ),
        (
            elsewhere("images"),
            ReviewOutcome::Unchanged,
            "output.pushSecret to a secret with credentials",
        ),
        (
            elsewhere("nowhere"),
            ReviewOutcome::Unknown,
            "cannot determine whether namespace nowhere is in the integration",
        ),
        (build(stream_tag("App:1")), ReviewOutcome::Unchanged, "invalid image name"),
        (
            by_deployer,
            ReviewOutcome::NotLinked,
            "service account deployer has no push secret for Quay yet",
        ),
        (by_robot, ReviewOutcome::NotLinked, "oc quay link -n shop --service-account robot=write"),
        (json!({ "spec": {} }), ReviewOutcome::Unknown, "invalid Build object"),
        (
            json!({ "metadata": { "annotations": [] }, "spec": {} }),
            ReviewOutcome::Unknown,
            "invalid Build object",
        ),
        (
            json!({ "metadata": {}, "spec": { "output": 1 } }),
            ReviewOutcome::Unknown,
            "invalid Build object",
        ),
    ];
    for (object, outcome, reason) in table {
        let reviewed = review_creation(&view, object.clone());
        let warning = reviewed.warning.unwrap();
        assert!(
            warning.starts_with("oc-quay: build output not rewritten: ")
                && warning.contains(reason),
            "{warning}"
        );
        assert_eq!((reviewed.outcome, reviewed.object), (outcome, object), "{reason}");
    }
}

#[test]
fn warns_without_integration_only_about_image_stream_tags() {
    let view = FakeView { without_integration: true };
    assert_eq!(review_creation(&view, build(stream_tag("app:1"))).outcome, ReviewOutcome::Unknown);
    assert_eq!(review_creation(&view, build(Value::Null)).warning, None);
    assert_eq!(
        review_creation(&view, build(json!({ "kind": "DockerImage", "name": "docker.io/x/y" })))
            .warning,
        None
    );
}

#[test]
fn removes_import_record_from_clone() {
    let view = FakeView::default();
    let first = review_creation(&view, build(stream_tag("app:1"))).object;
    let mut clone = first.clone();
    clone["metadata"]["annotations"][IMPORTED_ANNOTATION] = json!("true");
    assert_eq!(review_creation(&view, clone).object, first);
    let mut old = build(stream_tag("app:1"));
    old["metadata"]["annotations"][IMPORTED_ANNOTATION] = json!("true");
    assert_eq!(review_creation(&view, old).object, first);
}

#[test]
fn ignores_other_objects_and_subresources() {
    let object = build(stream_tag("app:1"));
    for (field, value) in [
        (
            "resource",
            json!({ "group": "build.openshift.io", "version": "v1", "resource": "buildconfigs" }),
        ),
        (
            "resource",
            json!({ "group": "shipwright.io", "version": "v1beta1", "resource": "builds" }),
        ),
        ("subResource", json!("details")),
    ] {
        let mut request = admission_review("CREATE", "shop", &object);
        request["request"][field] = value;
        let answer = review(request.to_string().as_bytes(), &FakeView::default()).unwrap();
        assert_eq!(answer.outcome, ReviewOutcome::Unchanged, "{field}");
    }
}

#[test]
fn rejects_invalid_reviews() {
    for body in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"request":{}}"#,
        r#"{"request":{"uid":1}}"#,
        "\u{0}",
        &"[".repeat(10_000),
    ] {
        assert_eq!(
            review(body.as_bytes(), &FakeView::default()).map(|answer| answer.outcome),
            Err(InvalidReview)
        );
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    let field = prop_oneof![
        Just("metadata"),
        Just("annotations"),
        Just("spec"),
        Just("output"),
        Just("to"),
        Just("pushSecret"),
        Just("strategy"),
        Just("dockerStrategy"),
        Just("name"),
        Just("/~"),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(field.clone().prop_map(str::to_owned), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Builds with any output, some with an invalid part.
fn builds() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![
        Just("ImageStreamTag"),
        Just("DockerImage"),
        Just("ImageStream"),
        Just(""),
        Just("Else")
    ];
    let name = prop_oneof![
        "[a-z]{1,5}(:[a-z0-9.]{0,4})?",
        "\\PC{0,8}",
        Just("quay.example.com/openshift_shop/app:1".to_owned())
    ];
    let namespace = prop_oneof![
        Just(""),
        Just("shop"),
        Just("images"),
        Just("kube-system"),
        Just("nowhere"),
        Just("a--b")
    ];
    let secret = prop_oneof![Just(None), Just(Some("mine")), Just(Some("builder-quay-openshift"))];
    let imported = any::<bool>();
    let invalid = prop_oneof![
        4 => Just(None),
        1 => (prop_oneof![Just("/metadata"), Just("/metadata/annotations"), Just("/spec"), Just("/spec/output"), Just("/spec/output/to")],
            any_json()).prop_map(Some),
    ];
    (kind, name, namespace, secret, imported, invalid).prop_map(
        |(kind, name, namespace, secret, imported, invalid)| {
            let mut object = build(json!({ "kind": kind, "name": name, "namespace": namespace }));
            if let Some(secret) = secret {
                object["spec"]["output"]["pushSecret"] = json!({ "name": secret });
            }
            if imported {
                object["metadata"]["annotations"][IMPORTED_ANNOTATION] = json!("true");
            }
            if let Some((path, value)) = invalid {
                *object.pointer_mut(path).unwrap() = value;
            }
            object
        },
    )
}

proptest! {
    #[test]
    fn review_is_idempotent_for_any_object(object in prop_oneof![builds(), any_json()]) {
        let view = FakeView::default();
        let once = review_creation(&view, object.clone());
        if once.outcome != ReviewOutcome::Rewritten && object["metadata"]["annotations"][IMPORTED_ANNOTATION].is_null() {
            prop_assert_eq!(&once.object, &object);
        }
        let twice = review_creation(&view, once.object.clone());
        prop_assert_eq!(twice.object, once.object);
        prop_assert_ne!(twice.outcome, ReviewOutcome::Rewritten);
    }

    #[test]
    fn changes_only_output_and_three_annotations(object in builds()) {
        let mut before = object.clone();
        let mut after = review_creation(&FakeView::default(), object).object;
        for object in [&mut before, &mut after] {
            if let Some(output) = object.pointer_mut("/spec/output").and_then(Value::as_object_mut) {
                output.remove("to");
                output.remove("pushSecret");
            }
            if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
                let mut annotations = metadata.remove("annotations").unwrap_or_default();
                if let Some(annotations) = annotations.as_object_mut() {
                    annotations.retain(|key, _| ![MANAGED_ANNOTATION, DESTINATION_ANNOTATION, IMPORTED_ANNOTATION].contains(&key.as_str()));
                }
                if !annotations.is_null() && annotations != json!({}) {
                    metadata.insert("annotations".into(), annotations);
                }
            }
        }
        prop_assert_eq!(before, after);
    }

    #[test]
    fn never_panics_on_any_body(body in vec(any::<u8>(), 0..200), json in any_json()) {
        let view = FakeView::default();
        let _ = review(&body, &view);
        let _ = review(json.to_string().as_bytes(), &view);
        let _ = review(json!({ "request": json }).to_string().as_bytes(), &view);
    }
}
