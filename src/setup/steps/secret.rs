//! The Secret with the token and Quay's certificate authority.

use serde_json::json;

use crate::cluster::{Credentials, ObjectKind};
use crate::domain::finding::Severity;
use crate::domain::integration::{OPERATOR_TOKEN_KEY, StoredTokenState};
use crate::domain::names::validate_kubernetes_name;
use crate::error::Error;
use crate::printable::printable;
use crate::quay::{ErrorKind, QuayError, TokenInfo};
use crate::setup::{ObjectChange, ObjectWrite, SetupChange, SetupSession, StepPlan, TokenSource};
use crate::ui::Ui;

pub(in crate::setup) fn plan(setup: &SetupSession) -> StepPlan {
    let mut plan = StepPlan::default();
    let key = setup.secret();
    if key.key != OPERATOR_TOKEN_KEY {
        let text =
            format!("the operator reads only the key `{OPERATOR_TOKEN_KEY}`, not `{}`", key.key);
        plan.note(Severity::Warning, text);
    }
    for (what, name) in [("Secret", &key.name), ("namespace", &key.namespace)] {
        if let Err(problem) = validate_kubernetes_name(name) {
            return plan.blocked(format!("invalid {what} name: {problem}"));
        }
    }
    let credentials = match &setup.found.credentials {
        Ok(credentials) => credentials,
        Err(unread) => return plan.blocked(unread.to_string()),
    };
    let is_awaited = matches!(setup.options.token, Some(TokenSource::Later))
        || !super::token::plan(setup).changes.is_empty();
    let will_have_token = setup.token.is_some() || is_awaited;
    let holds_ours = setup.token_is_stored() && (setup.token.is_some() || !will_have_token);
    let ca_is_stored = setup.ca() == credentials.ca.as_ref();
    if credentials.exists() && holds_ours && ca_is_stored {
        plan.note(Severity::Ok, format!("{key}, holds the token"));
        return plan;
    }
    if !will_have_token && !setup.token_is_stored() {
        return plan.skipped("there is no token to store yet");
    }
    if is_other_token(setup, credentials, will_have_token) {
        plan.note(Severity::Info, describe_stored_token(setup, credentials));
        if is_rejected(setup) {
            plan.note(Severity::Info, "it is replaced because Quay rejected it");
        } else {
            match setup.options.replace_token {
                Some(true) => {}
                Some(false) => return plan.skipped("the existing token is kept"),
                None => {
                    return plan.needs(
                        "whether to replace the existing token",
                        "--replace-token (OC_QUAY_REPLACE_TOKEN)",
                    );
                }
            }
        }
    }
    if !credentials.exists() && !namespace_exists(setup, &key.namespace) {
        plan.changes.push(SetupChange::Object(ObjectChange {
            kind: ObjectKind::Namespace,
            namespace: None,
            name: key.namespace.clone(),
            write: ObjectWrite::Create(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": key.namespace } })),
            summary: format!("create namespace {}", key.namespace),
        }));
    }
    let what = match (holds_ours, ca_is_stored) {
        (true, _) => "Quay's certificate authority (ca.crt)",
        (false, true) => "the token",
        (false, false) => "the token, and Quay's certificate authority (ca.crt)",
    };
    plan.changes.push(SetupChange::WriteSecret {
        key,
        version: credentials.resource_version.clone(),
        what,
    });
    plan
}

/// Whether the Secret holds a different token from the one to store.
fn is_other_token(setup: &SetupSession, credentials: &Credentials, will_have_token: bool) -> bool {
    let holds_one = credentials.stored == StoredTokenState::Present;
    holds_one && will_have_token && !(setup.token.is_some() && setup.token_is_stored())
}

/// Whether Quay rejected the stored token.
fn is_rejected(setup: &SetupSession) -> bool {
    matches!(&setup.found.stored, Some(Err(error)) if error.kind == ErrorKind::Unauthorized)
}

/// Describes the stored token by owner and date.
fn describe_stored_token(setup: &SetupSession, credentials: &Credentials) -> String {
    let owner = |info: &Option<Result<TokenInfo, QuayError>>| match info {
        Some(Ok(info)) => {
            format!("of {}", info.user.as_deref().unwrap_or("an unknown user"))
        }
        Some(Err(error)) if error.kind == ErrorKind::Unauthorized => {
            "that Quay rejected".to_owned()
        }
        Some(Err(_)) => "that could not be checked".to_owned(),
        None if !setup.stored_for_this_quay() => "for the previous Quay".to_owned(),
        None => "of an unknown user".to_owned(),
    };
    let since = credentials
        .changed
        .as_ref()
        .or(credentials.created.as_ref())
        .map(|time| format!(", written {time}"))
        .unwrap_or_default();
    let other = match &setup.found.given {
        Some(Ok(info)) => format!(
            "; the new one belongs to {}",
            info.user.as_deref().unwrap_or("an unknown user")
        ),
        _ => String::new(),
    };
    format!("{} holds a token {}{since}{other}", setup.secret(), owner(&setup.found.stored))
}

fn namespace_exists(setup: &SetupSession, name: &str) -> bool {
    // If the namespaces are unknown, the server reports a missing one.
    setup
        .found
        .namespaces
        .as_ref()
        .map_or(true, |namespaces| namespaces.iter().any(|(known, _)| known == name))
}

pub(in crate::setup) fn ask(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    let needs_answer = matches!(plan(setup).blocker, Some(crate::setup::Blocker::Needs(_)));
    if needs_answer && let Ok(credentials) = &setup.found.credentials {
        ui.status(&printable(&describe_stored_token(setup, credentials)));
        setup.options.replace_token = Some(ui.confirm("Replace it?", true)?);
    }
    Ok(())
}
