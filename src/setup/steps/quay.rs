//! Which Quay, and whether it can be reached and trusted.

use std::fs;
use std::path::PathBuf;

use crate::domain::finding::{Code, Severity};
use crate::domain::names::QuayUrl;
use crate::error::{Cancelled, Error};
use crate::quay::{
    Certificate, ErrorKind, QuayError, ServerInfo, certificates_only, describe_pem,
    left_out_warning,
};
use crate::setup::discover::is_untrusted;
use crate::setup::{SetupSession, SetupStep, StepPlan};
use crate::ui::Ui;

pub(in crate::setup) fn plan(setup: &SetupSession) -> StepPlan {
    let mut plan = StepPlan::default();
    let Some(url) = setup.url() else {
        return plan.needs("the address of the Quay", "--quay-url URL (OC_QUAY_URL)");
    };
    if let Some(reason) = &setup.found.unusable {
        return plan
            .blocked(format!("{url} cannot be asked: {reason}"))
            .hint("use an https:// address and a good --quay-ca-file; --insecure takes any certificate, and plain http");
    }
    let Some(inspection) = &setup.found.quay else {
        return plan.blocked(format!("{url} could not be asked"));
    };
    let about = match &inspection.about {
        Ok(about) => about,
        Err(error) => {
            for certificate in &setup.found.chain {
                plan.facts.extend(describe(certificate));
            }
            return unreachable(plan, &url, error);
        }
    };
    let version = about.version.as_deref().unwrap_or("a Quay that does not tell its version");
    let how = match (url.is_plain_http(), setup.insecure(), setup.ca().is_some()) {
        (true, ..) => "without TLS",
        (_, true, _) => "over TLS, its certificate not verified",
        (.., true) => "over TLS, with the certificate authority that was given or stored",
        _ => "over TLS, with a certificate that this machine trusts",
    };
    plan.fact(Severity::Ok, format!("{version} at {url}, reached {how}"));
    match &inspection.health {
        Ok(down) if down.is_empty() => plan.fact(Severity::Ok, "it reports to be healthy"),
        Ok(down) => {
            plan.fact(Severity::Warning, format!("it reports as not healthy: {}", down.join(", ")))
        }
        Err(error) => plan.fact(Severity::Unknown, error.to_string()),
    }
    if setup.insecure() {
        let text = "its certificate is not verified, neither here nor when OpenShift imports images (insecureRegistry)";
        plan.fact(Severity::Warning, text);
    }
    if let Some(own) = about.own_host.as_ref().filter(|own| **own != url.host()) {
        let text = format!(
            "it knows itself as {own} (SERVER_HOSTNAME): that is the name that logins and images should have"
        );
        plan.fact(Severity::Warning, text);
    }
    features(&mut plan, about);
    match refusals(setup, &url.host()) {
        refusals if refusals.is_empty() => plan,
        refusals => plan.blocked(refusals.join("; ")).hint(way_to_allow(setup)),
    }
}

/// What the cluster's image policy keeps it from doing with the Quay. Builds of linked namespaces would be sent to a
/// registry that the cluster does not use, so nothing is set up before that is changed.
fn refusals(setup: &SetupSession, host: &str) -> Vec<String> {
    let trust = setup.found.trust.as_ref().ok();
    let policy = trust.and_then(|trust| trust.image_config.as_ref()).map(|config| &config.policy);
    policy
        .into_iter()
        .flat_map(|policy| policy.refusals(host))
        .map(|(_, refusal)| refusal)
        .collect()
}

fn way_to_allow(setup: &SetupSession) -> String {
    match setup.found.platform.as_ref().is_ok_and(|platform| platform.is_hosted) {
        true => "change spec.configuration.image of the HostedCluster in the management cluster"
            .to_owned(),
        false => format!("change it: {}", Code::PullsNotAllowed.entry().hint),
    }
}

/// What of Quay's configuration matters here.
fn features(plan: &mut StepPlan, about: &ServerInfo) {
    let features = &about.features;
    if about.read_only {
        plan.fact(
            Severity::Warning,
            "it is in read-only mode: it takes no changes until that is over",
        );
    }
    if !features.direct_login {
        plan.fact(
            Severity::Info,
            "signing in with user name and password is switched off (FEATURE_DIRECT_LOGIN)",
        );
    }
    // 3.12, where superusers are restricted too, does not tell its version.
    let restricts_superusers = features.restricted_users && about.version.is_none();
    let only_superusers = [
        (features.superusers_org_creation_only, "FEATURE_SUPERUSERS_ORG_CREATION_ONLY"),
        (features.restricted_users && !restricts_superusers, "FEATURE_RESTRICTED_USERS"),
    ];
    for (_, name) in only_superusers.into_iter().filter(|(is_on, _)| *is_on) {
        plan.fact(Severity::Info, format!("only superusers may create organizations ({name})"));
    }
    if restricts_superusers {
        let text = "users are restricted (FEATURE_RESTRICTED_USERS): in Quay 3.12 superusers are not allowed to create \
                    organizations either, unless RESTRICTED_USERS_WHITELIST names them";
        plan.fact(Severity::Warning, text);
    }
    if !features.superusers_full_access {
        let text = "superusers have no rights in organizations of others (FEATURE_SUPERUSERS_FULL_ACCESS is off): \
                    a later token should belong to the same user";
        plan.fact(Severity::Info, text);
    }
}

fn unreachable(plan: StepPlan, url: &QuayUrl, error: &QuayError) -> StepPlan {
    let plan = plan.blocked(format!("{url} could not be used as a Quay: {}", error.reason));
    match error.kind {
        ErrorKind::Untrusted => plan
            .hint("give its certificate authority with --quay-ca-file, after comparing the fingerprint with its owner's")
            .hint("or go on without verifying it: --insecure"),
        ErrorKind::Unreachable(_) => plan.hint("check the address, the network and the proxy; -v shows the requests"),
        _ => plan.hint("check the address; it is the one that a browser shows for Quay"),
    }
}

/// A certificate as a person compares it.
fn describe(certificate: &Certificate) -> Vec<crate::setup::Note> {
    let day = |time: jiff::Timestamp| time.strftime("%Y-%m-%d").to_string();
    let lines = [
        format!("certificate of {}", certificate.subject),
        format!("issued by {}", certificate.issuer),
        format!("valid from {} to {}", day(certificate.not_before), day(certificate.not_after)),
        format!("SHA-256 {}", certificate.sha256),
    ];
    lines.into_iter().map(|text| crate::setup::Note { severity: Severity::Info, text }).collect()
}

pub(in crate::setup) async fn ask(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    loop {
        if std::mem::take(&mut setup.doubts_url) || setup.url().is_none() {
            let known = setup.url().map(|url| url.to_string());
            let good = |text: &str| QuayUrl::parse(text).map(|_| ());
            let answer =
                ui.text("Address of Quay (such as quay.example.com):", known.as_deref(), &good)?;
            setup.answers.url = QuayUrl::parse(&answer).ok().map(|(url, _)| url);
            setup.discover_quay().await;
        }
        if setup.url().is_some_and(|url| url.is_plain_http()) && !setup.insecure() {
            ui.warn("the address is plain http, so the token would travel unprotected");
            if !ui.confirm("Continue anyway?", false)? {
                setup.forget(SetupStep::Quay);
                continue;
            }
            setup.answers.insecure = true;
            setup.discover_quay().await;
        }
        while setup.found.quay.as_ref().is_some_and(is_untrusted) {
            ask_to_trust(setup, ui).await?;
            if setup.doubts_url {
                break;
            }
            setup.discover_quay().await;
        }
        if !setup.doubts_url {
            return Ok(());
        }
    }
}

/// The last of the certificates, if it has issued one of them: many a server presents just its own.
fn presented_authority(chain: &[Certificate]) -> Option<&Certificate> {
    chain.last().filter(|last| chain.len() > 1 || last.issuer == last.subject)
}

/// A path as a shell takes it: `~/` is the home directory.
fn expand_home(path: &str) -> PathBuf {
    let home = path.strip_prefix("~/").and_then(|rest| Some(std::env::home_dir()?.join(rest)));
    home.unwrap_or_else(|| path.into())
}

async fn ask_to_trust(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    if let Some(Err(error)) = setup.found.quay.as_ref().map(|quay| &quay.about) {
        ui.warn(&error.reason);
    }
    for certificate in &setup.found.chain {
        ui.status(
            &describe(certificate)
                .into_iter()
                .map(|fact| format!("  {}", fact.text))
                .collect::<Vec<_>>()
                .join("\n"),
        );
    }
    let mut options = vec![("Read its certificate authority from a file", "PEM"), ("Stop", "")];
    let authority = presented_authority(&setup.found.chain).cloned();
    if authority.is_some() {
        options.insert(
            1,
            (
                "Trust the last of these certificates",
                "after comparing its SHA-256 with its owner's",
            ),
        );
    }
    options.insert(
        options.len() - 1,
        ("Go on without verifying it", "insecure; written into the QuayIntegration"),
    );
    options.insert(options.len() - 1, ("Enter another address", ""));
    match (
        options[ui.select("Quay's certificate is not trusted here. What now?", &options, 0)?].0,
        authority,
    ) {
        ("Read its certificate authority from a file", _) => {
            let good = |path: &str| {
                if path.is_empty() {
                    return Err("name a file; Esc leaves".to_owned());
                }
                let pem =
                    fs::read(expand_home(path)).map_err(|error| format!("{path}: {error}"))?;
                describe_pem(&pem).map(|_| ()).map_err(|error| error.to_string())
            };
            let path = ui.text("File with the certificate authority:", None, &good)?;
            let content = fs::read(expand_home(&path))?;
            let (ca, left_out) = certificates_only(&content).unwrap_or((content, vec![]));
            if let Some(warning) = left_out_warning(&path, &left_out) {
                ui.warn(&warning);
            }
            setup.answers.ca = Some(ca);
        }
        ("Trust the last of these certificates", Some(authority)) => {
            if ui.confirm("Does the owner of the Quay name the same SHA-256?", false)? {
                setup.answers.ca = Some(authority.pem.into_bytes());
            }
        }
        ("Go on without verifying it", _) => setup.answers.insecure = true,
        ("Enter another address", _) => setup.forget(SetupStep::Quay),
        _ => return Err(Cancelled.into()),
    }
    Ok(())
}
