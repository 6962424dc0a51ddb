//! Rejections in the API server's own words (k8s.io/apimachinery `pkg/api/errors` and `pkg/util/validation/field`).

use serde_json::{Map, Value, json};

use super::kinds::Kind;

/// Why a request was rejected: the API answers with it as a `Status` object.
#[derive(Debug, Clone)]
pub(crate) struct Rejection {
    pub(crate) code: u16,
    reason: &'static str,
    pub(crate) message: String,
    details: Value,
}

/// An invalid field.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    reason: &'static str,
    field: String,
    message: String,
}

impl Cause {
    /// The field has to be there and is not.
    pub(crate) fn required(field: &str, why: &str) -> Self {
        let message = if why.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {why}")
        };
        Self { reason: "FieldValueRequired", field: field.to_owned(), message }
    }

    /// The field has an invalid value.
    pub(crate) fn invalid(field: &str, value: &Value, why: &str) -> Self {
        let message = format!("Invalid value: {value}: {why}");
        Self { reason: "FieldValueInvalid", field: field.to_owned(), message }
    }

    /// The field has a value of another JSON type than the schema says.
    pub(crate) fn wrong_type(field: &str, found: &str, expected: &str) -> Self {
        let message = format!(
            "Invalid value: \"{found}\": {field} in body must be of type {expected}: \"{found}\""
        );
        Self { reason: "FieldValueTypeInvalid", field: field.to_owned(), message }
    }

    /// The field's value is none of those it can have.
    pub(crate) fn not_supported(field: &str, value: &Value, supported: &[Value]) -> Self {
        let supported: Vec<String> = supported.iter().map(Value::to_string).collect();
        let message =
            format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        Self { reason: "FieldValueNotSupported", field: field.to_owned(), message }
    }

    /// The field must not be set, or is immutable.
    pub(crate) fn forbidden(field: &str, why: &str) -> Self {
        Self {
            reason: "FieldValueForbidden",
            field: field.to_owned(),
            message: format!("Forbidden: {why}"),
        }
    }
}

impl Rejection {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    fn about(mut self, kind: &str, group: &str, name: &str) -> Self {
        let mut details = Map::new();
        for (key, value) in [("name", name), ("group", group), ("kind", kind)] {
            if !value.is_empty() {
                details.insert(key.to_owned(), json!(value));
            }
        }
        self.details = Value::Object(details);
        self
    }

    pub(crate) fn not_found(kind: &Kind, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", kind.resource());
        Self::new(404, "NotFound", message).about(kind.plural, kind.group, name)
    }

    /// A group that the server knows has no such resource.
    pub(crate) fn resource_not_found() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
            .about("", "", "")
    }

    pub(crate) fn already_exists(kind: &Kind, name: &str, being_deleted: bool) -> Self {
        let prefix = if being_deleted { "object is being deleted: " } else { "" };
        let message = format!("{prefix}{} \"{name}\" already exists", kind.resource());
        Self::new(409, "AlreadyExists", message).about(kind.plural, kind.group, name)
    }

    pub(crate) fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.resource());
        Self::new(409, "Conflict", message).about(kind.plural, kind.group, name)
    }

    /// A write based on a version that is not the current one any more.
    pub(crate) fn modified(kind: &Kind, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(kind, name, why)
    }

    pub(crate) fn invalid(kind: &Kind, name: &str, causes: &[Cause]) -> Self {
        Self::invalid_as(kind.kind, kind.group, &kind.qualified(), name, causes)
    }

    /// Options that contradict the request; `kind` is e.g. `PatchOptions`.
    pub(crate) fn invalid_options(kind: &str, cause: Cause) -> Self {
        Self::invalid_as(kind, "meta.k8s.io", &format!("{kind}.meta.k8s.io"), "", &[cause])
    }

    fn invalid_as(kind: &str, group: &str, qualified: &str, name: &str, causes: &[Cause]) -> Self {
        let texts: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let text = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let message = format!("{qualified} \"{name}\" is invalid: {text}");
        let mut rejection = Self::new(422, "Invalid", message).about(kind, group, name);
        rejection.details["causes"] =
            causes.iter().map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field})).collect();
        rejection
    }

    /// A JSON patch whose operations do not fit the object, a failed `test` among them.
    pub(crate) fn patch_does_not_apply() -> Self {
        Self::new(422, "Invalid", "the server rejected our request due to an error in our request")
            .about("", "", "")
    }

    pub(crate) fn forbidden(plural: &str, group: &str, name: &str, why: &str) -> Self {
        let resource =
            if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        let object = if name.is_empty() { resource } else { format!("{resource} \"{name}\"") };
        Self::new(403, "Forbidden", format!("{object} is forbidden: {why}"))
            .about(plural, group, name)
    }

    pub(crate) fn forbidden_path(user: &str, path: &str) -> Self {
        Self::new(
            403,
            "Forbidden",
            format!("forbidden: User \"{user}\" cannot get path \"{path}\""),
        )
        .about("", "", "")
    }

    pub(crate) fn namespace_terminating(kind: &Kind, name: &str, namespace: &str) -> Self {
        let why = format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        );
        let mut rejection = Self::forbidden(kind.plural, kind.group, name, &why);
        let message = format!("namespace {namespace} is being terminated");
        rejection.details["causes"] = json!([{"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}]);
        rejection
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
        .about("", "", "")
    }

    /// A new object of a kind whose definition is being deleted.
    pub(crate) fn definition_terminating(kind: &Kind, name: &str) -> Self {
        let why = "create not allowed while custom resource definition is terminating";
        Self::forbidden(kind.plural, kind.group, name, why)
    }

    pub(crate) fn not_acceptable() -> Self {
        let types = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
        Self::new(
            406,
            "NotAcceptable",
            format!("only the following media types are accepted: {types}"),
        )
    }

    pub(crate) fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// A version, or a page of a list, that history does not reach back to.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// A version that has not been reached yet.
    pub(crate) fn version_too_large(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let mut rejection = Self::new(504, "Timeout", message);
        rejection.details = json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        });
        rejection
    }

    /// An error that the API server has no reason for.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// A build whose service account does not exist (openshift-apiserver `fetchServiceAccountSecrets`).
    pub(crate) fn no_build_account(namespace: &str, account: &str) -> Self {
        let why = format!("serviceaccounts \"{account}\" not found");
        let message = format!(
            "error getting push/pull secrets for service account {namespace}/{account}: {why}"
        );
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"))
    }

    /// A webhook that has to agree could not be asked.
    pub(crate) fn webhook_failed(webhook: &str, why: &str) -> Self {
        let why = format!("failed calling webhook \"{webhook}\": failed to call webhook: {why}");
        let mut rejection =
            Self::new(500, "InternalError", format!("Internal error occurred: {why}"));
        rejection.details = json!({"causes": [{"message": why}]});
        rejection
    }

    /// A webhook does not agree.
    pub(crate) fn denied(webhook: &str, code: u16, why: &str) -> Self {
        let why =
            if why.is_empty() { " without explanation".to_owned() } else { format!(": {why}") };
        Self::new(
            code.max(400),
            "",
            format!("admission webhook \"{webhook}\" denied the request{why}"),
        )
    }

    /// The body of the answer.
    pub(crate) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }
}
