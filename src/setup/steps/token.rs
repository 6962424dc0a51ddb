//! The token: stored, given, or issued by Quay.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::domain::finding::Severity;
use crate::domain::integration::QuayProblem;
use crate::error::Error;
use crate::quay::{ErrorKind, Features, Quay, QuayError, Scope, TokenInfo};
use crate::setup::oauth_redirect::{self, RedirectListener};
use crate::setup::{
    Note, SetupChange, SetupSession, SignInOptions, StepPlan, TokenScopes, TokenSource,
};
use crate::ui::Ui;

const BROWSER_TIMEOUT: Duration = Duration::from_secs(300);

pub(in crate::setup) fn plan(setup: &SetupSession) -> StepPlan {
    let mut plan = StepPlan::default();
    let info = if setup.token.is_some() { &setup.found.given } else { &setup.found.stored };
    match info {
        Some(Ok(info)) => {
            describe_token(&mut plan, setup, info);
            let is_replaced =
                setup.token.is_none() && !info.problems.is_empty() && setup.options.token.is_some();
            if !is_replaced {
                return plan;
            }
        }
        Some(Err(error)) if setup.token.is_some() => {
            return plan_rejected(plan, error, "the given token");
        }
        Some(Err(error)) if error.kind != ErrorKind::Unauthorized => {
            return plan_rejected(plan, error, "the stored token");
        }
        Some(Err(error)) => plan.note(
            Severity::Warning,
            format!("the token in {} is unusable: {}", setup.secret(), error.reason),
        ),
        None => {}
    }
    match &setup.options.token {
        // The step Quay reports why.
        Some(TokenSource::Given(_)) => plan.skipped("Quay could not be queried"),
        Some(TokenSource::Later) => {
            plan.note(Severity::Info, "the token must be passed when this plan is applied");
            plan
        }
        Some(_) if is_read_only(setup) => plan
            .blocked("Quay is in read-only mode and issues no tokens")
            .hint("wait until read-only mode ends, or pass a token with --quay-token-file"),
        Some(from) if setup.options.application.expiry.is_some() && is_issued_by_form(setup, from) => plan
            .blocked("tokens issued through the Quay UI expire after ten years; --token-expiry is not supported")
            .hint("use --quay-username to set the expiry, if Quay accepts passwords"),
        Some(from) => {
            if setup.options.application.scopes == TokenScopes::Minimal {
                let least = Scope::minimal(&features(setup));
                plan.notes.extend(
                    least.into_iter().map(|(scope, why)| Note { severity: Severity::Info, text: format!("{scope}: {why}") }),
                );
            }
            plan.changes.push(SetupChange::IssueToken(describe_issuing(setup, from)));
            plan
        }
        None if setup.usable_token().is_some() && info.is_none() => plan.skipped("Quay could not be queried"),
        None => plan.needs(
            "a token for Quay",
            "--quay-token-file FILE (OC_QUAY_TOKEN), or --quay-username NAME --quay-password-file FILE, or --browser",
        ),
    }
}

/// Whether only Quay's form can issue the token, which supports no expiry.
fn is_issued_by_form(setup: &SetupSession, from: &TokenSource) -> bool {
    match from {
        TokenSource::Browser => true,
        TokenSource::SignIn { .. } => {
            !features(setup).direct_login && setup.options.application.client_id.is_some()
        }
        TokenSource::Given(_) | TokenSource::Later => false,
    }
}

fn plan_rejected(plan: StepPlan, error: &QuayError, which: &str) -> StepPlan {
    match error.kind {
        ErrorKind::Unreachable(_)
        | ErrorKind::Server
        | ErrorKind::RateLimited
        | ErrorKind::Skipped => plan
            .blocked(format!("failed to check {which}: {}", error.reason))
            .hint("run the command again when Quay is available"),
        _ => {
            let plan = plan.blocked(format!("{which} is unusable: {}", error.reason));
            match error.kind {
                ErrorKind::Unauthorized => plan.hint(
                    "issue a new one: run oc quay setup in a terminal, or use --quay-username",
                ),
                _ => plan.hint("run the command again when Quay is available"),
            }
        }
    }
}

/// Adds the token's owner and its limitations.
fn describe_token(plan: &mut StepPlan, setup: &SetupSession, info: &TokenInfo) {
    let prefix = if setup.token.is_some() && !setup.token_is_stored() {
        "the token belongs to".to_owned()
    } else {
        format!("{} holds a token of", setup.secret())
    };
    let rank = match info.superuser {
        Some(true) => ", a superuser",
        Some(false) => ", not a superuser",
        None => "",
    };
    for created in &setup.created {
        plan.note(Severity::Ok, created);
    }
    let user = info.user.as_deref().unwrap_or("an unknown user");
    plan.note(Severity::Ok, format!("{prefix} {user}{rank}"));
    if info.superuser == Some(false) {
        plan.note(
            Severity::Info,
            format!("organizations will belong to {user}; organizations of other users are not accessible"),
        );
    }
    for problem in &info.problems {
        plan.note(Severity::Warning, consequence(problem));
    }
}

fn consequence(problem: &QuayProblem) -> String {
    match problem {
        QuayProblem::TokenLacksScope { scope } => {
            let what = match scope.as_str() {
                "user:admin" => "it cannot create organizations",
                "org:admin" => "it cannot create robot accounts",
                "repo:admin" => "it cannot set permissions on existing repositories",
                "super:user" => "it cannot list or adopt organizations of other users",
                _ => "some operations will fail",
            };
            format!("the token lacks the scope {scope}: {what}")
        }
        QuayProblem::UserLacksPermission { user, permission } => {
            format!("{user} is not allowed to {permission}")
        }
        _ => "some operations will fail".to_owned(),
    }
}

fn describe_issuing(setup: &SetupSession, from: &TokenSource) -> String {
    let application = &setup.options.application;
    let scopes = scopes(setup).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let into = match &application.client_id {
        Some(id) => format!("for the application with client ID {id}"),
        None => format!(
            "for application {} of organization {}, which are created if they are missing",
            application.name, application.organization
        ),
    };
    match from {
        TokenSource::SignIn { user, first_user_email: Some(_), .. } => {
            format!(
                "create {user} as the first user of the empty Quay and issue a token {into} ({scopes})"
            )
        }
        TokenSource::SignIn { user, .. } => {
            format!("sign in to Quay as {user} and issue a token {into} ({scopes})")
        }
        _ => format!("wait for a token {into} from the browser ({scopes})"),
    }
}

fn is_read_only(setup: &SetupSession) -> bool {
    setup
        .found
        .quay
        .as_ref()
        .is_some_and(|quay| quay.server_info.as_ref().is_ok_and(|about| about.read_only))
}

fn features(setup: &SetupSession) -> Features {
    let about = setup.found.quay.as_ref().and_then(|quay| quay.server_info.as_ref().ok());
    about.map(|about| about.features.clone()).unwrap_or_default()
}

fn scopes(setup: &SetupSession) -> Vec<Scope> {
    setup.options.application.scopes.resolve(&features(setup))
}

/// Issues a token and checks it.
pub(in crate::setup) async fn issue(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    let quay = setup
        .quay
        .clone()
        .ok_or_else(|| Error::new("failed to issue a token: the address of Quay is not known"))?;
    let wanted = scopes(setup);
    let (token, scopes) = match setup.options.token.clone() {
        Some(TokenSource::SignIn { user, password, first_user_email }) => {
            let signed_in =
                sign_in(setup, &quay, &user, &password, first_user_email.as_deref()).await;
            let is_rejected = |error: &QuayError| {
                matches!(error.kind, ErrorKind::WrongPassword | ErrorKind::Throttled { .. })
            };
            if signed_in.as_ref().is_err_and(is_rejected) {
                setup.rejected_user = Some(user);
            }
            let (token, scopes, created) = signed_in.map_err(with_hint)?;
            setup.created = created;
            (token, scopes)
        }
        Some(TokenSource::Browser) => (wait_for_browser(setup, ui).await?, wanted.clone()),
        Some(TokenSource::Given(_) | TokenSource::Later) | None => {
            return Err(Error::new("no token source given"));
        }
    };
    let mut tried = quay
        .with_token(Some(token.clone()))
        .map_err(anyhow::Error::from)?
        .check_token(Some(&scopes))
        .await;
    if let Ok(info) = &mut tried
        && wanted.contains(&Scope::SuperUser)
        && !scopes.contains(&Scope::SuperUser)
    {
        // Quay omits this scope only for users that are not superusers.
        info.superuser = Some(false);
    }
    setup.found.given = Some(tried);
    setup.token = Some(token);
    setup.discover_marks().await;
    Ok(())
}

/// Returns a token, its scopes and the created objects. Quay grants `super:user` to superusers
/// only.
async fn sign_in(
    setup: &SetupSession,
    quay: &Quay,
    user: &str,
    password: &SecretString,
    email: Option<&str>,
) -> Result<(SecretString, Vec<Scope>, Vec<String>), QuayError> {
    let application = &setup.options.application;
    let features = features(setup);
    if let (false, Some(client_id)) = (features.direct_login, &application.client_id) {
        let scopes = application.scopes.resolve(&features);
        return Ok((
            quay.issue_with_password(user, password, client_id, &scopes).await?,
            scopes,
            vec![],
        ));
    }
    let mut session = match email {
        Some(email) => quay.initialize(user, password, email).await?,
        None => quay.sign_in(user, password).await?,
    };
    let request = application.request(&features);
    let mut issued = session.issue(&request).await;
    if issued.as_ref().is_err_and(|error| error.kind == ErrorKind::Unauthorized) {
        // A sign-out elsewhere has ended all sessions of the user.
        session = quay.sign_in(user, password).await?;
        issued = session.issue(&request).await;
    }
    // Dropping the cookie is enough: signing out would end the user's browser sessions too
    // (`wire/846c`).
    let issued = issued?;
    let created = [
        (issued.organization_created, format!("created organization {}", application.organization)),
        (issued.application_created, format!("created application {} in it", application.name)),
    ];
    Ok((
        issued.token,
        issued.scopes,
        created.into_iter().filter(|(is_new, _)| *is_new).map(|(_, what)| what).collect(),
    ))
}

fn with_hint(error: QuayError) -> Error {
    let hint = match error.kind {
        ErrorKind::DirectLoginOff => Some(
            "create an OAuth application in Quay and pass its --client-id, or pass a token with --quay-token-file",
        ),
        ErrorKind::WrongPassword => {
            Some("check user name and password; Quay enforces a delay after failed attempts")
        }
        _ => None,
    };
    let error = Error::from(anyhow::Error::from(error));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

async fn wait_for_browser(setup: &SetupSession, ui: &Ui) -> Result<SecretString, Error> {
    let url = setup
        .url()
        .ok_or_else(|| Error::new("failed to issue a token: the address of Quay is not known"))?;
    let Some(client_id) = &setup.options.application.client_id else {
        return Err(Error::new("--browser requires an OAuth application").hint(format!(
            "create one in Quay with redirect URI http://localhost:{}/ and pass its --client-id",
            oauth_redirect::PORT
        )));
    };
    let listener = RedirectListener::listen(&url, client_id, &scopes(setup)).await?;
    let opened =
        setup.options.opens_browser && oauth_redirect::open_browser(&listener.authorize_url);
    let what = if opened { "Opening in the browser" } else { "Open this address in a browser" };
    ui.status(&format!("{what}:\n{}", listener.authorize_url));
    if setup.is_interactive {
        // Over SSH the browser runs on another machine, with another `localhost`.
        let is_remote = std::env::var_os("SSH_CONNECTION").is_some();
        let options = [
            ("Wait for the browser", "it runs on this machine"),
            (
                "Paste the final address",
                "the browser runs elsewhere; its last page shows an error, but the address contains the token",
            ),
        ];
        if ui.select("How do you want to transfer the token?", &options, usize::from(is_remote))?
            == 1
        {
            return Ok(listener.token_from_url(&ui.password("Final address in the browser:")?)?);
        }
    }
    Ok(listener.token(BROWSER_TIMEOUT).await?)
}

pub(in crate::setup) async fn ask(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    let is_reachable =
        setup.found.quay.as_ref().is_some_and(|inspection| inspection.server_info.is_ok());
    let Some(quay) = setup.quay.clone().filter(|_| is_reachable) else { return Ok(()) };
    // The address might have been given just now.
    setup.discover_token().await;
    if let Some(Ok(info)) = &setup.found.stored {
        info.problems.iter().for_each(|problem| ui.warn(&consequence(problem)));
        if info.problems.is_empty()
            || !ui.confirm("The stored token lacks required scopes. Issue a new one?", true)?
        {
            return Ok(());
        }
        setup.options.replace_token = Some(true);
    }
    if let Some(user) = setup.rejected_user.take() {
        let user = ui.text("User name in Quay:", Some(&user), &require_non_empty)?;
        let password = ui.password("Password:")?;
        setup.options.token = Some(TokenSource::SignIn { user, password, first_user_email: None });
    }
    if setup.options.token.is_none() {
        let is_empty = features(setup).user_initialize != Some(false)
            && quay.has_no_users().await.unwrap_or(false);
        match ask_token_method(setup, ui, is_empty)? {
            TokenMethod::FirstUser | TokenMethod::SignIn => ask_credentials(setup, ui, is_empty)?,
            TokenMethod::Paste => {
                let token = ui.password("Token:")?;
                setup.token = Some(token.clone());
                setup.options.token = Some(TokenSource::Given(token));
                setup.discover_token().await;
            }
            TokenMethod::Browser => setup.options.token = Some(TokenSource::Browser),
        }
    }
    if matches!(setup.options.token, Some(TokenSource::Browser))
        && setup.options.application.client_id.is_none()
    {
        ui.status(&manual_steps(setup));
        setup.options.application.client_id =
            Some(ui.text("Client ID:", None, &require_non_empty)?);
    }
    Ok(())
}

/// Asks for the token's source, unless a user name was given.
fn ask_token_method(setup: &SetupSession, ui: &Ui, is_empty: bool) -> Result<TokenMethod, Error> {
    let can_sign_in = features(setup).direct_login || setup.options.application.client_id.is_some();
    let mut methods = Vec::new();
    if is_empty {
        methods.push((
            TokenMethod::FirstUser,
            "Create the first user",
            "this Quay is empty; the user should be one of its SUPER_USERS",
        ));
    } else if can_sign_in {
        methods.push((
            TokenMethod::SignIn,
            "Sign in",
            "with user name and password of a superuser; the token is created for you",
        ));
    }
    if setup.options.sign_in.user.is_some()
        && let Some((method, ..)) = methods.first()
    {
        return Ok(*method);
    }
    methods.push((
        TokenMethod::Paste,
        "Paste a token",
        "Quay: organization, Applications, Generate Token",
    ));
    methods.push((
        TokenMethod::Browser,
        "Sign in with the browser",
        "requires an OAuth application in Quay",
    ));
    let options: Vec<_> = methods.iter().map(|(_, label, help)| (*label, *help)).collect();
    let chosen = ui.select("Where does the token for Quay come from?", &options, 0)?;
    Ok(methods[chosen].0)
}

/// Asks for missing credentials.
fn ask_credentials(setup: &mut SetupSession, ui: &Ui, is_empty: bool) -> Result<(), Error> {
    let SignInOptions { user, password, first_user_email } =
        std::mem::take(&mut setup.options.sign_in);
    let user = match user {
        Some(user) => user,
        None => {
            ui.text("User name in Quay:", is_empty.then_some("quayadmin"), &require_non_empty)?
        }
    };
    let first_user_email = match first_user_email {
        None if is_empty => Some(ui.text("E-mail address:", None, &require_non_empty)?),
        given => given,
    };
    let password = match password {
        Some(password) => password,
        None if is_empty => new_password(ui)?,
        None => ui.password("Password:")?,
    };
    setup.options.token = Some(TokenSource::SignIn { user, password, first_user_email });
    Ok(())
}

/// Asks twice, as the password cannot be looked up later.
fn new_password(ui: &Ui) -> Result<SecretString, Error> {
    loop {
        let password = ui.password("New password (8 characters or more):")?;
        if password.expose_secret() == ui.password("Repeat the password:")?.expose_secret() {
            return Ok(password);
        }
        ui.warn("the passwords do not match");
    }
}

#[derive(Clone, Copy)]
enum TokenMethod {
    FirstUser,
    SignIn,
    Paste,
    Browser,
}

fn require_non_empty(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("a value is required".into()) } else { Ok(()) }
}

fn manual_steps(setup: &SetupSession) -> String {
    let quay = setup.url().map(|url| url.to_string()).unwrap_or_default();
    let application = &setup.options.application;
    format!(
        "  In Quay ({quay}):\n\
         \x20 1. create organization {}\n\
         \x20 2. under Applications, create application {}\n\
         \x20 3. give it the redirect URI {}\n\
         \x20 4. copy its Client ID",
        application.organization,
        application.name,
        oauth_redirect::redirect_uri()
    )
}
