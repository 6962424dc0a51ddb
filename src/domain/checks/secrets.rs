//! Checks that each linked service account has a secret with the current credentials of its robot account.

use secrecy::ExposeSecret;

use super::{Assessed, Check};
use crate::domain::desired::{Desired, LinkedServiceAccount};
use crate::domain::finding::{Code, Finding};
use crate::domain::imports::used_credentials;
use crate::domain::names;
use crate::domain::snapshot::{NamespaceSnapshot, RegistryCredentials, Secret};

const TITLE: &str = "Secrets";
const KIND: &str = "Secret";

/// The only secret type that pods, builds and imports all read.
pub const SECRET_TYPE: &str = "kubernetes.io/dockerconfigjson";

/// The state of the secret of a service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretState {
    /// It does not exist.
    Missing,
    /// It is of this other type.
    WrongType(String),
    /// Its content is invalid, for this reason.
    Unreadable(String),
    /// It has no credentials for this Quay.
    WrongHost,
    /// Its credentials are those of this other user.
    WrongRobot(String),
    /// Its token is not the robot account's current one.
    Stale,
    /// Its user is correct, but the robot account's token is not readable.
    Unverified,
    /// It holds the current token.
    Current,
}

/// None if the secrets could not be read, or the robot account is unknown.
pub fn secret_state(
    desired: &Desired,
    account: &LinkedServiceAccount,
    snapshot: &NamespaceSnapshot,
) -> Option<SecretState> {
    let secrets = snapshot.secrets.as_ref().ok()?;
    let Some(secret) = secrets.iter().find(|secret| secret.name == account.secret) else {
        return Some(SecretState::Missing);
    };
    if secret.kind != SECRET_TYPE {
        return Some(SecretState::WrongType(secret.kind.clone()));
    }
    if let Err(reason) = &secret.credentials {
        return Some(SecretState::Unreadable(reason.clone()));
    }
    let Some(credentials) = secret.credentials_for(desired.place()) else {
        return Some(SecretState::WrongHost);
    };
    if credentials.username != desired.robot_username(&account.name) {
        return Some(SecretState::WrongRobot(credentials.username.clone()));
    }
    let robot = snapshot.organization()?.robot(&account.name)?;
    Some(match &robot.token {
        Some(token) if token.expose_secret() == credentials.password.expose_secret() => {
            SecretState::Current
        }
        Some(_) => SecretState::Stale,
        None => SecretState::Unverified,
    })
}

pub(super) fn check(subject: &Assessed) -> Check {
    if let Err(unread) = &subject.snapshot.secrets {
        return subject.unread(TITLE, subject.object(KIND, ""), unread);
    }
    if subject.lacks_organization() {
        return Check::skipped(TITLE, "the organization is missing");
    }
    if let Some(check) = subject.without_accounts(TITLE) {
        return check;
    }
    let accounts = subject.usable_accounts();
    // The URL of Quay might be wrong instead of every secret. It has a finding of its own.
    let is_known =
        |state: &SecretState| *state != SecretState::WrongHost || !subject.is_address_in_doubt();
    let state = |account| secret_state(subject.desired, account, subject.snapshot).filter(is_known);
    let states: Vec<_> = accounts.iter().map(|account| (*account, state(account))).collect();
    let current = states.iter().filter(|(_, state)| *state == Some(SecretState::Current)).count();
    let compared = states.iter().filter(|(_, state)| state.is_some()).count();
    let mut findings: Vec<_> = states
        .into_iter()
        .filter_map(|(account, state)| finding(subject, account, state?))
        .collect();
    findings.extend(undecodable(subject));
    findings.extend(kept_spares(subject));
    findings.extend(rival(subject));
    let fact = format!("{current} of {} current", accounts.len());
    match accounts.len() - compared {
        0 => Check::new(TITLE, fact, findings),
        uncompared => {
            Check::new(TITLE, format!("{fact}, {uncompared} not compared with Quay"), findings)
                .incomplete()
        }
    }
}

fn finding(
    subject: &Assessed,
    account: &LinkedServiceAccount,
    state: SecretState,
) -> Option<Finding> {
    let secret = &account.secret;
    let robot = subject.desired.robot_username(&account.name);
    let host = &subject.desired.host;
    let (code, message) = match state {
        SecretState::Current => return None,
        SecretState::Missing => (Code::SecretMissing, format!("Secret {secret} does not exist")),
        SecretState::WrongType(kind) => {
            (Code::SecretWrongType, format!("Secret {secret} is of type {kind}"))
        }
        SecretState::Unreadable(reason) => {
            (Code::SecretUnreadable, format!("Secret {secret} has invalid content: {reason}"))
        }
        SecretState::WrongHost => {
            (Code::SecretWrongHost, format!("Secret {secret} has no credentials for {host}"))
        }
        SecretState::WrongRobot(user) => (
            Code::SecretWrongRobot,
            format!("Secret {secret} holds credentials of {user}, not {robot}"),
        ),
        SecretState::Stale => (
            Code::SecretTokenStale,
            format!("Secret {secret} holds a stale token of robot account {robot}"),
        ),
        SecretState::Unverified => (
            Code::TokenNotReadable,
            format!("Quay does not show the token of robot account {robot}"),
        ),
    };
    Some(subject.finding(code, subject.object(KIND, secret), message))
}

/// Entries of others in our secrets that make kubelet ignore the whole secret. They are reported, not deleted.
fn undecodable(subject: &Assessed) -> Vec<Finding> {
    let place = subject.desired.place();
    let secrets = subject
        .desired
        .accounts
        .iter()
        .filter_map(|account| subject.snapshot.secret(&account.secret));
    let entries =
        secrets.flat_map(|secret| secret.undecodable.iter().map(move |key| (secret, key)));
    let of_others = entries.filter(|(_, key)| !place.is_served_by(key));
    of_others
        .map(|(secret, key)| {
            let message =
                format!("Secret {} has an entry for {key} that nodes cannot decode", secret.name);
            subject.finding(
                Code::SecretEntryUndecodable,
                subject.object(KIND, &secret.name),
                message,
            )
        })
        .collect()
}

/// The copy of a secret from an interrupted replacement.
pub struct Spare<'a> {
    /// The copy.
    pub secret: &'a Secret,
    /// The secret that it replaces, if that has the right type already. One of the wrong type does not count, since a
    /// replacement in progress might delete it.
    pub replaced: Option<&'a Secret>,
}

/// The copies from interrupted replacements.
pub fn spares<'a>(subject: &Assessed<'a>) -> impl Iterator<Item = Spare<'a>> {
    let (id, snapshot) = (&subject.integration.cluster_id.value, subject.snapshot);
    let ours = snapshot.secrets.iter().flatten().filter(|secret| secret.managed);
    ours.filter_map(|secret| {
        let name = names::secret_of_spare(&secret.name).filter(|name| id.names_secret(name))?;
        let replaced = snapshot.secret(name).filter(|replaced| replaced.kind == SECRET_TYPE);
        Some(Spare { secret, replaced })
    })
}

/// The copies of secrets that exist again and lack entries of others.
fn kept_spares(subject: &Assessed) -> Vec<Finding> {
    let is_kept = |spare: &Spare| {
        spare.replaced.is_some()
            && !spare.secret.is_covered_by(spare.replaced, &subject.desired.host)
    };
    spares(subject).filter(is_kept).map(|spare| kept_spare(subject, spare.secret)).collect()
}

/// The finding for a copy that is kept.
pub fn kept_spare(subject: &Assessed, spare: &Secret) -> Finding {
    let name = &spare.name;
    let message = format!(
        "Secret {name} is the copy from an interrupted replacement and is kept, since it might hold the only copy of other credentials"
    );
    subject.finding(Code::SecretKept, subject.object(KIND, name), message)
}

/// The secret that imports use instead of ours, if any.
fn rival(subject: &Assessed) -> Option<Finding> {
    let desired = subject.desired;
    let ours = |name: &str| desired.accounts.iter().any(|account| account.secret == name);
    let is_own = |credentials: &RegistryCredentials| {
        credentials.username.strip_prefix(&format!("{}+", desired.organization)).is_some()
    };
    let secrets = subject.snapshot.secrets.as_deref().ok()?;
    let (first, credentials) =
        used_credentials(desired.place(), secrets).filter(|(first, _)| !ours(&first.name))?;
    let has_ours = secrets
        .iter()
        .any(|secret| ours(&secret.name) && secret.credentials_for(desired.place()).is_some());
    if !has_ours || is_own(credentials) {
        return None;
    }
    let message = format!(
        "Secret {} also has credentials for {} and precedes ours by name",
        first.name, desired.host
    );
    Some(subject.finding(Code::RivalSecret, subject.object(KIND, &first.name), message))
}
