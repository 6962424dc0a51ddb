//! MutatingWebhookConfigurations: what the API server fills in and rejects, and which of them a request concerns.

use serde_json::{Value, json};

use super::api_errors::Cause;
use super::kinds::Kind;
use super::selectors::Selectors;
use super::store::Store;
use super::{kinds, meta};

/// The group whose own objects no webhook is asked about, so that a bad one can be taken away again.
const GROUP: &str = "admissionregistration.k8s.io";

/// The fields of a write that the rules of webhooks match.
pub(crate) struct Written<'a> {
    pub(crate) kind: &'static Kind,
    /// `CREATE` or `UPDATE`.
    pub(crate) operation: &'static str,
    /// Empty for the object itself.
    pub(crate) subresource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) object: &'a Value,
}

/// Fills in what a configuration leaves out (`pkg/apis/admissionregistration/v1/defaults.go`).
pub(crate) fn complete(configuration: &mut Value) {
    let defaults = [
        ("failurePolicy", json!("Fail")),
        ("matchPolicy", json!("Equivalent")),
        ("namespaceSelector", json!({})),
        ("objectSelector", json!({})),
        ("reinvocationPolicy", json!("Never")),
        ("timeoutSeconds", json!(10)),
    ];
    for webhook in configuration["webhooks"]
        .as_array_mut()
        .into_iter()
        .flatten()
        .filter(|webhook| webhook.is_object())
    {
        defaults.iter().for_each(|(field, value)| default(webhook, field, value));
        if webhook["clientConfig"]["service"].is_object() {
            default(&mut webhook["clientConfig"]["service"], "port", &json!(443));
        }
        for rule in
            webhook["rules"].as_array_mut().into_iter().flatten().filter(|rule| rule.is_object())
        {
            default(rule, "scope", &json!("*"));
        }
    }
}

fn default(object: &mut Value, field: &str, value: &Value) {
    if object[field].is_null() {
        object[field] = value.clone();
    }
}

/// Checks a configuration (`pkg/apis/admissionregistration/validation/validation.go`).
pub(crate) fn check(configuration: &Value, causes: &mut Vec<Cause>) {
    for (index, webhook) in configuration["webhooks"].as_array().into_iter().flatten().enumerate() {
        let at = |field: &str| format!("webhooks[{index}].{field}");
        if webhook["name"].as_str().is_none_or(|name| name.split('.').count() < 3) {
            let why = "should be a domain with at least three segments separated by dots";
            causes.push(Cause::invalid(&at("name"), &webhook["name"], why));
        }
        if webhook["admissionReviewVersions"].as_array().is_none_or(Vec::is_empty) {
            causes.push(Cause::required(
                &at("admissionReviewVersions"),
                "must specify one of v1, v1beta1",
            ));
        }
        match webhook["sideEffects"].as_str() {
            Some("None" | "NoneOnDryRun") => {}
            Some(_) => causes.push(Cause::not_supported(
                &at("sideEffects"),
                &webhook["sideEffects"],
                &[json!("None"), json!("NoneOnDryRun")],
            )),
            None => causes.push(Cause::required(
                &at("sideEffects"),
                "must specify one of None, NoneOnDryRun",
            )),
        }
        if !webhook["timeoutSeconds"].as_u64().is_some_and(|seconds| (1..=30).contains(&seconds)) {
            let why = "the timeout value must be between 1 and 30 seconds";
            causes.push(Cause::invalid(&at("timeoutSeconds"), &webhook["timeoutSeconds"], why));
        }
        let client = &webhook["clientConfig"];
        if client["url"].is_string() == client["service"].is_object() {
            causes.push(Cause::required(
                &at("clientConfig"),
                "exactly one of url or service is required",
            ));
        }
        if client["url"].as_str().is_some_and(|url| !url.starts_with("https://")) {
            let why = "'https' is the only allowed URL scheme";
            causes.push(Cause::invalid(&at("clientConfig.url"), &client["url"], why));
        }
    }
}

/// The webhooks that are to be asked, in the order in which they are.
pub(crate) fn concerning(store: &Store, written: &Written<'_>) -> Vec<Value> {
    let Some(configurations) =
        kinds::named("MutatingWebhookConfiguration").filter(|_| written.kind.group != GROUP)
    else {
        return Vec::new();
    };
    let namespace = match written.kind.plural {
        "namespaces" => Some(written.object),
        _ => store.get(kinds::NAMESPACE, "", written.namespace).map(|namespace| &**namespace),
    };
    let in_namespace = |webhook: &Value| {
        namespace.is_none_or(|namespace| {
            Selectors::from_label_selector(&webhook["namespaceSelector"]).select(namespace)
        })
    };
    let mut configurations: Vec<_> = store.list(configurations, None).collect();
    configurations.sort_by_key(|configuration| meta::name(configuration).to_owned());
    let webhooks = configurations
        .into_iter()
        .flat_map(|configuration| configuration["webhooks"].as_array().into_iter().flatten());
    webhooks
        .filter(|webhook| {
            webhook["rules"].as_array().into_iter().flatten().any(|rule| written.is_in(rule))
        })
        .filter(|webhook| {
            in_namespace(webhook)
                && Selectors::from_label_selector(&webhook["objectSelector"]).select(written.object)
        })
        .cloned()
        .collect()
}

impl Written<'_> {
    fn is_in(&self, rule: &Value) -> bool {
        let names = |field: &str, value: &str| {
            rule[field]
                .as_array()
                .into_iter()
                .flatten()
                .any(|each| each == "*" || each.as_str() == Some(value))
        };
        let (plural, subresource) = (self.kind.plural, self.subresource);
        let resource = match subresource {
            "" => names("resources", plural),
            _ => [
                "*/*",
                &format!("{plural}/*"),
                &format!("*/{subresource}"),
                &format!("{plural}/{subresource}"),
            ]
            .into_iter()
            .any(|pattern| {
                rule["resources"].as_array().into_iter().flatten().any(|each| each == pattern)
            }),
        };
        let scope = match rule["scope"].as_str() {
            Some("Namespaced") => self.kind.namespaced,
            Some("Cluster") => !self.kind.namespaced,
            _ => true,
        };
        names("operations", self.operation)
            && names("apiGroups", self.kind.group)
            && names("apiVersions", self.kind.version)
            && (resource || (subresource.is_empty() && names("resources", "*/*")))
            && scope
    }
}
