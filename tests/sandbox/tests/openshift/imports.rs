//! ImageStreamImport as openshift-apiserver 4.21 answers it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Api, STREAMS, differences};

const IMPORTS: &str = "/apis/image.openshift.io/v1/namespaces/myproj/imagestreamimports";

/// A cluster with the repository `openshift_myproj/app` in its Quay, and a robot account that may read it.
struct Stage {
    api: Api,
    token: String,
}

impl Stage {
    fn new() -> Self {
        let api = Api::asleep();
        let quay = &api.sandbox.quay;
        quay.add_organization("openshift_myproj", "quayadmin");
        quay.add_repository("openshift_myproj", "app", "quayadmin");
        let token = quay.add_robot("openshift_myproj", "default", "").unwrap();
        quay.set_permission(
            "openshift_myproj",
            "app",
            "openshift_myproj+default",
            Some(sandbox::quay::RepoRole::Read),
        );
        Self { api, token }
    }

    fn push(&self, tag: &str) -> String {
        self.api.sandbox.quay.push_tag("openshift_myproj", "app", tag).unwrap()
    }

    fn image(&self, tag: &str) -> String {
        format!("{}/openshift_myproj/app:{tag}", self.api.sandbox.quay.host())
    }

    /// A pull secret with credentials for the Quay.
    fn secret(&self, name: &str, password: &str) {
        let auth = STANDARD.encode(format!("openshift_myproj+default:{password}"));
        let config = json!({"auths": {self.api.sandbox.quay.host(): {"auth": auth}}}).to_string();
        self.api.sandbox.openshift.create(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "myproj"},
            "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": config},
        }));
    }

    fn request(&self, tag: &str) -> Value {
        json!({
            "metadata": {"name": "app"},
            "spec": {"import": true, "images": [{
                "from": {"kind": "DockerImage", "name": self.image(tag)}, "to": {"name": tag},
                "importPolicy": {"insecure": true, "scheduled": true}, "referencePolicy": {"type": "Source"},
            }]},
        })
    }

    /// The result of the one image of a request.
    fn import(&self, request: &Value) -> Value {
        self.api.send_json("POST", IMPORTS, request).expect(201, &json!({}))["status"]["images"][0]
            .clone()
    }

    fn stream(&self) -> Value {
        self.api.get(&format!("{STREAMS}/app"))
    }
}

#[test]
fn failed_import_returns_201() {
    let stage = Stage::new();
    stage.secret("pull", &stage.token);
    let message = format!("dockerimage.image.openshift.io \"{}\" not found", stage.image("1"));
    let expected =
        json!({"status": "Failure", "code": 404, "reason": "NotFound", "message": message});
    let mut request = stage.request("1");

    request["spec"]["import"] = json!(false);
    let looked = stage.import(&request);
    assert_eq!(looked["tag"], "1");
    assert_eq!(differences("", &looked["status"], &expected), Vec::<String>::new());
    assert_eq!(
        stage.api.call("admin", "GET", &format!("{STREAMS}/app")).status,
        404,
        "import: false stores nothing"
    );

    let mut request = stage.request("1");
    stage.import(&request);
    let stream = stage.stream();
    let condition = &stream["status"]["tags"][0]["conditions"][0];
    let expected = json!({"type": "ImportSuccess", "status": "False", "reason": "NotFound", "message": message});
    assert_eq!(differences("", condition, &expected), Vec::<String>::new());
    assert_eq!(stream["spec"]["tags"][0]["from"]["name"], stage.image("1"));
    stage.import(&request);
    assert_eq!(stage.stream(), stream, "a failure is reported once");

    request["metadata"]["resourceVersion"] = json!("1");
    stage.api.send_json("POST", IMPORTS, &request).expect(409, &json!({"reason": "Conflict"}));
    request["metadata"]["name"] = json!("absent");
    stage.api.send_json("POST", IMPORTS, &request).expect(404, &json!({"reason": "NotFound"}));
    assert_eq!(stage.api.call("admin", "GET", IMPORTS).status, 405);
}

#[test]
fn import_uses_the_current_image_in_quay() {
    let stage = Stage::new();
    stage.secret("pull", &stage.token);
    let first = stage.push("1");
    let result = stage.import(&stage.request("1"));
    assert_eq!(
        (&result["status"]["status"], &result["image"]["metadata"]["name"]),
        (&json!("Success"), &json!(first))
    );
    let stream = stage.stream();
    let reference = format!("{}/openshift_myproj/app@{first}", stage.api.sandbox.quay.host());
    let expected = json!([{
        "name": "1", "from": {"kind": "DockerImage", "name": stage.image("1")}, "generation": 1,
        "importPolicy": {"insecure": true, "scheduled": true}, "referencePolicy": {"type": "Source"},
    }]);
    assert_eq!(
        (&stream["metadata"]["generation"], &stream["spec"]["tags"]),
        (&json!(1), &expected)
    );
    let (tag, expected) =
        (&stream["status"]["tags"][0], json!({"image": first, "dockerImageReference": reference}));
    assert_eq!(differences("", &tag["items"][0], &expected), Vec::<String>::new());
    assert_eq!((&tag["tag"], &tag["conditions"]), (&json!("1"), &Value::Null));

    // A repeated import of an image has no effect; another image becomes the newest, and keeps the
    // tag's reference policy.
    stage.import(&stage.request("1"));
    assert_eq!(stage.stream(), stream);
    let second = stage.push("1");
    let mut request = stage.request("1");
    request["spec"]["images"][0]["referencePolicy"] = json!({"type": "Local"});
    stage.import(&request);
    let stream = stage.stream();
    let images: Vec<&Value> = stream["status"]["tags"][0]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["image"])
        .collect();
    assert_eq!(images, [&json!(second), &json!(first)]);
    assert_eq!(stream["spec"]["tags"][0]["referencePolicy"]["type"], "Source");

    // A failure takes nothing away.
    stage.api.sandbox.openshift.delete("Secret", "myproj", "pull");
    assert_eq!(stage.import(&stage.request("1"))["status"]["code"], 401);
    let after = stage.stream();
    assert_eq!(
        (&after["spec"], &after["status"]["tags"][0]["items"]),
        (&stream["spec"], &stream["status"]["tags"][0]["items"])
    );
    assert_eq!(after["status"]["tags"][0]["conditions"][0]["reason"], "Unauthorized");
}

#[test]
fn names_internal_repository_of_image_streams() {
    let api = Api::asleep();
    let expected = json!({"status": {
        "dockerImageRepository": "image-registry.openshift-image-registry.svc:5000/myproj/app",
    }});
    api.send_json("POST", STREAMS, &json!({"metadata": {"name": "app"}})).expect(201, &expected);
    for (name, status) in
        [("a--b", 201), ("a__b", 201), ("a.b_c", 201), ("a..b", 422), ("a___b", 422), ("A", 422)]
    {
        let answer = api.send_json("POST", STREAMS, &json!({"metadata": {"name": name}}));
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
    }
}
