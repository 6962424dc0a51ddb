//! Authorization, and access reviews with the same result.

use serde_json::{Value, json};

use super::{Api, SECRETS, secret};

const REVIEW: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

#[test]
fn projects_are_the_namespaces_one_may_see() {
    let api = Api::asleep();
    let projects = "/apis/project.openshift.io/v1/projects";
    let names = |list: &Value| -> Vec<String> {
        let name = |item: &Value| item["metadata"]["name"].as_str().unwrap().to_owned();
        list["items"].as_array().unwrap().iter().map(name).collect()
    };
    let mine = api.call("dev", "GET", projects).expect(200, &json!({"kind": "ProjectList"}));
    assert_eq!(names(&mine), ["myproj"]);
    api.sandbox.openshift.grant("dev", "default");
    assert_eq!(names(&api.call("dev", "GET", projects).body), ["default", "myproj"]);
    assert_eq!(api.get(projects)["items"].as_array().unwrap().len(), 7);
    let expected = json!({"kind": "Project", "status": {"phase": "Active"}, "spec": {"finalizers": ["kubernetes"]}});
    api.call("dev", "GET", &format!("{projects}/myproj")).expect(200, &expected);
    api.call("dev", "GET", &format!("{projects}/openshift"))
        .expect(403, &json!({"reason": "Forbidden"}));
    let message = "projects.project.openshift.io \"gone\" not found";
    api.call("admin", "GET", &format!("{projects}/gone")).rejected(404, "NotFound", message);
}

#[test]
fn admin_role_can_be_restricted() {
    let api = Api::asleep();
    api.sandbox.openshift.deny("admin", "create", "", "secrets");
    let ask = |verb: &str| {
        let asked = json!({
            "namespace": "myproj", "verb": verb, "group": "", "version": "v1", "resource": "secrets", "name": "a",
        });
        let review = api
            .send_json("POST", REVIEW, &json!({"spec": {"resourceAttributes": asked}}))
            .expect(201, &json!({}));
        review["status"]["allowed"] == true
    };
    assert_eq!((ask("create"), ask("get")), (false, true));
    let message = "secrets is forbidden: User \"admin\" cannot create resource \"secrets\" in API group \"\" in the namespace \"myproj\"";
    api.send_json("POST", SECRETS, &secret("a")).rejected(403, "Forbidden", message);
    api.get(SECRETS);
    api.sandbox.openshift.deny("admin", "*", "operators.coreos.com", "*");
    assert_eq!(
        api.call("admin", "GET", "/apis/operators.coreos.com/v1alpha1/subscriptions").status,
        403
    );
}

#[test]
fn rejects_expired_tokens() {
    let api = Api::asleep();
    let (url, token) =
        (format!("{}{SECRETS}", api.sandbox.openshift.url()), api.sandbox.openshift.admin_token());
    api.sandbox.openshift.expire_tokens();
    api.send(api.http.get(&url).bearer_auth(token)).rejected(401, "Unauthorized", "Unauthorized");
}
