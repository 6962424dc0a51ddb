//! What is answered, by example and for whatever may come.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::{InvalidReview, ReviewOutcome, review};
use super::{Known, build, sent, stream_tag};
use crate::domain::builds::{DESTINATION_ANNOTATION, IMPORTED_ANNOTATION, MANAGED_ANNOTATION};

/// What came of a review, with the object as the API server then has it.
struct Reviewed {
    outcome: ReviewOutcome,
    object: Value,
    warning: Option<String>,
}

/// Sends an object through the review of its creation, as the API server does.
///
/// Whatever comes, the answer is for the request that was sent, admits, and has a patch that fits.
fn created(view: &Known, object: Value) -> Reviewed {
    reviewed(view, "CREATE", object)
}

fn reviewed(view: &Known, operation: &str, mut object: Value) -> Reviewed {
    let request = sent(operation, "shop", &object);
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
    // Longer ones may be cut short by the API server.
    assert!(warning.as_ref().is_none_or(|warning| warning.len() <= 256), "{warning:?}");
    Reviewed { outcome: answer.outcome, object, warning }
}

#[test]
fn a_build_is_rewritten_as_the_operator_does_it() {
    let Reviewed { outcome, object, warning } =
        created(&Known::default(), build(stream_tag("app:1.0")));
    let mut expected =
        build(json!({ "kind": "DockerImage", "name": "quay.example.com/openshift_shop/app:1.0" }));
    expected["metadata"]["annotations"][MANAGED_ANNOTATION] = json!("true");
    expected["metadata"]["annotations"][DESTINATION_ANNOTATION] = json!("shop/app:1.0");
    assert_eq!((outcome, object, warning), (ReviewOutcome::Rewritten, expected, None));
}

#[test]
fn what_the_operator_fails_at_is_rewritten_too() {
    let view = Known::default();
    let mut bare =
        build(json!({ "kind": "ImageStreamTag", "namespace": "shop", "name": "app", "uid": "0" }));
    bare["metadata"].as_object_mut().unwrap().remove("annotations");
    let object = created(&view, bare).object;
    let expected = json!({ "to": { "kind": "DockerImage", "name": "quay.example.com/openshift_shop/app:latest" } });
    assert_eq!(object["spec"]["output"], expected);
    assert_eq!(
        object["metadata"]["annotations"],
        json!({ MANAGED_ANNOTATION: "true", DESTINATION_ANNOTATION: "shop/app:latest" })
    );

    let mut with_secret = build(stream_tag("app:1"));
    with_secret["spec"]["output"]["pushSecret"] = json!({ "name": "builder-dockercfg-x" });
    let Reviewed { object, warning, .. } = created(&view, with_secret);
    assert_eq!(object["spec"]["output"]["pushSecret"], json!({ "name": "builder-quay-openshift" }));
    assert!(warning.unwrap().contains("takes the place of push secret builder-dockercfg-x"));
}

#[test]
fn what_does_not_concern_quay_passes_without_a_word() {
    let view = Known::default();
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
        let reviewed = created(&view, object.clone());
        assert_eq!(
            (reviewed.outcome, reviewed.object, reviewed.warning),
            (ReviewOutcome::Unchanged, object, None)
        );
    }
    for operation in ["UPDATE", "DELETE", "CONNECT", ""] {
        let object = build(stream_tag("app:1"));
        let reviewed = reviewed(&view, operation, object.clone());
        assert_eq!(
            (reviewed.outcome, reviewed.object, reviewed.warning),
            (ReviewOutcome::Unchanged, object, None),
            "{operation}"
        );
    }
}

#[test]
fn what_may_be_expected_in_quay_and_does_not_go_there_is_told() {
    let view = Known::default();
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
        (elsewhere("images"), ReviewOutcome::Unchanged, "name an output.pushSecret"),
        (
            elsewhere("nowhere"),
            ReviewOutcome::Unknown,
            "whether namespace nowhere is in the integration is unknown",
        ),
        (build(stream_tag("App:1")), ReviewOutcome::Unchanged, "Quay can have no such image"),
        (
            by_deployer,
            ReviewOutcome::NotLinked,
            "service account deployer has no login to push to Quay yet",
        ),
        (by_robot, ReviewOutcome::NotLinked, "oc quay link -n shop --service-account robot=write"),
        (json!({ "spec": {} }), ReviewOutcome::Unknown, "no build that could be understood"),
        (
            json!({ "metadata": { "annotations": [] }, "spec": {} }),
            ReviewOutcome::Unknown,
            "no build that could be understood",
        ),
        (
            json!({ "metadata": {}, "spec": { "output": 1 } }),
            ReviewOutcome::Unknown,
            "no build that could be understood",
        ),
    ];
    for (object, outcome, words) in table {
        let reviewed = created(&view, object.clone());
        let warning = reviewed.warning.unwrap();
        assert!(
            warning.starts_with("oc-quay: the output of this build stays as it is: ")
                && warning.contains(words),
            "{warning}"
        );
        assert_eq!((reviewed.outcome, reviewed.object), (outcome, object), "{words}");
    }
}

#[test]
fn without_an_integration_only_builds_that_might_go_to_quay_are_told() {
    let view = Known { without_integration: true };
    assert_eq!(created(&view, build(stream_tag("app:1"))).outcome, ReviewOutcome::Unknown);
    assert_eq!(created(&view, build(Value::Null)).warning, None);
    assert_eq!(
        created(&view, build(json!({ "kind": "DockerImage", "name": "docker.io/x/y" }))).warning,
        None
    );
}

#[test]
fn a_clone_does_not_pass_for_imported() {
    let view = Known::default();
    let first = created(&view, build(stream_tag("app:1"))).object;
    let mut clone = first.clone();
    clone["metadata"]["annotations"][IMPORTED_ANNOTATION] = json!("true");
    assert_eq!(created(&view, clone).object, first);
    let mut old = build(stream_tag("app:1"));
    old["metadata"]["annotations"][IMPORTED_ANNOTATION] = json!("true");
    assert_eq!(created(&view, old).object, first);
}

#[test]
fn other_objects_and_subresources_are_none_of_ours() {
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
        let mut request = sent("CREATE", "shop", &object);
        request["request"][field] = value;
        let answer = review(request.to_string().as_bytes(), &Known::default()).unwrap();
        assert_eq!(answer.outcome, ReviewOutcome::Unchanged, "{field}");
    }
}

#[test]
fn what_is_no_review_is_not_answered() {
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
            review(body.as_bytes(), &Known::default()).map(|answer| answer.outcome),
            Err(InvalidReview)
        );
    }
}

/// Any JSON.
fn anything() -> impl Strategy<Value = Value> {
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

/// Builds as they may come: any kind of output, some with a part that is anything.
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
    let spoilt = prop_oneof![
        4 => Just(None),
        1 => (prop_oneof![Just("/metadata"), Just("/metadata/annotations"), Just("/spec"), Just("/spec/output"), Just("/spec/output/to")],
            anything()).prop_map(Some),
    ];
    (kind, name, namespace, secret, imported, spoilt).prop_map(
        |(kind, name, namespace, secret, imported, spoilt)| {
            let mut object = build(json!({ "kind": kind, "name": name, "namespace": namespace }));
            if let Some(secret) = secret {
                object["spec"]["output"]["pushSecret"] = json!({ "name": secret });
            }
            if imported {
                object["metadata"]["annotations"][IMPORTED_ANNOTATION] = json!("true");
            }
            if let Some((path, value)) = spoilt {
                *object.pointer_mut(path).unwrap() = value;
            }
            object
        },
    )
}

proptest! {
    #[test]
    fn any_object_gets_an_answer_and_reviewing_twice_equals_once(object in prop_oneof![builds(), anything()]) {
        let view = Known::default();
        let once = created(&view, object.clone());
        if once.outcome != ReviewOutcome::Rewritten && object["metadata"]["annotations"][IMPORTED_ANNOTATION].is_null() {
            prop_assert_eq!(&once.object, &object);
        }
        let twice = created(&view, once.object.clone());
        prop_assert_eq!(twice.object, once.object);
        prop_assert_ne!(twice.outcome, ReviewOutcome::Rewritten);
    }

    #[test]
    fn nothing_but_the_output_and_three_annotations_is_ever_touched(object in builds()) {
        let mut before = object.clone();
        let mut after = created(&Known::default(), object).object;
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
    fn no_body_makes_it_panic(body in vec(any::<u8>(), 0..200), json in anything()) {
        let view = Known::default();
        let _ = review(&body, &view);
        let _ = review(json.to_string().as_bytes(), &view);
        let _ = review(json!({ "request": json }).to_string().as_bytes(), &view);
    }
}
