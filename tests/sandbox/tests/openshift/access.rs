//! Who may do what, and that the reviews say the same.

use serde_json::{Value, json};

use super::{Api, INTEGRATIONS, SECRETS, secret};

const REVIEW: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

#[test]
fn a_request_needs_a_valid_token() {
    let api = Api::asleep();
    let url = format!("{}{SECRETS}", api.sandbox.openshift.url());
    for request in
        [api.http.get(&url), api.http.get(&url).bearer_auth("unknown"), api.http.get(&url).basic_auth("admin", Some(""))]
    {
        api.send(request).refused(401, "Unauthorized", "Unauthorized");
    }
    let token = api.sandbox.openshift.admin_token();
    api.sandbox.openshift.expire_tokens();
    api.send(api.http.get(&url).bearer_auth(token)).refused(401, "Unauthorized", "Unauthorized");
}

#[test]
fn refusals_name_user_verb_and_place() {
    let api = Api::asleep();
    for (user, method, path, message) in [
        (
            "dev",
            "GET",
            "/api/v1/namespaces/default/secrets/x",
            "secrets \"x\" is forbidden: User \"dev\" cannot get resource \"secrets\" in API group \"\" in the namespace \"default\"",
        ),
        (
            "dev",
            "GET",
            "/api/v1/namespaces",
            "namespaces is forbidden: User \"dev\" cannot list resource \"namespaces\" in API group \"\" at the cluster scope",
        ),
        (
            "dev",
            "GET",
            INTEGRATIONS,
            "quayintegrations.quay.redhat.com is forbidden: User \"dev\" cannot list resource \"quayintegrations\" in API group \"quay.redhat.com\" at the cluster scope",
        ),
        (
            "nobody",
            "GET",
            "/api/v1/namespaces/myproj",
            "namespaces \"myproj\" is forbidden: User \"nobody\" cannot get resource \"namespaces\" in API group \"\" in the namespace \"myproj\"",
        ),
        (
            "dev",
            "PATCH",
            "/api/v1/namespaces/myproj",
            "namespaces \"myproj\" is forbidden: User \"dev\" cannot patch resource \"namespaces\" in API group \"\" in the namespace \"myproj\"",
        ),
        (
            "nobody",
            "GET",
            "/api/v1/secrets?watch=true",
            "secrets is forbidden: User \"nobody\" cannot watch resource \"secrets\" in API group \"\" at the cluster scope",
        ),
    ] {
        api.call(user, method, path).refused(403, "Forbidden", message);
    }
}

/// Every cell of the role table, asked and done.
#[test]
fn access_reviews_say_what_requests_meet() {
    let api = Api::asleep();
    api.sandbox.openshift.create(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "default", "name": "x"},
    }));
    let mut allowed = 0;
    for user in ["admin", "dev", "nobody"] {
        for namespace in ["myproj", "default", ""] {
            for (group, prefix, resource) in [
                ("", "/api/v1", "secrets"),
                ("", "/api/v1", "serviceaccounts"),
                ("image.openshift.io", "/apis/image.openshift.io/v1", "imagestreams"),
                ("build.openshift.io", "/apis/build.openshift.io/v1", "builds"),
                ("apps", "/apis/apps/v1", "deployments"),
            ] {
                let place = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
                for (verb, method, name) in [("list", "GET", ""), ("get", "GET", "/x"), ("delete", "DELETE", "/x?dryRun=All")] {
                    if namespace.is_empty() && verb != "list" {
                        continue; // Single objects have no cluster-wide address.
                    }
                    let asked = json!({"namespace": namespace, "verb": verb, "group": group, "resource": resource});
                    let review = json!({"spec": {"resourceAttributes": asked}});
                    let review = api.send(api.request(user, "POST", REVIEW).json(&review)).expect(201, &json!({}));
                    let may = review["status"]["allowed"].as_bool().unwrap();
                    let status = api.call(user, method, &format!("{prefix}{place}/{resource}{name}")).status;
                    assert_eq!(status != 403, may, "{user} {verb} {resource} in {namespace:?}: {status}");
                    allowed += usize::from(may);
                }
            }
        }
    }
    // The admin everything (5 resources: 3 verbs in each of 2 namespaces, 1 verb at large), dev 4 resources in myproj.
    assert_eq!(allowed, 5 * 7 + 4 * 3);
}

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
    api.call("dev", "GET", &format!("{projects}/openshift")).expect(403, &json!({"reason": "Forbidden"}));
    let message = "projects.project.openshift.io \"gone\" not found";
    api.call("admin", "GET", &format!("{projects}/gone")).refused(404, "NotFound", message);
}

#[test]
fn reviews_say_who_one_is_and_what_one_may() {
    let api = Api::asleep();
    let review = |user: &str, path: &str, body: Value| api.send(api.request(user, "POST", path).json(&body));
    let who = review("dev", "/apis/authentication.k8s.io/v1/selfsubjectreviews", json!({}));
    who.expect(201, &json!({"status": {"userInfo": {"username": "dev"}}}));

    let rules = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let rules = |user: &str, namespace: &str| {
        let answer = review(user, rules, json!({"spec": {"namespace": namespace}}));
        let body = answer.expect(201, &json!({"status": {"incomplete": false}}));
        body["status"]["resourceRules"].to_string()
    };
    assert!(rules("dev", "myproj").contains("serviceaccounts"));
    assert!(!rules("dev", "default").contains("serviceaccounts"));
    assert!(rules("admin", "default").contains("\"*\""));
    assert!(!rules("nobody", "myproj").contains("secrets"));

    review("dev", REVIEW, json!({"spec": {}})).expect(422, &json!({"reason": "Invalid"}));
    assert_eq!(api.call("dev", "GET", REVIEW).status, 403);
}

#[test]
fn only_the_admin_impersonates() {
    let api = Api::asleep();
    let as_user = |user: &str, impersonated: &str| {
        api.send(api.request(user, "POST", SECRETS).header("Impersonate-User", impersonated).json(&secret("a")))
    };
    let message =
        "users \"admin\" is forbidden: User \"dev\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope";
    as_user("dev", "admin").refused(403, "Forbidden", message);
    as_user("admin", "stranger").expect(403, &json!({"reason": "Forbidden"}));
    as_user("admin", "dev").expect(201, &json!({}));

    let in_group = |group: &str| {
        let request = api.request("admin", "GET", SECRETS).header("Impersonate-User", "stranger");
        api.send(request.header("Impersonate-Group", group)).status
    };
    assert_eq!((in_group("system:cluster-admins"), in_group("developers")), (200, 403));
    let group_only = api.request("admin", "GET", SECRETS).header("Impersonate-Group", "developers");
    assert_eq!(api.send(group_only).status, 500);
}

#[test]
fn a_right_can_be_taken_from_an_admin() {
    let api = Api::asleep();
    api.sandbox.openshift.deny("admin", "create", "", "secrets");
    let ask = |verb: &str| {
        let asked = json!({
            "namespace": "myproj", "verb": verb, "group": "", "version": "v1", "resource": "secrets", "name": "a",
        });
        let review = api.send_json("POST", REVIEW, &json!({"spec": {"resourceAttributes": asked}})).expect(201, &json!({}));
        review["status"]["allowed"] == true
    };
    assert_eq!((ask("create"), ask("get")), (false, true));
    let message =
        "secrets is forbidden: User \"admin\" cannot create resource \"secrets\" in API group \"\" in the namespace \"myproj\"";
    api.send_json("POST", SECRETS, &secret("a")).refused(403, "Forbidden", message);
    api.get(SECRETS);
    api.sandbox.openshift.deny("admin", "*", "operators.coreos.com", "*");
    assert_eq!(api.call("admin", "GET", "/apis/operators.coreos.com/v1alpha1/subscriptions").status, 403);
}
