//! Admission webhooks are really called: over TLS, with what they say applied to the object before it is stored.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Certificate, Client};
use serde_json::{Value, json};

use super::access::User;
use super::api_errors::Rejection;
use super::patch::PatchType;
use super::webhooks::{self, Written};
use super::{OpenShift, meta};

/// Addresses of webhook services, by `name.namespace.svc`.
pub(crate) type Services = HashMap<String, SocketAddr>;

/// A write request, as a webhook receives it.
pub(crate) struct Request<'a> {
    pub(crate) written: Written<'a>,
    pub(crate) name: &'a str,
    pub(crate) old: Option<&'a Value>,
    pub(crate) user: &'a User,
    pub(crate) dry_run: bool,
}

/// An object after all webhooks, and what they warn of.
pub(crate) struct Admitted {
    pub(crate) object: Value,
    pub(crate) warnings: Vec<String>,
}

/// Calls every matching webhook.  # Errors When one denies it; and when one whose `failurePolicy`
/// is `Fail` cannot be called.
pub(crate) async fn admit(
    openshift: &OpenShift,
    request: Request<'_>,
) -> Result<Admitted, Rejection> {
    let webhooks = webhooks::concerning(&openshift.store(), &request.written);
    let mut admitted = Admitted { object: request.written.object.clone(), warnings: Vec::new() };
    for webhook in webhooks {
        let review = request.review(&admitted.object);
        match call(openshift, &webhook, &review).await {
            Ok(response) => admitted.apply(&webhook, &response)?,
            Err(why) if webhook["failurePolicy"] == "Ignore" => drop(why),
            Err(why) => return Err(Rejection::webhook_failed(name(&webhook), &why)),
        }
    }
    Ok(admitted)
}

fn name(webhook: &Value) -> &str {
    webhook["name"].as_str().unwrap_or_default()
}

impl Request<'_> {
    fn review(&self, object: &Value) -> Value {
        let Written { kind, operation, subresource, namespace, .. } = self.written;
        let resource =
            json!({"group": kind.group, "version": kind.version, "resource": kind.plural});
        let of_kind = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
        let mut request = json!({
            "uid": meta::uid(),
            "kind": of_kind,
            "resource": resource,
            "requestKind": of_kind,
            "requestResource": resource,
            "name": self.name,
            "operation": operation,
            "userInfo": {"username": self.user.name, "groups": self.user.groups},
            "object": object,
            "oldObject": self.old,
            "dryRun": self.dry_run,
            "options": {"kind": match operation { "CREATE" => "CreateOptions", _ => "UpdateOptions" }, "apiVersion": "meta.k8s.io/v1"},
        });
        if self.dry_run {
            request["options"]["dryRun"] = json!(["All"]);
        }
        for (field, value) in [
            ("namespace", namespace),
            ("subResource", subresource),
            ("requestSubResource", subresource),
        ] {
            if !value.is_empty() {
                request[field] = json!(value);
            }
        }
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request})
    }
}

impl Admitted {
    /// Applies a response, with the denial of kubernetes `pkg/admission/plugin/webhook/errors`.
    fn apply(&mut self, webhook: &Value, response: &Value) -> Result<(), Rejection> {
        let warnings =
            response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
        self.warnings.extend(warnings.map(str::to_owned));
        if response["allowed"] != true {
            let status = &response["status"];
            let why = [&status["message"], &status["reason"]]
                .into_iter()
                .find_map(Value::as_str)
                .unwrap_or_default();
            let code = status["code"]
                .as_u64()
                .and_then(|code| u16::try_from(code).ok())
                .unwrap_or_default();
            return Err(Rejection::denied(name(webhook), code, why));
        }
        let Some(patch) = response["patch"].as_str() else { return Ok(()) };
        let failed = |why: &str| Rejection::webhook_failed(name(webhook), why);
        if response["patchType"] != "JSONPatch" {
            return Err(failed(&format!(
                "unsupported patch type {:?}",
                response["patchType"].as_str().unwrap_or_default()
            )));
        }
        let patch = STANDARD.decode(patch).map_err(|_| failed("illegal base64 data"))?;
        self.object = PatchType::Json
            .apply(&self.object, &patch)
            .map_err(|rejection| failed(&rejection.message))?;
        Ok(())
    }
}

/// Sends a review and checks that the response belongs to it.
async fn call(openshift: &OpenShift, webhook: &Value, review: &Value) -> Result<Value, String> {
    let config = &webhook["clientConfig"];
    let seconds = webhook["timeoutSeconds"].as_u64().unwrap_or(10);
    let mut client = Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(seconds))
        .tls_certs_only(trusted(config)?);
    let (shown, called) = match config["url"].as_str() {
        Some(url) => (url.to_owned(), url.to_owned()),
        None => {
            let service = &config["service"];
            let text = |field: &str| service[field].as_str().unwrap_or_default();
            let host = format!("{}.{}.svc", text("name"), text("namespace"));
            let shown = format!("https://{host}:{}{}", service["port"], text("path"));
            let Some(address) = openshift.service(&host) else {
                let name = text("name");
                return Err(format!(
                    "Post \"{shown}?timeout={seconds}s\": service \"{name}\" not found"
                ));
            };
            client = client.resolve(&host, address);
            (shown, format!("https://{host}:{}{}", address.port(), text("path")))
        }
    };
    let failed = |why: &str| format!("Post \"{shown}?timeout={seconds}s\": {why}");
    let client = client.build().map_err(|error| failed(&error.to_string()))?;
    let request = client.post(format!("{called}?timeout={seconds}s")).json(review);
    let answer = request.send().await.map_err(|error| failed(&cause(&error)))?;
    if answer.status() != 200 {
        return Err(format!(
            "the server responded with the status code {} but did not return more information",
            answer.status()
        ));
    }
    let answer: Value = answer.json().await.map_err(|error| failed(&cause(&error)))?;
    let response = &answer["response"];
    let asked = &review["request"]["uid"];
    if (&answer["kind"], &answer["apiVersion"]) != (&review["kind"], &review["apiVersion"]) {
        return Err(format!(
            "expected webhook response of {}, Kind={}",
            review["apiVersion"], review["kind"]
        ));
    }
    match response["uid"] == *asked {
        true => Ok(response.clone()),
        false => Err(format!("expected response.uid={asked}, got {}", response["uid"])),
    }
}

/// The certificates of a `caBundle`.
fn trusted(config: &Value) -> Result<Vec<Certificate>, String> {
    let bundle = STANDARD
        .decode(config["caBundle"].as_str().unwrap_or_default())
        .map_err(|error| error.to_string())?;
    Certificate::from_pem_bundle(&bundle)
        .map_err(|_| "unable to load root certificates: unable to parse bytes as PEM block".into())
}

/// Why a call failed, in the words of Go's client where people search for them.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "context deadline exceeded".to_owned();
    }
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let text = deepest.to_string();
    let unknown_authority =
        "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    let known = [
        ("UnknownIssuer", unknown_authority),
        // An authority of the same name with another key.
        ("BadSignature", unknown_authority),
        ("onnection refused", "connect: connection refused"),
    ];
    known
        .iter()
        .find(|(part, _)| text.contains(part))
        .map_or(text.clone(), |(_, words)| (*words).to_owned())
}
