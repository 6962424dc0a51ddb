//! What flags and variables say about the set-up.

use std::path::Path;

use secrecy::SecretString;

use crate::bridge::names::QuayUrl;
use crate::cli::{self, Global};
use crate::commands::settings::{self, Settings};
use crate::error::Error;
use crate::setup::{Answers, Application, TokenFrom};

/// Reads them.
///
/// # Errors
/// For what cannot be used, before anything is connected to.
pub(super) fn read(global: &Global, args: &cli::Setup) -> Result<Answers, Error> {
    let uses_stdin = |file: &Option<std::path::PathBuf>| file.as_deref().is_some_and(|file| file.as_os_str() == "-");
    if uses_stdin(&global.quay_token_file) && uses_stdin(&args.token.quay_password_file) {
        return Err(Error::new("the token and the password cannot both be read from stdin"));
    }
    let settings = Settings::read(global)?;
    let url = settings.given.url.as_ref().and_then(|url| QuayUrl::parse(&url.value).ok()).map(|(url, _)| url);
    let token = token(args, settings.token)?;
    Ok(Answers {
        url,
        ca: settings.ca,
        insecure: settings.given.insecure,
        token,
        application: Application {
            organization: args.token.token_organization.clone(),
            name: args.token.token_application.clone(),
            client_id: args.token.client_id.clone(),
            scopes: args.token.scopes,
            expiry: args.token.token_expiry,
        },
        without_operator: args.operator.without_operator,
        catalog: args.operator.operator_catalog.clone(),
        channel: args.operator.operator_channel.clone(),
        approval: args.operator.operator_approval,
        operator_wait: args.operator.operator_wait,
        secret_name: args.integration.secret_name.clone(),
        secret_namespace: args.integration.secret_namespace.clone(),
        secret_key: args.integration.secret_key.clone(),
        replace_token: args.integration.replace_token.then_some(true),
        cluster_id: settings.given.cluster_id.map(|id| id.value),
        scheduled: args.integration.scheduled_import,
        allow: args.integration.allow.clone(),
        deny: args.integration.deny.clone(),
        adopt: args.integration.adopt,
        node_trust: args.integration.node_trust,
        link: args.integration.link.clone().or_else(|| global.namespace.clone().map(|name| vec![name])),
    })
}

fn token(args: &cli::Setup, given: Option<SecretString>) -> Result<Option<TokenFrom>, Error> {
    if let Some(token) = given {
        return Ok(Some(TokenFrom::Given(token)));
    }
    if args.token.browser {
        return Ok(Some(TokenFrom::Browser { open: !args.token.no_browser }));
    }
    let Some(user) = &args.token.quay_username else { return Ok(None) };
    let password = password(args.token.quay_password_file.as_deref())?;
    let first_user_email = args.token.first_user_email.clone();
    Ok(password.map(|password| TokenFrom::SignIn { user: user.clone(), password, first_user_email }))
}

/// The password, from its file or from the environment.
fn password(file: Option<&Path>) -> Result<Option<SecretString>, Error> {
    let Some((content, source)) = settings::secret(file, "--quay-password-file", "OC_QUAY_PASSWORD")? else {
        return Ok(None);
    };
    settings::password(&content).map(Some).map_err(|problem| Error::new(format!("{source}: {problem}")))
}
