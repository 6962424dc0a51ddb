//! The token: one that is stored and still good, one that was given, or one that Quay issues.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::domain::finding::Severity;
use crate::domain::integration::QuayProblem;
use crate::error::Error;
use crate::quay::{ErrorKind, Features, Quay, QuayError, Scope, TokenInfo};
use crate::setup::oauth_redirect::{self, RedirectListener};
use crate::setup::{Login, Note, SetupChange, SetupSession, StepPlan, TokenScopes, TokenSource};
use crate::ui::Ui;

/// How long the browser is waited for.
const BROWSER_TIMEOUT: Duration = Duration::from_secs(300);

pub(in crate::setup) fn plan(setup: &SetupSession) -> StepPlan {
    let mut plan = StepPlan::default();
    let trial = if setup.token.is_some() { &setup.found.given } else { &setup.found.stored };
    match trial {
        Some(Ok(trial)) => {
            describe(&mut plan, setup, trial);
            let is_wanted_anew =
                setup.token.is_none() && !trial.lacks.is_empty() && setup.answers.token.is_some();
            if !is_wanted_anew {
                return plan;
            }
        }
        Some(Err(error)) if setup.token.is_some() => {
            return refused(plan, error, "the token that was given");
        }
        Some(Err(error)) if error.kind != ErrorKind::Unauthorized => {
            return refused(plan, error, "the stored token");
        }
        Some(Err(error)) => plan.fact(
            Severity::Warning,
            format!("the token in {} is of no use: {}", setup.secret(), error.reason),
        ),
        None => {}
    }
    match &setup.answers.token {
        // It was given, and Quay could not be asked about it: that is what its own step says.
        Some(TokenSource::Given(_)) => plan.skipped("Quay could not be asked"),
        Some(TokenSource::Later) => {
            plan.fact(Severity::Info, "the token is still to be given");
            plan
        }
        Some(_) if is_read_only(setup) => plan
            .blocked("Quay is in read-only mode, in which it issues no tokens")
            .hint("wait until that is over, or give a token"),
        Some(from) if setup.answers.application.expiry.is_some() && is_issued_by_form(setup, from) => plan
            .blocked("a token that Quay's own form issues lives ten years; leave the expiry out")
            .hint("only who signs in with --quay-username, where Quay takes passwords, can choose it"),
        Some(from) => {
            if setup.answers.application.scopes == TokenScopes::Minimal {
                let least = Scope::least(&features(setup));
                plan.facts.extend(
                    least.into_iter().map(|(scope, why)| Note { severity: Severity::Info, text: format!("{scope}: {why}") }),
                );
            }
            plan.changes.push(SetupChange::IssueToken(intention(setup, from)));
            plan
        }
        None if setup.usable_token().is_some() && trial.is_none() => plan.skipped("Quay could not be asked"),
        None => plan.needs(
            "a token for Quay",
            "--quay-token-file FILE (OC_QUAY_TOKEN), or --quay-username NAME --quay-password-file FILE, or --browser",
        ),
    }
}

/// Whether the token comes without a session, which leaves the form alone to issue it, and that knows no expiry.
fn is_issued_by_form(setup: &SetupSession, from: &TokenSource) -> bool {
    match from {
        TokenSource::Browser => true,
        TokenSource::SignIn { .. } => {
            !features(setup).direct_login && setup.answers.application.client_id.is_some()
        }
        TokenSource::Given(_) | TokenSource::Later => false,
    }
}

fn refused(plan: StepPlan, error: &QuayError, which: &str) -> StepPlan {
    match error.kind {
        ErrorKind::Unreachable(_)
        | ErrorKind::Server
        | ErrorKind::RateLimited
        | ErrorKind::Skipped => plan
            .blocked(format!(
                "Quay could not be asked whether {which} can be used: {}",
                error.reason
            ))
            .hint("run it again when Quay answers"),
        _ => {
            let plan = plan.blocked(format!("{which} cannot be used: {}", error.reason));
            match error.kind {
                ErrorKind::Unauthorized => plan.hint(
                    "have a new one issued: oc quay setup on a terminal, or with --quay-username",
                ),
                _ => plan.hint("run it again when Quay answers"),
            }
        }
    }
}

/// Whose it is, and what will not work with it.
fn describe(plan: &mut StepPlan, setup: &SetupSession, trial: &TokenInfo) {
    let whose = if setup.token.is_some() && !setup.token_is_stored() {
        "the token belongs to".to_owned()
    } else {
        format!("{} holds a token of", setup.secret())
    };
    let rank = match trial.superuser {
        Some(true) => ", a superuser",
        Some(false) => ", who is no superuser",
        None => "",
    };
    for made in &setup.made {
        plan.fact(Severity::Ok, made);
    }
    let user = trial.user.as_deref().unwrap_or("a user it may not name");
    plan.fact(Severity::Ok, format!("{whose} {user}{rank}"));
    if trial.superuser == Some(false) {
        plan.fact(
            Severity::Info,
            format!("organizations will belong to {user}; those of others stay out of reach"),
        );
    }
    for trouble in &trial.lacks {
        plan.fact(Severity::Warning, consequence(trouble));
    }
}

fn consequence(trouble: &QuayProblem) -> String {
    match trouble {
        QuayProblem::TokenLacksScope { scope } => {
            let what = match scope.as_str() {
                "user:admin" => "no organization can be created with it",
                "org:admin" => "no robot account can be made with it",
                "repo:admin" => "no rights can be given on repositories that exist already",
                "super:user" => "organizations of others can neither be listed nor taken over",
                _ => "something will not work",
            };
            format!("the token lacks the scope {scope}: {what}")
        }
        QuayProblem::UserLacksRight { user, right } => format!("{user} may not {right}"),
        _ => "something will not work with it".to_owned(),
    }
}

/// What is about to be done in Quay, in one sentence.
fn intention(setup: &SetupSession, from: &TokenSource) -> String {
    let application = &setup.answers.application;
    let scopes = scopes(setup).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let into = match &application.client_id {
        Some(id) => format!("for the application with client ID {id}"),
        None => format!(
            "for application {} of organization {}, which are made if they are missing",
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
        _ => format!("wait for a token {into} that the browser brings ({scopes})"),
    }
}

fn is_read_only(setup: &SetupSession) -> bool {
    setup
        .found
        .quay
        .as_ref()
        .is_some_and(|quay| quay.about.as_ref().is_ok_and(|about| about.read_only))
}

fn features(setup: &SetupSession) -> Features {
    let about = setup.found.quay.as_ref().and_then(|quay| quay.about.as_ref().ok());
    about.map(|about| about.features.clone()).unwrap_or_default()
}

fn scopes(setup: &SetupSession) -> Vec<Scope> {
    setup.answers.application.scopes.on(&features(setup))
}

/// Has the token issued, takes it and tries it.
pub(in crate::setup) async fn issue(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    let quay = setup
        .quay
        .clone()
        .ok_or_else(|| Error::new("no token can be issued before it is known which Quay"))?;
    let wanted = scopes(setup);
    let (token, scopes) = match setup.answers.token.clone() {
        Some(TokenSource::SignIn { user, password, first_user_email }) => {
            let signed_in =
                sign_in(setup, &quay, &user, &password, first_user_email.as_deref()).await;
            let is_refused = |error: &QuayError| {
                matches!(error.kind, ErrorKind::WrongPassword | ErrorKind::Throttled { .. })
            };
            if signed_in.as_ref().is_err_and(is_refused) {
                setup.refused_user = Some(user);
            }
            let (token, scopes, made) = signed_in.map_err(hinted)?;
            setup.made = made;
            (token, scopes)
        }
        Some(TokenSource::Browser) => (from_browser(setup, ui).await?, wanted.clone()),
        Some(TokenSource::Given(_) | TokenSource::Later) | None => {
            return Err(Error::new("nobody says where the token comes from"));
        }
    };
    let mut tried = quay
        .with_token(Some(token.clone()))
        .map_err(anyhow::Error::from)?
        .try_token(Some(&scopes))
        .await;
    if let Ok(trial) = &mut tried
        && wanted.contains(&Scope::SuperUser)
        && !scopes.contains(&Scope::SuperUser)
    {
        // Quay keeps the scope from nobody else.
        trial.superuser = Some(false);
    }
    setup.found.given = Some(tried);
    setup.token = Some(token);
    setup.discover_marks().await;
    Ok(())
}

/// A token, its scopes, which may be fewer than were asked for since Quay gives `super:user` to superusers only, and what
/// was made for it.
async fn sign_in(
    setup: &SetupSession,
    quay: &Quay,
    user: &str,
    password: &SecretString,
    email: Option<&str>,
) -> Result<(SecretString, Vec<Scope>, Vec<String>), QuayError> {
    let application = &setup.answers.application;
    let features = features(setup);
    if let (false, Some(client_id)) = (features.direct_login, &application.client_id) {
        let scopes = application.scopes.on(&features);
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
        // A sign-out of the user elsewhere has ended all sessions of that user, this one too.
        session = quay.sign_in(user, password).await?;
        issued = session.issue(&request).await;
    }
    // The session's cookie is dropped with it. Signing out would end the user's sessions in browsers too (sample 846c).
    let issued = issued?;
    let made = [
        (issued.organization_made, format!("made organization {}", application.organization)),
        (issued.application_made, format!("made application {} in it", application.name)),
    ];
    Ok((
        issued.token,
        issued.scopes,
        made.into_iter().filter(|(is_new, _)| *is_new).map(|(_, what)| what).collect(),
    ))
}

fn hinted(error: QuayError) -> Error {
    let hint = match error.kind {
        ErrorKind::DirectLoginOff => Some(
            "make an OAuth application in Quay by hand and give its --client-id; or give a token: --quay-token-file",
        ),
        ErrorKind::WrongPassword => {
            Some("check user name and password; Quay makes one wait after wrong ones")
        }
        _ => None,
    };
    let error = Error::from(anyhow::Error::from(error));
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

async fn from_browser(setup: &SetupSession, ui: &Ui) -> Result<SecretString, Error> {
    let url = setup
        .url()
        .ok_or_else(|| Error::new("no token can be issued before it is known which Quay"))?;
    let Some(client_id) = &setup.answers.application.client_id else {
        return Err(Error::new("the browser way needs an OAuth application").hint(format!(
            "make one in Quay with redirect URI http://localhost:{}/ and give its --client-id",
            oauth_redirect::PORT
        )));
    };
    let waiting = RedirectListener::listen(&url, client_id, &scopes(setup)).await?;
    let opened = setup.answers.opens_browser && oauth_redirect::open(&waiting.address);
    let what =
        if opened { "The browser was asked to open" } else { "Open this address in a browser" };
    ui.status(&format!("{what}:\n{}", waiting.address));
    if setup.is_asked {
        // Over SSH the browser runs elsewhere and its `localhost` is not this one.
        let is_remote = std::env::var_os("SSH_CONNECTION").is_some();
        let options = [
            ("Wait for it", "the browser runs on this machine"),
            (
                "Paste the address it ends on",
                "the browser runs elsewhere; its last page cannot be shown, its address is what counts",
            ),
        ];
        if ui.select("How does the token get here?", &options, usize::from(is_remote))? == 1 {
            return Ok(waiting.pasted(&ui.password("Address that the browser ended on:")?)?);
        }
    }
    Ok(waiting.token(BROWSER_TIMEOUT).await?)
}

pub(in crate::setup) async fn ask(setup: &mut SetupSession, ui: &Ui) -> Result<(), Error> {
    let answers = setup.found.quay.as_ref().is_some_and(|inspection| inspection.about.is_ok());
    let Some(quay) = setup.quay.clone().filter(|_| answers) else { return Ok(()) };
    // Which Quay it is for may have been said only now.
    setup.discover_token().await;
    if let Some(Ok(trial)) = &setup.found.stored {
        trial.lacks.iter().for_each(|trouble| ui.warn(&consequence(trouble)));
        if trial.lacks.is_empty()
            || !ui.confirm("The stored token may too little. Get another one?", true)?
        {
            return Ok(());
        }
        setup.answers.replace_token = Some(true);
    }
    if let Some(user) = setup.refused_user.take() {
        let user = ui.text("User name in Quay:", Some(&user), &not_empty)?;
        let password = ui.password("Password:")?;
        setup.answers.token = Some(TokenSource::SignIn { user, password, first_user_email: None });
    }
    if setup.answers.token.is_none() {
        let is_empty = features(setup).user_initialize != Some(false)
            && quay.is_empty().await.unwrap_or(false);
        match ask_token_method(setup, ui, is_empty)? {
            TokenMethod::FirstUser | TokenMethod::SignIn => ask_login(setup, ui, is_empty)?,
            TokenMethod::Paste => {
                let token = ui.password("Token:")?;
                setup.token = Some(token.clone());
                setup.answers.token = Some(TokenSource::Given(token));
                setup.discover_token().await;
            }
            TokenMethod::Browser => setup.answers.token = Some(TokenSource::Browser),
        }
    }
    if matches!(setup.answers.token, Some(TokenSource::Browser))
        && setup.answers.application.client_id.is_none()
    {
        ui.status(&by_hand(setup));
        setup.answers.application.client_id = Some(ui.text("Client ID:", None, &not_empty)?);
    }
    Ok(())
}

/// Asks where the token comes from, unless somebody was named who signs in.
fn ask_token_method(setup: &SetupSession, ui: &Ui, is_empty: bool) -> Result<TokenMethod, Error> {
    let can_sign_in = features(setup).direct_login || setup.answers.application.client_id.is_some();
    let mut ways = Vec::new();
    if is_empty {
        ways.push((
            TokenMethod::FirstUser,
            "Create the first user",
            "this Quay is empty; the user should be one of its SUPER_USERS",
        ));
    } else if can_sign_in {
        ways.push((
            TokenMethod::SignIn,
            "Sign in",
            "with user name and password of a superuser; the token is made for you",
        ));
    }
    if setup.answers.login.user.is_some()
        && let Some((way, ..)) = ways.first()
    {
        return Ok(*way);
    }
    ways.push((
        TokenMethod::Paste,
        "Paste a token",
        "Quay: organization, Applications, Generate Token",
    ));
    ways.push((
        TokenMethod::Browser,
        "Sign in with the browser",
        "needs an OAuth application in Quay, which takes a minute to make",
    ));
    let options: Vec<_> = ways.iter().map(|(_, label, help)| (*label, *help)).collect();
    let chosen = ui.select("Where does the token for Quay come from?", &options, 0)?;
    Ok(ways[chosen].0)
}

/// Asks who signs in, as far as that was not said.
fn ask_login(setup: &mut SetupSession, ui: &Ui, is_empty: bool) -> Result<(), Error> {
    let Login { user, password, first_user_email } = std::mem::take(&mut setup.answers.login);
    let user = match user {
        Some(user) => user,
        None => ui.text("User name in Quay:", is_empty.then_some("quayadmin"), &not_empty)?,
    };
    let first_user_email = match first_user_email {
        None if is_empty => Some(ui.text("E-mail address:", None, &not_empty)?),
        said => said,
    };
    let password = match password {
        Some(password) => password,
        None if is_empty => new_password(ui)?,
        None => ui.password("Password:")?,
    };
    setup.answers.token = Some(TokenSource::SignIn { user, password, first_user_email });
    Ok(())
}

/// A password that nobody can look up later, so it is typed twice.
fn new_password(ui: &Ui) -> Result<SecretString, Error> {
    loop {
        let password = ui.password("New password (8 characters or more):")?;
        if password.expose_secret() == ui.password("The same password again:")?.expose_secret() {
            return Ok(password);
        }
        ui.warn("these were two different passwords");
    }
}

/// The ways to a token.
#[derive(Clone, Copy)]
enum TokenMethod {
    FirstUser,
    SignIn,
    Paste,
    Browser,
}

fn not_empty(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("this cannot be left out".into()) } else { Ok(()) }
}

fn by_hand(setup: &SetupSession) -> String {
    let quay = setup.url().map(|url| url.to_string()).unwrap_or_default();
    let application = &setup.answers.application;
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
