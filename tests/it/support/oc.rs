//! The `oc` commands of hints as their API calls, so that tests need no `oc`.

use std::process;

use reqwest::Method;
use serde_json::{Value, json};

use super::TestEnv;
use super::test_env::collection;

/// The words of a command line, split by a shell.
pub(crate) fn shell_words(line: &str) -> Vec<String> {
    // A line with several commands or expansions prints other words.
    let script = format!("set -f; set -- {line}\nprintf '%s\\0' \"$@\"");
    let output = process::Command::new("sh").args(["-c", &script]).env_clear().output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{line}: {output:?}");
    let words = String::from_utf8(output.stdout).unwrap();
    words.split_terminator('\0').map(str::to_owned).collect()
}

struct Call<'a> {
    user: &'a str,
    namespace: &'a str,
    field_selector: &'a str,
    words: Vec<&'a str>,
}

impl<'a> Call<'a> {
    fn parse(user: &'a str, arguments: &[&'a str]) -> Result<Self, String> {
        let mut call = Self { user, namespace: "", field_selector: "", words: vec![] };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().copied().ok_or(format!("{argument} has no value"));
            match *argument {
                "-n" => call.namespace = value()?,
                "--context" => call.user = value()?,
                "--field-selector" => call.field_selector = value()?,
                "-o" => drop(value()?),
                flag if flag.starts_with('-') => {
                    return Err(format!("the flag {flag} is not supported"));
                }
                word => call.words.push(word),
            }
        }
        Ok(call)
    }
}

impl TestEnv {
    /// Runs `oc` as a user of the cluster and returns the objects of the command. `edit` writes
    /// them back unchanged, which needs the permission to change them.
    pub(crate) fn oc(&self, user: &str, arguments: &[&str]) -> Result<Vec<Value>, String> {
        let call = Call::parse(user, arguments)?;
        match call.words.as_slice() {
            ["get" | "describe", kind, names @ ..] => self.read(&call, kind, names),
            ["edit", kind, names @ ..] => {
                let found = self.read(&call, kind, names)?;
                found
                    .into_iter()
                    .map(|object| {
                        self.write(&call, Method::PATCH, kind, &name(&object), &json!({}))
                    })
                    .collect()
            }
            ["delete", kind, name] => {
                Ok(vec![self.write(&call, Method::DELETE, kind, name, &Value::Null)?])
            }
            ["cancel-build", name] => {
                let cancelled = json!({ "status": { "cancelled": true } });
                let written = self.write(&call, Method::PATCH, "build", name, &cancelled)?;
                // oc waits for the build controller as well.
                self.wait_for_build(call.namespace, name, "Cancelled");
                Ok(vec![written])
            }
            ["rollout", "restart", workload] => {
                let (kind, name) = workload.split_once('/').ok_or("no workload")?;
                let annotations =
                    json!({ "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z" });
                let template = json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } });
                Ok(vec![self.write(&call, Method::PATCH, kind, name, &template)?])
            }
            // The sandbox has one role, that of a project's administrator, which has the permissions of `view` and `edit`.
            ["policy", "add-role-to-user", "view" | "edit", user] => {
                self.grant(user, call.namespace);
                Ok(vec![])
            }
            words => Err(format!("`oc {}` is not supported", words.join(" "))),
        }
    }

    fn read(&self, call: &Call<'_>, kind: &str, names: &[&str]) -> Result<Vec<Value>, String> {
        let path = path(call, kind)?;
        let get = |path: &str| match self.api_as(call.user, Method::GET, path, None) {
            (200, body) => Ok(body),
            (status, body) => Err(format!("{} cannot get {path}: {status} {body}", call.user)),
        };
        if !names.is_empty() {
            return names.iter().map(|name| get(&format!("{path}/{name}"))).collect();
        }
        let selector = call.field_selector.replace('=', "%3D").replace('/', "%2F");
        let list = get(&format!("{path}?fieldSelector={selector}"))?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    fn write(
        &self,
        call: &Call<'_>,
        method: Method,
        kind: &str,
        name: &str,
        body: &Value,
    ) -> Result<Value, String> {
        let path = format!("{}/{name}", path(call, kind)?);
        match self.api_as(
            call.user,
            method.clone(),
            &path,
            Some(body).filter(|body| !body.is_null()),
        ) {
            (200 | 202, body) => Ok(body),
            (status, body) => Err(format!("{} cannot {method} {path}: {status} {body}", call.user)),
        }
    }
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn path(call: &Call<'_>, kind: &str) -> Result<String, String> {
    let kind = match kind {
        "quayintegrations.quay.redhat.com" => "QuayIntegration",
        "images.config.openshift.io" => "Image",
        "mutatingwebhookconfigurations" => "MutatingWebhookConfiguration",
        "projects" => "Project",
        "pod" | "pods" => "Pod",
        "secrets" => "Secret",
        "serviceaccounts" => "ServiceAccount",
        "deployment" | "deployments" => "Deployment",
        "imagestreams" => "ImageStream",
        "build" | "builds" => "Build",
        "buildconfigs" => "BuildConfig",
        other => return Err(format!("the kind {other} is not supported")),
    };
    let is_of_cluster =
        ["QuayIntegration", "Image", "MutatingWebhookConfiguration", "Project"].contains(&kind);
    match (is_of_cluster, call.namespace) {
        (false, "") => Err(format!("{kind} without a namespace is looked for in the wrong one")),
        (false, namespace) => Ok(collection(kind, namespace)),
        (true, _) => Ok(collection(kind, "")),
    }
}
