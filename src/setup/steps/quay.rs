//! The address of Quay, and the connection and trust to it.

use std::fs;
use std::path::PathBuf;

use crate::domain::finding::{Code, Severity};
use crate::domain::names::QuayUrl;
use crate::error::{Cancelled, Error};
use crate::quay::{CaBundle, Certificate, ErrorKind, QuayError, ServerInfo, describe_pem};
use crate::setup::discover::is_untrusted;
use crate::setup::{SetupSession, SetupStep, StepPlan};
use crate::ui::Ui;

pub(in crate::setup) fn plan(setup: &SetupSession) -> StepPlan {
    let mut plan = StepPlan::default();
    let Some(url) = setup.url() else {
        return plan.needs("the address of Quay", "--quay-url URL (OC_QUAY_URL)");
    };
    if let Some(reason) = &setup.found.unusable {
        return plan
            .blocked(format!("failed to connect to {url}: {reason}"))
            .hint("use an https:// address and a valid --quay-ca-file; --insecure accepts any certificate and plain http");
    }
    let Some(inspection) = &setup.found.quay else {
        return plan.blocked(format!("failed to connect to {url}"));
    };
    let about = match &inspection.server_info {
        Ok(about) => about,
        Err(error) => {
            for certificate in &setup.found.chain {
                plan.notes.extend(describe_certificate(certificate));
            }
            return plan_unreachable(plan, &url, error);
        }
    };
    let version = about.version.as_deref().unwrap_or("Quay of unknown version");
    let how = match (url.is_plain_http(), setup.insecure(), setup.ca().is_some()) {
        (true, ..) => "without TLS",
        (_, true, _) => "over TLS, certificate not verified",
        (.., true) => "over TLS, verified with the given or stored certificate authority",
        _ => "over TLS, with a certificate that this machine trusts",
    };
    plan.note(Severity::Ok, format!("{version} at {url}, reached {how}"));
    match &inspection.health {
        Ok(down) if down.is_empty() => plan.note(Severity::Ok, "it reports that it is healthy"),
        Ok(down) => plan
            .note(Severity::Warning, format!("it reports unhealthy services: {}", down.join(", "))),
        Err(error) => plan.note(Severity::Unknown, error.to_string()),
    }
    if setup.insecure() {
        let text = "its certificate is not verified, neither here nor when OpenShift imports images (insecureRegistry)";
        plan.note(Severity::Warning, text);
    }
    if let Some(own) = about.server_hostname.as_ref().filter(|own| **own != url.host()) {
        let text = format!(
            "its configured host name is {own} (SERVER_HOSTNAME): use this name in credentials and image references"
        );
        plan.note(Severity::Warning, text);
    }
    add_features(&mut plan, about);
    match rejections(setup, &url.host()) {
        rejections if rejections.is_empty() => plan,
        rejections => plan.blocked(rejections.join("; ")).hint(image_policy_hint(setup)),
    }
}

/// Reasons why the cluster's image policy rejects Quay. Setup stops, as builds of linked namespaces
/// would push to a registry that the cluster does not use.
fn rejections(setup: &SetupSession, host: &str) -> Vec<String> {
    let trust = setup.found.trust.as_ref().ok();
    let policy = trust.and_then(|trust| trust.image_config.as_ref()).map(|config| &config.policy);
    policy
        .into_iter()
        .flat_map(|policy| policy.violations(host))
        .map(|(_, reason)| reason)
        .collect()
}

fn image_policy_hint(setup: &SetupSession) -> String {
    match setup.found.platform.as_ref().is_ok_and(|platform| platform.is_hosted) {
        true => "change spec.configuration.image of the HostedCluster in the management cluster"
            .to_owned(),
        false => format!("change it: {}", Code::PullsNotAllowed.entry().hint),
    }
}

fn add_features(plan: &mut StepPlan, about: &ServerInfo) {
    let features = &about.features;
    if about.read_only {
        plan.note(Severity::Warning, "it is in read-only mode and rejects changes");
    }
    if !features.direct_login {
        plan.note(
            Severity::Info,
            "sign-in with user name and password is disabled (FEATURE_DIRECT_LOGIN)",
        );
    }
    // Quay 3.12 restricts superusers too, and does not report its version.
    let restricts_superusers = features.restricted_users && about.version.is_none();
    let only_superusers = [
        (features.superusers_org_creation_only, "FEATURE_SUPERUSERS_ORG_CREATION_ONLY"),
        (features.restricted_users && !restricts_superusers, "FEATURE_RESTRICTED_USERS"),
    ];
    for (_, name) in only_superusers.into_iter().filter(|(is_on, _)| *is_on) {
        plan.note(
            Severity::Info,
            format!("only superusers are allowed to create organizations ({name})"),
        );
    }
    if restricts_superusers {
        let text = "users are restricted (FEATURE_RESTRICTED_USERS): in Quay 3.12 superusers are not allowed to create \
                    organizations either, unless RESTRICTED_USERS_WHITELIST names them";
        plan.note(Severity::Warning, text);
    }
    if !features.superusers_full_access {
        let text = "superusers have no permissions on organizations of other users (FEATURE_SUPERUSERS_FULL_ACCESS is off): \
                    a later token should belong to the same user";
        plan.note(Severity::Info, text);
    }
}

fn plan_unreachable(plan: StepPlan, url: &QuayUrl, error: &QuayError) -> StepPlan {
    let plan = plan.blocked(format!("failed to use {url} as Quay: {}", error.reason));
    match error.kind {
        ErrorKind::Untrusted => plan
            .hint("pass its certificate authority with --quay-ca-file, after comparing the fingerprint with its owner's")
            .hint("or continue without verification: --insecure"),
        ErrorKind::Unreachable(_) => plan.hint("check the address, the network and the proxy; -v shows the requests"),
        _ => plan.hint("check the address; it is the one that a browser shows for Quay"),
    }
}

fn describe_certificate(certificate: &Certificate) -> Vec<crate::setup::Note> {
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
        if std::mem::take(&mut setup.must_ask_url) || setup.url().is_none() {
            let known = setup.url().map(|url| url.to_string());
            let good = |text: &str| QuayUrl::parse(text).map(|_| ());
            let answer =
                ui.text("Address of Quay (such as quay.example.com):", known.as_deref(), &good)?;
            setup.options.url = QuayUrl::parse(&answer).ok().map(|(url, _)| url);
            setup.discover_quay().await;
        }
        if setup.url().is_some_and(|url| url.is_plain_http()) && !setup.insecure() {
            ui.warn("the address is plain http: the token would be sent unencrypted");
            if !ui.confirm("Continue anyway?", false)? {
                setup.reset(SetupStep::Quay);
                continue;
            }
            setup.options.insecure = true;
            setup.discover_quay().await;
        }
        while setup.found.quay.as_ref().is_some_and(is_untrusted) {
            ask_to_trust(setup, ui).await?;
            if setup.must_ask_url {
                break;
            }
            setup.discover_quay().await;
        }
        if !setup.must_ask_url {
            return Ok(());
        }
    }
}

/// The last certificate if it is an authority; many servers present only their own certificate.
fn presented_authority(chain: &[Certificate]) -> Option<&Certificate> {
    chain.last().filter(|last| chain.len() > 1 || last.issuer == last.subject)
}

/// Expands `~/` to the home directory.
fn expand_home(path: &str) -> PathBuf {
    let home = path.strip_prefix("~/").and_then(|rest| Some(std::env::home_dir()?.join(rest)));
    home.unwrap_or_else(|| path.into())
}

async fn ask_to_trust(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    if let Some(Err(error)) = setup.found.quay.as_ref().map(|quay| &quay.server_info) {
        ui.warn(&error.reason);
    }
    for certificate in &setup.found.chain {
        ui.status(
            &describe_certificate(certificate)
                .into_iter()
                .map(|note| format!("  {}", note.text))
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
        ("Continue without verification", "insecure; written into the QuayIntegration"),
    );
    options.insert(options.len() - 1, ("Enter another address", ""));
    match (
        options[ui.select(
            "Quay's certificate is not trusted. How do you want to proceed?",
            &options,
            0,
        )?]
        .0,
        authority,
    ) {
        ("Read its certificate authority from a file", _) => {
            let good = |path: &str| {
                if path.is_empty() {
                    return Err("enter a file name, or press Esc to cancel".to_owned());
                }
                let pem =
                    fs::read(expand_home(path)).map_err(|error| format!("{path}: {error}"))?;
                describe_pem(&pem).map(|_| ()).map_err(|error| error.to_string())
            };
            let path = ui.text("File with the certificate authority:", None, &good)?;
            let content = fs::read(expand_home(&path))?;
            let bundle = CaBundle::parse(&content);
            if let Some(warning) = bundle.as_ref().and_then(|bundle| bundle.warning(&path)) {
                ui.warn(&warning);
            }
            setup.options.ca = Some(bundle.map_or(content, |bundle| bundle.pem));
        }
        ("Trust the last of these certificates", Some(authority)) => {
            if ui.confirm("Does the owner of Quay confirm this SHA-256?", false)? {
                setup.options.ca = Some(authority.pem.into_bytes());
            }
        }
        ("Continue without verification", _) => setup.options.insecure = true,
        ("Enter another address", _) => setup.reset(SetupStep::Quay),
        _ => return Err(Cancelled.into()),
    }
    Ok(())
}
