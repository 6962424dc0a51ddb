//! The Secret with the token, and Quay's certificate authority beside it.

use serde_json::json;

use crate::cluster::{Credentials, ObjectKind};
use crate::domain::finding::Severity;
use crate::domain::integration::{OPERATOR_TOKEN_KEY, StoredTokenState};
use crate::domain::names::kubernetes_name;
use crate::error::Error;
use crate::quay::{ErrorKind, QuayError, TokenInfo};
use crate::setup::{ObjectChange, ObjectWrite, SetupChange, SetupSession, StepPlan, TokenSource};
use crate::ui::{Ui, printable};

pub(in crate::setup) fn plan(setup: &SetupSession) -> StepPlan {
    let mut plan = StepPlan::default();
    let key = setup.secret();
    if key.key != OPERATOR_TOKEN_KEY {
        let text = format!(
            "the operator reads the key `{OPERATOR_TOKEN_KEY}` whatever the QuayIntegration says; it will not find `{}`",
            key.key
        );
        plan.fact(Severity::Warning, text);
    }
    for name in [&key.name, &key.namespace] {
        if let Err(problem) = kubernetes_name(name) {
            return plan.blocked(format!("no secret can be called that: {problem}"));
        }
    }
    let credentials = match &setup.found.credentials {
        Ok(credentials) => credentials,
        Err(unread) => return plan.blocked(unread.to_string()),
    };
    let is_awaited = matches!(setup.answers.token, Some(TokenSource::Later))
        || !super::token::plan(setup).changes.is_empty();
    let will_have_token = setup.token.is_some() || is_awaited;
    let holds_ours = setup.token_is_stored() && (setup.token.is_some() || !will_have_token);
    let ca_is_stored = setup.ca() == credentials.ca.as_ref();
    if credentials.exists() && holds_ours && ca_is_stored {
        plan.fact(Severity::Ok, format!("{key}, holds the token"));
        return plan;
    }
    if !will_have_token && !setup.token_is_stored() {
        return plan.skipped("there is no token to store yet");
    }
    if is_other_token(setup, credentials, will_have_token) {
        plan.fact(Severity::Info, describe(setup, credentials));
        if is_refused(setup) {
            plan.fact(Severity::Info, "it is replaced, since Quay does not accept it any more");
        } else {
            match setup.answers.replace_token {
                Some(true) => {}
                Some(false) => return plan.skipped("the token that is there stays"),
                None => {
                    return plan.needs(
                        "whether the token that is there may be replaced",
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

/// Whether the Secret holds a token that is not the one that is to be stored.
fn is_other_token(setup: &SetupSession, credentials: &Credentials, will_have_token: bool) -> bool {
    let holds_one = credentials.stored == StoredTokenState::Present;
    holds_one && will_have_token && !(setup.token.is_some() && setup.token_is_stored())
}

/// Whether Quay has refused the stored token, which makes it nobody's loss.
fn is_refused(setup: &SetupSession) -> bool {
    matches!(&setup.found.stored, Some(Err(error)) if error.kind == ErrorKind::Unauthorized)
}

/// The token that is there, by date and owner.
fn describe(setup: &SetupSession, credentials: &Credentials) -> String {
    let owner = |trial: &Option<Result<TokenInfo, QuayError>>| match trial {
        Some(Ok(trial)) => {
            format!("of {}", trial.user.as_deref().unwrap_or("a user it may not name"))
        }
        Some(Err(error)) if error.kind == ErrorKind::Unauthorized => {
            "that Quay does not accept".to_owned()
        }
        Some(Err(_)) => "that could not be tried".to_owned(),
        None if !setup.stored_for_this_quay() => "for the Quay that was used until now".to_owned(),
        None => "of somebody".to_owned(),
    };
    let since = credentials
        .changed
        .as_ref()
        .or(credentials.created.as_ref())
        .map(|time| format!(", written {time}"))
        .unwrap_or_default();
    let other = match &setup.found.given {
        Some(Ok(trial)) => format!(
            "; the new one is of {}",
            trial.user.as_deref().unwrap_or("a user it may not name")
        ),
        _ => String::new(),
    };
    format!("{} holds a token {}{since}{other}", setup.secret(), owner(&setup.found.stored))
}

fn namespace_exists(setup: &SetupSession, name: &str) -> bool {
    // One that could not be looked for is left to the server to miss.
    setup
        .found
        .namespaces
        .as_ref()
        .map_or(true, |namespaces| namespaces.iter().any(|(known, _)| known == name))
}

pub(in crate::setup) fn ask(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    let needs_answer = matches!(plan(setup).obstacle, Some(crate::setup::Blocker::Needs(_)));
    if needs_answer && let Ok(credentials) = &setup.found.credentials {
        ui.status(&printable(&describe(setup, credentials)));
        setup.answers.replace_token = Some(ui.confirm("Replace it?", true)?);
    }
    Ok(())
}
