//! Validation of Builds and BuildConfigs (openshift-apiserver
//! `pkg/build/apis/build/validation/validation.go`).

use serde_json::{Map, Value, json};

use super::super::api_errors::Cause;
use super::super::validate::is_repository_name;
use super::is_complete;

const STRATEGIES: [&str; 4] =
    ["sourceStrategy", "customStrategy", "dockerStrategy", "jenkinsPipelineStrategy"];

/// Checks what a Build and a BuildConfig have in common.
pub(crate) fn check_spec(spec: &Value, causes: &mut Vec<Cause>) {
    let has = |parent: &Value, field: &str| !parent[field].is_null();
    let strategy = &spec["strategy"];
    let sources = ["git", "binary", "dockerfile", "images"];
    if has(strategy, "dockerStrategy") && !sources.iter().any(|source| has(&spec["source"], source))
    {
        let why =
            "must provide a value for at least one source input(git, binary, dockerfile, images).";
        causes.push(Cause::invalid("spec.source", &json!(""), why));
    }
    check_output(&spec["output"], causes);
    if STRATEGIES.iter().filter(|name| has(strategy, name)).count() != 1 {
        let why = "must provide a value for exactly one of sourceStrategy, customStrategy, dockerStrategy, or \
                   jenkinsPipelineStrategy";
        causes.push(Cause::invalid("spec.strategy", strategy, why));
    }
}

fn check_output(output: &Value, causes: &mut Vec<Cause>) {
    let text = |field: &str| output["to"][field].as_str().unwrap_or_default().to_owned();
    let (kind, name, namespace) = (text("kind"), text("name"), text("namespace"));
    match kind.as_str() {
        _ if output["to"].is_null() => {}
        "ImageStreamTag" if name.is_empty() => {
            causes.push(Cause::required("spec.output.to.name", ""))
        }
        "ImageStreamTag" => match name.split_once(':') {
            Some((stream, tag)) if !stream.is_empty() && !tag.is_empty() && !tag.contains(':') => {
                if !is_repository_name(stream) {
                    let why = "ImageStreamTag name contains invalid syntax";
                    causes.push(Cause::invalid("spec.output.to.name", &json!(name), why));
                }
            }
            _ => {
                let why = "ImageStreamTag object references must be in the form <name>:<tag>";
                causes.push(Cause::invalid("spec.output.to.name", &json!(name), why));
            }
        },
        "DockerImage" => {
            if !namespace.is_empty() {
                let why = "namespace is not valid when used with a 'DockerImage'";
                causes.push(Cause::invalid("spec.output.to.namespace", &json!(namespace), why));
            }
            if name.is_empty() {
                let why = "name is not a valid Docker pull specification: invalid reference format";
                causes.push(Cause::invalid("spec.output.to.name", &json!(name), why));
            }
        }
        "" => causes.push(Cause::required("spec.output.to.kind", "")),
        _ => {
            let why = "the target of build output must be an 'ImageStreamTag' or 'DockerImage'";
            causes.push(Cause::invalid("spec.output.to.kind", &json!(kind), why));
        }
    }
    if !output["pushSecret"].is_null()
        && output["pushSecret"]["name"].as_str().is_none_or(str::is_empty)
    {
        causes.push(Cause::required("spec.output.pushSecret.name", ""));
    }
}

/// Checks a new version of a Build: of its spec only the push secret is mutable, and it has ended only once.
pub(crate) fn check_update(old: &Value, build: &Value, causes: &mut Vec<Cause>) {
    let phase = &build["status"]["phase"];
    if is_complete(old) && old["status"]["phase"] != *phase {
        causes.push(Cause::invalid(
            "status.phase",
            phase,
            "phase cannot be updated from a terminal state",
        ));
    }
    let mut allowed = old["spec"].clone();
    if let Some(output) = allowed["output"].as_object_mut() {
        output.remove("pushSecret");
        output.extend(
            build["spec"]["output"]
                .get("pushSecret")
                .map(|secret| ("pushSecret".to_owned(), secret.clone())),
        );
    }
    if build["spec"] != allowed {
        let why = format!(
            "spec is immutable, diff: {}",
            json!({ "spec": difference(&allowed, &build["spec"]) })
        );
        let hidden = json!("content of spec is not printed out, please refer to the details");
        causes.push(Cause::invalid("spec", &hidden, &why));
    }
}

/// The merge patch that makes `new` of `old`.
fn difference(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return new.clone();
    };
    let removed =
        old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed =
        new.iter().filter(|(key, value)| old.get(*key) != Some(value)).map(|(key, value)| {
            let before = old.get(key).unwrap_or(&Value::Null);
            (key.clone(), difference(before, value))
        });
    Value::Object(removed.chain(changed).collect::<Map<_, _>>())
}
