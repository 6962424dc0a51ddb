//! Options of setup from flags and variables.

use std::path::Path;

use secrecy::SecretString;

use crate::cli;
use crate::domain::integration::Source;
use crate::domain::names::QuayUrl;
use crate::error::Error;
use crate::ops::ConnectionOptions;
use crate::ops::settings::{self, Settings};
use crate::setup::{Application, SetupOptions, SignInOptions, TokenSource};

/// Reads the options, and warnings about them.
///
/// # Errors
/// For invalid options, before any connection.
pub(super) fn read(
    connection: &ConnectionOptions,
    args: &cli::Setup,
) -> Result<(SetupOptions, Vec<String>), Error> {
    let uses_stdin = |file: &Option<std::path::PathBuf>| {
        file.as_deref().is_some_and(|file| file.as_os_str() == "-")
    };
    if uses_stdin(&connection.quay_token_file) && uses_stdin(&args.token.quay_password_file) {
        return Err(Error::new("the token and the password cannot both be read from stdin"));
    }
    let settings = Settings::read(connection)?;
    let url = settings
        .given
        .url
        .as_ref()
        .and_then(|url| QuayUrl::parse(&url.value).ok())
        .map(|(url, _)| url);
    let sign_in = SignInOptions {
        user: non_empty(&args.token.quay_username),
        password: read_password(args.token.quay_password_file.as_deref())?,
        first_user_email: non_empty(&args.token.first_user_email),
    };
    let options = SetupOptions {
        url,
        ca: settings.ca,
        insecure: settings.given.insecure,
        token: token_source(args, settings.token, settings.given.token.as_ref(), &sign_in),
        sign_in,
        opens_browser: !args.token.no_browser,
        application: Application {
            organization: args.token.token_organization.clone(),
            name: args.token.token_application.clone(),
            client_id: non_empty(&args.token.client_id),
            scopes: args.token.token_scopes,
            expiry: args.token.token_expiry,
        },
        controller: args.operator.controller,
        controller_image: non_empty(&args.operator.controller_image),
        replace_operator: args.operator.replace_operator,
        catalog: non_empty(&args.operator.operator_catalog),
        channel: non_empty(&args.operator.operator_channel),
        approval: args.operator.operator_approval,
        operator_timeout: args.operator.operator_timeout,
        secret_name: non_empty(&args.integration.secret_name),
        secret_namespace: non_empty(&args.integration.secret_namespace),
        secret_key: non_empty(&args.integration.secret_key),
        replace_token: args.integration.replace_token.then_some(true),
        cluster_id: settings.given.cluster_id.map(|id| id.value),
        scheduled: args.integration.scheduled_import,
        allow: non_empty_names(&args.integration.allow),
        deny: non_empty_names(&args.integration.deny),
        adopt: args.integration.adopt,
        user_role: args.integration.user_role,
        node_trust: args.integration.node_trust,
        link: link_names(&args.integration.link)
            .or_else(|| connection.namespace.clone().map(|name| vec![name])),
    };
    Ok((options, settings.warnings))
}

/// The token's source. Flags take precedence over variables.
fn token_source(
    args: &cli::Setup,
    given: Option<SecretString>,
    source: Option<&Source>,
    sign_in: &SignInOptions,
) -> Option<TokenSource> {
    if let (Some(token), Some(Source::Flag(_))) = (&given, source) {
        return Some(TokenSource::Given(token.clone()));
    }
    if args.token.browser {
        return Some(TokenSource::Browser);
    }
    if let (Some(user), Some(password)) = (sign_in.user.clone(), sign_in.password.clone()) {
        return Some(TokenSource::SignIn {
            user,
            password,
            first_user_email: sign_in.first_user_email.clone(),
        });
    }
    given.map(TokenSource::Given)
}

/// An empty variable counts as unset.
fn non_empty(value: &Option<String>) -> Option<String> {
    value.clone().filter(|value| !value.is_empty())
}

fn non_empty_names(values: &Option<Vec<String>>) -> Option<Vec<String>> {
    let names: Vec<_> = values
        .iter()
        .flatten()
        .map(|name| name.trim())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    Some(names).filter(|names| !names.is_empty())
}

/// The namespaces to link; `none` is an empty list.
fn link_names(values: &Option<Vec<String>>) -> Option<Vec<String>> {
    let names = non_empty_names(values)?;
    Some(names.into_iter().filter(|name| name != "none").collect())
}

fn read_password(file: Option<&Path>) -> Result<Option<SecretString>, Error> {
    let Some((content, source)) =
        settings::read_secret(file, "--quay-password-file", "OC_QUAY_PASSWORD")?
    else {
        return Ok(None);
    };
    settings::parse_password(&content)
        .map(Some)
        .map_err(|problem| Error::new(format!("{source}: {problem}")))
}
