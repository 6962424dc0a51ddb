//! What flags and variables say about the set-up.

use std::path::Path;

use secrecy::SecretString;

use crate::cli::{self, GlobalArgs};
use crate::domain::integration::Source;
use crate::domain::names::QuayUrl;
use crate::error::Error;
use crate::ops::settings::{self, Settings};
use crate::setup::{Application, Login, SetupOptions, TokenSource};

/// Reads the answers, and the warnings to print about them.
///
/// # Errors
/// For what cannot be used, before anything is connected to.
pub(super) fn read(
    global: &GlobalArgs,
    args: &cli::Setup,
) -> Result<(SetupOptions, Vec<String>), Error> {
    let uses_stdin = |file: &Option<std::path::PathBuf>| {
        file.as_deref().is_some_and(|file| file.as_os_str() == "-")
    };
    if uses_stdin(&global.quay_token_file) && uses_stdin(&args.token.quay_password_file) {
        return Err(Error::new("the token and the password cannot both be read from stdin"));
    }
    let settings = Settings::read(global)?;
    let url = settings
        .given
        .url
        .as_ref()
        .and_then(|url| QuayUrl::parse(&url.value).ok())
        .map(|(url, _)| url);
    let login = Login {
        user: said(&args.token.quay_username),
        password: password(args.token.quay_password_file.as_deref())?,
        first_user_email: said(&args.token.first_user_email),
    };
    let answers = SetupOptions {
        url,
        ca: settings.ca,
        insecure: settings.given.insecure,
        token: token(args, settings.token, settings.given.token.as_ref(), &login),
        login,
        opens_browser: !args.token.no_browser,
        application: Application {
            organization: args.token.token_organization.clone(),
            name: args.token.token_application.clone(),
            client_id: said(&args.token.client_id),
            scopes: args.token.token_scopes,
            expiry: args.token.token_expiry,
        },
        controller: args.operator.controller,
        controller_image: said(&args.operator.controller_image),
        replace_operator: args.operator.replace_operator,
        catalog: said(&args.operator.operator_catalog),
        channel: said(&args.operator.operator_channel),
        approval: args.operator.operator_approval,
        operator_timeout: args.operator.operator_timeout,
        secret_name: said(&args.integration.secret_name),
        secret_namespace: said(&args.integration.secret_namespace),
        secret_key: said(&args.integration.secret_key),
        replace_token: args.integration.replace_token.then_some(true),
        cluster_id: settings.given.cluster_id.map(|id| id.value),
        scheduled: args.integration.scheduled_import,
        allow: names(&args.integration.allow),
        deny: names(&args.integration.deny),
        adopt: args.integration.adopt,
        user_role: args.integration.user_role,
        node_trust: args.integration.node_trust,
        link: link(&args.integration.link)
            .or_else(|| global.namespace.clone().map(|name| vec![name])),
    };
    Ok((answers, settings.warnings))
}

/// Where the token comes from. What is typed goes before what somebody has exported once.
fn token(
    args: &cli::Setup,
    given: Option<SecretString>,
    source: Option<&Source>,
    login: &Login,
) -> Option<TokenSource> {
    if let (Some(token), Some(Source::Flag(_))) = (&given, source) {
        return Some(TokenSource::Given(token.clone()));
    }
    if args.token.browser {
        return Some(TokenSource::Browser);
    }
    if let (Some(user), Some(password)) = (login.user.clone(), login.password.clone()) {
        return Some(TokenSource::SignIn {
            user,
            password,
            first_user_email: login.first_user_email.clone(),
        });
    }
    given.map(TokenSource::Given)
}

/// An answer; an empty variable is none.
fn said(value: &Option<String>) -> Option<String> {
    value.clone().filter(|value| !value.is_empty())
}

/// The same of several.
fn names(values: &Option<Vec<String>>) -> Option<Vec<String>> {
    let names: Vec<_> = values
        .iter()
        .flatten()
        .map(|name| name.trim())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    Some(names).filter(|names| !names.is_empty())
}

/// The namespaces to link; `none` is an answer too.
fn link(values: &Option<Vec<String>>) -> Option<Vec<String>> {
    let names = names(values)?;
    Some(names.into_iter().filter(|name| name != "none").collect())
}

/// The password, from its file or from the environment.
fn password(file: Option<&Path>) -> Result<Option<SecretString>, Error> {
    let Some((content, source)) =
        settings::secret(file, "--quay-password-file", "OC_QUAY_PASSWORD")?
    else {
        return Ok(None);
    };
    settings::password(&content)
        .map(Some)
        .map_err(|problem| Error::new(format!("{source}: {problem}")))
}
