//! `setup` and `teardown`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;

use super::{ChangeArgs, duration};
use crate::setup::{
    Approval, ControllerKind, NodeTrust, TOKEN_APPLICATION, TOKEN_ORGANIZATION, TokenScopes,
};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Ask step by step; Enter takes the default
  oc quay setup

  # Without a terminal, for a pipeline
  oc quay setup --yes --quay-url https://quay.example.com --quay-token-file - --cluster-id prod

  # The objects, for a Git repository
  oc quay setup --dry-run -o yaml --quay-url https://quay.example.com

  # Check whether everything is set up
  oc quay setup --check")]
pub struct Setup {
    /// Only check what is set up and what is missing; write nothing
    #[arg(long, conflicts_with_all = ["dry_run", "yes"])]
    pub check: bool,
    #[command(flatten)]
    pub changing: ChangeArgs,
    #[command(flatten)]
    pub token: Token,
    #[command(flatten)]
    pub operator: Operator,
    #[command(flatten)]
    pub integration: Integration,
}

/// Source of the token. An existing one is passed with `--quay-token-file`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Token")]
pub struct Token {
    /// Sign in as this user and issue a token (OC_QUAY_USERNAME)
    #[arg(long, value_name = "NAME", env = "OC_QUAY_USERNAME", hide_env = true)]
    pub quay_username: Option<String>,
    /// File with the user's password, `-` for stdin (or the password itself in OC_QUAY_PASSWORD)
    #[arg(long, value_name = "FILE", requires = "quay_username")]
    pub quay_password_file: Option<PathBuf>,
    /// E-mail address of the first user, which is created; only for an empty Quay (OC_QUAY_FIRST_USER_EMAIL)
    #[arg(
        long,
        value_name = "ADDRESS",
        requires = "quay_username",
        env = "OC_QUAY_FIRST_USER_EMAIL",
        hide_env = true,
        hide_short_help = true
    )]
    pub first_user_email: Option<String>,
    /// Sign in with the browser (OC_QUAY_BROWSER)
    #[arg(
        long,
        conflicts_with = "quay_username",
        env = "OC_QUAY_BROWSER",
        hide_env = true,
        value_parser = FalseyValueParser::new()
    )]
    pub browser: bool,
    /// Print the address instead of opening the browser (OC_QUAY_NO_BROWSER)
    #[arg(long, env = "OC_QUAY_NO_BROWSER", hide_env = true, value_parser = FalseyValueParser::new(), hide_short_help = true)]
    pub no_browser: bool,
    /// Client ID of an existing OAuth application (OC_QUAY_CLIENT_ID)
    #[arg(
        long,
        value_name = "ID",
        env = "OC_QUAY_CLIENT_ID",
        hide_env = true,
        hide_short_help = true
    )]
    pub client_id: Option<String>,
    /// Organization of the OAuth application (OC_QUAY_TOKEN_ORGANIZATION)
    #[arg(
        long,
        value_name = "NAME",
        default_value = TOKEN_ORGANIZATION,
        env = "OC_QUAY_TOKEN_ORGANIZATION",
        hide_env = true,
        hide_short_help = true
    )]
    pub token_organization: String,
    /// Name of the OAuth application (OC_QUAY_TOKEN_APPLICATION)
    #[arg(
        long,
        value_name = "NAME",
        default_value = TOKEN_APPLICATION,
        env = "OC_QUAY_TOKEN_APPLICATION",
        hide_env = true,
        hide_short_help = true
    )]
    pub token_application: String,
    /// Lifetime of the token, such as 8760h [default: ten years] (OC_QUAY_TOKEN_EXPIRY; Quay 3.18 and later)
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = duration,
        env = "OC_QUAY_TOKEN_EXPIRY",
        hide_env = true,
        hide_short_help = true
    )]
    pub token_expiry: Option<Duration>,
    /// Token scopes: those the documentation recommends, or the minimum (OC_QUAY_TOKEN_SCOPES)
    #[arg(
        long,
        value_enum,
        default_value_t = TokenScopes::Default,
        value_name = "SCOPES",
        env = "OC_QUAY_TOKEN_SCOPES",
        hide_env = true,
        hide_short_help = true
    )]
    pub token_scopes: TokenScopes,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Operator")]
pub struct Operator {
    /// Controller that reconciles linked namespaces [default: operator] (OC_QUAY_CONTROLLER)
    #[arg(long, value_enum, value_name = "KIND", env = "OC_QUAY_CONTROLLER", hide_env = true)]
    pub controller: Option<ControllerKind>,
    /// Image of the in-cluster controller [default: the image of this version] (OC_QUAY_CONTROLLER_IMAGE)
    #[arg(
        long,
        value_name = "IMAGE",
        env = "OC_QUAY_CONTROLLER_IMAGE",
        hide_env = true,
        hide_short_help = true
    )]
    pub controller_image: Option<String>,
    /// Remove the operator once the in-cluster controller runs; linked namespaces are kept
    #[arg(long, hide_short_help = true)]
    pub replace_operator: bool,
    /// Catalog to install the operator from (OC_QUAY_OPERATOR_CATALOG)
    #[arg(
        long,
        value_name = "NAME",
        env = "OC_QUAY_OPERATOR_CATALOG",
        hide_env = true,
        hide_short_help = true
    )]
    pub operator_catalog: Option<String>,
    /// Channel to follow, instead of the catalog's default (OC_QUAY_OPERATOR_CHANNEL)
    #[arg(
        long,
        value_name = "NAME",
        env = "OC_QUAY_OPERATOR_CHANNEL",
        hide_env = true,
        hide_short_help = true
    )]
    pub operator_channel: Option<String>,
    /// Approval of the operator's updates (OC_QUAY_OPERATOR_APPROVAL)
    #[arg(
        long,
        value_enum,
        value_name = "APPROVAL",
        env = "OC_QUAY_OPERATOR_APPROVAL",
        hide_env = true,
        hide_short_help = true
    )]
    pub operator_approval: Option<Approval>,
    /// How long to wait for the operator (OC_QUAY_OPERATOR_TIMEOUT)
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10m",
        value_parser = duration,
        env = "OC_QUAY_OPERATOR_TIMEOUT",
        hide_env = true,
        hide_short_help = true
    )]
    pub operator_timeout: Duration,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Integration")]
pub struct Integration {
    /// Name of the Secret with the token [default: quay-integration] (OC_QUAY_SECRET_NAME)
    #[arg(
        long,
        value_name = "NAME",
        env = "OC_QUAY_SECRET_NAME",
        hide_env = true,
        hide_short_help = true
    )]
    pub secret_name: Option<String>,
    /// Namespace of that Secret [default: openshift-operators] (OC_QUAY_SECRET_NAMESPACE)
    #[arg(
        long,
        value_name = "NAME",
        env = "OC_QUAY_SECRET_NAMESPACE",
        hide_env = true,
        hide_short_help = true
    )]
    pub secret_namespace: Option<String>,
    /// Key of the token in that Secret (OC_QUAY_SECRET_KEY); the operator reads only `token`
    #[arg(
        long,
        value_name = "KEY",
        env = "OC_QUAY_SECRET_KEY",
        hide_env = true,
        hide_short_help = true
    )]
    pub secret_key: Option<String>,
    /// Replace a different token in the Secret (OC_QUAY_REPLACE_TOKEN)
    #[arg(long, env = "OC_QUAY_REPLACE_TOKEN", hide_env = true, value_parser = FalseyValueParser::new(), hide_short_help = true)]
    pub replace_token: bool,
    /// With -o yaml: an ExternalSecret for this store and key instead of the Secret
    #[arg(long, value_name = "STORE/KEY", value_parser = store_and_key, requires = "dry_run", hide_short_help = true)]
    pub external_secret: Option<(String, String)>,
    /// Enable scheduled image imports (OC_QUAY_SCHEDULED_IMPORT)
    #[arg(
        long,
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL",
        env = "OC_QUAY_SCHEDULED_IMPORT",
        hide_env = true,
        hide_short_help = true
    )]
    pub scheduled_import: Option<bool>,
    /// Link only these namespaces; can be repeated (OC_QUAY_ALLOW)
    #[arg(
        long,
        value_name = "NAMESPACE",
        value_delimiter = ',',
        env = "OC_QUAY_ALLOW",
        hide_env = true
    )]
    pub allow: Option<Vec<String>>,
    /// Never link these namespaces; can be repeated (OC_QUAY_DENY)
    #[arg(
        long,
        value_name = "NAMESPACE",
        value_delimiter = ',',
        env = "OC_QUAY_DENY",
        hide_env = true
    )]
    pub deny: Option<Vec<String>>,
    /// Adopt organizations of other clusters, and existing objects with the names of the controller's
    #[arg(long, hide_short_help = true)]
    pub adopt: bool,
    /// Let users of projects see which Quay the cluster uses: ClusterRole oc-quay-user (OC_QUAY_USER_ROLE)
    #[arg(
        long,
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL",
        env = "OC_QUAY_USER_ROLE",
        hide_env = true,
        hide_short_help = true
    )]
    pub user_role: Option<bool>,
    /// Configure nodes to trust Quay's certificate authority; they are updated one after the other (OC_QUAY_NODE_TRUST)
    #[arg(long, value_enum, value_name = "ACTION", env = "OC_QUAY_NODE_TRUST", hide_env = true)]
    pub node_trust: Option<NodeTrust>,
    /// Namespaces to link at the end, or none; can be repeated (OC_QUAY_LINK)
    #[arg(
        long,
        value_name = "NAMESPACE",
        value_delimiter = ',',
        env = "OC_QUAY_LINK",
        hide_env = true
    )]
    pub link: Option<Vec<String>>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Show what would be removed
  oc quay teardown --dry-run

  # Remove the integration from the cluster; organizations and images are kept in Quay
  oc quay teardown")]
pub struct Teardown {
    #[command(flatten)]
    pub changing: ChangeArgs,
}

/// `STORE/KEY`; the key can contain slashes.
fn store_and_key(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((store, key)) if !store.is_empty() && !key.is_empty() => {
            Ok((store.to_owned(), key.to_owned()))
        }
        _ => Err(format!("`{text}` is not STORE/KEY")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_store_and_key_at_first_slash() {
        assert_eq!(store_and_key("vault/quay/token"), Ok(("vault".into(), "quay/token".into())));
        for text in ["", "vault", "/key", "vault/"] {
            assert!(store_and_key(text).is_err(), "{text}");
        }
    }
}
