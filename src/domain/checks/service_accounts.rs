//! Checks that service accounts exist and reference their secret in both lists.

use super::{Assessed, Check, count};
use crate::domain::desired::DEFAULT_ACCOUNTS;
use crate::domain::finding::{Code, Finding};
use crate::domain::shell_quote::command;
use crate::domain::snapshot::ServiceAccount;

const TITLE: &str = "Service accounts";
const KIND: &str = "ServiceAccount";

pub(super) fn check(subject: &Assessed) -> Check {
    let accounts = match &subject.snapshot.service_accounts {
        Ok(accounts) => accounts,
        Err(unread) => return subject.unread(TITLE, subject.object(KIND, ""), unread),
    };
    let mut findings = Vec::new();
    for (name, _) in DEFAULT_ACCOUNTS {
        if accounts.iter().all(|account| account.name != name) {
            findings.push(subject.finding(
                Code::ServiceAccountMissing,
                subject.object(KIND, name),
                format!("Service account {name} does not exist"),
            ));
        }
    }
    let usable = subject.usable_accounts();
    let mut linked = 0;
    for account in accounts {
        let object = subject.object(KIND, &account.name);
        if let Some(role) =
            account.role.as_deref().filter(|role| role.parse::<crate::domain::Role>().is_err())
        {
            let message = format!(
                "Service account {} has the invalid role annotation `{role}`",
                account.name
            );
            let mut finding = subject.finding(Code::RoleAnnotationInvalid, object.clone(), message);
            let wanted = format!("{}=read", account.name);
            finding.hint = command(&[
                "oc",
                "quay",
                "link",
                "--service-account",
                &wanted,
                "-n",
                &subject.snapshot.name,
            ]);
            findings.push(finding);
        }
        let wanted = usable.iter().find(|wanted| wanted.name == account.name);
        let Some(wanted) = wanted.filter(|_| !subject.lacks_organization()) else { continue };
        let mountable = account.mountable.contains(&wanted.secret);
        let pull = account.pull.contains(&wanted.secret);
        linked += usize::from(mountable && pull);
        if !mountable {
            let message = format!(
                "The secrets of service account {} do not include {}",
                account.name, wanted.secret
            );
            findings.push(subject.finding(Code::SecretNotMountable, object.clone(), message));
        }
        if !pull {
            let message = format!(
                "The imagePullSecrets of service account {} do not include {}",
                account.name, wanted.secret
            );
            findings.push(subject.finding(Code::SecretNotPullSecret, object, message));
        }
        if !mountable || !pull {
            findings.extend(managed_elsewhere(subject, account, &wanted.secret));
        }
    }
    if subject.lacks_organization() {
        return Check::new(TITLE, "not checked: the organization is missing", findings)
            .incomplete();
    }
    Check::new(
        TITLE,
        format!("{linked} of {} linked", count(usable.len(), "service account")),
        findings,
    )
}

/// The finding for a service account whose owner might undo our changes.
pub fn managed_elsewhere(
    subject: &Assessed,
    account: &ServiceAccount,
    secret: &str,
) -> Option<Finding> {
    let owner = account.owner.as_ref()?;
    let name = &account.name;
    let message = format!(
        "{owner} manages service account {name} and might undo the link; add {secret} to secrets and imagePullSecrets \
         there"
    );
    Some(subject.finding(Code::ServiceAccountOfOthers, subject.object(KIND, name), message))
}
