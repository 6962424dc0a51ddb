//! Secrets: one per linked service account, with the robot account's current login under Quay's host.

use secrecy::ExposeSecret;

use super::{Assessed, Check};
use crate::domain::desired::{Desired, LinkedServiceAccount};
use crate::domain::finding::{Code, Finding};
use crate::domain::imports::tried;
use crate::domain::names;
use crate::domain::snapshot::{Login, NamespaceSnapshot, Secret};

const TITLE: &str = "Secrets";
const KIND: &str = "Secret";

/// The only type in which pods, builds and imports read what we write.
pub const SECRET_TYPE: &str = "kubernetes.io/dockerconfigjson";

/// The state of an account's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretState {
    /// It does not exist.
    Missing,
    /// It is of another type.
    WrongType(String),
    /// Its content makes no sense.
    Unreadable(String),
    /// It has no login for this Quay.
    WrongHost,
    /// Its login is somebody else's.
    WrongRobot(String),
    /// Its token is not the robot account's current one.
    Stale,
    /// All that can be seen is right, but the robot account's token was not shown to us.
    Unverified,
    /// It is right.
    Current,
}

/// The state of an account's secret; none while the secrets could not be read, or the robot account is not known.
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
    if let Err(reason) = &secret.logins {
        return Some(SecretState::Unreadable(reason.clone()));
    }
    let Some(login) = secret.login_for(desired.place()) else {
        return Some(SecretState::WrongHost);
    };
    if login.username != desired.login_name(&account.name) {
        return Some(SecretState::WrongRobot(login.username.clone()));
    }
    let robot = snapshot.organization()?.robot(&account.name)?;
    Some(match &robot.token {
        Some(token) if token.expose_secret() == login.password.expose_secret() => {
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
    // What is wrong may be the address of the Quay, which is a finding of the integration, and not every secret.
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
    let robot = subject.desired.login_name(&account.name);
    let host = &subject.desired.host;
    let (code, message) = match state {
        SecretState::Current => return None,
        SecretState::Missing => (Code::SecretMissing, format!("Secret {secret} does not exist")),
        SecretState::WrongType(kind) => {
            (Code::SecretWrongType, format!("Secret {secret} is of type {kind}"))
        }
        SecretState::Unreadable(reason) => {
            (Code::SecretUnreadable, format!("Secret {secret} makes no sense: {reason}"))
        }
        SecretState::WrongHost => {
            (Code::SecretWrongHost, format!("Secret {secret} has no login for {host}"))
        }
        SecretState::WrongRobot(user) => {
            (Code::SecretWrongRobot, format!("Secret {secret} logs in as {user}, not {robot}"))
        }
        SecretState::Stale => (
            Code::SecretTokenStale,
            format!("Secret {secret} holds an old token of robot account {robot}"),
        ),
        SecretState::Unverified => (
            Code::TokenNotReadable,
            format!("Quay does not show the token of robot account {robot}"),
        ),
    };
    Some(subject.finding(code, subject.object(KIND, secret), message))
}

/// Entries of others in our secrets for which kubelet uses none of what is in them. They are not ours to delete.
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

/// The successor of a secret, as an interrupted replacement left it.
pub struct Spare<'a> {
    /// It.
    pub secret: &'a Secret,
    /// The secret that it is of, once that has the right type. One of the wrong type may be deleted by a replacement that is
    /// under way, so it does not count.
    pub replaced: Option<&'a Secret>,
}

/// The successors that interrupted replacements left.
pub fn spares<'a>(subject: &Assessed<'a>) -> impl Iterator<Item = Spare<'a>> {
    let (id, snapshot) = (&subject.integration.cluster_id.value, subject.snapshot);
    let ours = snapshot.secrets.iter().flatten().filter(|secret| secret.managed);
    ours.filter_map(|secret| {
        let name = names::secret_of_spare(&secret.name).filter(|name| id.names_secret(name))?;
        let replaced = snapshot.secret(name).filter(|replaced| replaced.kind == SECRET_TYPE);
        Some(Spare { secret, replaced })
    })
}

/// Those of secrets that are there again and lack something that others had put into them.
fn kept_spares(subject: &Assessed) -> Vec<Finding> {
    let is_kept = |spare: &Spare| {
        spare.replaced.is_some()
            && !spare.secret.is_covered_by(spare.replaced, &subject.desired.host)
    };
    spares(subject).filter(is_kept).map(|spare| spare_kept(subject, spare.secret)).collect()
}

/// That a successor is kept.
pub fn spare_kept(subject: &Assessed, spare: &Secret) -> Finding {
    let name = &spare.name;
    let message = format!(
        "Secret {name} is left of a replacement and is kept, since it may hold the only copy of logins of others"
    );
    subject.finding(Code::SecretKept, subject.object(KIND, name), message)
}

/// The secret that imports try, where it is none of ours although there is one.
fn rival(subject: &Assessed) -> Option<Finding> {
    let desired = subject.desired;
    let ours = |name: &str| desired.accounts.iter().any(|account| account.secret == name);
    let own_login = |login: &Login| {
        login.username.strip_prefix(&format!("{}+", desired.organization)).is_some()
    };
    let secrets = subject.snapshot.secrets.as_deref().ok()?;
    let (first, login) = tried(desired.place(), secrets).filter(|(first, _)| !ours(&first.name))?;
    let has_ours = secrets
        .iter()
        .any(|secret| ours(&secret.name) && secret.login_for(desired.place()).is_some());
    if !has_ours || own_login(login) {
        return None;
    }
    let message = format!(
        "Secret {} has a login for {} too and comes before ours by name",
        first.name, desired.host
    );
    Some(subject.finding(Code::RivalSecret, subject.object(KIND, &first.name), message))
}
